"""boto3's clients, made here and nowhere else, and the account's settings."""

import os
import re
from functools import cached_property
from typing import Any, Final

from deploy_endpoint.errors import UsageError
from deploy_endpoint.terminal import Terminal

_REGIONS: Final = ("AWS_REGION", "AWS_DEFAULT_REGION")
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_GROUP = re.compile(r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}")


class Workspace:
    """What every command works with: settings, clients, a terminal. Nothing is asked before use.

    The clients follow boto3's own rules for endpoints and credentials; an answer that is slow or
    throttled is asked for again, in boto3's standard mode.
    """

    def __init__(self, terminal: Terminal) -> None:
        self.terminal = terminal

    @cached_property
    def region(self) -> str:
        """The region, which has no default. Raises UsageError without one, or with two."""
        regions = {os.environ[name] for name in _REGIONS if os.environ.get(name)}
        if not regions:
            raise UsageError(f"{_REGIONS[0]} must name the region; it is not set.")
        if len(regions) > 1:
            raise UsageError(
                f"{' and '.join(_REGIONS)} must name one region, not "
                f"{' and '.join(sorted(regions))}."
            )
        return regions.pop()

    @cached_property
    def identity(self) -> dict[str, str]:
        """Who the credentials stand for: Account, Arn, UserId."""
        answer: dict[str, str] = self.client("sts").get_caller_identity()
        return answer

    @property
    def account(self) -> str:
        """The account's number."""
        return self.identity["Account"]

    @property
    def partition(self) -> str:
        """The partition of the account: aws, aws-cn or aws-us-gov."""
        return self.identity["Arn"].split(":")[1]

    @cached_property
    def bucket(self) -> str:
        """The project's bucket: PIPELINE_BUCKET, or the one that convention names."""
        convention = f"sagemaker-mlops-{self.account}-{self.region}"
        return _setting("PIPELINE_BUCKET", convention, _BUCKET, "an S3 bucket's name")

    def package_group(self, default: str) -> str:
        """Return the model package group: MODEL_PACKAGE_GROUP, or the default."""
        rule = "1 to 63 letters, digits and inner hyphens"
        return _setting("MODEL_PACKAGE_GROUP", default, _GROUP, rule)

    @cached_property
    def sagemaker(self) -> Any:
        """The client of SageMaker."""
        return self.client("sagemaker")

    @cached_property
    def cloudformation(self) -> Any:
        """The client of CloudFormation."""
        return self.client("cloudformation")

    @cached_property
    def s3(self) -> Any:
        """The client of S3."""
        return self.client("s3")

    @cached_property
    def logs(self) -> Any:
        """The client of CloudWatch Logs."""
        return self.client("logs")

    def secret(self, arn: str) -> str:
        """Return what a secret holds."""
        return str(self.client("secretsmanager").get_secret_value(SecretId=arn)["SecretString"])

    def client(self, service: str) -> Any:
        """Make a client of a service in the settings' region."""
        import boto3  # noqa: PLC0415 - takes half a second that --help has not
        from botocore.config import Config  # noqa: PLC0415

        config = Config(
            retries={"mode": "standard", "total_max_attempts": 4},
            connect_timeout=5,
            user_agent_extra="sagemaker-mlops-template",
        )
        make: Any = boto3.client  # its type is a list of literal names
        try:
            return make(service, region_name=self.region, config=config)
        except ValueError as error:
            url = os.environ.get("AWS_ENDPOINT_URL")
            raise UsageError(
                f"AWS_ENDPOINT_URL must be a URL such as http://host:port, not {url!r}: {error}."
            ) from error


def _setting(name: str, default: str, pattern: re.Pattern[str], rule: str) -> str:
    value = os.environ.get(name, default)
    if not pattern.fullmatch(value):
        raise UsageError(f"{name} must be {rule}, not {value!r}.")
    return value
