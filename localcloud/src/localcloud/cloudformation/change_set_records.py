"""What is stored of change sets: each by its name, below the key of its stack."""

from __future__ import annotations

from localcloud.cloudformation.errors import AlreadyExists, ChangeSetNotFound, ValidationError
from localcloud.cloudformation.records import StackRecords, key_of
from localcloud.protocol import Caller, Document

KIND = "cloudformation-change-set"


class ChangeSetRecords:
    """A change set's document is what DescribeChangeSet shows, its plan and its type."""

    def __init__(self, records: StackRecords) -> None:
        self._records = records
        self._store = records.store

    def find(self, caller: Caller, request: Document) -> Document:
        """The one that a request names, by ARN, or by name and stack. Raises ChangeSetNotFound."""
        name, found = request["ChangeSetName"], None
        if name.startswith("arn:"):
            every = self._store.documents(caller, KIND)
            found = next((each for each in every if each["ChangeSetId"] == name), None)
        elif "StackName" not in request:
            raise ValidationError(
                "StackName must be specified if ChangeSetName is not specified as an ARN."
            )
        elif stack := self._records.lookup(caller, request["StackName"]):
            found = self._store.get(caller, KIND, f"{key_of(stack['StackId'])}/{name}")
        if found is None:
            raise ChangeSetNotFound(f"ChangeSet [{name}] does not exist")
        return found

    def of_stack(self, caller: Caller, stack_id: str) -> list[Document]:
        """A stack's change sets, oldest first."""
        return self._store.documents(caller, KIND, f"{key_of(stack_id)}/")

    def add(self, caller: Caller, change_set: Document) -> None:
        """Store a new one. Raises AlreadyExists if its stack has one of this name."""
        if self._store.get(caller, KIND, _place(change_set)):
            raise AlreadyExists(
                f"ChangeSet {change_set['ChangeSetName']} already exists for the stack "
                f"{change_set['StackName']}"
            )
        self._store.put(caller, KIND, _place(change_set), change_set)

    def executed(self, caller: Caller, change_set: Document) -> None:
        """Note that one is executed; the others of its stack are gone."""
        for each in self.of_stack(caller, change_set["StackId"]):
            if each["ChangeSetId"] != change_set["ChangeSetId"]:
                self.delete(caller, each)
        done = change_set | {"ExecutionStatus": "EXECUTE_COMPLETE"}
        self._store.put(caller, KIND, _place(change_set), done)

    def delete(self, caller: Caller, change_set: Document) -> None:
        """Forget one."""
        self._store.delete(caller, KIND, _place(change_set))


def _place(change_set: Document) -> str:
    return f"{key_of(change_set['StackId'])}/{change_set['ChangeSetName']}"
