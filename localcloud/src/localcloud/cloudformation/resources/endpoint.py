"""AWS::SageMaker::Endpoint: made and changed only when it is in service as it was asked for."""

from __future__ import annotations

from localcloud.cloudformation.errors import ResourceFailed
from localcloud.cloudformation.resources.kind import Key, Kind
from localcloud.cloudformation.resources.services import Calls
from localcloud.protocol import Document

_SETTLED = ("InService", "OutOfService", "Failed", "UpdateRollbackFailed")


class EndpointKind(Kind):
    """Waits as the handler of AWS does."""

    def create(self, calls: Calls, properties: Document) -> Key:
        """CreateEndpoint, and wait until it is InService."""
        key = super().create(calls, properties)
        self._in_service(calls, key, properties["EndpointConfigName"])
        return key

    def change(self, calls: Calls, key: Key, before: Document, after: Document) -> None:
        """UpdateEndpoint, unless the endpoint is on that configuration already.

        Raises ResourceFailed if it ends on another one than asked for: an automatic rollback.
        """
        wanted = after["EndpointConfigName"]
        found = self._settled(calls, key)
        if found is None:
            raise ResourceFailed(f'Could not find endpoint "{key["EndpointName"]}".')
        if (found["EndpointConfigName"], found["EndpointStatus"]) != (wanted, "InService"):
            super().change(calls, key, before, after)
            self._in_service(calls, key, wanted)

    def delete(self, calls: Calls, key: Key) -> None:
        """DeleteEndpoint as soon as nothing is under way, and wait until it is gone."""
        if self._settled(calls, key) is None:
            return
        super().delete(calls, key)
        calls.wait(lambda: None if self.find(calls, key) is None else {})

    def _settled(self, calls: Calls, key: Key) -> Document | None:
        """The endpoint when nothing is under way; None when there is none."""

        def probe() -> Document | None:
            found = self.find(calls, key)
            return found if found is None or found["EndpointStatus"] in _SETTLED else {}

        return calls.wait(probe)

    def _in_service(self, calls: Calls, key: Key, config: str) -> None:
        found = self._settled(calls, key)
        name = key["EndpointName"]
        if found is None:
            raise ResourceFailed(f"The endpoint {name} was deleted by somebody else")
        reason = found.get("FailureReason", "no reason is told")
        if found["EndpointStatus"] != "InService":
            raise ResourceFailed(
                f"Resource of type '{self.type}' with identifier '{name}' did not stabilize: it is "
                f"{found['EndpointStatus']} ({reason})"
            )
        if found["EndpointConfigName"] != config:
            raise ResourceFailed(
                f"Resource of type '{self.type}' with identifier '{name}' did not stabilize: it "
                f"was rolled back to the configuration {found['EndpointConfigName']} instead of "
                f"{config} ({reason})"
            )
