"""A template: its sections, checked as far as that needs no values."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from localcloud.cloudformation.errors import ValidationError
from localcloud.cloudformation.templates.functions import Reference, functions_in, references
from localcloud.cloudformation.templates.parameters import check_declarations
from localcloud.cloudformation.templates.text import read_text
from localcloud.protocol import Document

MAX_RESOURCES = 500
PSEUDO_PARAMETERS = (
    "AWS::AccountId",
    "AWS::NoValue",
    "AWS::NotificationARNs",
    "AWS::Partition",
    "AWS::Region",
    "AWS::StackId",
    "AWS::StackName",
    "AWS::URLSuffix",
)
_SECTIONS = (
    "AWSTemplateFormatVersion",
    "Description",
    "Metadata",
    "Parameters",
    "Mappings",
    "Conditions",
    "Resources",
    "Outputs",
)
_REFUSED_SECTIONS = ("Transform", "Rules", "Hooks")
_MEMBERS = (
    "Type",
    "Properties",
    "DependsOn",
    "Condition",
    "DeletionPolicy",
    "UpdateReplacePolicy",
    "Metadata",
)
_REFUSED_MEMBERS = ("CreationPolicy", "UpdatePolicy")
_POLICIES = ("Delete", "Retain")
_OUTPUT_MEMBERS = ("Value", "Description", "Export", "Condition")
_VERSION = "2010-09-09"


@dataclass(frozen=True)
class Declared:
    """A resource as the template declares it."""

    logical_id: str
    type: str
    properties: Document
    depends_on: tuple[str, ...] = ()
    condition: str | None = None
    deletion_policy: str = "Delete"
    update_replace_policy: str = "Delete"
    metadata: Document = field(default_factory=dict)


class Template:
    """The sections of a template's text. Raises ValidationError for whatever AWS would refuse."""

    def __init__(self, text: str) -> None:
        document = read_text(text)
        _check_sections(document)
        self.version: str | None = document.get("AWSTemplateFormatVersion")
        self.description: str | None = document.get("Description")
        self.metadata: Document = document.get("Metadata", {})
        self.parameters: Document = document.get("Parameters", {})
        self.mappings: Document = document.get("Mappings", {})
        self.conditions: Document = document.get("Conditions", {})
        self.outputs: Document = document.get("Outputs", {})
        check_declarations(self.parameters)
        _check_mappings(self.mappings)
        _check_outputs(self.outputs)
        self.resources = {
            name: _declared(name, resource) for name, resource in document["Resources"].items()
        }
        self._check_conditions()
        self._check_names()

    def resource_types(self) -> list[str]:
        """The types that it uses, each once, in their order."""
        return list(dict.fromkeys(resource.type for resource in self.resources.values()))

    def _check_conditions(self) -> None:
        for name, value in self.conditions.items():
            if {"Fn::GetAtt", "Fn::ImportValue"} & set(functions_in(value)):
                raise ValidationError(
                    "Template format error: the condition "
                    f"{name} uses a function that cannot stand in the Conditions block"
                )
            for reference in references(value):
                known = (
                    self.conditions
                    if reference.kind == "condition"
                    else {*self.parameters, *PSEUDO_PARAMETERS}
                )
                if reference.name not in known:
                    raise ValidationError(
                        f"Template format error: Unresolved dependencies [{reference.name}]. "
                        "Cannot reference resources in the Conditions block of the template"
                    )
        order: dict[str, list[str]] = {
            name: [each.name for each in references(value) if each.kind == "condition"]
            for name, value in self.conditions.items()
        }
        circle = in_a_circle(order)
        if circle:
            raise ValidationError(f"Circular dependency between conditions: [{', '.join(circle)}]")

    def _check_names(self) -> None:
        for resource in self.resources.values():
            _refuse_dynamic_references(resource.properties, f"the resource {resource.logical_id}")
            for name in resource.depends_on:
                if name not in self.resources:
                    raise _unresolved([name], "Resources")
            if resource.condition is not None and resource.condition not in self.conditions:
                raise ValidationError(
                    f"Template format error: Condition {resource.condition} of the resource "
                    f"{resource.logical_id} does not exist in the Conditions block of the template"
                )
            self._check_references(references(resource.properties), "Resources")
        for name, output in self.outputs.items():
            _refuse_dynamic_references(output, f"the output {name}")
            if output.get("Condition", None) not in (None, *self.conditions):
                raise ValidationError(
                    f"Template format error: Condition {output['Condition']} of the output {name} "
                    "does not exist in the Conditions block of the template"
                )
            found = [*references(output["Value"]), *references(output.get("Export", {}))]
            self._check_references(iter(found), "Outputs")

    def _check_references(self, found: Iterator[Reference], block: str) -> None:
        for reference in found:
            match reference.kind:
                case "condition" if reference.name not in self.conditions:
                    raise ValidationError(
                        "Template error: unresolved condition dependency "
                        f"{reference.name} in Fn::If"
                    )
                case "ref" if reference.name not in {
                    *self.parameters,
                    *self.resources,
                    *PSEUDO_PARAMETERS,
                }:
                    raise _unresolved([reference.name], block)
                case "attribute" if reference.name not in self.resources:
                    raise ValidationError(
                        "Template error: instance of Fn::GetAtt references undefined resource "
                        f"{reference.name}"
                    )


