"""When alarms ring, by a clock that the test moves: nothing here waits."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from localcloud.cloudwatch import endpoint_metrics
from localcloud.cloudwatch.alarms import GRACE
from localcloud.cloudwatch.counted import CountedMetrics
from localcloud.cloudwatch.service import CloudWatch
from localcloud.cloudwatch.statistics import Datum
from localcloud.dataplane.counters import Counters
from localcloud.protocol import STRICT, Caller
from localcloud.store import Store

CALLER = Caller("000000000000", "us-east-1")
START = 1_800_000_000.0  # a whole minute and a whole hour
TOPIC = "arn:aws:sns:us-east-1:000000000000:told"
ALARM: dict[str, Any] = {
    "AlarmName": "busy",
    "Namespace": "AWS/SageMaker",
    "MetricName": "Load",
    "Statistic": "Sum",
    "Period": 60,
    "EvaluationPeriods": 3,
    "Threshold": 0.0,
    "ComparisonOperator": "GreaterThanThreshold",
    "AlarmActions": [TOPIC],
}


class World:
    """A CloudWatch of its own, whose time stands still."""

    def __init__(self, folder: Path) -> None:
        self.now = START
        self.published: list[tuple[str, str, str, str]] = []
        self.store = Store(folder / "state.db")
        self.cloudwatch = CloudWatch(
            self.store, folder / "metrics.db", self._publish, clock=lambda: self.now
        )

    def _publish(self, *message: str) -> str:
        self.published.append(message)  # type: ignore[arg-type]
        return ""

    def call(self, operation: str, **request: Any) -> dict[str, Any]:
        return self.cloudwatch.service.call(CALLER, operation, request)

    def record(self, value: float, at: float, **dimensions: str) -> None:
        datum = Datum("Load", dimensions, at, "Count", 1.0, value, value, value)
        self.cloudwatch.metrics.record(CALLER, "AWS/SageMaker", [datum])

    def after(self, seconds: float) -> str:
        """The alarm's state when the clock says so many seconds after the start."""
        self.now = START + seconds
        self.cloudwatch.alarms.tick()
        state = self.cloudwatch.alarms.state(CALLER, "busy")
        assert state is not None
        return state

    def alarm(self) -> dict[str, Any]:
        (found,) = self.call("DescribeAlarms", AlarmNames=["busy"])["MetricAlarms"]
        assert isinstance(found, dict)
        return found


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.setenv(STRICT, "1")
    made = World(tmp_path)
    yield made
    made.cloudwatch.close()
    made.store.close()


# The tables of the user guide's "How alarm state is evaluated when data is missing": datapoints
# from old to new (0 does not breach, X does, - is missing), then the state for missing, ignore,
# breaching, notBreaching. STAY: the state stays.
STAY = "stays"
TABLE = [
    # 3 out of 3
    (3, "0-X-X", ("OK", "OK", "OK", "OK")),
    (3, "0----", ("OK", "OK", "OK", "OK")),
    (3, "-----", ("INSUFFICIENT_DATA", STAY, "ALARM", "OK")),
    (3, "0XX-X", ("ALARM", "ALARM", "ALARM", "ALARM")),
    (3, "--X--", ("ALARM", STAY, "ALARM", "OK")),
    # 2 out of 3
    (2, "0-X-X", ("ALARM", "ALARM", "ALARM", "ALARM")),
    (2, "00X0X", ("ALARM", "ALARM", "ALARM", "ALARM")),
    (2, "0-X--", ("OK", "OK", "ALARM", "OK")),
    (2, "----0", ("OK", "OK", "ALARM", "OK")),
    (2, "---X-", ("ALARM", STAY, "ALARM", "OK")),
    # A first breach alone does not ring
    (3, "----X", (STAY, STAY, "ALARM", "OK")),
]


@pytest.mark.parametrize(("needed", "points", "states"), TABLE)
@pytest.mark.parametrize("before", ["OK", "ALARM"])
def test_missing_data_counts_as_the_user_guide_says(
    world: World, needed: int, points: str, states: tuple[str, ...], before: str
) -> None:
    for age, point in enumerate(reversed(points), 1):
        if point != "-":
            world.record(1.0 if point == "X" else 0.0, START - 60 * age + 5)
    for treatment, wanted in zip(
        ("missing", "ignore", "breaching", "notBreaching"), states, strict=True
    ):
        world.now = START
        world.call("PutMetricAlarm", **ALARM, DatapointsToAlarm=needed, TreatMissingData=treatment)
        world.call("SetAlarmState", AlarmName="busy", StateValue=before, StateReason="test")
        expected = before if wanted == STAY else wanted
        assert world.after(GRACE) == expected, treatment
        world.call("DeleteAlarms", AlarmNames=["busy"])


@pytest.mark.parametrize("period", [10, 20, 30, 60])
def test_an_alarm_rings_as_soon_as_its_period_has_ended(world: World, period: int) -> None:
    world.call("PutMetricAlarm", **ALARM | {"Period": period, "EvaluationPeriods": 1})
    world.record(1.0, START + 1)
    assert world.after(period - 0.1) == "INSUFFICIENT_DATA"
    assert world.after(period + GRACE - 0.1) == "INSUFFICIENT_DATA"
    assert world.after(period + GRACE) == "ALARM"
    assert world.alarm()["StateUpdatedTimestamp"] == START + period + GRACE


