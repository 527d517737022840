"""Metrics of what the data plane counted in a second."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping

from localcloud.cloudwatch.metrics import Metrics
from localcloud.cloudwatch.statistics import Datum
from localcloud.protocol import Caller, Document

Dimensions = Mapping[str, str]


class CountedMetrics:
    """The metrics of one namespace; `data` makes a count's data points."""

    def __init__(
        self,
        metrics: Metrics,
        account: str,
        namespace: str,
        data: Callable[[Document], Iterable[Datum]],
    ) -> None:
        self._metrics = metrics
        self._account = account
        self._namespace = namespace
        self._data = data

    def record(self, counts: list[Document]) -> None:
        """Keep what came in a second: all of a region in one transaction."""
        by_region: dict[str, list[Datum]] = defaultdict(list)
        for count in counts:
            by_region[count["region"]] += self._data(count)
        for region, data in by_region.items():
            self._metrics.record(Caller(self._account, region), self._namespace, data)


def total(
    name: str, dimensions: Dimensions, moment: float, requests: int, unit: str = "None"
) -> Datum:
    """So many requests: a 1 for each."""
    return Datum(name, dimensions, moment, unit, requests, requests, 1.0, 1.0)


def share(
    name: str,
    dimensions: Dimensions,
    moment: float,
    part: int,
    requests: int,
    unit: str = "None",
) -> Datum:
    """So many of the requests: 1 for each, 0 for the others, so that the average is a rate."""
    low, high = float(part == requests), float(part > 0)
    values = {0.0: float(requests - part), 1.0: float(part)}
    return Datum(name, dimensions, moment, unit, requests, part, low, high, values)


def spread(
    name: str, dimensions: Dimensions, moment: float, unit: str, requests: int, told: Document
) -> Datum:
    """A number of each request, as `Spread.told` has them."""
    values = {value: float(times) for value, times in told["values"]}
    return Datum(
        name, dimensions, moment, unit, requests, told["total"],
        told["minimum"], told["maximum"], values,
    )  # fmt: skip
