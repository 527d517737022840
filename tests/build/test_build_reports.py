"""`report`, and where a run says that the report is."""

import json
import webbrowser
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from build_aws import BUCKET, GROUP_ARN, Result, Scripted, step

from pipelines.build import reports

Command = Callable[..., Result]
PAGE = "<title>a model</title>é"


@pytest.fixture
def versions(sagemaker: Scripted, monkeypatch: pytest.MonkeyPatch, work: Path) -> Scripted:
    """Two versions; only the folder of the second is `out/evaluation`."""
    monkeypatch.setattr(reports, "WORK", work)
    arns = {f"{GROUP_ARN}/{number}": number for number in (1, 2)}
    sagemaker.answers["ListModelPackages"] = lambda _: {
        "ModelPackageSummaryList": [
            {
                "ModelPackageArn": arn,
                "ModelPackageVersion": number,
                "ModelPackageStatus": "Completed",
                "CreationTime": 1_790_000_000,
            }
            for arn, number in arns.items()
        ]
    }
    folders = {1: "old", 2: "out/evaluation"}
    sagemaker.answers["DescribeModelPackage"] = lambda request: {
        "ModelPackageArn": request["ModelPackageName"],
        "ModelMetrics": {
            "ModelQuality": {
                "Statistics": {
                    "ContentType": "application/json",
                    "S3Uri": f"s3://{BUCKET}/{folders[arns[request['ModelPackageName']]]}/e.json",
                }
            }
        },
    }
    return sagemaker


def test_a_report_is_downloaded_and_opened(
    versions: Scripted,
    bucket: Any,
    command: Command,
    monkeypatch: pytest.MonkeyPatch,
    work: Path,
) -> None:
    """The path is all that is printed, so that a script can use it."""
    opened: list[str] = []
    monkeypatch.setattr(webbrowser, "open", lambda uri: bool(opened.append(uri)) or True)
    bucket.put_object(Bucket=BUCKET, Key="out/evaluation/report.html", Body=PAGE.encode())
    result = command("report")
    path = work / "report-2.html"
    assert (result.code, result.out, opened) == (0, f"{path}\n", [])
    assert path.read_text(encoding="utf-8") == PAGE
    assert command("report", "2", "--open").code == 0
    assert opened == [path.as_uri()]


@pytest.mark.parametrize(
    ("version", "message"),
    [("1", f"Version 1 has no report.html in s3://{BUCKET}/old."), ("9", "must be a number")],
)
def test_no_report(versions: Scripted, command: Command, version: str, message: str) -> None:
    result = command("report", version)
    assert (result.code, message in result.err) == (2, True), result.err


@pytest.mark.parametrize(("recall", "code"), [(0.82, 0), (0.1, 3)])
def test_a_run_says_where_its_report_is(
    sagemaker: Scripted, bucket: Any, command: Command, recall: float, code: int
) -> None:
    """Also when the gate said no: then one wants to read it most."""
    values = {"average_precision": 0.91, "recall": recall, "precision": 0.88}
    bucket.put_object(
        Bucket=BUCKET, Key="out/evaluation/metrics.json", Body=json.dumps(values).encode()
    )
    bucket.put_object(Bucket=BUCKET, Key="out/evaluation/report.html", Body=PAGE.encode())
    steps = [step("Evaluate", "Succeeded", "ProcessingJob")]
    if code:
        fail = {"Metadata": {"Fail": {"ErrorMessage": "too low"}}}
        sagemaker.play(("Failed", [*steps, step("QualityTooLow", "Failed", **fail)]))
    else:
        arn = {"Metadata": {"RegisterModel": {"Arn": f"{GROUP_ARN}/7"}}}
        sagemaker.play(("Succeeded", [*steps, step("Register", "Succeeded", **arn)]))
    result = command("status")
    assert result.code == code
    assert f"Report     s3://{BUCKET}/out/evaluation/report.html\n" in result.out
    assert ("python build_pipeline.py report 7\n" in result.out) == (code == 0)
