"""POST /predict, GET /health, GET /schema: what a caller gets, and what it finds in the logs."""

import io
import json
import socket
import threading
import time
from types import SimpleNamespace

import boto3
import pytest
from botocore.exceptions import ConnectionClosedError
from conftest import ENDPOINT, PACKAGE
from gateway_events import CONTEXT, Answered, call, event, predict
from served_model import fail
from werkzeug.wrappers import Response

from deploy_endpoint.api import app, contract, deadline, health, reading, settings
from deploy_endpoint.api.endpoint import Endpoint, Prediction
from pipelines.predictive_maintenance import schema


def scores(answered: Answered) -> list[tuple[float, int]]:
    assert answered.status == 200, answered.text
    return [(each["score"], each["predicted_label"]) for each in answered.json["predictions"]]


def expected(stage) -> list[tuple[float, int]]:
    found = stage.document["sample"]["expected"]
    return [(pytest.approx(each["score"], abs=1e-5), each["predicted_label"]) for each in found]


def test_the_packages_own_sample_gets_the_answers_it_must_get(stage) -> None:
    assert scores(predict(stage.payload)) == expected(stage)
    assert scores(predict(stage.rows, "text/csv")) == expected(stage)


def test_a_csv_may_name_its_columns_in_any_order_and_have_more_of_them(stage) -> None:
    order = [3, 5, 0, 1, 4, 2]
    lines = [line.split(",") for line in stage.rows.splitlines()]
    names = [*(schema.COLUMN_NAMES[place] for place in order), "UDI"]
    table = [names, *([line[place] for place in order] + ["1"] for line in lines)]
    answered = predict("\ufeff" + "\r\n".join(map(",".join, table)), "text/csv")
    assert scores(answered) == expected(stage)
    assert [each["column"] for each in answered.json["warnings"]][:1] == ["UDI"]


def test_the_endpoint_is_asked_in_csv_with_the_requests_id(stage) -> None:
    answered = predict(stage.payload, accept="application/json")
    (seen,) = stage.runtime.seen
    assert seen.path == f"/endpoints/{ENDPOINT}/invocations"
    assert seen.headers["Content-Type"] == seen.headers["Accept"] == "text/csv"
    identifier = answered.json["request_id"]
    assert seen.headers["X-Amzn-SageMaker-Inference-Id"] == identifier
    assert answered.headers["x-request-id"] == identifier
    assert answered.json["model_version"] == "7"


def test_a_value_outside_the_training_range_is_a_warning_and_gets_a_score(stage) -> None:
    row = {**json.loads(stage.payload)["instances"][0], "Torque [Nm]": 499.5}
    answered = predict(json.dumps({"instances": [row]}))
    assert len(scores(answered)) == 1
    warning = answered.json["warnings"][-1]
    assert (warning["row"], warning["column"], warning["value"]) == (1, "Torque [Nm]", "499.5")
    assert "but the training data goes from" in warning["message"]


def test_of_many_warnings_the_first_hundred_are_told_and_the_rest_counted(stage) -> None:
    rows = "L,298.1,308.6,1551,499,0\n" * 250
    warnings = predict(rows, "text/csv").json["warnings"]
    assert len(warnings) == 101
    assert warnings[-1]["message"] == "And 150 more."


def test_the_most_rows_that_are_allowed_are_answered_in_good_time(stage) -> None:
    rows = "L,298.1,308.6,1551,42.8,0\n" * reading.MAX_ROWS
    began = time.monotonic()
    assert len(scores(predict(rows, "text/csv"))) == reading.MAX_ROWS
    assert time.monotonic() - began < 10
    refused = predict(rows + rows[:26], "text/csv")
    assert refused.status == 413
    assert "at most 10,000 rows, not 10,001" in refused.error["message"]


def test_an_error_names_row_column_value_and_rule(stage) -> None:
    rows = json.loads(stage.payload)["instances"][:2]
    rows[1]["Torque [Nm]"] = 501
    answered = predict(json.dumps({"instances": rows}))
    assert answered.status == 400
    rule = "must be a number from 0 to 500 Nm"
    assert answered.error["findings"] == [
        {
            "message": f"Row 2, column Torque [Nm]: {rule}, not 501.",
            "row": 2,
            "column": "Torque [Nm]",
            "value": "501",
            "rule": rule,
        }
    ]
    assert answered.json["request_id"] == answered.headers["x-request-id"]


