"""What a serving container answers over its socket, as the official containers would."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from serving_fixtures import ECHO, SKLEARN, XGBOOST, Answer, Workshop, ask

from localcloud.containers.environments import Images
from localcloud.containers.runtime import Runtime

MODEL = "def model_fn(model_dir):\n    return 7\n"
SHOW = (
    MODEL
    + "import json\n"
    + "def transform_fn(model, body, content_type, accept):\n"
    + "    seen = [model, type(body).__name__, len(body), content_type, accept]\n"
    + "    return json.dumps(seen), accept\n"
)


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workshop]:
    folder = tmp_path_factory.mktemp("serving")
    runtime = Runtime(folder / "state", Images())
    runtime.prestart(XGBOOST)
    made = Workshop(runtime, folder)
    yield made
    made.close()
    runtime.close()


@pytest.fixture(scope="module")
def show(workshop: Workshop) -> Path:
    """A container that tells what its transform_fn was given."""
    return workshop.serve(SHOW)[0]


def npy(array: object) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.array(array))
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("content_type", "kind"),
    [
        ("text/csv", "str"),
        ("application/json", "str"),
        ("text/csv; charset=utf-8", "bytes"),
        ("application/x-npy", "bytes"),
        ("text/plain", "bytes"),
    ],
)
def test_csv_and_json_arrive_as_text_and_all_else_as_bytes(
    content_type: str, kind: str, show: Path
) -> None:
    answer = ask(show, "1,2,3", content_type)
    assert json.loads(answer.body) == [7, kind, 5, content_type, "application/json"]


def test_a_body_without_a_type_is_json_and_one_of_wrong_bytes_still_is_text(show: Path) -> None:
    assert json.loads(ask(show, b"{}", None).body)[1:4] == ["str", 2, "application/json"]
    assert json.loads(ask(show, b"\xff1", "text/csv").body)[1:3] == ["str", 2]


@pytest.mark.parametrize(
    ("accept", "seen"),
    [(None, "text/csv"), ("*/*", "text/csv"), ("application/json", "application/json"),
     ("text/csv, */*", "text/csv, */*")],
)  # fmt: skip
def test_an_accept_that_names_nothing_becomes_the_containers_default(
    accept: str | None, seen: str, workshop: Workshop
) -> None:
    socket, _ = workshop.serve(SHOW, SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT="text/csv")
    assert json.loads(ask(socket, "1", "text/csv", accept).body)[4] == seen


def test_any_number_of_content_types_is_answered(workshop: Workshop) -> None:
    socket, _ = workshop.serve(ECHO)
    for number in range(200):
        kind = f"multipart/form-data; boundary={number}"
        assert ask(socket, "1", kind).content_type == kind


def test_ping_answers_200_and_what_is_not_there_404(show: Path) -> None:
    assert ask(show, url="/ping", method="GET") == Answer(
        200, b"", "application/json", {"Content-Type": "application/json", "Content-Length": "0"}
    )
    assert ask(show, url="/ping?x=1", method="HEAD").status == 200
    assert ask(show, url="/ping", method="DELETE").status == 405
    assert ask(show, url="/invocations", method="GET").status == 405
    assert ask(show, url="/models", method="GET").status == 404
    assert ask(show, url="/execution-parameters", method="GET").status == 404


RESPONSES = """
import flask
from werkzeug.wrappers import Response

def model_fn(model_dir):
    return None

def transform_fn(model, body, content_type, accept):
    return eval(body)
"""


@pytest.mark.parametrize(
    ("made", "status", "body", "content_type"),
    [
        ("('a,b', 'text/csv')", 200, b"a,b", "text/csv; charset=utf-8"),
        ("(b'\\xff', 'application/x-npy')", 200, b"\xff", "application/x-npy"),
        ("('\u00e9', 'application/json')", 200, "\u00e9".encode(), "application/json"),
        ("(['a', 'b'], 'text/csv')", 200, b"ab", "text/csv; charset=utf-8"),
        ("Response('no', status=400, content_type='text/x')", 400, b"no", "text/x"),
        ("flask.Response('{}', 422, mimetype='application/json')", 422, b"{}", "application/json"),
        ("Response(status=204)", 204, b"", "text/plain; charset=utf-8"),
        ("'plain'", 200, b"plain", "text/html; charset=utf-8"),
        ("{'a': 1}", 200, b'{"a":1}\n', "application/json"),
    ],
)
def test_a_handler_may_answer_in_every_way_that_the_official_server_takes(
    made: str, status: int, body: bytes, content_type: str, responses: Path
) -> None:
    answer = ask(responses, made.encode(), "text/csv")
    assert (answer.status, answer.body, answer.content_type) == (status, body, content_type)


@pytest.fixture(scope="module")
def responses(workshop: Workshop) -> Path:
    """A container whose answer is what the request's body evaluates to."""
    return workshop.serve(RESPONSES)[0]


def test_a_response_objects_own_headers_travel_and_its_framing_is_the_servers(
    responses: Path,
) -> None:
    made = "Response('ab', headers={'X-Own': 'yes', 'Connection': 'close', 'Content-Length': '9'})"
    answer = ask(responses, made)
    assert answer.body == b"ab"
    assert answer.headers["X-Own"] == "yes"
    assert answer.headers["Content-Length"] == "2"
    assert "Connection" not in answer.headers


