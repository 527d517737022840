"""The serving handler of the first container, used as the container uses it."""

import io
import json
import math
import os
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.csv
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.preprocessing import FunctionTransformer
from werkzeug.wrappers import Response

from pipelines.predictive_maintenance import data, generator, schema
from pipelines.predictive_maintenance.features import FEATURE_NAMES, Matrix
from pipelines.predictive_maintenance.inference.featurizer import fitted, inference
from pipelines.predictive_maintenance.preprocess import archive

GOOD = ["L", "298.1", "308.6", "1551", "42.8", "0"]
ROW = ",".join(GOOD)
VALUES = ["L", 298.1, 308.6, 1551, 42.8, 0]
Model = Callable[..., Matrix]


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> pa.Table:
    """Every raw input row of the user's data if AI4I_DATA names it, else of a generated file."""
    folder = tmp_path_factory.mktemp("raw")
    if os.environ.get(data.FOLDER_VARIABLE):
        path = data.fetch(folder).path
    else:
        path = folder / "rows.csv"
        generator.write_csv(path, 10_000, 1)
    return pyarrow.csv.read_csv(path).select(list(schema.COLUMN_NAMES))


@pytest.fixture(scope="module")
def transformer(table: pa.Table) -> FunctionTransformer:
    return fitted.build().fit(table)


@pytest.fixture(scope="module")
def model_dir(transformer: FunctionTransformer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The unpacked model.tar.gz."""
    folder = tmp_path_factory.mktemp("model")
    with tarfile.open(fileobj=io.BytesIO(archive.pack(transformer))) as packed:
        packed.extractall(folder, filter="data")
    return folder


@pytest.fixture(scope="module")
def model(model_dir: Path) -> Model:
    return inference.model_fn(str(model_dir))


def parse(answer: inference.Answer) -> npt.NDArray[np.float32]:
    assert isinstance(answer, tuple), answer.get_data(as_text=True)
    body, content_type = answer
    assert content_type == "application/x-npy"
    features: npt.NDArray[np.float32] = np.load(io.BytesIO(body))
    assert features.dtype == np.float32
    return features


def refuse(
    model: Model, body: str | bytes, content_type: str = "text/csv", status: int = 400
) -> str:
    """Send a bad request; give the message of the refusal."""
    answer = inference.transform_fn(model, body, content_type, "*/*")
    assert isinstance(answer, Response)
    assert answer.status_code == status
    assert answer.content_type == "application/json"
    message: str = json.loads(answer.get_data())["error"]
    return message


def as_csv(table: pa.Table) -> str:
    return "".join(",".join(map(str, row.values())) + "\n" for row in table.to_pylist())


def test_every_row_of_the_data_gives_what_scikit_learn_gives(
    model: Model, transformer: FunctionTransformer, table: pa.Table
) -> None:
    """The fast path equals the fitted transformer bit by bit, all rows at once and each alone."""
    expected = transformer.transform(table)
    text = as_csv(table)
    answer = parse(inference.transform_fn(model, text, "text/csv", "text/csv"))
    assert answer.shape == (table.num_rows, len(FEATURE_NAMES))
    assert np.array_equal(answer, expected)
    for line, features in zip(text.splitlines(), expected, strict=True):
        alone = inference.transform_fn(model, line, "text/csv", "text/csv")
        assert isinstance(alone, tuple)
        assert alone[0].endswith(features.tobytes())


def test_json_and_csv_rows_give_the_same(model: Model, table: pa.Table) -> None:
    """Objects, lists, and a list without the name "instances" are the same rows."""
    some = table.slice(0, 50)
    expected = inference.transform_fn(model, as_csv(some), "text/csv", "*/*")
    objects = some.to_pylist()
    lists = [list(row.values()) for row in objects]
    shuffled = [dict(reversed(row.items())) | {"UDI": 1} for row in objects]
    for document in ({"instances": objects}, {"instances": lists}, {"instances": shuffled}, lists):
        body = json.dumps(document).encode()
        assert inference.transform_fn(model, body, "application/json", "*/*") == expected


def number_of(column: schema.Column) -> st.SearchStrategy[float]:
    assert column.minimum is not None
    assert column.maximum is not None
    if column.kind == "integer":
        return st.integers(int(column.minimum), int(column.maximum)).map(float)
    return st.floats(column.minimum, column.maximum)


ROWS = st.lists(
    st.tuples(
        *(
            st.sampled_from(column.categories) if column.kind == "category" else number_of(column)
            for column in schema.COLUMNS
        )
    ),
    min_size=1,
    max_size=5,
)


@settings(deadline=None)
@given(rows=ROWS)
def test_any_plausible_row_gives_what_scikit_learn_gives(
    rows: list[tuple[Any, ...]], model: Model, transformer: FunctionTransformer
) -> None:
    """Also for values that the data does not have, at the limits and between floats."""
    table = pa.table(dict(zip(schema.COLUMN_NAMES, zip(*rows, strict=True), strict=True)))
    expected = transformer.transform(table)
    answer = parse(inference.transform_fn(model, as_csv(table), "text/csv", "*/*"))
    assert np.array_equal(answer, expected)
    for row, features in zip(table.to_pylist(), expected, strict=True):
        alone = inference.transform_fn(model, json.dumps([row]), "application/json", "*/*")
        assert np.array_equal(parse(alone), [features])


TOKENS = st.one_of(
    st.floats(allow_nan=True).map(repr),
    st.integers(-5, 12_000).map(str),
    st.text(st.characters(codec="utf-8", exclude_characters='",\r\n\ufeff'), max_size=6),
    st.from_regex(schema.NUMBER, fullmatch=True),
)


@settings(deadline=None)
@given(place=st.integers(0, 5), token=TOKENS)
def test_a_row_is_answered_exactly_when_its_values_follow_their_rules(
    place: int, token: str, model: Model
) -> None:
    """The quick check and the schema's rule never differ; a refusal names row and column."""
    row = [*GOOD]
    row[place] = token
    body = f"{ROW}\n{','.join(row)}\n"
    if schema.COLUMNS[place].accepts(token):
        assert len(parse(inference.transform_fn(model, body, "text/csv", "*/*"))) == 2
    else:
        name = schema.COLUMN_NAMES[place]
        assert refuse(model, body).startswith(f"Row 2, column {name}: must be ")


@settings(deadline=None)
@given(
    place=st.integers(0, 5),
    value=st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.integers(-5, 12_000),
        st.floats(),
        st.floats(0, 500),
        st.text(max_size=3),
        st.sampled_from("LMH"),
        st.lists(st.integers(), max_size=2),
    ),
)
@pytest.mark.parametrize("before", [[], [VALUES]], ids=["alone", "second"])
def test_a_json_row_is_answered_exactly_when_its_values_follow_their_rules(
    place: int, value: Any, before: list[Any], model: Model
) -> None:
    """Nothing but a number is a number, whichever way a row takes; a refusal names the column."""
    row = [*VALUES]
    row[place] = value
    body = json.dumps([*before, row])
    column = schema.COLUMNS[place]
    if place == 0:
        good = isinstance(value, str) and column.accepts(value)
    else:
        good = type(value) in {int, float} and column.accepts(repr(value))
    if good:
        answer = inference.transform_fn(model, body, "application/json", "*/*")
        assert len(parse(answer)) == 1 + len(before)
    else:
        message = refuse(model, body, "application/json")
        assert message.startswith(f"Row {1 + len(before)}, column {column.name}: must be ")


