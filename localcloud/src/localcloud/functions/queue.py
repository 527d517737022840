"""Events whose callers do not wait: stored until they are done, tried again when they fail.

Lambda tries an event three times in all, with a minute and then two between; while a function takes
no event, it tries for six hours.
"""

from __future__ import annotations

import base64
import heapq
import itertools
import logging
import threading
import time
import uuid
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from localcloud.functions.channel import LostEvent, NoServer, send
from localcloud.functions.names import function_arn
from localcloud.functions.records import KIND as FUNCTION
from localcloud.functions.servers import Servers
from localcloud.functions.streams import Streams
from localcloud.protocol import Caller, Document
from localcloud.store import Store

KIND = "function-event"
PAUSES = (60.0, 120.0)
"""Seconds before the second and the third attempt."""
_AT_ONCE = 16
_LONGEST_SECONDS = 6 * 3600.0
_AGAIN_SECONDS = 1.0
_log = logging.getLogger(__name__)


class Queue:
    """Safe for threads. Nothing that was put is lost, not even by a `kill -9`."""

    def __init__(
        self,
        store: Store,
        servers: Servers,
        streams: Streams,
        pauses: Sequence[float] = PAUSES,
    ) -> None:
        self._store = store
        self._servers = servers
        self._streams = streams
        self._pauses = pauses
        self._due: list[tuple[float, int, Caller, str]] = []
        self._numbers = itertools.count()
        self._changed = threading.Condition()
        self._closed = False
        self._workers = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="function-events")
        self._thread = threading.Thread(target=self._run, name="function-queue", daemon=True)

    def start(self) -> None:
        """Go on with what an earlier process had."""
        for caller, name, event in self._store.everywhere(KIND):
            self._at(max(0.0, event["due"] - self._store.clock.now()), caller, name)
        self._thread.start()

    def put(self, caller: Caller, name: str, payload: bytes, context: str | None) -> None:
        """Take an event on; it is stored when this returns."""
        request_id, now = str(uuid.uuid4()), self._store.clock.now()
        key = f"{name}:{request_id}"
        event = {
            "function": name,
            "id": request_id,
            "payload": base64.b64encode(payload).decode(),
            "context": context,
            "attempts": 0,
            "created": now,
            "due": now,
        }
        self._store.put(caller, KIND, key, event)
        self._at(0.0, caller, key)

    def close(self) -> None:
        """Give up waiting; what is stored is done after the next start."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._workers.shutdown(wait=False, cancel_futures=True)

    def _at(self, seconds: float, caller: Caller, key: str) -> None:
        with self._changed:
            moment = time.monotonic() + seconds
            heapq.heappush(self._due, (moment, next(self._numbers), caller, key))
            self._changed.notify()

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._closed and (wait := self._wait()) != 0.0:
                    self._changed.wait(wait)
                if self._closed:
                    return
                _, _, caller, key = heapq.heappop(self._due)
            self._workers.submit(self._attempt, caller, key)

    def _wait(self) -> float | None:
        return max(0.0, self._due[0][0] - time.monotonic()) if self._due else None

    def _attempt(self, caller: Caller, key: str) -> None:
        try:
            self._try(caller, key)
        except Exception:  # noqa: BLE001 - whatever it is, the event stays
            _log.exception("the event %s of a function", key)
            self._at(_AGAIN_SECONDS, caller, key)

    def _try(self, caller: Caller, key: str) -> None:
        event = self._store.get(caller, KIND, key)
        if event is None or self._closed:
            return
        name = event["function"]
        document = self._store.get(caller, FUNCTION, name)
        if document is None:
            self._store.delete(caller, KIND, key)
            return
        if document["configuration"]["State"] != "Active" or document.get("reserved") == 0:
            self._later(caller, key, event)
            return
        try:
            outcome = send(
                lambda: self._servers.current(caller, name), event["id"],
                base64.b64decode(event["payload"]), context=event["context"],
            )  # fmt: skip
            failed = outcome.error is not None
        except NoServer:
            self._later(caller, key, event)
            return
        except LostEvent:
            failed = True
        self._streams.register(caller, name)
        if failed and not self._closed:
            self._again(caller, key, event)
        elif not failed:
            self._store.delete(caller, KIND, key)

    def _later(self, caller: Caller, key: str, event: Document) -> None:
        """The function takes no event now."""
        if self._store.clock.now() - event["created"] > _LONGEST_SECONDS:
            self._store.delete(caller, KIND, key)
            return
        self._at(_AGAIN_SECONDS, caller, key)

    def _again(self, caller: Caller, key: str, event: Document) -> None:
        event["attempts"] += 1
        if event["attempts"] > len(self._pauses):
            _log.warning(
                "%s failed on the event %s %d times; it is dropped",
                function_arn(caller, event["function"]), event["id"], event["attempts"],
            )  # fmt: skip
            self._store.delete(caller, KIND, key)
            return
        pause = self._pauses[event["attempts"] - 1]
        event["due"] = self._store.clock.now() + pause
        self._store.put(caller, KIND, key, event)
        self._at(pause, caller, key)