def in_a_circle(needs: dict[str, list[str]]) -> list[str]:
    """The names that wait for each other, sorted; none if there is an order."""
    left = {name: set(needed) & set(needs) for name, needed in needs.items()}
    while True:
        ready = {name for name, needed in left.items() if not needed & set(left)}
        if not ready:
            break
        left = {name: needed for name, needed in left.items() if name not in ready}
    # What only waits for the circle is not in it.
    while True:
        wanted = {each for needed in left.values() for each in needed}
        loose = [name for name in left if name not in wanted]
        if not loose:
            return sorted(left)
        left = {name: needed for name, needed in left.items() if name not in loose}


def _unresolved(names: list[str], block: str) -> ValidationError:
    return ValidationError(
        f"Template format error: Unresolved resource dependencies [{', '.join(names)}] in the "
        f"{block} block of the template"
    )


def _check_sections(document: Document) -> None:
    unknown = [name for name in document if name not in (*_SECTIONS, *_REFUSED_SECTIONS)]
    if unknown:
        raise ValidationError(f"Invalid template property or properties [{', '.join(unknown)}]")
    for name in _REFUSED_SECTIONS:
        if name in document:
            raise ValidationError(f"localcloud does not emulate the section {name} of templates")
    version = document.get("AWSTemplateFormatVersion", _VERSION)
    if version != _VERSION:
        raise ValidationError(
            f"Template format error: {version} is not a supported value for "
            "AWSTemplateFormatVersion."
        )
    if not isinstance(document.get("Description", ""), str):
        raise ValidationError("Template format error: every Description member must be a string.")
    for name in ("Metadata", "Parameters", "Mappings", "Conditions", "Resources", "Outputs"):
        if not isinstance(document.get(name, {}), dict):
            raise ValidationError(f"Template format error: {name} must be an object")
    resources = document.get("Resources")
    if not resources:
        raise ValidationError(
            "Template format error: At least one Resources member must be defined."
        )
    if len(resources) > MAX_RESOURCES:
        raise ValidationError(
            f"Template format error: Number of resources, {len(resources)}, is greater than "
            f"maximum allowed, {MAX_RESOURCES}"
        )


def _check_mappings(mappings: Document) -> None:
    for name, mapping in mappings.items():
        good = isinstance(mapping, dict) and all(
            isinstance(each, dict) for each in mapping.values()
        )
        if not good:
            raise ValidationError(
                f"Template format error: Every Mappings member {name} must be a map of maps"
            )
        if "Fn::Transform" in mapping:
            raise ValidationError("localcloud does not emulate the function Fn::Transform")


def _check_outputs(outputs: Document) -> None:
    for name, output in outputs.items():
        if not name.isalnum() or not name.isascii():
            raise ValidationError(f"Template format error: Output name {name} is non alphanumeric.")
        if not isinstance(output, dict) or "Value" not in output:
            raise ValidationError(
                "Template format error: Every Outputs member must contain a Value object; "
                f"{name} has none"
            )
        unknown = sorted(set(output) - set(_OUTPUT_MEMBERS))
        if unknown:
            raise ValidationError(f"Invalid template output property '{unknown[0]}' of {name}")
        export = output.get("Export", {"Name": ""})
        if not isinstance(export, dict) or set(export) != {"Name"}:
            raise ValidationError(
                f"Template format error: the Export of the output {name} must have a Name only"
            )


def _declared(name: str, resource: Any) -> Declared:
    if not name.isalnum() or not name.isascii():
        raise ValidationError(f"Template format error: Resource name {name} is non alphanumeric.")
    if not isinstance(resource, dict) or not isinstance(resource.get("Type"), str):
        raise ValidationError(
            f"Template format error: [/Resources/{name}] Every Resources object must contain a "
            "Type member."
        )
    for member in resource:
        if member in _REFUSED_MEMBERS:
            raise ValidationError(f"localcloud does not emulate {member} of the resource {name}")
        if member not in _MEMBERS:
            raise ValidationError(f"Invalid template resource property '{member}' of {name}")
    depends_on = resource.get("DependsOn", [])
    needed = [depends_on] if isinstance(depends_on, str) else depends_on
    if not isinstance(needed, list) or not all(isinstance(each, str) for each in needed):
        raise ValidationError(
            f"Template format error: DependsOn of the resource {name} must be a string or a list "
            "of strings."
        )
    properties = resource.get("Properties", {})
    if not isinstance(properties, dict):
        raise ValidationError(
            f"Template format error: [/Resources/{name}] Properties must be an object"
        )
    condition = resource.get("Condition")
    if condition is not None and not isinstance(condition, str):
        raise ValidationError(
            f"Template format error: the Condition of the resource {name} must be the name of a "
            "condition"
        )
    return Declared(
        name,
        resource["Type"],
        properties,
        tuple(needed),
        condition,
        _policy(name, resource, "DeletionPolicy"),
        _policy(name, resource, "UpdateReplacePolicy"),
        resource.get("Metadata", {}),
    )


def _policy(name: str, resource: Document, member: str) -> str:
    value = resource.get(member, "Delete")
    if value not in _POLICIES:
        raise ValidationError(
            f"Template error: {member} {value!r} of the resource {name} is none of those that "
            f"localcloud emulates: {', '.join(_POLICIES)}"
        )
    return str(value)


def _refuse_dynamic_references(value: Any, where: str) -> None:
    if isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            _refuse_dynamic_references(item, where)
    elif isinstance(value, str) and "{{resolve:" in value:
        raise ValidationError(
            f"localcloud does not emulate dynamic references such as {value[:60]!r} in {where}"
        )
