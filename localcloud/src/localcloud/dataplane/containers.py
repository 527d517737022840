"""An endpoint's container as the data plane sees it: processes behind Unix sockets.

Each process has one connection, and on it one request at a time; the others wait here, in their
order. A request that waits for a process that is gone waits until it is back.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Sequence
from typing import NamedTuple, cast

import httptools

_RETRY_SECONDS = 0.02
_PING = b"GET /ping HTTP/1.1\r\nhost: container\r\n\r\n"


class Answer(NamedTuple):
    """What a container answered."""

    status: int
    content_type: bytes | None
    attributes: bytes | None
    body: bytes
    log_stream: str
    function_error: bytes | None = None


class TooLateError(Exception):
    """No answer came within the platform's time; `waiting` if no process was free to take it."""

    def __init__(self, log_stream: str, *, waiting: bool) -> None:
        super().__init__()
        self.log_stream = log_stream
        self.waiting = waiting


class LostError(Exception):
    """The process ended while it had the request."""

    def __init__(self, log_stream: str) -> None:
        super().__init__()
        self.log_stream = log_stream


class Connection(asyncio.Protocol):
    """The connection to one process, which logs to `log_stream`. `ended` is set when it is gone."""

    def __init__(self, container: Container, log_stream: str) -> None:
        self._container = container
        self._log_stream = log_stream
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._answer: asyncio.Future[Answer] | None = None
        self._greeting = False
        self._content_type: bytes | None = None
        self._attributes: bytes | None = None
        self._function_error: bytes | None = None
        self._parts: list[bytes] = []
        self.ended = self._loop.create_future()

    @property
    def is_open(self) -> bool:
        """Whether a request can be sent."""
        return self._transport is not None and not self._transport.is_closing()

    def greet(self) -> None:
        """Have the process show that it answers, by which it takes its first request.

        That there is a connection says nothing: to a process that is just dying the system still
        makes one.
        """
        if self._transport is not None:
            self._greeting = True
            self._transport.write(_PING)

    async def ask(self, request: bytes, deadline: float) -> Answer:
        """Send one request. Raises LostError and TooLateError."""
        assert self._transport is not None  # noqa: S101 - only open connections are given out
        answer: asyncio.Future[Answer] = self._loop.create_future()
        self._answer = answer
        timer = self._loop.call_at(deadline, self._expire, answer)
        self._transport.write(request)
        try:
            return await answer
        finally:
            timer.cancel()

    def close(self) -> None:
        """Let go of the process."""
        if self._transport is not None:
            self._transport.abort()

    def _expire(self, answer: asyncio.Future[Answer]) -> None:
        if not answer.done():
            answer.set_exception(TooLateError(self._log_stream, waiting=False))
        # What the process answers later belongs to nobody.
        self.close()

    # --- what asyncio calls -----------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by its class

    def data_received(self, data: bytes) -> None:
        """Read on; what is no HTTP ends the connection."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self.close()

    def connection_lost(self, error: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """Tell whoever waits for the answer."""
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(LostError(self._log_stream))
        if not self.ended.done():
            self.ended.set_result(None)

    # --- what httptools calls ---------------------------------------------------------------------

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep what is handed on."""
        lower = name.lower()
        if lower == b"content-type":
            self._content_type = value
        elif lower == b"x-amzn-sagemaker-custom-attributes":
            self._attributes = value
        elif lower == b"x-function-error":
            self._function_error = value

    def on_body(self, body: bytes) -> None:
        """Keep a part of the body."""
        self._parts.append(body)

    def on_message_complete(self) -> None:
        """Give the answer to whoever waits, and take the next request."""
        found = Answer(
            self._parser.get_status_code(),
            self._content_type,
            self._attributes,
            b"".join(self._parts),
            self._log_stream,
            self._function_error,
        )
        self._parts = []
        self._content_type = self._attributes = self._function_error = None
        answer, self._answer = self._answer, None
        greeting, self._greeting = self._greeting, False
        if not self._parser.should_keep_alive():
            self.close()
        elif greeting or answer is not None:
            self._container.release(self)
        if answer is not None and not answer.done():
            answer.set_result(found)


class Container:
    """All processes of one container, one for each instance, and the requests that wait for one.

    `sockets` and `log_streams` are those of the processes, in the same order.
    """

    def __init__(self, hostname: str, sockets: Sequence[str], log_streams: Sequence[str]) -> None:
        self.hostname = hostname
        self._log_stream = next(iter(log_streams), "")
        self._closed = False
        self._loop = asyncio.get_running_loop()
        self._idle: deque[Connection] = deque()
        self._waiting: deque[asyncio.Future[Connection]] = deque()
        self._keepers = [
            self._loop.create_task(self._keep(path, log_stream))
            for path, log_stream in zip(sockets, log_streams, strict=True)
        ]

    async def ask(self, request: bytes, deadline: float) -> Answer:
        """Have one process answer. Raises LostError and TooLateError."""
        while True:
            connection = self._idle.popleft() if self._idle else await self._wait(deadline)
            if connection.is_open:
                return await connection.ask(request, deadline)

    def release(self, connection: Connection) -> None:
        """A process is free: it takes the request that has waited longest."""
        while self._waiting:
            waiting = self._waiting.popleft()
            if not waiting.done():
                waiting.set_result(connection)
                return
        self._idle.append(connection)

    def hand_over(self, other: Container) -> None:
        """Have those that wait here be served by the processes of another one."""
        while self._waiting:
            other.take(self._waiting.popleft())

    def take(self, waiting: asyncio.Future[Connection]) -> None:
        """Serve somebody who waits."""
        self._waiting.append(waiting)
        if self._idle:
            self.release(self._idle.popleft())

    def close(self) -> None:
        """Let go of all processes; whoever has a request here or waits with one has lost it."""
        self._closed = True
        for keeper in self._keepers:
            keeper.cancel()
        while self._waiting:
            waiting = self._waiting.popleft()
            if not waiting.done():
                waiting.set_exception(LostError(self._log_stream))

    async def _wait(self, deadline: float) -> Connection:
        if self._closed:
            raise LostError(self._log_stream)
        waiting: asyncio.Future[Connection] = self._loop.create_future()
        self._waiting.append(waiting)
        timer = self._loop.call_at(deadline, self._expire, waiting)
        try:
            return await waiting
        finally:
            timer.cancel()

    async def _keep(self, path: str, log_stream: str) -> None:
        """Hold a connection to the process behind a socket; when it is gone, to the next one."""
        while True:
            try:
                _, connection = await self._loop.create_unix_connection(
                    lambda: Connection(self, log_stream), path
                )
            except OSError:
                await asyncio.sleep(_RETRY_SECONDS)
                continue
            connection.greet()
            try:
                await connection.ended
            finally:
                connection.close()
            with contextlib.suppress(ValueError):
                self._idle.remove(connection)

    def _expire(self, waiting: asyncio.Future[Connection]) -> None:
        if not waiting.done():
            waiting.set_exception(TooLateError(self._log_stream, waiting=True))
