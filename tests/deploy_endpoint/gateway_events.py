"""The functions behind HTTP as API Gateway puts them there: an HTTP API, payload 2.0.

``GET /`` and ``GET /assets/{name}`` are open; all else goes through the authorizer.
"""

import base64
import itertools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from werkzeug.wrappers import Request, Response

from deploy_endpoint.api import app, authorizer


class Context(SimpleNamespace):
    """What Lambda tells a function of itself."""

    def get_remaining_time_in_millis(self) -> int:
        return getattr(self, "remaining", 28_000)


CONTEXT = Context(
    function_name="api",
    memory_limit_in_mb=512,
    invoked_function_arn="arn:aws:lambda:us-east-1:123456789012:function:api",
    aws_request_id="6f1c4b0e-0000-4000-8000-000000000000",
)
_numbers = itertools.count(1)


@dataclass(frozen=True)
class Answered:
    """What the function gave."""

    status: int
    headers: Mapping[str, str]
    text: str

    @property
    def json(self) -> Any:
        return json.loads(self.text)

    @property
    def error(self) -> Any:
        return self.json["error"]


def event(
    method: str, path: str, body: bytes | str = b"", stage: str = "$default", **headers: str
) -> dict[str, Any]:
    """An event; underscores in the names of headers stand for hyphens."""
    try:
        text = body if isinstance(body, str) else body.decode()
        encoded = False
    except UnicodeDecodeError:
        text, encoded = base64.b64encode(body).decode(), True
    return {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path if stage == "$default" else f"/{stage}{path}",
        "rawQueryString": "",
        "headers": {name.replace("_", "-").lower(): value for name, value in headers.items()},
        "requestContext": {
            "accountId": "123456789012",
            "apiId": "api1234567",
            "http": {"method": method, "path": path, "protocol": "HTTP/1.1", "sourceIp": "::1"},
            "requestId": f"JKJaXmPLvHcESHA{next(_numbers)}=",
            "routeKey": "$default",
            "stage": stage,
        },
        "isBase64Encoded": encoded,
        **({"body": text} if text else {}),
    }


def call(method: str, path: str, body: bytes | str = b"", **headers: str) -> Answered:
    """Call the function once, past the authorizer."""
    found = app.handler(event(method, path, body, **headers), CONTEXT)
    json.dumps(found)
    return Answered(found["statusCode"], found["headers"], found["body"])


def predict(body: bytes | str, content_type: str = "application/json", **headers: str) -> Answered:
    return call("POST", "/predict", body, content_type=content_type, **headers)


def application(environ: Any, start: Any) -> Any:
    """A WSGI application that calls the functions as API Gateway does."""
    return _answer(Request(environ))(environ, start)


def _answer(request: Request) -> Response:
    made = event(request.method, request.path, request.get_data())
    made["headers"] = {name.lower(): value for name, value in request.headers.items()}
    is_open = request.path == "/" or request.path.startswith("/assets/")
    if not (is_open and request.method == "GET"):
        if "authorization" not in made["headers"]:
            return _message(401, "Unauthorized")
        if not authorizer.handler(made, CONTEXT)["isAuthorized"]:
            return _message(403, "Forbidden")
    found = app.handler(made, CONTEXT)
    return Response(found["body"], found["statusCode"], found["headers"])


def _message(status: int, words: str) -> Response:
    return Response(json.dumps({"message": words}), status, content_type="application/json")
