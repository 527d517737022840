"""The handler that serves the classifier."""

import json

import flask
import numpy as np
import pytest
import xgboost as xgb
from hypothesis import given, settings
from hypothesis import strategies as st
from modelling import train_quickly

from pipelines.predictive_maintenance import table
from pipelines.predictive_maintenance.features import FEATURE_NAMES
from pipelines.predictive_maintenance.inference.classifier.inference import model_fn, transform_fn

WIDTH = len(FEATURE_NAMES)


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
    expected = model.booster.inplace_predict(features)
    for text in (as_csv(features), ",".join(f"{value:.9g}" for value in row)):
        body, _ = transform_fn(model, text, "text/csv", "text/csv")
        assert np.float32(body.split(",")[0]) == expected[0]


@pytest.mark.parametrize(
    "accept", [None, "", "*/*", "application/json", "text/html, application/*;q=0.8"]
)
def test_json_is_the_default_answer(model, rows, accept):
    assert transform_fn(model, as_csv(rows[:1]), "text/csv", accept)[1] == "application/json"


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
    "value", ["NaN", "Infinity", "null", "true", '"1"', "[1]", "1e400", "1" + "0" * 400]
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
    ["{", "[]", "3", '{"instances": 3}', '{"instances": [3]}', '{"instances": []}', '{"rows": []}'],
)
def test_json_of_another_shape_is_refused(model, body):
    status, message = refusal(transform_fn(model, body, "application/json", "*/*"))
    assert status == 400
    assert message.startswith("The body must ")


def test_an_unknown_type_in_or_out_has_its_own_status(model, rows):
    line = as_csv(rows[:1])
    assert refusal(transform_fn(model, line, "text/html", "*/*"))[0] == 415
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
