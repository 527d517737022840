"""A service as botocore's models describe it, whatever protocol its clients speak.

There is no code of any service here, and none of any protocol.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache, cached_property
from typing import Any

from botocore.loaders import Loader
from botocore.model import ListShape, MapShape, OperationModel, ServiceModel, Shape, StructureShape

from localcloud.errors import (
    NotEmulated,
    ServiceError,
    UnknownOperation,
    ValidationException,
)
from localcloud.shapes import check as check  # noqa: PLC0414 - whoever parses also checks

Document = dict[str, Any]
STRICT = "LOCALCLOUD_STRICT"
"""The variable by which tests have every answer held against its shape."""


@dataclass(frozen=True)
class Caller:
    """For whom a call is made: everything that is stored belongs to an account and a region."""

    account: str
    region: str


Operation = Callable[[Caller, Document], Document | None]


class Service:
    """One service: its model, and the operations that are emulated, by their AWS names.

    `name` is botocore's name of the service; `invalid` is the error by which it refuses a value
    that breaks a rule of its model, `invalid_in` that of calls that have another one;
    `beyond` are calls whose answers have values on AWS that its own model does not list. What is
    asked and answered are documents: plain JSON, members by their names in the model, times as
    seconds since 1970, blobs as base64 text.
    """

    def __init__(
        self,
        name: str,
        operations: Mapping[str, Operation],
        invalid: type[ServiceError] = ValidationException,
        invalid_in: Mapping[str, type[ServiceError]] | None = None,
        beyond: frozenset[str] = frozenset(),
    ) -> None:
        self.name = name
        self._invalid = invalid
        self._invalid_in = dict(invalid_in or {})
        self._beyond = beyond
        self.operations = dict(operations)

    @cached_property
    def model(self) -> ServiceModel:
        """Botocore's model, loaded at the first call. Raises ValueError for unknown operations."""
        model = service_model(self.name)
        unknown = set(self.operations) - set(model.operation_names)
        if unknown:
            raise ValueError(f"{self.name} has no operation {sorted(unknown)} in botocore's model")
        return model

    def speaks(self, protocol: str) -> bool:
        """Whether clients of this service speak a protocol, by botocore's name of it."""
        metadata = self.model.metadata
        return protocol in (metadata.get("protocols") or [metadata["protocol"]])

    def emulated(self, operation: str) -> OperationModel:
        """The model of an operation, or UnknownOperation or NotEmulated."""
        if operation not in self.model.operation_names:
            raise UnknownOperation(f"{self.name} has no operation named {operation!r}")
        if operation not in self.operations:
            raise NotEmulated(
                f"localcloud does not emulate {self.name}:{operation}. "
                "It emulates what this template calls; see docs/localcloud-calls.md."
            )
        return self.model.operation_model(operation)

    def call(self, caller: Caller, operation: str, request: Document) -> Document:
        """Answer one call. Raises a ServiceError for everything that AWS would refuse."""
        model = self.emulated(operation)
        if model.input_shape is not None:
            invalid = self._invalid_in.get(operation, self._invalid)
            check(model.input_shape, request, invalid)
        result = self.operations[operation](caller, request) or {}
        answer = _answer(model, result)
        if os.environ.get(STRICT):
            _hold(model, result, answer, rules=operation not in self._beyond)
        return answer


@cache
def service_model(name: str) -> ServiceModel:
    """Botocore's model of a service, loaded once."""
    return ServiceModel(_without_texts(Loader().load_service_model(name, "service-2")), name)


def _without_texts(model: Any) -> Any:
    """A model without its documentation, which is most of it and which nobody reads here."""
    if isinstance(model, dict):
        return {
            key: _without_texts(value)
            for key, value in model.items()
            if key != "documentation" or not isinstance(value, str)
        }
    return [_without_texts(each) for each in model] if isinstance(model, list) else model


def _answer(operation: OperationModel, document: Document) -> Document:
    """The part of what an operation gives that its output shape knows, as plain JSON."""
    shape = operation.output_shape
    answer: Document = {} if shape is None else _plain(shape, document, operation.name)
    return answer


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
        case "blob":
            return base64.b64encode(value).decode() if isinstance(value, bytes) else value
        case _:
            return value


def _hold(operation: OperationModel, document: Document, answer: Document, *, rules: bool) -> None:
    """Raise ValueError for an answer that AWS could not give: for tests.

    A description may hold more at its top than is shown: it is the document that is stored.
    """
    shape = operation.output_shape
    if shape is None:
        return
    try:
        if rules:
            check(shape, answer)
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
