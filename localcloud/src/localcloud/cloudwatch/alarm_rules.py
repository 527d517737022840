"""What AWS asks of a metric alarm, beyond what its model tells."""

from __future__ import annotations

from typing import Any

from localcloud.cloudwatch.errors import ValidationError
from localcloud.cloudwatch.queries import Queries
from localcloud.cloudwatch.statistics import check_statistic
from localcloud.errors import NotEmulated
from localcloud.protocol import Document

COMPARISONS = {
    "GreaterThanOrEqualToThreshold": "greater than or equal to",
    "GreaterThanThreshold": "greater than",
    "LessThanThreshold": "less than",
    "LessThanOrEqualToThreshold": "less than or equal to",
}
TREATMENTS = ("breaching", "notBreaching", "ignore", "missing")
_OF_ONE_METRIC = ("Namespace", "Statistic", "ExtendedStatistic", "Dimensions", "Period", "Unit")
_NOT_EMULATED = (
    "ThresholdMetricId",
    "EvaluationWindow",
    "WarmUpConfiguration",
    "EvaluationCriteria",
    "EvaluationInterval",
    "ActionConfiguration",
)
_ACTIONS = ("OKActions", "AlarmActions", "InsufficientDataActions")
_DAY, _WEEK, _HOUR = 86_400, 7 * 86_400, 3600
_SHORT_PERIODS = (10, 20, 30)


def check_alarm(request: Document) -> None:
    """Raise ValidationError, or NotEmulated by name, for a PutMetricAlarm that AWS would refuse."""
    for name in _NOT_EMULATED:
        if name in request:
            raise NotEmulated(f"localcloud does not emulate {name} of PutMetricAlarm")
    comparison = _required(request, "ComparisonOperator")
    if comparison not in COMPARISONS:
        raise NotEmulated(f"localcloud does not emulate anomaly detection, and so not {comparison}")
    periods = _required(request, "EvaluationPeriods")
    if request.get("DatapointsToAlarm", 1) > periods:
        raise ValidationError("DatapointsToAlarm must be less than or equal to EvaluationPeriods")
    _required(request, "Threshold")
    treatment = request.get("TreatMissingData", "missing")
    if treatment not in TREATMENTS:
        raise ValidationError(
            f"The value {treatment} is not supported for TreatMissingData parameter. "
            f"Supported values are [{', '.join(TREATMENTS)}]."
        )
    for name in _ACTIONS:
        for action in request.get(name, []):
            if not action.startswith("arn:"):
                raise ValidationError(f"Invalid arn syntax: {action[:80]}")
    period = _check_math(request) if "Metrics" in request else _check_metric(request)
    longest = _DAY if period < _HOUR else _WEEK
    if periods * period > longest:
        raise ValidationError(
            "Metrics cannot be checked across more than a day (EvaluationPeriods * Period must be "
            f"<= {_DAY}), or a week where the period is an hour or more ({_WEEK}); "
            f"here it is {periods * period}."
        )


def queries_of(alarm: Document) -> Queries:
    """The queries behind an alarm; that of the value which is compared returns data."""
    if "Metrics" in alarm:
        return Queries.parse(alarm["Metrics"], "Metrics")
    metric = {name: alarm[name] for name in ("Namespace", "MetricName", "Dimensions")
              if name in alarm}  # fmt: skip
    stat = {
        "Metric": metric,
        "Period": alarm["Period"],
        "Stat": alarm.get("Statistic") or alarm["ExtendedStatistic"],
    }
    if "Unit" in alarm:
        stat["Unit"] = alarm["Unit"]
    return Queries.parse([{"Id": "m1", "MetricStat": stat}], "Metrics")


def _required(request: Document, name: str) -> Any:
    if name not in request:
        raise ValidationError(f"The parameter {name} is required.")
    return request[name]


def _check_metric(request: Document) -> int:
    """The rules of an alarm on one metric; gives its period."""
    for name in ("MetricName", "Namespace", "Period"):
        if name not in request:
            raise ValidationError(
                f"The parameter {name} is required, unless Metrics says what is watched."
            )
    if ("Statistic" in request) == ("ExtendedStatistic" in request):
        raise ValidationError(
            "Exactly one of the parameters Statistic and ExtendedStatistic must be specified."
        )
    if "ExtendedStatistic" in request:
        check_statistic(request["ExtendedStatistic"], extended_only=True)
    low_counts = request.get("EvaluateLowSampleCountPercentile")
    if low_counts is not None:
        if low_counts not in ("evaluate", "ignore"):
            raise ValidationError(
                f"Option {low_counts} is not supported. Supported options for parameter "
                "EvaluateLowSampleCountPercentile are evaluate and ignore."
            )
        if low_counts == "ignore":
            raise NotEmulated("localcloud does not emulate EvaluateLowSampleCountPercentile=ignore")
    _check_period(request["Period"])
    queries_of(request)
    return int(request["Period"])


def _check_math(request: Document) -> int:
    """The rules of an alarm on an expression; gives its period."""
    for name in ("MetricName", *_OF_ONE_METRIC):
        if name in request:
            raise ValidationError(
                f"The parameters Metrics and {name} are mutually exclusive and you have "
                "specified both."
            )
    queries = queries_of(request)
    shown = [query for query in queries.as_given if query.shown]
    if len(shown) != 1:
        raise ValidationError(
            f"Exactly one element of the metrics list should return data, not {len(shown)} of them."
        )
    for query in queries.as_given:
        _check_period(query.period)
    return shown[0].period


def _check_period(period: int) -> None:
    if period % 60 and period not in _SHORT_PERIODS:
        raise ValidationError(
            f"The value {period} for parameter Period is invalid: it must be 10, 20, 30 or a "
            "multiple of 60"
        )
