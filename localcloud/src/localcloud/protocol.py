"""JSON 1.1 as botocore's service models describe it: parse, validate, serialise.

There is no code of any service here.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from botocore.loaders import Loader
from botocore.model import ListShape, MapShape, OperationModel, ServiceModel, Shape, StructureShape

from localcloud.errors import (
    NotEmulated,
    SerializationException,
    ServiceError,
    UnknownOperation,
    ValidationException,
)
from localcloud.shapes import check as check  # noqa: PLC0414 - whoever parses also checks

Document = dict[str, Any]
STRICT = "LOCALCLOUD_STRICT"
"""The variable by which tests have every answer held against its shape."""
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")


@dataclass(frozen=True)
class Caller:
    """For whom a call is made: everything that is stored belongs to an account and a region."""

    account: str
    region: str


Operation = Callable[[Caller, Document], Document | None]


class JsonService:
    """One service: its model, and the operations that are emulated, by their AWS names.

    `invalid` is the error by which this service refuses a value that breaks a rule of its model.
    """

    def __init__(
        self,
        name: str,
        operations: Mapping[str, Operation],
        invalid: type[ServiceError] = ValidationException,
    ) -> None:
        self.name = name
        self.invalid = invalid
        self.model: ServiceModel = service_model(name)
        self.operations = dict(operations)
        unknown = set(self.operations) - set(self.model.operation_names)
        if unknown:
            raise ValueError(f"{name} has no operation {sorted(unknown)} in botocore's model")

    def handle(self, caller: Caller, operation: str, body: bytes) -> bytes:
        """Answer one call. Raises a ServiceError for everything that AWS would refuse."""
        if operation not in self.model.operation_names:
            raise UnknownOperation(f"{self.name} has no operation named {operation!r}")
        if operation not in self.operations:
            raise NotEmulated(
                f"localcloud does not emulate {self.name}:{operation}. "
                "It emulates what this template calls; see docs/localcloud.md."
            )
        model = self.model.operation_model(operation)
        try:
            request = parse(model, body, self.invalid)
            result = self.operations[operation](caller, request) or {}
        except RecursionError as error:
            raise SerializationException("The request's JSON is nested too deeply") from error
        answer = serialise(model, result)
        if os.environ.get(STRICT):
            _hold(model, result, answer)
        return answer


@cache
def service_model(name: str) -> ServiceModel:
    """Botocore's model of a service, loaded once."""
    return ServiceModel(Loader().load_service_model(name, "service-2"), name)


def parse(
    operation: OperationModel, body: bytes, invalid: type[ServiceError] = ValidationException
) -> Document:
    """Read a request's body and hold it against the operation's input shape.

    What it gives holds no null and nothing that the shape does not know: AWS ignores both.
    """
    try:
        document = json.loads(body or b"{}", parse_constant=_refuse_constant)
        if _SURROGATE.search(body):  # half a character, which no file or database takes
            json.dumps(document, ensure_ascii=False).encode()
    except RecursionError:
        raise
    except ValueError as error:
        raise SerializationException(f"The request's body is not JSON: {error}") from error
    if not isinstance(document, dict):
        raise SerializationException("The request's body must be a JSON object")
    if operation.input_shape is None:
        return {}
    check(operation.input_shape, document, invalid)
    request: Document = _known(operation.input_shape, document)
    return request


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON number")


def _known(shape: Shape, value: Any) -> Any:
    match shape.type_name:
        case "structure":
            return {
                name: _known(member, value[name])
                for name, member in shape.members.items()
                if value.get(name) is not None
            }
        case "list":
            return [_known(shape.member, item) for item in value]
        case "map":
            return {key: _known(shape.value, item) for key, item in value.items()}
        case _:
            return value


def serialise(operation: OperationModel, document: Document) -> bytes:
    """Write an answer: members that the output shape knows, times as seconds since 1970."""
    shape = operation.output_shape
    if shape is None:
        return b"{}"
    answer = _plain(shape, document, operation.name)
    return json.dumps(answer, separators=(",", ":")).encode()


def _plain(shape: Shape, value: Any, path: str) -> Any:
    match shape.type_name:
        case "structure":
            assert isinstance(shape, StructureShape)  # noqa: S101 - tells mypy what the case says
            missing = [name for name in shape.required_members if value.get(name) is None]
            if missing:
                raise ValueError(f"{path}: the answer lacks {missing}")
            return {
                name: _plain(member, value[name], f"{path}.{name}")
                for name, member in shape.members.items()
                if value.get(name) is not None
            }
        case "list":
            assert isinstance(shape, ListShape)  # noqa: S101 - tells mypy what the case says
            return [_plain(shape.member, item, path) for item in value]
        case "map":
            assert isinstance(shape, MapShape)  # noqa: S101 - tells mypy what the case says
            return {key: _plain(shape.value, item, path) for key, item in value.items()}
        case "timestamp":
            return value.timestamp() if isinstance(value, datetime) else value
        case _:
            return value


def _hold(operation: OperationModel, document: Document, answer: bytes) -> None:
    """Raise ValueError for an answer that AWS could not give: for tests.

    A description may hold more at its top than is shown: it is the document that is stored.
    """
    shape = operation.output_shape
    if shape is None:
        return
    try:
        check(shape, json.loads(answer))
    except ServiceError as error:
        raise ValueError(f"{operation.name} answers what AWS cannot: {error}") from error
    stored = operation.name.startswith("Describe")
    members = {name: value for name, value in document.items() if name in shape.members}
    unknown = sorted(_unknown(shape, members if stored else document, operation.name))
    if unknown:
        raise ValueError(f"{operation.name} answers members that AWS does not know: {unknown}")


def _unknown(shape: Shape, value: Any, path: str) -> Iterator[str]:
    match shape.type_name:
        case "structure":
            for name, item in value.items():
                if name not in shape.members:
                    yield f"{path}.{name}"
                elif item is not None:
                    yield from _unknown(shape.members[name], item, f"{path}.{name}")
        case "list":
            for item in value:
                yield from _unknown(shape.member, item, path)
        case "map":
            for key, item in value.items():
                yield from _unknown(shape.value, item, f"{path}.{key}")
