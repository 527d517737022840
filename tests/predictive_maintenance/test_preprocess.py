"""The preprocessing job: what it writes, that it repeats itself, what it says about bad data."""

import csv
import gzip
import hashlib
import json
import os
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import joblib
import numpy as np
import pyarrow.csv
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.predictive_maintenance import data, generator, schema, table
from pipelines.predictive_maintenance.features import FEATURE_NAMES
from pipelines.predictive_maintenance.preprocess import preprocess
from pipelines.predictive_maintenance.preprocess.errors import DataError
from pipelines.predictive_maintenance.preprocess.split import split

RATIOS = ["--test-ratio", "0.1", "--validation-ratio", "0.2", "--seed", "4"]


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The user's data if AI4I_DATA names it, else generated rows; alone in its folder."""
    path = tmp_path_factory.mktemp("raw") / data.FILE_NAME
    if os.environ.get(data.FOLDER_VARIABLE):
        path.write_bytes(data.fetch(path.parent).path.read_bytes())
    else:
        generator.write_csv(path, 10_000, 1)
    return path


@pytest.fixture(scope="module")
def output(raw: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the job writes for the raw data."""
    output = tmp_path_factory.mktemp("output")
    assert run(raw.parent, output) == 0
    return output


def run(source: Path, output: Path, *more: str) -> int:
    return preprocess.main(["--input", str(source), "--output", str(output), *RATIOS, *more])


def checksums(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def read_rows(path: Path) -> list[tuple[str, ...]]:
    """Rows of a csv as texts in the schema's order, numbers spelt alike."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        return [
            (row["Type"], *(repr(float(row[name])) for name in schema.NUMERIC_NAMES))
            for row in csv.DictReader(file)
        ]


def test_the_outputs_are_those_that_the_later_steps_read(output: Path) -> None:
    """Every output name is a folder, and no partial file stays behind."""
    assert set(checksums(output)) == {
        "train/data.parquet",
        "validation/data.parquet",
        "test/data.parquet",
        "test/rows.csv",
        "baseline/train.csv",
        "featurizer/model.tar.gz",
        "schema/schema.json",
    }


def test_the_parts_hold_their_share_of_rows_and_failures(output: Path) -> None:
    """The split is stratified by the label."""
    shares = {"train": 0.7, "validation": 0.2, "test": 0.1}
    labels = {name: table.read(output / name)[1] for name in shares}
    rows = sum(label.size for label in labels.values())
    failures = sum(label.sum() for label in labels.values())
    for name, share in shares.items():
        assert labels[name].size == pytest.approx(rows * share, abs=2)
        assert labels[name].sum() == pytest.approx(failures * share, abs=2)


def test_no_row_is_lost_or_doubled(raw: Path, output: Path) -> None:
    """Baseline and test rows come from the raw file, and leave exactly the validation rows."""
    rows = read_rows(raw)
    train, test = read_rows(output / "baseline/train.csv"), read_rows(output / "test/rows.csv")
    rest = list(rows)
    for row in train + test:
        rest.remove(row)
    features, _ = table.read(output / "validation")
    wear = FEATURE_NAMES.index("tool_wear")
    assert sorted(float(row[-1]) for row in rest) == sorted(features[:, wear].tolist())


def test_features_are_the_saved_transformer_of_the_raw_rows(output: Path, tmp_path: Path) -> None:
    """test/rows.csv through featurizer.joblib gives test/data.parquet, row by row."""
    with tarfile.open(output / "featurizer/model.tar.gz") as archive:
        archive.extract("featurizer.joblib", tmp_path, filter="data")
    transformer = joblib.load(tmp_path / "featurizer.joblib")
    rows = pyarrow.csv.read_csv(output / "test/rows.csv")
    features, _ = table.read(output / "test")
    transformed = transformer.transform(rows)
    assert tuple(transformer.get_feature_names_out()) == FEATURE_NAMES
    assert transformed.dtype == np.float32
    assert np.array_equal(transformed, features)


def test_the_schema_file_describes_contract_data_and_splits(raw: Path, output: Path) -> None:
    """The training ranges are those of the training part alone."""
    described = json.loads((output / "schema/schema.json").read_text())
    assert described["contract_version"] == schema.CONTRACT_VERSION
    assert described["label"] == schema.LABEL
    assert described["data_sha256"] == hashlib.sha256(raw.read_bytes()).hexdigest()
    assert described["data_rows"] == sum(s["rows"] for s in described["splits"].values())
    assert [column["name"] for column in described["columns"]] == list(schema.COLUMN_NAMES)
    rows = pyarrow.csv.read_csv(output / "baseline/train.csv")
    for column in described["columns"]:
        if column["kind"] == "category":
            assert column["categories"] == ["L", "M", "H"]
            assert column["training_minimum"] is None
        else:
            values = rows[column["name"]].to_numpy()
            assert column["training_minimum"] == values.min() >= column["minimum"]
            assert column["training_maximum"] == values.max() <= column["maximum"]
    for name, counts in described["splits"].items():
        label = table.read(output / name)[1]
        assert counts == {"rows": label.size, "positives": label.sum()}


