"""The metrics of HTTP APIs, as API Gateway reports them, from what the data plane counted."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from localcloud.cloudwatch import counted
from localcloud.cloudwatch.metrics import Metrics
from localcloud.cloudwatch.statistics import Datum
from localcloud.protocol import Caller, Document

NAMESPACE = "AWS/ApiGateway"


class HttpApiMetrics:
    """Keeps each metric by API, and by API and stage. The average of errors is their rate."""

    def __init__(self, metrics: Metrics, account: str) -> None:
        self._metrics = metrics
        self._account = account

    def record(self, counts: list[Document]) -> None:
        """Keep what came in a second: all of a region in one transaction."""
        by_region: dict[str, list[Datum]] = defaultdict(list)
        for count in counts:
            api = {"ApiId": count["api"]}
            for dimensions in (api, api | {"Stage": count["stage"]}):
                by_region[count["region"]] += _data(count, dimensions)
        for region, data in by_region.items():
            self._metrics.record(Caller(self._account, region), NAMESPACE, data)


def _data(count: Document, dimensions: dict[str, str]) -> Iterator[Datum]:
    moment, requests = count["time"], count["requests"]
    yield counted.total("Count", dimensions, moment, requests, "Count")
    yield counted.share("4xx", dimensions, moment, count["client_errors"], requests, "Count")
    yield counted.share("5xx", dimensions, moment, count["server_errors"], requests, "Count")
    for name, unit, times, key in (
        ("DataProcessed", "Bytes", requests, "bytes"),
        ("Latency", "Milliseconds", requests, "latency"),
        ("IntegrationLatency", "Milliseconds", count["integrated"], "integration"),
    ):
        if times:
            yield counted.spread(name, dimensions, moment, unit, times, count[key])
