"""JSON 1.0 and 1.1: the operation in X-Amz-Target, everything else in the body."""

from __future__ import annotations

import json
import re
from typing import Any

from botocore.model import OperationModel

from localcloud.errors import SerializationException, ServiceError
from localcloud.protocol import Document
from localcloud.wire import tree
from localcloud.wire.message import Reply, Request

JSON_1_0, JSON_1_1 = "application/x-amz-json-1.0", "application/x-amz-json-1.1"
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")


def read(model: OperationModel, request: Request) -> Document:
    """The document in a request's body. Raises SerializationException if it holds none."""
    if model.input_shape is None:
        return {}
    document: Document = tree.read(model.input_shape, parse(request.body))
    return document


def parse(body: bytes) -> Document:
    """A body that is a JSON object, or empty."""
    try:
        document = json.loads(body or b"{}", parse_constant=_refuse_constant)
        if _SURROGATE.search(body):  # half a character, which no file or database takes
            json.dumps(document, ensure_ascii=False).encode()
    except ValueError as error:
        raise SerializationException(f"The request's body is not JSON: {error}") from error
    if not isinstance(document, dict):
        raise SerializationException("The request's body must be a JSON object")
    return document


def write(model: OperationModel, answer: Document, request: Request, _request_id: str) -> Reply:
    """An answer; without an output shape it is an empty object."""
    shape = model.output_shape
    return Reply(200, content_type(request), dump(tree.write(shape, answer) if shape else {}))


def dump(document: Any) -> bytes:
    """JSON without spaces."""
    return json.dumps(document, separators=(",", ":")).encode()


def refuse(error: ServiceError, type_name: str, request: Request, _request_id: str) -> Reply:
    """An error; `type_name` is the name of its shape."""
    body = json.dumps({"__type": type_name, "message": error.message}).encode()
    return Reply(error.status, content_type(request), body)


def content_type(request: Request) -> str:
    """The version that the client speaks."""
    return JSON_1_0 if request.headers.get("content-type", "").startswith(JSON_1_0) else JSON_1_1


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON number")
