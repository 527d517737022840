"""The metrics of endpoints, as SageMaker reports them, from what the data plane counted."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

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
    """What `Traffic` tells its counts to.

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
    yield Datum("Invocations", dimensions, moment, "None", requests, requests, 1.0, 1.0)
    for name, key in _COUNTED.items():
        errors = count[key]
        low, high = float(errors == requests), float(errors > 0)
        values = {0.0: float(requests - errors), 1.0: float(errors)}
        yield Datum(name, dimensions, moment, "None", requests, errors, low, high, values)
    for name, key in _TIMED.items():
        spread = count[key]
        values = {value: float(times) for value, times in spread["values"]}
        yield Datum(
            name, dimensions, moment, "Microseconds", requests, spread["total"],
            spread["minimum"], spread["maximum"], values,
        )  # fmt: skip