@pytest.mark.parametrize("made", ["1 / 0", "None", "(7, 'text/csv')", "('a', 'x\\ny')", "object()"])
def test_what_is_no_answer_is_a_500_whose_traceback_is_in_the_log_only(
    made: str, workshop: Workshop
) -> None:
    socket, log = workshop.serve(RESPONSES)
    answer = ask(socket, made)
    assert (answer.status, answer.content_type) == (500, "text/html; charset=utf-8")
    assert b"Traceback" not in answer.body
    text = log.read_text()
    assert text.startswith("Exception on /invocations [POST]\nTraceback (most recent call last):\n")
    if made == "1 / 0":
        assert "serve.py" not in text
        assert text.endswith("ZeroDivisionError: division by zero\n")
    assert ask(socket, "('well', 'text/csv')").body == b"well"


LINEAR = """
class Sum:
    def predict(self, rows):
        print(rows.dtype, rows.shape)
        return rows.sum(axis=1)

def model_fn(model_dir):
    return Sum()
"""


@pytest.mark.parametrize(
    ("body", "content_type", "seen"),
    [
        ("[[1, 2], [3, 4]]", "application/json", "float32 (2, 2)"),
        ("1,2\n3,4\n", "text/csv", "float32 (2, 2)"),
        (npy([[1, 2], [3, 4]]), "application/x-npy", "int64 (2, 2)"),
    ],
)
@pytest.mark.parametrize("accept", ["application/json", "text/csv", "application/x-npy"])
def test_the_scikit_learn_containers_defaults_read_and_write_json_csv_and_npy(
    body: str | bytes, content_type: str, seen: str, accept: str, workshop: Workshop
) -> None:
    socket, log = workshop.serve(LINEAR)
    answer = ask(socket, body, content_type, accept)
    assert answer.status == 200, log.read_text()
    read = {
        "application/json": json.loads,
        "text/csv": lambda text: [float(line) for line in text.decode().splitlines()],
        "application/x-npy": lambda binary: np.load(io.BytesIO(binary)).tolist(),
    }[accept]
    assert read(answer.body) == [3.0, 7.0]
    assert seen in log.read_text()


BOOSTER = """
import os
import numpy, xgboost

def model_fn(model_dir):
    rows = numpy.array([[0.0, 1.0], [1.0, 0.0]] * 20)
    data = xgboost.DMatrix(rows, label=rows[:, 0])
    settings = {"max_depth": 1, "min_child_weight": 0, "eta": 1.0, "lambda": 0}
    return xgboost.train(settings, data, 1)
"""


@pytest.mark.parametrize(
    ("body", "content_type", "scores"),
    [
        ("0,1\n1,0", "text/csv", [0.0, 1.0]),
        ("0;1\n1;0", "text/csv; charset=utf-8", [0.0, 1.0]),
        ("1 2:1\n0 1:1", "text/libsvm", [0.0, 1.0]),
        ("1 0:0 1:1\n0 0:1", "text/x-libsvm", [0.0, 1.0]),
    ],
)
def test_the_xgboost_containers_defaults_read_csv_and_libsvm(
    body: str, content_type: str, scores: list[float], booster: tuple[Path, Path]
) -> None:
    socket, log = booster
    answer = ask(socket, body, content_type)
    assert answer.status == 200, log.read_text()
    assert json.loads(answer.body) == pytest.approx(scores)


@pytest.fixture(scope="module")
def booster(workshop: Workshop) -> tuple[Path, Path]:
    return workshop.serve(BOOSTER, image=XGBOOST)


def test_a_trailing_newline_is_an_error_in_the_xgboost_container(
    booster: tuple[Path, Path],
) -> None:
    assert ask(booster[0], "0,1\n").status == 500


@pytest.mark.parametrize("image", [SKLEARN, XGBOOST])
def test_a_format_that_the_defaults_do_not_know_is_415_or_406(
    image: str, workshop: Workshop
) -> None:
    handler = BOOSTER if image == XGBOOST else LINEAR
    socket, _ = workshop.serve(handler, image=image)
    read = ask(socket, b"?", "application/zip")
    assert (read.status, json.loads(read.body)["error"]) == (415, "UnsupportedFormatError")
    assert "application/zip" in json.loads(read.body)["error-message"]
    assert ask(socket, "0,1\n0,1", "text/csv", "application/zip").status == 406


def test_input_predict_and_output_functions_are_called_in_their_order(workshop: Workshop) -> None:
    handler = (
        MODEL
        + "def input_fn(body, content_type):\n    return [body, content_type]\n"
        + "def predict_fn(data, model):\n    return [*data, model]\n"
        + "def output_fn(prediction, accept):\n    return repr([*prediction, accept]), 'text/x'\n"
    )
    socket, _ = workshop.serve(handler)
    assert ask(socket, "b", "text/csv", "a").body == b"['b', 'text/csv', 7, 'a']"


