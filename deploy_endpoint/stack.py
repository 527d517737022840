"""A stage's stack: read, changed by a change set, followed to its end, deleted."""

import json
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from deploy_endpoint.clients import Workspace
from deploy_endpoint.errors import (
    DeployError,
    NotDeployedError,
    UnreachableError,
    UsageError,
    error_message,
    is_missing,
    translated,
)
from deploy_endpoint.pauses import pauses

_EMPTY = ("didn't contain changes", "No updates are to be performed")
# Of what was stopped because something else had failed; the cause is told elsewhere.
_CANCELLED = ("Resource creation cancelled", "Resource update cancelled")
_GOES_ON = "Stack {} goes on without you; `python -m deploy_endpoint status` shows it."
_GONE: Final = "DELETE_COMPLETE"
_PLANNED: Final = "REVIEW_IN_PROGRESS"
_NEVER_MADE: Final = ("ROLLBACK_COMPLETE", "CREATE_FAILED", "ROLLBACK_FAILED")


class Interrupted(DeployError):  # noqa: N818 - nothing went wrong
    """The user stopped looking; what was started goes on."""

    exit_code = 130


@dataclass(frozen=True)
class Stack:
    """A stack as CloudFormation describes it."""

    description: Mapping[str, Any]

    @property
    def name(self) -> str:
        """Its name."""
        return str(self.description["StackName"])

    @property
    def id(self) -> str:
        """Its ARN, which finds it even when it is deleted."""
        return str(self.description["StackId"])

    @property
    def status(self) -> str:
        """Its status, such as UPDATE_COMPLETE."""
        return str(self.description["StackStatus"])

    @property
    def created(self) -> datetime:
        """When it was made."""
        found: datetime = self.description["CreationTime"]
        return found

    @property
    def outputs(self) -> dict[str, str]:
        """Its outputs by their names."""
        found = self.description.get("Outputs", [])
        return {each["OutputKey"]: each["OutputValue"] for each in found}

    @property
    def parameters(self) -> dict[str, str]:
        """Its parameters' values."""
        found = self.description.get("Parameters", [])
        return {each["ParameterKey"]: each["ParameterValue"] for each in found}

    @property
    def busy(self) -> bool:
        """Whether something is under way in it."""
        return self.status.endswith("_IN_PROGRESS") and self.status != _PLANNED

    @property
    def unfinished(self) -> bool:
        """Whether its creation failed: it can only be deleted."""
        return self.status in _NEVER_MADE

    @property
    def exists(self) -> bool:
        """Whether there is more of it than a plan or the rest of a failed creation."""
        return self.status != _PLANNED and not self.unfinished


@dataclass(frozen=True)
class ChangeSet:
    """What would change; `changes` are CloudFormation's own ResourceChange documents.

    `only` says that the stack was made to hold it, and holds nothing else.
    """

    id: str
    stack: str
    only: bool
    changes: Sequence[Mapping[str, Any]]


def read(workspace: Workspace, name: str) -> Stack | None:
    """Return the stack of a name or ARN; None if there is none."""
    from botocore.exceptions import ClientError  # noqa: PLC0415

    try:
        (found,) = workspace.cloudformation.describe_stacks(StackName=name)["Stacks"]
    except ClientError as error:
        if is_missing(error):
            return None
        raise
    return None if found["StackStatus"] == _GONE and not name.startswith("arn:") else Stack(found)


def template(workspace: Workspace, name: str) -> str:
    """Return the template that the stack has now, as it was given."""
    answer = workspace.cloudformation.get_template(StackName=name, TemplateStage="Original")
    body = answer["TemplateBody"]  # boto3 reads one that is JSON
    return body if isinstance(body, str) else json.dumps(body)


def idle(workspace: Workspace, name: str) -> Stack | None:
    """Return the stack that may be changed; None if there is none.

    Raises UsageError while something is under way, and for a state that a person has to mend.
    """
    found = read(workspace, name)
    if found is None or found.unfinished:
        return found
    if found.busy:
        raise UsageError(f"Stack {name} must be idle; it is {found.status}. Try again later.")
    if found.status.endswith("_FAILED"):
        raise UsageError(
            f"Stack {name} is {found.status} and needs a person: see its events; "
            f"`aws cloudformation continue-update-rollback --stack-name {name}` may end it."
        )
    return found


def propose(
    workspace: Workspace,
    name: str,
    template: str | None,
    values: Mapping[str, str | None],
    tags: Mapping[str, str],
) -> ChangeSet | None:
    """Make a change set and return it; None if nothing would change.

    Without a template the stack keeps its own, and a parameter that is None its value. Raises
    UsageError if CloudFormation refuses the template or a value.
    """
    client = workspace.cloudformation
    found = read(workspace, name)
    creates = found is None or found.status == _PLANNED
    change_set = f"deploy-{uuid.uuid4().hex[:12]}"
    answer = client.create_change_set(
        StackName=name,
        ChangeSetName=change_set,
        ChangeSetType="CREATE" if creates else "UPDATE",
        Capabilities=["CAPABILITY_IAM"],
        Parameters=[
            {"ParameterKey": key, "UsePreviousValue": True}
            if value is None
            else {"ParameterKey": key, "ParameterValue": value}
            for key, value in values.items()
        ],
        Tags=[{"Key": key, "Value": value} for key, value in tags.items()],
        **({"UsePreviousTemplate": True} if template is None else {"TemplateBody": template}),
    )
    for pause in pauses():
        described = client.describe_change_set(ChangeSetName=answer["Id"], StackName=name)
        if described["Status"] not in ("CREATE_PENDING", "CREATE_IN_PROGRESS"):
            break
        time.sleep(pause)
    proposed = ChangeSet(answer["Id"], name, found is None, _changes(workspace, described))
    if described["Status"] == "CREATE_COMPLETE":
        return proposed
    discard(workspace, proposed)
    reason = described.get("StatusReason", "no reason is told")
    if any(words in reason for words in _EMPTY):
        return None
    raise UsageError(f"CloudFormation refused the changes of stack {name}: {reason}")


