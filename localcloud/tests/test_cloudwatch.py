"""CloudWatch through boto3 and the AWS CLI, in every protocol that its clients have spoken."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import botocore.model
import botocore.session
import pytest
from botocore.exceptions import ClientError
from clients import client_of

from localcloud.addresses import SERVER_FILE
from localcloud.testing import TestCloud, localcloud

pytestmark = pytest.mark.integration
PROTOCOLS = ("json", "smithy-rpc-v2-cbor", "query")
SERVER = [{"Name": "Server", "Value": "a"}]
ALARM: dict[str, Any] = {
    "AlarmName": "busy",
    "Namespace": "Mine",
    "MetricName": "Load",
    "Statistic": "Maximum",
    "Period": 10,
    "EvaluationPeriods": 1,
    "Threshold": 5.0,
    "ComparisonOperator": "GreaterThanThreshold",
}


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestCloud]:
    with localcloud(tmp_path_factory.mktemp("cloudwatch") / "state") as running:
        yield running


@contextlib.contextmanager
def speaking(protocol: str, cloud: TestCloud) -> Iterator[Any]:
    """A boto3 client that speaks a protocol that this botocore knows, but would not choose."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(botocore.model, "PRIORITY_ORDERED_SUPPORTED_PROTOCOLS", (protocol,))
        client = client_of(cloud, "cloudwatch")
        assert client.meta.service_model.resolved_protocol == protocol
        yield client


@pytest.fixture(params=PROTOCOLS)
def cloudwatch(request: pytest.FixtureRequest, own: TestCloud) -> Iterator[Any]:
    with speaking(request.param, own) as client:
        yield client


def namespace() -> str:
    return f"Test/{time.monotonic_ns()}"


def put(client: Any, space: str, **datum: Any) -> None:
    client.put_metric_data(Namespace=space, MetricData=[{"MetricName": "Load", **datum}])


def last_hour(**more: Any) -> dict[str, Any]:
    now = datetime.now(UTC)
    return {"StartTime": now - timedelta(hours=1), "EndTime": now + timedelta(minutes=1), **more}


def wait_for(holds: Callable[[], Any], seconds: float = 20.0) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := holds()):
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.1)
    return found


def test_what_is_put_comes_back_as_statistics(cloudwatch: Any) -> None:
    space = namespace()
    now = datetime.now(UTC)
    put(cloudwatch, space, Value=1.5, Timestamp=now, Unit="Seconds", Dimensions=SERVER)
    put(cloudwatch, space, Values=[2.0, 4.0], Counts=[2.0, 1.0], Timestamp=now, Unit="Seconds",
        Dimensions=SERVER)  # fmt: skip
    statistics = {"SampleCount": 5, "Sum": 20.0, "Minimum": 0.5, "Maximum": 10.0}
    put(cloudwatch, space, StatisticValues=statistics, Timestamp=now, Dimensions=SERVER)
    wanted = last_hour(Namespace=space, MetricName="Load", Period=3600, Dimensions=SERVER)
    every = ["SampleCount", "Average", "Sum", "Minimum", "Maximum"]
    found = cloudwatch.get_metric_statistics(**wanted, Statistics=every)
    assert found["Label"] == "Load"
    points = {each["Unit"]: each for each in found["Datapoints"]}
    by_unit = {
        unit: sum((each["Sum"] for each in found["Datapoints"] if each["Unit"] == unit), 0.0)
        for unit in points
    }
    assert by_unit == {"Seconds": 9.5, "None": 20.0}
    seconds = points["Seconds"]
    assert (seconds["SampleCount"], seconds["Average"]) == (4.0, 2.375)
    assert (seconds["Minimum"], seconds["Maximum"]) == (1.5, 4.0)
    assert isinstance(seconds["Timestamp"], datetime)
    extended = cloudwatch.get_metric_statistics(
        **wanted, ExtendedStatistics=["p50", "p100", "tm50", "PR(0:2)"], Unit="Seconds"
    )["Datapoints"][0]["ExtendedStatistics"]
    assert extended == {"p50": 2.0, "p100": 4.0, "tm50": 1.75, "PR(0:2)": 75.0}
    other = cloudwatch.get_metric_statistics(**wanted, ExtendedStatistics=["p90"], Unit="None")[
        "Datapoints"
    ]
    assert "ExtendedStatistics" not in other[0]  # single values are not known


