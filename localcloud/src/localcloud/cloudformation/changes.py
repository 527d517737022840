"""What bringing a stack to a template would do, told before anything is done."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from localcloud.cloudformation.errors import ResourceFailed, ValidationError
from localcloud.cloudformation.resources.kind import Kind
from localcloud.cloudformation.resources.schemas import coerced, create_only, violations
from localcloud.cloudformation.resources.table import KINDS
from localcloud.cloudformation.resources.tagging import with_stack_tags
from localcloud.cloudformation.templates.evaluation import Evaluation
from localcloud.cloudformation.templates.functions import references
from localcloud.cloudformation.templates.template import Declared, Template
from localcloud.cloudformation.templates.values import UNKNOWN, is_unknown
from localcloud.protocol import Document

_OTHERS = (("DeletionPolicy", "deletion_policy"), ("UpdateReplacePolicy", "update_replace_policy"))


@dataclass
class Change:
    """One resource that is added, modified or removed."""

    action: str
    logical_id: str
    type: str
    physical_id: str | None = None
    replacement: str | None = None
    scope: list[str] = field(default_factory=list)
    details: list[Document] = field(default_factory=list)
    policy: str | None = None

    def document(self) -> Document:
        """As DescribeChangeSet shows it."""
        shown = {
            "Action": self.action,
            "LogicalResourceId": self.logical_id,
            "PhysicalResourceId": self.physical_id,
            "ResourceType": self.type,
            "Replacement": self.replacement,
            "Scope": self.scope,
            "Details": self.details,
            "PolicyAction": self.policy,
        }
        change = {name: value for name, value in shown.items() if value is not None}
        return {"Type": "Resource", "ResourceChange": change}


def check_types(template: Template) -> None:
    """Raise ValidationError for types and attributes that there are none of."""
    unknown = [name for name in template.resource_types() if name not in KINDS]
    if unknown:
        raise ValidationError(
            f"Template format error: Unrecognized resource types: [{', '.join(unknown)}]. "
            f"localcloud emulates {', '.join(sorted(KINDS))}"
        )
    values: list[Any] = [resource.properties for resource in template.resources.values()]
    values += [output["Value"] for output in template.outputs.values()]
    for value in values:
        for reference in references(value):
            if reference.kind != "attribute":
                continue
            kind = KINDS[template.resources[reference.name].type]
            if not kind.gives(reference.attribute):
                raise ValidationError(
                    f"Template error: resource {reference.name} does not support attribute type "
                    f"{reference.attribute} in Fn::GetAtt"
                )


def check_properties(kind: Kind, logical_id: str, properties: Document) -> None:
    """Raise ResourceFailed for properties that the type does not have, or of another type."""
    broken = list(violations(kind.type, properties))
    if broken:
        raise ResourceFailed(
            f"Properties validation failed for resource {logical_id} of type {kind.type} with "
            f"message: {'; '.join(broken)}"
        )
    try:
        kind.refuse_others(properties)
    except ResourceFailed as error:
        raise ResourceFailed(
            f"Properties validation failed for resource {logical_id} of type {kind.type} with "
            f"message: {error}"
        ) from error


class Forecast:
    """The changes from the physical resources that are there to an evaluation.

    `before` is the template that the stack has. The evaluation must ask this object what
    resources are: `resource` is what it calls.
    """

    def __init__(
        self, there: Mapping[str, Document], before: Evaluation | None, tags: Mapping[str, str]
    ) -> None:
        self._there = there
        self._before = before
        self._tags = tags
        self._replaced: set[str] = set()

    def resource(self, logical_id: str, attribute: str | None) -> Any:
        """What a resource is for others, UNKNOWN if it will be another one."""
        found = self._there.get(logical_id)
        if found is None or logical_id in self._replaced:
            return UNKNOWN
        if attribute is None:
            return found["PhysicalResourceId"]
        return found["Attributes"].get(attribute, UNKNOWN)

    def changes(self, after: Evaluation) -> list[Change]:
        """All changes in the order in which they can be made. Raises ValidationError."""
        check_types(after.template)
        self._refuse_other_types(after)
        try:
            found = [
                change
                for logical_id in in_order(after.needs)
                if (change := self._change(logical_id, after)) is not None
            ]
        except ResourceFailed as error:
            raise ValidationError(str(error)) from error
        return found + list(self._removed(after))

    def _refuse_other_types(self, after: Evaluation) -> None:
        other = [
            name
            for name, resource in after.resources.items()
            if name in self._there and self._there[name]["ResourceType"] != resource.type
        ]
        if other:
            raise ValidationError(
                "Update of resource type is not permitted. The new template modifies resource type "
                f"of the following resources: [{', '.join(other)}]"
            )

    def _change(self, logical_id: str, after: Evaluation) -> Change | None:
        declared = after.resources[logical_id]
        kind = KINDS[declared.type]
        properties = wanted(after, logical_id, self._tags)
        check_properties(kind, logical_id, properties)
        there = self._there.get(logical_id)
        if there is None:
            return Change("Add", logical_id, kind.type)
        properties = named(kind, properties, there)
        change = Change("Modify", logical_id, kind.type, there["PhysicalResourceId"], "False")
        changed = differing(there["Properties"], properties)
        for name in changed:
            self._detail(change, name, properties, after)
        for attribute, member in _OTHERS:
            if there[attribute] != getattr(declared, member):
                change.details.append(_plain_detail(attribute))
        if there.get("Metadata", {}) != declared.metadata:
            change.details.append(_plain_detail("Metadata"))
        if not change.details:
            return None
        change.scope = sorted({each["Target"]["Attribute"] for each in change.details})
        if change.replacement != "False":
            self._replaced.add(logical_id)
            change.policy = f"ReplaceAnd{there['UpdateReplacePolicy']}"
        return change

    def _detail(self, change: Change, name: str, properties: Document, after: Evaluation) -> None:
        dynamic = is_unknown(properties.get(name))
        recreation = "Never"
        if name in create_only(change.type):
            recreation = "Conditionally" if dynamic else "Always"
            if change.replacement != "True":
                change.replacement = "Conditional" if dynamic else "True"
        source, entity = self._cause(change.logical_id, name, after)
        attribute = "Tags" if name == "Tags" else "Properties"
        target: Document = {"Attribute": attribute, "RequiresRecreation": recreation}
        if attribute == "Properties":
            target["Name"] = name
        detail = {
            "Target": target,
            "Evaluation": "Dynamic" if dynamic else "Static",
            "ChangeSource": source,
        }
        change.details.append(detail | ({"CausingEntity": entity} if entity else {}))

    def _cause(self, logical_id: str, name: str, after: Evaluation) -> tuple[str, str | None]:
        """Why a property differs: by itself, or by what it refers to."""
        before = self._before
        old = before.template.resources.get(logical_id) if before else None
        value = after.resources[logical_id].properties.get(name)
        if before is None or old is None or old.properties.get(name) != value:
            return "DirectModification", None
        for reference in references(value, after):
            if reference.kind == "attribute" and reference.name in self._replaced:
                return "ResourceAttribute", f"{reference.name}.{reference.attribute}"
            if reference.name in self._replaced:
                return "ResourceReference", reference.name
            if reference.name in after.template.parameters:
                texts = before.parameters.texts.get(reference.name)
                if texts != after.parameters.texts[reference.name]:
                    return "ParameterReference", reference.name
        return "DirectModification", None

    def _removed(self, after: Evaluation) -> Iterator[Change]:
        for logical_id, there in reversed(list(self._there.items())):
            if logical_id not in after.resources:
                yield Change(
                    "Remove",
                    logical_id,
                    there["ResourceType"],
                    there["PhysicalResourceId"],
                    policy=there["DeletionPolicy"],
                )


def wanted(evaluation: Evaluation, logical_id: str, tags: Mapping[str, str]) -> Document:
    """A resource's properties as they shall be: of the types of the schema, with all tags."""
    declared: Declared = evaluation.resources[logical_id]
    properties = coerced(declared.type, evaluation.properties(logical_id))
    return with_stack_tags(declared.type, properties, tags)


def named(kind: Kind, properties: Document, there: Document) -> Document:
    """The properties with the name that was made up for the resource that is there."""
    if kind.name is None or kind.name in properties or not there.get("NameMadeUp"):
        return properties
    return properties | {kind.name: there["Properties"][kind.name]}


def differing(before: Document, after: Document) -> list[str]:
    """The names of properties that differ."""
    names = dict.fromkeys([*after, *before])
    return [name for name in names if before.get(name) != after.get(name)]


def in_order(needs: Mapping[str, list[str]]) -> list[str]:
    """The names, each after those that it needs."""
    order: list[str] = []
    left = dict(needs)
    while left:
        ready = [name for name in left if not set(left[name]) & set(left)]
        order += ready
        left = {name: needed for name, needed in left.items() if name not in ready}
    return order


def _plain_detail(attribute: str) -> Document:
    return {
        "Target": {"Attribute": attribute, "RequiresRecreation": "Never"},
        "Evaluation": "Static",
        "ChangeSource": "DirectModification",
    }
