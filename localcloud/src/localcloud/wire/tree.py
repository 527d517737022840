"""Documents as trees of lists and maps, which JSON and CBOR share."""

from __future__ import annotations

import base64
import math
from typing import Any

from botocore.model import ListShape, MapShape, Shape, StructureShape

from localcloud.wire import text
from localcloud.wire.text import EPOCH, read_time, write_time

_REAL = ("float", "double")
_NOT_FINITE = ("NaN", "Infinity", "-Infinity")


def read(shape: Shape, value: Any) -> Any:
    """A value off the wire with the members that the shape knows, by their names in the model.

    Nulls and unknown members are left out: AWS ignores both. What is of another type than the
    shape's comes back as it is, for the check to name.
    """
    if isinstance(shape, StructureShape) and isinstance(value, dict) and not shape.is_document_type:
        wire_names = {
            name: member.serialization.get("name", name) for name, member in shape.members.items()
        }
        return {
            name: read(shape.members[name], value[wire_name])
            for name, wire_name in wire_names.items()
            if value.get(wire_name) is not None
        }
    if isinstance(shape, ListShape) and isinstance(value, list):
        return [read(shape.member, item) for item in value]
    if isinstance(shape, MapShape) and isinstance(value, dict):
        return {key: read(shape.value, item) for key, item in value.items()}
    return _read_leaf(shape, value)


def _read_leaf(shape: Shape, value: Any) -> Any:
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if shape.type_name == "timestamp" and isinstance(value, str) and _time_format(shape) != EPOCH:
        return read_time(value)
    if shape.type_name in _REAL and value in _NOT_FINITE:
        return float(value)
    return value


def write(shape: Shape, value: Any) -> Any:
    """A document as JSON shows it: members by their names on the wire, times in their format."""
    if isinstance(shape, StructureShape) and not shape.is_document_type:
        return {
            shape.members[name].serialization.get("name", name): write(shape.members[name], item)
            for name, item in value.items()
        }
    if isinstance(shape, ListShape):
        return [write(shape.member, item) for item in value]
    if isinstance(shape, MapShape):
        return {key: write(shape.value, item) for key, item in value.items()}
    if shape.type_name == "timestamp" and _time_format(shape) != EPOCH:
        return write_time(value, _time_format(shape))
    if shape.type_name in _REAL and not math.isfinite(value):
        return text.write(shape, value)
    return value


def _time_format(shape: Shape) -> str:
    return str(shape.serialization.get("timestampFormat", EPOCH)).lower()
