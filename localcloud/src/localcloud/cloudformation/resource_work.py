"""One physical resource made, changed or deleted, recorded before and after each step.

Whatever may be there after a kill is in a record: by the key that the resource was about to get,
or, where its service gives the id, by what was there before it.
"""

from __future__ import annotations

import json
import logging
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from localcloud.cloudformation.changes import check_properties, differing, named
from localcloud.cloudformation.errors import Interrupted, ResourceFailed
from localcloud.cloudformation.names import physical_name
from localcloud.cloudformation.records import GONE, StackRecords
from localcloud.cloudformation.resources.kind import Kind
from localcloud.cloudformation.resources.schemas import create_only
from localcloud.cloudformation.resources.services import CallFailed, Calls
from localcloud.cloudformation.resources.table import KINDS
from localcloud.cloudformation.templates.template import Declared
from localcloud.protocol import Caller, Document

_log = logging.getLogger(__name__)
_KEPT = (
    "Attributes",
    "DeletionPolicy",
    "Metadata",
    "Needs",
    "Properties",
    "UpdateReplacePolicy",
)
_REPLACING = (
    "Requested update requires the creation of a new physical resource; hence creating one."
)
_CUSTOM_NAME = (
    "CloudFormation cannot update a stack when a custom-named resource requires replacing. Rename "
    "{name} and update the stack again."
)


