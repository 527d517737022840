"""What is stored of stacks, of their resources and of what happened to them."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from typing import Any

from localcloud.cloudformation.errors import ValidationError
from localcloud.protocol import Caller, Document
from localcloud.store import Store

KIND = "cloudformation-stack"
RESOURCE = "cloudformation-resource"
EVENT = "cloudformation-event"
GONE = "DELETE_COMPLETE"
STACK_TYPE = "AWS::CloudFormation::Stack"
ENDED = "localcloud ended while this ran"


class StackRecords:
    """Stacks by `NAME/UUID`, with their resources and events below that name.

    A stack's document is what DescribeStacks shows and, under `Current` and `Wanted`, the template
    with its parameters' values that it has and that it is being brought to. A resource's document
    is one physical resource: while a stack is updated there may be two of one logical id.
    """

    def __init__(self, store: Store) -> None:
        self.store = store

    # Stacks

    def find(self, caller: Caller, name_or_id: str) -> Document:
        """A stack by name, or by id also after its deletion. Raises ValidationError."""
        found = self.lookup(caller, name_or_id)
        if found is None:
            raise ValidationError(f"Stack with id {name_or_id} does not exist")
        return found

    def lookup(self, caller: Caller, name_or_id: str) -> Document | None:
        """The same, None if there is none."""
        if name_or_id.startswith("arn:"):
            found = self.store.get(caller, KIND, key_of(name_or_id))
            return found if found and found["StackId"] == name_or_id else None
        named = self.store.documents(caller, KIND, f"{name_or_id}/")
        return next((stack for stack in named if stack["StackStatus"] != GONE), None)

    def all(self, caller: Caller) -> list[Document]:
        """Every stack, deleted ones too, the youngest first."""
        return self.store.documents(caller, KIND)[::-1]

    def everywhere(self) -> list[tuple[Caller, Document]]:
        """Every stack of every region."""
        return [(caller, stack) for caller, _, stack in self.store.everywhere(KIND)]

    def put(self, caller: Caller, stack: Document) -> None:
        """Store a stack."""
        self.store.put(caller, KIND, key_of(stack["StackId"]), stack)

    def change(self, caller: Caller, stack_id: str, **changes: Any) -> Document:
        """Change members of a stack; one that becomes None is dropped. Returns it as it is then."""
        with self.store.transaction():
            stack = self.find(caller, stack_id) | changes
            stack = {name: value for name, value in stack.items() if value is not None}
            self.put(caller, stack)
        return stack

    def move(
        self, caller: Caller, stack_id: str, status: str, reason: str | None = None, **changes: Any
    ) -> Document:
        """Bring a stack into another status, and tell of it: by its events and to EventBridge."""
        with self.store.transaction():
            changes |= {"StackStatus": status, "StackStatusReason": reason}
            stack = self.change(caller, stack_id, **changes)
            self.tell(caller, stack, stack["StackName"], stack_id, STACK_TYPE, status, reason)
            detail = {
                "stack-id": stack_id,
                "status-details": {"status": status, "status-reason": reason or ""},
                "client-request-token": stack.get("ClientRequestToken", ""),
            }
            self.store.emit(
                caller,
                {
                    "source": "aws.cloudformation",
                    "detail-type": "CloudFormation Stack Status Change",
                    "account": caller.account,
                    "region": caller.region,
                    "time": self.store.clock.date().isoformat(timespec="seconds"),
                    "resources": [stack_id],
                    "detail": detail,
                },
            )
        return stack

    # Events

    def tell(
        self,
        caller: Caller,
        stack: Document,
        logical_id: str,
        physical_id: str,
        resource_type: str,
        status: str,
        reason: str | None = None,
        properties: str | None = None,
    ) -> None:
        """Add an event to a stack's."""
        event = {
            "StackId": stack["StackId"],
            "StackName": stack["StackName"],
            "EventId": str(uuid.uuid4())
            if resource_type == STACK_TYPE
            else f"{logical_id}-{status}-{uuid.uuid4()}",
            "LogicalResourceId": logical_id,
            "PhysicalResourceId": physical_id,
            "ResourceType": resource_type,
            "Timestamp": self.store.clock.now(),
            "ResourceStatus": status,
            "ResourceStatusReason": reason,
            "ResourceProperties": properties,
            "ClientRequestToken": stack.get("ClientRequestToken"),
        }
        given = {name: value for name, value in event.items() if value is not None}
        self.store.put(caller, EVENT, f"{key_of(stack['StackId'])}/{event['EventId']}", given)

    def events(self, caller: Caller, stack_id: str) -> list[Document]:
        """What happened to a stack, the last first."""
        return self.store.documents(caller, EVENT, f"{key_of(stack_id)}/")[::-1]

    # Resources

    def resources(self, caller: Caller, stack_id: str) -> list[Document]:
        """The physical resources of a stack, in the order in which they were begun."""
        return self.store.documents(caller, RESOURCE, f"{key_of(stack_id)}/")

    def put_resource(self, caller: Caller, stack_id: str, resource: Document) -> None:
        """Store a physical resource."""
        name = f"{key_of(stack_id)}/{resource['Id']}"
        self.store.put(caller, RESOURCE, name, resource)

    def drop_resource(self, caller: Caller, stack_id: str, resource: Document) -> None:
        """Forget a physical resource that is no part of the stack any more."""
        self.store.delete(caller, RESOURCE, f"{key_of(stack_id)}/{resource['Id']}")

    # Exports

    def exports(self, caller: Caller) -> dict[str, tuple[Document, str]]:
        """What stacks export, by name: the stack and the value."""
        return {
            name: (stack, value)
            for stack in self.all(caller)
            for name, value in stack.get("Exports", {}).items()
        }

    def importers(self, caller: Caller, export: str, but: str = "") -> list[str]:
        """The names of the stacks that import an export."""
        return [
            stack["StackName"]
            for stack in self.all(caller)
            if export in stack.get("Imports", []) and stack["StackId"] != but
        ]


def key_of(stack_id: str) -> str:
    """`NAME/UUID` of a stack's id."""
    return stack_id.partition(":stack/")[2] or stack_id


def live(resources: Iterable[Document]) -> dict[str, Document]:
    """Of each logical id the physical resource that stands for it."""
    found: dict[str, Document] = {}
    for resource in resources:
        gone = resource["ResourceStatus"] in (GONE, "DELETE_SKIPPED")
        if not gone and not resource.get("Replaced") and not resource.get("Leftover"):
            found[resource["LogicalResourceId"]] = resource
    return found
