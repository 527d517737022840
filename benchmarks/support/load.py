"""A load of HTTP requests that are known to the byte, as are their answers.

One process, one loop, a kept connection for each client, no parsing beyond a comparison: what is
measured shall be the other side. An answer that is not the expected one ends the load.
"""

import asyncio
import http.client
import itertools
import socket
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, cast

import uvloop

from benchmarks.support.executions import BenchmarkError

_LONGEST_ANSWER_SECONDS: Final = 30.0
_FEWEST: Final = 2
"""Answers for each client: a shorter time would see only the quick ones of a slow side."""
_SHOWN: Final = 400


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request as it is sent, and the answer that must come.

    The bytes of `free` in the body may be any, as an id that each answer has of its own.
    """

    request: bytes
    status: int
    body: bytes
    free: range = range(0)


@dataclass(frozen=True, slots=True)
class Measured:
    """What a load took: the seconds of each request, and of the whole."""

    latencies: Sequence[float]
    seconds: float

    @property
    def rate(self) -> float:
        """Requests a second."""
        return len(self.latencies) / self.seconds


def percentile(latencies: Sequence[float], percent: int) -> float:
    """The seconds that so many percent of the requests did not exceed."""
    return statistics.quantiles(latencies, n=100, method="inclusive")[percent - 1]


def ask(address: tuple[str, int], request: bytes) -> tuple[int, bytes]:
    """Send one request on a connection of its own; returns the answer's status and body."""
    with socket.create_connection(address, timeout=_LONGEST_ANSWER_SECONDS) as connection:
        connection.sendall(request)
        with http.client.HTTPResponse(connection) as response:
            response.begin()
            return response.status, response.read()


def drive(
    address: tuple[str, int],
    exchanges: Sequence[Exchange],
    *,
    clients: int,
    seconds: float,
    warm_up: float,
) -> Measured:
    """Have `clients` ask without a pause, each from another place of `exchanges` on.

    Counted is what ends after `warm_up`, in `seconds`, or as long as two answers for each client
    take; before that come as many answers as there are clients.

    Raises:
        BenchmarkError: an answer was wrong or did not come, or a connection ended.
    """
    measured: Measured = uvloop.run(_drive(address, exchanges, clients, seconds, warm_up))
    return measured


async def _drive(
    address: tuple[str, int],
    exchanges: Sequence[Exchange],
    clients: int,
    seconds: float,
    warm_up: float,
) -> Measured:
    loop = asyncio.get_running_loop()
    load = _Load(loop)
    plans = [_Plan.of(exchange) for exchange in exchanges]
    for number in range(clients):
        first = number * len(plans) // clients
        make = partial(_Client, load, plans[first:] + plans[:first])
        _, client = await loop.create_connection(make, *address)
        load.clients.append(client)
    await load.run(warm_up, clients)
    load.latencies.clear()
    began = time.perf_counter()
    await load.run(seconds, _FEWEST * clients)
    ended = time.perf_counter()
    latencies = load.latencies.copy()
    load.ending = True
    ends = [client.ended for client in load.clients]
    _, waiting = await asyncio.wait(ends, timeout=_LONGEST_ANSWER_SECONDS)
    if load.failed.done() or waiting:
        raise BenchmarkError(load.failed.result() if load.failed.done() else "no answer came")
    return Measured(latencies, ended - began)


class _Load:
    """What the clients share."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.latencies: list[float] = []
        self.ending = False
        self.failed: asyncio.Future[str] = loop.create_future()
        self.clients: list[_Client] = []

    async def run(self, seconds: float, fewest: int) -> None:
        """Wait while the clients ask, until so many answers have come.

        Raises:
            BenchmarkError: one of the clients failed, or too few answers came in time.
        """
        end = time.perf_counter() + _LONGEST_ANSWER_SECONDS
        while not self.failed.done():
            await asyncio.wait([self.failed], timeout=seconds)
            if len(self.latencies) >= fewest and not self.failed.done():
                return
            if time.perf_counter() > end:
                self.fail(f"only {len(self.latencies)} answers came, not {fewest}")
        raise BenchmarkError(self.failed.result())

    def fail(self, reason: str) -> None:
        """End the load."""
        if not self.failed.done():
            self.failed.set_result(reason)


@dataclass(frozen=True, slots=True)
class _Plan:
    """A request, and what its answer is compared with."""

    request: bytes
    start: bytes
    length: bytes
    body: bytes
    free: range

    @classmethod
    def of(cls, exchange: Exchange) -> "_Plan":
        return cls(
            exchange.request,
            b"HTTP/1.1 %d " % exchange.status,
            b"\r\ncontent-length: %d\r\n" % len(exchange.body),
            exchange.body,
            exchange.free,
        )

    def is_body(self, found: bytes) -> bool:
        """Whether this is the whole body that must come."""
        if not self.free:
            return found == self.body
        return len(found) == len(self.body) and all(
            found[part] == self.body[part]
            for part in (slice(self.free.start), slice(self.free.stop, None))
        )


class _Client(asyncio.Protocol):
    """One connection: the next request follows the answer to the one before."""

    def __init__(self, load: _Load, plans: Sequence[_Plan]) -> None:
        self._load = load
        self._turn = itertools.cycle(plans)
        self._plan = plans[0]
        self._received = b""
        self._sent = 0.0
        self._transport: asyncio.Transport | None = None
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the first request."""
        self._transport = cast("asyncio.Transport", transport)
        self._send()

    def data_received(self, data: bytes) -> None:
        """Hold the answer, once it is whole, against the plan."""
        if self._received:
            data = self._received + data
        plan = self._plan
        end = data.find(b"\r\n\r\n") + 4
        if end < 4:
            self._received = data
            return
        if not data.startswith(plan.start) or plan.length not in data[:end]:
            self._fail(data)
        elif len(data) < end + len(plan.body):
            self._received = data
        elif not plan.is_body(data[end:]):
            self._fail(data)
        else:
            self._received = b""
            self._load.latencies.append(time.perf_counter() - self._sent)
            if self._load.ending:
                self._end()
            else:
                self._send()

    def connection_lost(self, error: Exception | None) -> None:
        """Nothing but the load's end may end it."""
        if not self.ended.done():
            self._load.fail(f"a connection ended: {error}")
            self.ended.set_result(None)

    def _send(self) -> None:
        self._plan = next(self._turn)
        self._sent = time.perf_counter()
        assert self._transport is not None  # noqa: S101 - it is connected
        self._transport.write(self._plan.request)

    def _fail(self, data: bytes) -> None:
        wanted = self._plan.start + b"... " + self._plan.body[:_SHOWN]
        self._load.fail(f"the answer must be {wanted!r}, not {data[: 2 * _SHOWN]!r}")
        self._end()

    def _end(self) -> None:
        assert self._transport is not None  # noqa: S101 - it is connected
        self.ended.set_result(None)
        self._transport.abort()
