"""`run`, `status`, `logs`, `stop`: executions whose course a test decides."""

import hashlib
import io
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import pytest
from build_aws import BUCKET, EXECUTION_ARN, GROUP_ARN, REGION, Refusal, Result, Scripted, step

from pipelines.build import logs, progress, run
from pipelines.build.clients import Workspace
from pipelines.build.terminal import Terminal

Command = Callable[..., Result]
GOOD = {"average_precision": 0.91, "recall": 0.82, "precision": 0.88, "rows": 1500}
VERSION = f"{GROUP_ARN}/7"
REGISTERED = {"Metadata": {"RegisterModel": {"Arn": VERSION}}}
CACHED = {"CacheHitResult": {"SourcePipelineExecutionArn": f"{EXECUTION_ARN}0"}}


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "_SHORTEST_PAUSE", 0.0)
    monkeypatch.setattr(progress, "_LONGEST_PAUSE", 0.0)


def measure(bucket: Any, values: dict[str, float]) -> None:
    key = "out/evaluation/metrics.json"
    bucket.put_object(Bucket=BUCKET, Key=key, Body=json.dumps(values).encode())


def succeed(sagemaker: Scripted) -> None:
    preprocess = step("Preprocess", "Succeeded", "ProcessingJob", **CACHED)
    sagemaker.play(
        ("Executing", [step("Preprocess", "Executing", "ProcessingJob")]),
        ("Executing", [preprocess, step("Train", "Executing", "TrainingJob")]),
        (
            "Succeeded",
            [
                preprocess,
                step("Train", "Succeeded", "TrainingJob"),
                step("Evaluate", "Succeeded", "ProcessingJob"),
                step("CheckQuality", "Succeeded"),
                step("Register", "Succeeded", **REGISTERED),
            ],
        ),
    )


def given(sagemaker: Scripted) -> dict[str, str]:
    """The parameters of the execution that was started."""
    (request,) = sagemaker.asked("StartPipelineExecution")
    return {each["Name"]: each["Value"] for each in request["PipelineParameters"]}


def test_a_good_run(sagemaker: Scripted, bucket: Any, command: Command, tmp_path: Path) -> None:
    """Steps as they change, metrics beside thresholds, the version, and what to do next."""
    measure(bucket, GOOD)
    succeed(sagemaker)
    output = tmp_path / "demo.json"
    output.write_text('{"endpoint": "theirs", "metrics": {}}')
    result = command("run", "--wait", "--parameter", "Eta=0.2", "--output", str(output))
    assert (result.code, result.err) == (0, "")
    lines = [line[10:] for line in result.out.splitlines() if line[2:3] == ":"]
    assert lines == [
        "Preprocess      Executing",
        "Preprocess      Succeeded (cached)",
        "Train           Executing",
        "Train           Succeeded  12 s",
        "Evaluate        Succeeded  12 s",
        "CheckQuality    Succeeded  12 s",
        "Register        Succeeded  12 s",
    ]
    assert "average_precision  0.9100  >= 0.8000  passed" in result.out
    assert f"Registered version 7: {VERSION}" in result.out
    assert "python build_pipeline.py compare" in result.out
    assert "python build_pipeline.py approve 7" in result.out
    assert given(sagemaker)["Eta"] == "0.2"
    written = json.loads(output.read_text())
    assert written["endpoint"] == "theirs"
    assert written["model_package_arn"] == VERSION
    assert written["execution_arn"] == EXECUTION_ARN
    assert written["metrics"] == GOOD
    assert written["steps"]["Preprocess"]["cached"] is True
    assert written["steps"]["Train"] == {
        "status": "Succeeded",
        "seconds": 12.25,
        "cached": False,
    }


def test_the_data_goes_up_once_under_its_hash(
    sagemaker: Scripted, bucket: Any, command: Command
) -> None:
    first, second = command("run"), command("run")
    assert first.code == second.code == 0
    assert "(uploaded; " in first.out
    assert "(there already; " in second.out
    uris = {
        parameter["Value"]
        for request in sagemaker.asked("StartPipelineExecution")
        for parameter in request["PipelineParameters"]
        if parameter["Name"] == "InputDataUri"
    }
    (uri,) = uris
    key = uri.removeprefix(f"s3://{BUCKET}/")
    content = bucket.get_object(Bucket=BUCKET, Key=key)["Body"].read()
    assert hashlib.sha256(content).hexdigest() == key.split("/")[-2]


