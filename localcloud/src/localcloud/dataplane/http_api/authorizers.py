"""Authorizers at work: who may come in, asked of a function, its answers kept for a while."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable
from typing import Any

from localcloud.dataplane.containers import LostError, TooLateError
from localcloud.dataplane.functions import Functions
from localcloud.dataplane.http_api.exchange import Exchange, GatewayError, internal

Document = dict[str, Any]
MOST_SECONDS = 10.0
"""An authorizer's function has so long."""
_MOST_KEPT = 10_000


class Authorizer:
    """One authorizer of a stage; its simple responses are kept by the identity that they are of."""

    def __init__(self, table: Document, functions: Functions) -> None:
        self._id: str = table["id"]
        self._arn: str = table["function"]
        self._seconds: float = table["seconds"]
        self._functions = functions
        self._sources = [_source(each) for each in table["sources"]]
        self._kept: dict[tuple[str, ...], tuple[float, Document | None]] = {}

    async def admit(self, exchange: Exchange) -> None:
        """Let a request in, with what the function gives along; raises GatewayError."""
        identity = tuple(source(exchange) for source in self._sources)
        if not all(identity):
            exchange.told["authorizer.status"] = "401"
            raise GatewayError(401, "Unauthorized")
        values = tuple(value or "" for value in identity)
        now = time.perf_counter()
        kept = self._kept.get(values) if self._seconds else None
        if kept is not None and kept[0] > now:
            context = kept[1]
        else:
            context = await self._ask(exchange, values)
            if self._seconds:
                if len(self._kept) >= _MOST_KEPT:
                    self._kept.clear()
                self._kept[values] = now + self._seconds, context
        if context is None:
            exchange.told["authorizer.status"] = "403"
            raise GatewayError(403, "Forbidden")
        exchange.told["authorizer.status"] = "200"
        exchange.authorized = context

    async def _ask(self, exchange: Exchange, identity: tuple[str, ...]) -> Document | None:
        """What the function gives along for a request that it lets in; None for another one."""
        function = self._functions.find(self._arn)
        source = f"arn:aws:execute-api:{exchange.region}:{exchange.account}:{exchange.api}/"
        if function is None or not function.allows(f"{source}authorizers/{self._id}"):
            exchange.told["authorizer.error"] = (
                "API Gateway does not have permission to call the authorizer's function."
            )
            raise internal("")
        path = f"{exchange.stage}/{exchange.method}{exchange.path}"
        event = exchange.common() | {
            "type": "REQUEST",
            "routeArn": source + path,
            "identitySource": list(identity),
        }
        began = time.perf_counter()
        try:
            answer = await function.invoke(
                str(uuid.uuid4()), exchange.trace, json.dumps(event).encode(), MOST_SECONDS
            )
        except (TooLateError, LostError) as error:
            exchange.told["authorizer.error"] = "The authorizer's function did not answer."
            raise internal("") from error
        finally:
            exchange.told["authorizer.latency"] = str(int((time.perf_counter() - began) * 1000))
        result = None if answer.function_error else _parsed(answer.body)
        if not isinstance(result, dict) or not isinstance(result.get("isAuthorized"), bool):
            exchange.told["authorizer.error"] = (
                "The authorizer's function failed."
                if answer.function_error
                else "The response from the authorizer's function is not a simple response."
            )
            raise internal("")
        context = result.get("context") or {}
        return context if result["isAuthorized"] and isinstance(context, dict) else None


def _parsed(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return None


def _source(expression: str) -> Callable[[Exchange], str | None]:
    """What reads an identity source from a request."""
    place, _, name = expression.removeprefix("$").partition(".")
    if place == "stageVariables":
        return lambda exchange: exchange.variables.get(name)
    if place == "context":
        return lambda exchange: _context(exchange, name)
    kind, _, name = name.partition(".")
    if kind == "header":
        header = name.lower()
        return lambda exchange: exchange.headers.get(header)
    return lambda exchange: exchange.query_parameters.get(name)


def _context(exchange: Exchange, name: str) -> str | None:
    known = {
        "httpMethod": exchange.method,
        "routeKey": exchange.route_key,
        "path": exchange.raw_path,
        "stage": exchange.stage,
        "apiId": exchange.api,
        "identity.sourceIp": exchange.source_ip,
        "identity.userAgent": exchange.headers.get("user-agent"),
    }
    return known.get(name)
