"""The machine's clock is set back or forward: times keep their order, and nobody waits for it.

localcloud runs here with a clock of its own, which a test sets while executions run.
"""

from __future__ import annotations

import json
import os
import re
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from clients import client_of
from definitions import ROLE, definition, processing, training
from jobs_of_others import Jobs
from test_tuning import ONE, config, end, start, trials
from waiting import finish, wait_until

from localcloud.clock import VARIABLE
from localcloud.testing import TestCloud, localcloud

pytestmark = [pytest.mark.slow, pytest.mark.integration]
HOUR, DAY = 3600.0, 86_400.0
LONGEST = 60.0


@dataclass
class Machine:
    """A localcloud whose clock can be set, and a folder that its jobs look into."""

    cloud: TestCloud
    clock: Path
    folder: Path

    def set(self, seconds: float) -> None:
        """Put the clock so many seconds before, or behind, the real one."""
        new = self.clock.with_suffix(".new")
        new.write_text(str(seconds))
        new.replace(self.clock)

    @property
    def sagemaker(self) -> Any:
        return client_of(self.cloud, "sagemaker")

    def waiting(self, name: str, **more: Any) -> dict[str, Any]:
        """A step that lasts until `let` is called with its name."""
        go = str(self.folder / name)
        script = f"import os, time\nwhile not os.path.exists({go!r}): time.sleep(0.02)\nprint(1)"
        return processing(name, script, **more)

    def let(self, name: str) -> None:
        (self.folder / name).touch()

    def start(self, name: str, *steps: dict[str, Any]) -> str:
        self.sagemaker.create_pipeline(
            PipelineName=name, PipelineDefinition=definition(*steps), RoleArn=ROLE
        )
        return self.again(name)

    def again(self, name: str) -> str:
        started = self.sagemaker.start_pipeline_execution(PipelineName=name)
        return str(started["PipelineExecutionArn"])

    def until_job(self, step: str) -> None:
        """Wait until the job of a step runs."""

        def runs() -> bool:
            (job,) = self.sagemaker.list_processing_jobs(
                NameContains=f"-{step}-", StatusEquals="InProgress"
            )["ProcessingJobSummaries"]
            return "ProcessingStartTime" in self.sagemaker.describe_processing_job(
                ProcessingJobName=job["ProcessingJobName"]
            )

        wait_until(runs, 30)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestCloud]:
    folder = tmp_path_factory.mktemp("clock")
    (folder / "clock").write_text("0")
    with localcloud(folder / "state", {VARIABLE: str(folder / "clock")}) as cloud:
        yield cloud


@pytest.fixture
def machine(running: TestCloud, tmp_path: Path) -> Machine:
    machine = Machine(running, Path(running.environment[VARIABLE]), tmp_path)
    machine.set(0)
    return machine


def seconds(ended: Any, started: Any) -> float:
    return float((ended - started).total_seconds())


def check_steps(execution: dict[str, Any], *names: str) -> None:
    """Every time of an execution and its steps is in its place, and nothing took hours."""
    assert list(execution["Steps"]) == list(reversed(names))  # newest first
    latest = execution["CreationTime"]
    for name in names:
        step = execution["Steps"][name]
        assert latest <= step["StartTime"] <= step["EndTime"], name
        assert seconds(step["EndTime"], step["StartTime"]) < LONGEST, name
        latest = step["EndTime"]
    assert latest <= execution["LastModifiedTime"]


def check_jobs(sagemaker: Any, execution: dict[str, Any]) -> None:
    """The times of the steps' jobs lie within those of the steps."""
    for step in execution["Steps"].values():
        job = sagemaker.describe_processing_job(
            ProcessingJobName=step["Metadata"]["ProcessingJob"]["Arn"].rpartition("/")[2]
        )
        own = [job[f"{what}Time"] for what in ("Creation", "ProcessingStart", "ProcessingEnd")]
        times = [step["StartTime"], *own, step["EndTime"]]
        assert times == sorted(times), step["StepName"]
        assert job["CreationTime"] <= job["LastModifiedTime"]


JUMPS = pytest.mark.parametrize("jump", [-DAY, -5.0, 2 * HOUR], ids=["back", "a bit", "forward"])


