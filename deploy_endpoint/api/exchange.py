"""What API Gateway hands to the function (HTTP API, payload 2.0), and what it takes back.

Public reference: "Working with AWS Lambda proxy integrations for HTTP APIs".
"""

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

JSON: Final = "application/json"
_DEFAULT_STAGE = "$default"

# On every answer: none may be sniffed, framed, or kept by a cache that others share.
_ALWAYS: Final = {
    "cache-control": "no-store",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "strict-transport-security": "max-age=31536000",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}


@dataclass(frozen=True, slots=True)
class Request:
    """One request: the path without the API stage's name, header names in lower case."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    request_id: str


@dataclass(frozen=True, slots=True)
class Response:
    """One answer; ``headers`` add to those that every answer has, or replace them.

    ``measures`` are metrics by name that count once the answer is given.
    """

    status: int
    body: str
    content_type: str = JSON
    headers: Mapping[str, str] = field(default_factory=dict)
    measures: Mapping[str, float] = field(default_factory=dict)


def read(event: Mapping[str, Any]) -> Request:
    """Read an event. A body that is no base64, though it should be, is taken as it is."""
    context = event["requestContext"]
    path = str(event["rawPath"])
    stage = context.get("stage", _DEFAULT_STAGE)
    if stage != _DEFAULT_STAGE and (path == f"/{stage}" or path.startswith(f"/{stage}/")):
        path = path[len(stage) + 1 :]
    return Request(
        method=context["http"]["method"].upper(),
        path=path or "/",
        headers={name.lower(): value for name, value in (event.get("headers") or {}).items()},
        body=_body(event),
        request_id=context["requestId"],
    )


def write(response: Response, request_id: str) -> dict[str, Any]:
    """Give what API Gateway takes; the request's id is on every answer."""
    return {
        "statusCode": response.status,
        "headers": {
            **_ALWAYS,
            "content-type": response.content_type,
            "x-request-id": request_id,
            **response.headers,
        },
        "body": response.body,
        "isBase64Encoded": False,
    }


def answer(document: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Give a document as JSON."""
    return Response(status, json.dumps(document, allow_nan=False), JSON, headers or {})


def _body(event: Mapping[str, Any]) -> bytes:
    # A lone surrogate is no UTF-8: it becomes bytes that whoever decodes them refuses.
    body = str(event.get("body") or "").encode("utf-8", "surrogatepass")
    if event.get("isBase64Encoded"):
        try:
            return base64.b64decode(body, validate=True)
        except binascii.Error:
            return body
    return body
