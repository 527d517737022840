"""Plain boto3 clients, as a user would make them."""

from __future__ import annotations

from typing import Any

import boto3
from botocore.config import Config

from localcloud.testing import TestCloud


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