@JUMPS
def test_times_keep_their_order_when_the_clock_jumps_while_an_execution_runs(
    machine: Machine, jump: float
) -> None:
    name = f"jump-{int(abs(jump))}"
    arn = machine.start(
        name,
        machine.waiting("First"),
        machine.waiting("Second", DependsOn=["First"]),
        processing("Third", "print(3)", DependsOn=["Second"]),
    )
    for step, moment in (("First", jump), ("Second", 0.0)):
        machine.until_job(step)
        machine.set(moment)
        machine.let(step)
    execution = finish(machine.sagemaker, arn)
    assert execution["PipelineExecutionStatus"] == "Succeeded"
    check_steps(execution, "First", "Second", "Third")
    check_jobs(machine.sagemaker, execution)
    # What begins after the jump goes by the clock as it is then.
    assert abs(seconds(execution["CreationTime"], execution["LastModifiedTime"])) < LONGEST


@JUMPS
def test_an_execution_begins_at_the_time_that_the_clock_has_then(
    machine: Machine, jump: float
) -> None:
    machine.set(jump)
    arn = machine.start(f"begins-{int(abs(jump))}", processing("Say", "print(1)"))
    created = finish(machine.sagemaker, arn)["CreationTime"].timestamp()
    assert abs(created - time.time() - jump) < LONGEST


def test_a_tuning_job_and_its_training_jobs_keep_their_order(machine: Machine) -> None:
    client_of(machine.cloud, "s3").create_bucket(Bucket="tuned")
    jobs = Jobs(lambda service: client_of(machine.cloud, service), "tuned", "jump")
    limits = {"MaxNumberOfTrainingJobs": 3, "MaxParallelTrainingJobs": 1}
    name = start(jobs, config("Random", ONE, ResourceLimits=limits), "import time; time.sleep(0.5)")
    for moment in (-DAY, HOUR, -HOUR):
        wait_until(lambda: trials(jobs, name, StatusEquals="InProgress"))
        machine.set(moment)
        time.sleep(0.6)
    tuning = end(jobs, name)
    assert tuning["HyperParameterTuningJobStatus"] == "Completed"
    times = [tuning["CreationTime"]]
    for job in trials(jobs, name, SortBy="CreationTime", SortOrder="Ascending"):
        times += [job["CreationTime"], job["TrainingStartTime"], job["TrainingEndTime"]]
        described = jobs.describe(job["TrainingJobName"])
        assert 1 <= described["TrainingTimeInSeconds"] < LONGEST
        for entry in described["SecondaryStatusTransitions"][:-1]:
            assert 0 <= seconds(entry["EndTime"], entry["StartTime"]) < LONGEST
    times.append(tuning["HyperParameterTuningEndTime"])
    assert len(times) == 11
    assert times == sorted(times)
    assert seconds(times[-1], times[0]) < LONGEST


def test_a_pause_between_attempts_is_as_long_as_the_policy_says(machine: Machine) -> None:
    """The clock is set back by a day in the middle of it."""
    folder = machine.cloud.address.state / "jobs" / "training-job"
    folder.mkdir(parents=True, exist_ok=True)
    folder.rename(folder.with_name("aside"))
    folder.write_text("in the way")
    policy = {
        "ExceptionType": ["SageMaker.JOB_INTERNAL_ERROR"], "IntervalSeconds": 2, "MaxAttempts": 2
    }  # fmt: skip
    client_of(machine.cloud, "s3").create_bucket(Bucket="paused")
    fit = training("Fit", "print(1)", bucket="paused", RetryPolicies=[policy])
    began = time.monotonic()
    arn = machine.start("paused", fit)
    wait_until(lambda: machine.sagemaker.list_training_jobs(StatusEquals="Failed")[
        "TrainingJobSummaries"
    ])  # fmt: skip
    machine.set(-DAY)
    folder.unlink()
    execution = finish(machine.sagemaker, arn, seconds=30)
    assert 2 <= time.monotonic() - began < 20
    step = execution["Steps"]["Fit"]
    assert (step["StepStatus"], step["AttemptCount"]) == ("Succeeded", 2)
    assert 2 <= seconds(step["EndTime"], step["StartTime"]) < 20


