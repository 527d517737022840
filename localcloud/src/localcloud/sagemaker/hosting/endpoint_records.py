"""What is kept of endpoints; every change that AWS tells the world about becomes an event."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any

from localcloud.errors import ValidationException
from localcloud.protocol import Caller, Document
from localcloud.sagemaker.arns import arn
from localcloud.sagemaker.hosting.plan import FleetPlan
from localcloud.sagemaker.listing import choose
from localcloud.sagemaker.state_changes import state_change
from localcloud.sagemaker.tags import Tags
from localcloud.store import Store

KIND = "endpoint"
_PENDING = "PendingDeploymentSummary"
_CAPITAL = re.compile(r"(?<!^)(?=[A-Z])")


class EndpointRecords:
    """Endpoints as DescribeEndpoint tells them.

    Beside that, `Plan` holds what the endpoint serves, or is to serve first.
    """

    def __init__(self, store: Store, tags: Tags) -> None:
        self._store = store
        self._tags = tags

    def find(self, caller: Caller, name: str) -> Document:
        """An endpoint; ValidationException if there is none of this name."""
        endpoint = self._store.get(caller, KIND, name)
        if endpoint is None:
            raise ValidationException(f'Could not find endpoint "{arn(caller, KIND, name)}".')
        return endpoint

    def all(self, caller: Caller) -> list[Document]:
        """The endpoints of a caller, oldest first."""
        return self._store.documents(caller, KIND)

    def everywhere(self) -> list[tuple[Caller, str, Document]]:
        """The endpoints of all accounts and regions."""
        return self._store.everywhere(KIND)

    def add(self, caller: Caller, endpoint: Document, tags: list[Document] | None) -> None:
        """Keep a new endpoint."""
        now = self._store.clock.now()
        endpoint |= {"CreationTime": now, "LastModifiedTime": now}
        with self._store.transaction():
            self._store.put(caller, KIND, endpoint["EndpointName"], endpoint)
            self._tags.set(caller, endpoint["EndpointArn"], tags)
            self._emit(caller, "Endpoint", endpoint)

    def change(
        self, caller: Caller, name: str, changes: Document, gone: Collection[str] = ()
    ) -> None:
        """Change an endpoint: members that get new values, and members that are there no more."""
        with self._store.transaction():
            before = self.find(caller, name)
            kept = {key: value for key, value in before.items() if key not in gone}
            now = self._store.clock.after(before["LastModifiedTime"])
            after = kept | changes | {"LastModifiedTime": now}
            self._store.put(caller, KIND, name, after)
            if after["EndpointStatus"] != before["EndpointStatus"]:
                self._emit(caller, "Endpoint", after)
            if _PENDING in changes:
                self._emit(caller, "Endpoint Deployment", after)

    def forget(self, caller: Caller, name: str) -> None:
        """Delete an endpoint, and its tags."""
        with self._store.transaction():
            endpoint = self.find(caller, name)
            self._store.delete(caller, KIND, name)
            self._emit(caller, "Endpoint", endpoint | {"EndpointStatus": "Deleted"})
            self._tags.forget(caller, endpoint["EndpointArn"])

    def _emit(self, caller: Caller, what: str, endpoint: Document) -> None:
        detail = choose(
            endpoint, "EndpointName", "EndpointArn", "EndpointConfigName", "ProductionVariants",
            "EndpointStatus", "FailureReason", "CreationTime", "LastModifiedTime", _PENDING,
        )  # fmt: skip
        detail["EndpointStatus"] = _CAPITAL.sub("_", endpoint["EndpointStatus"]).upper()
        detail["Tags"] = self._tags.of(caller, endpoint["EndpointArn"])
        event = state_change(
            caller,
            what,
            endpoint["EndpointArn"],
            _in_milliseconds(detail),
            self._store.clock.date(),
        )
        self._store.emit(caller, event)


def plan_of(endpoint: Document) -> FleetPlan:
    """What an endpoint serves."""
    return FleetPlan.read(endpoint["Plan"])


def _in_milliseconds(value: Any) -> Any:
    """A detail of an event as AWS writes it: times are whole milliseconds since 1970."""
    if isinstance(value, list):
        return [_in_milliseconds(each) for each in value]
    if not isinstance(value, dict):
        return value
    return {
        key: int(item * 1000)
        if key.endswith("Time") and isinstance(item, float)
        else _in_milliseconds(item)
        for key, item in value.items()
    }
