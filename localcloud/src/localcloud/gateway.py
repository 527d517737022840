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
from localcloud.operations import Asked, asked
from localcloud.protocol import Caller, JsonService
from localcloud.wsgi import Application, Environ, StartResponse

CONTROL_PREFIX = "/_localcloud/"
_SCOPE = re.compile(
    r"Credential=(?P<key>[^/,]*)/\d{8}/(?P<region>[^/,]+)/(?P<service>[^/,]+)/aws4_request"
)
_MAX_BODY = 64 * 1024 * 1024
_BLOCK = 1024 * 1024
_JSON = Asked("", "json")
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Gateway:
    """The WSGI application of everything but data.

    `json_services` are ours, by signing name; `s3` is ours; `others` is what moto does well, by
    signing name; `runtime` is SageMaker Runtime, for clients that know this address only; `control`
    answers the command line, by method, question and body.
    """

    account: str
    json_services: Mapping[str, JsonService]
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
        except ServiceError as error:
            return _refuse(start_response, error, _JSON, request_id)
        except Exception as error:  # noqa: BLE001 - the last line before a client
            return _refuse(start_response, _internal(environ, error), _JSON, request_id)

    def _dispatch(
        self, environ: Environ, start_response: StartResponse, request_id: str
    ) -> Iterable[bytes]:
        path: str = environ["PATH_INFO"]
        if path.startswith(CONTROL_PREFIX):
            question = path[len(CONTROL_PREFIX) :]
            document = self.control(environ["REQUEST_METHOD"], question, _body(environ))
            return _answer(start_response, json.dumps(document).encode(), request_id)
        service, region = _signed_for(environ)
        application = self._reads_itself(service, environ)
        if application is not None:
            return application(environ, start_response)
        body = _body(environ)
        if service is None:
            raise MissingAuthenticationToken("The request is not signed")
        meant = asked(service, environ, body)
        try:
            if service in self.others:
                environ |= {"wsgi.input": io.BytesIO(body), "CONTENT_LENGTH": str(len(body))}
                return self.others[service](environ, start_response)
            answer = self._call(service, Caller(self.account, region), meant, environ, body)
        except ServiceError as error:
            return _refuse(start_response, error, meant, request_id)
        except Exception as error:  # noqa: BLE001 - told in the client's own protocol
            return _refuse(start_response, _internal(environ, error), meant, request_id)
        return _answer(start_response, answer, request_id)

    def _reads_itself(self, service: str | None, environ: Environ) -> Application | None:
        """Who answers a request whose body is data and no document."""
        if service == "sagemaker" and environ["PATH_INFO"].startswith("/endpoints/"):
            return self.runtime
        if service == "s3" or (service is None and "HTTP_X_AMZ_TARGET" not in environ):
            return self.s3
        return None

    def _call(
        self, service: str, caller: Caller, meant: Asked, environ: Environ, body: bytes
    ) -> bytes:
        ours = self.json_services.get(service)
        if ours is not None and "HTTP_X_AMZ_TARGET" in environ:
            return ours.handle(caller, meant.operation, body)
        if ours is not None and environ["PATH_INFO"] == "/":
            raise UnknownOperation(f"A request to {service} names its operation in X-Amz-Target")
        raise NotEmulated(f"localcloud does not emulate {service}:{meant.operation}")


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


def _refuse(
    start_response: StartResponse, error: ServiceError, meant: Asked, request_id: str
) -> Iterable[bytes]:
    content_type, body = meant.error(error, request_id)
    headers = [
        *_headers(content_type, body, request_id),
        ("x-amzn-ErrorType", error.code),
    ]
    if meant.protocol == "cbor":
        headers.append(("smithy-protocol", "rpc-v2-cbor"))
    start_response(f"{error.status} {error.code}", headers)
    return [body]


def _answer(start_response: StartResponse, body: bytes, request_id: str) -> Iterable[bytes]:
    start_response("200 OK", _headers("application/x-amz-json-1.1", body, request_id))
    return [body]


def _headers(content_type: str, body: bytes, request_id: str) -> list[tuple[str, str]]:
    return [
        ("Content-Type", content_type),
        ("Content-Length", str(len(body))),
        ("x-amzn-RequestId", request_id),
    ]
