"""A localcloud of one's own for tests: another port, another state folder, gone afterwards."""

from __future__ import annotations

import contextlib
import random
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
    """A port that nobody uses now, as nobody does the next one: the data plane's.

    They are below those that systems give to outgoing connections, which would take one meanwhile.
    """
    while True:
        port = random.randrange(10_000, 32_000, 2)  # noqa: S311 - nothing to guess
        with (
            contextlib.suppress(OSError),
            socket.create_server((HOST, port)),
            socket.create_server((HOST, port + 1)),
        ):
            return port
