"""A trained model behind SageMaker Runtime's wire, and the document that describes it."""

import json
import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pyarrow as pa
from modelling import raw_columns, train_quickly
from werkzeug.serving import make_server
from werkzeug.wrappers import Request, Response

from pipelines.predictive_maintenance import schema
from pipelines.predictive_maintenance.evaluate import evaluate
from pipelines.predictive_maintenance.inference.classifier import inference as classifier
from pipelines.predictive_maintenance.inference.featurizer import fitted
from pipelines.predictive_maintenance.inference.featurizer import inference as featurizer

Answer = Callable[[Request], Response]

logging.getLogger("werkzeug").setLevel(logging.ERROR)


@dataclass
class Runtime:
    """SageMaker Runtime: `answer` may be replaced; `seen` are the requests that came."""

    url: str
    model: Answer
    answer: Answer
    seen: list[Request] = field(default_factory=list)


def train(folder: Path) -> tuple[dict[str, Any], Answer]:
    """Train quickly; give deployment.json as Evaluate writes it, and the two handlers as one."""
    train_quickly(folder)
    places = {"model": "archive", "test": "test", "schema": "schema", "output": "."}
    arguments = [part for name, place in places.items() for part in (f"--{name}", folder / place)]
    message = {"PROCESSING_EXIT_MESSAGE_FILE": str(folder / "message")}
    assert evaluate.main(list(map(str, arguments)), message) == 0
    document = json.loads((folder / "evaluation" / "deployment.json").read_text())
    raw = raw_columns()
    for column in document["columns"]:
        if column["kind"] != "category":
            values = raw[column["name"]]
            column["training_minimum"] = float(np.min(values))
            column["training_maximum"] = float(np.max(values))
    kinds = {"category": str, "integer": int, "number": float}
    table = {
        each.name: [kinds[each.kind](value) for value in raw[each.name]] for each in schema.COLUMNS
    }
    joblib.dump(fitted.build().fit(pa.table(table)), folder / fitted.FILE_NAME)
    first, second = featurizer.model_fn(str(folder)), classifier.model_fn(str(folder / "model"))

    def answer(request: Request) -> Response:
        features = featurizer.transform_fn(first, request.data, request.content_type, None)
        if isinstance(features, Response):
            return fail("ModelError", features.status_code, features.get_data(as_text=True))
        scores = classifier.transform_fn(second, *features, request.headers.get("Accept"))
        assert not isinstance(scores, Response)
        return Response(scores[0], content_type=scores[1])

    return document, answer


def fail(code: str, original: int = 500, message: str = "", status: int = 424) -> Response:
    """An error as SageMaker Runtime puts it."""
    told = {"Message": message, "OriginalStatusCode": original, "OriginalMessage": message}
    headers = {"x-amzn-ErrorType": code}
    return Response(json.dumps(told), status, headers, content_type="application/json")


@contextmanager
def serve(model: Answer) -> Iterator[Runtime]:
    """A server of SageMaker Runtime, on a port of its own."""
    runtime = Runtime("", model, model)

    def application(environ: Any, start: Any) -> Any:
        request = Request(environ)
        request.get_data()
        runtime.seen.append(request)
        return runtime.answer(request)(environ, start)

    with listening(application) as url:
        runtime.url = url
        yield runtime


@contextmanager
def listening(application: Any) -> Iterator[str]:
    """A WSGI application behind a port; gives its URL without a slash at the end."""
    server = make_server("127.0.0.1", 0, application, threaded=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