@pytest.mark.parametrize(
    "body",
    [
        ROW,
        ROW + "\r\n",
        "\ufeff" + ROW,
        ROW.encode(),
        ('"L",' + ROW[2:]).encode(),
        ",".join(schema.COLUMN_NAMES) + "\n" + ROW,
    ],
    ids=["bare", "CRLF", "mark", "bytes", "quotes", "header"],
)
@pytest.mark.parametrize("content_type", ["text/csv", "text/csv; charset=utf-8", "Text/CSV"])
def test_a_row_may_be_spelt_in_several_ways(
    model: Model, body: str | bytes, content_type: str
) -> None:
    """Line ends, mark, quotes, a header and the parameters of the type change nothing."""
    expected = inference.transform_fn(model, ROW, "text/csv", "*/*")
    assert inference.transform_fn(model, body, content_type, "application/json") == expected


@pytest.mark.parametrize(
    ("column", "value", "rule"),
    [
        ("Torque [Nm]", "", "a number from 0 to 500 Nm"),
        ("Torque [Nm]", "NaN", "a number from 0 to 500 Nm"),
        ("Torque [Nm]", "inf", "a number from 0 to 500 Nm"),
        ("Torque [Nm]", "4_2", "a number from 0 to 500 Nm"),
        ("Air temperature [K]", "25.1", "a number from 250 to 350 K"),
        ("Rotational speed [rpm]", "1551.5", "a whole number from 0 to 10000 rpm"),
        ("Type", "X", "one of L, M, H"),
    ],
)
def test_a_bad_value_is_named_with_row_column_and_rule(
    model: Model, column: str, value: str, rule: str
) -> None:
    """Csv and JSON get the same sentence, and never features."""
    row = dict(zip(schema.COLUMN_NAMES, GOOD, strict=True)) | {column: value}
    message = f"Row 2, column {column}: must be {rule}, not {value!r}."
    assert refuse(model, f"{ROW}\n{','.join(row.values())}") == message
    instance = dict(zip(schema.COLUMN_NAMES, VALUES, strict=True)) | {column: value}
    body = json.dumps({"instances": [VALUES, instance]})
    assert refuse(model, body, "application/json") == message.replace("not ", "not the string ")


