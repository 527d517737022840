"""Which operation a request asks for, whatever the protocol, and how it is told that it failed."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any
from urllib.parse import parse_qs
from xml.sax.saxutils import escape

from botocore.loaders import Loader

from localcloud.errors import ServiceError
from localcloud.wsgi import Environ

_CBOR_PATH = re.compile(r"/service/(?P<service>[^/]+)/operation/(?P<operation>[^/]+)")
_TYPES = {
    "json": "application/x-amz-json-1.1",
    "cbor": "application/cbor",
    "query": "text/xml",
    "ec2": "text/xml",
}


@dataclass(frozen=True)
class Asked:
    """AWS's name of the operation, and the protocol that it came by."""

    operation: str
    protocol: str

    def error(self, error: ServiceError, request_id: str) -> tuple[str, bytes]:
        """An error as a client of this protocol can read it: its content type and its body."""
        return _TYPES[self.protocol], _error_body(error, request_id, self.protocol)


def asked(service: str, environ: Environ, body: bytes) -> Asked:
    """What a request to `service` (a signing name) asks for.

    An operation that botocore does not know either is called by its method and path.
    """
    target: str = environ.get("HTTP_X_AMZ_TARGET", "")
    if target:
        return Asked(target.rpartition(".")[2], "json")
    if found := _CBOR_PATH.fullmatch(environ["PATH_INFO"]):
        return Asked(found["operation"], "cbor")
    form = environ.get("CONTENT_TYPE", "").startswith("application/x-www-form-urlencoded")
    text = body.decode("utf-8", "replace") if form else environ.get("QUERY_STRING", "")
    action = parse_qs(text).get("Action")
    if action:
        return Asked(action[0], "ec2" if service == "ec2" else "query")
    method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
    for wanted, pattern, name, protocol in _paths(service):
        if wanted == method and pattern.fullmatch(path):
            return Asked(name, protocol)
    return Asked(f"{method} {path}", "json")


@cache
def _paths(service: str) -> list[tuple[str, re.Pattern[str], str, str]]:
    """Method, path, name and protocol of the REST operations with this signing name."""
    found = []
    for model in _models(service):
        # A client of REST and XML reads an error as a client of the query protocol does.
        protocol = "query" if model["metadata"]["protocol"] == "rest-xml" else "json"
        for name, operation in model["operations"].items():
            path = operation["http"]["requestUri"].partition("?")[0]
            if path != "/":
                # Literal paths go before those with a variable in the same place.
                found.append((path.count("{"), operation["http"]["method"], path, name, protocol))
    return [
        (method, _pattern(path), name, protocol)
        for _, method, path, name, protocol in sorted(found)
    ]


def _models(service: str) -> Iterator[dict[str, Any]]:
    loader = Loader()
    for name in loader.list_available_services("service-2"):
        if name.startswith(service):
            model = loader.load_service_model(name, "service-2")
            metadata = model["metadata"]
            signing = metadata.get("signingName", metadata["endpointPrefix"])
            if signing == service and metadata["protocol"].startswith("rest"):
                yield model


def _pattern(path: str) -> re.Pattern[str]:
    parts = re.split(r"(\{[^}]+\})", path.rstrip("/"))
    variables = ["[^/]+" if part[:1] == "{" and part[-2:-1] != "+" else ".+" for part in parts]
    return re.compile(
        "".join(
            variable if part[:1] == "{" else re.escape(part)
            for part, variable in zip(parts, variables, strict=True)
        )
        + "/?"
    )


def _error_body(error: ServiceError, request_id: str, protocol: str) -> bytes:
    match protocol:
        case "query":
            return (
                f"<ErrorResponse><Error><Type>{'Sender' if error.status < 500 else 'Receiver'}"
                f"</Type><Code>{error.code}</Code><Message>{_text(error.message)}</Message></Error>"
                f"<RequestId>{request_id}</RequestId></ErrorResponse>"
            ).encode()
        case "ec2":
            return (
                f"<Response><Errors><Error><Code>{error.code}</Code><Message>"
                f"{_text(error.message)}</Message></Error></Errors>"
                f"<RequestID>{request_id}</RequestID></Response>"
            ).encode()
        case "cbor":
            words = ("__type", error.code, "message", error.message)
            return b"\xa2" + b"".join(_cbor(word) for word in words)
        case _:
            return json.dumps({"__type": error.code, "message": error.message}).encode()


def _text(message: str) -> str:
    """A message as XML 1.0 can hold it: without control characters."""
    return escape(re.sub(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", "?", message))


def _cbor(text: str) -> bytes:
    data = text.encode("utf-8", "replace")
    return b"\x79" + len(data[:65535]).to_bytes(2, "big") + data[:65535]
