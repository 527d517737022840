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
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import pytest
from clients import client_of
from definitions import IMAGE, RESOURCES, ROLE
from waiting import wait_until

from localcloud.addresses import SERVER_FILE
from localcloud.testing import TestCloud, localcloud

pytestmark = [
    pytest.mark.alone,
    pytest.mark.integration,
    pytest.mark.skipif(sys.platform != "linux", reason="processes are looked up in /proc"),
]
ROOT = Path(__file__).resolve().parents[2]
PIPELINE = GROUP = "predictive-maintenance"
IMAGES = (IMAGE, "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-xgboost:3.2-0")
KILLS = 20
MET = 10
"""So many kills, at least, must come while the execution runs."""
SEED = 20260101
QUICK = {
    "NumRound": "100",
    "MaxBin": "64",
    **{f"Min{metric}": "0.1" for metric in ("AveragePrecision", "Recall", "Precision")},
}


@dataclass(frozen=True)
class Kept:
    """What a localcloud has confirmed: it must be there for ever."""

    packages: Mapping[str, str]
    objects: Mapping[str, str]
    steps: frozenset[tuple[str, str, str]]
    """Execution, name and end of each step that succeeded: another end is another run."""
    completed: frozenset[str]
    """Jobs and executions."""

    def __le__(self, later: Kept) -> bool:
        return (
            self.packages.items() <= later.packages.items()
            and self.objects.items() <= later.objects.items()
            and self.steps <= later.steps
            and self.completed <= later.completed
        )


@dataclass
class Victim:
    """A localcloud with the template's pipeline; `arns` are the executions that were begun."""

    cloud: TestCloud
    arns: list[str] = field(default_factory=list)
    parameters: dict[str, str] = field(default_factory=dict)

    @cached_property
    def sagemaker(self) -> Any:
        return client_of(self.cloud, "sagemaker")

    @cached_property
    def s3(self) -> Any:
        return client_of(self.cloud, "s3")

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

    def length(self, seed: int) -> float:
        """How many seconds an execution takes."""
        began = time.monotonic()
        assert self.wait(self.start(seed))["PipelineExecutionStatus"] == "Succeeded"
        return time.monotonic() - began

    def warm(self) -> None:
        """Run a job of each image, so that the servers of both are there."""
        for number, image in enumerate(IMAGES):
            name = f"warm-{number}-{time.monotonic_ns()}"
            self.sagemaker.create_processing_job(
                ProcessingJobName=name,
                RoleArn=ROLE,
                AppSpecification={"ImageUri": image, "ContainerEntrypoint": ["true"]},
                ProcessingResources=RESOURCES,
            )
            wait_until(partial(self.is_completed, name), seconds=60)

    def is_completed(self, name: str) -> bool:
        job = self.sagemaker.describe_processing_job(ProcessingJobName=name)
        return bool(job["ProcessingJobStatus"] == "Completed")

    def kept(self) -> Kept:
        objects = [
            (bucket["Name"], each)
            for bucket in self.s3.list_buckets()["Buckets"]
            for page in self.s3.get_paginator("list_objects_v2").paginate(Bucket=bucket["Name"])
            for each in page.get("Contents", [])
        ]
        jobs = [
            job[f"{kind}JobArn"]
            for kind in ("Processing", "Training")
            for job in self.all(f"list_{kind.lower()}_jobs", StatusEquals="Completed")
        ]
        executions = self.all("list_pipeline_executions", PipelineName=PIPELINE)
        arns = {
            each["PipelineExecutionArn"]: each["PipelineExecutionStatus"] for each in executions
        }
        assert arns.keys() >= set(self.arns)
        return Kept(
            {
                each["ModelPackageArn"]: each["ModelApprovalStatus"]
                for each in self.all("list_model_packages", ModelPackageGroupName=GROUP)
            },
            {f"{bucket}/{each['Key']}": each["ETag"] for bucket, each in objects},
            frozenset(
                (arn, name, end) for arn in arns for name, end in self.succeeded(arn).items()
            ),
            frozenset([*jobs, *(arn for arn, status in arns.items() if status == "Succeeded")]),
        )

    def all(self, operation: str, **request: Any) -> list[dict[str, Any]]:
        """What a call lists, of all its pages."""
        pages = self.sagemaker.get_paginator(operation).paginate(**request)
        return [item for page in pages for item in pages.result_keys[0].search(page)]

    def steps(self, arn: str) -> list[dict[str, Any]]:
        return self.all("list_pipeline_execution_steps", PipelineExecutionArn=arn)

    def succeeded(self, arn: str) -> dict[str, str]:
        """The steps that succeeded, and when they ended."""
        return {
            step["StepName"]: str(step["EndTime"])
            for step in self.steps(arn)
            if step["StepStatus"] == "Succeeded"
        }

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
    """Whatever was confirmed before a kill is there after it; what ran is Failed, and goes on."""
    quick = [word for k, v in QUICK.items() for word in ("--parameter", f"{k}={v}")]
    draw = random.Random(SEED)
    with localcloud(tmp_path / "state") as cloud:
        victim = Victim(cloud)
        victim.build(data, "bootstrap")
        victim.build(data, "run", "--wait", *quick)  # the images are built, a package is there
        victim.learn()
        length = min(victim.length(seed) for seed in (1, 2))
        # Not up to the very end: a kill should meet something.
        moments = [0.9 * length * (number + draw.random()) / KILLS for number in range(KILLS)]
        draw.shuffle(moments)
        print(f"\nan execution takes {length:.2f} s")
        met = [kill_at(victim, number, moment) for number, moment in enumerate(moments)]
    running = [steps for steps in met if steps is not None]
    assert len(running) >= MET, f"{len(running)} of {KILLS} kills met a running execution"


