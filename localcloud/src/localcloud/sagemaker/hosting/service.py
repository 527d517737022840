"""All of hosting, put together."""

from __future__ import annotations

from collections.abc import Callable

from localcloud.protocol import Caller, Operation
from localcloud.sagemaker.hosting.conductor import Conductor
from localcloud.sagemaker.hosting.endpoint_configs import EndpointConfigs
from localcloud.sagemaker.hosting.endpoint_records import EndpointRecords, plan_of
from localcloud.sagemaker.hosting.endpoints import Endpoints
from localcloud.sagemaker.hosting.fleet import Ground
from localcloud.sagemaker.models import Models
from localcloud.sagemaker.tags import Tags
from localcloud.store import Store
from localcloud.traffic import Traffic


class Hosting:
    """Endpoint configurations and endpoints.

    `alarm` gives the state of a CloudWatch alarm, None if there is no such alarm; `scales` says
    whether an endpoint's variant is a scalable target.
    """

    def __init__(
        self,
        store: Store,
        models: Models,
        tags: Tags,
        ground: Ground,
        traffic: Traffic,
        alarm: Callable[[Caller, str], str | None],
        scales: Callable[[Caller, str, str], bool] = lambda *_: False,
    ) -> None:
        self._records = records = EndpointRecords(store, tags)
        self._configs = EndpointConfigs(store, models, tags)
        self._conductor = Conductor(records, ground, traffic, alarm, store.clock)
        self._endpoints = Endpoints(store, records, self._configs, self._conductor, alarm, scales)

    def operations(self) -> dict[str, Operation]:
        """The calls by their AWS names."""
        return self._configs.operations() | self._endpoints.operations()

    def has_variant(self, caller: Caller, endpoint: str, variant: str) -> bool:
        """Whether there is an endpoint with a variant of this name."""
        return any(
            variant in {each.name for each in plan_of(found).variants}
            for found in self._records.all(caller)
            if found["EndpointName"] == endpoint
        )

    def restore(self) -> None:
        """Route to what an earlier process served and bring it up; to be called at the start."""
        self._conductor.restore()

    def stop(self) -> None:
        """Give up what is being changed; what is served is served on."""
        self._conductor.stop()

    def close(self) -> None:
        """End all instances; `restore` brings them up again."""
        self._conductor.close()
