"""Plain boto3 clients, as a user would make them, and a localcloud that is not up yet."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from localcloud.addresses import Address
from localcloud.testing import TestCloud, free_port


def client_of(running: TestCloud, service: str) -> Any:
    """A plain boto3 client that does not repeat what fails."""
    return boto3.client(
        service,
        endpoint_url=running.address.url,
        region_name="us-east-1",
        aws_access_key_id="localcloud",
        aws_secret_access_key="localcloud",
        config=Config(retries={"max_attempts": 1, "mode": "standard"}),
    )


@contextmanager
def not_started(state: Path) -> Iterator[TestCloud]:
    """The place of a localcloud; what is up there afterwards is stopped."""
    address = Address(state, free_port())
    variables = {"LOCALCLOUD_HOME": str(state), "LOCALCLOUD_PORT": str(address.port)}
    cloud = TestCloud(address, address.apply() | variables)
    try:
        yield cloud
    finally:
        cloud.command("down")
