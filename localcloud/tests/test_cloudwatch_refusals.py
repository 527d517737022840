"""What CloudWatch refuses: valid requests, each with one mistake in it, as bytes on the wire.

Codes and words are those of AWS's API reference and of answers that users have reported.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from clients import client_of
from raw_calls import Answer, call

from localcloud.testing import TestCloud, localcloud

pytestmark = pytest.mark.integration
NOW = time.time()
GONE = object()
VALUE, COMBINATION, MISSING = (
    "InvalidParameterValueException",
    "InvalidParameterCombinationException",
    "MissingRequiredParameterException",
)
"""Names of shapes: a client that asks for the old codes gets InvalidParameterValue and so on."""
INVALID, NOT_FOUND, NOT_FOUND_TAGS, TOKEN, TYPE, NOT_EMULATED = (
    "ValidationException",
    "ResourceNotFound",
    "ResourceNotFoundException",
    "InvalidNextToken",
    "SerializationException",
    "NotImplementedException",
)
ARN = "arn:aws:cloudwatch:us-east-1:000000000000:alarm:"
STAT = {
    "Metric": {"Namespace": "Mine", "MetricName": "Load"},
    "Period": 60,
    "Stat": "Sum",
}
BASE: dict[str, dict[str, Any]] = {
    "PutMetricData": {
        "Namespace": "Mine",
        "MetricData": [
            {"MetricName": "Load", "Value": 1.0, "Dimensions": [{"Name": "a", "Value": "b"}]}
        ],
    },
    "GetMetricStatistics": {
        "Namespace": "Mine",
        "MetricName": "Load",
        "StartTime": NOW - 3600,
        "EndTime": NOW,
        "Period": 60,
        "Statistics": ["Sum"],
    },
    "GetMetricData": {
        "MetricDataQueries": [
            {"Id": "a", "MetricStat": STAT},
            {"Id": "b", "Expression": "a * 2"},
        ],
        "StartTime": NOW - 3600,
        "EndTime": NOW,
    },
    "ListMetrics": {"Namespace": "Mine"},
    "PutMetricAlarm": {
        "AlarmName": "new",
        "Namespace": "Mine",
        "MetricName": "Load",
        "Statistic": "Sum",
        "Period": 60,
        "EvaluationPeriods": 2,
        "Threshold": 1.0,
        "ComparisonOperator": "GreaterThanThreshold",
        "AlarmActions": ["arn:aws:sns:us-east-1:000000000000:topic"],
    },
    "DescribeAlarms": {"AlarmNames": ["there"]},
    "DescribeAlarmsForMetric": {"Namespace": "Mine", "MetricName": "Load"},
    "DescribeAlarmHistory": {"AlarmName": "there"},
    "DeleteAlarms": {"AlarmNames": ["there"]},
    "SetAlarmState": {"AlarmName": "there", "StateValue": "OK", "StateReason": "x"},
    "EnableAlarmActions": {"AlarmNames": ["there"]},
    "ListTagsForResource": {"ResourceARN": f"{ARN}there"},
    "TagResource": {"ResourceARN": f"{ARN}there", "Tags": [{"Key": "a", "Value": "b"}]},
    "UntagResource": {"ResourceARN": f"{ARN}there", "TagKeys": ["a"]},
    "PutDashboard": {"DashboardName": "new", "DashboardBody": '{"widgets": []}'},
    "GetDashboard": {"DashboardName": "there"},
    "ListDashboards": {},
    "DeleteDashboards": {"DashboardNames": ["there"]},
}


@dataclass(frozen=True)
class M:
    """A mistake: the operation, where, what stands there, and what is said of it."""

    operation: str
    path: str
    value: Any
    code: str
    word: str
    status: int = 400

    def __str__(self) -> str:
        return f"{self.operation}-{self.path}-{self.code}-{self.word}"

    def applied(self) -> dict[str, Any]:
        request = copy.deepcopy(BASE[self.operation])
        *parents, last = (int(p) if p.isdigit() else p for p in self.path.split("."))
        place: Any = request
        for parent in parents:
            place = place[parent]
        if self.value is GONE:
            del place[last]
        else:
            place[last] = self.value
        return request


DATUM = "MetricData.0"
THIRTY_ONE = [{"Name": f"n{number}", "Value": "v"} for number in range(31)]
SET = {"SampleCount": 2, "Sum": 3.0, "Minimum": 1.0, "Maximum": 2.0}
MISTAKES = [
    M("PutMetricData", "Namespace", "AWS/Mine", VALUE, "The value AWS/Mine for parameter"),
    M("PutMetricData", "Namespace", ":x", VALUE, "regular expression"),
    M("PutMetricData", "Namespace", "x" * 256, VALUE, "255"),
    M("PutMetricData", "Namespace", GONE, VALUE, "'namespace'"),
    M("PutMetricData", "MetricData", [], MISSING, "MetricData is required"),
    M("PutMetricData", "MetricData", [{"MetricName": "a", "Value": 1}] * 1001, VALUE, "1000"),
    M("PutMetricData", f"{DATUM}.MetricName", GONE, VALUE, "metricName"),
    M("PutMetricData", f"{DATUM}.Value", GONE, COMBINATION, "At least one of the parameters"),
    M("PutMetricData", f"{DATUM}.StatisticValues", SET, COMBINATION, "mutually exclusive"),
    M("PutMetricData", f"{DATUM}.Values", [1.0], COMBINATION, "mutually exclusive"),
    M("PutMetricData", f"{DATUM}.Value", "NaN", VALUE, "finite"),
    M("PutMetricData", f"{DATUM}.Value", "Infinity", VALUE, "finite"),
    M("PutMetricData", f"{DATUM}.Value", 1e200, VALUE, "MetricData.member.1.Value is invalid"),
    M("PutMetricData", f"{DATUM}.Value", "5", TYPE, "a number"),
    M("PutMetricData", f"{DATUM}.Counts", [1.0, 2.0], VALUE, "same size"),
    M("PutMetricData", f"{DATUM}.Unit", "Apples", VALUE, "enum value set"),
    M("PutMetricData", f"{DATUM}.StorageResolution", 5, VALUE, "1 or 60"),
    M("PutMetricData", f"{DATUM}.Timestamp", NOW - 15 * 86_400, VALUE, "past two weeks"),
    M("PutMetricData", f"{DATUM}.Timestamp", NOW + 3 * 3600, VALUE, "two hours"),
    M("PutMetricData", f"{DATUM}.Dimensions", THIRTY_ONE, VALUE, "less than or equal to 30"),
    M("PutMetricData", f"{DATUM}.Dimensions", THIRTY_ONE[:1] * 2, VALUE, "twice"),
    M("PutMetricData", f"{DATUM}.Dimensions.0.Value", "", VALUE, "greater than or equal to 1"),
    M("PutMetricData", DATUM, {"MetricName": "a", "Values": [1.0] * 151}, VALUE, "150"),
    M("PutMetricData", DATUM, {"MetricName": "a", "Values": []}, MISSING, "Values"),
    M("PutMetricData", DATUM, {"MetricName": "a", "Values": [1.0], "Counts": [-1.0]}, VALUE, "-1"),
    M("PutMetricData", DATUM, {"MetricName": "a", "StatisticValues": SET | {"Minimum": 3.0}},
      VALUE, "Minimum"),
    M("PutMetricData", DATUM, {"MetricName": "a", "StatisticValues": SET | {"SampleCount": 0}},
      VALUE, "SampleCount"),
    M("PutMetricData", "EntityMetricData", [{"MetricData": []}], NOT_EMULATED, "Entity", 501),
    M("GetMetricStatistics", "Period", 61, VALUE, "multiple of 60"),
    M("GetMetricStatistics", "Period", 0, VALUE, "greater than or equal to 1"),
    M("GetMetricStatistics", "EndTime", NOW - 7200, VALUE, "less than the parameter EndTime"),
    M("GetMetricStatistics", "StartTime", NOW - 86_400 * 3, COMBINATION, "limit of 1,440"),
    M("GetMetricStatistics", "StartTime", "yesterday", TYPE, "seconds since"),
    M("GetMetricStatistics", "Statistics", GONE, COMBINATION, "At least one"),
    M("GetMetricStatistics", "Statistics", ["Median"], VALUE, "enum value set"),
    M("GetMetricStatistics", "ExtendedStatistics", ["p50"], COMBINATION, "mutually exclusive"),
    M("GetMetricStatistics", "Dimensions", THIRTY_ONE, VALUE, "30"),
    M("GetMetricData", "MetricDataQueries", [], INVALID, "between 1 and 500"),
    M("GetMetricData", "MetricDataQueries.0.Id", "A", INVALID, "pattern"),
    M("GetMetricData", "MetricDataQueries.1.Id", "a", INVALID, "not unique"),
    M("GetMetricData", "MetricDataQueries.1.Expression", GONE, INVALID, "Exactly one"),
    M("GetMetricData", "MetricDataQueries.1.MetricStat", STAT, INVALID, "Exactly one"),
    M("GetMetricData", "MetricDataQueries.1.Expression", "nobody * 2", INVALID, "nobody"),
    M("GetMetricData", "MetricDataQueries.1.Expression", "b + a", INVALID, "reads itself"),
    M("GetMetricData", "MetricDataQueries.1.Expression", "RATE(a)", INVALID, "RATE"),
    M("GetMetricData", "MetricDataQueries.1.Expression", "SEARCH(' x ', 'Sum')", NOT_EMULATED,
      "SEARCH", 501),
    M("GetMetricData", "MetricDataQueries.0.MetricStat.Stat", "p101", VALUE, "p101"),
    M("GetMetricData", "MetricDataQueries.0.MetricStat.Period", 7, VALUE, "multiple of 60"),
    M("GetMetricData", "EndTime", NOW - 7200, VALUE, "StartTime"),
    M("GetMetricData", "MaxDatapoints", 0, INVALID, "MaxDatapoints"),
    M("GetMetricData", "NextToken", "nonsense!", TOKEN, "NextToken"),
    M("ListMetrics", "NextToken", "bm8=", TOKEN, "NextToken"),
    M("ListMetrics", "RecentlyActive", "PT4H", VALUE, "enum value set"),
    M("PutMetricAlarm", "AlarmName", GONE, INVALID, "alarmName"),
    M("PutMetricAlarm", "AlarmName", "x" * 256, INVALID, "255"),
    M("PutMetricAlarm", "Period", 45, INVALID, "10, 20, 30 or a multiple of 60"),
    M("PutMetricAlarm", "Period", 5, INVALID, "10, 20, 30 or a multiple of 60"),
    M("PutMetricAlarm", "Period", GONE, INVALID, "Period"),
    M("PutMetricAlarm", "Period", 86_400, "", "", 200),  # two days, of a day each
    M("PutMetricAlarm", "EvaluationPeriods", 1441, INVALID, "more than a day"),
    M("PutMetricAlarm", "EvaluationPeriods", 0, INVALID, "greater than or equal to 1"),
    M("PutMetricAlarm", "EvaluationPeriods", GONE, INVALID, "EvaluationPeriods is"),
    M("PutMetricAlarm", "DatapointsToAlarm", 3, INVALID, "less than or equal to EvaluationPeriods"),
    M("PutMetricAlarm", "Threshold", GONE, INVALID, "Threshold"),
    M("PutMetricAlarm", "Threshold", "NaN", INVALID, "finite"),
    M("PutMetricAlarm", "ComparisonOperator", "Greater", INVALID, "enum value set"),
    M("PutMetricAlarm", "ComparisonOperator", "GreaterThanUpperThreshold", NOT_EMULATED,
      "anomaly", 501),
    M("PutMetricAlarm", "Statistic", GONE, INVALID, "Exactly one"),
    M("PutMetricAlarm", "Statistic", "sum", INVALID, "enum value set"),
    M("PutMetricAlarm", "ExtendedStatistic", "p90", INVALID, "Exactly one"),
    M("PutMetricAlarm", "TreatMissingData", "notbreaching", INVALID, "Supported values are"),
    M("PutMetricAlarm", "EvaluateLowSampleCountPercentile", "no", INVALID, "evaluate and ignore"),
    M("PutMetricAlarm", "AlarmActions", ["topic"], INVALID, "Invalid arn syntax"),
    M("PutMetricAlarm", "AlarmActions", ["arn:aws:sns:x"] * 6, INVALID, "less than or equal to 5"),
    M("PutMetricAlarm", "Metrics", [{"Id": "a", "MetricStat": STAT}], INVALID, "exclusive"),
    M("PutMetricAlarm", "EvaluationInterval", 60, NOT_EMULATED, "EvaluationInterval", 501),
    M("DescribeAlarms", "AlarmNamePrefix", "th", INVALID, "mutually exclusive"),
    M("DescribeAlarms", "StateValue", "FINE", INVALID, "enum value set"),
    M("DescribeAlarms", "MaxRecords", 101, INVALID, "less than or equal to 100"),
    M("DescribeAlarms", "NextToken", "x", TOKEN, "NextToken"),
    M("DescribeAlarmsForMetric", "MetricName", GONE, INVALID, "metricName"),
    M("DescribeAlarmHistory", "HistoryItemType", "Birth", INVALID, "enum value set"),
    M("DescribeAlarmHistory", "NextToken", "x", TOKEN, "NextToken"),
    M("DeleteAlarms", "AlarmNames", ["there", "nobody"], NOT_FOUND, "nobody", 404),
    M("DeleteAlarms", "AlarmNames", ["a"] * 101, INVALID, "100"),
    M("SetAlarmState", "AlarmName", "nobody", NOT_FOUND, "nobody", 404),
    M("SetAlarmState", "StateValue", "FINE", INVALID, "enum value set"),
    M("SetAlarmState", "StateReason", "x" * 1024, INVALID, "1023"),
    M("EnableAlarmActions", "AlarmNames", ["nobody"], NOT_FOUND, "nobody", 404),
    M("ListTagsForResource", "ResourceARN", f"{ARN}nobody", NOT_FOUND_TAGS, "exist", 404),
    M("ListTagsForResource", "ResourceARN", "there", VALUE, "not the ARN"),
    M("TagResource", "Tags", [{"Key": f"k{n}", "Value": ""} for n in range(51)], VALUE, "50"),
    M("TagResource", "Tags.0.Value", GONE, VALUE, "value"),
    M("UntagResource", "ResourceARN", f"{ARN}nobody", NOT_FOUND_TAGS, "exist", 404),
    M("PutDashboard", "DashboardBody", "{", "DashboardInvalidInputError", "JSON"),
    M("PutDashboard", "DashboardBody", "[]", "DashboardInvalidInputError", "widgets"),
    M("PutDashboard", "DashboardBody", '{"widgets": [{"type": "pie"}]}',
      "DashboardInvalidInputError", "/widgets/0"),
    M("PutDashboard", "DashboardName", "a b", VALUE, "DashboardName"),
    M("GetDashboard", "DashboardName", "nobody", NOT_FOUND, "nobody", 404),
    M("DeleteDashboards", "DashboardNames", ["there", "nobody"], NOT_FOUND, "nobody", 404),
]  # fmt: skip


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestCloud]:
    """A localcloud with an alarm and a dashboard, both named `there`."""
    with localcloud(tmp_path_factory.mktemp("cloud") / "state") as cloud:
        cloudwatch = client_of(cloud, "cloudwatch")
        alarm = BASE["PutMetricAlarm"] | {"AlarmName": "there", "TreatMissingData": "ignore"}
        cloudwatch.put_metric_alarm(**alarm)
        cloudwatch.put_dashboard(**BASE["PutDashboard"] | {"DashboardName": "there"})
        yield cloud


def ask(cloud: TestCloud, operation: str, request: dict[str, Any]) -> Answer:
    return call(cloud.address, operation, request, service="monitoring")


def state(cloud: TestCloud) -> list[Any]:
    return [
        ask(cloud, name, {}).json
        for name in ("ListMetrics", "DescribeAlarms", "DescribeAlarmHistory", "ListDashboards")
    ]


@pytest.mark.parametrize("mistake", [m for m in MISTAKES if m.status != 200], ids=str)
def test_a_request_with_one_mistake_is_refused_as_aws_does_and_changes_nothing(
    world: TestCloud, mistake: M
) -> None:
    before = state(world)
    answer = ask(world, mistake.operation, mistake.applied())
    assert (answer.status, answer.code) == (mistake.status, mistake.code), answer.body
    assert mistake.word in answer.message
    assert len(answer.message) < 1500
    assert state(world) == before


def test_every_base_is_valid(world: TestCloud) -> None:
    """Else a request might be refused for something else than its mistake."""
    requests = [(name, request) for name, request in BASE.items() if "Delete" not in name]
    requests += [(m.operation, m.applied()) for m in MISTAKES if m.status == 200]
    for name, request in requests:
        answer = ask(world, name, request)
        assert answer.status == 200, (name, answer.body)
    for name in ("DeleteAlarms", "DeleteDashboards"):
        assert ask(world, name, BASE[name]).status == 200
