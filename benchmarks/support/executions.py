"""Executions on a localcloud of the benchmark's own, timed to their end."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import boto3
from botocore.config import Config

from localcloud.testing import TestCloud

# Often enough for a person; the end is taken from the cloud's own clock, which is this machine's.
_POLL_SECONDS: Final = 0.05
_LIMIT_SECONDS: Final = 1800.0


class BenchmarkError(RuntimeError):
    """What was to be measured did not happen."""


@dataclass(frozen=True, slots=True)
class Job:
    """One step's job: when its container started and when it ended, seconds since 1970."""

    step: str
    started: float
    ended: float

    @property
    def seconds(self) -> float:
        """How long the container ran."""
        return self.ended - self.started


@dataclass(frozen=True, slots=True)
class Execution:
    """A finished execution: from the call that started it to the end that the service recorded."""

    status: str
    seconds: float
    jobs: tuple[Job, ...]


class Clients:
    """The services of one localcloud."""

    def __init__(self, cloud: TestCloud) -> None:
        self._cloud = cloud
        self.s3 = self.client("s3")
        self.sagemaker = self.client("sagemaker")

    def client(self, service: str) -> Any:
        """Make a client of a service, which asks once."""
        return boto3.client(
            service,
            endpoint_url=self._cloud.address.url,
            region_name=self._cloud.environment["AWS_REGION"],
            aws_access_key_id=self._cloud.environment["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=self._cloud.environment["AWS_SECRET_ACCESS_KEY"],
            config=Config(retries={"max_attempts": 1, "mode": "standard"}),
        )

    def execute(self, pipeline: str, parameters: Mapping[str, str] | None = None) -> Execution:
        """Run a pipeline to its end. Raises BenchmarkError when it is stopped or uses a cache."""
        given = [{"Name": name, "Value": value} for name, value in (parameters or {}).items()]
        started = time.time()
        arn = self.sagemaker.start_pipeline_execution(
            PipelineName=pipeline, PipelineParameters=given
        )["PipelineExecutionArn"]
        while True:
            found = self.sagemaker.describe_pipeline_execution(PipelineExecutionArn=arn)
            status: str = found["PipelineExecutionStatus"]
            if status not in {"Executing", "Stopping"}:
                break
            if time.time() - started > _LIMIT_SECONDS:
                raise BenchmarkError(f"{pipeline} must end within {_LIMIT_SECONDS:g} s")
            time.sleep(_POLL_SECONDS)
        ended: datetime = found["LastModifiedTime"]
        jobs = tuple(self._jobs(arn))
        if status != "Succeeded":
            raise BenchmarkError(f"{pipeline} must succeed, not {status}: {found['FailureReason']}")
        return Execution(status, ended.timestamp() - started, jobs)

    def _jobs(self, arn: str) -> list[Job]:
        steps = self.sagemaker.get_paginator("list_pipeline_execution_steps")
        jobs = []
        for page in steps.paginate(PipelineExecutionArn=arn):
            for step in page["PipelineExecutionSteps"]:
                if "CacheHitResult" in step:
                    raise BenchmarkError(f"step {step['StepName']} must run; it came from a cache")
                for kind in ("Processing", "Training"):
                    if f"{kind}Job" in step["Metadata"]:
                        name = step["Metadata"][f"{kind}Job"]["Arn"].rpartition("/")[2]
                        jobs.append(self._job(kind, step["StepName"], name))
        return jobs

    def _job(self, kind: str, step: str, name: str) -> Job:
        describe = getattr(self.sagemaker, f"describe_{kind.lower()}_job")
        found: dict[str, Any] = describe(**{f"{kind}JobName": name})
        started, ended = found[f"{kind}StartTime"], found[f"{kind}EndTime"]
        return Job(step, started.timestamp(), ended.timestamp())
