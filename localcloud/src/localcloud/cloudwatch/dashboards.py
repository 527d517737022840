"""Dashboards: kept as they are written."""

from __future__ import annotations

import json
import re
import time

from localcloud.cloudwatch.errors import (
    InvalidParameterInput,
    InvalidParameterValue,
    ResourceNotFound,
)
from localcloud.cloudwatch.metrics import Clock
from localcloud.cloudwatch.pages import page
from localcloud.cloudwatch.tags import Tags
from localcloud.protocol import Caller, Document, Operation
from localcloud.store import Store

KIND = "dashboard"
_NAME = re.compile(r"[A-Za-z0-9_-]{1,255}")
_WIDGETS, _PAGE = 500, 1000
_KINDS = ("alarm", "custom", "explorer", "log", "metric", "text")


class Dashboards:
    """PutDashboard, GetDashboard, ListDashboards, DeleteDashboards."""

    def __init__(self, store: Store, tags: Tags, clock: Clock = time.time) -> None:
        self._store = store
        self._tags = tags
        self._clock = clock

    def operations(self) -> dict[str, Operation]:
        """The calls by their AWS names."""
        return {
            "PutDashboard": self.put,
            "GetDashboard": self.get,
            "ListDashboards": self.list_dashboards,
            "DeleteDashboards": self.delete,
        }

    def put(self, caller: Caller, request: Document) -> Document:
        """PutDashboard; the body must be JSON that holds widgets."""
        name, body = request["DashboardName"], request["DashboardBody"]
        if not _NAME.fullmatch(name):
            raise InvalidParameterValue(
                f"The value {name[:80]!r} for field DashboardName contains invalid characters. "
                "It can only contain alphanumerics, dash (-) and underscore (_)."
            )
        _check_body(body)
        dashboard = {
            "DashboardName": name,
            "DashboardArn": f"arn:aws:cloudwatch::{caller.account}:dashboard/{name}",
            "DashboardBody": body,
            "LastModified": self._clock(),
            "Size": len(body.encode()),
        }
        with self._store.transaction():
            if self._store.get(caller, KIND, name) is None:
                self._tags.set(caller, dashboard["DashboardArn"], request.get("Tags", []))
            self._store.put(caller, KIND, name, dashboard)
        return {"DashboardValidationMessages": []}

    def get(self, caller: Caller, request: Document) -> Document:
        """GetDashboard: its body as it was put."""
        dashboard = self._require(caller, request["DashboardName"])
        return {name: dashboard[name] for name in ("DashboardArn", "DashboardBody",
                                                   "DashboardName")}  # fmt: skip

    def list_dashboards(self, caller: Caller, request: Document) -> Document:
        """ListDashboards by prefix."""
        prefix = request.get("DashboardNamePrefix", "")
        found = [
            {key: value for key, value in dashboard.items() if key != "DashboardBody"}
            for dashboard in self._store.documents(caller, KIND, prefix)
        ]
        found.sort(key=lambda dashboard: dashboard["DashboardName"])
        return page("DashboardEntries", request, found, _PAGE)

    def delete(self, caller: Caller, request: Document) -> Document:
        """DeleteDashboards; where one does not exist, none is deleted."""
        with self._store.transaction():
            found = [self._require(caller, name) for name in request["DashboardNames"]]
            for dashboard in found:
                self._store.delete(caller, KIND, dashboard["DashboardName"])
                self._tags.forget(caller, dashboard["DashboardArn"])
        return {}

    def _require(self, caller: Caller, name: str) -> Document:
        dashboard = self._store.get(caller, KIND, name)
        if dashboard is None:
            raise ResourceNotFound(f"Dashboard {name[:80]} does not exist")
        return dashboard


def _check_body(body: str) -> None:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise InvalidParameterInput(
            f"The field DashboardBody must be a valid JSON object: {error}"
        ) from error
    if not isinstance(document, dict) or not isinstance(document.get("widgets"), list):
        raise InvalidParameterInput(
            "The dashboard body is invalid: it must be an object with an array 'widgets'"
        )
    if len(document["widgets"]) > _WIDGETS:
        raise InvalidParameterInput(
            f"The dashboard body has {len(document['widgets'])} widgets; at most {_WIDGETS} are "
            "allowed"
        )
    for number, widget in enumerate(document["widgets"]):
        known = isinstance(widget, dict) and widget.get("type") in _KINDS
        if not known or not isinstance(widget.get("properties"), dict):
            raise InvalidParameterInput(
                f"The dashboard body is invalid at /widgets/{number}: a widget has a type (one of "
                f"{', '.join(_KINDS)}) and properties"
            )
