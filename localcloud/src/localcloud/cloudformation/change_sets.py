"""Change sets: what an operation would change, looked at before it is done."""

from __future__ import annotations

import contextlib

from localcloud.cloudformation.change_set_records import ChangeSetRecords
from localcloud.cloudformation.errors import (
    AlreadyExists,
    ChangeSetNotFound,
    InvalidChangeSetStatus,
    ValidationError,
)
from localcloud.cloudformation.names import change_set_arn
from localcloud.cloudformation.operations import Operations
from localcloud.cloudformation.pages import paged
from localcloud.cloudformation.plans import Plan
from localcloud.cloudformation.records import GONE, StackRecords
from localcloud.cloudformation.stacks import REVIEW, Stacks, check_name, new_stack, refuse_keeping
from localcloud.cloudformation.submissions import Submissions
from localcloud.protocol import Caller, Document, Operation

_NO_CHANGES = (
    "The submitted information didn't contain changes. Submit different information to create a "
    "change set."
)
_SHOWN = (
    "ChangeSetName",
    "ChangeSetId",
    "StackId",
    "StackName",
    "Description",
    "Parameters",
    "CreationTime",
    "ExecutionStatus",
    "Status",
    "StatusReason",
    "Capabilities",
    "Tags",
    "OnStackFailure",
)
_SUMMARY = (
    "StackId",
    "StackName",
    "ChangeSetId",
    "ChangeSetName",
    "ExecutionStatus",
    "Status",
    "StatusReason",
    "CreationTime",
    "Description",
)
_FIRST = {"IncludeNestedStacks": False, "ImportExistingResources": False}


class ChangeSets:
    """The calls on change sets."""

    def __init__(
        self,
        records: StackRecords,
        change_sets: ChangeSetRecords,
        submissions: Submissions,
        stacks: Stacks,
        operations: Operations,
    ) -> None:
        self._records = records
        self._change_sets = change_sets
        self._store = records.store
        self._submissions = submissions
        self._stacks = stacks
        self._operations = operations

    def operations(self) -> dict[str, Operation]:
        """The calls by their AWS names."""
        return {
            "CreateChangeSet": self.create,
            "DescribeChangeSet": self.describe,
            "ExecuteChangeSet": self.execute,
            "DeleteChangeSet": self.delete,
            "ListChangeSets": self.list_change_sets,
        }

    def create(self, caller: Caller, request: Document) -> Document:
        """CreateChangeSet; one without changes is there, but FAILED."""
        self._submissions.refuse_others(request)
        kind = request.get("ChangeSetType", "UPDATE")
        if kind == "IMPORT":
            raise ValidationError("localcloud does not emulate change sets of the type IMPORT")
        name = request["StackName"]
        stack = self._records.lookup(caller, name)
        if kind == "CREATE":
            check_name(name)
            if stack is not None and stack["StackStatus"] != REVIEW:
                raise AlreadyExists(f"Stack [{name}] already exists and cannot be created again")
        elif stack is None or stack["StackStatus"] == GONE:
            raise ValidationError(f"Stack [{name}] does not exist")
        else:
            self._stacks.check_updatable(stack)
        plan = self._submissions.plan(request, stack)
        stack = stack or new_stack(caller, name, request, self._store.clock.now())
        change_set = self._compared(caller, stack, plan, kind, request)
        with self._store.transaction():
            if self._records.lookup(caller, stack["StackId"]) is None:
                self._records.put(caller, stack)
                self._records.move(caller, stack["StackId"], REVIEW, "User Initiated")
            self._change_sets.add(caller, change_set)
        return {"Id": change_set["ChangeSetId"], "StackId": stack["StackId"]}

    def _compared(
        self, caller: Caller, stack: Document, plan: Plan, kind: str, request: Document
    ) -> Document:
        changes = self._submissions.changes(caller, stack, plan)
        worth = kind == "CREATE" or self._submissions.is_changed(caller, stack, plan, changes)
        change_set = {
            "ChangeSetName": request["ChangeSetName"],
            "ChangeSetId": change_set_arn(caller, request["ChangeSetName"]),
            "StackId": stack["StackId"],
            "StackName": stack["StackName"],
            "CreationTime": self._store.clock.now(),
            "Status": "CREATE_COMPLETE" if worth else "FAILED",
            "ExecutionStatus": "AVAILABLE" if worth else "UNAVAILABLE",
            "StatusReason": None if worth else _NO_CHANGES,
            "Changes": [change.document() for change in changes],
            "Plan": plan.document(),
            "Type": kind,
            "OnStackFailure": request.get("OnStackFailure"),
            "RoleARN": request.get("RoleARN"),
            **plan.shown(),
            "Description": request.get("Description"),
        }
        return {name: value for name, value in change_set.items() if value is not None}

    def describe(self, caller: Caller, request: Document) -> Document:
        """DescribeChangeSet: its changes, with what each is caused by and whether it replaces."""
        change_set = self._change_sets.find(caller, request)
        page = paged("Changes", request, change_set["Changes"])
        shown = {name: change_set[name] for name in _SHOWN if name in change_set}
        return {**shown, **_FIRST, **page, "NotificationARNs": [], "RollbackConfiguration": {}}

    def execute(self, caller: Caller, request: Document) -> Document:
        """ExecuteChangeSet: begin what it says. All change sets of the stack are gone then."""
        with self._store.transaction():
            change_set = self._change_sets.find(caller, request)
            if change_set["ExecutionStatus"] != "AVAILABLE":
                raise InvalidChangeSetStatus(
                    f"ChangeSet [{change_set['ChangeSetId']}] cannot be executed in its current "
                    f"status of [{change_set['Status']}]"
                )
            if request.get("RetainExceptOnCreate"):
                raise ValidationError("localcloud does not emulate RetainExceptOnCreate of stacks")
            plan, stack_id = Plan.of(change_set["Plan"]), change_set["StackId"]
            changes = {
                "ChangeSetId": change_set["ChangeSetId"],
                "ClientRequestToken": request.get("ClientRequestToken"),
            }
            stack = self._records.find(caller, stack_id)
            creates = change_set["Type"] == "CREATE"
            if creates:
                on_failure = change_set.get("OnStackFailure", "ROLLBACK")
                if request.get("DisableRollback"):
                    on_failure = "DO_NOTHING"
                stack = self._stacks.start_creation(caller, stack, plan, on_failure, **changes)
            else:
                refuse_keeping(request)
                self._stacks.start_update(caller, stack_id, plan, **changes)
            self._change_sets.executed(caller, change_set)
        if creates:
            self._operations.begin(caller, stack)
        return {}

    def delete(self, caller: Caller, request: Document) -> Document:
        """DeleteChangeSet; nothing happens if there is none of this name."""
        with contextlib.suppress(ChangeSetNotFound):
            self._change_sets.delete(caller, self._change_sets.find(caller, request))
        return {}

    def list_change_sets(self, caller: Caller, request: Document) -> Document:
        """ListChangeSets: those of one stack."""
        stack = self._records.find(caller, request["StackName"])
        found = self._change_sets.of_stack(caller, stack["StackId"])
        summaries = [
            {name: each[name] for name in _SUMMARY if name in each} | _FIRST for each in found
        ]
        return paged("Summaries", request, summaries)
