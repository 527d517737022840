"""The metrics of endpoints, as SageMaker reports them, from what the data plane counted."""

from __future__ import annotations

from collections.abc import Iterator

from localcloud.cloudwatch import counted
from localcloud.cloudwatch.statistics import Datum
from localcloud.protocol import Document

NAMESPACE = "AWS/SageMaker"
_COUNTED = {
    "Invocation4XXErrors": "client_errors",
    "Invocation5XXErrors": "server_errors",
    "InvocationModelErrors": "model_errors",
}
_TIMED = {"ModelLatency": "model", "OverheadLatency": "overhead"}


def data(count: Document) -> Iterator[Datum]:
    """Each metric by endpoint and variant, and again with the endpoint configuration.

    That tells the new fleet of a rollout from the old one. The average of errors is their rate.
    """
    moment, requests = count["time"], count["requests"]
    if not requests:
        return
    variant = {"EndpointName": count["endpoint"], "VariantName": count["variant"]}
    for dimensions in (variant, variant | {"EndpointConfigName": count["config"]}):
        yield counted.total("Invocations", dimensions, moment, requests)
        for name, key in _COUNTED.items():
            yield counted.share(name, dimensions, moment, count[key], requests)
        for name, key in _TIMED.items():
            yield counted.spread(name, dimensions, moment, "Microseconds", requests, count[key])