def kill_at(victim: Victim, number: int, moment: float) -> str | None:
    """Kill a new execution; the steps that ran then, None if it had ended. If not, it goes on."""
    if number % 4:
        victim.warm()  # each fourth one meets image servers that are about to start
    began = time.monotonic()
    victim.kept()
    looking, began = time.monotonic() - began, time.monotonic()
    arn = victim.start(seed=100 + number)
    time.sleep(max(0.0, moment - looking))
    before = victim.kept()
    processes, moment = victim.kill(), time.monotonic() - began
    up = victim.cloud.command("up")
    assert up.returncode == 0, up.stderr
    assert [pid for pid, start in processes.items() if start_time(pid) == start] == []
    assert before <= victim.kept(), f"kill {number} at {moment:.2f} s lost something"
    running, said = after_kill(victim, arn)
    line = f"kill {number + 1:2} at {moment:5.2f} s  {running:14} {said}"
    ran = not said.startswith("Succeeded")
    print(f"{line}; {goes_on(victim, arn, number)}" if ran else line, flush=True)
    return running if ran else None


def after_kill(victim: Victim, arn: str) -> tuple[str, str]:
    """The steps that ran when the execution was killed, and what is reported of it."""
    execution = victim.status(arn)
    said: str = execution["PipelineExecutionStatus"]
    if said != "Succeeded":
        assert said == "Failed"
        assert "localcloud ended while this ran" in execution["FailureReason"]
        said = f"{said}: {execution['FailureReason']}"
    steps = {step["StepName"]: step for step in victim.steps(arn)}
    for step in steps.values():
        assert step["StepStatus"] in ("Succeeded", "Failed")
        if step["StepStatus"] == "Failed":
            assert "localcloud ended" in step["FailureReason"]
    for kind in ("Processing", "Training"):
        assert victim.all(f"list_{kind.lower()}_jobs", StatusEquals="InProgress") == []
    running = [name for name, step in steps.items() if step["StepStatus"] == "Failed"]
    return ", ".join(running) or "between steps", said


def goes_on(victim: Victim, arn: str, number: int) -> str:
    """An execution that was interrupted goes on, and runs no finished step again."""
    began, finished = time.monotonic(), victim.succeeded(arn)
    victim.sagemaker.retry_pipeline_execution(
        PipelineExecutionArn=arn, ClientRequestToken=f"{number:032}"
    )
    retried = victim.wait(arn)
    assert retried["PipelineExecutionStatus"] == "Succeeded", retried
    assert "FailureReason" not in retried
    ended = victim.succeeded(arn)
    assert finished.items() <= ended.items()
    assert {"Preprocess", "Train", "Evaluate", "CheckQuality", "Register"} == ended.keys()
    return (
        f"retried: {len(finished)} of {len(ended)} steps kept, "
        f"Succeeded in {time.monotonic() - began:.2f} s"
    )
