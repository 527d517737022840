"""Running again: retry policies, retried executions, chosen steps, repeated calls."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from definitions import ROLE, condition, definition, processing
from test_executions import finish

from localcloud.clock import Clock
from localcloud.sagemaker.workflow.definition import read_definition
from localcloud.sagemaker.workflow.run import Outcome, Run, StepFailed
from localcloud.sagemaker.workflow.values import Values

Client = Callable[[str], Any]
_NUMBERS = itertools.count()
pytestmark = pytest.mark.integration


def attempts(policies: list[dict[str, Any]], failures: list[str | None]) -> tuple[str, int, int]:
    """Run one step that fails in these ways and then succeeds: status, attempts, AttemptCount."""
    text = definition(processing("Say", "print(1)", RetryPolicies=policies))
    left, states = list(failures), []

    def execute(*_: Any) -> Outcome:
        states.append("attempt")
        if left:
            raise StepFailed("broken", left.pop(0))
        return Outcome()

    counts = [0]

    def record(_step: Any, state: dict[str, Any]) -> None:
        counts[0] = state.get("AttemptCount", 0)

    values = Values({}, {}, lambda _uri: b"")
    clock = Clock(wait=lambda event, _seconds: event.is_set())
    run = Run(read_definition(text), values, execute, record, clock=clock)
    return run.run(), len(states), counts[0]


def policy(*kinds: str, **more: Any) -> dict[str, Any]:
    return {"ExceptionType": list(kinds), "IntervalSeconds": 60, **more}


CAPACITY = "SageMaker.CAPACITY_ERROR"


def test_a_failure_that_a_policy_names_is_tried_again_as_often_as_it_says() -> None:
    enough = [policy(CAPACITY, MaxAttempts=2)]
    assert attempts(enough, [CAPACITY]) == ("Succeeded", 2, 2)
    assert attempts(enough, [CAPACITY, CAPACITY]) == ("Succeeded", 3, 3)
    assert attempts(enough, [CAPACITY] * 3) == ("Failed", 3, 3)


def test_a_failure_that_no_policy_names_is_not_tried_again() -> None:
    assert attempts([policy("Step.THROTTLING", MaxAttempts=5)], [CAPACITY]) == ("Failed", 1, 1)
    assert attempts([policy(CAPACITY, MaxAttempts=5)], [None]) == ("Failed", 1, 1)


def test_a_stop_ends_the_wait_before_another_attempt() -> None:
    waits = [policy(CAPACITY, MaxAttempts=5)]
    text = definition(processing("Say", "print(1)", RetryPolicies=waits))
    started = threading.Event()

    def execute(*_: Any) -> Outcome:
        started.set()
        raise StepFailed("broken", CAPACITY)

    values = Values({}, {}, lambda _uri: b"")
    run = Run(read_definition(text), values, execute, lambda *_: None)
    statuses: list[str] = []
    thread = threading.Thread(target=lambda: statuses.append(run.run()))
    thread.start()
    started.wait(5)
    run.stopping.set()
    thread.join(5)
    assert statuses == ["Stopped"]


@pytest.fixture
def pipeline(client: Client, request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A pipeline of First -> Gate -> Second, where Second fails until a file is there."""
    flag = tmp_path / "mended"
    script = f"import os, sys; sys.exit(0 if os.path.exists({str(flag)!r}) else 'not mended')"
    always = [{"Type": "Equals", "LeftValue": 1, "RightValue": 1}]
    second = processing("Second", script, DependsOn=["First"])
    gate = condition("Gate", always, [second], [])
    text = definition(processing("First", "print(1)"), gate | {"DependsOn": ["First"]})
    name = f"{request.node.originalname.replace('_', '-')[:80]}-{next(_NUMBERS)}"
    client("sagemaker").create_pipeline(PipelineName=name, PipelineDefinition=text, RoleArn=ROLE)
    return str(name)


def start(client: Client, name: str, **more: Any) -> dict[str, Any]:
    sagemaker = client("sagemaker")
    answer = sagemaker.start_pipeline_execution(PipelineName=name, **more)
    return finish(sagemaker, answer["PipelineExecutionArn"])


