"""The front door: which service is meant by a request, ours or moto's, and who answers it.

It holds no logic of any service and runs no code of a user.
"""

from __future__ import annotations

import io
import json
import logging
import re
import secrets
import sqlite3
import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

from localcloud.errors import (
    MissingAuthenticationToken,
    NotEmulated,
    RequestEntityTooLarge,
    RequestTimeout,
    SerializationException,
    ServiceError,
    UnknownOperation,
    is_disk_full,
)
from localcloud.loopback import refuse_foreigners
from localcloud.protocol import Caller, Service
from localcloud.wire.asked import Asked, asked
from localcloud.wire.message import Reply, Request
from localcloud.wire.protocols import PROTOCOLS, refusal
from localcloud.wsgi import Application, Environ, StartResponse

CONTROL_PREFIX = "/_localcloud/"
_SCOPE = re.compile(
    r"Credential=(?P<key>[^/,]*)/\d{8}/(?P<region>[^/,]+)/(?P<service>[^/,]+)/aws4_request"
)
_MAX_BODY = 70_167_211
"""Of the largest request that is a document: a function with its code, in base64."""
_BLOCK = 1024 * 1024
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Gateway:
    """The WSGI application of everything but data.

    `services` are ours, by signing name; `s3` is ours; `others` is what moto does well, by signing
    name; `runtime` is SageMaker Runtime, for clients that know this address only; `control` answers
    the command line, by method, question and body.
    """

    account: str
    services: Mapping[str, Service]
    s3: Application
    others: Mapping[str, Application]
    runtime: Application
    control: Callable[[str, str, bytes], Mapping[str, Any]]

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        request_id = secrets.token_hex(16)
        try:
            refuse_foreigners(environ.get("HTTP_HOST", ""), environ.get("HTTP_ORIGIN"))
            return self._dispatch(environ, start_response, request_id)
        except Exception as error:  # noqa: BLE001 - the last line before a client
            refused = _refused(environ, error)
            reply = refusal(refused, "json", Request.of(environ, b""), request_id)
            return _answer(start_response, reply, request_id, refused.code)

    def _dispatch(
        self, environ: Environ, start_response: StartResponse, request_id: str
    ) -> Iterable[bytes]:
        path: str = environ["PATH_INFO"]
        if path.startswith(CONTROL_PREFIX):
            question = path[len(CONTROL_PREFIX) :]
            document = self.control(environ["REQUEST_METHOD"], question, _body(environ))
            reply = Reply(200, "application/json", json.dumps(document).encode())
            return _answer(start_response, reply, request_id)
        service, region = _signed_for(environ)
        application = self._reads_itself(service, environ)
        if application is not None:
            return application(environ, start_response)
        body = _body(environ)
        if service is None:
            raise MissingAuthenticationToken("The request is not signed")
        if environ.pop("HTTP_CONTENT_ENCODING", "") == "gzip":
            body = _unpacked(body)
        request = Request.of(environ, body)
        meant = asked(service, request)
        try:
            if service in self.others:
                environ |= {"wsgi.input": io.BytesIO(body), "CONTENT_LENGTH": str(len(body))}
                return self.others[service](environ, start_response)
            reply = self._call(service, Caller(self.account, region), meant, request, request_id)
        except Exception as error:  # noqa: BLE001 - told in the client's own protocol
            refused = _refused(environ, error)
            ours = self.services.get(service)
            model = ours.model if ours else None
            reply = refusal(refused, meant.protocol, request, request_id, model)
            return _answer(start_response, reply, request_id, refused.code)
        return _answer(start_response, reply, request_id)

    def _reads_itself(self, service: str | None, environ: Environ) -> Application | None:
        """Who answers a request whose body is data and no document."""
        if service == "sagemaker" and environ["PATH_INFO"].startswith("/endpoints/"):
            return self.runtime
        if service == "s3" or (service is None and "HTTP_X_AMZ_TARGET" not in environ):
            return self.s3
        return None

    def _call(
        self, service: str, caller: Caller, meant: Asked, request: Request, request_id: str
    ) -> Reply:
        ours = self.services.get(service)
        another = ours is not None and meant.service not in (None, ours.name)
        if ours is None or another or (request.path != "/" and not ours.speaks(meant.protocol)):
            # Several services share a signing name: not all of them are ours.
            raise NotEmulated(f"localcloud does not emulate {service}:{meant.operation}")
        protocol = PROTOCOLS[meant.protocol]
        if not ours.speaks(meant.protocol) or protocol.read is None or protocol.write is None:
            raise UnknownOperation(f"{service} does not speak {meant.protocol}")
        model = ours.emulated(meant.operation)
        try:
            document = protocol.read(model, request)
            answer = ours.call(caller, meant.operation, document)
        except RecursionError as error:
            raise SerializationException("The request is nested too deeply") from error
        return protocol.write(model, answer, request, request_id)


