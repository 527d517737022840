"""`transform`: rows of a csv scored by a version that a real run has registered."""

import csv
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from command_line import GROUP, ROOT, Account, CommandLine
from runs import Finished, Project

from pipelines.predictive_maintenance import data, generator, schema

pytestmark = pytest.mark.integration
SCORES = ["score", "predicted_label"]


@pytest.fixture(scope="module")
def approved(first: Finished, project: Project) -> Iterator[int]:
    """A version of these tests' own, approved while they run."""
    version = project.run().version
    answer = project.command("approve", str(version), "--note", "to score with")
    assert answer.code == 0, answer.text
    yield version
    project.command("reject", str(version), "--note", "the tests are over")


@pytest.fixture(scope="module")
def raw(data_folder: Path) -> list[list[str]]:
    """The first rows of the raw data, header first: all columns, the label's among them."""
    with (data_folder / data.FILE_NAME).open(newline="", encoding="utf-8-sig") as file:
        return list(csv.reader(file))[:1001]


def write(path: Path, rows: list[list[str]], encoding: str = "utf-8") -> Path:
    with path.open("w", newline="", encoding=encoding) as file:
        csv.writer(file).writerows(rows)
    return path


def read(path: Path) -> list[list[str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.reader(file))


def models(account: Account) -> list[str]:
    """The models that `transform` has made and not deleted."""
    answer = account.client("sagemaker").list_models(NameContains="-transform-")
    return [each["ModelName"] for each in answer["Models"]]


def approved_versions(account: Account) -> list[str]:
    answer = account.client("sagemaker").list_model_packages(
        ModelPackageGroupName=GROUP, ModelApprovalStatus="Approved"
    )
    return [each["ModelPackageArn"] for each in answer["ModelPackageSummaryList"]]


def bare(raw: list[list[str]]) -> list[list[str]]:
    """The model's columns alone, without a header."""
    places = [raw[0].index(name) for name in schema.COLUMN_NAMES]
    return [[row[place] for place in places] for row in raw[1:]]


def test_a_csv_with_all_its_columns_comes_back_with_scores(
    command: CommandLine, account: Account, approved: int, raw: list[list[str]], tmp_path: Path
) -> None:
    file = write(tmp_path / "rows.csv", raw, "utf-8-sig")
    answer = command("transform", str(file))
    assert answer.code == 0, answer.text
    scored = read(tmp_path / "rows.scored.csv")
    assert scored[0] == raw[0] + SCORES
    assert [row[:-2] for row in scored[1:]] == raw[1:]
    predicted = sum(row[-1] == "1" for row in scored[1:])
    assert "Scored     1000 rows in " in answer.out
    assert f"{predicted} are predicted failures" in answer.out
    label = raw[0].index(schema.LABEL)
    hits = sum(row[-1] == row[label] for row in scored[1:])
    assert hits > 950
    assert all(0.0 <= float(row[-2]) <= 1.0 for row in scored[1:])
    assert not models(account)


def test_rows_without_a_header_get_the_same_scores_from_a_named_version(
    command: CommandLine, approved: int, raw: list[list[str]], tmp_path: Path
) -> None:
    command("transform", str(write(tmp_path / "a.csv", raw)))
    file = write(tmp_path / "b.csv", bare(raw))
    output = tmp_path / "new" / "folder" / "out.csv"
    answer = command("transform", str(file), "--version", str(approved), "--output", str(output))
    assert answer.code == 0, answer.text
    assert "there already" in answer.out
    scored = read(output)
    assert [row[-2:] for row in scored] == [row[-2:] for row in read(tmp_path / "a.scored.csv")[1:]]
    assert [row[:-2] for row in scored] == bare(raw)


def test_many_rows_go_in_several_requests_and_keep_their_order(
    command: CommandLine, approved: int, tmp_path: Path
) -> None:
    generator.write_csv(tmp_path / "all.csv", rows=160_000, seed=7)
    answer = command("transform", str(tmp_path / "all.csv"))
    assert answer.code == 0, answer.text
    given, scored = read(tmp_path / "all.csv"), read(tmp_path / "all.scored.csv")
    assert [row[:-2] for row in scored] == given
    command("transform", str(write(tmp_path / "end.csv", [given[0], *given[-10:]])))
    assert read(tmp_path / "end.scored.csv")[1:] == scored[-10:]


@pytest.mark.parametrize("header", [True, False])
def test_a_row_that_the_model_refuses_is_named_by_its_place_in_the_file(
    command: CommandLine, approved: int, raw: list[list[str]], tmp_path: Path, header: bool
) -> None:
    rows = [raw[0], *raw[1:]] if header else bare(raw)
    many = rows + (rows[1:] if header else rows) * 160
    wrong = 150_000
    many[wrong] = list(many[wrong])
    value = "X" if header else "Row 2"  # which is the user's, whatever it looks like
    many[wrong][many[0].index("Type") if header else 0] = value
    file = write(tmp_path / "rows.csv", many)
    answer = command("transform", str(file))
    assert answer.code == 4, answer.text
    row = wrong if header else wrong + 1
    place = f"{file}: Row {row} (line {wrong + 1}), column Type"
    said = f"{place}: must be one of L, M, H, not {value!r}."
    assert said in answer.err
    assert "group /aws/sagemaker/TransformJobs" in answer.err
    assert not (tmp_path / "rows.scored.csv").exists()


def test_rows_of_a_wrong_width_are_refused_by_the_model(
    command: CommandLine, approved: int, raw: list[list[str]], tmp_path: Path
) -> None:
    file = write(tmp_path / "rows.csv", [row[1:] for row in bare(raw)])
    answer = command("transform", str(file))
    assert answer.code == 4, answer.text
    assert "Row 1 (line 1) must have 6 values" in answer.err


BAD = {
    "missing": (None, "There is no file "),
    "empty": (b"", " is empty."),
    "header only": (",".join(schema.COLUMN_NAMES).encode(), " holds a header and no row."),
    "a column less": (
        ",".join(schema.COLUMN_NAMES[1:]).encode() + b"\n1,2,3,4,5\n",
        "must name every column that the model takes; Type is missing.",
    ),
    "a column twice": (
        ",".join([*schema.COLUMN_NAMES, "Type"]).encode() + b"\nL,1,2,3,4,5,L\n",
        " names Type more than once.",
    ),
    "a short row": (
        ",".join(["UDI", *schema.COLUMN_NAMES]).encode() + b"\n1,L,300,310,1500,40,0\n\n2,L\n",
        "Row 2 of {file} (line 4) has 2 fields; the header has 7.",
    ),
    "other bytes": (b"L,\xff\n", " must be UTF-8"),
    "no csv": (b'L,"a"b\n', " must be csv; line 1"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_file_that_cannot_be_scored_is_told_before_anything_starts(
    command: CommandLine, account: Account, approved: int, tmp_path: Path, case: str
) -> None:
    content, said = BAD[case]
    file = tmp_path / "rows.csv"
    if content is not None:
        file.write_bytes(content)
    jobs = account.client("sagemaker").list_transform_jobs()["TransformJobSummaries"]
    answer = command("transform", str(file))
    assert answer.code == 2, answer.text
    assert said.format(file=file) in answer.err
    assert account.client("sagemaker").list_transform_jobs()["TransformJobSummaries"] == jobs


def test_only_an_approved_version_scores(
    command: CommandLine,
    project: Project,
    account: Account,
    approved: int,
    raw: list[list[str]],
    tmp_path: Path,
) -> None:
    file = write(tmp_path / "rows.csv", raw)
    waiting = project.run().version
    answer = command("transform", str(file), "--version", str(waiting))
    assert answer.code == 2
    assert f"Version {waiting} must be Approved to be used; it is Pending" in answer.err
    assert f"Version    {approved}: " in command("transform", str(file)).out
    answer = command("transform", str(file), "--version", "99")
    assert (answer.code, "not '99'" in answer.err) == (2, True)
    answer = command("transform", str(file), "--output", str(file))
    assert (answer.code, "must be another file" in answer.err) == (2, True)
    answer = command("transform", str(file), "--output", str(tmp_path))
    assert (answer.code, "is a folder" in answer.err) == (2, True)
    others = approved_versions(account)
    for each in others:
        command("reject", each, "--note", "for a moment")
    answer = command("transform", str(file))
    assert (answer.code, "No version is approved" in answer.err) == (2, True)
    for each in others:
        command("approve", each)


def test_an_interrupted_command_stops_its_job_and_deletes_its_model(
    command: CommandLine, account: Account, approved: int, tmp_path: Path
) -> None:
    generator.write_csv(tmp_path / "rows.csv", rows=400_000, seed=7)
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "build_pipeline.py"), "transform", str(tmp_path / "rows.csv")],
        env=dict(command.environment), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("Job "):
            break
    time.sleep(0.5)
    os.kill(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "was stopped; nothing was written" in err
    assert "Traceback" not in err
    assert not (tmp_path / "rows.scored.csv").exists()
    sagemaker = account.client("sagemaker")
    (newest, *_) = sagemaker.list_transform_jobs()["TransformJobSummaries"]
    assert newest["TransformJobStatus"] == "Stopped"
    assert not models(account)