def test_execution_parameters_are_the_modules_own_in_the_scikit_learn_container_only(
    workshop: Workshop,
) -> None:
    handler = SHOW + "def execution_parameters_fn():\n    return {'MaxPayloadInMB': 6}\n"
    socket, _ = workshop.serve(handler)
    answer = ask(socket, url="/execution-parameters", method="GET")
    assert (answer.status, json.loads(answer.body)) == (200, {"MaxPayloadInMB": 6})
    socket, _ = workshop.serve(handler, image=XGBOOST)
    assert ask(socket, url="/execution-parameters", method="GET").status == 404


ENVIRONMENT = """
import json, os, sys

def model_fn(model_dir):
    return [model_dir, open(os.path.join(model_dir, "weights")).read()]

def transform_fn(model, body, content_type, accept):
    print("to the log")
    return json.dumps([model, dict(os.environ), sys.argv[1:], os.getcwd()]), accept
"""


def test_the_environment_is_the_images_and_the_containers_own_goes_before_it(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_OF_THE_USER", "secret")
    files = {"code/inference.py": ENVIRONMENT, "weights": "0.5"}
    socket, log = workshop.serve(files, MINE="1", SAGEMAKER_CONTAINER_LOG_LEVEL="30")
    model, found, arguments, _ = json.loads(ask(socket, "").body)
    assert Path(model[0]).name == "model"
    assert model[1] == "0.5"
    expected = {
        "SAGEMAKER_BIND_TO_PORT": "8080", "SAGEMAKER_PROGRAM": "inference.py",
        "SAGEMAKER_REGION": "eu-central-1", "AWS_REGION": "eu-central-1", "OMP_NUM_THREADS": "1",
        "SM_MODEL_DIR": model[0], "SAGEMAKER_SUBMIT_DIRECTORY": f"{model[0]}/code", "MINE": "1",
        "SAGEMAKER_CONTAINER_LOG_LEVEL": "30",
    }  # fmt: skip
    assert {name: found.get(name) for name in expected} == expected
    assert "SECRET_OF_THE_USER" not in found
    assert found["HOME"] != os.environ.get("HOME")
    assert arguments == []
    assert log.read_text() == "to the log\n"


def test_the_code_may_lie_elsewhere_and_bring_modules_of_its_own(workshop: Workshop) -> None:
    """A module of the handler goes before one that the image's server has imported."""
    handler = (
        "import joblib, serve\n" + MODEL + "def transform_fn(*_):\n    return joblib.TEXT, 'a'\n"
    )
    files = {
        "src/own.py": handler, "src/joblib.py": "TEXT = 'mine'\n", "src/serve.py": "",
    }  # fmt: skip
    socket, _ = workshop.serve(
        files, SAGEMAKER_PROGRAM="own", SAGEMAKER_SUBMIT_DIRECTORY="/opt/ml/model/src"
    )
    assert ask(socket, "").body == b"mine"


TOOLKIT = """
from sagemaker_containers.beta.framework import (
    content_types, encoders, env, modules, transformer, worker,
)
from sagemaker_inference import content_types as types, decoder, encoder, errors

def model_fn(model_dir):
    return None

def input_fn(body, content_type):
    if content_type == "text/x-none":
        raise errors.UnsupportedFormatError(content_type)
    if content_type == "text/x-env":
        return env.ServingEnv()
    return encoders.decode(body, content_types.CSV), decoder.decode(body, types.CSV)

def predict_fn(data, model):
    return [each.tolist() for each in data]

def output_fn(prediction, accept):
    if accept == "text/csv":
        return worker.Response(encoder.encode(prediction[0], accept), status=201, mimetype=accept)
    return worker.Response(encoders.encode(prediction, accept))
"""


def test_what_scripts_import_of_sagemakers_own_toolkits_is_there(workshop: Workshop) -> None:
    socket, log = workshop.serve(TOOLKIT)
    answer = ask(socket, "1,2\n3,4\n")
    assert json.loads(answer.body) == [[[1.0, 2.0], [3.0, 4.0]], [[1, 2], [3, 4]]]
    assert answer.content_type == "application/json"
    answer = ask(socket, "1,2\n3,4\n", "text/csv", "text/csv")
    assert (answer.status, answer.body) == (201, b"1.0,2.0\n3.0,4.0\n")
    assert ask(socket, "1,2\n", "text/x-none").status == 415
    assert ask(socket, "1,2\n", "text/csv", "text/x-none").status == 406
    assert ask(socket, "", "text/x-env").status == 500
    assert "localcloud has no sagemaker_containers.beta.framework.env.ServingEnv" in log.read_text()


def test_two_containers_see_their_own_opt_ml(workshop: Workshop) -> None:
    texts = ["one", "two"]
    handler = ECHO.replace("body, content_type", "open('/opt/ml/model/text').read(), content_type")
    handler = handler.replace(
        "model, open('/opt/ml/model/text').read(), content", "model, body, content"
    )
    containers = [
        workshop.container({"code/inference.py": handler, "text": text}, hostname=text)
        for text in texts
    ]
    instance = workshop.instance(*containers)
    instance.start(30)
    assert [ask(path, "").body.decode() for path in instance.sockets] == texts
