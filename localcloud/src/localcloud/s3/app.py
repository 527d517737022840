"""S3 as a WSGI application: REST-XML in, REST-XML out; path style and virtual-host style."""

import traceback
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from email.utils import format_datetime
from http import HTTPStatus
from typing import Any

from localcloud.errors import is_disk_full
from localcloud.s3 import (
    bucket_calls,
    document_calls,
    listing_calls,
    multipart_calls,
    object_calls,
    xml,
)
from localcloud.s3.conditions import NotModified
from localcloud.s3.errors import (
    IncompleteBody,
    InternalError,
    MethodNotAllowed,
    S3Error,
    Unsupported,
)
from localcloud.s3.multipart import Uploads
from localcloud.s3.objects import ObjectStore
from localcloud.s3.payload import drain
from localcloud.s3.presigned import check_signed
from localcloud.s3.request import Request, Response, parse_request
from localcloud.s3.service import Call, Calls, Service
from localcloud.s3.unknown import name_operation, requests_by_name, subresources

StartResponse = Callable[..., Any]

_CALLS: Calls = {
    **bucket_calls.CALLS,
    **document_calls.CALLS,
    **listing_calls.CALLS,
    **object_calls.CALLS,
    **multipart_calls.CALLS,
}
_METHODS = ("GET", "HEAD", "PUT", "POST", "DELETE")


class S3Application:
    """The S3 of one account. Any number of threads may call it."""

    def __init__(self, objects: ObjectStore, account: str) -> None:
        self._service = Service(objects, Uploads(objects), account)

    def __call__(
        self, environ: Mapping[str, Any], start_response: StartResponse
    ) -> Iterable[bytes]:
        """Answer one request; what goes wrong is answered as S3 does."""
        request = None
        try:
            request = parse_request(environ)
            response = self._answer(request)
        except NotModified:
            response = Response(304)
        except S3Error as error:
            response = _error(error, request)
        except Exception as error:  # noqa: BLE001  (a server answers)
            if is_disk_full(error):
                message = "The disk of the state folder is full. Free some space, and try again."
                response = _error(InternalError(message), request)
            else:
                traceback.print_exc(file=environ["wsgi.errors"])
                response = _error(InternalError(), request)
        if response.status >= 400:
            _drain(environ)
        return self._send(request, response, start_response)

    def _answer(self, request: Request) -> Response:
        check_signed(request, self._service.store.clock())
        call = _find_call(request)
        self._service.check_owner(request)
        return call(self._service, request)

    def _send(
        self, request: Request | None, response: Response, start_response: StartResponse
    ) -> Iterable[bytes]:
        headers = {
            "x-amz-request-id": "" if request is None else request.id,
            "x-amz-id-2": "localcloud",
            "Server": "AmazonS3",
            "Date": format_datetime(self._service.store.clock(), usegmt=True),
            **response.headers,
        }
        body = response.body
        head = request is not None and request.method == "HEAD"
        if isinstance(body, bytes):
            if response.status not in {204, 304} and not (head and "Content-Length" in headers):
                headers["Content-Length"] = str(len(body))
            body = [] if head or not body else [body]
        status = f"{response.status} {HTTPStatus(response.status).phrase}"
        start_response(status, list(headers.items()))
        return body


def calls() -> dict[str, Call]:
    """The calls that are answered, by AWS's names of the operations."""
    found = {}
    for name, request in requests_by_name():
        with suppress(S3Error):
            found[name] = _find_call(request)
    return found


def _find_call(request: Request) -> Call:
    level, query = request.level, request.query
    for name in query:
        if call := _CALLS.get((request.method, level, name)):
            return call
    if request.method not in _METHODS:
        raise MethodNotAllowed(details={"Method": request.method})
    call = _CALLS.get((request.method, level, ""))
    # A listing always has parameters without a value; only S3's model tells them from subresources.
    asked = [name for name, value in query.items() if value == ""] if query else []
    if call is None or any(name in subresources() for name in asked):
        operation = name_operation(request)
        raise Unsupported(
            f"The operation {operation} is not implemented.", details={"Operation": operation}
        )
    return call


def _error(error: S3Error, request: Request | None) -> Response:
    if request is not None and request.method == "HEAD":
        return Response(error.status, error.headers)
    resource = {} if request is None else {"Resource": request.path, "RequestId": request.id}
    content: xml.Content = [
        ("Code", error.code),
        ("Message", error.message),
        *error.details.items(),
        *resource.items(),
        ("HostId", "localcloud"),
    ]
    body = xml.write("Error", content, namespace=False)
    return Response(error.status, {"Content-Type": "application/xml", **error.headers}, body)


def _drain(environ: Mapping[str, Any]) -> None:
    """Read over a refused body in blocks, so that the connection can go on."""
    length = environ.get("CONTENT_LENGTH", "")
    if not environ.get("wsgi.input_terminated") and not (length.isdigit() and int(length)):
        return
    try:
        drain(environ["wsgi.input"])
    except (OSError, ValueError, IncompleteBody):  # the client has gone
        return
