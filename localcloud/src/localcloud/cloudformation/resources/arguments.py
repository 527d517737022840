"""Properties of a resource as arguments of a call: matched by botocore's shapes, whatever the case.

What a shape has no member for is refused by name.
"""

from __future__ import annotations

import json
from typing import Any

from botocore.model import ListShape, MapShape, Shape, StructureShape

from localcloud.cloudformation.errors import ResourceFailed
from localcloud.cloudformation.templates.values import UNKNOWN, as_text
from localcloud.protocol import Document, service_model


def members(service: str, operation: str) -> dict[str, str]:
    """An operation's parameters by their names in lower case."""
    shape = service_model(service).operation_model(operation).input_shape
    return {name.lower(): name for name in shape.members} if shape is not None else {}


def arguments(service: str, operation: str, properties: Document) -> Document:
    """The properties that an operation has parameters for, as its arguments.

    Raises ResourceFailed for a member further down that the operation does not know.
    """
    shape = service_model(service).operation_model(operation).input_shape
    known = members(service, operation)
    return {
        known[name.lower()]: _argument(shape.members[known[name.lower()]], value, name)
        for name, value in properties.items()
        if name.lower() in known
    }


def _argument(shape: Shape, value: Any, path: str) -> Any:
    if value is UNKNOWN:
        return value
    if isinstance(shape, StructureShape) and isinstance(value, dict):
        known = {name.lower(): name for name in shape.members}
        found = {}
        for key, item in value.items():
            name = known.get(key.lower())
            if name is None:
                raise ResourceFailed(f"localcloud does not emulate the property {path}.{key}")
            found[name] = _argument(shape.members[name], item, f"{path}.{key}")
        return found
    if isinstance(shape, ListShape) and isinstance(value, list):
        return [_argument(shape.member, item, f"{path}.{n}") for n, item in enumerate(value)]
    if isinstance(shape, MapShape) and isinstance(value, dict):
        return {key: _argument(shape.value, item, f"{path}.{key}") for key, item in value.items()}
    if shape.type_name == "string" and not isinstance(value, str):
        # Policies and other documents are objects in templates.
        return json.dumps(value) if isinstance(value, dict | list) else as_text(value)
    return value