def test_the_same_input_gives_the_same_bytes(raw: Path, output: Path, tmp_path: Path) -> None:
    """Step caching and comparisons of runs rest on it; another process, another hash seed."""
    command = [sys.executable, "-m", preprocess.__name__, "--input", str(raw.parent)]
    subprocess.run(
        [*command, "--output", str(tmp_path), *RATIOS],
        check=True,
        env={**os.environ, "PYTHONHASHSEED": "77"},
        capture_output=True,
    )
    assert checksums(tmp_path) == checksums(output)


def test_another_seed_gives_another_split(raw: Path, output: Path, tmp_path: Path) -> None:
    """The seed decides which rows go where."""
    assert run(raw.parent, tmp_path, "--seed", "5") == 0
    assert read_rows(tmp_path / "test/rows.csv") != read_rows(output / "test/rows.csv")


def test_the_archive_carries_no_time_and_no_owner(output: Path) -> None:
    """Nothing in model.tar.gz depends on when and by whom it was made."""
    path = output / "featurizer/model.tar.gz"
    assert path.read_bytes()[4:8] == bytes(4)
    with tarfile.open(fileobj=gzip.open(path)) as archive:
        members = archive.getmembers()
    assert {(member.mtime, member.uid, member.uname) for member in members} == {(0, 0, "")}
    assert {"featurizer.joblib", "code/inference.py"} <= {member.name for member in members}


Rewrite = Callable[[str], str]


def shuffle_columns(text: str) -> str:
    order = [8, 2, 7, 6, 5, 4, 3, 0]
    lines = (line.split(",") for line in text.splitlines())
    return "\n".join(",".join(fields[i] for i in order) for fields in lines) + "\n"


@pytest.mark.parametrize(
    "rewrite",
    [
        lambda text: "\ufeff" + text.replace("\n", "\r\n"),
        lambda text: text,
        lambda text: text.rstrip("\n"),
        lambda text: "\ufeff" + shuffle_columns(text),
    ],
    ids=["mark and CRLF", "LF", "no last line end", "other order, without the unused columns"],
)
def test_the_spelling_of_the_file_does_not_matter(
    raw: Path, output: Path, tmp_path: Path, rewrite: Rewrite
) -> None:
    """Byte-order mark, line ends and the order of columns change nothing but the data's hash."""
    source, result = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    text = raw.read_bytes().decode("utf-8-sig").replace("\r\n", "\n")
    (source / "any.csv").write_bytes(rewrite(text).encode())
    assert run(source, result) == 0
    got, expected = checksums(result), checksums(output)
    got.pop("schema/schema.json")
    expected.pop("schema/schema.json")
    assert got == expected


