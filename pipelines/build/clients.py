"""boto3's clients, made here and nowhere else, and the settings of the account they reach."""

import os
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from pipelines.build.errors import UsageError
from pipelines.build.terminal import Terminal
from pipelines.settings import Settings, SettingsError

ROOT: Final = Path(__file__).resolve().parents[2]
WORK: Final = ROOT / "build"
USER_AGENT: Final = "sagemaker-mlops-template"


class Workspace:
    """What every command works with: settings, clients, a terminal. Nothing is asked before use.

    The clients follow boto3's own rules for endpoints and credentials; an answer that is slow or
    throttled is asked for again, in boto3's standard mode.
    """

    def __init__(self, terminal: Terminal) -> None:
        self.terminal = terminal

    @cached_property
    def offline_settings(self) -> Settings:
        """The settings without asking anybody for the account. Raises UsageError."""
        return _read_settings(None)

    @cached_property
    def identity(self) -> dict[str, str]:
        """Who the credentials stand for: Account, Arn, UserId."""
        answer: dict[str, str] = self.client("sts").get_caller_identity()
        return answer

    @cached_property
    def settings(self) -> Settings:
        """The settings for the account that the credentials belong to. Raises UsageError."""
        region = self.offline_settings.region  # a missing region is told before a missing account
        settings = _read_settings(self.identity["Account"])
        if settings.region != region:
            raise UsageError(f"The region changed from {region} to {settings.region}")
        return settings

    @cached_property
    def sagemaker(self) -> Any:
        """The client of SageMaker."""
        return self.client("sagemaker")

    @cached_property
    def s3(self) -> Any:
        """The client of S3."""
        return self.client("s3")

    def client(self, service: str) -> Any:
        """Make a client of a service in the settings' region."""
        import boto3  # noqa: PLC0415 - takes half a second that --help has not
        from botocore.config import Config  # noqa: PLC0415

        config = Config(
            retries={"mode": "standard", "total_max_attempts": 4},
            connect_timeout=5,
            user_agent_extra=USER_AGENT,
        )
        make: Any = boto3.client  # its type is a list of literal names
        try:
            return make(service, region_name=self.offline_settings.region, config=config)
        except ValueError as error:
            url = os.environ.get("AWS_ENDPOINT_URL")
            raise UsageError(
                f"AWS_ENDPOINT_URL must be a URL such as http://host:port, not {url!r}: {error}."
            ) from error


def _read_settings(account: str | None) -> Settings:
    try:
        return Settings.from_environment(os.environ, account)
    except SettingsError as error:
        raise UsageError(f"{error}.") from error
