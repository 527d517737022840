"""Model archives with handlers, and the instances that serve them."""

from __future__ import annotations

import contextlib
import http.client
import io
import secrets
import socket
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from localcloud.containers.runtime import Runtime
from localcloud.containers.serving import ModelContainer, ModelInstance
from localcloud.s3.errors import BucketAlreadyOwnedByYou
from localcloud.s3.objects import ObjectStore

REGISTRY = "492215442770.dkr.ecr.eu-central-1.amazonaws.com"
SKLEARN = f"{REGISTRY}/sagemaker-scikit-learn:1.9-0-cpu-py3"
XGBOOST = f"{REGISTRY}/sagemaker-xgboost:3.2-0"
BUCKET = "models"
ECHO = """
def model_fn(model_dir):
    return None

def transform_fn(model, body, content_type, accept):
    return body, content_type
"""
PID_HANDLER = """
import os

def model_fn(model_dir):
    return None

def transform_fn(model, body, content_type, accept):
    return f"{os.getpid()} {os.getppid()}", content_type
"""


class UnixConnection(http.client.HTTPConnection):
    """The standard library's client, on a Unix socket."""

    def __init__(self, path: Path, timeout: float = 20.0) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


@dataclass
class Answer:
    status: int
    body: bytes
    content_type: str | None
    headers: Mapping[str, str] = field(default_factory=dict)


def ask(
    path: Path,
    body: bytes | str | None = None,
    content_type: str | None = "text/csv",
    accept: str | None = None,
    *,
    url: str = "/invocations",
    method: str = "POST",
    timeout: float = 20.0,
) -> Answer:
    """One request on a connection of its own."""
    headers = {"Content-Type": content_type} if content_type else {}
    if accept is not None:
        headers["Accept"] = accept
    connection = UnixConnection(path, timeout)
    try:
        connection.request(method, url, body=body, headers=headers)
        response = connection.getresponse()
        return Answer(
            response.status, response.read(), response.getheader("Content-Type"),
            dict(response.getheaders()),
        )  # fmt: skip
    finally:
        connection.close()


def archive(files: Mapping[str, str | bytes]) -> bytes:
    """A tar.gz of these files."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, text in files.items():
            content = text.encode() if isinstance(text, str) else text
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


class Workshop:
    """Makes instances of models; ends them all at its end."""

    def __init__(self, runtime: Runtime, folder: Path) -> None:
        self.runtime = runtime
        self.folder = folder
        self.objects = ObjectStore(folder / "s3")
        with contextlib.suppress(BucketAlreadyOwnedByYou):
            self.objects.create_bucket("000000000000", "eu-central-1", BUCKET)
        self._instances: list[ModelInstance] = []

    def put(self, content: bytes) -> str:
        """Store an object; returns its URI."""
        key = f"{secrets.token_hex(4)}/model.tar.gz"
        self.objects.put_stream(BUCKET, key, io.BytesIO(content))
        return f"s3://{BUCKET}/{key}"

    def container(
        self,
        handler: str | Mapping[str, str | bytes],
        image: str = SKLEARN,
        hostname: str = "container-1",
        **environment: str,
    ) -> ModelContainer:
        """A container whose archive has this inference.py, or these files."""
        files = {"code/inference.py": handler} if isinstance(handler, str) else handler
        given = {"SAGEMAKER_PROGRAM": "inference.py", **environment}
        return ModelContainer(hostname, image, self.put(archive(files)), given)

    def instance(self, *containers: ModelContainer, folder: Path | None = None) -> ModelInstance:
        """An instance that is not started."""
        name = f"instance-{len(self._instances)}"
        made = ModelInstance(
            self.runtime, self.objects, containers, folder or self.folder / name,
            name=name, region="eu-central-1", cpus=1, logs=self.logs(name, containers),
            environment={"AWS_REGION": "eu-central-1"},
        )  # fmt: skip
        self._instances.append(made)
        return made

    def logs(self, name: str, containers: Sequence[Any]) -> list[Path]:
        """The log of each container of an instance."""
        return [self.folder / "logs" / f"{name}-{n}.log" for n, _ in enumerate(containers)]

    def serve(self, handler: str | Mapping[str, str | bytes], **more: Any) -> tuple[Path, Path]:
        """Start an instance of one container; returns its socket and its log."""
        container = self.container(handler, **more)
        instance = self.instance(container)
        instance.start(30)
        name = f"instance-{len(self._instances) - 1}"
        return instance.sockets[0], self.logs(name, [container])[0]

    def close(self) -> None:
        """End all instances."""
        for instance in self._instances:
            instance.stop(1.0)