def test_a_long_period_slides_by_the_minute(world: World) -> None:
    """The last five minutes count, not those of the clock on the wall."""
    settings = {"Period": 300, "EvaluationPeriods": 1, "Threshold": 2.0}
    world.call("PutMetricAlarm", **ALARM | settings)
    for minute in (3, 5, 7):
        world.record(1.0, START + 60 * minute)
    assert world.after(7 * 60 + GRACE) == "OK"
    assert world.after(8 * 60 + GRACE) == "ALARM"
    assert world.after(9 * 60 + GRACE) == "OK"


def test_what_an_alarm_says_and_tells(world: World) -> None:
    """Reasons, history, event and message in AWS's words."""
    world.call("PutMetricAlarm", **ALARM, DatapointsToAlarm=2, AlarmDescription="too busy")
    for minute, value in enumerate((0.0, 2.0, 3.5)):
        world.record(value, START + 60 * minute)
    assert world.after(180 + GRACE) == "ALARM"
    alarm = world.alarm()
    assert alarm["StateReason"] == (
        "Threshold Crossed: 2 out of the last 3 datapoints [3.5 (15/01/27 08:02:00), "
        "2.0 (15/01/27 08:01:00)] were greater than the threshold (0.0) (minimum 2 datapoints "
        "for OK -> ALARM transition)."
    )
    data = json.loads(alarm["StateReasonData"])
    assert data["recentDatapoints"] == [0.0, 2.0, 3.5]
    assert data["startDate"] == "2027-01-15T08:00:00.000+0000"
    assert (data["statistic"], data["period"], data["threshold"]) == ("Sum", 60, 0.0)
    ((region, topic, subject, message),) = world.published
    assert (region, topic, subject) == ("us-east-1", TOPIC, 'ALARM: "busy" in us-east-1')
    assert json.loads(message)["NewStateReason"] == alarm["StateReason"]
    rows = world.store._database.execute("SELECT event FROM outbox").fetchall()
    (event,) = (json.loads(row[0]) for row in rows)
    assert event["detail-type"] == "CloudWatch Alarm State Change"
    assert event["source"] == "aws.cloudwatch"
    assert event["resources"] == ["arn:aws:cloudwatch:us-east-1:000000000000:alarm:busy"]
    assert event["detail"]["state"]["value"] == "ALARM"
    assert event["detail"]["previousState"]["value"] == "INSUFFICIENT_DATA"
    (metric,) = event["detail"]["configuration"]["metrics"]
    assert metric["metricStat"]["metric"]["namespace"] == "AWS/SageMaker"
    for minute in (3, 4):
        world.record(0.0, START + 60 * minute)
    assert world.after(300 + GRACE) == "OK"
    assert world.alarm()["StateReason"] == (
        "Threshold Crossed: 2 out of the last 3 datapoints [0.0 (15/01/27 08:04:00), "
        "0.0 (15/01/27 08:03:00)] were not greater than the threshold (0.0) (minimum 2 "
        "datapoints for ALARM -> OK transition)."
    )
    assert world.after(3600) == "INSUFFICIENT_DATA"
    assert world.alarm()["StateReason"] == "Insufficient Data: 3 datapoints were unknown."
    history = world.call("DescribeAlarmHistory", AlarmName="busy", HistoryItemType="StateUpdate")
    assert [item["HistorySummary"] for item in history["AlarmHistoryItems"]] == [
        "Alarm updated from OK to INSUFFICIENT_DATA",
        "Alarm updated from ALARM to OK",
        "Alarm updated from INSUFFICIENT_DATA to ALARM",
    ]
    told = json.loads(history["AlarmHistoryItems"][2]["HistoryData"])
    assert told["newState"]["stateReasonData"]["recentDatapoints"] == [0.0, 2.0, 3.5]


@pytest.mark.parametrize(
    ("comparison", "value", "rings"),
    [
        ("GreaterThanThreshold", 5.0, False),
        ("GreaterThanOrEqualToThreshold", 5.0, True),
        ("LessThanThreshold", 5.0, False),
        ("LessThanThreshold", 4.0, True),
        ("LessThanOrEqualToThreshold", 5.0, True),
    ],
)
def test_a_value_on_the_threshold(world: World, comparison: str, value: float, rings: bool) -> None:
    settings = {"ComparisonOperator": comparison, "Threshold": 5.0, "EvaluationPeriods": 1}
    world.call("PutMetricAlarm", **ALARM | settings)
    world.record(value, START)
    assert world.after(60 + GRACE) == ("ALARM" if rings else "OK")


