"""The calls about alarms, and the thread that evaluates them."""

from __future__ import annotations

import logging
import threading
import time
from typing import Any

from localcloud.cloudwatch.alarm_records import AlarmRecords, arn
from localcloud.cloudwatch.alarm_rules import check_alarm, queries_of
from localcloud.cloudwatch.errors import ResourceNotFound, ValidationError
from localcloud.cloudwatch.evaluation import INSUFFICIENT, Verdict, evaluate, periods_needed
from localcloud.cloudwatch.metrics import Clock, Metrics
from localcloud.cloudwatch.notifications import Publish, notification
from localcloud.cloudwatch.pages import page
from localcloud.cloudwatch.tags import Tags
from localcloud.protocol import Caller, Document, Operation
from localcloud.store import Store

GRACE = 2.0
"""Seconds after a period's end by which its data must have come to be seen at once."""
_TICK = 0.5
_LONGEST_STEP = 60
_SWEEP_SECONDS = 3600
_HISTORY_PAGE = _ALARMS_PAGE = 100
_DEFAULT_PAGE = 50
_NOT_CONFIGURATION = ("Tags",)
_log = logging.getLogger(__name__)


class Alarms:
    """PutMetricAlarm and all about it.

    `tick` evaluates what is due by the clock; `start` has a thread call it. Alarms of a minute or
    more are evaluated every minute, shorter ones after each of their periods.
    """

    def __init__(
        self,
        store: Store,
        metrics: Metrics,
        tags: Tags,
        publish: Publish | None = None,
        clock: Clock = time.time,
    ) -> None:
        self._records = AlarmRecords(store)
        self._metrics = metrics
        self._tags = tags
        self._publish = publish
        self._clock = clock
        self._lock = threading.RLock()
        self._evaluated: dict[tuple[Caller, str], int] = {}
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._swept = clock()

    def operations(self) -> dict[str, Operation]:
        """The calls by their AWS names."""
        return {
            "PutMetricAlarm": self.put,
            "DescribeAlarms": self.describe,
            "DescribeAlarmsForMetric": self.describe_for_metric,
            "DescribeAlarmHistory": self.describe_history,
            "DeleteAlarms": self.delete,
            "SetAlarmState": self.set_state,
            "EnableAlarmActions": self.enable_actions,
            "DisableAlarmActions": self.disable_actions,
        }

    def state(self, caller: Caller, name: str) -> str | None:
        """OK, ALARM or INSUFFICIENT_DATA; None where there is no such alarm."""
        alarm = self._records.find(caller, name)
        return None if alarm is None else str(alarm["StateValue"])

    def put(self, caller: Caller, request: Document) -> Document:
        """PutMetricAlarm; one that is there keeps its state until it is evaluated again."""
        check_alarm(request)
        name, now = request["AlarmName"], self._clock()
        alarm = {key: value for key, value in request.items() if key not in _NOT_CONFIGURATION}
        alarm |= {
            "AlarmArn": arn(caller, name),
            "AlarmConfigurationUpdatedTimestamp": now,
            "StateValue": INSUFFICIENT,
            "StateReason": "Unchecked: Initial alarm creation",
            "StateUpdatedTimestamp": now,
            "StateTransitionedTimestamp": now,
        }
        for member, default in (("ActionsEnabled", True), ("OKActions", []), ("AlarmActions", []),
                                ("InsufficientDataActions", [])):  # fmt: skip
            alarm.setdefault(member, default)
        if "Metrics" not in alarm:
            alarm.setdefault("Dimensions", [])
        with self._lock, self._records.store.transaction():
            known = self._records.find(caller, name)
            if known is None:
                self._tags.set(caller, alarm["AlarmArn"], request.get("Tags", []))
            else:
                alarm |= {key: value for key, value in known.items() if key.startswith("State")}
            self._records.put(caller, alarm)
            created = "created" if known is None else "updated"
            kind = "Create" if known is None else "Update"
            data = {"version": "1.0", "type": kind, "updatedAlarm": _configuration(alarm)}
            summary = f'Alarm "{name}" {created}'
            self._records.note(caller, name, "ConfigurationUpdate", summary, data, now)
            self._evaluated.pop((caller, name), None)
        return {}

    def describe(self, caller: Caller, request: Document) -> Document:
        """DescribeAlarms; there are no composite alarms here."""
        names, prefix = request.get("AlarmNames"), request.get("AlarmNamePrefix")
        if names is not None and prefix is not None:
            raise ValidationError(
                "The parameters AlarmNames and AlarmNamePrefix are mutually exclusive."
            )
        composite = request.get("ChildrenOfAlarmName") or request.get("ParentsOfAlarmName")
        wanted = "MetricAlarm" in request.get("AlarmTypes", ["MetricAlarm"]) and not composite
        found = [
            alarm
            for alarm in (self._records.all(caller, prefix or "") if wanted else [])
            if (names is None or alarm["AlarmName"] in names)
            and request.get("StateValue", alarm["StateValue"]) == alarm["StateValue"]
            and _has_action(alarm, request.get("ActionPrefix"))
        ]
        size = min(request.get("MaxRecords", _DEFAULT_PAGE), _ALARMS_PAGE)
        return page("MetricAlarms", request, found, size) | {"CompositeAlarms": []}

    def describe_for_metric(self, caller: Caller, request: Document) -> Document:
        """DescribeAlarmsForMetric: those on exactly this metric."""
        exact = ("Namespace", "MetricName")
        optional = ("Statistic", "ExtendedStatistic", "Period", "Unit")
        dimensions = _pairs(request)
        return {
            "MetricAlarms": [
                alarm
                for alarm in self._records.all(caller)
                if all(alarm.get(name) == request[name] for name in exact)
                and all(request.get(name, alarm.get(name)) == alarm.get(name) for name in optional)
                and _pairs(alarm) == dimensions
            ]
        }

    def describe_history(self, caller: Caller, request: Document) -> Document:
        """DescribeAlarmHistory of the last 30 days, also of alarms that were deleted."""
        name, kind = request.get("AlarmName"), request.get("HistoryItemType")
        after, before = request.get("StartDate", 0), request.get("EndDate", float("inf"))
        wanted = "MetricAlarm" in request.get("AlarmTypes", ["MetricAlarm"])
        found = [
            item
            for item in (self._records.history(caller) if wanted else [])
            if (name is None or item["AlarmName"] == name)
            and (kind is None or item["HistoryItemType"] == kind)
            and after <= item["Timestamp"] <= before
        ]
        if request.get("ScanBy") != "TimestampAscending":
            found.reverse()
        size = request.get("MaxRecords", _HISTORY_PAGE)
        return page("AlarmHistoryItems", request, found, size)

    def delete(self, caller: Caller, request: Document) -> Document:
        """DeleteAlarms; where one does not exist, none is deleted."""
        with self._lock, self._records.store.transaction():
            for name in request["AlarmNames"]:
                self._require(caller, name)
            for name in request["AlarmNames"]:
                self._records.delete(caller, name)
                self._tags.forget(caller, arn(caller, name))
                self._evaluated.pop((caller, name), None)
        return {}

    def set_state(self, caller: Caller, request: Document) -> Document:
        """SetAlarmState: with its actions, until the alarm is evaluated again."""
        verdict = Verdict(
            request["StateValue"], request["StateReason"], request.get("StateReasonData", "")
        )
        with self._lock:
            alarm = self._require(caller, request["AlarmName"])
            before = alarm["StateValue"]
            actions = self._change(caller, alarm, verdict)
        self._act(caller, alarm, before, actions)
        return {}

    def enable_actions(self, caller: Caller, request: Document) -> Document:
        """EnableAlarmActions: changes of state are told again."""
        return self._switch(caller, request, enabled=True)

    def disable_actions(self, caller: Caller, request: Document) -> Document:
        """DisableAlarmActions: changes of state are noted and nobody is told."""
        return self._switch(caller, request, enabled=False)

    def _switch(self, caller: Caller, request: Document, *, enabled: bool) -> Document:
        with self._lock, self._records.store.transaction():
            for name in request["AlarmNames"]:
                alarm = self._require(caller, name)
                if alarm["ActionsEnabled"] != enabled:
                    now = self._clock()
                    alarm["ActionsEnabled"] = enabled
                    alarm["AlarmConfigurationUpdatedTimestamp"] = now
                    self._records.put(caller, alarm)
                    data = {"version": "1.0", "type": "Update",
                            "updatedAlarm": _configuration(alarm)}  # fmt: skip
                    summary = f'Alarm "{name}" updated'
                    self._records.note(caller, name, "ConfigurationUpdate", summary, data, now)
        return {}

    def _require(self, caller: Caller, name: str) -> Document:
        alarm = self._records.find(caller, name)
        if alarm is None:
            raise ResourceNotFound(f"Unable to find alarm {name}")
        return alarm

    def start(self) -> None:
        """Evaluate from now on."""
        self._thread = threading.Thread(target=self._run, name="alarms", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop evaluating."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        while not self._stopping.wait(_TICK):
            try:
                self.tick()
                self._metrics.tidy()
            except Exception:  # noqa: BLE001 - the next tick may go better: a full disk, say
                _log.exception("looking after alarms and metrics")

    def tick(self) -> None:
        """Evaluate every alarm for which a period has ended since it was last evaluated."""
        now = self._clock()
        for caller, alarm in self._records.everywhere():
            try:
                self._attend(caller, alarm, now)
            except Exception:  # noqa: BLE001 - one alarm must not end the others
                _log.exception("evaluating alarm %s", alarm["AlarmName"])
        if now - self._swept > _SWEEP_SECONDS:
            self._swept = now
            self._records.forget_history(now)

    def _attend(self, caller: Caller, alarm: Document, now: float) -> None:
        """Evaluate one alarm, and take its actions once it is not locked any more."""
        with self._lock:
            actions = self._evaluate(caller, alarm, now)
        changed = self._records.find(caller, alarm["AlarmName"]) if actions else None
        if changed is not None:
            self._act(caller, changed, alarm["StateValue"], actions)

    def _evaluate(self, caller: Caller, seen: Document, now: float) -> list[str]:
        """Evaluate one alarm, if that is due; gives the actions to be taken."""
        queries = queries_of(seen)
        (shown,) = (query for query in queries.as_given if query.shown)
        step = min(shown.period, _LONGEST_STEP)
        end = int((now - GRACE) // step * step)
        key = (caller, seen["AlarmName"])
        if self._evaluated.get(key, 0) >= end:
            return []
        current = self._records.find(caller, seen["AlarmName"])
        if current != seen:
            return []  # it was changed meanwhile; the next tick sees it
        self._evaluated[key] = end
        start = end - periods_needed(current) * shown.period
        answer = queries.answer(self._metrics, caller, start, end, sliding=True)
        verdict = evaluate(current, answer[shown.id], end, shown.period, now)
        if verdict is None or verdict.state == current["StateValue"]:
            return []
        return self._change(caller, current, verdict)

    def _change(self, caller: Caller, alarm: Document, verdict: Verdict) -> list[str]:
        """Give an alarm a state and its reason; gives the actions to be taken."""
        now = self._clock()
        if verdict.state != alarm["StateValue"]:
            return self._records.change_state(caller, alarm, verdict, now)
        alarm |= {"StateReason": verdict.reason, "StateUpdatedTimestamp": now}
        alarm.pop("StateReasonData", None)
        if verdict.data:
            alarm["StateReasonData"] = verdict.data
        self._records.put(caller, alarm)
        return []

    def _act(self, caller: Caller, alarm: Document, before: str, actions: list[str]) -> None:
        """Take actions: a message to a topic; others are noted as failed."""
        for action in actions:
            error = f"localcloud does not take the action {action}"
            if self._publish is not None and action.startswith("arn:aws:sns:"):
                subject, message = notification(caller, alarm, before)
                error = self._publish(caller.region, action, subject, message)
            done = "Failed to execute" if error else "Successfully executed"
            data: Document = {
                "actionState": "Failed" if error else "Succeeded",
                "notificationResource": action,
                "stateUpdateTimestamp": int(alarm["StateUpdatedTimestamp"] * 1000),
            }
            if error:
                data["error"] = error[:1000]
            summary = f"{done} action {action}"
            name, now = alarm["AlarmName"], self._clock()
            self._records.note(caller, name, "Action", summary, data, now)


def _configuration(alarm: Document) -> Document:
    return {key: value for key, value in alarm.items() if not key.startswith("State")}


def _has_action(alarm: Document, prefix: str | None) -> bool:
    actions = (*alarm["OKActions"], *alarm["AlarmActions"], *alarm["InsufficientDataActions"])
    return prefix is None or any(action.startswith(prefix) for action in actions)


def _pairs(document: Document) -> dict[Any, Any]:
    return {each["Name"]: each["Value"] for each in document.get("Dimensions", [])}
