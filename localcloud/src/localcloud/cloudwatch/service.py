"""CloudWatch as the front door knows it: one service of several parts."""

from __future__ import annotations

import time
from pathlib import Path

from localcloud.cloudwatch.alarms import Alarms
from localcloud.cloudwatch.dashboards import Dashboards
from localcloud.cloudwatch.errors import InvalidParameterValue, ValidationError
from localcloud.cloudwatch.metric_data import MetricData
from localcloud.cloudwatch.metrics import Clock, Metrics
from localcloud.cloudwatch.notifications import Publish
from localcloud.cloudwatch.tags import Tags
from localcloud.protocol import Operation, Service
from localcloud.store import Store

_OLD_WORDS = (
    "PutMetricData",
    "GetMetricStatistics",
    "ListMetrics",
    "PutDashboard",
    "GetDashboard",
    "ListDashboards",
    "DeleteDashboards",
    "TagResource",
    "UntagResource",
    "ListTagsForResource",
)
"""Calls that refuse a value as InvalidParameterValue; the others say ValidationError."""


class CloudWatch:
    """Metrics in a file of their own, alarms and dashboards in the store.

    `publish` takes an alarm's message to a topic of SNS.
    """

    def __init__(
        self,
        store: Store,
        path: Path,
        publish: Publish | None = None,
        clock: Clock = time.time,
    ) -> None:
        tags = Tags(store)
        self.metrics = Metrics(path, clock)
        self.alarms = Alarms(store, self.metrics, tags, publish, clock)
        operations: dict[str, Operation] = {}
        parts = (self.metrics, MetricData(self.metrics), self.alarms, tags,
                 Dashboards(store, tags, clock))  # fmt: skip
        for part in parts:
            operations |= part.operations()
        self.service = Service(
            "cloudwatch",
            operations,
            ValidationError,
            dict.fromkeys(_OLD_WORDS, InvalidParameterValue),
        )

    def start(self) -> None:
        """Begin to evaluate alarms."""
        self.alarms.start()

    def close(self) -> None:
        """Stop evaluating, and let go of the file."""
        self.alarms.close()
        self.metrics.close()
