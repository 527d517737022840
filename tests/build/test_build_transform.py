"""`transform`, against a SageMaker whose answers are written here; and its rows as such."""

import csv
import io
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from build_aws import BUCKET, GROUP_ARN, Refusal, Result, Scripted
from hypothesis import given
from hypothesis import strategies as st

from pipelines.build import rows

Command = Callable[..., Result]
COLUMNS = ("Type", "Torque [Nm]")
CONTRACT = "out/deployment.json"


class Transforming:
    """An account with one approved version; a job of it ends as a test says."""

    def __init__(self, sagemaker: Scripted, bucket: Any) -> None:
        self.sagemaker = sagemaker
        self.bucket = bucket
        self.end: dict[str, Any] = {"TransformJobStatus": "Completed"}
        self.scores = "0.25,0\n0.75,1\n"
        body = json.dumps({"columns": [{"name": name} for name in COLUMNS]})
        bucket.put_object(Bucket=BUCKET, Key=CONTRACT, Body=body)
        package = {
            "ModelPackageArn": f"{GROUP_ARN}/4",
            "ModelPackageVersion": 4,
            "ModelPackageStatus": "Completed",
            "ModelApprovalStatus": "Approved",
            "CreationTime": 1_790_000_000,
        }
        sagemaker.answers |= {
            "ListModelPackages": lambda _: {"ModelPackageSummaryList": [package]},
            "DescribeModelPackage": lambda _: {
                **package,
                "CustomerMetadataProperties": {"DeploymentUri": f"s3://{BUCKET}/{CONTRACT}"},
            },
            "CreateModel": lambda request: {"ModelArn": f"arn:aws:x/{request['ModelName']}"},
            "DeleteModel": lambda _: {},
            "CreateTransformJob": self._create,
            "DescribeTransformJob": self._describe,
        }

    def _create(self, request: dict[str, Any]) -> dict[str, Any]:
        bucket, _, key = request["TransformOutput"]["S3OutputPath"][5:].partition("/")
        self.bucket.put_object(Bucket=bucket, Key=f"{key}/part-00000.csv.out", Body=self.scores)
        return {"TransformJobArn": f"arn:aws:x/{request['TransformJobName']}"}

    def _describe(self, request: dict[str, Any]) -> dict[str, Any]:
        looks = len(self.sagemaker.asked("DescribeTransformJob"))
        state = {"TransformJobStatus": "InProgress"} if looks < 2 else self.end
        begun = time.time()
        return {
            "TransformJobName": request["TransformJobName"],
            "CreationTime": begun - 75,
            "TransformEndTime": begun,
            **state,
        }


@pytest.fixture
def account(sagemaker: Scripted, bucket: Any) -> Transforming:
    return Transforming(sagemaker, bucket)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "rows.csv"
    path.write_text("id,Torque [Nm],Type\n7,40,L\n8,50,H\n")
    return path


def test_rows_are_sent_in_the_models_order_and_come_back_with_their_scores(
    account: Transforming, command: Command, file: Path
) -> None:
    result = command("transform", str(file))
    assert result.code == 0, result.err
    assert file.with_name("rows.scored.csv").read_text() == (
        "id,Torque [Nm],Type,score,predicted_label\n7,40,L,0.25,0\n8,50,H,0.75,1\n"
    )
    assert "Scored     2 rows in 1 min 15 s; 1 are predicted failures" in result.out
    (job,) = account.sagemaker.asked("CreateTransformJob")
    folder = job["TransformInput"]["DataSource"]["S3DataSource"]["S3Uri"]
    key = f"{folder.removeprefix(f's3://{BUCKET}/')}part-00000.csv"
    body = account.bucket.get_object(Bucket=BUCKET, Key=key)["Body"].read()
    assert body == b"L,40\nH,50\n"
    (model,) = account.sagemaker.asked("CreateModel")
    assert model["Containers"] == [{"ModelPackageName": f"{GROUP_ARN}/4"}]
    assert account.sagemaker.asked("DeleteModel") == [{"ModelName": model["ModelName"]}]


def test_a_failed_job_without_a_readable_log_tells_awss_reason(
    account: Transforming, command: Command, file: Path
) -> None:
    reason = "ClientError: See job logs for more information"
    account.end = {"TransformJobStatus": "Failed", "FailureReason": reason}
    result = command("transform", str(file))
    assert result.code == 4
    assert reason in result.err
    assert len(account.sagemaker.asked("DeleteModel")) == 1
    assert not file.with_name("rows.scored.csv").exists()


