"""The names of the operations that S3 has and this S3 has not."""

import io
from collections.abc import Iterator
from functools import lru_cache
from urllib.parse import parse_qsl

from botocore.loaders import Loader

from localcloud.s3.request import Request

_LEVELS = {"/": "service", "/{Bucket}": "bucket", "/{Bucket}/{Key+}": "object"}


def name_operation(request: Request) -> str:
    """AWS's name of the operation that a request asks for, or its method and subresource."""
    for method, level, subresources, name in _operations():
        if (method, level) == (request.method, request.level) and subresources <= {*request.query}:
            return name
    return f"{request.method} {request.level} {' '.join(request.query)}".strip()


def subresources() -> frozenset[str]:
    """The query parameters that say which operation a request asks for."""
    return frozenset(name for _, _, names, _ in _operations() for name in names)


def requests_by_name() -> Iterator[tuple[str, Request]]:
    """Every operation's name with the barest request that asks for it."""
    model = Loader().load_service_model("s3", "service-2")
    for name, operation in model["operations"].items():
        path, _, query = operation["http"]["requestUri"].partition("?")
        members = model["shapes"][operation["input"]["shape"]] if "input" in operation else {}
        for member in members.get("required", ()):
            if members["members"][member].get("location") == "querystring":
                query += f"&{members['members'][member]['locationName']}=1"
        # ListDirectoryBuckets is told from ListBuckets by the host that it goes to.
        known = path in _LEVELS and not operation.get("deprecated")
        if known and name != "ListDirectoryBuckets":
            yield (
                name,
                Request(
                    method=operation["http"]["method"],
                    bucket="" if path == "/" else "bucket",
                    key="key" if "Key" in path else "",
                    query=dict(parse_qsl(query, keep_blank_values=True)),
                    headers={},
                    body=io.BytesIO(),
                    path=path,
                    id="",
                ),
            )


@lru_cache
def _operations() -> list[tuple[str, str, frozenset[str], str]]:
    """Method, level, subresources and name; those with the most subresources first."""
    model = Loader().load_service_model("s3", "service-2")
    operations = []
    for name, operation in model["operations"].items():
        path, _, query = operation["http"]["requestUri"].partition("?")
        if path in _LEVELS:
            names = frozenset(pair[0] for pair in parse_qsl(query, keep_blank_values=True))
            operations.append((operation["http"]["method"], _LEVELS[path], names, name))
    return sorted(operations, key=lambda operation: (-len(operation[2]), operation[3]))
