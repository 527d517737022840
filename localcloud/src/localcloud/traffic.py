"""The gateway's side of the data plane: starts it, tells it routes, hears what it counted.

The gateway holds the listening socket and every route. So a data plane that dies is started again
with both: nobody is refused meanwhile, and nothing has to be told anew. What it captured comes as
files of a folder; those that a killed one left come at the next start.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from localcloud.containers.records import MARK, ProcessRecord, forget_process, record_process
from localcloud.protocol import Caller, Document
from localcloud.s3.errors import S3Error
from localcloud.s3.objects import ObjectStore

_log = logging.getLogger(__name__)
_ANSWER_SECONDS = 10.0
_PAUSE_SECONDS = 0.2
_END_SECONDS = 15.0
_AGAIN_SECONDS = 5.0


@dataclass(frozen=True)
class ContainerRoute:
    """One container of a variant: the Unix socket and the log of each instance's process."""

    hostname: str
    sockets: tuple[str, ...]
    log_streams: tuple[str, ...]


@dataclass(frozen=True)
class VariantRoute:
    """One variant of a fleet; a request passes its containers in their order."""

    name: str
    weight: float
    containers: tuple[ContainerRoute, ...]


@dataclass(frozen=True)
class FleetRoute:
    """What runs for one endpoint configuration (`config`), whose DataCaptureConfig is `capture`.

    `share` is the part of the requests that it gets, relative to the other fleets' of the endpoint.
    """

    id: str
    config: str
    share: float
    variants: tuple[VariantRoute, ...]
    capture: Document | None = None


@dataclass(frozen=True)
class FunctionRoute:
    """A function's server: its socket, and how many events it takes at a time; 0 is none.

    `policy` has the statements of the function's resource policy.
    """

    socket: str
    processes: int
    policy: tuple[Document, ...]


class OrderFailed(Exception):  # noqa: N818 - reads as the sentence it makes
    """The data plane could not do what it was told: a fault of localcloud's own."""


@dataclass
class _Order:
    """One that was given: `ended` is set when it is done, or when `failure` says why not."""

    ended: threading.Event = field(default_factory=threading.Event)
    failure: str | None = None