def test_a_job_that_somebody_stopped_is_told_and_cleaned_up(
    account: Transforming, command: Command, file: Path
) -> None:
    account.end = {"TransformJobStatus": "Stopped"}
    result = command("transform", str(file))
    assert (result.code, "was stopped; nothing was written" in result.err) == (6, True)
    assert len(account.sagemaker.asked("DeleteModel")) == 1


def test_answers_that_are_not_one_for_each_row_are_not_written(
    account: Transforming, command: Command, file: Path
) -> None:
    account.scores = "0.25,0\n"
    result = command("transform", str(file))
    assert (result.code, "gave 1 answers for 2 rows from row 1 on" in result.err) == (4, True)
    assert not file.with_name("rows.scored.csv").exists()


def test_a_model_that_cannot_be_deleted_is_told_and_costs_no_scores(
    account: Transforming, command: Command, file: Path
) -> None:
    def refuse(_: dict[str, Any]) -> dict[str, Any]:
        raise Refusal("AccessDeniedException", "you may not")

    account.sagemaker.answers["DeleteModel"] = refuse
    result = command("transform", str(file))
    assert (result.code, "could not be deleted" in result.err) == (0, True)


def test_ctrl_c_stops_the_job_and_deletes_the_model(
    account: Transforming, command: Command, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stopped: list[dict[str, Any]] = []
    account.end = {"TransformJobStatus": "Stopped"}
    account.sagemaker.answers["StopTransformJob"] = lambda request: stopped.append(request) or {}
    naps: list[float] = []

    def sleep(seconds: float) -> None:
        naps.append(seconds)
        if len(naps) == 1:
            raise KeyboardInterrupt

    from pipelines.build import transform_job

    monkeypatch.setattr(transform_job.follow, "__defaults__", (sleep,))
    result = command("transform", str(file))
    assert (result.code, "was stopped; nothing was written" in result.err) == (130, True)
    assert len(stopped) == 1
    assert len(account.sagemaker.asked("DeleteModel")) == 1


def test_a_version_that_does_not_say_its_columns_is_refused(
    account: Transforming, command: Command, file: Path
) -> None:
    account.bucket.delete_object(Bucket=BUCKET, Key=CONTRACT)
    result = command("transform", str(file))
    assert (result.code, "of version 4 is not there" in result.err) == (2, True)
    assert account.sagemaker.asked("CreateModel") == []


CELL = st.text(st.characters(codec="utf-8", exclude_characters="\0\r"), max_size=6)
ROWS = st.lists(st.tuples(CELL, CELL, CELL).filter(any), min_size=1, max_size=20)


@given(ROWS, st.integers(1, 40))
def test_every_row_is_sent_once_and_comes_back_with_its_own_score(
    tmp_path_factory: pytest.TempPathFactory, given_rows: list[tuple[str, ...]], size: int
) -> None:
    folder = tmp_path_factory.mktemp("rows")
    header = ("other", *reversed(COLUMNS))
    path = folder / "rows.csv"
    with path.open("w", newline="", encoding="utf-8") as out:
        csv.writer(out).writerows([header, *given_rows])
    table = rows.open_table(path, COLUMNS)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rows, "_PART_BYTES", size)
        patch.setattr(rows, "_BLOCK", 2)
        parts, _ = rows.cut(table, folder)
    sent = []
    for part in parts:
        found = list(csv.reader(io.StringIO(part.path.read_text(encoding="utf-8"), newline="")))
        assert len(found) == part.rows
        assert part.first == len(sent) + 1
        answers = [f"{part.first + place},{place % 2}" for place in range(part.rows)]
        part.path.with_name(f"{part.path.name}.out").write_text("\n".join(answers))
        sent += found
    assert sent == [[row[2], row[1]] for row in given_rows]
    total, _ = rows.join(table, parts, folder, folder / "out.csv")
    assert total == len(given_rows)
    with (folder / "out.csv").open(newline="", encoding="utf-8") as file:
        names, *scored = list(csv.reader(file))
    assert names == [*header, *rows.SCORE_COLUMNS]
    assert [row[:3] for row in scored] == [list(row) for row in given_rows]
    assert [row[3] for row in scored] == [str(n) for n in range(1, len(scored) + 1)]
    first = next(table.rows())
    assert table.line(1) == first[0]
