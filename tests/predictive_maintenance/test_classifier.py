"""The handler that serves the classifier."""

import io
import json
import logging
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import flask
import numpy as np
import pytest
import xgboost as xgb
from hypothesis import given, settings
from hypothesis import strategies as st
from modelling import environment, raw_columns, train_quickly, write_splits

from pipelines.predictive_maintenance import features, table
from pipelines.predictive_maintenance.features import FEATURE_NAMES
from pipelines.predictive_maintenance.inference import matrix
from pipelines.predictive_maintenance.inference.classifier.inference import model_fn, transform_fn
from pipelines.predictive_maintenance.train import train

WIDTH = len(FEATURE_NAMES)
NPY = "application/x-npy"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("classifier")
    train_quickly(folder)
    return folder


@pytest.fixture(scope="module")
def model(folder):
    return model_fn(str(folder / "model"))


@pytest.fixture(scope="module")
def rows(folder):
    return table.read(folder / "test")[0]


def as_csv(rows):
    return "".join(",".join(map(str, row)) + "\n" for row in rows)


def refusal(answer):
    return answer.status_code, json.loads(answer.get_data())["error"]


def test_every_answer_is_the_boosters_own(folder, model, rows):
    """Whatever is faster than a DMatrix must not be anything else than a DMatrix."""
    booster = xgb.Booster(model_file=folder / "model" / "xgboost-model.ubj")
    expected = booster.predict(xgb.DMatrix(rows, feature_names=list(FEATURE_NAMES)))
    body, kind = transform_fn(model, as_csv(rows), "text/csv", "application/json")
    predictions = json.loads(body)["predictions"]
    assert kind == "application/json"
    scores = np.array([each["score"] for each in predictions], dtype=np.float32)
    np.testing.assert_array_equal(scores, expected)
    labels = [each["predicted_label"] for each in predictions]
    assert labels == (expected >= np.float32(booster.attr("threshold"))).astype(int).tolist()
    assert 0 < sum(labels) < len(labels)
    assert transform_fn(model, matrix.dump(rows), NPY, "*/*") == (body, kind)
    for row, score in zip(rows, expected, strict=True):
        alone, _ = transform_fn(model, matrix.dump(row[np.newaxis]), NPY, "text/csv")
        assert np.float32(alone.partition(",")[0]) == score


def test_the_model_as_it_is_trained_scores_every_row_as_the_booster_does(tmp_path):
    """Most rows are training rows, whose very values the trees' thresholds are made of."""
    columns = raw_columns()
    write_splits(tmp_path, columns=columns)
    assert train.main((), environment(tmp_path)) == 0
    model = model_fn(str(tmp_path / "model"))
    rows = features.derive(columns)
    assert len(rows) == 10_000
    booster = xgb.Booster(model_file=tmp_path / "model" / "xgboost-model.ubj")
    expected = booster.predict(xgb.DMatrix(rows, feature_names=list(FEATURE_NAMES)))
    body, _ = transform_fn(model, matrix.dump(rows), NPY, "text/csv")
    told = np.array([line.partition(",")[0] for line in body.splitlines()], dtype=np.float32)
    np.testing.assert_array_equal(told, expected)
    lines = as_csv(rows)
    assert transform_fn(model, lines, "text/csv", "text/csv")[0] == body
    alone = [transform_fn(model, matrix.dump(row[None]), NPY, "text/csv")[0] for row in rows]
    assert "".join(alone) == body


def test_csv_and_json_say_the_same_both_ways(model, rows):
    few = rows[:50]
    instances = json.dumps({"instances": few.astype(float).tolist()})
    answers = {
        transform_fn(model, body, kind, "text/csv")
        for body, kind in ((as_csv(few), "text/csv"), (instances, "application/json"))
    }
    assert len(answers) == 1
    text, kind = answers.pop()
    assert kind == "text/csv"
    body, _ = transform_fn(model, as_csv(few), "text/csv", "application/json")
    assert [tuple(map(float, line.split(","))) for line in text.splitlines()] == [
        (each["score"], each["predicted_label"]) for each in json.loads(body)["predictions"]
    ]


@settings(deadline=None)
@given(
    st.lists(
        st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=WIDTH, max_size=WIDTH
    )
)
def test_a_value_is_read_as_the_float32_it_was_written_from(model, row):
    features = np.array([row], dtype=np.float32)
    expected = model.score(features)
    for text in (as_csv(features), ",".join(f"{value:.9g}" for value in row)):
        body, _ = transform_fn(model, text, "text/csv", "text/csv")
        assert np.float32(body.split(",")[0]) == expected[0]


@pytest.mark.parametrize(
    "accept",
    [
        None,
        "",
        "*/*",
        "application/json",
        "text/html, application/*;q=0.8",
        "application/json; charset=utf-8",
        "text/csv;q=0.5, application/json",
        "text/csv, application/json",
        "text/csv;q=0, */*",
    ],
)
def test_json_is_the_default_answer(model, rows, accept):
    assert transform_fn(model, as_csv(rows[:1]), "text/csv", accept)[1] == "application/json"