def _refused(environ: Environ, error: Exception) -> ServiceError:
    """An error as a client is told it."""
    return error if isinstance(error, ServiceError) else _internal(environ, error)


def _internal(environ: Environ, error: Exception) -> ServiceError:
    """What a client is told of a failure of localcloud's own; the log gets all of it."""
    if isinstance(error, OSError | sqlite3.Error) and is_disk_full(error):
        return ServiceError("The disk of the state folder is full. Free some space, and try again.")
    _log.error("%s %s", environ["REQUEST_METHOD"], environ["PATH_INFO"], exc_info=error)
    return ServiceError(f"localcloud failed on this request: {type(error).__name__}: {error}")


def _signed_for(environ: Environ) -> tuple[str | None, str]:
    """The service and region of a request's signature; no service where nobody signed."""
    authorization = environ.get("HTTP_AUTHORIZATION", "")
    if not authorization:
        query = parse_qs(environ.get("QUERY_STRING", ""))
        authorization = f"Credential={query.get('X-Amz-Credential', [''])[0]}"
    found = _SCOPE.search(authorization)
    return (found["service"], found["region"]) if found else (None, "us-east-1")


def _body(environ: Environ) -> bytes:
    """A request's body, to its end: the next request begins behind it."""
    stream, chunked = environ["wsgi.input"], environ.get("wsgi.input_terminated", False)
    length = -1 if chunked else int(environ.get("CONTENT_LENGTH") or 0)
    if length < 0 and not chunked:
        raise SerializationException(f"A body cannot have {length} bytes")
    blocks: list[bytes] = []
    size = 0
    try:
        while chunked or size < length:
            block = stream.read(_BLOCK if chunked else min(_BLOCK, length - size))
            if not block:
                break
            size += len(block)
            if size <= _MAX_BODY:
                blocks.append(block)
    except TimeoutError as error:
        raise RequestTimeout("The rest of the request's body did not come") from error
    except ValueError as error:
        raise SerializationException(f"The request's body is not well formed: {error}") from error
    if size < length:
        raise SerializationException(f"The request's body has {size} bytes, not {length}")
    if size > _MAX_BODY:
        raise RequestEntityTooLarge(f"The request has {size} bytes; at most {_MAX_BODY} are taken")
    return b"".join(blocks)


def _unpacked(body: bytes) -> bytes:
    """A body that its client compressed, as botocore does with long metric data."""
    unpacking = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
    try:
        found = unpacking.decompress(body, _MAX_BODY)
    except zlib.error as error:
        raise SerializationException(f"The request's body is not gzip: {error}") from error
    if unpacking.unconsumed_tail:
        raise RequestEntityTooLarge(f"The request is longer than {_MAX_BODY} bytes, unpacked")
    if not unpacking.eof:
        raise SerializationException("The request's body is not whole")
    return found


def _answer(
    start_response: StartResponse, reply: Reply, request_id: str, code: str = "OK"
) -> Iterable[bytes]:
    headers = [
        ("Content-Type", reply.content_type),
        ("Content-Length", str(len(reply.body))),
        ("x-amzn-RequestId", request_id),
        *reply.headers.items(),
    ]
    start_response(f"{reply.status} {code}", headers)
    return [reply.body]