class ResourceWork:
    """The steps on resources of one stack, for one running operation.

    `calls` are interrupted when the operation is cancelled; `patient` only when localcloud ends.
    """

    def __init__(
        self, records: StackRecords, caller: Caller, stack: Document, calls: Calls, patient: Calls
    ) -> None:
        self._records = records
        self._caller = caller
        self._stack = stack
        self._calls = calls
        self._patient = patient

    @property
    def stopping(self) -> bool:
        """Whether localcloud goes down."""
        return self._patient.stopping

    # Forwards

    def bring(
        self,
        there: Document | None,
        declared: Declared,
        needs: list[str],
        properties: Callable[[], Document],
    ) -> Document:
        """Make, change or replace what stands for a declared resource, or leave it as it is.

        `properties` evaluates; returns the record of what stands for it then. Raises
        ResourceFailed after that was recorded.
        """
        if there is None:
            return self._create(declared, needs, properties)
        kind = KINDS[declared.type]
        with self._reporting(there, "UPDATE_FAILED"):
            after = named(kind, properties(), there)
            changed = differing(there["Properties"], after)
            replaced = sorted(create_only(kind.type) & set(changed))
            if changed:
                check_properties(kind, declared.logical_id, after)
            name = after.get(kind.name or "")
            if replaced and name is not None and name == there["Properties"].get(kind.name):
                if not there.get("NameMadeUp"):
                    raise ResourceFailed(_CUSTOM_NAME.format(name=name))
                after = {key: value for key, value in after.items() if key != kind.name}
        if replaced:
            self._step(there, "UPDATE_IN_PROGRESS", _REPLACING, Replaced=True)
            return self._create(declared, needs, lambda: after, replaces=there)
        if changed:
            return self._update(kind, there, declared, needs, after)
        return self._keep(there, declared, needs)

    def _create(
        self,
        declared: Declared,
        needs: list[str],
        properties: Callable[[], Document],
        replaces: Document | None = None,
    ) -> Document:
        verb = "CREATE" if replaces is None else "UPDATE"
        record: Document = {
            "Id": uuid.uuid4().hex,
            "LogicalResourceId": declared.logical_id,
            "ResourceType": declared.type,
            "PhysicalResourceId": "",
            "ResourceStatus": f"{verb}_IN_PROGRESS",
            "LastUpdatedTimestamp": self._records.store.clock.now(),
            "Attributes": {},
            "New": True,
            "Replaces": replaces["Id"] if replaces else None,
            **_declared(declared, needs),
        }
        if replaces is None:
            self._step(record, "CREATE_IN_PROGRESS")
        kind = KINDS[declared.type]
        with self._reporting(record, f"{verb}_FAILED"):
            given = properties()
            check_properties(kind, declared.logical_id, given)
            record["Properties"] = self._name(kind, record, given)
            self._expect(kind, record)
            self._make(kind, record)
        return self._step(record, f"{verb}_COMPLETE")

    def _name(self, kind: Kind, record: Document, given: Document) -> Document:
        if kind.name is None or kind.name in given:
            return given
        stack, logical_id = self._stack["StackName"], record["LogicalResourceId"]
        record["NameMadeUp"] = True
        return given | {kind.name: physical_name(stack, logical_id, kind.name_length)}

    def _expect(self, kind: Kind, record: Document) -> None:
        """Record by what the resource will be found if this process ends now."""
        key = kind.identify(self._calls, record["Properties"])
        if key is not None and kind.find(self._calls, key) is not None:
            raise ResourceFailed(
                f"Resource of type '{kind.type}' with identifier '{kind.shown(key)}' already "
                "exists."
            )
        record["Key"] = key
        record["Known"] = kind.siblings(self._calls, record["Properties"]) if key is None else []
        record["Touched"] = True
        self._put(record)

    def _make(self, kind: Kind, record: Document) -> None:
        try:
            record["Key"] = kind.create(self._calls, record["Properties"])
        except CallFailed as error:
            if error.says_there:
                record["Touched"] = False
            raise
        self._put(record)
        self._look(kind, record)

    def _look(self, kind: Kind, record: Document) -> None:
        """Take over what the service tells of a resource."""
        found = kind.find(self._calls, record["Key"])
        if found is None:
            raise ResourceFailed(f"{kind.shown(record['Key'])} was deleted by somebody else")
        record["PhysicalResourceId"] = kind.physical_id(found)
        record["Attributes"] = json.loads(json.dumps(kind.values(found), default=str))

    def _update(
        self, kind: Kind, record: Document, declared: Declared, needs: list[str], after: Document
    ) -> Document:
        before = {name: record[name] for name in _KEPT}
        record |= _declared(declared, needs)
        self._step(record, "UPDATE_IN_PROGRESS", Before=before, Properties=after)
        with self._reporting(record, "UPDATE_FAILED"):
            kind.update(self._calls, record["Key"], before["Properties"], after)
            self._look(kind, record)
        return self._step(record, "UPDATE_COMPLETE")

    def _keep(self, record: Document, declared: Declared, needs: list[str]) -> Document:
        new = _declared(declared, needs)
        old = {name: record[name] for name in new}
        if new != old:
            record |= new | {"Before": {name: record[name] for name in _KEPT}}
            self._put(record)
        return record

    # Backwards

    def restore(self, record: Document) -> None:
        """Bring a changed resource back to what it was before. Raises ResourceFailed."""
        before = record.get("Before")
        if record.get("Replaced"):
            self._step(record, "UPDATE_COMPLETE", Replaced=None)
        if before is None:
            return
        kind, now = KINDS[record["ResourceType"]], record["Properties"]
        if now == before["Properties"]:
            self._put(_without(record | before, "Before"))
            return
        self._step(record, "UPDATE_IN_PROGRESS")
        with self._reporting(record, "UPDATE_FAILED"):
            kind.update(self._patient, record["Key"], now, before["Properties"])
        self._step(_without(record | before, "Before"), "UPDATE_COMPLETE")

    def delete(self, record: Document, *, policy: str, forget: bool) -> None:
        """Delete a resource, or let it be if the policy says so. Raises ResourceFailed.

        With `forget` nothing is left of its record: another one stands for the logical id, or none.
        """
        if not record.get("Touched"):
            self._done(record, GONE, forget=forget)
        elif policy == "Retain":
            self._done(record, "DELETE_SKIPPED", forget=forget)
        else:
            self._step(record, "DELETE_IN_PROGRESS")
            with self._reporting(record, "DELETE_FAILED"):
                self._delete(KINDS[record["ResourceType"]], record)
            self._done(record, GONE, forget=forget)

    def _delete(self, kind: Kind, record: Document) -> None:
        if record.get("Key") is not None:
            kind.delete(self._patient, record["Key"])
            return
        # The process ended in the call that makes it: its id was never told.
        others = self._records.resources(self._caller, self._stack["StackId"])
        known = [*record["Known"], *(other.get("Key") for other in others)]
        for key in kind.siblings(self._patient, record["Properties"]):
            if key not in known:
                kind.delete(self._patient, key)

    def _done(self, record: Document, status: str, *, forget: bool) -> None:
        self._step(record, status)
        if forget:
            self._records.drop_resource(self._caller, self._stack["StackId"], record)

    # Records

    @contextmanager
    def _reporting(self, record: Document, status: str) -> Iterator[None]:
        """Record the failure of what happens inside, as ResourceFailed."""
        try:
            yield
        except Interrupted:
            raise
        except ResourceFailed as error:
            self._step(record, status, str(error))
            raise
        except Exception as error:
            _log.exception("%s of %s", status, record["LogicalResourceId"])
            reason = f"localcloud failed on this resource: {type(error).__name__}: {error}"
            self._step(record, status, reason)
            raise ResourceFailed(reason) from error

    def fail(self, record: Document, reason: str) -> None:
        """Say of a step that was under way that it failed."""
        self._step(record, record["ResourceStatus"].replace("IN_PROGRESS", "FAILED"), reason)

    def leave(self, record: Document) -> None:
        """Note that a resource that is no part of the stack any more could not be deleted."""
        self._put(record | {"Leftover": True})

    def settle(self, record: Document) -> None:
        """Forget what the operation needed to know: it is over."""
        gone = ("Before", "New", "Replaces", "Known", "Replaced")
        if any(name in record for name in gone):
            self._put(_without(record, *gone))

    def _step(
        self, record: Document, status: str, reason: str | None = None, **changes: Any
    ) -> Document:
        """Put a resource into another status, and tell it as an event of the stack."""
        if self._patient.stopping:
            raise Interrupted(status)
        changes |= {
            "ResourceStatus": status,
            "ResourceStatusReason": reason,
            "LastUpdatedTimestamp": self._records.store.clock.now(),
        }
        record |= changes
        with self._records.store.transaction():
            self._put(record)
            properties = record.get("Properties")
            self._records.tell(
                self._caller,
                self._stack,
                record["LogicalResourceId"],
                record["PhysicalResourceId"],
                record["ResourceType"],
                status,
                reason,
                json.dumps(properties) if properties is not None else None,
            )
        return record

    def _put(self, record: Document) -> None:
        if self._patient.stopping:
            raise Interrupted("record")
        given = {name: value for name, value in record.items() if value is not None}
        self._records.put_resource(self._caller, self._stack["StackId"], given)


def _declared(declared: Declared, needs: list[str]) -> Document:
    """What a record keeps of the template."""
    return {
        "Needs": needs,
        "DeletionPolicy": declared.deletion_policy,
        "UpdateReplacePolicy": declared.update_replace_policy,
        "Metadata": declared.metadata,
    }


def _without(record: Document, *names: str) -> Document:
    return {name: value for name, value in record.items() if name not in names}
