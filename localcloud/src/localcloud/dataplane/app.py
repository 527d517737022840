"""The ASGI application of the data plane: which request is whose."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import unquote

from localcloud.dataplane.http_api.apis import HttpApis, is_http_api
from localcloud.dataplane.invocation import Headers, Invocations, RefusedError, check_size
from localcloud.dataplane.reply import Reply
from localcloud.errors import ServiceError
from localcloud.loopback import refuse_foreigners

_log = logging.getLogger(__name__)
Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
_ENDPOINTS = "/endpoints/"
_WITHOUT_BODY = (204, 304)
NOT_EMULATED = {
    "async-invocations": "InvokeEndpointAsync",
    "invocations-response-stream": "InvokeEndpointWithResponseStream",
    "invocations-bidirectional-stream": "InvokeEndpointWithBidirectionalStream",
}


class Application:
    """Answers one request after the other; nothing that goes wrong in one ends another."""

    def __init__(self, invocations: Invocations, apis: HttpApis) -> None:
        self._invocations = invocations
        self._apis = apis

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        began = time.perf_counter()
        try:
            reply = await self._reply(scope, receive, began)
        except RefusedError as error:
            reply = error.reply()
        except ServiceError as error:
            reply = RefusedError(error.code, error.status, error.message).reply()
        except Exception as error:  # noqa: BLE001 - the last line before a client
            _log.exception("%s %s", scope["method"], scope["path"])
            reason = f"localcloud failed on this request: {type(error).__name__}: {error}"
            reply = RefusedError("InternalFailure", 500, reason).reply()
        headers = reply.headers
        if reply.status not in _WITHOUT_BODY:
            headers.append((b"content-length", b"%d" % len(reply.body)))
        if not is_http_api(scope):
            headers.append((b"x-amzn-requestid", os.urandom(16).hex().encode()))
        await send({"type": "http.response.start", "status": reply.status, "headers": headers})
        await send({"type": "http.response.body", "body": reply.body})

    async def _reply(self, scope: Scope, receive: Receive, began: float) -> Reply:
        if scope["type"] != "http":
            raise RefusedError("UnknownOperationException", 404, "Only HTTP is answered here.")
        headers: Headers = dict(scope["headers"])
        origin = headers.get(b"origin")
        refuse_foreigners(
            headers.get(b"host", b"").decode("latin-1"),
            None if origin is None else origin.decode("latin-1"),
        )
        if is_http_api(scope):
            return await self._apis.answer(scope, receive, began)
        name, operation = _asked(scope)
        if operation in NOT_EMULATED:
            what = f"sagemaker-runtime:{NOT_EMULATED[operation]}"
            raise RefusedError(
                "NotImplementedException", 501, f"localcloud does not emulate {what}."
            )
        if operation != "invocations":
            what = f"{scope['method']} {scope['path'][:200]!r}"
            raise RefusedError(
                "UnknownOperationException", 404,
                f"There is no {what} here; endpoints are invoked by POST "
                "/endpoints/NAME/invocations.",
            )  # fmt: skip
        if scope["method"] != "POST":
            raise RefusedError(
                "MethodNotAllowedException", 405,
                f"An endpoint is invoked by POST, not by {scope['method']}.",
            )  # fmt: skip
        length = headers.get(b"content-length", b"")
        if length.isdigit():
            check_size(int(length))
        body = await _body(receive)
        return await self._invocations.invoke(name, headers, body, began)


def _asked(scope: Scope) -> tuple[str, str]:
    """The endpoint's name and what is asked of it, by the path."""
    raw: bytes = scope.get("raw_path") or scope["path"].encode()
    path = raw.partition(b"?")[0].decode("latin-1")
    if not path.startswith(_ENDPOINTS):
        return "", ""
    name, _, operation = path[len(_ENDPOINTS) :].partition("/")
    return unquote(name), operation


async def _body(receive: Receive) -> bytes:
    """The whole body.

    Raises RefusedError as soon as it is longer than the platform takes, and if the client goes away
    before its end: what is not whole is no request.
    """
    message = await _part(receive)
    body: bytes = message["body"]
    if not message["more_body"]:
        return body
    parts = [body]
    size = len(body)
    while message["more_body"]:
        message = await _part(receive)
        size += len(message["body"])
        check_size(size)
        parts.append(message["body"])
    return b"".join(parts)


async def _part(receive: Receive) -> dict[str, Any]:
    message = await receive()
    if message["type"] == "http.disconnect":
        raise RefusedError("RequestTimeoutException", 408, "The rest of the body did not come.")
    return message
