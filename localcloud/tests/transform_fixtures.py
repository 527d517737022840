"""Models and transform jobs, made and watched through boto3."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from botocore.exceptions import WaiterError
from definitions import ROLE
from serving_fixtures import SKLEARN, archive

BUCKET = "batch"
RESOURCES = {"InstanceType": "ml.m5.large", "InstanceCount": 1}
COUNTING = """
import os

def model_fn(model_dir):
    return None

def transform_fn(model, body, content_type, accept):
    text = body if isinstance(body, str) else body.decode()
    lines = text.split("\\n") if text else []
    lines = lines[:-1] if lines and not lines[-1] else lines
    print(f"got {len(lines)} lines, {len(text)} characters, {content_type}, {accept}", flush=True)
    return "".join(f"{len(line)}\\n" for line in lines), "text/csv"
"""
"""Answers each line with its length."""


class Batch:
    """What a test needs of one localcloud, under names of its own; `shared` is a model of many."""

    def __init__(self, sagemaker: Any, s3: Any, logs: Any, name: str) -> None:
        self.sagemaker = sagemaker
        self.s3 = s3
        self.logs = logs
        self.name = name
        self._made = 0
        self.shared = ""

    def _next(self, what: str) -> str:
        self._made += 1
        return f"{self.name}-{what}-{self._made}"[-60:].strip("-")

    def model(self, *handlers: str, image: str = SKLEARN, **environment: str) -> str:
        """A model with a container for each inference.py."""
        name = self._next("model")
        containers = []
        for number, handler in enumerate(handlers):
            key = f"{name}/{number}/model.tar.gz"
            content = archive({"code/inference.py": handler})
            self.s3.put_object(Bucket=BUCKET, Key=key, Body=content)
            given = {"SAGEMAKER_PROGRAM": "inference.py", **environment}
            containers.append(
                {"Image": image, "ModelDataUrl": f"s3://{BUCKET}/{key}", "Environment": given}
            )
        which: Any = {"Containers": containers}
        if len(containers) == 1:
            which = {"PrimaryContainer": containers[0]}
        self.sagemaker.create_model(ModelName=name, ExecutionRoleArn=ROLE, **which)
        return name

    def put(self, objects: Mapping[str, bytes | str]) -> str:
        """Objects under a prefix of their own; returns its URI."""
        prefix = self._next("in")
        for key, body in objects.items():
            self.s3.put_object(Bucket=BUCKET, Key=f"{prefix}/{key}", Body=body)
        return f"s3://{BUCKET}/{prefix}/"

    def request(
        self, model: str, uri: str, *, kind: str = "S3Prefix", **more: Any
    ) -> dict[str, Any]:
        """A CreateTransformJob request; `given` and `wanted` go into input and output."""
        name = self._next("job")
        given = {"ContentType": "text/csv", **more.pop("given", {})}
        source = {"S3DataSource": {"S3DataType": kind, "S3Uri": uri}}
        return {
            "TransformJobName": name,
            "ModelName": model,
            "TransformInput": {"DataSource": source, **given},
            "TransformOutput": {
                "S3OutputPath": f"s3://{BUCKET}/{name}/out",
                **more.pop("wanted", {}),
            },
            "TransformResources": RESOURCES | more.pop("resources", {}),
            **more,
        }

    def start(self, model: str, uri: str, **more: Any) -> str:
        """A job that was created; its name."""
        request = self.request(model, uri, **more)
        self.sagemaker.create_transform_job(**request)
        return str(request["TransformJobName"])

    def run(self, model: str, uri: str, **more: Any) -> dict[str, Any]:
        """A job's description after its end."""
        return self.finish(self.start(model, uri, **more))

    def finish(self, name: str) -> dict[str, Any]:
        """Wait with boto3's own waiter, which raises for a job that failed."""
        waiter = self.sagemaker.get_waiter("transform_job_completed_or_stopped")
        with suppress(WaiterError):
            waiter.wait(TransformJobName=name, WaiterConfig={"Delay": 0.1, "MaxAttempts": 900})
        described: dict[str, Any] = self.sagemaker.describe_transform_job(TransformJobName=name)
        assert described["TransformJobStatus"] in ("Completed", "Failed", "Stopped")
        return described

    def outputs(self, job: Mapping[str, Any]) -> dict[str, str]:
        """A job's output objects by their keys below its output path."""
        prefix = job["TransformOutput"]["S3OutputPath"].removeprefix(f"s3://{BUCKET}/") + "/"
        found = self.s3.list_objects_v2(Bucket=BUCKET, Prefix=prefix).get("Contents", [])
        return {
            each["Key"].removeprefix(prefix): self.s3.get_object(Bucket=BUCKET, Key=each["Key"])[
                "Body"
            ]
            .read()
            .decode()
            for each in found
        }

    def log(self, job: str, ending: str = "") -> list[str]:
        """The lines of a job's log streams whose names end so."""
        group = "/aws/sagemaker/TransformJobs"
        streams = self.logs.describe_log_streams(logGroupName=group, logStreamNamePrefix=f"{job}/")[
            "logStreams"
        ]
        return [
            event["message"]
            for stream in streams
            if stream["logStreamName"].endswith(ending)
            for event in self.logs.get_log_events(
                logGroupName=group, logStreamName=stream["logStreamName"], startFromHead=True
            )["events"]
        ]

    def wait_for_line(self, job: str, text: str, seconds: float = 20.0) -> None:
        """Wait until a log of a running job holds a text."""
        end = time.monotonic() + seconds
        while not any(text in line for line in self.log(job)):
            assert time.monotonic() < end, f"{text!r} was not logged"
            time.sleep(0.05)


def bodies(lines: Sequence[str]) -> list[tuple[int, int]]:
    """Lines and characters of the requests that a COUNTING container got."""
    words = [line.split() for line in lines if line.startswith("got ")]
    return [(int(each[1]), int(each[3])) for each in words]
