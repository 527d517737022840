"""SageMaker Runtime for clients that know one address only: handed on to the data plane."""

from __future__ import annotations

import threading
from collections.abc import Iterable

import urllib3

from localcloud.addresses import HOST
from localcloud.errors import ServiceError
from localcloud.wsgi import Application, Environ, StartResponse

_MOST_BYTES = 6 * 1024 * 1024
_MOST_SECONDS = 70.0
_HANDED_ON = ("HTTP_HOST", "HTTP_ACCEPT", "HTTP_AUTHORIZATION", "HTTP_ORIGIN")
_PREFIX = "HTTP_X_AMZN_SAGEMAKER_"
_CONNECTIONS = 24
"""How many are handed on at a time: the gateway has threads left for other calls."""


class Busy(ServiceError):  # noqa: N818 - reads as what the gateway is
    """As many requests are handed on as may be."""

    code = "ServiceUnavailable"
    status = 503


def forward_to(port: int) -> Application:
    """The application that has the data plane at this port answer."""
    pool = urllib3.HTTPConnectionPool(
        HOST, port, maxsize=_CONNECTIONS, timeout=_MOST_SECONDS, retries=False
    )
    places = threading.BoundedSemaphore(_CONNECTIONS)

    def application(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        if not places.acquire(blocking=False):
            raise Busy(
                f"{_CONNECTIONS} requests to endpoints are under way through this address, which "
                f"is all it carries at a time. http://{HOST}:{port} carries more."
            )
        try:
            return hand_on(environ, start_response)
        finally:
            places.release()

    def hand_on(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        headers = {
            name.removeprefix("HTTP_").replace("_", "-"): value
            for name, value in environ.items()
            if name in _HANDED_ON or name.startswith(_PREFIX)
        }
        if environ.get("CONTENT_TYPE"):
            headers["Content-Type"] = environ["CONTENT_TYPE"]
        # One byte more than may come is enough for the data plane to refuse it.
        body = environ["wsgi.input"].read(_MOST_BYTES + 1)
        path = environ.get("REQUEST_URI") or environ["PATH_INFO"]
        try:
            answer = pool.request(environ["REQUEST_METHOD"], path, body=body, headers=headers)
        except urllib3.exceptions.HTTPError as error:
            raise ServiceError(f"The data plane does not answer: {error}") from error
        told = [(name, value) for name, value in answer.headers.items() if _is_passed(name)]
        told.append(("Content-Length", str(len(answer.data))))
        start_response(f"{answer.status} {answer.reason or 'OK'}", told)
        return [answer.data]

    return application


def _is_passed(name: str) -> bool:
    return name.lower() not in ("content-length", "connection", "date", "transfer-encoding")
