"""One operation on a stack, from its first step to its last: forwards, and back if one fails.

Everything that it needs to go on is in the records: an operation that a kill interrupted is resumed
from them, by the status in which it left the stack.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Any

from localcloud.cloudformation.changes import wanted
from localcloud.cloudformation.errors import Interrupted, ResourceFailed, ValidationError
from localcloud.cloudformation.plans import Plan
from localcloud.cloudformation.records import ENDED, GONE, StackRecords, live
from localcloud.cloudformation.resource_work import ResourceWork
from localcloud.cloudformation.resources.services import Services
from localcloud.cloudformation.templates.evaluation import Evaluation
from localcloud.protocol import Caller, Document

PARALLEL = 8
_log = logging.getLogger(__name__)
_USER = "User Initiated"
_FAILED = {
    "CREATE_IN_PROGRESS": "CREATE_FAILED",
    "DELETE_IN_PROGRESS": "DELETE_FAILED",
    "ROLLBACK_IN_PROGRESS": "ROLLBACK_FAILED",
}


class Run:
    """An operation on one stack. `run` is for a thread of its own."""

    def __init__(
        self, records: StackRecords, services: Services, caller: Caller, stack: Document
    ) -> None:
        self._records = records
        self._caller = caller
        self._id: str = stack["StackId"]
        self._cancelled = threading.Event()
        self._by_user = False
        self._work = ResourceWork(
            records,
            caller,
            stack,
            services.bound(caller, self._cancelled),
            services.bound(caller),
        )

    def cancel(self) -> None:
        """Let an update fail, as a user wishes."""
        self._by_user = True
        self._cancelled.set()

    def run(self, *, resumed: bool = False) -> None:
        """Carry the stack from the status that it has to one where nothing is under way.

        With `resumed` after localcloud ended in the middle: what it began is undone, what it was
        undoing or cleaning up goes on.
        """
        steps: Mapping[str, Callable[[], None]] = {
            "CREATE_IN_PROGRESS": self._create,
            "ROLLBACK_IN_PROGRESS": self._roll_creation_back,
            "DELETE_IN_PROGRESS": self._delete,
            "UPDATE_IN_PROGRESS": self._update,
            "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS": self._clean_update_up,
            "UPDATE_ROLLBACK_IN_PROGRESS": self._roll_update_back,
            "UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS": self._clean_rollback_up,
        }
        try:
            if resumed:
                self._note_the_end()
            while (status := self._stack["StackStatus"]) in steps:
                steps[status]()
        except Interrupted:
            return
        except Exception as error:  # noqa: BLE001 - a stack never stays IN_PROGRESS for ever
            _log.exception("%s", self._id)
            failed = _FAILED.get(self._stack["StackStatus"], "UPDATE_ROLLBACK_FAILED")
            self._move(failed, f"localcloud failed: {type(error).__name__}: {error}")

    def _note_the_end(self) -> None:
        """Say of what was under way that it failed when localcloud ended."""
        status = self._stack["StackStatus"]
        for record in self._resources():
            if record["ResourceStatus"].endswith("_IN_PROGRESS") and not record.get("Replaced"):
                self._work.fail(record, ENDED)
        if status == "CREATE_IN_PROGRESS":
            self._creation_failed(ENDED)
        elif status == "UPDATE_IN_PROGRESS":
            self._move("UPDATE_ROLLBACK_IN_PROGRESS", ENDED)

    # Creation

    def _create(self) -> None:
        try:
            outcome = self._bring()
        except ResourceFailed as error:
            self._creation_failed(str(error))
            return
        self._settle()
        self._arrive("CREATE_COMPLETE", outcome)

    def _creation_failed(self, reason: str) -> None:
        match self._stack["OnFailure"]:
            case "DO_NOTHING":
                self._move("CREATE_FAILED", reason)
            case "DELETE":
                self._move("DELETE_IN_PROGRESS", f"{reason}. Delete requested by user.")
            case _:
                self._move("ROLLBACK_IN_PROGRESS", f"{reason}. Rollback requested by user.")

    def _roll_creation_back(self) -> None:
        failed = self._delete_all(self._resources())
        if failed:
            reason = f"The following resource(s) failed to delete: [{', '.join(failed)}]. "
            self._move("ROLLBACK_FAILED", reason)
        else:
            self._move("ROLLBACK_COMPLETE", Wanted=None)

    # Update

    def _update(self) -> None:
        try:
            outcome = self._bring()
        except ResourceFailed as error:
            self._move("UPDATE_ROLLBACK_IN_PROGRESS", str(error))
            return
        self._arrive("UPDATE_COMPLETE_CLEANUP_IN_PROGRESS", outcome)

    def _clean_update_up(self) -> None:
        plan = self._plan(self._stack["Current"])
        kept = self._evaluation(plan, {}).resources
        gone = []
        for record in self._resources():
            if record.get("Leftover"):
                gone.append((record, "Delete"))
            elif record.get("Replaced"):
                gone.append((record, record["UpdateReplacePolicy"]))
            elif record["LogicalResourceId"] not in kept:
                gone.append((record, record["DeletionPolicy"]))
        self._delete_each(gone, forget=True)
        self._settle()
        self._move("UPDATE_COMPLETE")

    def _roll_update_back(self) -> None:
        """What was changed goes back first, while all that was there before still is."""
        skipped = set(self._stack.get("Skipped", []))
        old = [
            record
            for record in self._resources()
            if not record.get("New") and not record.get("Leftover")
        ]
        by_name = {record["LogicalResourceId"]: record for record in old}
        needs = {
            name: [each for each in _before(record)["Needs"] if each in by_name]
            for name, record in by_name.items()
        }

        def restore(name: str) -> None:
            if name not in skipped:
                self._work.restore(by_name[name])

        failed = self._in_parallel(needs, restore, threading.Event())
        if failed:
            names = ", ".join(failed)
            reason = f"The following resource(s) failed to update: [{names}]. "
            self._move("UPDATE_ROLLBACK_FAILED", reason)
        else:
            self._move("UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS")

    def _clean_rollback_up(self) -> None:
        new = [record for record in self._resources() if record.get("New")]
        # What replaces another resource is always deleted; what was added goes by its own policy.
        self._delete_each(
            [(each, "Delete" if "Replaces" in each else each["DeletionPolicy"]) for each in new],
            forget=True,
        )
        self._settle()
        self._move("UPDATE_ROLLBACK_COMPLETE", Wanted=None, Skipped=None)

    # Deletion

    def _delete(self) -> None:
        stack = self._stack
        used = [
            (name, importers)
            for name in stack.get("Exports", {})
            if (importers := self._records.importers(self._caller, name))
        ]
        if used:
            name, importers = used[0]
            self._move(
                "DELETE_FAILED",
                f"Delete canceled. Cannot delete export {name} as it is in use by "
                f"{', '.join(importers)}.",
            )
            return
        failed = self._delete_all(
            self._resources(), frozenset(stack.get("Retain", [])), force=stack.get("Force", False)
        )
        if failed:
            reason = f"The following resource(s) failed to delete: [{', '.join(failed)}]. "
            self._move("DELETE_FAILED", reason)
        else:
            self._move(
                GONE, Exports=None, Imports=None, Current=None, Wanted=None, Retain=None, Force=None
            )

    def _delete_all(
        self,
        records: list[Document],
        retained: frozenset[str] = frozenset(),
        *,
        force: bool = False,
    ) -> list[str]:
        """Delete a stack's resources; returns the logical ids of those that stay."""
        gone = [
            (
                record,
                "Retain" if record["LogicalResourceId"] in retained else record["DeletionPolicy"],
            )
            for record in records
            if record["ResourceStatus"] not in (GONE, "DELETE_SKIPPED")
        ]
        failed = self._delete_each(gone, forget=False)
        return [] if force else failed

    def _delete_each(self, gone: list[tuple[Document, str]], *, forget: bool) -> list[str]:
        """Delete resources, each after those that need it; returns those that failed."""
        by_id = {record["Id"]: (record, policy) for record, policy in gone}
        needs = {
            each: [
                other
                for other, (needing, _) in by_id.items()
                if record["LogicalResourceId"] in _all_needs(needing) and other != each
            ]
            for each, (record, _) in by_id.items()
        }

        def delete(each: str) -> None:
            record, policy = by_id[each]
            self._work.delete(record, policy=policy, forget=forget)

        failed = self._in_parallel(needs, delete, threading.Event())
        if failed and forget:
            there = {record["Id"] for record in self._resources()}
            for each in there & set(by_id):
                self._work.leave(by_id[each][0])
        return [by_id[each][0]["LogicalResourceId"] for each in failed]

    # Forwards

    def _bring(self) -> Document:
        """Bring every resource to the plan; returns what the stack has then.

        Raises ResourceFailed with the logical ids of those that failed.
        """
        stack = self._stack
        plan = self._plan(stack["Wanted"])
        standing = live(self._resources())
        before = dict(standing)
        evaluation = self._evaluation(plan, standing)
        tags = plan.tag_map

        def bring(logical_id: str) -> None:
            def properties() -> Document:
                try:
                    return wanted(evaluation, logical_id, tags)
                except ValidationError as error:
                    raise ResourceFailed(error.message) from error

            declared, needs = evaluation.resources[logical_id], evaluation.needs[logical_id]
            there = before.get(logical_id)
            standing[logical_id] = self._work.bring(there, declared, needs, properties)

        failed = self._in_parallel(evaluation.needs, bring, self._cancelled)
        if self._by_user:
            raise ResourceFailed(_USER)
        if failed:
            verb = "create" if stack["StackStatus"].startswith("CREATE") else "update"
            names = ", ".join(failed)
            raise ResourceFailed(f"The following resource(s) failed to {verb}: [{names}]")
        try:
            return self._outcome(evaluation)
        except ValidationError as error:
            raise ResourceFailed(error.message) from error

    def _outcome(self, evaluation: Evaluation) -> Document:
        outputs = evaluation.outputs()
        exports = {each.export: each.value for each in outputs if each.export is not None}
        if len(exports) < len([each for each in outputs if each.export is not None]):
            raise ValidationError("Two outputs of the template have the same export name")
        shown = []
        for each in outputs:
            output = {"OutputKey": each.key, "OutputValue": each.value}
            output |= {"Description": each.description} if each.description else {}
            shown.append(output | ({"ExportName": each.export} if each.export else {}))
        return {"Outputs": shown, "Exports": exports, "Imports": sorted(self._imports)}

    def _arrive(self, status: str, outcome: Document) -> None:
        """Make the wanted plan the current one. Fails like a resource if exports clash."""
        with self._records.store.transaction():
            stack = self._stack
            others = self._records.exports(self._caller)
            for name in outcome["Exports"]:
                owner = others.get(name, (stack, ""))[0]
                if owner["StackId"] != self._id:
                    return self._clash(
                        f"Export with name {name} is already exported by stack {owner['StackName']}"
                    )
            for name, value in stack.get("Exports", {}).items():
                importers = self._records.importers(self._caller, name, self._id)
                if importers and outcome["Exports"].get(name) != value:
                    return self._clash(
                        f"Export {name} cannot be changed as it is in use by {', '.join(importers)}"
                    )
            plan = self._plan(stack["Wanted"])
            self._move(status, Current=stack["Wanted"], Wanted=None, **plan.shown(), **outcome)
        return None

    def _clash(self, reason: str) -> None:
        if self._stack["StackStatus"].startswith("CREATE"):
            self._creation_failed(reason)
        else:
            self._move("UPDATE_ROLLBACK_IN_PROGRESS", reason)

    def _in_parallel(
        self, needs: Mapping[str, list[str]], step: Callable[[str], None], stop: threading.Event
    ) -> list[str]:
        """Take a step for each name, as soon as those that it needs are done; gives the failed.

        After a failure nothing that needs the failed one is begun; with `stop` set, nothing at all,
        and a failure sets it.
        """
        left, done, failed = dict(needs), set[str](), list[str]()
        running: dict[Future[None], str] = {}
        with ThreadPoolExecutor(PARALLEL, thread_name_prefix="stack") as pool:
            while True:
                ready = [name for name, needed in left.items() if set(needed) <= done]
                for name in ready if not stop.is_set() else []:
                    del left[name]
                    running[pool.submit(step, name)] = name
                if not running:
                    return failed
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    name = running.pop(future)
                    try:
                        future.result()
                    except ResourceFailed:
                        failed.append(name)
                        if stop is self._cancelled:
                            stop.set()
                    else:
                        done.add(name)

    # Records

    @property
    def _stack(self) -> Document:
        return self._records.find(self._caller, self._id)

    def _resources(self) -> list[Document]:
        return self._records.resources(self._caller, self._id)

    def _plan(self, document: Document) -> Plan:
        return Plan.of(document)

    def _evaluation(self, plan: Plan, standing: Mapping[str, Document]) -> Evaluation:
        self._imports: set[str] = set()

        def resource(logical_id: str, attribute: str | None) -> Any:
            record = standing[logical_id]
            if attribute is None:
                return record["PhysicalResourceId"]
            return record["Attributes"][attribute]

        def imported(name: str) -> str:
            self._imports.add(name)
            return plan.imported(self._records, self._caller, name)

        return plan.evaluation(self._caller, self._stack, resource, imported)

    def _settle(self) -> None:
        for record in self._resources():
            self._work.settle(record)

    def _move(self, status: str, reason: str | None = None, **changes: Any) -> None:
        if self._work.stopping:
            raise Interrupted(status)
        self._records.move(self._caller, self._id, status, reason, **changes)


def _before(record: Document) -> Document:
    return {**record, **record.get("Before", {})}


def _all_needs(record: Document) -> set[str]:
    return {*record["Needs"], *record.get("Before", {}).get("Needs", [])}
