"""One event to a function's server, over its socket."""

from __future__ import annotations

import base64
import http.client
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from localcloud.functions.server import FunctionServer

_AGAIN_SECONDS = 0.02
_WAIT_SECONDS = 60.0
_MARGIN_SECONDS = 60.0


@dataclass(frozen=True)
class Outcome:
    """What became of an event: the result's JSON, or the error document and AWS's word for it."""

    body: bytes
    error: str | None
    log: str | None


class NoServer(Exception):  # noqa: N818 - reads as the sentence it makes
    """There is no server of the function, or none that takes the event in time."""


class LostEvent(Exception):  # noqa: N818 - reads as the sentence it makes
    """The server ended while it had the event."""


class _Connection(http.client.HTTPConnection):
    def __init__(self, path: Path, timeout: float) -> None:
        super().__init__("function", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def send(
    current: Callable[[], FunctionServer | None],
    request_id: str,
    payload: bytes,
    *,
    tail: bool = False,
    context: str | None = None,
    trace: str | None = None,
) -> Outcome:
    """Have the server that `current` gives answer an event; waits while it is started again.

    Raises:
        NoServer: there is none that takes it.
        LostEvent: it ended while it had the event.
    """
    headers = {"x-request-id": request_id}
    if tail:
        headers["x-log-tail"] = "true"
    if context is not None:
        headers["x-client-context"] = base64.b64encode(context.encode()).decode()
    if trace is not None:
        headers["x-trace-id"] = trace
    deadline = time.monotonic() + _WAIT_SECONDS
    while True:
        server = current()
        if server is None:
            raise NoServer("There is no such function any more")
        # Events before it wait for the same processes.
        connection = _Connection(server.socket, timeout=10 * server.timeout + _MARGIN_SECONDS)
        try:
            try:
                connection.connect()
            except OSError as error:
                if time.monotonic() > deadline:
                    raise NoServer(f"The function's process does not start: {error}") from error
                time.sleep(_AGAIN_SECONDS)
                continue
            try:
                connection.request("POST", "/invoke", payload, headers)
                answer = connection.getresponse()
                body = answer.read()
            except (OSError, http.client.HTTPException) as error:
                raise LostEvent("The function's server ended while it had the event") from error
            return Outcome(
                body, answer.getheader("x-function-error"), answer.getheader("x-log-result")
            )
        finally:
            connection.close()
