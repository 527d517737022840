"""All HTTP APIs: which one is meant by a request, and what becomes of it."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

from localcloud.dataplane.containers import LostError, TooLateError
from localcloud.dataplane.functions import Functions
from localcloud.dataplane.http_api.access_logs import AccessLog
from localcloud.dataplane.http_api.authorizers import Authorizer
from localcloud.dataplane.http_api.cors import Cors
from localcloud.dataplane.http_api.counts import Counts
from localcloud.dataplane.http_api.exchange import Exchange, GatewayError, internal
from localcloud.dataplane.http_api.results import JSON, Answered, answered
from localcloud.dataplane.http_api.routes import Route, RouteTable
from localcloud.dataplane.http_api.throttle import Throttle
from localcloud.dataplane.reply import Reply

Document = dict[str, Any]
Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
_PREFIX = b"/http-apis/"
_DEFAULT = "$default"
MOST_BYTES = 10 * 1024 * 1024
MOST_EVENT_BYTES = 6 * 1024 * 1024
MOST_HEAD_BYTES = 10_240
_SHOWN = 512
"""Bytes of a function's error that the access log gets."""


def is_http_api(scope: Scope) -> bool:
    """Whether a request is for an API."""
    return scope["type"] == "http" and _raw(scope).startswith(_PREFIX)


class Stage:
    """A stage of an API, ready to answer."""

    def __init__(self, table: Document, functions: Functions) -> None:
        self.name: str = table["name"]
        self.variables: dict[str, str] = table["variables"]
        self.log = _access_log(table["log"])
        self._functions = functions
        default = Throttle.of(table["settings"])
        authorizers: dict[str, Authorizer] = {}

        def authorizer(told: Document | None) -> Authorizer | None:
            if told is None:
                return None
            if told["id"] not in authorizers:
                authorizers[told["id"]] = Authorizer(told, functions)
            return authorizers[told["id"]]

        self._routes = RouteTable(
            Route(
                key=each["key"],
                function=each["function"],
                seconds=each["seconds"],
                authorizer=authorizer(each["authorizer"]),
                throttle=Throttle.of(each["settings"]) or default,
            )
            for each in table["routes"]
        )

    async def answer(self, exchange: Exchange, receive: Receive) -> Answered:
        """What the route of a request answers; raises GatewayError."""
        found = self._routes.find(exchange.method, exchange.path)
        if found is None:
            raise GatewayError(404, "Not Found")
        route, parameters = found
        exchange.route_key, exchange.parameters = route.key, parameters
        if route.throttle is not None and not route.throttle.take(exchange.began):
            raise GatewayError(429, "Too Many Requests")
        if route.authorizer is not None:
            await route.authorizer.admit(exchange)
        exchange.body = await _body(receive)
        return await self._invoke(route, exchange)

    async def _invoke(self, route: Route, exchange: Exchange) -> Answered:
        if route.function is None:
            raise internal("The route has no integration.")
        function = self._functions.find(route.function)
        source = (
            f"arn:aws:execute-api:{exchange.region}:{exchange.account}:{exchange.api}/"
            f"{self.name}/{route.source}"
        )
        if function is None or not function.allows(source):
            raise internal(
                "The IAM role configured on the integration or API Gateway doesn't have "
                "permissions to call the integration. Check the permissions and try again."
            )
        if not function.processes:
            exchange.told["integration.integrationStatus"] = "429"
            raise GatewayError(503, "Service Unavailable", "Rate Exceeded.")
        event = json.dumps(exchange.event(), separators=(",", ":")).encode()
        if len(event) > MOST_EVENT_BYTES:
            raise GatewayError(413, "Request Entity Too Large")
        request_id = str(uuid.uuid4())
        exchange.told["integration.requestId"] = request_id
        began = time.perf_counter()
        try:
            answer = await function.invoke(request_id, exchange.trace, event, route.seconds)
        except TooLateError as error:
            raise GatewayError(
                503, "Service Unavailable",
                f"Endpoint request timed out after {route.seconds * 1000:.0f} ms",
            ) from error  # fmt: skip
        except LostError as error:
            raise internal("The function's server ended while it had the event.") from error
        finally:
            exchange.integration_seconds = time.perf_counter() - began
            exchange.told["integration.latency"] = str(int(exchange.integration_seconds * 1000))
        exchange.told["integration.integrationStatus"] = "200"
        if answer.function_error is not None:
            exchange.told["integration.status"] = "200"
            said = answer.body[:_SHOWN].decode("utf-8", "replace")
            raise internal(
                f"The Lambda function returned the following error: {said}. Check your Lambda "
                "function code and try again."
            )
        result = answered(answer.body)
        exchange.told["integration.status"] = str(result[0])
        return result