def test_an_alarm_watches_an_expression(world: World) -> None:
    """The share of errors, as a rollout would watch it."""

    def query(identifier: str, which: str) -> dict[str, Any]:
        metric = {"Namespace": "AWS/SageMaker", "MetricName": "Load",
                  "Dimensions": [{"Name": "Which", "Value": which}]}  # fmt: skip
        stat = {"Metric": metric, "Period": 60, "Stat": "Sum"}
        return {"Id": identifier, "MetricStat": stat, "ReturnData": False}

    left_out = ("Namespace", "MetricName", "Statistic", "Period")
    alarm = {key: value for key, value in ALARM.items() if key not in left_out}
    share = {"Id": "share", "Expression": "100 * FILL(errors, 0) / calls"}
    queries = [share, query("errors", "errors"), query("calls", "calls")]
    world.call("PutMetricAlarm", **alarm | {"Metrics": queries, "Threshold": 10.0,
                                            "EvaluationPeriods": 1})  # fmt: skip
    world.record(100.0, START, Which="calls")
    assert world.after(60 + GRACE) == "OK"
    world.record(100.0, START + 60, Which="calls")
    world.record(11.0, START + 60, Which="errors")
    assert world.after(120 + GRACE) == "ALARM"


def test_an_alarm_that_is_changed_keeps_its_state_and_is_evaluated_at_once(world: World) -> None:
    world.call("PutMetricAlarm", **ALARM | {"EvaluationPeriods": 1})
    world.record(1.0, START)
    assert world.after(60 + GRACE) == "ALARM"
    world.call("PutMetricAlarm", **ALARM | {"EvaluationPeriods": 1, "Threshold": 5.0})
    assert world.cloudwatch.alarms.state(CALLER, "busy") == "ALARM"
    assert world.after(60 + GRACE) == "OK"


def test_an_alarm_without_actions_is_silent(world: World) -> None:
    world.call("PutMetricAlarm", **ALARM | {"EvaluationPeriods": 1, "ActionsEnabled": False})
    world.record(1.0, START)
    assert world.after(60 + GRACE) == "ALARM"
    assert world.published == []


def test_one_alarm_that_cannot_be_evaluated_does_not_stop_the_others(world: World) -> None:
    """Here the file of the first was written by somebody else."""
    world.call("PutMetricAlarm", **ALARM | {"AlarmName": "broken", "EvaluationPeriods": 1})
    world.call("PutMetricAlarm", **ALARM | {"EvaluationPeriods": 1})
    broken = world.store.get(CALLER, "metric-alarm", "broken")
    assert broken is not None
    world.store.put(CALLER, "metric-alarm", "broken", broken | {"ComparisonOperator": "Odd"})
    world.record(1.0, START)
    assert world.after(60 + GRACE) == "ALARM"


def test_what_an_endpoint_answers_becomes_the_metrics_of_sagemaker(world: World) -> None:
    """By variant, and again by configuration; an error rate is the average of errors."""
    counters = Counters()
    for config, statuses in (("old", [200] * 6), ("new", [200, 500, 400, 0])):
        for number, status in enumerate(statuses, 1):
            counters.of("us-east-1", "e", config, "v").add(status, number / 1000, 0.0005)
    counts = [count | {"time": START} for count in counters.take()]
    CountedMetrics(
        world.cloudwatch.metrics, CALLER.account, endpoint_metrics.NAMESPACE, endpoint_metrics.data
    ).record(counts)

    def statistic(name: str, which: str, **dimensions: str) -> float:
        found = world.call(
            "GetMetricStatistics", Namespace="AWS/SageMaker", MetricName=name, StartTime=START,
            EndTime=START + 60, Period=60, **{
                "Statistics" if which.isalpha() else "ExtendedStatistics": [which],
                "Dimensions": [{"Name": k, "Value": v} for k, v in dimensions.items()],
            },
        )["Datapoints"][0]  # fmt: skip
        return float(found[which] if which in found else found["ExtendedStatistics"][which])

    variant = {"EndpointName": "e", "VariantName": "v"}
    new = variant | {"EndpointConfigName": "new"}
    assert statistic("Invocations", "Sum", **variant) == 10
    assert statistic("Invocations", "Sum", **new) == 4
    assert statistic("Invocation5XXErrors", "Average", **new) == 0.5
    assert statistic("Invocation5XXErrors", "Sum", **variant) == 2
    assert statistic("Invocation4XXErrors", "Maximum", **new) == 1
    assert statistic("InvocationModelErrors", "Sum", **new) == 3
    assert statistic("ModelLatency", "Average", **new) == pytest.approx(2500)
    assert statistic("ModelLatency", "p50", **variant) == pytest.approx(3000, rel=0.01)
    assert statistic("OverheadLatency", "Maximum", **new) == pytest.approx(500)


def test_there_is_no_state_of_an_alarm_that_is_not_there(world: World) -> None:
    assert world.cloudwatch.alarms.state(CALLER, "nobody") is None
    assert world.cloudwatch.alarms.state(Caller("000000000000", "eu-west-1"), "busy") is None


def test_history_is_forgotten_after_thirty_days(world: World) -> None:
    world.call("PutMetricAlarm", **ALARM, TreatMissingData="ignore")
    assert len(world.call("DescribeAlarmHistory")["AlarmHistoryItems"]) == 1
    world.after(31 * 86_400)
    assert world.call("DescribeAlarmHistory")["AlarmHistoryItems"] == []
