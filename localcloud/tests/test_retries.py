"""Retry policies, through boto3: real faults of the machine, real pauses, real later attempts."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from clients import client_of
from definitions import ROLE, definition, processing, training
from waiting import finish, wait_until

from localcloud.sagemaker.workflow.retries import LONGEST_PAUSE, Attempts, RetryPolicy
from localcloud.testing import TestCloud, localcloud

pytestmark = pytest.mark.integration
Step = dict[str, Any]
INTERNAL, FAULT = "SageMaker.JOB_INTERNAL_ERROR", "Step.SERVICE_FAULT"


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestCloud]:
    """A localcloud whose folders the tests spoil."""
    with localcloud(tmp_path_factory.mktemp("retries") / "state") as cloud:
        client_of(cloud, "s3").create_bucket(Bucket="retries")
        yield cloud


@pytest.fixture
def sagemaker(own: TestCloud) -> Any:
    return client_of(own, "sagemaker")


@pytest.fixture
def start(sagemaker: Any, request: pytest.FixtureRequest) -> Callable[..., str]:
    """Starts an execution of a pipeline of these steps, named after the test."""
    name = request.node.name.partition("[")[0].replace("_", "-")[:200] + f"-{time.time_ns()}"

    def go(*steps: Step) -> str:
        sagemaker.create_pipeline(
            PipelineName=name, PipelineDefinition=definition(*steps), RoleArn=ROLE
        )
        started = sagemaker.start_pipeline_execution(PipelineName=name)
        return str(started["PipelineExecutionArn"])

    return go


class Spoiled:
    """A state folder in which no job can have a folder, until it is mended."""

    def __init__(self, state: Path) -> None:
        self._folders = [state / "jobs" / kind for kind in ("processing-job", "training-job")]
        for folder in self._folders:
            folder.mkdir(parents=True, exist_ok=True)
            folder.rename(folder.with_suffix(".aside"))
            folder.write_text("in the way")

    def mend(self) -> None:
        for folder in self._folders:
            if folder.is_file():
                folder.unlink()
                folder.with_suffix(".aside").rename(folder)


@pytest.fixture
def spoiled(own: TestCloud) -> Iterator[Spoiled]:
    folders = Spoiled(own.address.state)
    yield folders
    folders.mend()


def policy(*kinds: str, **more: float) -> Step:
    return {"ExceptionType": list(kinds), "IntervalSeconds": 1, **more}


def only_step(sagemaker: Any, arn: str) -> Step:
    """The one step of an execution, as it stands now."""
    (step,) = sagemaker.list_pipeline_execution_steps(PipelineExecutionArn=arn)[
        "PipelineExecutionSteps"
    ]
    return dict(step)


def lasted(step: Step) -> float:
    return float((step["EndTime"] - step["StartTime"]).total_seconds())


def jobs_of(sagemaker: Any, arn: str) -> list[Step]:
    """The jobs that the attempts of an execution's steps made, oldest first."""
    known: Step = {"NameContains": f"pipelines-{arn[-12:]}", "SortOrder": "Ascending"}
    return [
        *sagemaker.list_processing_jobs(**known)["ProcessingJobSummaries"],
        *sagemaker.list_training_jobs(**known)["TrainingJobSummaries"],
    ]


NOWHERE = {
    "InputName": "in",
    "S3Input": {
        "S3Uri": "s3://nobody-has-this/data",
        "LocalPath": "/opt/ml/processing/in",
        "S3DataType": "S3Prefix",
        "S3InputMode": "File",
    },
}
STEPS: dict[str, Callable[..., Step]] = {
    "Processing": lambda **more: processing("Say", "print(1)", **more),
    "Training": lambda **more: training("Say", "print(1)", bucket="retries", **more),
}


@pytest.mark.parametrize("kind", STEPS)
def test_a_step_whose_job_met_an_internal_error_succeeds_at_a_later_attempt(
    sagemaker: Any, start: Callable[..., str], spoiled: Spoiled, kind: str
) -> None:
    """Each attempt is a new job; the step tells the attempt it is at, and the job of it."""
    arn = start(STEPS[kind](RetryPolicies=[policy(INTERNAL, BackoffRate=2.0, MaxAttempts=5)]))
    wait_until(lambda: only_step(sagemaker, arn)["AttemptCount"] == 2)
    seen = only_step(sagemaker, arn)
    assert seen["StepStatus"] == "Executing"
    assert "EndTime" not in seen
    assert "FailureReason" not in seen
    spoiled.mend()
    execution = finish(sagemaker, arn)
    step, jobs = execution["Steps"]["Say"], jobs_of(sagemaker, arn)
    assert execution["PipelineExecutionStatus"] == "Succeeded"
    assert step["StepStatus"] == "Succeeded"
    assert "FailureReason" not in step
    assert step["AttemptCount"] == len(jobs) >= 2
    statuses = [job[f"{kind}JobStatus"] for job in jobs]
    assert statuses == ["Failed"] * (len(jobs) - 1) + ["Completed"]
    assert step["Metadata"] == {f"{kind}Job": {"Arn": jobs[-1][f"{kind}JobArn"]}}
    pauses = sum(2.0**number for number in range(len(jobs) - 1))
    assert pauses <= lasted(step) < pauses + 30