def discard(workspace: Workspace, change_set: ChangeSet) -> None:
    """Delete a change set, and the stack that was made only to hold it."""
    client = workspace.cloudformation
    client.delete_change_set(ChangeSetName=change_set.id, StackName=change_set.stack)
    if change_set.only:
        client.delete_stack(StackName=change_set.stack)


def execute(
    workspace: Workspace, change_set: ChangeSet, look: Callable[[], str | None] | None = None
) -> Stack:
    """Carry out a change set, telling what happens, and return the stack at its end.

    `look` gives a line about what the events do not tell. Raises NotDeployedError, with the first
    cause, if it failed and was rolled back.
    """
    client, name = workspace.cloudformation, change_set.stack
    since = _newest_event(workspace, name)
    client.execute_change_set(ChangeSetName=change_set.id, StackName=name)
    end = _follow(workspace, name, since, look)
    if end.status not in ("CREATE_COMPLETE", "UPDATE_COMPLETE"):
        cause = first_cause(workspace, name, since) or end.description.get("StackStatusReason", "")
        raise NotDeployedError(f"Stack {name} is {end.status}: {cause}")
    return end


def delete(workspace: Workspace, stack: Stack) -> None:
    """Delete a stack, telling what happens. Raises NotDeployedError if something of it stays."""
    since = _newest_event(workspace, stack.id)
    workspace.cloudformation.delete_stack(StackName=stack.name)
    end = _follow(workspace, stack.id, since, None)
    if end.status != _GONE:
        cause = first_cause(workspace, stack.id, since)
        raise NotDeployedError(f"Stack {stack.name} is {end.status}: {cause}")


def first_cause(workspace: Workspace, name: str, since: str | None) -> str | None:
    """Return what failed first since an event, with the reason; None if nothing did."""
    for event in _events(workspace, name, since):
        reason = event.get("ResourceStatusReason", "")
        if event["ResourceStatus"].endswith("_FAILED") and not reason.startswith(_CANCELLED):
            return f"{event['LogicalResourceId']} {event['ResourceStatus']}: {reason}"
    return None


def _follow(
    workspace: Workspace, name: str, since: str | None, look: Callable[[], str | None] | None
) -> Stack:
    told: set[str] = set()
    seen = None
    try:
        for pause in pauses():
            with translated():
                # The events first: a status from before the first of them says nothing.
                begun = _tell_events(workspace, name, since, told)
                found = read(workspace, name)
                line = look() if look else None
            if line and line != seen:
                workspace.terminal.write(f"{datetime.now().astimezone():%H:%M:%S}  {line}")
            seen = line
            ended = found is not None and not found.busy and (begun or found.status == _GONE)
            if found is not None and ended:
                _tell_events(workspace, name, since, told)
                return found
            time.sleep(pause)
    except KeyboardInterrupt:
        raise Interrupted(_GOES_ON.format(name)) from None
    except UnreachableError as error:
        raise UnreachableError(f"{error}\n{_GOES_ON.format(name)}") from error
    raise AssertionError


def _tell_events(workspace: Workspace, name: str, since: str | None, told: set[str]) -> bool:
    """Tell the events that are new, and whether one of the stack itself is among all of them."""
    events = _events(workspace, name, since)
    for event in events:
        if event["EventId"] not in told:
            told.add(event["EventId"])
            _tell(workspace, event)
    return any(event.get("PhysicalResourceId") == event["StackId"] for event in events)


def _tell(workspace: Workspace, event: Mapping[str, Any]) -> None:
    status, what = event["ResourceStatus"], event["LogicalResourceId"]
    failed = status.endswith("_FAILED")
    # A stack's beginnings are many and say little; what takes long is worth a line.
    if status.endswith("_IN_PROGRESS") and event["ResourceType"] not in (
        "AWS::SageMaker::Endpoint",
        "AWS::CloudFormation::Stack",
    ):
        return
    reason = f"  {event['ResourceStatusReason']}" if event.get("ResourceStatusReason") else ""
    moment = event["Timestamp"].astimezone()
    line = f"{moment:%H:%M:%S}  {what:<20}  {status}{reason}"
    workspace.terminal.write(workspace.terminal.paint(line, "bad" if failed else ""))


def _events(workspace: Workspace, name: str, since: str | None) -> list[Mapping[str, Any]]:
    """The events after one, the oldest first."""
    found: list[Mapping[str, Any]] = []
    pages = workspace.cloudformation.get_paginator("describe_stack_events").paginate(StackName=name)
    for page in pages:
        for event in page["StackEvents"]:
            if event["EventId"] == since:
                return found[::-1]
            found.append(event)
    return found[::-1]


def _newest_event(workspace: Workspace, name: str) -> str | None:
    from botocore.exceptions import ClientError  # noqa: PLC0415

    try:
        events = workspace.cloudformation.describe_stack_events(StackName=name)["StackEvents"]
    except ClientError as error:
        if is_missing(error):
            return None
        raise UsageError(f"Stack {name} tells no events: {error_message(error)}") from error
    return str(events[0]["EventId"]) if events else None


def _changes(workspace: Workspace, described: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    found = list(described.get("Changes", []))
    token = described.get("NextToken")
    while token:
        page = workspace.cloudformation.describe_change_set(
            ChangeSetName=described["ChangeSetId"], NextToken=token
        )
        found += page["Changes"]
        token = page.get("NextToken")
    return [each["ResourceChange"] for each in found if "ResourceChange" in each]
