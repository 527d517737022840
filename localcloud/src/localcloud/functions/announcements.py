"""What the data plane is told of functions: where their events go, and who may send some."""

from __future__ import annotations

import threading

from localcloud.functions.names import function_arn
from localcloud.functions.records import KIND, Records
from localcloud.functions.servers import Servers
from localcloud.protocol import Caller
from localcloud.traffic import FunctionRoute, Traffic


class Announcements:
    """Safe for threads: what is told last is what held last."""

    def __init__(self, records: Records, traffic: Traffic) -> None:
        self._records = records
        self._traffic = traffic
        self._lock = threading.Lock()
        self.servers: Servers | None = None

    def tell(self, caller: Caller, name: str) -> None:
        """Say how a function is now; one that takes no events yet is not there."""
        arn = function_arn(caller, name)
        with self._lock:
            document = self._records.store.get(caller, KIND, name)
            server = self.servers.current(caller, name) if self.servers else None
            if document is None or server is None:
                self._traffic.forget_function(arn)
                return
            processes = 0 if document.get("reserved") == 0 else server.processes
            route = FunctionRoute(str(server.socket), processes, tuple(document["policy"]))
            self._traffic.function(arn, route)
