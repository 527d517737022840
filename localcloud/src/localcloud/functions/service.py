"""All of Lambda, put together."""

from __future__ import annotations

from collections.abc import Sequence

from localcloud.functions.announcements import Announcements
from localcloud.functions.concurrency import Concurrency
from localcloud.functions.functions import Functions
from localcloud.functions.invocations import Invocations
from localcloud.functions.policy import Policies
from localcloud.functions.queue import PAUSES, Queue
from localcloud.functions.records import Records
from localcloud.functions.server import Ground
from localcloud.functions.servers import Servers
from localcloud.functions.streams import Streams
from localcloud.functions.tags import FunctionTags
from localcloud.logs import Logs
from localcloud.protocol import Operation, Service
from localcloud.store import Store
from localcloud.traffic import Traffic


class Lambda:
    """The service; `pauses` are those before an event is tried again."""

    def __init__(
        self,
        store: Store,
        ground: Ground,
        logs: Logs,
        traffic: Traffic,
        pauses: Sequence[float] = PAUSES,
    ) -> None:
        records = Records(store)
        self._streams = Streams(records, ground, logs)
        announcements = Announcements(records, traffic)
        self._servers = Servers(records, ground, announcements.tell)
        announcements.servers = self._servers
        self._queue = Queue(store, self._servers, self._streams, pauses)
        invocations = Invocations(records, self._servers, self._queue, self._streams)
        self.invoke = invocations.invoke
        parts = (
            Functions(records, ground.packages, self._servers),
            Policies(records, announcements.tell),
            FunctionTags(records),
            Concurrency(records, self._servers, announcements.tell),
            invocations,
        )
        operations: dict[str, Operation] = {}
        for part in parts:
            operations |= part.operations()
        self.service = Service("lambda", operations)

    def restore(self) -> None:
        """Bring up all functions, and go on with the events that wait."""
        self._servers.restore()
        self._streams.start()
        self._queue.start()

    def close(self) -> None:
        """End all functions' processes."""
        self._queue.close()
        self._streams.close()
        self._servers.close()
