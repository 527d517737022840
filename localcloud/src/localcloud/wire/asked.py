"""Which operation a request asks for, and by which protocol."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from botocore.loaders import Loader

from localcloud.wire.message import Request
from localcloud.wire.query import fields
from localcloud.wire.rest_json import path_pattern

_CBOR_PATH = re.compile(r"/service/[^/]+/operation/(?P<operation>[^/]+)")


@dataclass(frozen=True)
class Asked:
    """AWS's name of the operation, and botocore's of the protocol that it came by.

    `service` is botocore's name of the service, where the path tells it: several share a signing
    name.
    """

    operation: str
    protocol: str
    service: str | None = None


def asked(service: str, request: Request) -> Asked:
    """What a request to `service` (a signing name) asks for.

    An operation that botocore does not know either is called by its method and path.
    """
    target = request.headers.get("x-amz-target", "")
    if target:
        return Asked(target.rpartition(".")[2], "json")
    if found := _CBOR_PATH.fullmatch(request.path):
        return Asked(found["operation"], "smithy-rpc-v2-cbor")
    action = dict(fields(request)).get("Action")
    if action:
        return Asked(action, "ec2" if service == "ec2" else "query")
    words = set(request.query.split("&"))
    for path in _paths(service):
        asks = path.method == request.method and path.words <= words
        if asks and path.pattern.fullmatch(request.path):
            return Asked(path.operation, path.protocol, path.service)
    return Asked(f"{request.method} {request.path}", "json")


@dataclass(frozen=True)
class _Path:
    """What tells the requests of an operation; `words` are those of its query string."""

    method: str
    pattern: re.Pattern[str]
    words: frozenset[str]
    operation: str
    protocol: str
    service: str


@cache
def _paths(service: str) -> list[_Path]:
    """Of the REST operations with this signing name, the most particular first."""
    found = []
    for botocore_name, model in _models(service):
        protocol = model["metadata"]["protocol"]
        for name, operation in model["operations"].items():
            uri, _, query = operation["http"]["requestUri"].partition("?")
            if uri != "/":
                words = frozenset(query.split("&")) - {""}
                # Literal paths go before those with a variable in the same place.
                order = (uri.count("{"), -len(words), uri, name)
                method = operation["http"]["method"]
                found.append(
                    (order, _Path(method, path_pattern(uri), words, name, protocol, botocore_name))
                )
    return [path for _, path in sorted(found, key=lambda pair: pair[0])]


def _models(service: str) -> Iterator[tuple[str, dict[str, Any]]]:
    loader = Loader()
    for name in loader.list_available_services("service-2"):
        if name.startswith(service):
            model = loader.load_service_model(name, "service-2")
            metadata = model["metadata"]
            signing = metadata.get("signingName", metadata["endpointPrefix"])
            if signing == service and metadata["protocol"].startswith("rest"):
                yield name, model
