"""The metrics of endpoints, as SageMaker reports them, from what the data plane counted."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from localcloud.cloudwatch import counted
from localcloud.cloudwatch.metrics import Metrics
from localcloud.cloudwatch.statistics import Datum
from localcloud.protocol import Caller, Document

NAMESPACE = "AWS/SageMaker"
_COUNTED = {
    "Invocation4XXErrors": "client_errors",
    "Invocation5XXErrors": "server_errors",
    "InvocationModelErrors": "model_errors",
}
_TIMED = {"ModelLatency": "model", "OverheadLatency": "overhead"}


class EndpointMetrics:
    """Keeps what `Traffic` hears.

    Each metric is kept by endpoint and variant, and again with the endpoint configuration, which
    tells the new fleet of a rollout from the old one. The average of errors is their rate.
    """

    def __init__(self, metrics: Metrics, account: str) -> None:
        self._metrics = metrics
        self._account = account

    def record(self, counts: list[Document]) -> None:
        """Keep what came in a second: all of a region in one transaction."""
        by_region: dict[str, list[Datum]] = defaultdict(list)
        for count in counts:
            dimensions = {"EndpointName": count["endpoint"], "VariantName": count["variant"]}
            for each in (dimensions, dimensions | {"EndpointConfigName": count["config"]}):
                by_region[count["region"]] += _data(count, each)
        for region, data in by_region.items():
            self._metrics.record(Caller(self._account, region), NAMESPACE, data)


def _data(count: Document, dimensions: dict[str, str]) -> Iterator[Datum]:
    moment, requests = count["time"], count["requests"]
    if not requests:
        return
    yield counted.total("Invocations", dimensions, moment, requests)
    for name, key in _COUNTED.items():
        yield counted.share(name, dimensions, moment, count[key], requests)
    for name, key in _TIMED.items():
        yield counted.spread(name, dimensions, moment, "Microseconds", requests, count[key])
