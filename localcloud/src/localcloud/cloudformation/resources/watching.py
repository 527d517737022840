"""AWS::CloudWatch::Alarm and Dashboard, and AWS::Logs::LogGroup."""

from __future__ import annotations

from typing import Any

from localcloud.cloudformation.resources.kind import Key, Kind
from localcloud.cloudformation.resources.services import Calls
from localcloud.cloudformation.resources.tagging import retag
from localcloud.protocol import Document


class AlarmKind(Kind):
    """PutMetricAlarm says all of an alarm anew."""

    def find(self, calls: Calls, key: Key) -> Document | None:
        """The alarm of this name."""
        asked = {"AlarmNames": [key["AlarmName"]]}
        found: list[Any] = calls(self.service, self.find_call, **asked)["MetricAlarms"]
        return found[0] if found else None

    def delete(self, calls: Calls, key: Key) -> None:
        """DeleteAlarms refuses names that are not there."""
        if self.find(calls, key) is not None:
            calls(self.service, self.delete_call, AlarmNames=[key["AlarmName"]])


class DashboardKind(Kind):
    """PutDashboard says all of a dashboard anew."""

    def delete(self, calls: Calls, key: Key) -> None:
        """DeleteDashboards refuses names that are not there."""
        if self.find(calls, key) is not None:
            calls(self.service, self.delete_call, DashboardNames=[key["DashboardName"]])


class LogGroupKind(Kind):
    """A group, and how long its lines are kept."""

    def create(self, calls: Calls, properties: Document) -> Key:
        """CreateLogGroup, then PutRetentionPolicy."""
        key = super().create(calls, properties)
        self._retain(calls, key, properties.get("RetentionInDays"))
        return key

    def find(self, calls: Calls, key: Key) -> Document | None:
        """The group of exactly this name."""
        name = key["logGroupName"]
        found: list[Any] = calls(self.service, self.find_call, logGroupNamePrefix=name)["logGroups"]
        return next((group for group in found if group["logGroupName"] == name), None)

    def change(self, calls: Calls, key: Key, before: Document, after: Document) -> None:
        """Only the retention changes in place."""
        days = after.get("RetentionInDays")
        if days != before.get("RetentionInDays"):
            self._retain(calls, key, days)
        left = [
            {k: v for k, v in each.items() if k != "RetentionInDays"} for each in (before, after)
        ]
        if self.changed(*left):
            super().change(calls, key, *left)

    def retag(self, calls: Calls, key: Key, before: Document, after: Document) -> None:
        """The ARN that tags take has no `:*` at its end."""
        found = self.find(calls, key) or {}
        retag(calls, self.service, str(found.get("arn", "")).removesuffix(":*"), before, after)

    def _retain(self, calls: Calls, key: Key, days: int | None) -> None:
        if days is None:
            if (self.find(calls, key) or {}).get("retentionInDays"):
                calls("logs", "DeleteRetentionPolicy", **key)
        else:
            calls("logs", "PutRetentionPolicy", **key, retentionInDays=days)