def test_metrics_are_listed_by_what_they_are_and_in_pages(cloudwatch: Any) -> None:
    space = namespace()
    for number in range(6):
        cloudwatch.put_metric_data(
            Namespace=space,
            MetricData=[
                {
                    "MetricName": f"M{number % 2}",
                    "Value": 1.0,
                    "Dimensions": [{"Name": "Part", "Value": f"{number}-{each}"}],
                }
                for each in range(100)
            ],
        )
    first = cloudwatch.list_metrics(Namespace=space)
    assert len(first["Metrics"]) == 500
    pages = cloudwatch.get_paginator("list_metrics").paginate(Namespace=space)
    listed = [metric for page in pages for metric in page["Metrics"]]
    assert len({json.dumps(metric) for metric in listed}) == 600
    found = cloudwatch.list_metrics(
        Namespace=space, MetricName="M1", Dimensions=[{"Name": "Part", "Value": "1-5"}],
        RecentlyActive="PT3H",
    )["Metrics"]  # fmt: skip
    assert found == [
        {"Namespace": space, "MetricName": "M1", "Dimensions": [{"Name": "Part", "Value": "1-5"}]}
    ]
    assert cloudwatch.list_metrics(Namespace=space, Dimensions=[{"Name": "x"}])["Metrics"] == []


def test_metric_data_answers_metrics_and_math_in_pages(cloudwatch: Any) -> None:
    space = namespace()
    now = datetime.now(UTC).replace(second=0, microsecond=0)
    for minute in range(6):
        moment = now - timedelta(minutes=minute)
        put(cloudwatch, space, Value=float(minute), Timestamp=moment)
        if minute % 2:
            cloudwatch.put_metric_data(
                Namespace=space,
                MetricData=[{"MetricName": "All", "Value": 10.0, "Timestamp": moment}],
            )

    def metric(identifier: str, name: str, *, shown: bool = True) -> dict[str, Any]:
        stat = {"Metric": {"Namespace": space, "MetricName": name}, "Period": 60, "Stat": "Sum"}
        return {"Id": identifier, "MetricStat": stat, "ReturnData": shown}

    queries = [
        {"Id": "share", "Expression": "100 * part / all", "Label": "Share"},
        {"Id": "filled", "Expression": "FILL(all, 0) + 1"},
        {"Id": "worse", "Expression": "IF(part > 3 && all >= 10, 2 ^ 3, 0)"},
        {"Id": "total", "Expression": "SUM([part, FILL(all, 0)])"},
        {"Id": "every", "Expression": "SUM(METRICS())"},
        metric("part", "Load"),
        metric("all", "All", shown=False),
    ]
    wanted = {
        "MetricDataQueries": queries,
        "StartTime": now - timedelta(minutes=5),
        "EndTime": now + timedelta(minutes=1),
    }
    found = cloudwatch.get_metric_data(**wanted, ScanBy="TimestampAscending")
    values = {each["Id"]: each["Values"] for each in found["MetricDataResults"]}
    assert values == {
        "share": [50.0, 30.0, 10.0],
        "filled": [11.0, 1.0, 11.0, 1.0, 11.0, 1.0],
        "worse": [8.0, 0.0, 0.0],
        "total": [15.0, 4.0, 13.0, 2.0, 11.0, 0.0],
        "every": [15.0, 4.0, 13.0, 2.0, 11.0, 0.0],
        "part": [5.0, 4.0, 3.0, 2.0, 1.0, 0.0],
    }
    assert {each["StatusCode"] for each in found["MetricDataResults"]} == {"Complete"}
    newest_first = {
        each["Id"]: each["Timestamps"]
        for each in cloudwatch.get_metric_data(**wanted)["MetricDataResults"]
    }
    assert newest_first["part"] == [now - timedelta(minutes=each) for each in range(6)]
    paged: dict[str, list[float]] = {}
    first = cloudwatch.get_metric_data(**wanted, MaxDatapoints=7, ScanBy="TimestampAscending")
    assert [each["StatusCode"] for each in first["MetricDataResults"]][:2] == [
        "Complete", "PartialData",
    ]  # fmt: skip
    pages = cloudwatch.get_paginator("get_metric_data").paginate(
        **wanted, MaxDatapoints=7, ScanBy="TimestampAscending"
    )
    for page in pages:
        assert sum(len(each["Values"]) for each in page["MetricDataResults"]) <= 7
        for each in page["MetricDataResults"]:
            paged.setdefault(each["Id"], []).extend(each["Values"])
    assert paged == values