def test_the_commit_goes_along(
    sagemaker: Scripted, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Git's word must be used when there is one, and the user's before it."""
    monkeypatch.setattr(run, "git_commit", lambda _: "c0ffee")
    command("run")
    assert given(sagemaker)["GitCommit"] == "c0ffee"
    sagemaker.requests.clear()
    command("run", "--parameter", "GitCommit=mine")
    assert given(sagemaker)["GitCommit"] == "mine"


def test_no_repository_no_commit(tmp_path: Path) -> None:
    assert run.git_commit(tmp_path) is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--parameter", "Etta=1"], "did you mean Eta?"),
        (["--parameter", "Eta"], "must be Name=Value"),
        (["--parameter", "MinRecall=1.1"], "MinRecall must be from 0 to 1, not 1.1"),
        (["--parameter", "InputDataUri=/data/rows.csv"], "must be s3://bucket/key"),
        (["--parameter", f"InputDataUri=s3://{BUCKET}/none"], "no object with this key"),
        (["--parameter", f"InputDataUri=s3://{BUCKET}/dat"], "no object with this key"),
        (["--parameter", "InputDataUri=s3://no-such-bucket/x"], "no bucket no-such-bucket"),
        (["--output", "setup.py"], "must hold a JSON object"),
    ],
)
def test_bad_input_starts_nothing(
    sagemaker: Scripted, bucket: Any, command: Command, arguments: list[str], message: str
) -> None:
    bucket.put_object(Bucket=BUCKET, Key="data/rows.csv", Body=b"1")
    result = command("run", *arguments)
    assert (result.code, message in result.err) == (2, True), result.err
    assert not sagemaker.asked("StartPipelineExecution")
    assert not bucket.list_objects_v2(Bucket=BUCKET, Prefix="predictive-maintenance")["KeyCount"]


@pytest.mark.parametrize("key", ["data/rows.csv", "data", "data/"])
def test_data_of_the_users_own_is_taken(
    sagemaker: Scripted, bucket: Any, command: Command, key: str
) -> None:
    """A file and a folder are both good; a neighbour whose name starts alike is no hindrance."""
    bucket.put_object(Bucket=BUCKET, Key="data/rows.csv", Body=b"1")
    bucket.put_object(Bucket=BUCKET, Key="data-old", Body=b"1")
    uri = f"s3://{BUCKET}/{key}"
    assert command("run", "--parameter", f"InputDataUri={uri}").code == 0
    assert given(sagemaker)["InputDataUri"] == uri


def test_a_folder_of_data_that_is_not_there(
    sagemaker: Scripted,
    bucket: Any,
    command: Command,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """The folder and its variable must be named before anything is uploaded."""
    monkeypatch.setenv("AI4I_DATA", str(tmp_path / "nowhere"))
    result = command("run")
    assert result.code == 2
    assert "AI4I_DATA" in result.err
    assert str(tmp_path / "nowhere") in result.err
    assert not bucket.list_objects_v2(Bucket=BUCKET)["KeyCount"]


def test_the_gate_says_no(
    sagemaker: Scripted, bucket: Any, command: Command, tmp_path: Path
) -> None:
    """Every metric beside its threshold, which failed, by how much; code 3 and no crash."""
    measure(bucket, GOOD | {"recall": 0.65})
    sagemaker.play(
        (
            "Failed",
            [
                step("Evaluate", "Succeeded", "ProcessingJob"),
                step("CheckQuality", "Succeeded"),
                step("QualityTooLow", "Failed", Metadata={"Fail": {"ErrorMessage": "too low"}}),
            ],
        ),
        reason="too low",
    )
    output = tmp_path / "out.json"
    result = command("run", "--wait", "--parameter", "MinPrecision=0.88", "--output", str(output))
    assert result.code == 3
    assert "recall             0.6500  >= 0.7000  failed by 0.0500" in result.out
    assert "precision          0.8800  >= 0.8800  passed" in result.out
    assert "The quality gate said no: recall >= 0.7000 does not hold" in result.err
    assert json.loads(output.read_text())["model_package_arn"] is None
    assert command("status").code == 3


def test_a_failed_step(sagemaker: Scripted, command: Command) -> None:
    """The step, its reason, and the command that shows its log."""
    reason = "AlgorithmError: row 7: Torque must be a number"
    sagemaker.play(
        ("Failed", [step("Preprocess", "Failed", "ProcessingJob", FailureReason=reason)]),
        reason="Step failure",
    )
    result = command("run", "--wait")
    assert result.code == 4
    assert f"Step Preprocess: {reason}" in result.err
    assert "python build_pipeline.py logs Preprocess --execution abc123def456" in result.err


def test_a_stopped_execution(sagemaker: Scripted, command: Command) -> None:
    sagemaker.play(
        ("Executing", [step("Train", "Executing", "TrainingJob")]),
        ("Stopped", [step("Train", "Stopped", "TrainingJob")]),
    )
    result = command("run", "--wait")
    assert (result.code, result.err) == (6, "Execution abc123def456 was stopped.\n")


def test_interrupting_leaves_the_execution_running(sagemaker: Scripted) -> None:
    sagemaker.play(("Executing", []))

    def interrupt(_: float) -> None:
        raise KeyboardInterrupt

    workspace = Workspace(Terminal(io.StringIO(), io.StringIO(), live=False, colour=False))
    with pytest.raises(progress.Interrupted, match="goes on without you") as raised:
        progress.follow(workspace, EXECUTION_ARN, sleep=interrupt)
    assert "python build_pipeline.py stop abc123def456" in str(raised.value)
    assert raised.value.exit_code == 130
    assert not sagemaker.asked("StopPipelineExecution")


def test_a_terminal_is_written_in_place(sagemaker: Scripted, bucket: Any) -> None:
    """Each look must go up over the lines of the last, and steps to come are shown as waiting."""
    measure(bucket, GOOD)
    succeed(sagemaker)
    out = io.StringIO()
    workspace = Workspace(Terminal(out, io.StringIO(), live=True, colour=False))
    progress.follow(workspace, EXECUTION_ARN, ["Preprocess", "Train"], sleep=lambda _: None)
    first, *later = out.getvalue().split("Execution abc123def456: ")[1:]
    assert "Train       waiting" in first
    assert first.endswith("\x1b[3A\x1b[J")
    assert "\n  Preprocess    Succeeded (cached)\n" in later[-1]
    assert "waiting" not in later[-1]


def test_status_shows_the_latest(sagemaker: Scripted, bucket: Any, command: Command) -> None:
    measure(bucket, GOOD)
    sagemaker.play(("Executing", [step("Train", "Executing", "TrainingJob")]))
    result = command("status")
    assert result.code == 0
    assert result.out.startswith("Execution abc123def456: Executing (")
    assert "Train  Executing" in result.out


def test_status_of_an_execution_that_is_not(sagemaker: Scripted, command: Command) -> None:
    def refuse(request: dict[str, Any]) -> dict[str, Any]:
        raise Refusal("ResourceNotFound", f"{request['PipelineExecutionArn']} does not exist.")

    sagemaker.answers["DescribePipelineExecution"] = refuse
    result = command("status", "nosuch")
    assert (result.code, "There is no execution" in result.err) == (2, True)


def test_stop(sagemaker: Scripted, command: Command) -> None:
    """A running execution is stopped; one that has ended is refused with what it is."""
    sagemaker.answers["StopPipelineExecution"] = lambda request: {
        "PipelineExecutionArn": request["PipelineExecutionArn"]
    }
    sagemaker.play(("Executing", []))
    assert command("stop").code == 0
    (request,) = sagemaker.asked("StopPipelineExecution")
    assert request["PipelineExecutionArn"] == EXECUTION_ARN
    sagemaker.play(("Succeeded", []))
    result = command("stop", "abc123def456")
    assert (result.code, "does not run: it is Succeeded" in result.err) == (2, True)


@pytest.fixture
def log(bucket: Any) -> Callable[[str, str], None]:
    client = boto3.client("logs", region_name=REGION)
    group = "/aws/sagemaker/TrainingJobs"
    client.create_log_group(logGroupName=group)

    def write(stream: str, message: str) -> None:
        name = f"pipelines-abc123def456-Train/{stream}"
        streams = client.describe_log_streams(logGroupName=group, logStreamNamePrefix=name)
        if not streams["logStreams"]:
            client.create_log_stream(logGroupName=group, logStreamName=name)
        client.put_log_events(
            logGroupName=group,
            logStreamName=name,
            logEvents=[{"timestamp": int(time.time() * 1000), "message": message}],
        )

    return write


def test_logs(sagemaker: Scripted, log: Callable[[str, str], None], command: Command) -> None:
    """Lines as they were written; those of a second host are marked."""
    sagemaker.play(("Succeeded", [step("Train", "Succeeded", "TrainingJob")]))
    log("algo-1-1790000000", "[0] validation-logloss: 0.5")
    log("algo-2-1790000000", "joined")
    result = command("logs", "Train")
    assert result.code == 0
    assert result.out.splitlines() == ["[0] validation-logloss: 0.5", "[algo-2] joined"]


def test_following_a_log_prints_each_line_once(
    sagemaker: Scripted,
    log: Callable[[str, str], None],
    command: Command,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(logs, "_PAUSE", 0.0)
    sagemaker.play(
        ("Executing", []),
        ("Executing", [step("Train", "Executing", "TrainingJob")]),
        ("Executing", [step("Train", "Executing", "TrainingJob")]),
        ("Succeeded", [step("Train", "Succeeded", "TrainingJob")]),
    )
    log("algo-1-1790000000", "one")
    log("algo-1-1790000000", "two")
    assert command("logs", "Train", "--follow").out.splitlines() == ["one", "two"]


def test_the_log_of_a_failed_step_ends_with_the_reason(
    sagemaker: Scripted, log: Callable[[str, str], None], command: Command
) -> None:
    reason = "AlgorithmError: row 7: Torque must be a number"
    sagemaker.play(("Failed", [step("Train", "Failed", "TrainingJob", FailureReason=reason)]))
    log("algo-1-1790000000", "reading rows")
    for arguments in (["logs", "Train"], ["logs", "Train", "--follow"]):
        result = command(*arguments)
        assert result.out == "reading rows\n"
        assert result.err == f"Step Train failed: {reason}\n"


def test_following_goes_on_with_the_job_that_tries_again(
    sagemaker: Scripted,
    log: Callable[[str, str], None],
    command: Command,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A step that is retried has another job; the log of that one must follow."""
    monkeypatch.setattr(logs, "_PAUSE", 0.0)
    first = step("Train", "Executing", "TrainingJob")
    first["Metadata"]["TrainingJob"]["Arn"] += "ing"
    sagemaker.play(
        ("Executing", [first]),
        ("Executing", [first]),
        ("Executing", [step("Train", "Executing", "TrainingJob")]),
        ("Succeeded", [step("Train", "Succeeded", "TrainingJob")]),
    )
    log("algo-1-1790000000", "second attempt")
    result = command("logs", "Train", "--follow")
    assert set(result.out.splitlines()) == {"second attempt"}  # moto heeds no prefix of a stream
    assert "Step Train is tried again, as job pipelines-abc123def456-Train." in result.err


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("Trian", "has no step Trian; did you mean Train? It has Preprocess, Train, Evaluate"),
        ("Evaluate", "Step Evaluate of execution abc123def456 was not started."),
        ("CheckQuality", "Step CheckQuality has no log: it runs no job."),
    ],
)
def test_steps_without_a_log(
    sagemaker: Scripted, command: Command, name: str, message: str
) -> None:
    sagemaker.play(("Failed", [step("CheckQuality", "Failed")]))
    result = command("logs", name)
    assert (result.code, message in result.err) == (2, True), result.err
