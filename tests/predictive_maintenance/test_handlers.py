"""Both handlers one after the other, as an endpoint calls them."""

import json
import subprocess
import time

import bad_payloads
import flask
import joblib
import numpy as np
import pyarrow as pa
import pytest
import xgboost as xgb
from modelling import raw_columns, train_quickly
from werkzeug.wrappers import Response

from localcloud.containers.environments import Images
from pipelines.predictive_maintenance import schema
from pipelines.predictive_maintenance.features import FEATURE_NAMES
from pipelines.predictive_maintenance.inference.classifier import inference as classifier
from pipelines.predictive_maintenance.inference.featurizer import fitted
from pipelines.predictive_maintenance.inference.featurizer import inference as featurizer
from pipelines.predictive_maintenance.pipeline import SKLEARN, XGBOOST

REGISTRY = "1.dkr.ecr.eu-central-1.amazonaws.com"
SECONDS = 20


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("served")
    train_quickly(folder)
    return folder


@pytest.fixture(scope="module")
def rows():
    """All raw rows as they would be sent: texts, and numbers."""
    raw = raw_columns()
    kinds = {"category": str, "integer": int, "number": float}
    columns = [
        [kinds[column.kind](value) for value in raw[column.name].tolist()]
        for column in schema.COLUMNS
    ]
    return list(zip(*columns, strict=True))


@pytest.fixture(scope="module")
def transformer(rows):
    columns = zip(schema.COLUMN_NAMES, zip(*rows, strict=True), strict=True)
    return fitted.build().fit(pa.table(dict(columns)))


@pytest.fixture(scope="module")
def models(folder, transformer):
    joblib.dump(transformer, folder / fitted.FILE_NAME)
    return featurizer.model_fn(str(folder)), classifier.model_fn(str(folder / "model"))


@pytest.fixture(scope="module")
def expected(folder, rows, transformer):
    """The scores by the slow way that nobody doubts."""
    table = pa.table(dict(zip(schema.COLUMN_NAMES, zip(*rows, strict=True), strict=True)))
    booster = xgb.Booster(model_file=folder / "model" / "xgboost-model.ubj")
    features = transformer.transform(table)
    return booster.predict(xgb.DMatrix(features, feature_names=list(FEATURE_NAMES)))


def invoke(models, body, content_type, accept):
    first, second = models
    answer = featurizer.transform_fn(first, body, content_type, accept)
    if isinstance(answer, Response):
        return answer
    return classifier.transform_fn(second, *answer, accept)


def encode(rows, content_type):
    if content_type == "text/csv":
        return "".join(",".join(map(str, row)) + "\n" for row in rows).encode()
    named = [dict(zip(schema.COLUMN_NAMES, row, strict=True)) for row in rows]
    return json.dumps({"instances": named}).encode()


def scores(models, rows, content_type, accept):
    text, kind = invoke(models, encode(rows, content_type), content_type, accept)
    assert kind == accept
    if accept == "text/csv":
        found = [line.split(",")[0] for line in text.splitlines()]
    else:
        found = [each["score"] for each in json.loads(text)["predictions"]]
    return np.array(found, dtype=np.float32)


@pytest.mark.parametrize("accept", ["text/csv", "application/json"])
@pytest.mark.parametrize("content_type", ["text/csv", "application/json"])
def test_every_row_gets_the_boosters_score(models, rows, expected, content_type, accept):
    """Alone, among a hundred, or among all: scikit-learn and a DMatrix say the same, bit by bit."""
    for size in (1, 7, 100, len(rows)):
        found = [
            scores(models, rows[start : start + size], content_type, accept)
            for start in range(0, len(rows), size)
        ]
        np.testing.assert_array_equal(np.concatenate(found), expected)


@pytest.mark.parametrize("content_type", ["text/csv", "application/json"])
def test_a_request_goes_through_the_containers_server_and_back(models, rows, content_type):
    """It is Flask, hands known texts over decoded, and adds a charset to what is text."""

    def serve(model, transform_fn):
        app = flask.Flask(__name__)

        def view():
            request, texts = flask.request, ("text/csv", "application/json")
            kind = request.headers["Content-Type"]
            body = request.get_data(as_text=kind in texts)
            answer = transform_fn(model, body, kind, "text/csv")
            if isinstance(answer, tuple):
                return flask.Response(response=answer[0], mimetype=answer[1])
            return answer

        app.add_url_rule("/invocations", view_func=view, methods=["POST"])
        return app.test_client()

    chain = serve(models[0], featurizer.transform_fn), serve(models[1], classifier.transform_fn)
    body = encode(rows[:200], content_type)
    kind = content_type
    for container in chain:
        answer = container.post("/invocations", data=body, content_type=kind)
        assert answer.status_code == 200
        body, kind = answer.get_data(), answer.content_type
    assert kind == "text/csv; charset=utf-8"
    sent = encode(rows[:200], content_type)
    assert body.decode() == invoke(models, sent, content_type, "text/csv")[0]
    answer = chain[0].post("/invocations", data=sent[:-9], content_type=content_type)
    assert answer.status_code == 400
    assert "must" in answer.get_json()["error"]


