"""Points of a metric, how they add up, and the statistics that are read of them."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from localcloud.cloudwatch.errors import InvalidParameterValue

SIMPLE = ("SampleCount", "Average", "Sum", "Minimum", "Maximum")
_MAX_VALUES = 150
"""Different values that one point holds exactly, as many as one datum may bring."""
_STEP = math.log(1.01)
_PERCENTILE = re.compile(r"(p|tm|wm|tc|ts)(\d{1,2}(?:\.\d{1,10})?|100)")
_PERCENT_RANGE = re.compile(r"(TM|WM|TC|TS)\((\d+(?:\.\d+)?%)?:(\d+(?:\.\d+)?%)?\)")
_RANK = re.compile(r"PR\((-?\d+(?:\.\d+)?)?:(-?\d+(?:\.\d+)?)?\)")


@dataclass(frozen=True)
class Datum:
    """What is reported of a metric at one time, in seconds since 1970.

    `values` says how often each value came; without it there are no percentiles, unless all
    values were the same.
    """

    name: str
    dimensions: Mapping[str, str]
    time: float
    unit: str
    count: float
    total: float
    minimum: float
    maximum: float
    values: Mapping[float, float] | None = None


@dataclass(frozen=True)
class Point:
    """All that came of a metric in one stretch of time."""

    count: float
    total: float
    minimum: float
    maximum: float
    values: Mapping[float, float] | None

    @classmethod
    def of(cls, datum: Datum) -> Point:
        """A datum's own point."""
        values = datum.values
        if values is None and datum.minimum == datum.maximum:
            values = {datum.minimum: datum.count}
        point = cls(datum.count, datum.total, datum.minimum, datum.maximum, values)
        return merged([point])


def merged(points: Iterable[Point]) -> Point:
    """All of at least one point together."""
    everything = list(points)
    values: dict[float, float] | None = None
    if all(point.values is not None for point in everything):
        values = defaultdict(float)
        for point in everything:
            for value, count in (point.values or {}).items():
                values[value] += count
    minimum = min(point.minimum for point in everything)
    maximum = max(point.maximum for point in everything)
    if values is not None and len(values) > _MAX_VALUES:
        values = _condensed(values, minimum, maximum)
    return Point(
        sum(point.count for point in everything),
        math.fsum(point.total for point in everything),
        minimum,
        maximum,
        values,
    )


def _condensed(values: dict[float, float], minimum: float, maximum: float) -> dict[float, float]:
    """The same with values that are less than a percent apart taken together."""
    rounded: dict[float, float] = {}
    for value, count in values.items():
        near = value
        if value:
            step = round(math.log(abs(value)) / _STEP)
            near = float(f"{math.copysign(math.exp(step * _STEP), value):.4g}")
        near = min(max(near, minimum), maximum)
        rounded[near] = rounded.get(near, 0.0) + count
    return rounded


def check_statistic(name: str, *, extended_only: bool = False) -> None:
    """Raise InvalidParameterValue unless this is a statistic's name."""
    known = [_PERCENTILE, _PERCENT_RANGE, _RANK]
    simple = name in SIMPLE and not extended_only
    if not (simple or name == "IQM" or any(pattern.fullmatch(name) for pattern in known)):
        raise InvalidParameterValue(
            f"The value {name[:80]} for parameter Stat is invalid: localcloud knows "
            f"{', '.join(SIMPLE)}, p90, tm90, wm90, tc90, ts90, IQM, TM(10%:90%) and PR(0:100)"
        )


def value_of(point: Point, statistic: str) -> float | None:  # noqa: PLR0911 - by its forms
    """A statistic of a point; None where it needs single values and they are not known."""
    if statistic in SIMPLE:
        return _simple(point, statistic)
    if point.values is None:
        return None
    ordered = sorted((value, count) for value, count in point.values.items() if count > 0)
    if not ordered:
        return None
    if found := _PERCENTILE.fullmatch(statistic):
        kind, share = found[1].upper(), float(found[2]) / 100
        return _quantile(ordered, share) if kind == "P" else _trimmed(kind, ordered, 0.0, share)
    if found := _PERCENT_RANGE.fullmatch(statistic):
        low, high = (float((text or default)[:-1]) / 100 for text, default in
                     ((found[2], "0%"), (found[3], "100%")))  # fmt: skip
        return _trimmed(found[1], ordered, low, high)
    if found := _RANK.fullmatch(statistic):
        low = float(found[1]) if found[1] else float("-inf")
        high = float(found[2]) if found[2] else float("inf")
        within = sum(count for value, count in ordered if low < value <= high)
        return 100 * within / sum(count for _, count in ordered)
    return _trimmed("TM", ordered, 0.25, 0.75)


def _simple(point: Point, statistic: str) -> float | None:
    simple: dict[str, Callable[[], float | None]] = {
        "SampleCount": lambda: point.count,
        "Sum": lambda: point.total,
        "Average": lambda: point.total / point.count if point.count else None,
        "Minimum": lambda: point.minimum,
        "Maximum": lambda: point.maximum,
    }
    return simple[statistic]()


def _quantile(ordered: list[tuple[float, float]], share: float) -> float:
    """The smallest value that at least this share of all values does not exceed."""
    wanted = share * sum(count for _, count in ordered)
    seen = 0.0
    for value, count in ordered:
        seen += count
        if seen >= wanted:
            return value
    return ordered[-1][0]


def _trimmed(
    kind: str, ordered: list[tuple[float, float]], low: float, high: float
) -> float | None:
    """Mean, sum or count of what lies between two shares, or the mean with the rest pulled in."""
    kept = list(_between(ordered, low, high))
    count = sum(weight for _, weight in kept)
    total = sum(value * weight for value, weight in kept)
    if kind in ("TC", "TS"):
        return count if kind == "TC" else total
    if not count:
        return None
    if kind == "TM":
        return total / count
    everything = sum(weight for _, weight in ordered)
    total += kept[0][0] * everything * low + kept[-1][0] * everything * (1 - high)
    return total / everything


def _between(
    ordered: list[tuple[float, float]], low: float, high: float
) -> Iterator[tuple[float, float]]:
    everything = sum(count for _, count in ordered)
    first, last = low * everything, high * everything
    seen = 0.0
    for value, count in ordered:
        inside = min(seen + count, last) - max(seen, first)
        seen += count
        if inside > 0:
            yield value, inside