def test_unknown_columns_are_ignored_and_named(
    raw: Path, output: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An extra column is no error, but nobody shall believe that it is used."""
    source, result = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    lines = raw.read_text(encoding="utf-8-sig").splitlines()
    wider = [f"{lines[0]},Vibration", *(f"{line},x" for line in lines[1:])]
    (source / "more.csv").write_text("\n".join(wider))
    assert run(source, result) == 0
    assert "Ignored columns: Vibration\n" in capsys.readouterr().out
    assert checksums(result)["train/data.parquet"] == checksums(output)["train/data.parquet"]


def test_several_files_are_one_table_in_name_order(raw: Path, output: Path, tmp_path: Path) -> None:
    """A file cut in two gives what the whole file gives."""
    source, result = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    lines = raw.read_text(encoding="utf-8-sig").splitlines(keepends=True)
    (source / "b.csv").write_text("".join([lines[0], *lines[4000:]]))
    (source / "a.csv").write_text("".join(lines[:4000]))
    assert run(source, result) == 0
    for name in ("train/data.parquet", "baseline/train.csv", "test/rows.csv"):
        assert checksums(result)[name] == checksums(output)[name]


HEADER = ",".join((*schema.COLUMN_NAMES, schema.LABEL))
GOOD = [f"{kind},298.1,308.6,1551,42.8,{wear},{wear % 2}" for wear in range(30) for kind in "LMH"]


def refuse(tmp_path: Path, content: str | bytes, capsys: pytest.CaptureFixture[str]) -> str:
    """Run the job on one bad file and give its message."""
    source = tmp_path / "in"
    source.mkdir()
    path = source / "bad.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    assert run(source, tmp_path / "out") == 1
    assert not (tmp_path / "out").exists()
    return capsys.readouterr().err.strip()


def with_row(*rows: str) -> str:
    return "\n".join([HEADER, *GOOD, *rows]) + "\n"


def test_good_rows_are_good(tmp_path: Path) -> None:
    """The rows that the next tests spoil pass as they are."""
    (tmp_path / "good.csv").write_text(with_row())
    assert run(tmp_path, tmp_path / "out") == 0


@pytest.mark.parametrize(
    ("row", "column", "rule"),
    [
        ("L,298,308,1551,hot,0,0", "Torque [Nm]", "a number from 0 to 500 Nm, not 'hot'"),
        ("L,298,308,1551,,0,0", "Torque [Nm]", "a number from 0 to 500 Nm, not ''"),
        ("L,nan,308,1551,42,0,0", "Air temperature [K]", "a number from 250 to 350 K, not 'nan'"),
        ("L,25.1,308,1551,42,0,0", "Air temperature [K]", "a number from 250 to 350 K, not '25.1'"),
        (
            "L,298,inf,1551,42,0,0",
            "Process temperature [K]",
            "a number from 250 to 400 K, not 'inf'",
        ),
        (
            "L,298,308,1551.5,42,0,0",
            "Rotational speed [rpm]",
            "a whole number from 0 to 10000 rpm, not '1551.5'",
        ),
        ("X,298,308,1551,42,0,0", "Type", "one of L, M, H, not 'X'"),
        (",298,308,1551,42,0,0", "Type", "one of L, M, H, not ''"),
        ("L,298,308,1551,42,0,2", "Machine failure", "0 or 1, not '2'"),
        ("L,298,308,1551,42,0,", "Machine failure", "0 or 1, not ''"),
    ],
)
def test_a_bad_value_is_named_with_its_place_and_rule(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], row: str, column: str, rule: str
) -> None:
    """The message holds file, row, line, column, rule and value, and nothing else."""
    message = refuse(tmp_path, with_row(row), capsys)
    assert message == f"bad.csv: row 91 (line 92), column {column!r}: must be {rule}"


@pytest.mark.parametrize("row", ["L,298.1,308.6,1551,42,0", "L,298,1,308,6,1551,42,0,0"])
def test_a_row_of_another_width_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], row: str
) -> None:
    """Too few fields, or decimal commas, which make too many."""
    message = refuse(tmp_path, with_row(row), capsys)
    fields = row.count(",") + 1
    where = "bad.csv: row 91 (line 92)"
    assert message == f"{where}, must have 7 fields as the header has, not {fields}"


def test_only_five_findings_are_listed_and_the_rest_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file that is wrong throughout gives a short message."""
    message = refuse(tmp_path, with_row(*["X,1,308.6,1551,42,0,0"] * 50), capsys)
    assert message.count("column ") == 5
    assert message.endswith("; and 95 more")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "the file must have a header and rows; it is empty"),
        ("\ufeff\r\n", "the file must have a header and rows; it is empty"),
        (HEADER, "the file must have rows; it has only a header"),
        (HEADER + "\n", "the file must have rows; it has only a header"),
        (with_row().replace(",", ";"), "commas must separate the fields; here semicolons do"),
        (with_row().replace(",", "\t"), "commas must separate the fields; here tabs do"),
        (
            with_row().replace("Torque [Nm]", "Type"),
            "every column must have a name of its own; 'Type' stands twice",
        ),
        (
            with_row().encode().replace(b"[K]", b"[\xb0K]", 1),
            "the bytes must be UTF-8; line 1 has the byte 0xb0",
        ),
        (
            with_row().encode().replace(b"H,", b"\xff,", 1),
            "the bytes must be UTF-8; line 4 has the byte 0xff",
        ),
        (with_row().encode() + b"\xe4", "the bytes must be UTF-8; the last character is cut off"),
        (
            "\n".join([HEADER, *GOOD[::6]]),
            "column 'Machine failure' must hold both 0 and 1; all 15 rows have 0",
        ),
    ],
)
def test_a_bad_file_is_named_with_the_rule(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str | bytes, message: str
) -> None:
    """What is wrong with a file as a whole is one sentence."""
    assert refuse(tmp_path, content, capsys) == f"bad.csv: {message}"


