"""`run --only` and `retry`: some steps of an execution, on what an earlier one has."""

from collections.abc import Callable
from typing import Any

import pytest
from build_aws import BUCKET, EXECUTION_ARN, PIPELINE_ARN, Refusal, Result, Scripted, step

from pipelines.build import progress

Command = Callable[..., Result]
OLD = f"{PIPELINE_ARN}/execution/old111old111"
DATA = f"s3://{BUCKET}/data/rows.csv"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "_SHORTEST_PAUSE", 0.0)
    monkeypatch.setattr(progress, "_LONGEST_PAUSE", 0.0)


Past = Callable[..., None]


@pytest.fixture
def past(sagemaker: Scripted, bucket: Any) -> Past:
    """Have executions behind us, the newest first: ARN, status, steps; then what a start does."""
    bucket.put_object(Bucket=BUCKET, Key="data/rows.csv", Body=b"1")

    def have(*executions: tuple[str, str, list[dict[str, Any]]]) -> None:
        known = {arn: (status, steps) for arn, status, steps in executions}
        sagemaker.answers |= {
            "ListPipelineExecutions": lambda _: {
                "PipelineExecutionSummaries": [{"PipelineExecutionArn": arn} for arn in known]
            },
            "DescribePipelineExecution": lambda request: {
                "PipelineExecutionArn": request["PipelineExecutionArn"],
                "PipelineExecutionStatus": known[request["PipelineExecutionArn"]][0],
                "CreationTime": 1_790_000_000,
            },
            "ListPipelineExecutionSteps": lambda request: {
                "PipelineExecutionSteps": known[request["PipelineExecutionArn"]][1]
            },
            "ListPipelineParametersForExecution": lambda _: {
                "PipelineParameters": [
                    {"Name": "InputDataUri", "Value": DATA},
                    {"Name": "Eta", "Value": "0.25"},
                    {"Name": "GitCommit", "Value": "earlier"},
                    {"Name": "NoLongerThere", "Value": "1"},
                ]
            },
        }

    return have


def done(*names: str) -> list[dict[str, Any]]:
    return [step(name, "Succeeded") for name in names]


def started(sagemaker: Scripted) -> dict[str, Any]:
    (request,) = sagemaker.asked("StartPipelineExecution")
    return request


def test_a_step_runs_alone_on_an_earlier_executions_results(
    sagemaker: Scripted, past: Past, command: Command
) -> None:
    """The newest execution that has all that is needed gives it, and its parameters."""
    past(
        (f"{PIPELINE_ARN}/execution/running", "Executing", done("Preprocess", "Train")),
        (f"{PIPELINE_ARN}/execution/failed", "Failed", done("Preprocess")),
        (OLD, "Succeeded", done("Preprocess", "Train", "Evaluate")),
    )
    result = command("run", "--only", "Evaluate", "--parameter", "MinRecall=0.6")
    assert (result.code, result.err) == (0, "")
    assert "Reused     Preprocess, Train of execution old111old111" in result.out
    assert started(sagemaker)["SelectiveExecutionConfig"] == {
        "SelectedSteps": [{"StepName": "Evaluate"}],
        "SourcePipelineExecutionArn": OLD,
    }
    given = {each["Name"]: each["Value"] for each in started(sagemaker)["PipelineParameters"]}
    assert given.pop("GitCommit", None) != "earlier"
    assert given == {"InputDataUri": DATA, "Eta": "0.25", "MinRecall": "0.6"}


def test_a_step_of_a_branch_needs_an_execution_that_took_it(
    sagemaker: Scripted, past: Past, command: Command
) -> None:
    """A newer execution whose gate chose the other branch is passed over, or named if all did."""

    def gate(outcome: str) -> list[dict[str, Any]]:
        found = step("CheckQuality", "Succeeded")
        found["Metadata"] = {"Condition": {"Outcome": outcome}}
        return [*done("Preprocess", "Train", "Evaluate"), found]

    newer = (f"{PIPELINE_ARN}/execution/refused", "Failed", gate("False"))
    past(newer, (OLD, "Succeeded", gate("True")))
    assert command("run", "--only", "Register").code == 0
    source = started(sagemaker)["SelectiveExecutionConfig"]["SourcePipelineExecutionArn"]
    assert source == OLD
    past(newer)
    result = command("run", "--only", "Register")
    assert (result.code, "CheckQuality (outcome True)" in result.err) == (2, True), result.err