class Api:
    """An API with its stages."""

    def __init__(self, table: Document, functions: Functions) -> None:
        self.id: str = table["api"]
        self.region: str = table["region"]
        self.account: str = table["account"]
        self.disabled: bool = table["disabled"]
        self.cors = Cors(table["cors"]) if table["cors"] else None
        self.stages = {each["name"]: Stage(each, functions) for each in table["stages"]}

    def place(self, path: str) -> tuple[Stage, str] | None:
        """The stage that a path is for, and the path below it."""
        name, slash, rest = path[1:].partition("/")
        named = self.stages.get(name) if name != _DEFAULT else None
        if named is not None:
            return named, slash + rest or "/"
        default = self.stages.get(_DEFAULT)
        return None if default is None else (default, path)


class HttpApis:
    """Answers the requests of all APIs."""

    def __init__(self, functions: Functions) -> None:
        self.counts = Counts()
        self._functions = functions
        self._apis: dict[str, Api] = {}
        self._logs: list[AccessLog] = []

    def put(self, order: Document) -> None:
        """Do what the gateway says of an API."""
        self.flush()
        if order["do"] == "forget-http-api":
            self._apis.pop(order["api"], None)
        else:
            self._apis[order["api"]] = Api(order, self._functions)
        # Requests that are on their way note themselves in the log that they began with.
        current = [s.log for a in self._apis.values() for s in a.stages.values() if s.log]
        self._logs = [*current, *(log for log in self._logs if log.is_waited_for)]

    def flush(self) -> None:
        """Write what the access logs have to say."""
        for log in self._logs:
            log.flush()

    async def answer(self, scope: Scope, receive: Receive, began: float) -> Reply:
        """Answer one request."""
        api_id, slash, rest = _raw(scope)[len(_PREFIX) :].partition(b"/")
        path = (slash + rest).decode("latin-1") or "/"
        api = self._apis.get(api_id.decode("latin-1"))
        place = None if api is None or api.disabled else api.place(path)
        if api is None or place is None:
            return _refusal(GatewayError(404, "Not Found"))
        stage, below = place
        exchange = _exchange(scope, api, stage, below, path, began)
        if stage.log is None:
            reply = await _reply(api, stage, exchange, scope, receive)
        else:
            with stage.log.awaiting():
                reply = await _reply(api, stage, exchange, scope, receive)
                stage.log.add(exchange, reply.status, len(reply.body))
        self.counts.add(exchange, reply)
        return reply


async def _reply(
    api: Api, stage: Stage, exchange: Exchange, scope: Scope, receive: Receive
) -> Reply:
    origin = exchange.headers.get("origin")
    asked = "access-control-request-method" in exchange.headers
    if api.cors is not None and exchange.method == "OPTIONS" and origin is not None and asked:
        reply = Reply(204, api.cors.preflight(origin), b"")
    else:
        try:
            _check_head(scope)
            reply = Reply(*await stage.answer(exchange, receive))
        except GatewayError as error:
            exchange.told["error.message"] = error.message
            exchange.told["error.messageString"] = json.dumps(error.message)
            if error.why:
                exchange.told["integration.error"] = error.why
            reply = _refusal(error)
        if api.cors is not None:
            reply = Reply(reply.status, api.cors.apply(origin, reply.headers), reply.body)
    reply.headers.append((b"apigw-requestid", exchange.id.encode()))
    return reply


def _access_log(told: Document | None) -> AccessLog | None:
    return None if told is None else AccessLog(told["path"], told["format"])


def _refusal(error: GatewayError) -> Reply:
    body = json.dumps({"message": error.message}, separators=(",", ":"))
    return Reply(error.status, [JSON], body.encode())


def _raw(scope: Scope) -> bytes:
    raw: bytes = scope.get("raw_path") or scope["path"].encode()
    return raw.partition(b"?")[0]


def _exchange(
    scope: Scope, api: Api, stage: Stage, below: str, path: str, began: float
) -> Exchange:
    headers: dict[str, str] = {}
    cookies: list[str] = []
    for name, value in scope["headers"]:
        if name == b"cookie":
            cookies += [part.strip() for part in value.decode("latin-1").split(";")]
            continue
        key, text = name.decode("latin-1"), value.decode("latin-1")
        headers[key] = f"{headers[key]},{text}" if key in headers else text
    client = scope.get("client")
    return Exchange(
        api=api.id,
        stage=stage.name,
        region=api.region,
        account=api.account,
        method=scope["method"],
        path=below,
        raw_path=path,
        query=scope["query_string"].decode("latin-1"),
        headers=headers,
        cookies=cookies,
        body=b"",
        source_ip=client[0] if client else "",
        protocol=f"HTTP/{scope['http_version']}",
        variables=stage.variables,
        began=began,
    )


def _check_head(scope: Scope) -> None:
    size = len(_raw(scope)) + len(scope["query_string"])
    size += sum(len(name) + len(value) for name, value in scope["headers"])
    if size > MOST_HEAD_BYTES:
        raise GatewayError(431, "Request Header Fields Too Large")


async def _body(receive: Receive) -> bytes:
    """The whole body; raises GatewayError for one that is too long."""
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise GatewayError(408, "Request Timeout")
        part: bytes = message.get("body", b"")
        size += len(part)
        if size > MOST_BYTES:
            raise GatewayError(413, "Request Entity Too Large")
        parts.append(part)
        if not message.get("more_body"):
            return b"".join(parts)