class Traffic:
    """The data plane, as endpoints, functions and HTTP APIs know it. Safe for threads."""

    def __init__(
        self,
        state: Path,
        account: str,
        objects: ObjectStore,
        counts: Mapping[str, Callable[[list[Document]], None]],
    ) -> None:
        """`counts` are told every second what was answered, of endpoints and of HTTP APIs."""
        self._state = state
        self._account = account
        self._objects = objects
        self._counts = counts
        self._captures = state / "captures"
        self._standing: dict[tuple[str, ...], Document] = {}
        """The orders that hold, which a new data plane is given again."""
        self._numbers = itertools.count(1)
        self._answers: dict[int, _Order] = {}
        self._lock = threading.Lock()
        self._sending = threading.Lock()
        self._orders: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._up = threading.Event()
        self._closing = threading.Event()
        self._listener: socket.socket | None = None
        self._reader = threading.Thread(target=self._read, name="data-plane", daemon=True)

    def open(self, listener: socket.socket) -> None:
        """Store what an earlier one captured, and start the data plane on a listening socket."""
        self._listener = listener
        self._deliver_leftovers()
        self._start()
        self._reader.start()

    @property
    def pid(self) -> int | None:
        """The data plane's process."""
        return None if self._process is None else self._process.pid

    def route(self, caller: Caller, endpoint: str, fleets: Sequence[FleetRoute]) -> None:
        """Have an endpoint's requests go to these fleets; returns when they do.

        Before `open` it returns at once: the data plane answers nobody before it knows all routes.
        A fleet that was there before keeps the requests that are in it; so does one that is left
        out, until it is drained.
        """
        table = {"fleets": [asdict(fleet) for fleet in fleets]}
        order = {"do": "route", "region": caller.region, "endpoint": endpoint, **table}
        self._stand(("endpoint", caller.region, endpoint), order)

    def forget(self, caller: Caller, endpoint: str) -> None:
        """Have the endpoint not be found any more."""
        order = {"do": "forget", "region": caller.region, "endpoint": endpoint}
        self._lift(("endpoint", caller.region, endpoint), order)

    def drain(self, fleet_id: str, timeout: float) -> bool:
        """Wait until no request is in a fleet that no route names; whether that came to be."""
        return self._order({"do": "drain", "fleet": fleet_id}, timeout)

    def drop(self, fleet_id: str) -> None:
        """Let go of a fleet that no route names; whoever waits for it has an error at once."""
        self._order({"do": "drop", "fleet": fleet_id})

    def function(self, arn: str, route: FunctionRoute) -> None:
        """Have a function's events go to this server; returns when they do.

        What the one before has is answered by it; what waits for it goes to this one.
        """
        self._stand(("function", arn), {"do": "function", "function": arn, **asdict(route)})

    def forget_function(self, arn: str) -> None:
        """Have the function not be found any more."""
        self._lift(("function", arn), {"do": "forget-function", "function": arn})

    def http_api(self, api_id: str, table: Document) -> None:
        """Answer an HTTP API's requests by this table: all its stages with their routes."""
        self._stand(("http-api", api_id), {"do": "http-api", "api": api_id, **table})

    def forget_http_api(self, api_id: str) -> None:
        """Have the API not be found any more."""
        self._lift(("http-api", api_id), {"do": "forget-http-api", "api": api_id})

    def close(self) -> None:
        """End the data plane: what it answers is answered, what it captured is stored."""
        self._closing.set()
        if self._listener is None:
            return
        with contextlib.suppress(OSError):
            self._send({"do": "end", "id": 0})
        self._reader.join(_END_SECONDS)
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        self._deliver_leftovers()
        self._listener.close()

    # --- orders -------------------------------------------------------------------------------

    def _stand(self, key: tuple[str, ...], order: Document) -> None:
        with self._lock:
            self._standing[key] = order
        self._order(order)

    def _lift(self, key: tuple[str, ...], order: Document) -> None:
        with self._lock:
            self._standing.pop(key, None)
        self._order(order)

    def _order(self, order: Document, timeout: float = _ANSWER_SECONDS) -> bool:
        """Have an order done; whether it was in time. One that got lost is given again.

        Raises OrderFailed.
        """
        if self._listener is None:
            return True
        deadline = time.monotonic() + timeout
        while not self._closing.is_set() and (left := deadline - time.monotonic()) > 0:
            if not self._up.wait(min(left, _PAUSE_SECONDS)):
                continue
            number, told = next(self._numbers), _Order()
            self._answers[number] = told
            process = self._process
            try:
                self._send(order | {"id": number})
                while self._process is process and (left := deadline - time.monotonic()) > 0:
                    if told.ended.wait(min(left, _PAUSE_SECONDS)):
                        if told.failure is not None:
                            raise OrderFailed(f"The data plane failed at it: {told.failure}")
                        return True
            except OSError:
                time.sleep(_PAUSE_SECONDS)
            finally:
                self._answers.pop(number, None)
        return False

    def _send(self, order: Document) -> None:
        text = json.dumps(order).encode() + b"\n"
        with self._sending:
            if self._orders is None:
                raise BrokenPipeError
            self._orders.sendall(text)

    # --- the process --------------------------------------------------------------------------

    def _start(self) -> None:
        assert self._listener is not None  # noqa: S101 - it was opened
        self._started = time.monotonic()
        self._orders, theirs = socket.socketpair()
        mark = uuid.uuid4().hex
        command = [
            sys.executable, "-m", "localcloud.dataplane",
            "--account", self._account, "--captures", str(self._captures),
            "--orders", str(theirs.fileno()), "--listener", str(self._listener.fileno()),
        ]  # fmt: skip
        with theirs:
            self._process = subprocess.Popen(
                command, pass_fds=[theirs.fileno(), self._listener.fileno()],
                start_new_session=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                env=os.environ | {MARK: mark},
            )  # fmt: skip
        self._record: ProcessRecord = record_process(
            self._state, self._process.pid, "the data plane", mark
        )

    def _read(self) -> None:
        """Hear the data plane to its end, and start it again unless it shall end."""
        while True:
            assert self._orders is not None  # noqa: S101 - there is one while there is a process
            with contextlib.suppress(OSError), self._orders.makefile("rb") as lines:
                for line in lines:
                    self._hear(json.loads(line))
            self._up.clear()
            lived = time.monotonic() - self._started
            self._end_process()
            if self._closing.is_set():
                return
            _log.warning("the data plane ended; it is started again")
            self._deliver_leftovers()
            if lived < _AGAIN_SECONDS:
                self._closing.wait(_PAUSE_SECONDS)
            while not self._closing.is_set():
                try:
                    self._start()
                    break
                except OSError as error:
                    _log.error("the data plane does not start: %s", error)
                    self._closing.wait(_AGAIN_SECONDS)

    def _end_process(self) -> None:
        assert self._process is not None  # noqa: S101 - it was started
        assert self._orders is not None  # noqa: S101 - as above
        if self._closing.is_set():
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_END_SECONDS)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._orders.close()
        forget_process(self._state, self._record)

    def _hear(self, message: Document) -> None:
        if "counts" in message:
            for kind, counts in message["counts"].items():
                try:
                    self._counts[kind](counts)
                except Exception:  # noqa: BLE001 - what is not counted must not end what is answered
                    _log.exception("metrics of %s could not be stored", kind)
        elif "captured" in message:
            self._deliver(self._captures / message["captured"])
        elif "done" in message or "failed" in message:
            told = self._answers.get(message["done" if "done" in message else "failed"])
            if told is not None:
                told.failure = message.get("why")
                told.ended.set()
        elif "ready" in message:
            with self._lock:
                for order in self._standing.values():
                    with contextlib.suppress(OSError):
                        self._send(order | {"id": 0})
            with contextlib.suppress(OSError):
                self._send({"do": "serve"})
            self._up.set()

    # --- what it captured -----------------------------------------------------------------------

    def _deliver_leftovers(self) -> None:
        """Store the files of a data plane that is gone; a line that was cut off is left out."""
        self._captures.mkdir(parents=True, exist_ok=True)
        for path in sorted(self._captures.glob("*.jsonl")):
            try:
                _drop_torn_line(path)
            except OSError as error:
                _log.error("captured data in %s cannot be read: %s", path, error)
                continue
            self._deliver(path)

    def _deliver(self, path: Path) -> None:
        """Make a file an object; one that cannot be is kept, and tried again at the next start."""
        note = path.with_suffix(".json")
        try:
            told: dict[str, Any] = json.loads(note.read_text())
            if path.stat().st_size:
                bucket, _, key = told["uri"].removeprefix("s3://").partition("/")
                self._objects.put_file(bucket, key, path, content_type="application/jsonlines")
            path.unlink()
            note.unlink()
        except (OSError, ValueError, KeyError, S3Error) as error:
            _log.error("captured data in %s cannot be stored: %s", path, error)


def _drop_torn_line(path: Path) -> None:
    size = path.stat().st_size
    with path.open("rb+") as file:
        whole = size
        while whole:
            start = max(0, whole - 65_536)
            file.seek(start)
            end = file.read(whole - start).rfind(b"\n")
            if end >= 0:
                whole = start + end + 1
                break
            whole = start
        if whole < size:
            file.truncate(whole)
