"""Killed at any moment: nothing that was confirmed is lost, nothing that ran goes on running."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from clients import client_of

from localcloud.addresses import SERVER_FILE
from localcloud.testing import TestCloud, localcloud

pytestmark = [
    pytest.mark.alone,
    pytest.mark.integration,
    pytest.mark.skipif(sys.platform != "linux", reason="processes are looked up in /proc"),
]
ROOT = Path(__file__).resolve().parents[2]
PIPELINE = GROUP = "predictive-maintenance"
KILLS = 20
SEED = 20260101
QUICK = {
    "NumRound": "5",
    "MaxBin": "64",
    **{f"Min{metric}": "0.1" for metric in ("AveragePrecision", "Recall", "Precision")},
}


@dataclass(frozen=True)
class Kept:
    """What a localcloud has confirmed: it must be there for ever."""

    packages: Mapping[str, str]
    objects: Mapping[str, str]
    succeeded: frozenset[tuple[str, str]]
    completed: frozenset[str]

    def __le__(self, later: Kept) -> bool:
        return (
            self.packages.items() <= later.packages.items()
            and self.objects.items() <= later.objects.items()
            and self.succeeded <= later.succeeded
            and self.completed <= later.completed
        )


@dataclass
class Victim:
    """A localcloud with the template's pipeline; `arns` are the executions that were begun."""

    cloud: TestCloud
    arns: list[str] = field(default_factory=list)
    parameters: dict[str, str] = field(default_factory=dict)

    @property
    def sagemaker(self) -> Any:
        return client_of(self.cloud, "sagemaker")

    def build(self, data: Path, *words: str) -> None:
        """Run the template's command line, which must succeed."""
        kept = {
            name: text
            for name, text in self.cloud.environment.items()
            if not name.startswith(("PIPELINE_", "MODEL_PACKAGE_"))
        }
        done = subprocess.run(
            [sys.executable, str(ROOT / "build_pipeline.py"), *words],
            env=kept | {"AI4I_DATA": str(data), "NO_COLOR": "1"},
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert done.returncode == 0, done.stdout + done.stderr

    def learn(self) -> None:
        """Take over the parameters that the command line gave to its execution."""
        listed = self.sagemaker.list_pipeline_executions(PipelineName=PIPELINE)
        (first,) = listed["PipelineExecutionSummaries"]
        pages = self.sagemaker.get_paginator("list_pipeline_parameters_for_execution").paginate(
            PipelineExecutionArn=first["PipelineExecutionArn"]
        )
        self.parameters = {
            each["Name"]: each["Value"] for page in pages for each in page["PipelineParameters"]
        }

    def start(self, seed: int) -> str:
        """Begin an execution that finds nothing in the cache, unless this seed was used before."""
        parameters = self.parameters | {"Seed": str(seed)}
        answer = self.sagemaker.start_pipeline_execution(
            PipelineName=PIPELINE,
            PipelineParameters=[{"Name": k, "Value": v} for k, v in parameters.items()],
        )
        self.arns.append(answer["PipelineExecutionArn"])
        return self.arns[-1]

    def kept(self) -> Kept:
        sagemaker, s3 = self.sagemaker, client_of(self.cloud, "s3")
        packages = sagemaker.get_paginator("list_model_packages").paginate(
            ModelPackageGroupName=GROUP
        )
        objects = [
            (bucket["Name"], each)
            for bucket in s3.list_buckets()["Buckets"]
            for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket["Name"])
            for each in page.get("Contents", [])
        ]
        jobs = [
            (job["ProcessingJobArn"], job["ProcessingJobStatus"])
            for job in sagemaker.list_processing_jobs()["ProcessingJobSummaries"]
        ] + [
            (job["TrainingJobArn"], job["TrainingJobStatus"])
            for job in sagemaker.list_training_jobs()["TrainingJobSummaries"]
        ]
        return Kept(
            {
                each["ModelPackageArn"]: each["ModelApprovalStatus"]
                for page in packages
                for each in page["ModelPackageSummaryList"]
            },
            {f"{bucket}/{each['Key']}": each["ETag"] for bucket, each in objects},
            frozenset((arn, name) for arn in self.arns[-2:] for name in self.succeeded(arn)),
            frozenset(arn for arn, status in jobs if status == "Completed"),
        )

    def steps(self, arn: str) -> list[dict[str, Any]]:
        answer = self.sagemaker.list_pipeline_execution_steps(PipelineExecutionArn=arn)
        steps: list[dict[str, Any]] = answer["PipelineExecutionSteps"]
        return steps

    def succeeded(self, arn: str) -> set[str]:
        return {s["StepName"] for s in self.steps(arn) if s["StepStatus"] == "Succeeded"}

    def status(self, arn: str) -> dict[str, Any]:
        answer: dict[str, Any] = self.sagemaker.describe_pipeline_execution(
            PipelineExecutionArn=arn
        )
        return answer

    def wait(self, arn: str) -> dict[str, Any]:
        deadline = time.monotonic() + 90
        while (execution := self.status(arn))["PipelineExecutionStatus"] == "Executing":
            assert time.monotonic() < deadline, "the execution does not end"
            time.sleep(0.1)
        return execution

    def kill(self) -> dict[int, str]:
        """`kill -9` the gateway and all below it at once; returns who they were."""
        pid = int(json.loads((self.cloud.address.state / SERVER_FILE).read_text())["pid"])
        processes = family(pid)
        for each in processes:
            with contextlib.suppress(ProcessLookupError):
                os.kill(each, signal.SIGKILL)
        return processes


