"""What the function's environment says, and the clients it calls AWS with."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import boto3
from botocore.config import Config

# So long the model may take; all calls of a request together have what deadline.py leaves them. The
# model is not asked again by itself: a retry after a time-out would double the load of an endpoint
# that is too slow already.
_RUNTIME = Config(connect_timeout=2, read_timeout=20, retries={"total_max_attempts": 1})
_OTHERS = Config(connect_timeout=2, read_timeout=3, retries={"total_max_attempts": 2})


@dataclass(frozen=True, slots=True)
class Settings:
    """The stage that this function belongs to."""

    endpoint_name: str
    deployment_uri: str
    model_package_arn: str

    @property
    def model_version(self) -> str:
        """The version of the model package, the last part of its ARN."""
        return self.model_package_arn.rpartition("/")[2]


def load(environment: Mapping[str, str]) -> Settings:
    """Read the variables. Raises KeyError with the name of one that is missing."""
    return Settings(
        environment["ENDPOINT_NAME"],
        environment["DEPLOYMENT_URI"],
        environment["MODEL_PACKAGE_ARN"],
    )


@cache
def client(service: str) -> Any:
    """Give the one client of a service; it is made when it is first needed."""
    return boto3.client(service, config=_RUNTIME if service == "sagemaker-runtime" else _OTHERS)
