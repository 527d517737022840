"""Whether an alarm is to ring: AWS's rules on datapoints that are there and that are missing.

The rules are those of the CloudWatch user guide, "How alarm state is evaluated when data is
missing". Nothing here reads a clock or a store.
"""

from __future__ import annotations

import json
import operator
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from localcloud.cloudwatch.alarm_rules import COMPARISONS
from localcloud.cloudwatch.expressions import Series
from localcloud.protocol import Document

OK, ALARM, INSUFFICIENT = "OK", "ALARM", "INSUFFICIENT_DATA"
_LOOKED_BACK = 2
"""Periods before those evaluated whose datapoints may stand in for missing ones."""
_TREATED = {"breaching": "Breaching", "notBreaching": "NonBreaching"}
_BREACHES: dict[str, Callable[[float, float], bool]] = {
    "GreaterThanOrEqualToThreshold": operator.ge,
    "GreaterThanThreshold": operator.gt,
    "LessThanThreshold": operator.lt,
    "LessThanOrEqualToThreshold": operator.le,
}


@dataclass(frozen=True)
class Verdict:
    """The state that datapoints call for, in AWS's words."""

    state: str
    reason: str
    data: str


@dataclass(frozen=True)
class _Found:
    """The newest datapoints that count, newest first, each with its age in periods from 1 on."""

    values: list[tuple[int, int, float]]
    breaching: int
    missing: int

    @property
    def all_breach(self) -> bool:
        return self.breaching == len(self.values)


def periods_needed(alarm: Document) -> int:
    """How many periods back an evaluation looks."""
    return int(alarm["EvaluationPeriods"]) + _LOOKED_BACK


def evaluate(alarm: Document, series: Series, end: int, period: int, now: float) -> Verdict | None:
    """What the datapoints of the periods up to `end` say; None where the state is to stay."""
    found = _newest(alarm, series, end, period)
    state = _state(alarm, found)
    if state is None:
        return None
    return Verdict(state, _reason(alarm, state, found), _data(alarm, found, period, end, now))


def _newest(alarm: Document, series: Series, end: int, period: int) -> _Found:
    wanted = alarm["EvaluationPeriods"]
    values: list[tuple[int, int, float]] = []
    for age in range(1, periods_needed(alarm) + 1):
        moment = end - age * period
        if moment in series and len(values) < wanted:
            values.append((age, moment, series[moment]))
    breaches = _BREACHES[alarm["ComparisonOperator"]]
    count = sum(breaches(value, alarm["Threshold"]) for _, _, value in values)
    return _Found(values, count, wanted - len(values))


def _needed(alarm: Document) -> int:
    needed: int = alarm.get("DatapointsToAlarm") or alarm["EvaluationPeriods"]
    return needed


def _state(alarm: Document, found: _Found) -> str | None:
    needed = _needed(alarm)
    treatment = alarm.get("TreatMissingData", "missing")
    assumed = found.missing if treatment == "breaching" else 0
    if not found.values:
        return {"missing": INSUFFICIENT, "breaching": ALARM, "notBreaching": OK}.get(treatment)
    if found.breaching + assumed >= needed:
        return ALARM
    if found.missing == 0 or treatment in _TREATED or not found.all_breach:
        return OK
    # Fewer than are needed, and all of them breach: AWS rings once the oldest is old enough.
    oldest = found.values[-1][0]
    return ALARM if treatment == "missing" and oldest >= needed else None


def _reason(alarm: Document, state: str, found: _Found) -> str:
    treatment = alarm.get("TreatMissingData", "missing")
    missing = found.missing
    if state == INSUFFICIENT:
        return f"Insufficient Data: {_counted(missing, 'datapoint')} {_were(missing)} unknown."
    if missing and treatment in _TREATED:
        count = len(found.values)
        received = _counted(count, "datapoint") if count else "no datapoints"
        return (
            f"Threshold Crossed: {received} {'was' if count == 1 else 'were'} received for "
            f"{_counted(alarm['EvaluationPeriods'], 'period')} and "
            f"{_counted(missing, 'missing datapoint')} {_were(missing)} treated as "
            f"[{_TREATED[treatment]}]."
        )
    count = found.breaching if state == ALARM else len(found.values) - found.breaching
    threshold = float(alarm["Threshold"])
    needed = _needed(alarm)
    back = alarm["EvaluationPeriods"] - needed + 1
    least, way = (needed, "OK -> ALARM") if state == ALARM else (back, "ALARM -> OK")
    breaches = _BREACHES[alarm["ComparisonOperator"]]
    shown = [
        f"{value} ({datetime.fromtimestamp(moment, UTC):%d/%m/%y %H:%M:%S})"
        for _, moment, value in found.values
        if breaches(value, threshold) == (state == ALARM)
    ]
    return (
        f"Threshold Crossed: {count} out of the last {len(found.values)} datapoints "
        f"[{_shortened(shown)}] {_were(count)} {'' if state == ALARM else 'not '}"
        f"{COMPARISONS[alarm['ComparisonOperator']]} the threshold ({threshold}) "
        f"(minimum {_counted(least, 'datapoint')} for {way} transition)."
    )


def _shortened(shown: list[str]) -> str:
    """At most five datapoints: a reason has 1,023 characters."""
    return ", ".join(shown if len(shown) <= 5 else [*shown[:4], "...", shown[-1]])


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _were(number: int) -> str:
    return "was" if number == 1 else "were"


def _data(alarm: Document, found: _Found, period: int, end: int, now: float) -> str:
    """StateReasonData: what was evaluated, as JSON of at most 4,000 characters."""
    oldest_first = found.values[::-1]
    start = oldest_first[0][1] if oldest_first else end - alarm["EvaluationPeriods"] * period
    data: Document = {
        "version": "1.0",
        "queryDate": amazon_time(now),
        "startDate": amazon_time(start),
        "period": period,
        "recentDatapoints": [value for _, _, value in oldest_first][-50:],
        "threshold": float(alarm["Threshold"]),
        "evaluatedDatapoints": [
            {"timestamp": amazon_time(moment), "value": value}
            for _, moment, value in found.values[:20]
        ],
    }
    if statistic := alarm.get("Statistic") or alarm.get("ExtendedStatistic"):
        data["statistic"] = statistic
    if "Unit" in alarm:
        data["unit"] = alarm["Unit"]
    return json.dumps(data, separators=(",", ":"))


def amazon_time(moment: float) -> str:
    """A time as alarms write it, to the millisecond."""
    at = datetime.fromtimestamp(moment, UTC)
    return f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03d}+0000"
