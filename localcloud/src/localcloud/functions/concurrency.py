"""How many events a function may be at: its reserved concurrency."""

from __future__ import annotations

from collections.abc import Callable

from localcloud.functions.errors import InvalidParameterValueException
from localcloud.functions.names import named
from localcloud.functions.records import Records, processes_of
from localcloud.functions.servers import Servers
from localcloud.protocol import Caller, Document, Operation

_ACCOUNT, _UNRESERVED = 1000, 100


class Concurrency:
    """PutFunctionConcurrency, GetFunctionConcurrency, DeleteFunctionConcurrency.

    `told` is called after each change.
    """

    def __init__(
        self, records: Records, servers: Servers, told: Callable[[Caller, str], None]
    ) -> None:
        self._records = records
        self._servers = servers
        self._told = told

    def operations(self) -> dict[str, Operation]:
        """The calls by their AWS names."""
        return {
            "PutFunctionConcurrency": self.put,
            "GetFunctionConcurrency": self.get,
            "DeleteFunctionConcurrency": self.delete,
        }

    def put(self, caller: Caller, request: Document) -> Document:
        """PutFunctionConcurrency: 0 lets no event in; more than 4 are no more here."""
        reserved = request["ReservedConcurrentExecutions"]
        if reserved > _ACCOUNT - _UNRESERVED:
            raise InvalidParameterValueException(
                "Specified ReservedConcurrentExecutions for function decreases account's "
                f"UnreservedConcurrentExecution below its minimum value of [{_UNRESERVED}]."
            )
        self._set(caller, named(caller, request), reserved)
        return {"ReservedConcurrentExecutions": reserved}

    def get(self, caller: Caller, request: Document) -> Document:
        """GetFunctionConcurrency: what is reserved, nothing if nothing is."""
        document = self._records.find(caller, named(caller, request))
        return {"ReservedConcurrentExecutions": document.get("reserved")}

    def delete(self, caller: Caller, request: Document) -> Document:
        """DeleteFunctionConcurrency: up to 4 events again."""
        self._set(caller, named(caller, request), None)
        return {}

    def _set(self, caller: Caller, name: str, reserved: int | None) -> None:
        with self._records.store.transaction():
            document = self._records.find(caller, name)
            before = processes_of(document)
            document["reserved"] = reserved
            self._records.put(caller, document)
        self._told(caller, name)
        if processes_of(document) != before:
            self._servers.deploy(caller, name)
