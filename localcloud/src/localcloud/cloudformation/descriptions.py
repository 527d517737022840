"""The calls that tell of stacks, their resources, events, templates and exports."""

from __future__ import annotations

import json

from localcloud.cloudformation.change_set_records import ChangeSetRecords
from localcloud.cloudformation.errors import ValidationError
from localcloud.cloudformation.pages import paged
from localcloud.cloudformation.records import GONE, StackRecords
from localcloud.cloudformation.submissions import Submissions, capabilities_of
from localcloud.cloudformation.templates.parameters import declarations
from localcloud.cloudformation.templates.template import Template
from localcloud.protocol import Caller, Document, Operation

_SHOWN = (
    "StackId",
    "StackName",
    "ChangeSetId",
    "Description",
    "Parameters",
    "CreationTime",
    "DeletionTime",
    "LastUpdatedTime",
    "StackStatus",
    "StackStatusReason",
    "DisableRollback",
    "Capabilities",
    "Outputs",
    "RoleARN",
    "Tags",
)
_SUMMARY = (
    "StackId",
    "StackName",
    "CreationTime",
    "LastUpdatedTime",
    "DeletionTime",
    "StackStatus",
    "StackStatusReason",
)
_RESOURCE = (
    "LogicalResourceId",
    "PhysicalResourceId",
    "ResourceType",
    "ResourceStatus",
    "ResourceStatusReason",
)
_NOT_CHECKED = {"StackDriftStatus": "NOT_CHECKED"}
_RESOURCE_NOT_CHECKED = {"StackResourceDriftStatus": "NOT_CHECKED"}
_REASON = "The following resource(s) require capabilities: [AWS::IAM::Role]"


