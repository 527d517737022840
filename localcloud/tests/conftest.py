"""Fixtures for tests that talk to a whole localcloud."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from clients import client_of
from data_plane_fixtures import Plane, data_plane

from localcloud.testing import TestCloud, localcloud

Client = Callable[[str], Any]


@pytest.fixture(scope="session")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestCloud]:
    """One localcloud for all tests of a session."""
    with localcloud(tmp_path_factory.mktemp("cloud") / "state") as running:
        yield running


@pytest.fixture(scope="session")
def client(cloud: TestCloud) -> Client:
    """Plain boto3 clients of the session's localcloud."""
    return lambda service: client_of(cloud, service)


@pytest.fixture(scope="session")
def workshop(client: Client) -> str:
    """A bucket for what tests store."""
    client("s3").create_bucket(Bucket="workshop")
    return "workshop"


@pytest.fixture
def plane(tmp_path: Path) -> Iterator[Plane]:
    """A data plane of one's own."""
    with data_plane(tmp_path) as running:
        yield running