def test_a_step_fails_after_its_attempts_with_the_last_jobs_reason(
    sagemaker: Any, start: Callable[..., str], spoiled: Spoiled
) -> None:
    del spoiled
    retries = policy(INTERNAL, BackoffRate=2.0, MaxAttempts=2)
    arn = start(STEPS["Processing"](RetryPolicies=[retries]))
    execution = finish(sagemaker, arn)
    step, jobs = execution["Steps"]["Say"], jobs_of(sagemaker, arn)
    assert (execution["PipelineExecutionStatus"], step["StepStatus"]) == ("Failed", "Failed")
    assert step["AttemptCount"] == len(jobs) == 3
    assert step["FailureReason"].startswith("InternalServerError: The job's folder ")
    assert jobs[-1]["ProcessingJobName"] in step["FailureReason"]
    assert "Say: InternalServerError: " in execution["FailureReason"]
    pauses = [
        (later["CreationTime"] - earlier["CreationTime"]).total_seconds()
        for earlier, later in pairwise(jobs)
    ]
    assert 1 <= pauses[0] < 2 <= pauses[1] < 30, pauses


@pytest.mark.parametrize(
    "policies",
    [
        pytest.param([], id="none"),
        pytest.param([policy("SageMaker.CAPACITY_ERROR", FAULT)], id="other errors"),
        pytest.param([policy(INTERNAL, MaxAttempts=0)], id="no attempts"),
        pytest.param([policy(INTERNAL, ExpireAfterMin=0)], id="no time"),
    ],
)
def test_an_internal_error_that_no_policy_lets_be_tried_again_fails_at_once(
    sagemaker: Any, start: Callable[..., str], spoiled: Spoiled, policies: list[Step]
) -> None:
    del spoiled
    arn = start(STEPS["Training"](**({"RetryPolicies": policies} if policies else {})))
    step = finish(sagemaker, arn)["Steps"]["Say"]
    assert (step["StepStatus"], step["AttemptCount"]) == ("Failed", 1)
    assert len(jobs_of(sagemaker, arn)) == 1


@pytest.mark.parametrize(
    "step",
    [
        pytest.param(processing("Say", "raise SystemExit('no')"), id="the script's own error"),
        pytest.param(processing("Say", "print(1)", inputs=[NOWHERE]), id="an error of the request"),
    ],
)
def test_an_error_that_another_attempt_would_meet_again_is_not_retried(
    sagemaker: Any, start: Callable[..., str], step: Step
) -> None:
    every = policy(INTERNAL, FAULT, "Step.THROTTLING", "SageMaker.RESOURCE_LIMIT", MaxAttempts=5)
    arn = start(step | {"RetryPolicies": [every]})
    failed = finish(sagemaker, arn)["Steps"]["Say"]
    assert (failed["StepStatus"], failed["AttemptCount"]) == ("Failed", 1)


def test_a_policy_with_a_time_is_not_bound_by_a_number_of_attempts(
    sagemaker: Any, start: Callable[..., str], spoiled: Spoiled
) -> None:
    retries = policy(INTERNAL, ExpireAfterMin=5) | {"IntervalSeconds": 0}
    arn = start(STEPS["Processing"](RetryPolicies=[retries]))
    wait_until(lambda: only_step(sagemaker, arn)["AttemptCount"] >= 8)  # without it at most 6
    spoiled.mend()
    assert finish(sagemaker, arn)["PipelineExecutionStatus"] == "Succeeded"


@pytest.mark.slow
def test_a_policy_with_a_time_ends_when_it_is_over(
    sagemaker: Any, start: Callable[..., str], spoiled: Spoiled
) -> None:
    """Attempts after 0, 31 and 62 seconds; then the minute is over."""
    del spoiled
    retries = policy(INTERNAL, ExpireAfterMin=1, BackoffRate=1.0) | {"IntervalSeconds": 31}
    arn = start(STEPS["Processing"](RetryPolicies=[retries]))
    step = finish(sagemaker, arn, seconds=150)["Steps"]["Say"]
    assert (step["StepStatus"], step["AttemptCount"]) == ("Failed", 3)
    assert 62 <= lasted(step) < 90


def test_a_pause_that_no_number_can_hold_is_a_very_long_one(
    sagemaker: Any, start: Callable[..., str], spoiled: Spoiled
) -> None:
    """Its step can be stopped like any other."""
    assert spoiled
    rule = policy(INTERNAL, BackoffRate=1e200, MaxAttempts=20)
    arn = start(processing("Say", "print(1)", RetryPolicies=[rule]))
    wait_until(lambda: len(jobs_of(sagemaker, arn)) == 2)
    time.sleep(0.5)
    assert only_step(sagemaker, arn)["StepStatus"] == "Executing"
    sagemaker.stop_pipeline_execution(PipelineExecutionArn=arn)
    assert finish(sagemaker, arn)["PipelineExecutionStatus"] == "Stopped"
    assert only_step(sagemaker, arn)["StepStatus"] == "Stopped"