@pytest.mark.slow
def test_an_alarm_rings_and_stops_by_the_data_and_tells_its_topic(own: TestCloud) -> None:
    """Within a second of the evaluation: the periods of this data have already ended."""
    cloudwatch, sns, sqs = (client_of(own, name) for name in ("cloudwatch", "sns", "sqs"))
    queue = sqs.create_queue(QueueName="told")["QueueUrl"]
    attributes = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])
    topic = sns.create_topic(Name="alarms")["TopicArn"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=attributes["Attributes"]["QueueArn"])
    now = datetime.now(UTC)
    for back in (14, 24):
        moment = now - timedelta(seconds=back)
        put(cloudwatch, "Mine", Value=7.0, Timestamp=moment, StorageResolution=1)
    cloudwatch.put_metric_alarm(
        **ALARM, AlarmActions=[topic, "arn:aws:swf:us-east-1:000000000000:action/x"],
        TreatMissingData="notBreaching",
    )  # fmt: skip

    def state(wanted: str) -> Any:
        (found,) = cloudwatch.describe_alarms(AlarmNames=["busy"])["MetricAlarms"]
        return found if found["StateValue"] == wanted else None

    ringing = wait_for(lambda: state("ALARM"))
    assert "datapoints [7.0 (" in ringing["StateReason"]
    assert ringing["StateReason"].startswith("Threshold Crossed: 1 out of the last 1 datapoints")
    assert ringing["StateReason"].endswith(
        "was greater than the threshold (5.0) (minimum 1 datapoint for OK -> ALARM transition)."
    )
    assert json.loads(ringing["StateReasonData"])["recentDatapoints"] == [7.0]
    (message,) = wait_for(
        lambda: sqs.receive_message(QueueUrl=queue, WaitTimeSeconds=1).get("Messages")
    )
    told = json.loads(json.loads(message["Body"])["Message"])
    assert (told["AlarmName"], told["NewStateValue"]) == ("busy", "ALARM")
    assert told["OldStateValue"] == "INSUFFICIENT_DATA"
    assert told["Trigger"]["Statistic"] == "MAXIMUM"
    history = wait_for(lambda: _four(cloudwatch))
    assert [item["HistorySummary"] for item in history] == [
        'Alarm "busy" created',
        "Alarm updated from INSUFFICIENT_DATA to ALARM",
        f"Successfully executed action {topic}",
        "Failed to execute action arn:aws:swf:us-east-1:000000000000:action/x",
    ]
    quiet = wait_for(lambda: state("OK"), 60)  # nothing comes any more
    assert "treated as [NonBreaching]" in quiet["StateReason"]
    assert quiet["StateTransitionedTimestamp"] > ringing["StateTransitionedTimestamp"]
    cloudwatch.delete_alarms(AlarmNames=["busy"])


def _four(cloudwatch: Any) -> Any:
    found = cloudwatch.describe_alarm_history(AlarmName="busy", ScanBy="TimestampAscending")
    items = found["AlarmHistoryItems"]
    return items if len(items) >= 4 else None


