"""All servers of functions: which one takes a function's events now, and the change to another."""

from __future__ import annotations

import logging
import shutil
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from localcloud.containers.errors import ContainerError
from localcloud.functions.records import KIND, Records
from localcloud.functions.server import FunctionServer, Ground
from localcloud.protocol import Caller

_log = logging.getLogger(__name__)
_STARTERS = 4
_LONGEST_REASON = 1000
Key = tuple[str, str]


class Servers:
    """Safe for threads. `told` is called when a function's events go to another server."""

    def __init__(
        self,
        records: Records,
        ground: Ground,
        told: Callable[[Caller, str], None],
    ) -> None:
        self._records = records
        self._ground = ground
        self._told = told
        self._lock = threading.Lock()
        self._current: dict[Key, FunctionServer] = {}
        self._changing: dict[Key, threading.Lock] = {}
        self._starters = ThreadPoolExecutor(_STARTERS, thread_name_prefix="functions")
        self._closed = False

    def restore(self) -> None:
        """Bring up what an earlier process had; events wait until it is there."""
        shutil.rmtree(self._ground.folder / "running", ignore_errors=True)
        for caller, name, document in self._records.store.everywhere(KIND):
            self._take(caller, name, FunctionServer(self._ground, caller, document))
            self._starters.submit(self._bring_up, caller, name)

    def deploy(self, caller: Caller, name: str) -> None:
        """Run a function as its record is now, soon; the record tells when it is."""
        self._starters.submit(self._deploy, caller, name)

    def current(self, caller: Caller, name: str) -> FunctionServer | None:
        """Which server takes the function's events."""
        with self._lock:
            return self._current.get((caller.region, name))

    def remove(self, caller: Caller, name: str) -> None:
        """End a function that is deleted; what it has is finished."""
        with self._lock:
            gone = self._current.pop((caller.region, name), None)
        self._told(caller, name)
        if gone is not None:
            threading.Thread(target=gone.stop, daemon=True).start()

    def close(self) -> None:
        """End all servers, at once."""
        with self._lock:
            self._closed = True
            servers = list(self._current.values())
        self._starters.shutdown(wait=False, cancel_futures=True)
        if not servers:
            return
        with ThreadPoolExecutor(len(servers)) as pool:
            list(pool.map(lambda server: server.stop(0.0), servers))

    def _take(self, caller: Caller, name: str, server: FunctionServer) -> FunctionServer | None:
        with self._lock:
            if self._closed:
                return server
            before = self._current.get((caller.region, name))
            self._current[caller.region, name] = server
        self._told(caller, name)
        return before

    def _bring_up(self, caller: Caller, name: str) -> None:
        server = self.current(caller, name)
        if server is None:
            return
        try:
            server.start()
        except (ContainerError, OSError) as error:
            self._failed(caller, name, error)
        else:
            self._settle(caller, name)

    def _deploy(self, caller: Caller, name: str) -> None:
        with self._lock:
            changing = self._changing.setdefault((caller.region, name), threading.Lock())
        with changing:
            document = self._records.store.get(caller, KIND, name)
            if document is None:
                return
            server = FunctionServer(self._ground, caller, document)
            try:
                server.start()
            except Exception as error:  # noqa: BLE001 - the function's state tells it
                server.stop(0.0)
                self._failed(caller, name, error)
                return
            if self._records.store.get(caller, KIND, name) is None:
                server.stop(0.0)
                return
            before = self._take(caller, name, server)
            self._settle(caller, name)
        if before is not None:
            before.stop()

    def _settle(self, caller: Caller, name: str) -> None:
        self._records.change(
            caller, name,
            State="Active", StateReason=None, StateReasonCode=None,
            LastUpdateStatus="Successful", LastUpdateStatusReason=None,
            LastUpdateStatusReasonCode=None,
        )  # fmt: skip

    def _failed(self, caller: Caller, name: str, error: Exception) -> None:
        _log.warning("function %s: %s", name, error)
        reason = str(error)[:_LONGEST_REASON]
        document = self._records.store.get(caller, KIND, name)
        if document is None:
            return
        if document["configuration"]["State"] == "Active":
            self._records.change(
                caller, name, LastUpdateStatus="Failed", LastUpdateStatusReason=reason,
                LastUpdateStatusReasonCode="InternalError",
            )  # fmt: skip
        else:
            self._records.change(
                caller, name, State="Failed", StateReason=reason, StateReasonCode="InternalError",
                LastUpdateStatus="Failed", LastUpdateStatusReason=reason,
                LastUpdateStatusReasonCode="InternalError",
            )  # fmt: skip