@pytest.mark.parametrize(
    ("between", "expiry", "hit"),
    [
        (0.0, "PT1H", True),
        (2 * HOUR, "PT1H", False),
        (2 * HOUR, None, True),
        (-HOUR, "PT2H", False),
        (-HOUR, None, True),
    ],
)
def test_a_cached_step_expires_by_the_clock_and_one_of_the_future_is_not_believed(
    machine: Machine, between: float, expiry: str | None, hit: bool
) -> None:
    cache = {"Enabled": True} | ({"ExpireAfter": expiry} if expiry else {})
    name = f"cached-{int(between)}-{expiry}"
    step = processing("Say", "print(1)", CacheConfig=cache)
    first = finish(machine.sagemaker, machine.start(name, step))
    assert "CacheHitResult" not in first["Steps"]["Say"]
    machine.set(between)
    second = finish(machine.sagemaker, machine.again(name))
    assert ("CacheHitResult" in second["Steps"]["Say"]) is hit
    # A step that ran took the place of the one that was not believed.
    third = finish(machine.sagemaker, machine.again(name))
    assert "CacheHitResult" in third["Steps"]["Say"]


def test_what_was_killed_goes_on_in_order_when_the_clock_was_set_back_meanwhile(
    tmp_path: Path,
) -> None:
    (tmp_path / "clock").write_text("0")
    with localcloud(tmp_path / "state", {VARIABLE: str(tmp_path / "clock")}) as cloud:
        machine = Machine(cloud, tmp_path / "clock", tmp_path)
        arn = machine.start(
            "killed",
            processing("First", "print(1)"),
            machine.waiting("Second", DependsOn=["First"]),
        )
        machine.until_job("Second")
        os.kill(json.loads((tmp_path / "state" / "server.json").read_text())["pid"], signal.SIGKILL)
        machine.set(-DAY)
        assert cloud.command("up").returncode == 0
        killed = finish(machine.sagemaker, arn)
        check_steps(killed, "First", "Second")
        machine.let("Second")
        machine.sagemaker.retry_pipeline_execution(PipelineExecutionArn=arn)
        retried = finish(machine.sagemaker, arn)
        assert retried["PipelineExecutionStatus"] == "Succeeded"
        check_steps(retried, "First", "Second")
        check_jobs(machine.sagemaker, retried)
        assert retried["LastModifiedTime"] >= killed["LastModifiedTime"]


def test_lines_of_a_log_stay_in_order_and_status_tells_no_negative_time(
    machine: Machine,
) -> None:
    script = (
        "import os, sys, time\n"
        "for number in '012':\n"
        "    print('line', number, flush=True)\n"
        f"    go = os.path.join({str(machine.folder)!r}, number)\n"
        "    while not os.path.exists(go): time.sleep(0.02)\n"
    )
    arn = machine.start("said", processing("Speak", script))
    machine.until_job("Speak")
    logs = client_of(machine.cloud, "logs")
    name = machine.sagemaker.list_processing_jobs(StatusEquals="InProgress")[
        "ProcessingJobSummaries"
    ][0]["ProcessingJobName"]

    def lines() -> list[dict[str, Any]]:
        answer = logs.filter_log_events(
            logGroupName="/aws/sagemaker/ProcessingJobs", logStreamNamePrefix=name
        )
        return list(answer["events"])

    for number, moment in enumerate((-HOUR, HOUR, -DAY)):
        wait_until(lambda number=number: len(lines()) == number + 1)  # type: ignore[misc]
        time.sleep(0.5)  # until who watches the job has noted when the line came
        machine.set(moment)
        said = machine.cloud.command("status").stdout
        assert re.search(r"running +processing-job +\S+ +\d", said), said
        assert not re.search(r"\s-\d", said), said
        (machine.folder / str(number)).touch()
    finish(machine.sagemaker, arn)
    assert [event["message"] for event in lines()] == ["line 0", "line 1", "line 2"]


def test_a_continuous_output_goes_up_whatever_date_its_file_has(
    machine: Machine,
) -> None:
    s3 = client_of(machine.cloud, "s3")
    s3.create_bucket(Bucket="dated")
    jobs = Jobs(lambda service: client_of(machine.cloud, service), "dated", "dated")
    script = (
        "import os, time\n"
        "path = '/opt/ml/processing/live/first'\n"
        "open(path, 'w').write('1')\n"
        f"os.utime(path, (time.time() + {DAY},) * 2)\n"
        f"while not os.path.exists({str(machine.folder / 'go')!r}): time.sleep(0.02)\n"
    )
    name = jobs.start_processing(script, mode="Continuous", outputs={"live": "s3://dated/live"})
    wait_until(lambda: jobs.keys("live/") == ["live/first"])
    assert jobs.describe(name, "Processing")["ProcessingJobStatus"] == "InProgress"
    machine.let("go")
    assert jobs.wait(name, "Processing")["ProcessingJobStatus"] == "Completed"