def test_alarms_are_described_switched_tagged_and_deleted(cloudwatch: Any) -> None:
    names = [f"watch-{number}" for number in range(5)]
    for name in names:
        alarm = ALARM | {"AlarmName": name, "Namespace": "Nothing", "TreatMissingData": "ignore"}
        cloudwatch.put_metric_alarm(**alarm, Tags=[{"Key": "team", "Value": "ops"}])
    pages = cloudwatch.get_paginator("describe_alarms").paginate(
        AlarmNamePrefix="watch-", PaginationConfig={"PageSize": 2}
    )
    assert [a["AlarmName"] for page in pages for a in page["MetricAlarms"]] == names
    (one,) = cloudwatch.describe_alarms(AlarmNames=["watch-3"])["MetricAlarms"]
    assert one["StateValue"] == "INSUFFICIENT_DATA"
    assert one["StateReason"] == "Unchecked: Initial alarm creation"
    assert {name: one[name] for name in ALARM} == ALARM | {
        "AlarmName": "watch-3", "Namespace": "Nothing",
    }  # fmt: skip
    cloudwatch.set_alarm_state(AlarmName="watch-1", StateValue="OK", StateReason="because")
    found = cloudwatch.describe_alarms(AlarmNamePrefix="watch-", StateValue="OK")["MetricAlarms"]
    assert [(a["AlarmName"], a["StateReason"]) for a in found] == [("watch-1", "because")]
    cloudwatch.disable_alarm_actions(AlarmNames=names)
    described = cloudwatch.describe_alarms(AlarmNames=names)["MetricAlarms"]
    assert {a["ActionsEnabled"] for a in described} == {False}
    cloudwatch.enable_alarm_actions(AlarmNames=names[:1])
    on_metric = cloudwatch.describe_alarms_for_metric(Namespace="Nothing", MetricName="Load")
    assert len(on_metric["MetricAlarms"]) == 5
    on_metric = cloudwatch.describe_alarms_for_metric(
        Namespace="Nothing", MetricName="Load", Dimensions=SERVER
    )
    assert on_metric["MetricAlarms"] == []
    arn = one["AlarmArn"]
    cloudwatch.tag_resource(ResourceARN=arn, Tags=[{"Key": "more", "Value": ""}])
    cloudwatch.untag_resource(ResourceARN=arn, TagKeys=["team"])
    tags = cloudwatch.list_tags_for_resource(ResourceARN=arn)["Tags"]
    assert tags == [{"Key": "more", "Value": ""}]
    with pytest.raises(ClientError) as refused:
        cloudwatch.delete_alarms(AlarmNames=[names[0], "nobody"])
    assert refused.value.response["Error"]["Code"] == "ResourceNotFound"
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 404
    assert len(cloudwatch.describe_alarms(AlarmNames=names)["MetricAlarms"]) == 5
    cloudwatch.delete_alarms(AlarmNames=names)
    assert cloudwatch.describe_alarms(AlarmNames=names)["MetricAlarms"] == []
    history = cloudwatch.describe_alarm_history(AlarmName="watch-1", MaxRecords=1)
    assert history["AlarmHistoryItems"][0]["HistorySummary"] == 'Alarm "watch-1" updated'
    assert "NextToken" in history


def test_dashboards_are_kept_as_they_are_written(cloudwatch: Any) -> None:
    body = json.dumps({"widgets": [{"type": "text", "properties": {"markdown": "größe <&>"}}]})
    assert cloudwatch.put_dashboard(DashboardName="mine", DashboardBody=body)
    assert cloudwatch.get_dashboard(DashboardName="mine")["DashboardBody"] == body
    (entry,) = cloudwatch.list_dashboards(DashboardNamePrefix="mi")["DashboardEntries"]
    assert (entry["DashboardName"], entry["Size"]) == ("mine", len(body.encode()))
    cloudwatch.delete_dashboards(DashboardNames=["mine"])
    with pytest.raises(ClientError) as refused:
        cloudwatch.get_dashboard(DashboardName="mine")
    assert refused.value.response["Error"]["Code"] == "ResourceNotFound"