class Descriptions:
    """Reads only."""

    def __init__(
        self, records: StackRecords, change_sets: ChangeSetRecords, submissions: Submissions
    ) -> None:
        self._records = records
        self._change_sets = change_sets
        self._submissions = submissions

    def operations(self) -> dict[str, Operation]:
        """The calls by their AWS names."""
        return {
            "DescribeStacks": self.describe_stacks,
            "ListStacks": self.list_stacks,
            "DescribeStackEvents": self.describe_events,
            "DescribeStackResource": self.describe_resource,
            "DescribeStackResources": self.describe_resources,
            "ListStackResources": self.list_resources,
            "GetTemplate": self.get_template,
            "GetTemplateSummary": self.get_summary,
            "ValidateTemplate": self.validate,
            "ListExports": self.list_exports,
            "ListImports": self.list_imports,
        }

    def describe_stacks(self, caller: Caller, request: Document) -> Document:
        """DescribeStacks: one by name or id, or all that are not deleted."""
        if "StackName" in request:
            found = [self._records.find(caller, request["StackName"])]
        else:
            found = [each for each in self._records.all(caller) if each["StackStatus"] != GONE]
        return paged("Stacks", request, [_stack(each) for each in found])

    def list_stacks(self, caller: Caller, request: Document) -> Document:
        """ListStacks: by status, deleted ones too."""
        wanted = request.get("StackStatusFilter")
        summaries = []
        for stack in self._records.all(caller):
            if wanted and stack["StackStatus"] not in wanted:
                continue
            summary = _chosen(stack, _SUMMARY) | {"DriftInformation": _NOT_CHECKED}
            if stack.get("Description"):
                summary["TemplateDescription"] = stack["Description"]
            summaries.append(summary)
        return paged("StackSummaries", request, summaries)

    def describe_events(self, caller: Caller, request: Document) -> Document:
        """DescribeStackEvents: what happened to a stack and its resources, the last first."""
        stack = self._records.find(caller, request["StackName"])
        return paged("StackEvents", request, self._records.events(caller, stack["StackId"]))

    def describe_resource(self, caller: Caller, request: Document) -> Document:
        """DescribeStackResource: one of a stack by its logical id, with its metadata."""
        stack = self._records.find(caller, request["StackName"])
        logical_id = request["LogicalResourceId"]
        for resource in self._resources(caller, stack):
            if resource["LogicalResourceId"] == logical_id:
                detail = _chosen(resource, (*_RESOURCE, "LastUpdatedTimestamp")) | {
                    "StackName": stack["StackName"],
                    "StackId": stack["StackId"],
                    "DriftInformation": _RESOURCE_NOT_CHECKED,
                    "Metadata": json.dumps(resource["Metadata"]),
                }
                return {"StackResourceDetail": detail}
        raise ValidationError(
            f"Resource {logical_id} does not exist for stack {stack['StackName']}"
        )

    def describe_resources(self, caller: Caller, request: Document) -> Document:
        """DescribeStackResources: of a stack, or of the stack that a physical resource is of."""
        physical_id = request.get("PhysicalResourceId")
        if ("StackName" in request) == (physical_id is not None):
            raise ValidationError(
                "Either StackName or PhysicalResourceId must be specified, not both"
            )
        if physical_id is None:
            stack = self._records.find(caller, request["StackName"])
        else:
            stack = self._owner(caller, physical_id)
        logical_id = request.get("LogicalResourceId")
        found = [
            _chosen(resource, _RESOURCE)
            | {
                "StackName": stack["StackName"],
                "StackId": stack["StackId"],
                "Timestamp": resource["LastUpdatedTimestamp"],
                "DriftInformation": _RESOURCE_NOT_CHECKED,
            }
            for resource in self._resources(caller, stack)
            if logical_id in (None, resource["LogicalResourceId"])
        ]
        return {"StackResources": found}

    def list_resources(self, caller: Caller, request: Document) -> Document:
        """ListStackResources: of each logical id the resource that stands for it."""
        stack = self._records.find(caller, request["StackName"])
        found = [
            _chosen(resource, (*_RESOURCE, "LastUpdatedTimestamp"))
            | {"DriftInformation": _RESOURCE_NOT_CHECKED}
            for resource in self._resources(caller, stack)
        ]
        return paged("StackResourceSummaries", request, found)

    def get_template(self, caller: Caller, request: Document) -> Document:
        """GetTemplate: a stack's, or a change set's, as it was given."""
        if "ChangeSetName" in request:
            plan = self._change_sets.find(caller, request)["Plan"]
        elif "StackName" in request:
            stack = self._records.find(caller, request["StackName"])
            plan = stack.get("Current") or stack.get("Wanted")
        else:
            raise ValidationError("StackName or ChangeSetName must be specified")
        if plan is None:
            raise ValidationError(f"Template does not exist for {request['StackName']}")
        return {"TemplateBody": plan["Template"], "StagesAvailable": ["Original", "Processed"]}

    def get_summary(self, caller: Caller, request: Document) -> Document:
        """GetTemplateSummary: of a stack or of a template."""
        if "StackSetName" in request:
            raise ValidationError("localcloud does not emulate stack sets")
        if "StackName" in request:
            text = self.get_template(caller, {"StackName": request["StackName"]})["TemplateBody"]
        else:
            text = self._submissions.text(request)
        template = Template(text)
        summary: Document = {
            "Parameters": declarations(template.parameters),
            "ResourceTypes": template.resource_types(),
            "Version": template.version or "2010-09-09",
            "ResourceIdentifierSummaries": [],
            **_capabilities(template),
        }
        if template.description is not None:
            summary["Description"] = template.description
        if template.metadata:
            summary["Metadata"] = json.dumps(template.metadata)
        return summary

    def validate(self, _caller: Caller, request: Document) -> Document:
        """ValidateTemplate: its parameters and capabilities, if it is well formed."""
        template = Template(self._submissions.text(request))
        members = ("ParameterKey", "DefaultValue", "NoEcho", "Description")
        answer: Document = {
            "Parameters": [_chosen(each, members) for each in declarations(template.parameters)],
            **_capabilities(template),
        }
        if template.description is not None:
            answer["Description"] = template.description
        return answer

    def list_exports(self, caller: Caller, request: Document) -> Document:
        """ListExports: what all stacks export, by name."""
        found: list[Document] = [
            {"ExportingStackId": stack["StackId"], "Name": name, "Value": value}
            for name, (stack, value) in sorted(self._records.exports(caller).items())
        ]
        return paged("Exports", request, found)

    def list_imports(self, caller: Caller, request: Document) -> Document:
        """ListImports: the names of the stacks that import an export."""
        name = request["ExportName"]
        importers = self._records.importers(caller, name)
        if not importers:
            raise ValidationError(f"Export '{name}' is not imported by any stack.")
        return {"Imports": importers}

    def _resources(self, caller: Caller, stack: Document) -> list[Document]:
        """A stack's resources, of each logical id the one that stands for it."""
        found: dict[str, Document] = {}
        for resource in self._records.resources(caller, stack["StackId"]):
            if resource.get("Leftover"):
                continue
            if not resource.get("Replaced") or resource["LogicalResourceId"] not in found:
                found[resource["LogicalResourceId"]] = resource
        return list(found.values())

    def _owner(self, caller: Caller, physical_id: str) -> Document:
        for stack in self._records.all(caller):
            for resource in self._records.resources(caller, stack["StackId"]):
                if resource["PhysicalResourceId"] == physical_id and stack["StackStatus"] != GONE:
                    return stack
        raise ValidationError(f"Stack for {physical_id} does not exist")


def _stack(stack: Document) -> Document:
    return _chosen(stack, _SHOWN) | {
        "NotificationARNs": [],
        "RollbackConfiguration": {},
        "EnableTerminationProtection": False,
        "DriftInformation": _NOT_CHECKED,
    }


def _capabilities(template: Template) -> Document:
    needed = capabilities_of(template)
    return {"Capabilities": needed, "CapabilitiesReason": _REASON} if needed else {}


def _chosen(document: Document, names: tuple[str, ...]) -> Document:
    return {name: document[name] for name in names if document.get(name) not in (None, "")}
