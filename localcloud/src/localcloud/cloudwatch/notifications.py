"""What an alarm tells a topic of SNS."""

from __future__ import annotations

import json
from collections.abc import Callable

from localcloud.cloudwatch.evaluation import amazon_time
from localcloud.protocol import Caller, Document

Publish = Callable[[str, str, str, str], str]
"""Region, topic's ARN, subject and message; gives why it failed, or nothing."""
_SUBJECT = 100


def notification(caller: Caller, alarm: Document, before: str) -> tuple[str, str]:
    """Subject and message of a change of state, as AWS sends them.

    AWS writes the region's long name where this writes its code.
    """
    state, name = alarm["StateValue"], alarm["AlarmName"]
    message = {
        "AlarmName": name,
        "AlarmDescription": alarm.get("AlarmDescription"),
        "AWSAccountId": caller.account,
        "AlarmConfigurationUpdatedTimestamp": amazon_time(
            alarm["AlarmConfigurationUpdatedTimestamp"]
        ),
        "NewStateValue": state,
        "NewStateReason": alarm["StateReason"],
        "StateChangeTime": amazon_time(alarm["StateUpdatedTimestamp"]),
        "Region": caller.region,
        "AlarmArn": alarm["AlarmArn"],
        "OldStateValue": before,
        "OKActions": alarm["OKActions"],
        "AlarmActions": alarm["AlarmActions"],
        "InsufficientDataActions": alarm["InsufficientDataActions"],
        "Trigger": _trigger(alarm),
    }
    return f'{state}: "{name}" in {caller.region}'[:_SUBJECT], json.dumps(message)


def _trigger(alarm: Document) -> Document:
    trigger: Document = {
        "EvaluationPeriods": alarm["EvaluationPeriods"],
        "DatapointsToAlarm": alarm.get("DatapointsToAlarm", alarm["EvaluationPeriods"]),
        "ComparisonOperator": alarm["ComparisonOperator"],
        "Threshold": float(alarm["Threshold"]),
        "TreatMissingData": alarm.get("TreatMissingData", "missing"),
        "EvaluateLowSampleCountPercentile": "",
    }
    if "Metrics" in alarm:
        return trigger | {"Metrics": alarm["Metrics"]}
    extended = "ExtendedStatistic" in alarm
    kind = "ExtendedStatistic" if extended else "Statistic"
    statistic = alarm["ExtendedStatistic"] if extended else alarm["Statistic"].upper()
    return trigger | {
        "MetricName": alarm["MetricName"],
        "Namespace": alarm["Namespace"],
        "StatisticType": kind,
        kind: statistic,
        "Unit": alarm.get("Unit"),
        "Dimensions": [
            {"name": each["Name"], "value": each["Value"]} for each in alarm["Dimensions"]
        ],
        "Period": alarm["Period"],
    }
