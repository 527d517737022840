"""The metrics of HTTP APIs, as API Gateway reports them, from what the data plane counted."""

from __future__ import annotations

from collections.abc import Iterator

from localcloud.cloudwatch import counted
from localcloud.cloudwatch.statistics import Datum
from localcloud.protocol import Document

NAMESPACE = "AWS/ApiGateway"


def data(count: Document) -> Iterator[Datum]:
    """Each metric by API, and by API and stage. The average of errors is their rate."""
    moment, requests = count["time"], count["requests"]
    api = {"ApiId": count["api"]}
    for dimensions in (api, api | {"Stage": count["stage"]}):
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