@pytest.mark.parametrize(
    ("code", "original", "status", "wire"),
    [
        ("ModelError", 400, 400, 424),
        ("ModelError", 415, 502, 424),
        ("ModelError", 500, 502, 424),
        ("ThrottlingException", 0, 429, 400),
        ("ModelNotReadyException", 0, 503, 429),
        ("ServiceUnavailable", 0, 503, 503),
        ("InternalFailure", 0, 502, 500),
        ("InternalDependencyException", 0, 502, 530),
        ("AccessDeniedException", 0, 502, 403),
    ],
)
def test_the_endpoints_errors_get_the_status_that_they_mean(
    stage, code: str, original: int, status: int, wire: int
) -> None:
    stage.runtime.answer = lambda _: fail(code, original, '{"error": "Row 1 is odd."}', wire)
    answered = predict(stage.payload)
    assert answered.status == status, answered.text
    assert ("Row 1 is odd." in answered.error["message"]) == (status == 400)
    assert ("retry-after" in answered.headers) == (status in {429, 503})


def test_a_missing_endpoint_is_a_503(stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENDPOINT_NAME", "nothing-here")
    stage.runtime.answer = lambda _: fail("ValidationError", message="not found", status=400)
    assert predict(stage.payload).status == 503
    answered = call("GET", "/health")
    assert answered.status == 503
    assert answered.json["endpoint"] == {"name": "nothing-here", "status": "Missing"}


def test_an_endpoint_that_nobody_can_reach_is_a_503(stage, monkeypatch) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{probe.getsockname()[1]}"
    monkeypatch.setenv("AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME", url)
    assert predict(stage.payload).status == 503


def test_an_endpoint_that_takes_too_long_is_a_504_before_the_api_gives_up(
    stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits = settings._RUNTIME
    assert limits.connect_timeout + limits.read_timeout < 28
    assert limits.retries["total_max_attempts"] == 1
    monkeypatch.setattr(settings, "_RUNTIME", limits.merge(type(limits)(read_timeout=0.5)))
    stage.runtime.answer = lambda _: (time.sleep(1.5), Response(""))[1]
    began = time.monotonic()
    assert predict(stage.payload).status == 504
    assert time.monotonic() - began < 1.4
    assert len(stage.runtime.seen) == 1, "a slow endpoint must not be asked twice"


@pytest.mark.parametrize("slow", ["endpoint", "contract", "health"])
def test_whatever_is_slow_is_a_504_before_the_functions_time_out(
    stage, monkeypatch: pytest.MonkeyPatch, slow: str
) -> None:
    """The parts have time-outs of their own, which together may be longer than the function's."""
    ended, tenth = threading.Event(), (deadline.SPARE_SECONDS + 0.1) * 1000
    monkeypatch.setattr(CONTEXT, "remaining", tenth, raising=False)

    def hang(*_: object) -> Response:
        ended.wait(60)
        return Response("")

    stage.runtime.answer = hang
    if slow == "contract":
        monkeypatch.setattr(contract, "fetch", hang)
    monkeypatch.setattr(app.stage.health, "_look", hang)
    began = time.monotonic()
    try:
        answered = call("GET", "/health") if slow == "health" else predict(stage.payload)
        assert time.monotonic() - began < 30
    finally:
        ended.set()
    assert answered.status == 504
    assert answered.json["request_id"] == answered.headers["x-request-id"]


def test_a_kept_connection_that_was_closed_is_replaced_once() -> None:
    asked = []

    def invoke(**request: object) -> dict[str, object]:
        asked.append(request)
        if len(asked) == 1:
            raise ConnectionClosedError(endpoint_url="https://runtime")
        return {"Body": io.BytesIO(b"0.25,0\n")}

    runtime = SimpleNamespace(invoke_endpoint=invoke)
    found = Endpoint(ENDPOINT, runtime, lambda: True).predict("L\n", 1, "x" * 80)
    assert found == [Prediction(0.25, 0)]
    assert asked[0] == asked[1]
    assert asked[0]["InferenceId"] == "x" * 64


@pytest.mark.parametrize("text", ["", "0.5,1\n", "0.5\n" * 8, "nan,0\n" * 8, "2,1\n" * 8, "\xff"])
def test_an_answer_that_is_none_is_a_502(stage, text: str) -> None:
    stage.runtime.answer = lambda _: Response(text.encode("latin-1"), content_type="text/csv")
    assert predict(stage.payload).status == 502


def test_health_tells_what_serves_and_asks_at_most_once_in_five_seconds(stage) -> None:
    answered = call("GET", "/health")
    assert answered.status == 200
    assert answered.json["healthy"] is True
    assert answered.json["model_version"] == "7"
    assert answered.json["model_package_arn"] == PACKAGE
    asked, now = [], [0.0]

    def sagemaker() -> object:
        asked.append(now[0])
        return boto3.client("sagemaker")

    watch = health.Health(ENDPOINT, sagemaker, lambda: now[0])
    for now[0] in (0.0, 1.0, 4.9, 5.0, 5.1):
        assert watch.state().status == "InService"
    assert sorted(set(asked)) == [0.0, 5.0]


@pytest.mark.parametrize(
    ("status", "healthy"),
    [
        ("InService", True),
        ("Updating", True),
        ("SystemUpdating", True),
        ("RollingBack", True),
        ("UpdateRollbackFailed", True),
        ("Creating", False),
        ("Failed", False),
        ("OutOfService", False),
    ],
)
def test_an_endpoint_is_healthy_while_it_answers(
    stage, monkeypatch, status: str, healthy: bool
) -> None:
    monkeypatch.setattr(app.stage.health, "_look", lambda: health.State(status, PACKAGE))
    answered = call("GET", "/health")
    assert answered.status == (200 if healthy else 503)
    assert answered.json["healthy"] is healthy
    assert answered.json["endpoint"]["status"] == status


def test_schema_tells_columns_limits_and_examples(stage) -> None:
    found = call("GET", "/schema").json
    assert [each["name"] for each in found["columns"]] == list(schema.COLUMN_NAMES)
    assert found["columns"][0]["categories"] == ["L", "M", "H"]
    assert found["columns"][4]["maximum"] == 500
    assert found["threshold"] == stage.document["threshold"]
    assert found["limits"] == {"bytes": 1_000_000, "rows": 10_000}
    answered = predict(json.dumps({"instances": [each["values"] for each in found["examples"]]}))
    assert scores(answered) == expected(stage)


def test_a_description_that_cannot_be_read_is_a_503_and_is_tried_again(stage, monkeypatch) -> None:
    monkeypatch.setenv("DEPLOYMENT_URI", "s3://models/missing.json")
    assert call("GET", "/schema").status == predict(stage.payload).status == 503
    boto3.client("s3").put_object(
        Bucket="models", Key="missing.json", Body=json.dumps(stage.document).encode()
    )
    assert predict(stage.payload).status == 200


def test_the_name_of_the_apis_stage_is_no_part_of_the_path(stage) -> None:
    made = event("GET", "/schema", stage="staging")
    assert app.handler(made, CONTEXT)["statusCode"] == 200


def test_logs_have_ids_and_counts_but_no_values_and_no_token(stage, written) -> None:
    secret_value = "417.318"
    row = {**json.loads(stage.payload)["instances"][0], "Torque [Nm]": float(secret_value)}
    good = predict(json.dumps({"instances": [row]}), authorization="Bearer hidden-token")
    bad = predict(json.dumps({"instances": [{**row, "Type": secret_value}]}))
    stage.runtime.answer = lambda _: fail("ModelError", 400, f"not {secret_value}")
    refused = predict(json.dumps({"instances": [row]}))
    assert (good.status, bad.status, refused.status) == (200, 400, 400)
    text = written()
    assert secret_value not in text
    assert "hidden-token" not in text
    lines = [json.loads(line) for line in text.splitlines()]
    answered = [each for each in lines if each.get("message") == "answered"]
    assert [each["status"] for each in answered] == [200, 400, 400]
    assert answered[0]["request_id"] == good.json["request_id"]
    (measured,) = [each for each in lines if "_aws" in each]
    assert measured["Rows"] == [1.0]


def test_what_nobody_thought_of_is_a_500_without_a_word_of_it(stage, monkeypatch, written) -> None:
    def explode(*_: object) -> None:
        raise RuntimeError("secret detail")

    monkeypatch.setattr(reading, "read", explode)
    answered = predict(stage.payload)
    assert answered.status == 500
    assert "secret detail" not in answered.text + written()
    assert answered.json["request_id"] in answered.text