@pytest.mark.parametrize("as_text", [False, True], ids=["bytes", "text"])
@pytest.mark.parametrize("bad", bad_payloads.BAD, ids=lambda bad: bad.name[:60])
def test_a_bad_payload_is_refused_with_a_reason(models, bad, as_text):
    """Whether or not the container has decoded the body: no score, no exception, no long wait."""
    decoded = as_text and bad.content_type in {"text/csv", "application/json"}
    body = bad.body.decode(errors="replace") if decoded else bad.body
    began = time.monotonic()
    answer = invoke(models, body, bad.content_type, bad.accept)
    assert time.monotonic() - began < SECONDS
    assert isinstance(answer, Response), answer
    message = json.loads(answer.get_data())["error"]
    assert (answer.status_code, answer.content_type) == (bad.status, "application/json"), message
    assert bad.words in message
    assert len(message) < 1200


def test_the_table_of_bad_payloads_fits_an_endpoint():
    """Each has a name of its own, and the platform would hand each to the first container."""
    names = [bad.name for bad in bad_payloads.BAD]
    assert len(set(names)) == len(names) >= 100
    for bad in bad_payloads.BAD:
        assert len(bad.body) < 6 * 1024 * 1024
        assert (bad.content_type + bad.accept).isascii()


FEATURIZE = """
import json, sys
sys.path[:0] = sys.argv[1:2]
from pipelines.predictive_maintenance.features import derive_ranked
from pipelines.predictive_maintenance.inference.featurizer import inference
for line in sys.stdin:
    body, kind = inference.transform_fn(derive_ranked, line.replace(";", "\\n"), "text/csv", "")
    print(body.hex(), kind)
"""
CLASSIFY = """
import json, sys
sys.path[:0] = sys.argv[1:2]
import numpy as np
import xgboost as xgb
from pipelines.predictive_maintenance.inference.classifier import inference, scorer
model = inference.model_fn(sys.argv[2])
assert isinstance(model.score, scorer._DirectScorer)
booster = xgb.Booster(model_file=sys.argv[2] + "/xgboost-model.ubj")
for line in sys.stdin:
    body, kind = line.split()
    text, _ = inference.transform_fn(model, bytes.fromhex(body), kind, "text/csv")
    found = np.array([line.split(",")[0] for line in text.splitlines()], dtype=np.float32)
    features = np.frombuffer(bytes.fromhex(body)[-44 * len(found):], np.float32).reshape(-1, 11)
    matrix = xgb.DMatrix(features, feature_names=list(model.feature_names))
    assert np.array_equal(booster.predict(matrix), found)
    print(text, end="")
"""


@pytest.mark.slow
def test_the_images_versions_give_the_same_scores(folder, rows, expected, request):
    """Each handler in its own image's environment: other versions of numpy, and one of XGBoost."""
    root = str(request.config.rootpath)
    images = Images()

    def run(image, version, script, sent, *arguments):
        name = {"sklearn": f"sagemaker-scikit-learn:{version}-cpu-py3"}.get(image)
        uri = f"{REGISTRY}/{name or f'sagemaker-{image}:{version}'}"
        python = str(images.environment(uri).python)
        return subprocess.run(
            [python, "-c", script, root, *arguments],
            input=sent,
            check=True,
            capture_output=True,
            text=True,
        ).stdout

    lines = [",".join(map(str, row)) for row in rows]
    sent = "".join(f"{line}\n" for line in [*lines, ";".join(lines)])
    features = run(*SKLEARN, FEATURIZE, sent)
    answers = run(*XGBOOST, CLASSIFY, features, str(folder / "model")).split()
    found = np.array([line.split(",")[0] for line in answers], dtype=np.float32)
    np.testing.assert_array_equal(found, np.concatenate([expected, expected]))
