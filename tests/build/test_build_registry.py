"""`list`, `compare`, `approve`, `reject`: versions in a registry."""

import itertools
import json
from collections.abc import Callable
from typing import Any

import boto3
import pytest
from build_aws import BUCKET, EXECUTION_ARN, REGION, Refusal, Result, Scripted

Command = Callable[..., Result]
GROUP = "predictive-maintenance"


@pytest.fixture
def register(bucket: Any) -> Callable[..., str]:
    """Register a version with these metrics, as the pipeline does; returns its ARN."""
    client = boto3.client("sagemaker", region_name=REGION)
    client.create_model_package_group(ModelPackageGroupName=GROUP)

    numbers = itertools.count(1)

    def make(status: str = "PendingManualApproval", **metrics: float) -> str:
        folder = f"out/{next(numbers)}"
        body = json.dumps(metrics).encode()
        bucket.put_object(Bucket=BUCKET, Key=f"{folder}/metrics.json", Body=body)
        uri = f"s3://{BUCKET}/{folder}/evaluation.json"
        answer = client.create_model_package(
            ModelPackageGroupName=GROUP,
            ModelApprovalStatus=status,
            ModelMetrics={
                "ModelQuality": {"Statistics": {"ContentType": "application/json", "S3Uri": uri}}
            },
            CustomerMetadataProperties={"PipelineExecutionArn": EXECUTION_ARN, "GitCommit": "c0"},
        )
        return str(answer["ModelPackageArn"])

    return make


def test_no_group_and_no_version(aws: str, command: Command) -> None:
    assert command("list").code == 0
    result = command("approve", "latest")
    assert (result.code, "has no version yet" in result.err) == (2, True)


def test_list(register: Callable[..., str], command: Command) -> None:
    """The newest first, with approval and the headline metrics; unknown metrics are a dash."""
    register(average_precision=0.8, f1=0.75)
    register("Approved", average_precision=0.9, f1=0.85)
    register()
    rows = [line.split() for line in command("list").out.splitlines()]
    assert rows[0][:5] == ["version", "status", "approval", "average_precision", "f1"]
    assert rows[1][:5] == ["3", "Completed", "PendingManualApproval", "-", "-"]
    assert rows[2][:5] == ["2", "Completed", "Approved", "0.9000", "0.8500"]
    assert rows[3][:5] == ["1", "Completed", "PendingManualApproval", "0.8000", "0.7500"]


def test_approve_and_reject(register: Callable[..., str], command: Command) -> None:
    """By number, ARN or `latest`; the note is kept; the same decision again is no event."""
    client = boto3.client("sagemaker", region_name=REGION)
    first, second = register(), register()
    result = command("approve", "1", "--note", "good on every line")
    assert result.out == "Version 1: PendingManualApproval -> Approved\n"
    described = client.describe_model_package(ModelPackageName=first)
    assert described["ModelApprovalStatus"] == "Approved"
    assert described["ApprovalDescription"] == "good on every line"
    assert command("approve", first).out == "Version 1 is Approved already.\n"
    assert "Version 2: " in command("approve", "latest").out
    assert command("reject", second, "--note", "drifts").code == 0
    described = client.describe_model_package(ModelPackageName=second)
    assert described["ModelApprovalStatus"] == "Rejected"


@pytest.mark.parametrize("name", ["9", "0", "newest", "arn:aws:sagemaker:eu-west-1:1:x/1"])
def test_a_version_that_is_not(register: Callable[..., str], command: Command, name: str) -> None:
    register()
    result = command("approve", name)
    assert result.code == 2
    assert f"not {name!r}; it has 1." in result.err


def test_a_note_too_long(register: Callable[..., str], command: Command) -> None:
    register()
    result = command("reject", "1", "--note", "x" * 1025)
    assert (result.code, "at most 1024 characters, not 1025" in result.err) == (2, True)


@pytest.fixture
def compared(
    register: Callable[..., str], document: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> Any:
    """The registry is moto's; what moto lacks of executions is scripted."""
    scripted = Scripted()
    scripted.deploy(document)
    client = boto3.client("sagemaker", region_name=REGION)
    for name in ("ListModelPackages", "DescribeModelPackage"):

        def forward(request: dict[str, Any], name: str = name) -> dict[str, Any]:
            method = "list_model_packages" if name[0] == "L" else "describe_model_package"
            answer: dict[str, Any] = getattr(client, method)(**request)
            text = json.dumps(answer, default=lambda moment: moment.timestamp())
            plain: dict[str, Any] = json.loads(text)
            return plain

        scripted.answers[name] = forward
    monkeypatch.setenv("AWS_ENDPOINT_URL_SAGEMAKER", scripted.url)
    yield scripted
    scripted.server.shutdown()


def test_compare_knows_the_good_direction(
    compared: Scripted, register: Callable[..., str], command: Command
) -> None:
    """More recall and less logloss are better; counts and the decision threshold are neither."""
    register("Approved", average_precision=0.9, recall=0.8, logloss=0.05, threshold=0.4, rows=10)
    register(average_precision=0.9, recall=0.65, logloss=0.04, threshold=0.5, rows=10)
    result = command("compare")
    assert result.code == 0
    rows = {line.split()[0]: line.split()[1:] for line in result.out.splitlines() if line.strip()}
    assert rows["1"][:1] == ["(Approved)"]
    assert rows["average_precision"][:4] == ["0.9000", "0.9000", "0", "same"]
    assert rows["recall"][:4] == ["0.8000", "0.6500", "-0.1500", "worse"]
    assert rows["recall"][4:] == [">=", "0.7000", "failed"]
    assert rows["logloss"] == ["0.0500", "0.0400", "-0.0100", "better"]
    assert rows["threshold"] == ["0.4000", "0.5000", "+0.1000"]
    assert rows["rows"] == ["10", "10", "0"]


def test_compare_shows_the_parameters_that_differ(
    compared: Scripted, register: Callable[..., str], command: Command
) -> None:
    register()
    register()
    values = iter(["4", "7"])
    compared.answers["ListPipelineParametersForExecution"] = lambda _: {
        "PipelineParameters": [{"Name": "MaxDepth", "Value": next(values)}]
    }
    out = command("compare", "1", "2").out
    assert ["MaxDepth", "4", "7"] in [line.split() for line in out.splitlines()]
    assert "Eta" not in out
    assert "parameters are the same." in out


def test_compare_chooses_the_newest_approved(
    compared: Scripted, register: Callable[..., str], command: Command
) -> None:
    for status in ("Approved", "Rejected", "PendingManualApproval"):
        register(status)
    assert "1 (Approved)  3 (PendingManualApproval)" in command("compare").out
    assert "1 (Approved)  2 (Rejected)" in command("compare", "2").out


def test_compare_without_the_execution(
    compared: Scripted, register: Callable[..., str], command: Command
) -> None:
    """An execution that is gone must not hide what the registry keeps."""
    register(recall=0.8)
    register(recall=0.9)

    def refuse(_: dict[str, Any]) -> dict[str, Any]:
        raise Refusal("ResourceNotFound", "it does not exist")

    compared.answers["ListPipelineParametersForExecution"] = refuse
    result = command("compare")
    assert result.code == 0
    assert "better" in result.out
    assert "made version 1 is not known any more" in result.out


def test_there_must_be_two(
    compared: Scripted, register: Callable[..., str], command: Command
) -> None:
    register()
    result = command("compare")
    assert (result.code, "is the only one" in result.err) == (2, True)
    assert command("compare", "1", "1", "1").code == 2