@pytest.mark.parametrize("value", [None, True, math.nan, math.inf, 10**400, [42.8], {}])
def test_json_values_that_are_no_numbers_are_refused(model: Model, value: Any) -> None:
    """Null, true, NaN, Infinity, a number without bounds and a nested value are no torque."""
    body = json.dumps([["L", 298.1, 308.6, 1551, value, 0]])
    message = refuse(model, body, "application/json")
    assert message.startswith("Row 1, column Torque [Nm]: must be a number from 0 to 500 Nm, not ")
    assert len(message) < 150


@pytest.mark.parametrize(
    ("row", "count"), [(ROW + ",1", 7), (ROW[:-2], 5), ("", 1), (" ", 1), ("L;298.1;308.6", 1)]
)
def test_a_row_of_another_width_is_refused(model: Model, row: str, count: int) -> None:
    """A row too short would get a wrong score further on."""
    message = refuse(model, f"{ROW}\n{row}\n{ROW}")
    assert message.startswith("Row 2 must have 6 values (Type, Air temperature [K], ")
    assert message.endswith(f"not {count}.")


@pytest.mark.parametrize(
    ("body", "content_type", "message"),
    [
        ("", "text/csv", "The body must hold at least one row; it has none."),
        ("\n\n", "text/csv", "The body must hold at least one row; it has none."),
        (",".join(schema.COLUMN_NAMES), "text/csv", "at least one row; it has none."),
        ("[]", "application/json", "at least one row; it has none."),
        ('{"instances": []}', "application/json", "at least one row; it has none."),
        ("", "application/json", "The body must be JSON: "),
        ("{", "application/json", "The body must be JSON: "),
        ("[" * 100_000, "application/json", "The body must be JSON: "),
        ("3", "application/json", 'The body must be {"instances": [{'),
        ('{"rows": []}', "application/json", 'The body must be {"instances": [{'),
        ("[3]", "application/json", "Row 1 must be an object or a list, not 3."),
        ('[{"Type": "L"}]', "application/json", "Air temperature [K] is missing."),
        (b"L,\xff", "text/csv", "The body must be UTF-8; byte 2 is not."),
        ('"' + "x" * 200_000, "text/csv", "The body must be csv: "),
    ],
)
def test_a_bad_body_is_told_in_a_sentence(
    model: Model, body: str | bytes, content_type: str, message: str
) -> None:
    """Whatever the body is, the answer is a 400 with a reason."""
    assert message in refuse(model, body, content_type)


@pytest.mark.parametrize(
    "content_type", ["application/x-npy", "text/plain", "", None, "text/csv; charset=latin-1"]
)
def test_another_content_type_is_a_415(model: Model, content_type: str) -> None:
    """The message names the types that are read."""
    message = refuse(model, ROW, content_type, status=415)
    assert "must be text/csv or application/json" in message


def test_a_huge_value_is_not_echoed(model: Model) -> None:
    """A message stays short, however long the value and however many the rows."""
    row = ",".join(["x" * 100_000, *GOOD[1:]])
    message = refuse(model, "\n".join([row] * 20))
    assert message.endswith("(100000 characters). And more.")
    assert len(message) < 1000


def test_another_models_transformer_is_not_served(tmp_path: Path) -> None:
    """A transformer of other columns fails when the container starts, not with wrong scores."""
    other = fitted.build().fit(pa.table({"a": [1.0], "b": [2.0]}))
    joblib.dump(other, tmp_path / fitted.FILE_NAME)
    with pytest.raises(fitted.FeaturizerError, match="it was fitted on"):
        inference.model_fn(str(tmp_path))


def test_a_transformer_that_calls_another_function_is_not_served(tmp_path: Path) -> None:
    """The handler calls the array function itself, so it must be the one that was fitted."""
    rows = pa.table(dict(zip(schema.COLUMN_NAMES, ([each] for each in VALUES), strict=True)))
    other = FunctionTransformer(np.asarray, feature_names_out=fitted.name_features).fit(rows)
    joblib.dump(other, tmp_path / fitted.FILE_NAME)
    with pytest.raises(fitted.FeaturizerError, match="it calls"):
        inference.model_fn(str(tmp_path))


def test_the_archive_serves_by_itself(model_dir: Path, table: pa.Table) -> None:
    """code/ carries all that the handler imports: it answers without the repository."""
    script = (
        "import sys, inference\n"
        "model = inference.model_fn(sys.argv[1])\n"
        "body, kind = inference.transform_fn(model, sys.stdin.read(), 'text/csv', '*/*')\n"
        "assert inference.__file__.startswith(sys.argv[1]), inference.__file__\n"
        "sys.stdout.buffer.write(body)\n"
    )
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, "-c", script, str(model_dir)],
        input=as_csv(table.slice(0, 20)).encode(),
        cwd=model_dir,
        env=environment | {"PYTHONPATH": str(model_dir / "code")},
        check=True,
        capture_output=True,
    )
    assert np.load(io.BytesIO(done.stdout)).shape == (20, len(FEATURE_NAMES))