def test_pauses_grow_to_the_longest_that_there_is_and_no_further() -> None:
    attempts = Attempts((RetryPolicy((FAULT,), rate=1e200),), lambda: 0.0)
    pauses = [attempts.pause(FAULT) for _ in range(4)]
    assert pauses == [1, LONGEST_PAUSE, LONGEST_PAUSE, LONGEST_PAUSE]


def test_a_stop_ends_a_long_pause_at_once(
    sagemaker: Any, start: Callable[..., str], spoiled: Spoiled
) -> None:
    del spoiled
    retries = policy(INTERNAL, MaxAttempts=5) | {"IntervalSeconds": 3600}
    arn = start(STEPS["Processing"](RetryPolicies=[retries]))
    wait_until(lambda: "Failed" in [job["ProcessingJobStatus"] for job in jobs_of(sagemaker, arn)])
    sagemaker.stop_pipeline_execution(PipelineExecutionArn=arn)
    execution = finish(sagemaker, arn, seconds=20)
    step = execution["Steps"]["Say"]
    assert (execution["PipelineExecutionStatus"], step["StepStatus"]) == ("Stopped", "Stopped")
    assert step["AttemptCount"] == 1


@pytest.mark.skipif(sys.platform != "linux", reason="only there a server starts the jobs")
@pytest.mark.parametrize("kind", ["Processing", "Training"])
def test_a_step_is_tried_again_when_the_server_of_its_image_died(
    sagemaker: Any, start: Callable[..., str], tmp_path: Path, kind: str
) -> None:
    """The first attempt kills the process that has started it."""
    script = (  # AWS takes 256 characters, and the folder's name is long
        f"import os\np = {str(tmp_path / 'x')!r}\nif not os.path.exists(p):\n"
        " open(p, 'w')\n os.kill(os.getppid(), 9)\n while 1: pass"
    )
    more = {"bucket": "retries"} if kind == "Training" else {}
    make = {"Processing": processing, "Training": training}[kind]
    arn = start(make("Say", script, RetryPolicies=[policy(INTERNAL, MaxAttempts=1)], **more))
    step = finish(sagemaker, arn)["Steps"]["Say"]
    assert (step["StepStatus"], step["AttemptCount"]) == ("Succeeded", 2)
    name = jobs_of(sagemaker, arn)[0][f"{kind}JobName"]
    describe = getattr(sagemaker, f"describe_{kind.lower()}_job")
    died = describe(**{f"{kind}JobName": name})["FailureReason"]
    assert died == ("InternalServerError: the process that had started the job's container died")


def test_a_fault_of_the_service_is_retried_by_itself_and_by_a_policy_as_it_says(
    own: TestCloud, sagemaker: Any, start: Callable[..., str], tmp_path: Path
) -> None:
    """The file behind an object is gone when two steps read it, and back a little later."""
    go = str(tmp_path / "go")
    write = "open('/opt/ml/processing/out/m.json', 'w').write('{\"auc\": 0.75}')"
    first = processing(
        "First",
        write,
        outputs={"out": "s3://retries/fault"},
        PropertyFiles=[{"PropertyFileName": "m", "OutputName": "out", "FilePath": "m.json"}],
    )
    wait = f"import os, time\nwhile not os.path.exists({go!r}): time.sleep(0.05)"
    reads = {"Std:JsonGet": {"PropertyFile": {"Get": "Steps.First.PropertyFiles.m"}, "Path": "auc"}}
    automatic, never = (
        processing(name, "import sys; assert sys.argv[1] == '0.75'", DependsOn=["Wait"],
                   words=[{"Std:Join": {"On": "", "Values": [reads]}}], **more)
        for name, more in (
            ("Automatic", {}),
            ("Never", {"RetryPolicies": [policy(FAULT, MaxAttempts=0)]}),
        )
    )  # fmt: skip
    arn = start(first, processing("Wait", wait, DependsOn=["First"]), automatic, never)

    def steps() -> dict[str, Step]:
        listed = sagemaker.list_pipeline_execution_steps(PipelineExecutionArn=arn)
        return {step["StepName"]: step for step in listed["PipelineExecutionSteps"]}

    wait_until(lambda: "Wait" in steps())
    (blob,) = [
        path
        for path in (own.address.state / "s3" / "objects").rglob("*")
        if path.is_file() and path.read_bytes() == b'{"auc": 0.75}'
    ]
    blob.rename(tmp_path / "aside")
    Path(go).touch()
    wait_until(lambda: steps().get("Automatic", {}).get("AttemptCount") == 2)
    wait_until(lambda: steps().get("Never", {}).get("StepStatus") == "Failed")
    (tmp_path / "aside").rename(blob)
    execution = finish(sagemaker, arn)
    assert execution["Steps"]["Automatic"]["StepStatus"] == "Succeeded"
    assert execution["Steps"]["Automatic"]["AttemptCount"] >= 2
    assert execution["Steps"]["Never"]["AttemptCount"] == 1
    assert "FileNotFoundError" in execution["Steps"]["Never"]["FailureReason"]
