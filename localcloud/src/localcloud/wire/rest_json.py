"""REST with JSON: parts of a request in its path, query and headers, the rest in its body."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from functools import cache
from typing import Any
from urllib.parse import parse_qsl, unquote

from botocore.model import ListShape, MapShape, OperationModel, Shape, StructureShape

from localcloud.errors import ServiceError
from localcloud.protocol import Document
from localcloud.wire import json_rpc, text, tree
from localcloud.wire.message import Reply, Request

CONTENT_TYPE = "application/json"
_LABEL = re.compile(r"\{([^}]+?)(\+?)\}")


@cache
def path_pattern(uri: str) -> re.Pattern[str]:
    """What matches the paths of an operation; its groups are the labels, in their order."""
    pattern, end = "", 0
    path = uri.partition("?")[0].rstrip("/")
    for label in _LABEL.finditer(path):
        pattern += re.escape(path[end : label.start()]) + ("(.+)" if label[2] else "([^/]+)")
        end = label.end()
    return re.compile(f"{pattern}{re.escape(path[end:])}/?")


def read(model: OperationModel, request: Request) -> Document:
    """The document of a request, from wherever its members stand."""
    shape = model.input_shape
    if shape is None:
        return {}
    members: dict[str, Shape] = shape.members
    payload = shape.serialization.get("payload")
    placed = [name for name, member in members.items() if "location" in member.serialization]
    document: Document = {}
    if payload is not None:
        document |= _read_payload(payload, members[payload], request.body)
    elif len(placed) < len(members):
        document |= tree.read(shape, json_rpc.parse(request.body))
    labels, query = _labels(model, request), parse_qsl(request.query, keep_blank_values=True)
    for name in placed:
        document.pop(name, None)
        value = _read_placed(members[name], name, labels, query, request)
        if value is not None:
            document[name] = value
    return document


def _read_payload(name: str, shape: Shape, body: bytes) -> Document:
    match shape.type_name:
        case "blob":
            return {name: base64.b64encode(body).decode()}
        case "string":
            return {name: body.decode("utf-8", "replace")}
        case _:
            return {name: tree.read(shape, json_rpc.parse(body))} if body else {}


def _labels(model: OperationModel, request: Request) -> dict[str, str]:
    uri = model.http["requestUri"]
    found = path_pattern(uri).fullmatch(request.path)
    names = [label[1] for label in _LABEL.finditer(uri)]
    return dict(zip(names, map(unquote, found.groups()), strict=False)) if found else {}


def _read_placed(
    shape: Shape, name: str, labels: dict[str, str], query: list[tuple[str, str]], request: Request
) -> Any:
    location, wire_name = shape.serialization["location"], shape.serialization.get("name", name)
    match location:
        case "uri":
            return text.read(shape, labels[wire_name]) if wire_name in labels else None
        case "querystring":
            return _read_query(shape, wire_name, query)
        case "headers":
            prefix = wire_name.lower()
            return {
                header[len(prefix) :]: value
                for header, value in request.headers.items()
                if header.startswith(prefix)
            } or None
        case _:
            header = request.headers.get(wire_name.lower())
            if header is None or not isinstance(shape, ListShape):
                return None if header is None else text.read(shape, header)
            return [text.read(shape.member, item.strip()) for item in header.split(",")]


def _read_query(shape: Shape, name: str, query: list[tuple[str, str]]) -> Any:
    if isinstance(shape, MapShape):
        found: dict[str, Any] = {}
        for key, value in query:
            if isinstance(shape.value, ListShape):
                found.setdefault(key, []).append(text.read(shape.value.member, value))
            else:
                found[key] = text.read(shape.value, value)
        return found or None
    values = [value for key, value in query if key == name]
    if isinstance(shape, ListShape):
        return [text.read(shape.member, value) for value in values] or None
    return text.read(shape, values[-1]) if values else None


def write(model: OperationModel, answer: Document, _request: Request, _request_id: str) -> Reply:
    """An answer, with the members that go into headers and the status where they go."""
    status = model.http.get("responseCode", 200)
    shape = model.output_shape
    if shape is None:
        return Reply(status, CONTENT_TYPE, b"")
    headers: dict[str, str] = {}
    rest: Document = {}
    for name, value in answer.items():
        match shape.members[name].serialization.get("location"):
            case None:
                rest[name] = value
            case "statusCode":
                status = value
            case _:
                headers.update(_headers(shape.members[name], name, value))
    content_type, body = _body(shape, rest)
    return Reply(status, headers.pop("Content-Type", content_type), body, headers)


def _body(shape: StructureShape, answer: Document) -> tuple[str, bytes]:
    payload = shape.serialization.get("payload")
    if payload is None:
        return CONTENT_TYPE, json_rpc.dump(tree.write(shape, answer))
    member, value = shape.members[payload], answer.get(payload)
    if value is None:
        return CONTENT_TYPE, b""
    match member.type_name:
        case "blob":
            return "application/octet-stream", base64.b64decode(value)
        case "string":
            return "text/plain", value.encode()
        case _:
            return CONTENT_TYPE, json_rpc.dump(tree.write(member, value))


def _headers(shape: Shape, name: str, value: Any) -> Iterator[tuple[str, str]]:
    wire_name = shape.serialization.get("name", name)
    if isinstance(shape, MapShape):
        for key, item in value.items():
            yield f"{wire_name}{key}", text.write(shape.value, item)
    elif isinstance(shape, ListShape):
        items = (text.write(shape.member, item, text.RFC822) for item in value)
        yield wire_name, ", ".join(items)
    else:
        yield wire_name, text.write(shape, value, text.RFC822)


def refuse(error: ServiceError, type_name: str, _request: Request, _request_id: str) -> Reply:
    """An error; `type_name` is the name of its shape."""
    body = json_rpc.dump({"__type": type_name, "message": error.message})
    return Reply(error.status, CONTENT_TYPE, body)
