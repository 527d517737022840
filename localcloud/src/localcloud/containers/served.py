"""One container of a model instance: its process, and the next one when that has died."""

from __future__ import annotations

import contextlib
import logging
import math
import sys
import threading
import time

from localcloud.containers.errors import ContainerError, StartFailed
from localcloud.containers.model_layout import Place
from localcloud.containers.outcome import how_it_ended, last_error
from localcloud.containers.runtime import Container, ContainerSpec, Runtime, stop_all
from localcloud.containers.sockets import answers_ping

_log = logging.getLogger(__name__)
_READY_POLL = 0.005
_LOOK_SECONDS = 2.0
_PING_SECONDS = 2.0
_IDLE_PINGS = 2
"""Pings that an idle container may leave unanswered."""
_FIRST_PAUSE, _LONGEST_PAUSE = 0.25, 10.0
_STEADY_SECONDS = 5.0
"""A container that has served as long as this is started again at once."""


class Served:
    """Runs a container's process until `end`, one after the other, all behind the same socket."""

    def __init__(
        self,
        runtime: Runtime,
        spec: ContainerSpec,
        place: Place,
        who: str,
        busy_limit: float = math.inf,
    ) -> None:
        """`busy_limit` is the seconds for which it may be at one request."""
        self._runtime = runtime
        self._spec = spec
        self._place = place
        self._who = who
        self._ending = threading.Event()
        self._lock = threading.Lock()
        self._process: Container | None = None
        self._supervisor: threading.Thread | None = None
        self._timeout = 60.0
        self._busy_limit = busy_limit
        self.restarts = 0

    def start(self, timeout: float, stopping: threading.Event) -> None:
        """Start the first process; returns when it answers GET /ping.

        Raises:
            StartFailed: it died, or did not answer within `timeout` seconds, or `stopping` was set.
        """
        self._timeout = timeout
        process = self._run(timeout, stopping)
        self._supervisor = threading.Thread(
            target=self._supervise, args=[process], name="served", daemon=True
        )
        self._supervisor.start()

    def end(self) -> Container | None:
        """Start nothing any more; returns the process that is to be stopped, if there is one."""
        with self._lock:
            self._ending.set()
            return self._process

    def join(self) -> None:
        """Wait for the supervision's end, after `end` and the process's."""
        if self._supervisor is not None:
            self._supervisor.join()

    def _run(self, timeout: float, stopping: threading.Event) -> Container:
        """One more process that answers; raises StartFailed."""
        self._place.socket.unlink(missing_ok=True)
        log = self._place.log
        said = log.stat().st_size if log.exists() else 0
        try:
            process = self._runtime.start(self._spec, lambda _: None)
        except ContainerError as exc:
            raise StartFailed(f"{self._who} could not be started: {exc}") from exc
        with self._lock:
            self._process = process
            ending = self._ending.is_set()
        why = "is stopped" if ending else self._await_ping(process, timeout, stopping)
        if why is None:
            return process
        stop_all([process], 0.0)
        own = last_error(log, said)
        raise StartFailed(f"{self._who} {why}" + (f": {own}" if own else ""))

    def _await_ping(
        self, process: Container, timeout: float, stopping: threading.Event
    ) -> str | None:
        """Wait for the first answer; returns why there will be none."""
        deadline = time.monotonic() + timeout
        while (code := process.wait(_READY_POLL)) is None:
            if self._place.socket.exists() and answers_ping(self._place.socket, _PING_SECONDS):
                return None
            if stopping.is_set() or self._ending.is_set():
                return "was stopped while it started"
            if time.monotonic() > deadline:
                return f"did not answer GET /ping with 200 within {timeout:g} seconds"
        return f"ended while it started ({how_it_ended(code)})"

    def _supervise(self, process: Container) -> None:
        pause = 0.0
        while True:
            began = time.monotonic()
            why = self._watch(process)
            if time.monotonic() - began > _STEADY_SECONDS:
                pause = 0.0
            while True:
                if self._ending.wait(pause):
                    return
                pause = min(_LONGEST_PAUSE, max(_FIRST_PAUSE, 2 * pause))
                self._note(f"{why}; it is started again")
                self.restarts += 1
                try:
                    process = self._run(self._timeout, self._ending)
                    break
                except StartFailed as exc:
                    if self._ending.is_set():
                        return
                    why = str(exc)
                    _log.warning("%s", exc)
                except Exception:  # noqa: BLE001 - whatever it is, the next attempt may succeed
                    why = f"{self._who} could not be started"
                    _log.exception("%s", why)

    def _watch(self, process: Container) -> str:
        """Return when a process has ended, or hangs and was therefore ended, and why."""
        missed = 0
        count, since = self._pulse(), time.monotonic()
        while (code := process.wait(_LOOK_SECONDS)) is None:
            if answers_ping(self._place.socket, _PING_SECONDS):
                missed = 0
                continue
            now = self._pulse()
            if now != count:
                count, since, missed = now, time.monotonic(), 0
            missed += 1
            busy = time.monotonic() - since
            if count % 2 and busy > self._busy_limit:
                why = f"has been busy with one request for {busy:.0f} seconds"
            elif not count % 2 and missed >= _IDLE_PINGS:
                why = "is idle and does not answer GET /ping"
            else:
                continue
            stop_all([process], 0.0)
            return f"{self._who} {why}"
        return f"{self._who} ended ({how_it_ended(code)})"

    def _pulse(self) -> int:
        """The container's own count, odd while a handler is at work."""
        with contextlib.suppress(OSError):
            return int.from_bytes(self._place.pulse.read_bytes(), sys.byteorder)
        return 0

    def _note(self, text: str) -> None:
        with contextlib.suppress(OSError), self._place.log.open("a") as log:
            log.write(f"localcloud: {text}\n")
