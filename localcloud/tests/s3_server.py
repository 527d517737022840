"""Servers on ephemeral loopback ports, and clients for them."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from cheroot.wsgi import Server

import localcloud.s3

ACCOUNT = "000000000000"
CREDENTIALS = {
    "aws_access_key_id": "test",
    "aws_secret_access_key": "test",
    "region_name": "us-east-1",
}
_SERVE = f"""
import sys
from pathlib import Path
from cheroot.wsgi import Server
from localcloud.s3 import ObjectStore, S3Application
server = Server(("127.0.0.1", 0), S3Application(ObjectStore(Path(sys.argv[1])), "{ACCOUNT}"))
server.prepare()
print(server.bind_addr[1], flush=True)
server.serve()
"""


def make_client(endpoint, **config):
    return boto3.client(
        "s3",
        endpoint_url=endpoint,
        config=Config(retries={"total_max_attempts": 1}, **config),
        **CREDENTIALS,
    )


@contextmanager
def serving(application):
    """The endpoint of a server in this process."""
    server = Server(("127.0.0.1", 0), application, numthreads=12)
    server.prepare()
    thread = threading.Thread(target=server.serve, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.bind_addr[1]}"
    finally:
        server.stop()
        thread.join()


@contextmanager
def serving_process(root: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A server in a process of its own, and its endpoint."""
    source = str(Path(localcloud.s3.__file__).parents[2])
    process = subprocess.Popen(
        [sys.executable, "-c", _SERVE, str(root)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": source},
    )
    try:
        yield process, f"http://127.0.0.1:{process.stdout.readline().strip()}"
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def refused(call, code, status, **arguments):
    """The error of a call that must fail with this code and this HTTP status."""
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    response = caught.value.response
    assert (response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"]) == (
        code,
        status,
    )
    return response["Error"]
