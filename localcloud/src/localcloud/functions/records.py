"""What is stored of functions, and how it is shown."""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass

from localcloud.functions.errors import (
    PreconditionFailedException,
    ResourceConflictException,
    ResourceNotFoundException,
)
from localcloud.functions.names import function_arn
from localcloud.protocol import Caller, Document
from localcloud.store import Store

KIND = "function"
MOST_PROCESSES = 4
"""Events that a function may be at on one machine."""
_STATES = (
    "State", "StateReason", "StateReasonCode", "LastUpdateStatus", "LastUpdateStatusReason",
    "LastUpdateStatusReasonCode",
)  # fmt: skip


@dataclass(frozen=True)
class Records:
    """Functions by their names.

    Of a document's members `configuration` is what GetFunctionConfiguration answers, `package` the
    name of its archive, `policy` the statements of its resource policy, `reserved` its reserved
    concurrency, None without one.
    """

    store: Store

    def find(self, caller: Caller, name: str) -> Document:
        """A function's document. Raises ResourceNotFoundException."""
        found = self.store.get(caller, KIND, name)
        if found is None:
            raise ResourceNotFoundException(f"Function not found: {function_arn(caller, name)}")
        return found

    def put(self, caller: Caller, document: Document) -> None:
        """Store a function."""
        self.store.put(caller, KIND, document["configuration"]["FunctionName"], document)

    def change(self, caller: Caller, name: str, **states: str | None) -> bool:
        """Take over members that tell the state, None for one that goes; whether it is there."""
        with self.store.transaction():
            document = self.store.get(caller, KIND, name)
            if document is None:
                return False
            configuration = document["configuration"] | states
            document["configuration"] = {k: v for k, v in configuration.items() if v is not None}
            self.put(caller, document)
        return True


def require_settled(configuration: Document) -> None:
    """Raise ResourceConflictException while a function is made or changed."""
    arn = configuration["FunctionArn"]
    if configuration["State"] == "Pending":
        raise ResourceConflictException(
            "The operation cannot be performed at this time. The function is currently in the "
            "following state: Pending"
        )
    if configuration["LastUpdateStatus"] == "InProgress":
        raise ResourceConflictException(
            f"The operation cannot be performed at this time. An update is in progress for "
            f"resource: {arn}"
        )


def require_revision(request: Document, revision: str) -> None:
    """Raise PreconditionFailedException if the caller has seen another revision."""
    if request.get("RevisionId", revision) != revision:
        raise PreconditionFailedException(
            "The Revision Id provided does not match the latest Revision Id. Call the "
            "GetFunction/GetAlias API to retrieve the latest Revision Id"
        )


def touch(configuration: Document, now: float) -> None:
    """Make it another revision, changed now: in seconds since 1970."""
    whole = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now))
    configuration["LastModified"] = f"{whole}.{int(now * 1000) % 1000:03d}+0000"
    configuration["RevisionId"] = str(uuid.uuid4())


def processes_of(document: Document) -> int:
    """How many events a function may be at."""
    reserved = document.get("reserved")
    return MOST_PROCESSES if reserved is None else max(1, min(reserved, MOST_PROCESSES))


def without_states(configuration: Document) -> Document:
    """A configuration as lists show it."""
    return {name: value for name, value in configuration.items() if name not in _STATES}