def test_boto3_raises_the_classes_of_aws_in_every_protocol(cloudwatch: Any) -> None:
    with pytest.raises(cloudwatch.exceptions.InvalidParameterValueException) as refused:
        put(cloudwatch, "AWS/Mine", Value=1.0)
    assert refused.value.response["Error"]["Code"] == "InvalidParameterValue"
    with pytest.raises(cloudwatch.exceptions.InvalidParameterValueException, match="finite"):
        put(cloudwatch, "Mine", Value=float("nan"))


def test_the_aws_cli_reads_and_writes(own: TestCloud) -> None:
    def aws(*words: str) -> Any:
        done = subprocess.run(
            [str(Path(sys.executable).with_name("aws")), "cloudwatch", *words],
            env=own.environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout) if done.stdout else None

    space = namespace()
    aws("put-metric-data", "--namespace", space, "--metric-name", "Load", "--value", "3",
        "--dimensions", "Server=a,Zone=b", "--unit", "Count")  # fmt: skip
    listed = aws("list-metrics", "--namespace", space)["Metrics"]
    assert listed[0]["Dimensions"][1] == {"Name": "Zone", "Value": "b"}
    now = datetime.now(UTC)
    found = aws("get-metric-statistics", "--namespace", space, "--metric-name", "Load",
                "--start-time", (now - timedelta(hours=1)).isoformat(),
                "--end-time", (now + timedelta(hours=1)).isoformat(), "--period", "7200",
                "--statistics", "Sum", "--dimensions", "Name=Server,Value=a",
                "Name=Zone,Value=b")  # fmt: skip
    assert [each["Sum"] for each in found["Datapoints"]] == [3.0]
    aws("put-metric-alarm", "--alarm-name", "by-cli", "--namespace", space, "--metric-name",
        "Load", "--statistic", "Sum", "--period", "60", "--evaluation-periods", "1",
        "--threshold", "1", "--comparison-operator", "GreaterThanThreshold")  # fmt: skip
    (alarm,) = aws("describe-alarms", "--alarm-names", "by-cli")["MetricAlarms"]
    assert alarm["AlarmArn"] == "arn:aws:cloudwatch:us-east-1:000000000000:alarm:by-cli"
    aws("delete-alarms", "--alarm-names", "by-cli")


def test_a_kill_loses_nothing_that_was_confirmed(tmp_path: Path) -> None:
    """Points, alarms, states, histories and dashboards are there after `kill -9` and `up`."""
    with localcloud(tmp_path / "state") as cloud:
        cloudwatch = client_of(cloud, "cloudwatch")
        for number in range(20):
            put(cloudwatch, "Mine", Value=float(number))
        cloudwatch.put_metric_alarm(**ALARM | {"Namespace": "Nothing"}, TreatMissingData="ignore")
        cloudwatch.set_alarm_state(AlarmName="busy", StateValue="ALARM", StateReason="drill")
        cloudwatch.put_dashboard(DashboardName="mine", DashboardBody='{"widgets": []}')
        before = _everything(cloudwatch)
        pid = int(json.loads((cloud.address.state / SERVER_FILE).read_text())["pid"])
        os.kill(pid, signal.SIGKILL)
        assert cloud.command("up").returncode == 0
        assert _everything(cloudwatch) == before


def _everything(cloudwatch: Any) -> list[Any]:
    wanted = last_hour(Namespace="Mine", MetricName="Load", Period=3600, Statistics=["Sum"])
    points = cloudwatch.get_metric_statistics(**wanted)["Datapoints"]
    alarms = cloudwatch.describe_alarms()["MetricAlarms"]
    return [
        sum(point["Sum"] for point in points),
        [{k: v for k, v in alarm.items() if not k.startswith("State")} for alarm in alarms],
        [alarm["StateValue"] for alarm in alarms],
        len(cloudwatch.describe_alarm_history()["AlarmHistoryItems"]) >= 2,
        cloudwatch.get_dashboard(DashboardName="mine")["DashboardBody"],
    ]