def test_steps_that_need_nothing_have_no_source(sagemaker: Scripted, command: Command) -> None:
    """The first steps run alone without an earlier execution, on the data of a common run."""

    def refuse(_: dict[str, Any]) -> dict[str, Any]:
        raise Refusal("ResourceNotFound", "Pipeline does not exist.")

    sagemaker.answers["ListPipelineExecutions"] = refuse
    result = command("run", "--only", "Train", "--only", "Preprocess")
    assert (result.code, result.err) == (0, "")
    config = started(sagemaker)["SelectiveExecutionConfig"]
    assert config == {"SelectedSteps": [{"StepName": "Preprocess"}, {"StepName": "Train"}]}
    assert "InputDataUri" in {each["Name"] for each in started(sagemaker)["PipelineParameters"]}


def test_waiting_for_some_steps(sagemaker: Scripted, past: Past, command: Command) -> None:
    """What is reused is said to be, takes no time, and no version is promised."""
    other = {"SelectiveExecutionResult": {"SourcePipelineExecutionArn": OLD}}
    past(
        (OLD, "Failed", done("Preprocess")),
        (
            EXECUTION_ARN,
            "Succeeded",
            [
                step("Preprocess", "Succeeded", **other),
                step("Train", "Succeeded", "TrainingJob"),
            ],
        ),
    )
    result = command("run", "--only", "Train", "--wait")
    assert result.code == 0
    assert "Preprocess      Succeeded (reused)\n" in result.out
    assert "Train           Succeeded  12 s\n" in result.out
    assert "No version was registered" in result.out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["Trian"], "has no step Trian; did you mean Train? It has Preprocess, Train, Evaluate"),
        (
            ["Evaluate"],
            "Run: `python build_pipeline.py run --only Train --only Evaluate`.",
        ),
        (["Register"], "without a result of"),
    ],
)
def test_steps_that_cannot_run_alone(
    sagemaker: Scripted, past: Past, command: Command, arguments: list[str], message: str
) -> None:
    past((OLD, "Failed", [*done("Preprocess"), step("Train", "Failed")]))
    result = command("run", *(word for name in arguments for word in ("--only", name)))
    assert (result.code, message in result.err) == (2, True), result.err
    assert result.err.count("\n") == 1
    assert not sagemaker.asked("StartPipelineExecution")


def test_no_earlier_execution(sagemaker: Scripted, past: Past, command: Command) -> None:
    past()
    result = command("run", "--only", "Train")
    assert (result.code, "has no execution yet" in result.err) == (2, True)


def test_what_aws_refuses_is_told(sagemaker: Scripted, past: Past, command: Command) -> None:
    """A choice that leaves out a step in between must end in AWS's own sentence."""

    def refuse(_: dict[str, Any]) -> dict[str, Any]:
        raise Refusal("ValidationException", "Step Train is between the selected steps.")

    past((OLD, "Succeeded", done("Preprocess", "Train", "Evaluate")))
    sagemaker.answers["StartPipelineExecution"] = refuse
    result = command("run", "--only", "Preprocess", "--only", "Evaluate")
    assert (result.code, "Step Train is between" in result.err) == (2, True)


def test_retry(sagemaker: Scripted, command: Command) -> None:
    """A failed execution goes on and can be followed; one that succeeded is refused."""
    sagemaker.play(("Failed", [step("Train", "Failed", "TrainingJob")]))

    def go_on(request: dict[str, Any]) -> dict[str, Any]:
        sagemaker.play(
            ("Executing", [step("Train", "Executing", "TrainingJob")]),
            ("Succeeded", [step("Train", "Succeeded", "TrainingJob")]),
        )
        return {"PipelineExecutionArn": request["PipelineExecutionArn"]}

    sagemaker.answers["RetryPipelineExecution"] = go_on
    result = command("retry", "--wait")
    assert (result.code, result.err) == (0, "")
    assert f"Execution  {EXECUTION_ARN} goes on" in result.out
    assert "Train           Succeeded  12 s" in result.out
    (request,) = sagemaker.asked("RetryPipelineExecution")
    assert len(request["ClientRequestToken"]) >= 32
    result = command("retry", "abc123def456")
    assert result.code == 2
    assert "it must be Failed or Stopped, and is Succeeded" in result.err
