"""A localcloud of one's own for tests: another port, another state folder, gone afterwards."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from localcloud.addresses import HOST, Address
from localcloud.protocol import STRICT


@dataclass(frozen=True)
class TestCloud:
    """A running localcloud; `environment` leads any AWS client to it."""

    __test__ = False

    address: Address
    environment: dict[str, str]

    def command(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run `localcloud WORDS` against it."""
        return subprocess.run(
            [sys.executable, "-m", "localcloud", *words],
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )


@contextmanager
def localcloud(state: Path, variables: Mapping[str, str] | None = None) -> Iterator[TestCloud]:
    """A localcloud over a state folder, up inside the block, down after it.

    `variables` are further ones of its environment.
    """
    address = Address(state, free_port())
    environment = address.apply() | {
        "LOCALCLOUD_HOME": str(state),
        "LOCALCLOUD_PORT": str(address.port),
        STRICT: "1",
        **(variables or {}),
    }
    cloud = TestCloud(address, environment)
    started = cloud.command("up")
    if started.returncode != 0:
        raise RuntimeError(started.stderr)
    try:
        yield cloud
    finally:
        cloud.command("down")


def free_port() -> int:
    """A port that nobody uses now, as nobody does the next one: the data plane's."""
    while True:
        with socket.socket() as probe, socket.socket() as second:
            probe.bind((HOST, 0))
            port = int(probe.getsockname()[1])
            with contextlib.suppress(OSError, OverflowError):
                second.bind((HOST, port + 1))
                return port