def test_missing_columns_are_named_beside_those_that_are_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A column of a slightly different name can be seen in the message."""
    message = refuse(tmp_path, with_row().replace("Torque [Nm]", "Torque"), capsys)
    assert message.startswith("bad.csv: the header must name 'Torque [Nm]'; it names 'Type', ")
    assert "'Torque'" in message


def test_too_few_failures_to_split_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A part without a failure could be neither trained on nor measured with."""
    rows = [*GOOD[::6], "L,298.1,308.6,1551,42,0,1"]
    message = refuse(tmp_path, "\n".join([HEADER, *rows]), capsys)
    assert "must hold rows with and without a failure" in message
    assert "of 16 rows, 1 with a failure" in message


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--test-ratio", "0"], "--test-ratio must be between 0 and 1, not 0.0"),
        (["--validation-ratio", "1.5"], "--validation-ratio must be between 0 and 1, not 1.5"),
        (["--test-ratio", "nan"], "--test-ratio must be between 0 and 1, not nan"),
        (["--validation-ratio", "0.9"], "their sum must be below 1, not 0.1 + 0.9"),
        (["--seed", "-1"], "--seed must not be negative, not -1"),
        (["--seed", "x"], "argument --seed: invalid int value: 'x'"),
    ],
)
def test_a_bad_argument_is_one_sentence(
    raw: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
) -> None:
    """Arguments are checked before any data is read."""
    assert run(raw.parent, tmp_path / "out", *arguments) == 1
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


@pytest.mark.parametrize("content", [None, "no csv"])
def test_an_input_without_csv_files_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str | None
) -> None:
    """A wrong path and an empty folder are told apart."""
    source = tmp_path / "in"
    if content:
        source.mkdir()
        (source / "notes.txt").write_text(content)
    assert run(source, tmp_path / "out") == 1
    expected = "holds none" if content else "there is no such folder"
    assert expected in capsys.readouterr().err


def test_the_message_becomes_the_jobs_exit_message(tmp_path: Path) -> None:
    """Run as a job, bad data ends it with 1, no stack trace, and the same text as exit message."""
    (tmp_path / "bad.csv").write_text(HEADER)
    message = tmp_path / "message"
    command = [sys.executable, "-m", preprocess.__name__, "--input", str(tmp_path)]
    done = subprocess.run(
        [*command, "--output", str(tmp_path / "out"), *RATIOS],
        env={**os.environ, preprocess.MESSAGE_VARIABLE: str(message)},
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert done.stderr == message.read_text() + "\n"
    assert done.stderr == "bad.csv: the file must have rows; it has only a header\n"


TOKENS = st.one_of(
    st.floats(allow_nan=True).map(repr),
    st.integers(-5, 12_000).map(str),
    st.text(st.characters(codec="utf-8", exclude_characters='",\r\n\ufeff'), max_size=6),
    st.from_regex(schema.NUMBER, fullmatch=True),
)


@settings(max_examples=150, deadline=None)
@given(column=st.sampled_from(schema.COLUMNS), token=TOKENS)
def test_the_quick_check_and_the_rule_agree(
    tmp_path_factory: pytest.TempPathFactory, column: schema.Column, token: str
) -> None:
    """A file is refused exactly when one of its values breaks its column's rule."""
    from pipelines.predictive_maintenance.preprocess import reader

    folder = tmp_path_factory.mktemp("token")
    row = GOOD[0].split(",")
    row[schema.COLUMN_NAMES.index(column.name)] = token
    (folder / "one.csv").write_bytes(with_row(",".join(row)).encode())
    if column.accepts(token):
        assert reader.read(folder).label.size == len(GOOD) + 1
    else:
        with pytest.raises(DataError, match=r"row 91 \(line 92\), column"):
            reader.read(folder)


@given(
    counts=st.lists(st.integers(0, 60), min_size=6, max_size=6),
    test_ratio=st.floats(0.05, 0.4),
    validation_ratio=st.floats(0.05, 0.4),
    seed=st.integers(0, 2**32),
)
def test_every_stratum_gives_its_share(
    counts: list[int], test_ratio: float, validation_ratio: float, seed: int
) -> None:
    """Each part is within two rows of its share in every stratum; every row is in one part."""
    strata = np.repeat(np.arange(6), counts)
    strata = np.concatenate([strata, np.tile(np.arange(6), 60)])
    label, kind = (strata // 3).astype(np.int8), (strata % 3).astype(np.int8)
    parts = split(label, kind, test_ratio=test_ratio, validation_ratio=validation_ratio, seed=seed)
    together = np.concatenate([parts.train, parts.validation, parts.test])
    assert np.array_equal(np.sort(together), np.arange(strata.size))
    for stratum, size in enumerate(np.bincount(strata)):
        assert abs((strata[parts.test] == stratum).sum() - size * test_ratio) < 2
        assert abs((strata[parts.validation] == stratum).sum() - size * validation_ratio) < 3


def test_the_split_is_the_same_with_every_numpy() -> None:
    """The dealt rows are pinned: the images and the project carry different versions."""
    label, kind = np.tile([0, 1], 50).astype(np.int8), (np.arange(100) % 3).astype(np.int8)
    parts = split(label, kind, test_ratio=0.1, validation_ratio=0.1, seed=2020)
    assert parts.test.tolist() == [2, 22, 24, 27, 30, 55, 61, 63, 64, 65]
    assert parts.validation.tolist() == [5, 8, 35, 38, 67, 69, 72, 85, 88, 94]
