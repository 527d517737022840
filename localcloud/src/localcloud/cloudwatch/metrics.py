"""Metrics: what is reported, what there is, and statistics of it by periods."""

from __future__ import annotations

import math
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from localcloud.cloudwatch.errors import (
    InvalidParameterCombination,
    InvalidParameterValue,
    MissingParameter,
)
from localcloud.cloudwatch.pages import page
from localcloud.cloudwatch.points import Metric, Points
from localcloud.cloudwatch.statistics import (
    SIMPLE,
    Datum,
    Point,
    check_statistic,
    merged,
    value_of,
)
from localcloud.errors import NotEmulated
from localcloud.protocol import Caller, Document, Operation

_MAX_DATA, _MAX_VALUES, _MAX_POINTS, _PAGE = 1000, 150, 1440, 500
_LARGEST = 2.0**360
_TWO_WEEKS, _TWO_HOURS, _RECENTLY = 14 * 86_400, 2 * 3600, 3 * 3600
_TIDY_SECONDS = 600
_SHORT_PERIODS = (1, 5, 10, 20, 30)
Clock = Callable[[], float]


class Metrics:
    """PutMetricData, ListMetrics, GetMetricStatistics, and the points behind all others."""

    def __init__(self, path: Path, clock: Clock = time.time) -> None:
        self._points = Points(path)
        self._clock = clock
        self._tidied = clock()

    def operations(self) -> dict[str, Operation]:
        """The calls by their AWS names."""
        return {
            "PutMetricData": self.put,
            "ListMetrics": self.list_metrics,
            "GetMetricStatistics": self.get_statistics,
        }

    def close(self) -> None:
        """Let go of the file."""
        self._points.close()

    def record(self, caller: Caller, namespace: str, data: Iterable[Datum]) -> None:
        """Keep what AWS's own services report, in their namespaces; all of it at once."""
        self._points.add(caller, namespace, data)

    def periods(
        self, caller: Caller, metric: Metric, start: int, end: int, period: int, unit: str | None
    ) -> dict[int, Point]:
        """What came in each period from `start` to before `end`, by the period's beginning."""
        found = self._by_unit(caller, metric, start, end, period, unit)
        return {moment: merged(by_unit.values()) for moment, by_unit in sorted(found.items())}

    def tidy(self) -> None:
        """Now and then, add up what is old."""
        now = self._clock()
        if now - self._tidied >= _TIDY_SECONDS:
            self._tidied = now
            self._points.tidy(now)

    def put(self, caller: Caller, request: Document) -> Document:
        """PutMetricData: values, counted values or statistics, to the second."""
        namespace, data = request["Namespace"], request.get("MetricData", [])
        if namespace.startswith("AWS/"):
            raise InvalidParameterValue(
                f"The value {namespace} for parameter Namespace is invalid."
            )
        if request.get("EntityMetricData"):
            raise NotEmulated("localcloud does not emulate EntityMetricData of PutMetricData")
        if not data:
            raise MissingParameter("The parameter MetricData is required.")
        if len(data) > _MAX_DATA:
            raise InvalidParameterValue(
                f"The collection MetricData must not have a size greater than {_MAX_DATA}."
            )
        now = self._clock()
        self._points.add(
            caller,
            namespace,
            [_datum(item, f"MetricData.member.{n}", now) for n, item in enumerate(data, 1)],
        )
        return {}

    def list_metrics(self, caller: Caller, request: Document) -> Document:
        """ListMetrics: those with a point in the last two weeks, or PT3H."""
        recent = request.get("RecentlyActive") == "PT3H"
        since = self._clock() - (_RECENTLY if recent else _TWO_WEEKS)
        owners = request.get("OwningAccount", caller.account)
        found = [] if owners != caller.account else self._points.metrics(caller, since)
        listed = [_shown(metric) for metric in found if _matches(metric, request)]
        return page("Metrics", request, listed, _PAGE)

    def get_statistics(self, caller: Caller, request: Document) -> Document:
        """GetMetricStatistics; where no unit is asked for, each unit has its own points."""
        statistics = request.get("Statistics", [])
        extended = request.get("ExtendedStatistics", [])
        _check_statistics(statistics, extended)
        period = request["Period"]
        check_period(period, "Period")
        start, end = window(request)
        start -= start % min(period, 60)
        if (count := math.ceil((end - start) / period)) > _MAX_POINTS:
            raise InvalidParameterCombination(
                f"You have requested up to {count:,} datapoints, which exceeds the limit of "
                f"{_MAX_POINTS:,}. You may reduce the datapoints requested by increasing Period, "
                "or decreasing the time range."
            )
        metric = metric_of(request)
        found = self._by_unit(caller, metric, start, end, period, request.get("Unit"))
        return {
            "Label": metric.name,
            "Datapoints": [
                _datapoint(moment, unit, point, statistics, extended)
                for moment, by_unit in found.items()
                for unit, point in by_unit.items()
            ],
        }

    def _by_unit(
        self, caller: Caller, metric: Metric, start: int, end: int, period: int, unit: str | None
    ) -> dict[int, dict[str, Point]]:
        found: dict[int, dict[str, list[Point]]] = defaultdict(lambda: defaultdict(list))
        for moment, each, point in self._points.read(caller, metric, start, end, unit):
            by_unit = found[start + (moment - start) // period * period]
            by_unit[each].append(point)
        return {
            moment: {each: merged(points) for each, points in by_unit.items()}
            for moment, by_unit in found.items()
        }


def check_period(period: int, name: str) -> None:
    """Raise InvalidParameterValue unless statistics can be had by this period."""
    if period % 60 and period not in _SHORT_PERIODS:
        raise InvalidParameterValue(
            f"The value {period} for parameter {name} is invalid: it must be 1, 5, 10, 20, 30 or "
            "a multiple of 60"
        )


def window(request: Document) -> tuple[int, int]:
    """The seconds from StartTime, which belongs to it, to EndTime, which does not."""
    start, end = request["StartTime"], request["EndTime"]
    if start >= end:
        raise InvalidParameterValue(
            "The parameter StartTime must be less than the parameter EndTime."
        )
    return math.floor(start), math.ceil(end)


def metric_of(request: Document) -> Metric:
    """The metric that Namespace, MetricName and Dimensions name."""
    for name in ("Namespace", "MetricName"):
        if name not in request:
            raise MissingParameter(f"The parameter {name} is required.")
    return Metric(
        request["Namespace"],
        request["MetricName"],
        _dimensions(request.get("Dimensions", []), "Dimensions"),
    )


def _dimensions(given: list[Document], name: str) -> tuple[tuple[str, str], ...]:
    pairs = {each["Name"]: each["Value"] for each in given}
    if len(pairs) < len(given):
        raise InvalidParameterValue(f"No parameter {name} may name a dimension twice.")
    return tuple(sorted(pairs.items()))


def _check_statistics(statistics: list[str], extended: list[str]) -> None:
    if not statistics and not extended:
        raise InvalidParameterCombination(
            "At least one of the parameters Statistics and ExtendedStatistics must be specified."
        )
    if statistics and extended:
        raise InvalidParameterCombination(
            "The parameters Statistics and ExtendedStatistics are mutually exclusive and you have "
            "specified both."
        )
    for statistic in extended:
        check_statistic(statistic, extended_only=True)


def _datum(item: Document, where: str, now: float) -> Datum:
    """A member of MetricData, held against the rules that AWS's model does not tell."""
    given = [name for name in ("Value", "StatisticValues", "Values") if name in item]
    if not given:
        raise InvalidParameterCombination(
            f"At least one of the parameters {where}.Value, {where}.StatisticValues and "
            f"{where}.Values must be specified."
        )
    if len(given) > 1:
        raise InvalidParameterCombination(
            f"The parameters {where}.{given[0]} and {where}.{given[1]} are mutually exclusive and "
            "you have specified both."
        )
    resolution = item.get("StorageResolution", 60)
    if resolution not in (1, 60):
        raise InvalidParameterValue(
            f"The value {resolution} for parameter {where}.StorageResolution is invalid: it must "
            "be 1 or 60"
        )
    moment = item.get("Timestamp", now)
    if not now - _TWO_WEEKS <= moment <= now + _TWO_HOURS:
        raise InvalidParameterValue(
            f"The parameter {where}.Timestamp must specify a time within the past two weeks and "
            "no more than two hours in the future."
        )
    described = {
        "name": item["MetricName"],
        "dimensions": dict(_dimensions(item.get("Dimensions", []), f"{where}.Dimensions")),
        "time": moment // resolution * resolution,
        "unit": item.get("Unit", "None"),
    }
    if given == ["StatisticValues"]:
        return Datum(**described, **_statistic_set(item["StatisticValues"], where))
    return Datum(**described, **_values(item, where))


def _values(item: Document, where: str) -> dict[str, Any]:
    values = item.get("Values") or [item.get("Value")]
    counts = item.get("Counts", [1.0] * len(values))
    if "Value" not in item and not item["Values"]:
        raise MissingParameter(f"The parameter {where}.Values is required.")
    if len(values) > _MAX_VALUES:
        raise InvalidParameterValue(
            f"The collection {where}.Values must not have a size greater than {_MAX_VALUES}."
        )
    if len(counts) != len(values):
        raise InvalidParameterValue(
            f"The parameters {where}.Values and {where}.Counts must be of the same size."
        )
    known: dict[float, float] = {}
    for value, count in zip(values, counts, strict=True):
        _check_number(value, f"{where}.Value")
        if count < 0:
            raise InvalidParameterValue(
                f"The value {count} for parameter {where}.Counts is invalid."
            )
        known[float(value)] = known.get(float(value), 0.0) + count
    return {
        "count": sum(known.values()),
        "total": sum(value * count for value, count in known.items()),
        "minimum": min(known),
        "maximum": max(known),
        "values": known,
    }


def _statistic_set(given: Document, where: str) -> dict[str, Any]:
    for name, value in given.items():
        _check_number(value, f"{where}.StatisticValues.{name}")
    if given["SampleCount"] <= 0 or given["Minimum"] > given["Maximum"]:
        raise InvalidParameterValue(
            f"The parameter {where}.StatisticValues is invalid: SampleCount must be positive, "
            "and Minimum not above Maximum."
        )
    return {
        "count": given["SampleCount"],
        "total": given["Sum"],
        "minimum": given["Minimum"],
        "maximum": given["Maximum"],
    }


def _check_number(value: float, where: str) -> None:
    if not abs(value) <= _LARGEST:
        raise InvalidParameterValue(f"The value {value} for parameter {where} is invalid.")


def _datapoint(
    moment: int, unit: str, point: Point, statistics: list[str], extended: list[str]
) -> Document:
    found: Document = {"Timestamp": float(moment), "Unit": unit}
    for name in SIMPLE:
        if name in statistics and (value := value_of(point, name)) is not None:
            found[name] = value
    values = {name: value_of(point, name) for name in extended}
    known = {name: value for name, value in values.items() if value is not None}
    return found | ({"ExtendedStatistics": known} if known else {})


def _matches(metric: Metric, request: Document) -> bool:
    if request.get("Namespace", metric.namespace) != metric.namespace:
        return False
    if request.get("MetricName", metric.name) != metric.name:
        return False
    has = dict(metric.dimensions)
    return all(
        each["Name"] in has and each.get("Value", has[each["Name"]]) == has[each["Name"]]
        for each in request.get("Dimensions", [])
    )


def _shown(metric: Metric) -> Document:
    return {
        "Namespace": metric.namespace,
        "MetricName": metric.name,
        "Dimensions": [{"Name": name, "Value": value} for name, value in metric.dimensions],
    }