def family(pid: int) -> dict[int, str]:
    """A process and all below it: number and start time, which tells it from a later one."""
    parents = {
        int(folder.name): parent
        for folder in Path("/proc").iterdir()
        if folder.name.isdigit() and (parent := stat(int(folder.name), 4))
    }
    found = {pid}
    while more := {child for child, parent in parents.items() if int(parent) in found} - found:
        found |= more
    return {each: start for each in found if (start := start_time(each))}


def start_time(pid: int) -> str:
    """Clock ticks since the boot; empty for no process, or a dead one that waits for its parent."""
    return "" if stat(pid, 3) in {"", "Z", "X"} else stat(pid, 22)


def stat(pid: int, number: int) -> str:
    """A field of /proc/PID/stat as proc(5) counts them; empty for no process."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return ""
    return text.rpartition(")")[2].split()[number - 3]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if "AI4I_DATA" in os.environ:
        return Path(os.environ["AI4I_DATA"])
    generator = pytest.importorskip("pipelines.predictive_maintenance.generator")
    folder = tmp_path_factory.mktemp("data")
    generator.write_csv(folder / "ai4i2020.csv", rows=3000, seed=2020)
    return folder


def test_twenty_kills_lose_nothing_and_leave_nothing(tmp_path: Path, data: Path) -> None:
    """Whatever was confirmed before a kill is there after it, and what ran is Failed, with why."""
    quick = [word for k, v in QUICK.items() for word in ("--parameter", f"{k}={v}")]
    draw = random.Random(SEED)
    with localcloud(tmp_path / "state") as cloud:
        victim = Victim(cloud)
        victim.build(data, "bootstrap")
        victim.build(data, "run", "--wait", *quick)  # the images are built, a package is there
        victim.learn()
        began = time.monotonic()
        victim.wait(victim.start(seed=1))
        length = time.monotonic() - began
        moments = [length * (number + draw.random()) / KILLS for number in range(KILLS)]
        draw.shuffle(moments)
        for number, moment in enumerate(moments):
            arn = victim.start(seed=100 + number)
            time.sleep(moment)
            before = victim.kept()
            processes = victim.kill()
            up = cloud.command("up")
            assert up.returncode == 0, up.stderr
            assert [pid for pid, start in processes.items() if start_time(pid) == start] == []
            assert before <= victim.kept(), f"kill {number} at {moment:.2f} s lost something"
            after_kill(victim, arn)
        interrupted = [
            arn for arn in victim.arns if victim.status(arn)["PipelineExecutionStatus"] == "Failed"
        ]
        # The one that had come furthest has most to lose.
        goes_on(victim, max(interrupted, key=lambda arn: len(victim.succeeded(arn))))


def after_kill(victim: Victim, arn: str) -> None:
    execution = victim.status(arn)
    if execution["PipelineExecutionStatus"] != "Succeeded":
        assert execution["PipelineExecutionStatus"] == "Failed"
        assert "localcloud ended while this ran" in execution["FailureReason"]
    for step in victim.steps(arn):
        assert step["StepStatus"] in ("Succeeded", "Failed")
        if step["StepStatus"] == "Failed":
            assert "localcloud ended" in step["FailureReason"]
    for kind in ("Processing", "Training"):
        listed = getattr(victim.sagemaker, f"list_{kind.lower()}_jobs")(StatusEquals="InProgress")
        assert listed[f"{kind}JobSummaries"] == []


def goes_on(victim: Victim, arn: str) -> None:
    """An execution that was interrupted goes on, and runs no finished step again."""
    finished = {
        step["StepName"]: step["EndTime"]
        for step in victim.steps(arn)
        if step["StepStatus"] == "Succeeded"
    }
    victim.sagemaker.retry_pipeline_execution(PipelineExecutionArn=arn, ClientRequestToken="x" * 32)
    assert victim.wait(arn)["PipelineExecutionStatus"] == "Succeeded"
    ended = {step["StepName"]: step["EndTime"] for step in victim.steps(arn)}
    assert finished.items() <= ended.items()
