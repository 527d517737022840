"""Smithy's RPC v2 with CBOR: the operation in the path, everything else in the body.

The bytes are written and read by botocore, whose clients are the ones that speak it.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from io import BufferedReader
from typing import Any

from botocore.model import ListShape, MapShape, OperationModel, Shape, StructureShape
from botocore.parsers import ResponseParserError, RpcV2CBORParser
from botocore.serialize import RpcV2CBORSerializer

from localcloud.errors import SerializationException, ServiceError
from localcloud.protocol import Document
from localcloud.wire import tree
from localcloud.wire.message import Reply, Request

CONTENT_TYPE = "application/cbor"
HEADERS: Mapping[str, str] = {"smithy-protocol": "rpc-v2-cbor"}
_EMPTY_MAP = b"\xa0"


class _Parser(RpcV2CBORParser):  # type: ignore[misc, unused-ignore]
    """Botocore's, for bodies of strangers: it reserves no memory for bytes that do not come."""

    def __init__(self, size: int) -> None:
        super().__init__(timestamp_parser=float)
        self._size = size

    def _read_from_stream(self, stream: BufferedReader, num_bytes: int) -> bytes:
        if num_bytes > self._size:
            raise ResponseParserError(f"it has fewer than the {num_bytes} bytes that it announces")
        read: bytes = super()._read_from_stream(stream, num_bytes)
        return read


class _Serializer(RpcV2CBORSerializer):  # type: ignore[misc, unused-ignore]
    """Botocore's, with times as they stand in documents."""

    def _convert_timestamp_to_str(self, value: float, timestamp_format: Any = None) -> float:  # noqa: ARG002
        return value


def read(model: OperationModel, request: Request) -> Document:
    """The document in a request's body. Raises SerializationException if it holds none."""
    value: Any = {}
    if request.body:
        parser = _Parser(len(request.body))
        try:
            value = parser.parse_data_item(parser.get_peekable_stream_from_bytes(request.body))
        except (ResponseParserError, ValueError, TypeError, OverflowError) as error:
            raise SerializationException(f"The request's body is not CBOR: {error}") from error
    if not isinstance(value, dict):
        raise SerializationException("The request's body must be a CBOR map")
    if model.input_shape is None:
        return {}
    document: Document = tree.read(model.input_shape, value)
    return document


def write(model: OperationModel, answer: Document, _request: Request, _request_id: str) -> Reply:
    """An answer."""
    body = bytearray()
    shape = model.output_shape
    if shape is not None:
        _Serializer()._serialize_data_item(body, _with_bytes(shape, answer), shape)
    return Reply(200, CONTENT_TYPE, bytes(body) or _EMPTY_MAP, HEADERS)


def refuse(error: ServiceError, type_name: str, _request: Request, _request_id: str) -> Reply:
    """An error; `type_name` is the name of its shape."""
    serializer, body = _Serializer(), bytearray(b"\xa2")
    for word in ("__type", type_name, "message", error.message):
        whole = word.encode("utf-8", "replace").decode()
        serializer._serialize_type_string(body, whole, None, None)
    return Reply(error.status, CONTENT_TYPE, bytes(body), HEADERS)


def _with_bytes(shape: Shape, value: Any) -> Any:
    """A document whose blobs are bytes."""
    if isinstance(shape, StructureShape):
        return {name: _with_bytes(shape.members[name], item) for name, item in value.items()}
    if isinstance(shape, ListShape):
        return [_with_bytes(shape.member, item) for item in value]
    if isinstance(shape, MapShape):
        return {key: _with_bytes(shape.value, item) for key, item in value.items()}
    return base64.b64decode(value) if shape.type_name == "blob" else value
