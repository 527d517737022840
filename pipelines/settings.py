"""What a pipeline is compiled for: region, account, bucket, role and names."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Self

OFFLINE_ACCOUNT: Final = "000000000000"
DEFAULT_NAME: Final = "predictive-maintenance"

_REGIONS = ("AWS_REGION", "AWS_DEFAULT_REGION")
_PARTITIONS = {"cn": "aws-cn", "us-gov": "aws-us-gov"}
# AWS's own patterns: CreatePipeline, CreateModelPackageGroup, CreateRole and the S3 user guide.
_RULES: Final[Mapping[str, tuple[str, str]]] = {
    "region": (r"[a-z]{2,4}(-[a-z]+)+-\d", "a region such as eu-west-1"),
    "account": (r"\d{12}", "an account number of 12 digits"),
    "bucket": (r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", "an S3 bucket's name"),
    "prefix": (r"[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*", "an S3 key prefix without slashes around it"),
    "role_arn": (
        r"arn:aws[a-z-]*:iam::\d{12}:role/[A-Za-z0-9_+=,.@/-]{1,512}",
        "an IAM role's ARN",
    ),
    "pipeline_name": (
        r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,255}",
        "1 to 256 letters, digits and inner hyphens",
    ),
    "model_package_group_name": (
        r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}",
        "1 to 63 letters, digits and inner hyphens",
    ),
}


class SettingsError(ValueError):
    """A setting is missing or is not what AWS accepts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What a definition is compiled for. Raises SettingsError for a value that AWS would refuse."""

    region: str
    account: str
    bucket: str
    prefix: str
    role_arn: str
    pipeline_name: str
    model_package_group_name: str

    def __post_init__(self) -> None:
        for name, (pattern, rule) in _RULES.items():
            value = getattr(self, name)
            if not re.fullmatch(pattern, value):
                raise SettingsError(f"{name} must be {rule}, not {value!r}")

    @classmethod
    def from_environment(cls, environment: Mapping[str, str], account: str | None = None) -> Self:
        """Read the settings from variables; what is not set follows from region and account.

        The region is AWS_REGION or AWS_DEFAULT_REGION. It has no default: a definition compiled for
        another region than the one it is sent to would name foreign images and a foreign bucket.
        PIPELINE_NAME, PIPELINE_BUCKET, PIPELINE_ROLE_ARN and MODEL_PACKAGE_GROUP may replace the
        conventional names. Without ``account`` the offline account 000000000000 stands in.

        Raises SettingsError for a missing region, two regions, an empty or an unusable value.
        """
        region = _region(environment)
        account = OFFLINE_ACCOUNT if account is None else account
        partition = next(
            (name for start, name in _PARTITIONS.items() if region.startswith(f"{start}-")), "aws"
        )
        return cls(
            region=region,
            account=account,
            bucket=_read(environment, "PIPELINE_BUCKET", f"sagemaker-mlops-{account}-{region}"),
            prefix=DEFAULT_NAME,
            role_arn=_read(
                environment,
                "PIPELINE_ROLE_ARN",
                f"arn:{partition}:iam::{account}:role/sagemaker-mlops-pipeline",
            ),
            pipeline_name=_read(environment, "PIPELINE_NAME", DEFAULT_NAME),
            model_package_group_name=_read(environment, "MODEL_PACKAGE_GROUP", DEFAULT_NAME),
        )

    def uri(self, *parts: str) -> str:
        """Return the S3 URI of a key below the prefix."""
        return "/".join((f"s3://{self.bucket}", self.prefix, *parts))


def _region(environment: Mapping[str, str]) -> str:
    regions = {_read(environment, name, "") for name in _REGIONS} - {""}
    if not regions:
        raise SettingsError(f"{_REGIONS[0]} must name the region; it is not set")
    if len(regions) > 1:
        raise SettingsError(
            f"{' and '.join(_REGIONS)} must name one region, not {' and '.join(sorted(regions))}"
        )
    return regions.pop()


def _read(environment: Mapping[str, str], name: str, default: str) -> str:
    value = environment.get(name, default)
    if name in environment and not value:
        raise SettingsError(f"{name} must not be empty; leave it out for the default")
    return value
