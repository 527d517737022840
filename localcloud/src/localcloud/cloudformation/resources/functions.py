"""AWS::Lambda::Function and AWS::Lambda::Permission."""

from __future__ import annotations

import io
import json
import zipfile
from typing import Any

from localcloud.cloudformation.errors import ResourceFailed
from localcloud.cloudformation.resources.arguments import arguments
from localcloud.cloudformation.resources.kind import Key, Kind
from localcloud.cloudformation.resources.services import CallFailed, Calls
from localcloud.protocol import Document

_CODE = ("Code", "Architectures")
_CONCURRENCY = "ReservedConcurrentExecutions"
_SINCE_1980 = (1980, 1, 1, 0, 0, 0)


class FunctionKind(Kind):
    """A function: its code, its configuration and its reserved concurrency change by own calls."""

    def plain(self, properties: Document) -> Document:
        """Inline code is the text of `index.py` in templates, and a zip archive in calls."""
        found = super().plain(properties)
        text = found.get("Code", {}).get("ZipFile")
        if isinstance(text, str):
            found["Code"] = {**found["Code"], "ZipFile": _zip(text)}
        return found

    def create(self, calls: Calls, properties: Document) -> Key:
        """CreateFunction, and wait until it is Active."""
        key = super().create(calls, properties)
        self._active(calls, key)
        if _CONCURRENCY in properties:
            self._reserve(calls, key, properties[_CONCURRENCY])
        return key

    def change(self, calls: Calls, key: Key, before: Document, after: Document) -> None:
        """Code first, then the configuration, each where it differs."""
        if any(before.get(name) != after.get(name) for name in _CODE):
            code = self.plain(after)
            given = arguments("lambda", "UpdateFunctionCode", {**code["Code"]})
            if "Architectures" in after:
                given["Architectures"] = after["Architectures"]
            calls("lambda", "UpdateFunctionCode", **(given | key))
            self._active(calls, key)
        others = [
            {name: value for name, value in each.items() if name not in (*_CODE, _CONCURRENCY)}
            for each in (before, after)
        ]
        if self.changed(*others):
            super().change(calls, key, *others)
            self._active(calls, key)
        if before.get(_CONCURRENCY) != after.get(_CONCURRENCY):
            self._reserve(calls, key, after.get(_CONCURRENCY))

    def _reserve(self, calls: Calls, key: Key, count: int | None) -> None:
        if count is None:
            calls("lambda", "DeleteFunctionConcurrency", **key)
        else:
            calls("lambda", "PutFunctionConcurrency", **key, **{_CONCURRENCY: count})

    def _active(self, calls: Calls, key: Key) -> None:
        def probe() -> Document | None:
            found = calls("lambda", "GetFunctionConfiguration", **key)
            busy = found.get("State") == "Pending" or found.get("LastUpdateStatus") == "InProgress"
            return {} if busy else found

        found = calls.wait(probe) or {}
        if "Failed" in (found.get("State"), found.get("LastUpdateStatus")):
            reason = found.get("StateReason") or found.get("LastUpdateStatusReason")
            raise ResourceFailed(f"The function {key['FunctionName']} is Failed: {reason}")


class PermissionKind(Kind):
    """A statement of a function's policy."""

    def create(self, calls: Calls, properties: Document) -> Key:
        """AddPermission."""
        key = {"FunctionName": properties["FunctionName"], "StatementId": properties["Id"]}
        given = arguments("lambda", "AddPermission", self.plain(properties))
        calls("lambda", "AddPermission", **(given | key))
        return key

    def find(self, calls: Calls, key: Key) -> Document | None:
        """The statement, if the policy has it."""
        try:
            text = calls("lambda", "GetPolicy", FunctionName=key["FunctionName"])["Policy"]
        except CallFailed as error:
            if error.says_not_found:
                return None
            raise
        statements: list[Any] = json.loads(text)["Statement"]
        return next((each for each in statements if each["Sid"] == key["StatementId"]), None)


def _zip(text: str) -> bytes:
    """An archive with `index.py`; the same text makes the same bytes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(zipfile.ZipInfo("index.py", _SINCE_1980), text)
    return buffer.getvalue()
