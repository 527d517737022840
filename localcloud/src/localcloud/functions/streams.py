"""The log files of functions' processes, made streams of CloudWatch Logs as they appear."""

from __future__ import annotations

import contextlib
import logging
import threading
from pathlib import Path

from localcloud.functions.records import KIND, Records
from localcloud.functions.server import Ground
from localcloud.logs import Logs
from localcloud.protocol import Caller

_LOOK_SECONDS = 0.5
_DATE_LENGTH = len("2026-01-31")
_log = logging.getLogger(__name__)


class Streams:
    """Looks for new files, twice a second and whenever asked. Safe for threads."""

    def __init__(self, records: Records, ground: Ground, logs: Logs) -> None:
        self._records = records
        self._ground = ground
        self._logs = logs
        self._lock = threading.Lock()
        self._seen: dict[Path, int] = {}
        self._known: set[Path] = set()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="function-logs", daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def close(self) -> None:
        """Look no more; what is there by now is found at the next start."""
        self._closed.set()
        if self._thread.is_alive():
            self._thread.join()

    def register(self, caller: Caller, name: str) -> None:
        """See that all of a function's processes have their streams."""
        folder = self._ground.logs(caller, name)
        with self._lock, contextlib.suppress(FileNotFoundError):
            changed = folder.stat().st_mtime_ns
            if self._seen.get(folder) == changed:
                return
            document = self._records.store.get(caller, KIND, name)
            if document is None:
                return
            group = document["configuration"]["LoggingConfig"]["LogGroup"]
            for path in sorted(folder.glob("*.log")):
                if path not in self._known:
                    self._open(caller, group, path)
            self._seen[folder] = changed

    def _open(self, caller: Caller, group: str, path: Path) -> None:
        """A stream; one of an earlier process keeps its place."""
        stem = path.stem
        day, number = stem[:_DATE_LENGTH], stem[_DATE_LENGTH + 1 :]
        stream = f"{day.replace('-', '/')}/[$LATEST]{number}"
        if not self._logs.has(caller, path, stream):
            self._logs.open(caller, group, stream, path)
        self._known.add(path)

    def _run(self) -> None:
        while not self._closed.wait(_LOOK_SECONDS):
            for caller, name, _ in self._records.store.everywhere(KIND):
                try:
                    self.register(caller, name)
                except Exception:  # noqa: BLE001 - the next look may succeed
                    _log.exception("the logs of the function %s", name)
