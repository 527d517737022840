"""The command line as a user has it, and the account as boto3 sees it."""

import contextlib
import io
import os
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any
from unittest import mock

import boto3
from botocore.config import Config

import build_pipeline

ROOT = Path(__file__).resolve().parents[2]
GROUP = "predictive-maintenance"
PIPELINE = "predictive-maintenance"
# A second of training instead of ten, and a gate that lets its result through whatever the data.
QUICK = ("--parameter", "NumRound=30", "--parameter", "MaxBin=256")
LENIENT = tuple(
    word
    for metric in ("AveragePrecision", "Recall", "Precision")
    for word in ("--parameter", f"Min{metric}=0.5")
)
# What a developer may have set must not lead the tests elsewhere.
FOREIGN = ("PIPELINE_NAME", "PIPELINE_BUCKET", "PIPELINE_ROLE_ARN", "MODEL_PACKAGE_GROUP")


@dataclass(frozen=True)
class Answer:
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def text(self) -> str:
        return self.out + self.err


@dataclass(frozen=True)
class CommandLine:
    """`python build_pipeline.py WORDS` in an environment; a change to None takes a variable out.

    With another `main` it is another program of the project.
    """

    environment: Mapping[str, str]
    session: boto3.session.Session = field(default_factory=boto3.session.Session)
    main: Callable[[Sequence[str]], int] = build_pipeline.main

    def __call__(self, *words: str, **changes: str | None) -> Answer:
        """Run it in this process, which saves a second; what it raises is told as Python would."""
        out, err = io.StringIO(), io.StringIO()
        # boto3 keeps the credentials that it found first: other ones need another session.
        same = not any(name.startswith("AWS_") for name in changes)
        with (
            mock.patch.object(boto3, "DEFAULT_SESSION", self.session if same else None),
            mock.patch.dict(os.environ, self._changed(changes), clear=True),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
        ):
            try:
                code = self.main(words)
            except SystemExit as leaving:
                code = leaving.code if isinstance(leaving.code, int) else 1
            except Exception:  # noqa: BLE001 - the tests look for the stack trace
                traceback.print_exc()
                code = 1
        return Answer(code, out.getvalue(), err.getvalue())

    def process(self, *words: str, folder: Path = ROOT, **changes: str | None) -> Answer:
        """Run it in a process of its own, from a copy of the repository if one is named."""
        done = subprocess.run(
            [sys.executable, str(folder / "build_pipeline.py"), *words],
            cwd=folder,
            env=self._changed(changes),
            capture_output=True,
            text=True,
            check=False,
        )
        return Answer(done.returncode, done.stdout, done.stderr)

    def _changed(self, changes: Mapping[str, str | None]) -> dict[str, str]:
        everything = {**self.environment, **changes}
        return {name: value for name, value in everything.items() if value is not None}


@cache
def _client(url: str, service: str) -> Any:
    make: Any = boto3.session.Session().client
    return make(
        service,
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id="localcloud",
        aws_secret_access_key="localcloud",
        config=Config(retries={"total_max_attempts": 2}),
    )


@dataclass(frozen=True)
class Account:
    """What the cloud holds, asked through plain boto3."""

    url: str

    def client(self, service: str) -> Any:
        return _client(self.url, service)

    def registry(self) -> dict[str, dict[str, Any]]:
        """Every version of the group with all that is known about it."""
        sagemaker = self.client("sagemaker")
        pages = sagemaker.get_paginator("list_model_packages").paginate(ModelPackageGroupName=GROUP)
        arns = [
            each["ModelPackageArn"] for page in pages for each in page["ModelPackageSummaryList"]
        ]
        found = {arn: sagemaker.describe_model_package(ModelPackageName=arn) for arn in arns}
        for answer in found.values():
            del answer["ResponseMetadata"]
        return found

    def executions(self) -> dict[str, str]:
        """The status of every execution by its ARN."""
        pages = (
            self.client("sagemaker")
            .get_paginator("list_pipeline_executions")
            .paginate(PipelineName=PIPELINE)
        )
        return {
            each["PipelineExecutionArn"]: each["PipelineExecutionStatus"]
            for page in pages
            for each in page["PipelineExecutionSummaries"]
        }

    def steps(self, execution_arn: str) -> dict[str, dict[str, Any]]:
        """The steps of an execution that were started, by name."""
        answer = self.client("sagemaker").list_pipeline_execution_steps(
            PipelineExecutionArn=execution_arn
        )
        return {step["StepName"]: step for step in answer["PipelineExecutionSteps"]}

    def objects(self, bucket: str) -> dict[str, str]:
        """The hash of every object by its key."""
        pages = self.client("s3").get_paginator("list_objects_v2").paginate(Bucket=bucket)
        return {each["Key"]: each["ETag"] for page in pages for each in page.get("Contents", [])}

    def read(self, uri: str) -> bytes:
        """The content of an object."""
        bucket, _, key = uri.removeprefix("s3://").partition("/")
        content: bytes = self.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
        return content

    def await_step(self, execution_arn: str, name: str, seconds: float = 60) -> None:
        """Wait until a step runs its job; AssertionError if it never does, or has ended."""
        deadline = time.monotonic() + seconds
        while "Metadata" not in (step := self.steps(execution_arn).get(name, {})):
            assert time.monotonic() < deadline, f"{name} did not start"
            time.sleep(0.05)
        assert step["StepStatus"] == "Executing"
