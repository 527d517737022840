"""SageMaker Runtime for clients that know one address only: handed on to the data plane."""

from __future__ import annotations

from collections.abc import Iterable

import urllib3

from localcloud.addresses import HOST
from localcloud.errors import RequestEntityTooLarge, ServiceError
from localcloud.wsgi import Application, Environ, StartResponse

_MOST_BYTES = 6 * 1024 * 1024
_MOST_SECONDS = 70.0
_HANDED_ON = ("HTTP_HOST", "HTTP_ACCEPT", "HTTP_AUTHORIZATION", "HTTP_ORIGIN")
_PREFIX = "HTTP_X_AMZN_SAGEMAKER_"
_CONNECTIONS = 32


def forward_to(port: int) -> Application:
    """The application that has the data plane at this port answer."""
    pool = urllib3.HTTPConnectionPool(
        HOST, port, maxsize=_CONNECTIONS, timeout=_MOST_SECONDS, retries=False
    )

    def application(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        headers = {
            name.removeprefix("HTTP_").replace("_", "-"): value
            for name, value in environ.items()
            if name in _HANDED_ON or name.startswith(_PREFIX)
        }
        if environ.get("CONTENT_TYPE"):
            headers["Content-Type"] = environ["CONTENT_TYPE"]
        body = environ["wsgi.input"].read(_MOST_BYTES + 1)
        if len(body) > _MOST_BYTES:
            raise RequestEntityTooLarge(f"HTTP content length exceeded {_MOST_BYTES} bytes.")
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
