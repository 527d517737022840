"""One request to an API, and what is known of it on its way: for events and for the access log."""

from __future__ import annotations

import base64
import os
import time
import uuid
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

Document = dict[str, Any]
_TEXT = ("application/json", "application/javascript", "application/xml")


class GatewayError(Exception):
    """An answer that API Gateway itself gives."""

    def __init__(self, status: int, message: str, why: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.why = why
        """What the access log says of it, as the integration's error."""


def internal(why: str) -> GatewayError:
    """A failure that the caller is told nothing of."""
    return GatewayError(500, "Internal Server Error", why)


@dataclass(slots=True)
class Exchange:
    """A request. `path` is what it asks for below the stage, `raw_path` with the stage's name."""

    api: str
    stage: str
    region: str
    account: str
    method: str
    path: str
    raw_path: str
    query: str
    headers: dict[str, str]
    cookies: list[str]
    body: bytes
    source_ip: str
    protocol: str
    variables: dict[str, str]
    began: float
    """When it came, by `time.perf_counter`."""
    time: float = field(default_factory=time.time)
    id: str = field(default_factory=lambda: base64.b64encode(os.urandom(11)).decode())
    trace: str = ""
    route_key: str = ""
    parameters: dict[str, str] | None = None
    authorized: Document | None = None
    """What the authorizer gives along."""
    told: Document = field(default_factory=dict)
    """Further variables of the access log."""
    integration_seconds: float | None = None
    """How long the function had it."""

    def __post_init__(self) -> None:
        given = self.headers.get("x-amzn-trace-id")
        self.trace = given or f"Root=1-{int(self.time):08x}-{uuid.uuid4().hex[:24]}"

    @property
    def host(self) -> str:
        """The name by which the API was called, without a port."""
        return self.headers.get("host", "").rpartition(":")[0] or self.headers.get("host", "")

    @property
    def query_parameters(self) -> dict[str, str]:
        """Decoded; the values of a name that comes again are joined by commas."""
        found: dict[str, str] = {}
        for name, value in parse_qsl(self.query, keep_blank_values=True):
            found[name] = f"{found[name]},{value}" if name in found else value
        return found

    def request_context(self) -> Document:
        """The member `requestContext` of events."""
        context: Document = {
            "accountId": self.account,
            "apiId": self.api,
            "domainName": self.host,
            "domainPrefix": self.api,
            "http": {
                "method": self.method,
                "path": self.raw_path,
                "protocol": self.protocol,
                "sourceIp": self.source_ip,
                "userAgent": self.headers.get("user-agent", ""),
            },
            "requestId": self.id,
            "routeKey": self.route_key,
            "stage": self.stage,
            "time": clf_time(self.time),
            "timeEpoch": int(self.time * 1000),
        }
        if self.authorized is not None:
            context["authorizer"] = {"lambda": self.authorized}
        return context

    def common(self) -> Document:
        """What the events for a function and for an authorizer have in common."""
        event: Document = {
            "version": "2.0",
            "routeKey": self.route_key,
            "rawPath": self.raw_path,
            "rawQueryString": self.query,
            "headers": self._event_headers(),
            "requestContext": self.request_context(),
        }
        if self.cookies:
            event["cookies"] = self.cookies
        if self.query:
            event["queryStringParameters"] = self.query_parameters
        if self.parameters:
            event["pathParameters"] = self.parameters
        if self.variables:
            event["stageVariables"] = self.variables
        return event

    def event(self) -> Document:
        """The event of payload 2.0 for the function behind a route."""
        event = self.common()
        text = self._text()
        if text is not None:
            event["body"] = text
        elif self.body:
            event["body"] = base64.b64encode(self.body).decode()
        event["isBase64Encoded"] = text is None and bool(self.body)
        return event

    def _event_headers(self) -> dict[str, str]:
        port = self.headers.get("host", "").rpartition(":")[2]
        return {
            "content-length": str(len(self.body)),
            **self.headers,
            "x-amzn-trace-id": self.trace,
            "x-forwarded-for": ", ".join(
                filter(None, (self.headers.get("x-forwarded-for"), self.source_ip))
            ),
            "x-forwarded-port": port if port.isdigit() else "80",
            "x-forwarded-proto": "http",
        }

    def _text(self) -> str | None:
        """The body, if its type says that it is text; None for no body, or another one."""
        if not self.body:
            return None
        kind = self.headers.get("content-type", "text/plain").partition(";")[0].strip().lower()
        if kind.startswith("text/") or kind in _TEXT or kind.endswith(("+json", "+xml")):
            try:
                return self.body.decode()
            except UnicodeDecodeError:
                return None
        return None


def clf_time(moment: float) -> str:
    """A time as in a web server's log: 25/Nov/2026:20:33:26 +0000."""
    return time.strftime("%d/%b/%Y:%H:%M:%S +0000", time.gmtime(moment))
