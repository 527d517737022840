"""Where a localcloud is: its port, its state folder, and the environment that leads to it."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

HOST = "127.0.0.1"
DEFAULT_PORT = 4566
DEFAULT_REGION = "us-east-1"
SERVER_FILE = "server.json"
# A profile or a session token of a real account must not mix with localcloud's own credentials.
UNSET = ("AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_SESSION_TOKEN", "AWS_CA_BUNDLE")


class BadSetting(Exception):  # noqa: N818 - reads as the sentence it makes
    """An environment variable that localcloud reads has a value it cannot use."""


@dataclass(frozen=True)
class Address:
    """The state folder and the port of one localcloud."""

    state: Path
    port: int

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Address:
        """LOCALCLOUD_HOME (default `.localcloud` in this folder) and LOCALCLOUD_PORT (4566)."""
        text = environment.get("LOCALCLOUD_PORT", str(DEFAULT_PORT))
        if not re.fullmatch(r"[0-9]{1,5}", text) or not 0 < int(text) < 65_535:
            raise BadSetting(f"LOCALCLOUD_PORT must be a port from 1 to 65534, not {text!r}")
        state = Path(environment.get("LOCALCLOUD_HOME") or ".localcloud").absolute()
        return cls(state, int(text))

    @property
    def url(self) -> str:
        """The endpoint URL of every service."""
        return f"http://{HOST}:{self.port}"

    @property
    def data_port(self) -> int:
        """The data plane's port: the next one."""
        return self.port + 1

    @property
    def data_url(self) -> str:
        """The endpoint URL of SageMaker Runtime: the same calls as at `url`, without a detour."""
        return f"http://{HOST}:{self.data_port}"

    def variables(self, environment: Mapping[str, str]) -> dict[str, str]:
        """The environment variables that make any AWS client talk to this localcloud."""
        region = environment.get("AWS_REGION") or environment.get("AWS_DEFAULT_REGION")
        direct = [part for part in environment.get("NO_PROXY", "").split(",") if part]
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME": self.data_url,
            "AWS_ACCESS_KEY_ID": "localcloud",
            "AWS_SECRET_ACCESS_KEY": "localcloud",
            "AWS_REGION": region or DEFAULT_REGION,
            "AWS_DEFAULT_REGION": region or DEFAULT_REGION,
            "AWS_EC2_METADATA_DISABLED": "true",
            "NO_PROXY": ",".join(dict.fromkeys([*direct, HOST, "localhost"])),
        }

    def apply(self, environment: Mapping[str, str] | None = None) -> dict[str, str]:
        """A whole environment for a program that shall talk to this localcloud."""
        given = dict(os.environ if environment is None else environment)
        kept = {name: value for name, value in given.items() if name not in UNSET}
        return kept | self.variables(given)
