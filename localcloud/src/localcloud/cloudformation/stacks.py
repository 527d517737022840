"""The calls that make, change and delete stacks."""

from __future__ import annotations

import re
from typing import Any

from localcloud.cloudformation.errors import AlreadyExists, ValidationError
from localcloud.cloudformation.names import stack_arn
from localcloud.cloudformation.operations import Operations
from localcloud.cloudformation.plans import Plan
from localcloud.cloudformation.records import GONE, StackRecords
from localcloud.cloudformation.submissions import Submissions
from localcloud.protocol import Caller, Document, Operation

NO_UPDATES = "No updates are to be performed."
REVIEW = "REVIEW_IN_PROGRESS"
_NAME = re.compile(r"[a-zA-Z][-a-zA-Z0-9]{0,127}")
_UPDATABLE = ("CREATE_COMPLETE", "UPDATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE")
_CREATING = ("CREATE_IN_PROGRESS",)
_USER_INITIATED = "User Initiated"


class Stacks:
    """CreateStack, UpdateStack, DeleteStack and the calls on an update under way."""

    def __init__(
        self, records: StackRecords, submissions: Submissions, operations: Operations
    ) -> None:
        self._records = records
        self._submissions = submissions
        self._operations = operations

    def operations(self) -> dict[str, Operation]:
        """The calls by their AWS names."""
        return {
            "CreateStack": self.create,
            "UpdateStack": self.update,
            "DeleteStack": self.delete,
            "CancelUpdateStack": self.cancel_update,
            "ContinueUpdateRollback": self.continue_rollback,
        }

    def create(self, caller: Caller, request: Document) -> Document:
        """CreateStack; what could not work is refused before anything is made."""
        self._submissions.refuse_others(request)
        name = request["StackName"]
        check_name(name)
        if "OnFailure" in request and "DisableRollback" in request:
            raise ValidationError("You may specify either DisableRollback or OnFailure, not both.")
        on_failure = request.get("OnFailure", "ROLLBACK")
        if request.get("DisableRollback"):
            on_failure = "DO_NOTHING"
        there = self._records.lookup(caller, name)
        if there is not None:
            if _same_token(there, request) and there["StackStatus"] != REVIEW:
                return {"StackId": there["StackId"]}
            raise AlreadyExists(f"Stack [{name}] already exists")
        plan = self._submissions.plan(request)
        stack = new_stack(caller, name, request, self._records.store.clock.now())
        self._submissions.changes(caller, stack, plan)
        with self._records.store.transaction():
            if self._records.lookup(caller, name) is not None:
                raise AlreadyExists(f"Stack [{name}] already exists")
            self._records.put(caller, stack)
            stack = self.start_creation(caller, stack, plan, on_failure)
        self._operations.begin(caller, stack)
        return {"StackId": stack["StackId"]}

    def start_creation(
        self, caller: Caller, stack: Document, plan: Plan, on_failure: str, **changes: Any
    ) -> Document:
        """Bring a stack without resources into creation, as part of the running transaction."""
        changes |= plan.shown() | {
            "OnFailure": on_failure,
            "DisableRollback": on_failure == "DO_NOTHING",
            "Wanted": plan.document(),
        }
        return self._records.move(
            caller, stack["StackId"], "CREATE_IN_PROGRESS", _USER_INITIATED, **changes
        )

    def update(self, caller: Caller, request: Document) -> Document:
        """UpdateStack; one that would change nothing is refused."""
        self._submissions.refuse_others(request)
        refuse_keeping(request)
        stack = self._records.find(caller, request["StackName"])
        self.check_updatable(stack)
        plan = self._submissions.plan(request, stack)
        changes = self._submissions.changes(caller, stack, plan)
        if not self._submissions.is_changed(caller, stack, plan, changes):
            raise ValidationError(NO_UPDATES)
        token = request.get("ClientRequestToken")
        self.start_update(caller, stack["StackId"], plan, ClientRequestToken=token)
        return {"StackId": stack["StackId"]}

    def start_update(self, caller: Caller, stack_id: str, plan: Plan, **changes: Any) -> None:
        """Bring a stack that nothing is under way on into an update, and begin it."""
        with self._records.store.transaction():
            stack = self._records.find(caller, stack_id)
            self.check_updatable(stack)
            now = self._records.store.clock.after(stack["CreationTime"])
            changes |= {"Wanted": plan.document(), "LastUpdatedTime": now}
            stack = self._records.move(
                caller, stack_id, "UPDATE_IN_PROGRESS", _USER_INITIATED, **changes
            )
        self._operations.begin(caller, stack)

    def check_updatable(self, stack: Document) -> None:
        """Raise ValidationError for a stack in a status from which there is no update."""
        if stack["StackStatus"] not in _UPDATABLE:
            raise ValidationError(
                f"Stack:{stack['StackId']} is in {stack['StackStatus']} state and can not be "
                "updated."
            )

    def delete(self, caller: Caller, request: Document) -> None:
        """DeleteStack; nothing happens if there is none. A creation under way is cancelled."""
        with self._records.store.transaction():
            stack = self._records.lookup(caller, request["StackName"])
            if stack is None or stack["StackStatus"] in (GONE, "DELETE_IN_PROGRESS"):
                return
            status = stack["StackStatus"]
            creating = status in _CREATING
            if status.endswith("_IN_PROGRESS") and status != REVIEW and not creating:
                raise ValidationError(
                    f"Stack [{stack['StackName']}] cannot be deleted while in status {status}"
                )
            retained = request.get("RetainResources", [])
            self._check_retained(caller, stack, retained)
            force = request.get("DeletionMode") == "FORCE_DELETE_STACK"
            if (retained or force) and status != "DELETE_FAILED":
                raise ValidationError(
                    f"Invalid operation on stack [{stack['StackId']}]. When you delete a stack, "
                    "specify which resources to retain, or FORCE_DELETE_STACK, only when the stack "
                    "is in the DELETE_FAILED state."
                )
            now = self._records.store.clock.after(stack["CreationTime"])
            changes = {
                "Retain": retained or None,
                "Force": force or None,
                "DeletionTime": now,
                "ClientRequestToken": request.get("ClientRequestToken"),
            }
            if creating:
                self._records.change(caller, stack["StackId"], OnFailure="DELETE", DeletionTime=now)
            else:
                stack = self._records.move(
                    caller, stack["StackId"], "DELETE_IN_PROGRESS", _USER_INITIATED, **changes
                )
        if creating:
            self._operations.cancel(stack["StackId"])
        else:
            self._operations.begin(caller, stack)

    def _check_retained(self, caller: Caller, stack: Document, retained: list[str]) -> None:
        known = {
            each["LogicalResourceId"] for each in self._records.resources(caller, stack["StackId"])
        }
        unknown = [name for name in retained if name not in known]
        if unknown:
            raise ValidationError(
                f"The specified resources to retain must be in a valid state. Do not retain "
                f"[{', '.join(unknown)}], the stack has no such resources"
            )

    def cancel_update(self, caller: Caller, request: Document) -> None:
        """CancelUpdateStack: what the update changed goes back."""
        stack = self._records.find(caller, request["StackName"])
        if stack["StackStatus"] != "UPDATE_IN_PROGRESS":
            raise ValidationError("CancelUpdateStack cannot be called from current stack status")
        self._operations.cancel(stack["StackId"])

    def continue_rollback(self, caller: Caller, request: Document) -> Document:
        """ContinueUpdateRollback: try again, and let be what ResourcesToSkip names."""
        if request.get("ForceRollback"):
            raise ValidationError("localcloud does not emulate ForceRollback")
        with self._records.store.transaction():
            stack = self._records.find(caller, request["StackName"])
            if stack["StackStatus"] != "UPDATE_ROLLBACK_FAILED":
                raise ValidationError(
                    f"Stack:{stack['StackId']} is in {stack['StackStatus']} state and can not "
                    "continue update rollback."
                )
            skipped = request.get("ResourcesToSkip", [])
            failed = {
                each["LogicalResourceId"]
                for each in self._records.resources(caller, stack["StackId"])
                if each["ResourceStatus"] == "UPDATE_FAILED"
            }
            wrong = [name for name in skipped if name not in failed]
            if wrong:
                raise ValidationError(
                    f"ResourcesToSkip may name resources in UPDATE_FAILED only, not "
                    f"[{', '.join(wrong)}]"
                )
            stack = self._records.move(
                caller,
                stack["StackId"],
                "UPDATE_ROLLBACK_IN_PROGRESS",
                _USER_INITIATED,
                Skipped=skipped,
            )
        self._operations.begin(caller, stack)
        return {}


def new_stack(caller: Caller, name: str, request: Document, now: float) -> Document:
    """A stack that was not in any status yet."""
    stack = {
        "StackId": stack_arn(caller, name),
        "StackName": name,
        "CreationTime": now,
        "StackStatus": REVIEW,
        "RoleARN": request.get("RoleARN"),
        "ClientRequestToken": request.get("ClientRequestToken"),
    }
    return {member: value for member, value in stack.items() if value is not None}


def check_name(name: str) -> None:
    """Raise ValidationError for what is no stack's name."""
    if not _NAME.fullmatch(name):
        raise ValidationError(
            f"1 validation error detected: Value '{name[:200]}' at 'stackName' failed to satisfy "
            "constraint: Member must satisfy regular expression pattern: [a-zA-Z][-a-zA-Z0-9]*, "
            "and have length less than or equal to 128"
        )


def refuse_keeping(request: Document) -> None:
    """An update that fails is rolled back, always."""
    if request.get("DisableRollback"):
        raise ValidationError("localcloud does not emulate DisableRollback of updates")


def _same_token(stack: Document, request: Document) -> bool:
    token = request.get("ClientRequestToken")
    return token is not None and bool(stack.get("ClientRequestToken") == token)