def test_a_retried_execution_keeps_what_succeeded_and_runs_the_rest(
    client: Client, pipeline: str, tmp_path: Path
) -> None:
    sagemaker = client("sagemaker")
    failed = start(client, pipeline)
    arn = failed["PipelineExecutionArn"]
    assert failed["PipelineExecutionStatus"] == "Failed"
    (tmp_path / "mended").touch()
    sagemaker.retry_pipeline_execution(PipelineExecutionArn=arn)
    retried = finish(sagemaker, arn)
    assert retried["PipelineExecutionStatus"] == "Succeeded"
    assert "FailureReason" not in retried
    for name in ("First", "Gate"):
        assert retried["Steps"][name] == failed["Steps"][name]
    assert retried["Steps"]["Second"]["Metadata"] != failed["Steps"]["Second"]["Metadata"]


def test_only_an_execution_that_did_not_succeed_can_be_retried(
    client: Client, pipeline: str, tmp_path: Path
) -> None:
    (tmp_path / "mended").touch()
    arn = start(client, pipeline)["PipelineExecutionArn"]
    with pytest.raises(ClientError, match="Only executions in status Failed or Stopped"):
        client("sagemaker").retry_pipeline_execution(PipelineExecutionArn=arn)


def selection(*steps: str, source: str | None = None) -> dict[str, Any]:
    config: dict[str, Any] = {"SelectedSteps": [{"StepName": name} for name in steps]}
    if source:
        config["SourcePipelineExecutionArn"] = source
    return config


def test_a_chosen_step_runs_alone_on_what_an_earlier_execution_left(
    client: Client, pipeline: str, tmp_path: Path
) -> None:
    source = start(client, pipeline)["PipelineExecutionArn"]
    (tmp_path / "mended").touch()
    chosen = start(client, pipeline, SelectiveExecutionConfig=selection("Second", source=source))
    assert chosen["PipelineExecutionStatus"] == "Succeeded"
    reused = chosen["Steps"]["First"]["SelectiveExecutionResult"]
    assert reused == {"SourcePipelineExecutionArn": source}
    assert "SelectiveExecutionResult" not in chosen["Steps"]["Second"]
    assert chosen["Steps"]["Gate"]["SelectiveExecutionResult"] == reused
    # What a choice reused can be reused from it again.
    second = selection("Second", source=chosen["PipelineExecutionArn"])
    again = start(client, pipeline, SelectiveExecutionConfig=second)
    assert again["PipelineExecutionStatus"] == "Succeeded"


@pytest.mark.parametrize(
    ("steps", "said"),
    [(["Third"], "[Third]"), (["Second"], "have dependencies on [First, Gate]")],
)
def test_a_choice_that_cannot_be_run_is_refused(
    client: Client, pipeline: str, steps: list[str], said: str
) -> None:
    sagemaker = client("sagemaker")
    with pytest.raises(ClientError, match="ValidationException") as refused:
        sagemaker.start_pipeline_execution(
            PipelineName=pipeline, SelectiveExecutionConfig=selection(*steps)
        )
    assert said in str(refused.value)
    listed = sagemaker.list_pipeline_executions(PipelineName=pipeline)
    assert listed["PipelineExecutionSummaries"] == []


def test_a_start_that_is_sent_twice_starts_one_execution(client: Client, pipeline: str) -> None:
    sagemaker = client("sagemaker")
    token = f"{pipeline}-{'x' * 40}"[:100]
    first, second = (
        sagemaker.start_pipeline_execution(PipelineName=pipeline, ClientRequestToken=token)
        for _ in range(2)
    )
    assert first["PipelineExecutionArn"] == second["PipelineExecutionArn"]
    finish(sagemaker, first["PipelineExecutionArn"])
    listed = sagemaker.list_pipeline_executions(PipelineName=pipeline)
    assert len(listed["PipelineExecutionSummaries"]) == 1
