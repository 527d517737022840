"""Measure what a serving container costs beside its handler: transport, start, restart.

A model of two containers, one in each image, whose handlers give back what they get. One client
sends one request after the other over a kept connection to the first container's socket; a process
is killed by SIGKILL, and the time counts until its successor has answered GET /ping. The fork
servers are warm.
"""

import argparse
import io
import json
import os
import signal
import socket
import statistics
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from localcloud.containers.environments import Images
from localcloud.containers.runtime import Runtime
from localcloud.containers.serving import ModelContainer, ModelInstance
from localcloud.s3.objects import ObjectStore

_REGISTRY: Final = "683313688378.dkr.ecr.us-east-1.amazonaws.com"
_IMAGES: Final = ("sagemaker-scikit-learn:1.9-0-cpu-py3", "sagemaker-xgboost:3.2-0")
_HANDLER: Final = b"""
import os

def model_fn(model_dir):
    return str(os.getpid())

def transform_fn(model, body, content_type, accept):
    return body or model, content_type
"""
_POST: Final = "POST /invocations HTTP/1.1\r\nContent-Type: text/csv\r\nContent-Length: {}\r\n\r\n"
_ROW: Final = "1.0,298.1,308.6,1551.0,42.8,0.0,6951.59,2048.41,1.9,0.22,0.0\n"
_STEADY_SECONDS: Final = 5.5
"""After this long a container that dies is started again without a pause."""


def main() -> int:
    """Print a table for a person and one JSON object, on the last line, for a program."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=5.0, help="of requests")
    parser.add_argument(
        "--runs", type=int, default=5, help="of starts and kills; the median counts"
    )
    options = parser.parse_args()
    starts: list[float] = []
    restarts: list[float] = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        runtime = Runtime(folder / "state", Images())
        try:
            containers = list(_containers(folder))
            for each in containers:
                runtime.prestart(each.image).join()
            objects = ObjectStore(folder / "s3")
            for run in range(options.runs):
                name = f"instance-{run}"
                instance = ModelInstance(
                    runtime, objects, containers, folder / name, name=name,
                    region="us-east-1", cpus=1, environment={},
                    logs=[folder / f"{run}-{number}.log" for number in range(len(containers))],
                )  # fmt: skip
                began = time.perf_counter()
                instance.start(60)
                starts.append(time.perf_counter() - began)
                if run == 0:
                    spent = _drive(instance.sockets[0], options.seconds)
                time.sleep(_STEADY_SECONDS)
                restarts.append(_kill(instance.sockets[0]))
                instance.stop()
        finally:
            runtime.close()
    summary = {
        "requests_per_second": len(spent) / sum(spent),
        "p50_microseconds": 1e6 * statistics.median(spent),
        "p99_microseconds": 1e6 * statistics.quantiles(spent, n=100)[-1],
        "start_seconds": statistics.median(starts),
        "restart_seconds": statistics.median(restarts),
    }
    for key, value in summary.items():
        print(f"{key:<20} {value:12.3f}")
    print(json.dumps({key: round(value, 4) for key, value in summary.items()}))
    return 0


def _containers(folder: Path) -> Iterator[ModelContainer]:
    objects = ObjectStore(folder / "s3")
    objects.create_bucket("000000000000", "us-east-1", "models")
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        member = tarfile.TarInfo("code/inference.py")
        member.size = len(_HANDLER)
        tar.addfile(member, io.BytesIO(_HANDLER))
    objects.put_stream("models", "model.tar.gz", io.BytesIO(buffer.getvalue()))
    for number, image in enumerate(_IMAGES, start=1):
        yield ModelContainer(
            f"container-{number}", f"{_REGISTRY}/{image}", "s3://models/model.tar.gz",
            {"SAGEMAKER_PROGRAM": "inference.py"},
        )  # fmt: skip
    objects.close()


def _drive(path: Path, seconds: float) -> list[float]:
    """The seconds of each request, one after the other."""
    request = (_POST.format(len(_ROW)) + _ROW).encode()
    spent: list[float] = []
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
        end = time.perf_counter() + seconds
        while (began := time.perf_counter()) < end:
            client.sendall(request)
            if not client.recv(65536).endswith(_ROW.encode()):
                raise RuntimeError("the container did not give back what it got")
            spent.append(time.perf_counter() - began)
    return spent


def _kill(path: Path) -> float:
    """Kill a container's process; the seconds until another one answers."""
    before = _process(path)
    began = time.perf_counter()
    os.kill(before, signal.SIGKILL)
    while True:
        try:
            if _process(path) != before:
                return time.perf_counter() - began
        except (OSError, ValueError):
            time.sleep(0.001)


def _process(path: Path) -> int:
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(5)
        client.connect(str(path))
        client.sendall(_POST.format(0).encode())
        return int(client.recv(65536).rpartition(b"\n")[2])


if __name__ == "__main__":
    sys.exit(main())
