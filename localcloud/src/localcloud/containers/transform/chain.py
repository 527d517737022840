"""Requests through a model's containers, each of which gets the answer of the one before."""

from __future__ import annotations

import http.client
import socket
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_LOOK_SECONDS = 0.02
BACK_SECONDS = 60.0
"""How long a request waits for a container that is being started again."""


class NoAnswer(Exception):  # noqa: N818 - reads as the sentence it makes
    """A container did not answer with a 200; the text says who and what.

    `status` is what it answered, None if it did not; `said` is the body of its answer.
    """

    def __init__(self, text: str, status: int | None = None, said: str = "") -> None:
        super().__init__(text)
        self.status = status
        self.said = said

    @property
    def is_clients(self) -> bool:
        """Whether the container refused the request, so that asking again changes nothing."""
        return self.status is not None and 400 <= self.status < 500


class Gone(NoAnswer):
    """A container died and does not come back, so that nothing can be asked any more."""


class Stopped(Exception):  # noqa: N818 - reads as the sentence it makes
    """Nobody waits for the answer any more."""


@dataclass(frozen=True)
class Link:
    """One container of a chain: its name in messages, and where it listens."""

    hostname: str
    socket: Path


class Chain:
    """Connections to the containers of one instance; to be used by one thread at a time.

    `timeout` is the seconds that one request may take through all of them.
    """

    def __init__(
        self,
        links: Sequence[Link],
        *,
        content_type: str | None,
        accept: str | None,
        timeout: float,
        stopping: threading.Event,
    ) -> None:
        self._connections = [_Connection(link, stopping) for link in links]
        self._content_type = content_type
        self._accept = accept
        self._timeout = timeout
        self._stopping = stopping

    def ask(self, body: bytes) -> bytes:
        """The last container's answer.

        Raises:
            NoAnswer: a container answered with an error, ended meanwhile, or took too long.
            Stopped: `stopping` was set.
        """
        deadline = time.monotonic() + self._timeout
        content_type = self._content_type
        for connection in self._connections:
            headers = {"Accept": self._accept} if self._accept else {}
            if content_type:
                headers["Content-Type"] = content_type
            try:
                body, content_type = connection.ask(body, headers, deadline)
            except NoAnswer:
                connection.close()
                if self._stopping.is_set():
                    raise Stopped from None
                raise
        return body

    def execution_parameters(self) -> bytes | None:
        """What the first container answers to GET /execution-parameters; None if nothing."""
        connection = self._connections[0]
        try:
            return connection.get("/execution-parameters", time.monotonic() + self._timeout)
        except NoAnswer:
            connection.close()
            return None

    def close(self) -> None:
        """End the connections."""
        for connection in self._connections:
            connection.close()


class _Connection(http.client.HTTPConnection):
    """The standard library's client of HTTP, on a Unix socket that may not be there yet."""

    def __init__(self, link: Link, stopping: threading.Event) -> None:
        super().__init__("localhost")
        self._link = link
        self._stopping = stopping

    def connect(self) -> None:
        deadline = time.monotonic() + BACK_SECONDS
        while not self._connected():
            if self._stopping.wait(_LOOK_SECONDS) or time.monotonic() > deadline:
                raise ConnectionRefusedError

    def _connected(self) -> bool:
        """Connect, if the container is there."""
        self.sock = socket.socket(socket.AF_UNIX)
        try:
            self.sock.connect(str(self._link.socket))
        except (FileNotFoundError, ConnectionRefusedError):
            self.close()
            return False
        return True

    def ask(
        self, body: bytes, headers: dict[str, str], deadline: float
    ) -> tuple[bytes, str | None]:
        """The answer's body and its media type; raises NoAnswer."""
        status, answer, content_type = self._exchange(
            "POST", "/invocations", body, headers, deadline
        )
        if not 200 <= status < 300:
            said = answer.decode("utf-8", "replace")
            raise NoAnswer(f"{self._link.hostname} answered {status}: {said}", status, said)
        return answer, (content_type or "").partition(";")[0].strip() or None

    def get(self, path: str, deadline: float) -> bytes | None:
        """The body of a 200; None for any other answer."""
        status, answer, _ = self._exchange("GET", path, None, {}, deadline)
        return answer if status == 200 else None

    def _exchange(
        self, method: str, path: str, body: bytes | None, headers: dict[str, str], deadline: float
    ) -> tuple[int, bytes, str | None]:
        hostname = self._link.hostname
        if self.sock is not None and _is_over(self.sock):
            self.close()  # its process has ended since the last answer
        try:
            if self.sock is None:
                self.connect()
        except OSError as exc:
            raise Gone(f"{hostname} died and was not back within {BACK_SECONDS:g} s") from exc
        try:
            self.sock.settimeout(max(0.001, deadline - time.monotonic()))
            self.request(method, path, body, headers)
            response = self.getresponse()
            return response.status, response.read(), response.getheader("Content-Type")
        except TimeoutError as exc:
            raise NoAnswer(f"{hostname} did not answer in time") from exc
        except (OSError, http.client.HTTPException) as exc:
            raise NoAnswer(f"{hostname} ended while it handled the request") from exc


def _is_over(connected: socket.socket) -> bool:
    """Whether the other side of an idle connection has ended it."""
    connected.setblocking(False)  # noqa: FBT003 - has no name
    try:
        return not connected.recv(1, socket.MSG_PEEK)
    except BlockingIOError:
        return False
    except OSError:
        return True
