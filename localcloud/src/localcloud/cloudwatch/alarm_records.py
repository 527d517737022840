"""Alarms and their histories as they are stored, and everything that a change of state writes."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime
from typing import Any

from localcloud.cloudwatch.alarm_rules import queries_of
from localcloud.cloudwatch.evaluation import Verdict, amazon_time
from localcloud.protocol import Caller, Document
from localcloud.store import Store

KIND, HISTORY = "metric-alarm", "alarm-history"
_HISTORY_SECONDS = 30 * 86_400
_ACTIONS = {
    "OK": "OKActions",
    "ALARM": "AlarmActions",
    "INSUFFICIENT_DATA": "InsufficientDataActions",
}


def arn(caller: Caller, name: str) -> str:
    """The ARN of an alarm."""
    return f"arn:aws:cloudwatch:{caller.region}:{caller.account}:alarm:{name}"


class AlarmRecords:
    """What is stored of alarms."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def find(self, caller: Caller, name: str) -> Document | None:
        """An alarm as DescribeAlarms shows it."""
        return self.store.get(caller, KIND, name)

    def all(self, caller: Caller, prefix: str = "") -> list[Document]:
        """The alarms of a caller, by name."""
        return sorted(self.store.documents(caller, KIND, prefix), key=lambda a: a["AlarmName"])

    def everywhere(self) -> list[tuple[Caller, Document]]:
        """All alarms."""
        return [(caller, alarm) for caller, _, alarm in self.store.everywhere(KIND)]

    def put(self, caller: Caller, alarm: Document) -> None:
        """Store an alarm."""
        self.store.put(caller, KIND, alarm["AlarmName"], alarm)

    def delete(self, caller: Caller, name: str) -> None:
        """Forget an alarm; its history stays."""
        self.store.delete(caller, KIND, name)

    def history(self, caller: Caller) -> list[Document]:
        """All that happened, oldest first."""
        return self.store.documents(caller, HISTORY)

    def note(
        self, caller: Caller, name: str, kind: str, summary: str, data: Document, now: float
    ) -> None:
        """Add an item to an alarm's history."""
        item = {
            "AlarmName": name,
            "AlarmType": "MetricAlarm",
            "Timestamp": now,
            "HistoryItemType": kind,
            "HistorySummary": summary[:255],
            "HistoryData": json.dumps(data, separators=(",", ":"))[:4095],
        }
        self.store.put(caller, HISTORY, f"{now:.6f}/{uuid.uuid4()}", item)

    def forget_history(self, now: float) -> None:
        """Drop what happened more than 30 days ago."""
        for caller, key, item in self.store.everywhere(HISTORY):
            if item["Timestamp"] < now - _HISTORY_SECONDS:
                self.store.delete(caller, HISTORY, key)

    def change_state(
        self, caller: Caller, alarm: Document, verdict: Verdict, now: float
    ) -> list[str]:
        """Store a new state with its history and its event; gives the actions to be taken."""
        before = dict(alarm)
        alarm |= {
            "StateValue": verdict.state,
            "StateReason": verdict.reason,
            "StateUpdatedTimestamp": now,
            "StateTransitionedTimestamp": now,
        }
        alarm.pop("StateReasonData", None)
        if verdict.data:
            alarm["StateReasonData"] = verdict.data
        with self.store.transaction():
            self.put(caller, alarm)
            summary = f"Alarm updated from {before['StateValue']} to {verdict.state}"
            data = {"version": "1.0", "oldState": _told(before), "newState": _told(alarm)}
            self.note(caller, alarm["AlarmName"], "StateUpdate", summary, data, now)
            self.store.emit(caller, _event(caller, before, alarm, now))
        if not alarm["ActionsEnabled"]:
            return []
        actions: list[str] = alarm.get(_ACTIONS[verdict.state], [])
        return actions


def _told(alarm: Document) -> Document:
    told: Document = {"stateValue": alarm["StateValue"], "stateReason": alarm["StateReason"]}
    if "StateReasonData" in alarm:
        told["stateReasonData"] = _reason_data(alarm)
    return told


def _reason_data(alarm: Document) -> Any:
    try:
        return json.loads(alarm["StateReasonData"])
    except ValueError:  # SetAlarmState takes any text
        return alarm["StateReasonData"]


def _event(caller: Caller, before: Document, after: Document, now: float) -> Document:
    """The event "CloudWatch Alarm State Change" as EventBridge gets it."""
    configuration: Document = {"metrics": _metrics(after)}
    if "AlarmDescription" in after:
        configuration["description"] = after["AlarmDescription"]
    return {
        "version": "0",
        "id": str(uuid.uuid4()),
        "detail-type": "CloudWatch Alarm State Change",
        "source": "aws.cloudwatch",
        "account": caller.account,
        "time": datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "region": caller.region,
        "resources": [after["AlarmArn"]],
        "detail": {
            "alarmName": after["AlarmName"],
            "state": _state(after),
            "previousState": _state(before),
            "configuration": configuration,
        },
    }


def _state(alarm: Document) -> Document:
    state = {
        "value": alarm["StateValue"],
        "reason": alarm["StateReason"],
        "timestamp": amazon_time(alarm["StateUpdatedTimestamp"]),
    }
    if "StateReasonData" in alarm:
        state["reasonData"] = alarm["StateReasonData"]
    return state


def _metrics(alarm: Document) -> list[Document]:
    found: list[Document] = []
    for query in queries_of(alarm).as_given:
        told: Document = {"id": query.id, "returnData": query.shown}
        if query.expression is not None:
            told |= {"expression": query.expression.text, "label": query.label}
        elif query.metric is not None:
            told["metricStat"] = {
                "metric": {
                    "namespace": query.metric.namespace,
                    "name": query.metric.name,
                    "dimensions": dict(query.metric.dimensions),
                },
                "period": query.period,
                "stat": query.statistic,
            }
        found.append(told)
    return found