@pytest.mark.parametrize(
    "accept",
    [
        "text/csv",
        "TEXT/CSV",
        "text/csv; header=absent",
        "text/*",
        "text/csv, */*;q=0.1",
        "application/json; q=0.1, text/csv; q=0.9",
        "application/json ; Q=0.1; charset=utf-8, text/csv",
    ],
)
def test_csv_is_written_for_who_likes_it_best(model, rows, accept):
    assert transform_fn(model, as_csv(rows[:1]), "text/csv", accept)[1] == "text/csv"


@pytest.mark.parametrize(
    "kind", ["text/csv", "text/csv; charset=utf-8", "TEXT/CSV", " text/csv ;header=absent"]
)
def test_parameters_and_case_of_the_content_type_do_not_matter(model, rows, kind):
    line = as_csv(rows[:1])
    for body in (
        line,
        line.encode(),
        line.strip(),
        line.replace("\n", "\r\n"),
        "\ufeff".encode() + line.encode(),
    ):
        assert transform_fn(model, body, kind, "text/csv") == transform_fn(
            model, line, "text/csv", "text/csv"
        )


@pytest.mark.parametrize("change", [-1, 1])
def test_a_row_of_another_width_is_refused_by_its_number(model, rows, change):
    """The container's own decoder would answer it with 200 and a wrong score."""
    lines = [list(map(str, row)) for row in rows[:3]]
    lines[1] = (lines[1] + ["1"])[: WIDTH + change]
    status, message = refusal(
        transform_fn(model, "\n".join(map(",".join, lines)), "text/csv", "*/*")
    )
    assert status == 400
    assert message.startswith(f"Row 2 must have {WIDTH} values (type, ")
    assert message.endswith(f"not {WIDTH + change}.")


@pytest.mark.parametrize(
    "value",
    ["nan", "inf", "-inf", "", " ", "L", "1_0", "1e400", "1e39", "0x1", "--1", "e", "\u0661"],
)
def test_a_text_that_is_no_finite_number_is_refused_by_row_column_and_value(model, rows, value):
    lines = [list(map(str, row)) for row in rows[:2]]
    lines[1][5] = value
    status, message = refusal(
        transform_fn(model, "\n".join(map(",".join, lines)), "text/csv", "*/*")
    )
    assert status == 400
    assert message == f"Row 2, column {FEATURE_NAMES[5]}: must be a finite number, not {value!r}."


@pytest.mark.parametrize(
    "value",
    [
        "NaN",
        "Infinity",
        "null",
        "true",
        '"1"',
        "[1]",
        "{}",
        "1e39",
        "1e400",
        "1" + "0" * 400,
        "9" * 5000,
    ],
)
def test_a_json_value_that_is_no_finite_number_is_refused(model, rows, value):
    row = [repr(float(each)) for each in rows[0]]
    row[0] = value
    body = f'{{"instances": [[{", ".join(row)}]]}}'
    status, message = refusal(transform_fn(model, body, "application/json", "*/*"))
    assert status == 400
    assert message.startswith("Row 1, column type: must be a finite number, not ")
    assert len(message) < 120


@pytest.mark.parametrize("body", ["", "\n\n", b"\xff\xfe1,2"])
def test_a_body_without_readable_rows_is_refused(model, body):
    status, message = refusal(transform_fn(model, body, "text/csv", "*/*"))
    assert status == 400
    assert message.startswith("The body must ")


@pytest.mark.parametrize(
    "body",
    [
        "{",
        "[]",
        "3",
        '{"instances": 3}',
        '{"instances": []}',
        '{"rows": []}',
        '{"instances": [], "instances": []}',
        "[" * 100_000,
        '{"instances":' * 100_000,
    ],
)
def test_json_of_another_shape_is_refused(model, body):
    status, message = refusal(transform_fn(model, body, "application/json", "*/*"))
    assert status == 400
    assert message.startswith("The body must ")


def test_an_unknown_type_in_or_out_has_its_own_status(model, rows):
    line = as_csv(rows[:1])
    for kind in ("text/html", "", None, "text/csv; charset=latin-1", "application/octet-stream"):
        status, message = refusal(transform_fn(model, line, kind, "*/*"))
        assert status == 415
        assert "must be application/x-npy or text/csv or application/json" in message
    assert refusal(transform_fn(model, line, "text/csv", "image/png"))[0] == 406


def test_a_refusal_keeps_its_status_through_flask(model):
    """The container's server is Flask: what transform_fn returns is what its view returns."""
    app = flask.Flask(__name__)
    app.add_url_rule(
        "/invocations",
        view_func=lambda: transform_fn(model, flask.request.get_data(), "text/csv", "*/*"),
        methods=["POST"],
    )
    answer = app.test_client().post("/invocations", data="1,2")
    assert answer.status_code == 400
    assert answer.mimetype == "application/json"
    assert answer.get_json()["error"].startswith("Row 1 must have")


def saved(array, **how):
    written = io.BytesIO()
    np.save(written, array, **how)
    return written.getvalue()


