"""One object of a transform job: requests made of it, the answers in its order, one file of them.

The file of an object is complete or not there. Memory holds the bodies of a few requests: those
that are under way, and as many that wait for their turn.
"""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from localcloud.containers.errors import RecordError
from localcloud.containers.transform.chain import Chain, Gone, NoAnswer, Stopped
from localcloud.containers.transform.data_log import DataLog
from localcloud.containers.transform.records import opened, payloads
from localcloud.containers.transform.settings import Settings

_FIRST_PAUSE = 0.1


@dataclass(frozen=True)
class Item:
    """An object to transform: its bucket and key, its file, where its answers go and their key."""

    bucket: str
    key: str
    path: Path
    output: Path
    output_key: str


@dataclass(frozen=True)
class Failure:
    """Why an object was not transformed: AWS's kind of it, and a sentence.

    `for_good` says that the instance will transform no other one either.
    """

    kind: str
    text: str
    for_good: bool = False


class Worker:
    """Transforms objects through one instance of a model, with several requests at a time."""

    def __init__(
        self,
        connect: Callable[[], Chain],
        settings: Settings,
        log: DataLog,
        stopping: threading.Event,
    ) -> None:
        self._settings = settings
        self._log = log
        self._stopping = stopping
        self._threads = ThreadPoolExecutor(settings.concurrent, thread_name_prefix="transform")
        self._all = [connect() for _ in range(settings.concurrent)]
        self._free: queue.SimpleQueue[Chain] = queue.SimpleQueue()
        for chain in self._all:
            self._free.put(chain)

    def close(self) -> None:
        """End threads and connections; what is under way must have been stopped."""
        self._threads.shutdown(cancel_futures=True)
        for chain in self._all:
            chain.close()

    def transform(self, item: Item) -> Failure | None:
        """Write an object's answers to its output; says why if it cannot.

        Raises:
            Stopped: the job is being stopped.
        """
        name = f"{item.bucket}/{item.key}"
        try:
            with _whole(item.output) as output:
                self._write(item.path, output)
        except RecordError as error:
            self._log.write(f"{name}: {error}")
            return Failure("ClientError", f"{name}: {error}")
        except NoAnswer as error:
            self._log.write(*(f"{name}: {line}" for line in _told(error)))
            kind = "ClientError" if error.is_clients else "AlgorithmError"
            return Failure(kind, f"{name}: {error}", for_good=isinstance(error, Gone))
        return None

    def _write(self, path: Path, output: BinaryIO) -> None:
        settings = self._settings
        running: deque[Future[bytes]] = deque()
        try:
            with opened(path, gzipped=settings.gzipped) as file:
                single = settings.strategy == "SingleRecord"
                for payload in payloads(
                    file, split=settings.split, single=single, limit=settings.limit
                ):
                    if len(running) > settings.concurrent:
                        self._append(output, running.popleft().result())
                    running.append(self._threads.submit(self._ask, payload))
            while running:
                self._append(output, running.popleft().result())
        finally:
            for future in running:
                future.cancel()

    def _append(self, output: BinaryIO, answer: bytes) -> None:
        output.write(answer)
        if self._settings.lines and answer and not answer.endswith(b"\n"):
            output.write(b"\n")

    def _ask(self, payload: bytes) -> bytes:
        """What goes into the output for one request."""
        association = self._settings.association
        chain = self._free.get()
        try:
            answer = self._try(chain, payload if association is None else association.sent(payload))
        finally:
            self._free.put(chain)
        return answer if association is None else association.written(payload, answer)

    def _try(self, chain: Chain, body: bytes) -> bytes:
        """The model's answer, asked for again after an error that may pass."""
        for attempt in range(self._settings.retries + 1):
            if self._stopping.is_set():
                raise Stopped
            try:
                return chain.ask(body)
            except NoAnswer as error:
                if error.is_clients or isinstance(error, Gone) or attempt == self._settings.retries:
                    raise
            self._stopping.wait(_FIRST_PAUSE * 2**attempt)
        raise AssertionError


@contextmanager
def _whole(path: Path) -> Iterator[BinaryIO]:
    """A file that has its name once it is complete."""
    partial = path.with_name(f"{path.name}~")
    try:
        with partial.open("wb") as file:
            yield file
        partial.rename(path)
    finally:
        partial.unlink(missing_ok=True)


def _told(error: NoAnswer) -> list[str]:
    """An error in the data log's words."""
    if error.status is None:
        return [f"Unable to get response from algorithm: {error}"]
    first = (
        f"ClientError: {error.status}"
        if error.is_clients
        else f"Bad HTTP status received from algorithm: {error.status}"
    )
    return [first, "", "Message:", *error.said.splitlines()]
