"""A data plane by itself: small containers behind Unix sockets, no gateway."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from waiting import wait_until

from localcloud.protocol import Caller
from localcloud.s3.objects import ObjectStore
from localcloud.traffic import ContainerRoute, FleetRoute, Traffic, VariantRoute

CALLER = Caller("000000000000", "us-east-1")
CAPTURE = {
    "EnableCapture": True,
    "InitialSamplingPercentage": 100,
    "DestinationS3Uri": "s3://captured/from/here/",
    "CaptureOptions": [{"CaptureMode": "Input"}, {"CaptureMode": "Output"}],
    "CaptureContentTypeHeader": {"CsvContentTypes": ["text/csv"]},
}


@dataclass
class Plane:
    """A data plane of one's own."""

    folder: Path
    traffic: Traffic
    objects: ObjectStore
    url: str
    counts: list[dict[str, Any]]
    containers: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    _short: tempfile.TemporaryDirectory[str] = field(
        default_factory=lambda: tempfile.TemporaryDirectory(prefix="lc-")
    )

    @property
    def sockets(self) -> Path:
        """Where the containers' sockets are: a path that is short enough for one; it goes away."""
        return Path(self._short.name)

    def container(self, name: str) -> str:
        """Start a container; returns its socket."""
        path = self.sockets / name
        program = Path(__file__).with_name("fake_container.py")
        self.containers[name] = subprocess.Popen([sys.executable, program, path, f"{name} "])
        wait_until(lambda: _answers(path))
        return str(path)

    def variant(
        self, *names: str, variant: str = "AllTraffic", weight: float = 1.0
    ) -> VariantRoute:
        """A variant whose containers have these names."""
        containers = tuple(
            ContainerRoute(f"host-{name}", (self.container(name),), (f"{variant}/i-1/{name}",))
            for name in names
        )
        return VariantRoute(variant, weight, containers)

    def serve(self, fleet: str, *names: str, share: float = 1.0, **more: Any) -> FleetRoute:
        """A fleet of one variant; returns its route."""
        return FleetRoute(fleet, f"config-{fleet}", share, (self.variant(*names),), **more)

    def client(self, **config: Any) -> Any:
        """A plain boto3 client that does not repeat what fails."""
        settings = Config(retries={"max_attempts": 1, "mode": "standard"}, **config)
        return boto3.client(
            "sagemaker-runtime", endpoint_url=self.url, region_name="us-east-1", config=settings,
            aws_access_key_id="a", aws_secret_access_key="b",
        )  # fmt: skip


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            return False
    return True


@contextmanager
def data_plane(folder: Path) -> Iterator[Plane]:
    """A running one; it ends with the block, and so do its containers."""
    listener = socket.create_server(("127.0.0.1", 0))
    objects = ObjectStore(folder / "s3")
    objects.create_bucket("000000000000", "us-east-1", "captured")
    counts: list[dict[str, Any]] = []
    traffic = Traffic(folder, "000000000000", objects, {"endpoints": counts.extend})
    traffic.open(listener)
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    running = Plane(folder, traffic, objects, url, counts)
    try:
        yield running
    finally:
        traffic.close()
        for process in running.containers.values():
            process.kill()
            process.wait()


def captured(plane: Plane) -> list[dict[str, Any]]:
    lines = [
        line
        for found in plane.objects.list("captured")
        for line in found.path.read_text().splitlines()
    ]
    return [json.loads(line) for line in lines]