def test_what_numpy_saves_is_read(model, rows):
    """The type between the containers is numpy's own, so that anybody can write it."""
    few = rows[:3]
    assert saved(few) == matrix.dump(few)
    assert np.array_equal(np.load(io.BytesIO(matrix.dump(few))), few)
    assert transform_fn(model, saved(few), NPY, "*/*") == transform_fn(
        model, as_csv(few), "text/csv", "*/*"
    )


@settings(deadline=None)
@given(rows=st.integers(1, 10**6), width=st.integers(1, 50))
def test_a_header_is_as_long_for_any_number_of_rows(rows, width):
    """The number of rows is computed from the length, before the header can be compared."""
    assert len(matrix._header(rows, width)) == len(matrix._header(1, width))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        "",
        b"\x93NUMPY",
        b"\x93NUMPY\x01\x00v\x00" + b"[" * 10_000,
        saved(np.zeros((2, WIDTH))),
        saved(np.zeros((2, WIDTH), np.float32, order="F")),
        saved(np.zeros((2, WIDTH - 1), np.float32)),
        saved(np.zeros((0, WIDTH), np.float32)),
        saved(np.zeros(WIDTH, np.float32)),
        saved(np.zeros((2, WIDTH), ">f4")),
        saved(np.zeros((2, WIDTH), np.int32)),
        saved(np.array([["x"] * WIDTH], dtype=object), allow_pickle=True),
        saved(np.zeros((2, WIDTH), np.float32))[:-1],
        saved(np.zeros((2, WIDTH), np.float32)) + b"\0",
        saved(np.zeros((2, WIDTH), np.float32)) + bytes(4 * WIDTH),
    ],
)
def test_another_matrix_is_refused(model, body):
    """Another shape, type or length would be scored as other features."""
    status, message = refusal(transform_fn(model, body, NPY, "*/*"))
    assert status == 400
    assert message.startswith(
        f"The body must be what numpy.save writes for a float32 matrix of {WIDTH} columns (type, "
    )


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_value_of_a_matrix_that_is_not_finite_is_refused(model, rows, value):
    few = rows[:3].copy()
    few[1, 4] = value
    status, message = refusal(transform_fn(model, saved(few), NPY, "*/*"))
    assert status == 400
    assert message.startswith(f"Row 2, column {FEATURE_NAMES[4]}: must be a finite number, not ")


def test_threads_get_their_own_answers(model, rows):
    """Each call has a matrix of its own in XGBoost's memory, and they do not pile up."""
    expected = [transform_fn(model, matrix.dump(rows[i : i + 3]), NPY, "*/*") for i in range(300)]
    with ThreadPoolExecutor(4) as threads:
        answers = threads.map(
            lambda i: transform_fn(model, matrix.dump(rows[i : i + 3]), NPY, "*/*"), range(300)
        )
        assert list(answers) == expected
    assert 1 <= len(model.score._idle) <= 5


def test_without_the_c_api_the_python_api_gives_the_same(folder, model, rows, monkeypatch, caplog):
    """Another build of XGBoost may keep its library elsewhere; it must still serve, and say so."""
    few = matrix.dump(rows[:200])
    expected = transform_fn(model, few, NPY, "*/*")
    with monkeypatch.context() as patch, caplog.at_level(logging.WARNING):
        patch.setattr(xgb, "build_info", dict)
        other = model_fn(str(folder / "model"))
    assert "C API is not used: KeyError: 'libxgboost'" in caplog.text
    assert transform_fn(other, few, NPY, "*/*") == expected
    assert type(other.score) is not type(model.score)


def test_a_c_api_that_scores_otherwise_is_not_used(folder, rows, monkeypatch, caplog):
    """Speed never buys another score."""
    from pipelines.predictive_maintenance.inference.classifier import scorer

    right = scorer._DirectScorer.__call__
    monkeypatch.setattr(
        scorer._DirectScorer, "__call__", lambda self, rows: [1 - x for x in right(self, rows)]
    )
    other = model_fn(str(folder / "model"))
    assert "it gives other scores" in caplog.text
    booster = xgb.Booster(model_file=folder / "model" / "xgboost-model.ubj")
    assert other.score(rows[:50]) == booster.inplace_predict(rows[:50]).tolist()


def test_the_model_folder_serves_by_itself(folder, rows):
    """code/ carries all that the handler imports: it answers without the repository."""
    script = (
        "import sys, inference\n"
        "model = inference.model_fn(sys.argv[1])\n"
        "assert inference.__file__.startswith(sys.argv[1]), inference.__file__\n"
        "body = sys.stdin.buffer.read()\n"
        "print(inference.transform_fn(model, body, 'application/x-npy', 'text/csv')[0], end='')\n"
    )
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, "-c", script, str(folder / "model")],
        input=matrix.dump(rows[:20]),
        cwd=folder,
        env=environment | {"PYTHONPATH": str(folder / "model" / "code")},
        check=True,
        capture_output=True,
    )
    assert len(done.stdout.splitlines()) == 20
