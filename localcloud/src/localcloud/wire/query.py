"""The query protocol: a form in, XML out."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import parse_qsl
from xml.sax.saxutils import escape

from botocore.model import ListShape, MapShape, OperationModel, Shape, StructureShape

from localcloud.errors import SerializationException, ServiceError
from localcloud.protocol import Document
from localcloud.wire import text
from localcloud.wire.message import Reply, Request

CONTENT_TYPE = "text/xml"
_MAX_FIELDS = 100_000
_XML_1_0 = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
Form = dict[str, Any]
"""A form as a tree: `A.member.1` stands at form["A"]["member"]["1"]; a leaf is text."""


def fields(request: Request) -> list[tuple[str, str]]:
    """The names and values of a request's form, or of its query string where it has none."""
    form = request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded")
    encoded = request.body.decode("utf-8", "replace") if form else request.query
    try:
        return parse_qsl(encoded, keep_blank_values=True, max_num_fields=_MAX_FIELDS)
    except ValueError as error:
        raise SerializationException(f"The request's form cannot be read: {error}") from error


def read(model: OperationModel, request: Request) -> Document:
    """The document that a form spells out."""
    form: Form = {}
    for name, value in fields(request):
        node = form
        *branches, leaf = name.split(".")
        for branch in branches:
            deeper = node.setdefault(branch, {})
            if not isinstance(deeper, dict):
                raise SerializationException(f"{name} stands below a value in the request's form")
            node = deeper
        node[leaf] = value
    if model.input_shape is None:
        return {}
    document: Document = _read(model.input_shape, form)
    return document


def _read(shape: Shape, node: Form | str) -> Any:
    if isinstance(node, str):
        empty = node == "" and isinstance(shape, ListShape | MapShape)
        return _nothing(shape) if empty else text.read(shape, node)
    if isinstance(shape, StructureShape):
        found = {}
        for name, member in shape.members.items():
            inner: Any = node
            for step in _place(member, name):
                inner = inner.get(step) if isinstance(inner, dict) else None
            if inner is not None:
                found[name] = _read(member, inner)
        return found
    if isinstance(shape, ListShape):
        inner = node if shape.serialization.get("flattened") else node.get(_item(shape), {})
        return [_read(shape.member, item) for item in _in_order(inner)]
    if isinstance(shape, MapShape):
        entries = node if shape.serialization.get("flattened") else node.get("entry", {})
        key = shape.key.serialization.get("name", "key")
        value = shape.value.serialization.get("name", "value")
        pairs = [entry for entry in _in_order(entries) if isinstance(entry, dict)]
        return {
            str(entry.get(key, "")): _read(shape.value, entry.get(value, "")) for entry in pairs
        }
    return node


def _nothing(shape: Shape) -> Any:
    return [] if isinstance(shape, ListShape) else {}


def _place(member: Shape, name: str) -> list[str]:
    """Under which names a member of a structure stands in a form."""
    if isinstance(member, ListShape) and member.serialization.get("flattened"):
        return [
            str(member.member.serialization.get("name") or member.serialization.get("name", name))
        ]
    return str(member.serialization.get("name", name)).split(".")


def _item(shape: ListShape) -> str:
    return str(shape.member.serialization.get("name", "member"))


def _in_order(numbered: Any) -> list[Any]:
    if not isinstance(numbered, dict):
        return [numbered]
    numbers = sorted((int(number), number) for number in numbered if number.isdecimal())
    return [numbered[number] for _, number in numbers]


def write(model: OperationModel, answer: Document, _request: Request, request_id: str) -> Reply:
    """An answer in the elements that AWS puts around it."""
    namespace = model.service_model.metadata.get("xmlNamespace", "")
    shape, result = model.output_shape, ""
    if shape is not None:
        result = _inside(shape, answer)
        if wrapper := shape.serialization.get("resultWrapper"):
            result = f"<{wrapper}>{result}</{wrapper}>"
    body = (
        f'<{model.name}Response xmlns="{namespace}">{result}<ResponseMetadata><RequestId>'
        f"{request_id}</RequestId></ResponseMetadata></{model.name}Response>"
    )
    return Reply(200, CONTENT_TYPE, body.encode())


def _element(name: str, shape: Shape, value: Any) -> str:
    if isinstance(shape, ListShape) and shape.serialization.get("flattened"):
        name = shape.member.serialization.get("name", name)
        return "".join(_element(name, shape.member, item) for item in value)
    if isinstance(shape, MapShape) and shape.serialization.get("flattened"):
        return "".join(f"<{name}>{_pair(shape, *pair)}</{name}>" for pair in value.items())
    return f"<{name}>{_inside(shape, value)}</{name}>"


def _inside(shape: Shape, value: Any) -> str:
    if isinstance(shape, StructureShape):
        return "".join(
            _element(member.serialization.get("name", name), member, value[name])
            for name, member in shape.members.items()
            if value.get(name) is not None
        )
    if isinstance(shape, ListShape):
        return "".join(_element(_item(shape), shape.member, item) for item in value)
    if isinstance(shape, MapShape):
        return "".join(f"<entry>{_pair(shape, *pair)}</entry>" for pair in value.items())
    return xml_text(text.write(shape, value))


def _pair(shape: MapShape, key: str, value: Any) -> str:
    name = shape.value.serialization.get("name", "value")
    named = _element(shape.key.serialization.get("name", "key"), shape.key, key)
    return f"{named}{_element(name, shape.value, value)}"


def refuse(error: ServiceError, _type_name: str, _request: Request, request_id: str) -> Reply:
    """An error, also for clients of REST with XML."""
    sender = "Sender" if error.status < 500 else "Receiver"
    body = (
        f"<ErrorResponse><Error><Type>{sender}</Type><Code>{error.code}</Code><Message>"
        f"{xml_text(error.message)}</Message></Error><RequestId>{request_id}</RequestId>"
        "</ErrorResponse>"
    )
    return Reply(error.status, CONTENT_TYPE, body.encode())


def refuse_ec2(error: ServiceError, _type_name: str, _request: Request, request_id: str) -> Reply:
    """An error in EC2's own form."""
    body = (
        f"<Response><Errors><Error><Code>{error.code}</Code><Message>{xml_text(error.message)}"
        f"</Message></Error></Errors><RequestID>{request_id}</RequestID></Response>"
    )
    return Reply(error.status, CONTENT_TYPE, body.encode())


def xml_text(words: str) -> str:
    """Text as XML 1.0 can hold it: without control characters."""
    return escape(_XML_1_0.sub("?", words), {"\r": "&#13;"})
