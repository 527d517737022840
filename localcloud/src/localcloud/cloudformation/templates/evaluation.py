"""A template with the values of its parameters: what is made of it, and in which order."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from localcloud.cloudformation.errors import ValidationError
from localcloud.cloudformation.templates.functions import evaluate, references
from localcloud.cloudformation.templates.parameters import Parameters
from localcloud.cloudformation.templates.template import Declared, Template, in_a_circle
from localcloud.cloudformation.templates.values import NO_VALUE, as_text, is_unknown
from localcloud.protocol import Caller, Document


@dataclass(frozen=True)
class Output:
    """A value that a stack tells, and the name under which other stacks may import it."""

    key: str
    value: Any
    description: str | None
    export: str | None


class Evaluation:
    """The names of a template and what they mean.

    `resource` gives what a resource is for others: its Ref with the attribute None, else the
    attribute, UNKNOWN while it is not made. `imported` gives the value of an export.
    """

    def __init__(
        self,
        template: Template,
        parameters: Parameters,
        caller: Caller,
        stack_name: str,
        stack_id: str,
        resource: Callable[[str, str | None], Any],
        imported: Callable[[str], str],
    ) -> None:
        self.template = template
        self.parameters = parameters
        self.imported = imported
        self._resource = resource
        self._pseudo: Mapping[str, Any] = {
            "AWS::AccountId": caller.account,
            "AWS::NoValue": NO_VALUE,
            "AWS::NotificationARNs": [],
            "AWS::Partition": "aws",
            "AWS::Region": caller.region,
            "AWS::StackId": stack_id,
            "AWS::StackName": stack_name,
            "AWS::URLSuffix": "amazonaws.com",
        }

    # What functions.Scope asks for

    def ref(self, name: str) -> Any:
        """A parameter's value, a pseudo parameter's, or the Ref of a resource."""
        if name in self._pseudo:
            return self._pseudo[name]
        if name in self.template.parameters:
            return self.parameters.value(name)
        return self._resource(name, None)

    def attribute(self, logical_id: str, name: str) -> Any:
        """An attribute of a resource."""
        return self._resource(logical_id, name)

    def condition(self, name: str) -> bool:
        """Whether a condition holds."""
        found = evaluate(self.template.conditions[name], self)
        if not isinstance(found, bool):
            raise ValidationError(
                f"Template format error: the condition {name} must be true or false, not {found!r}"
            )
        return found

    def mapped(self, mapping: str, top: str, second: str) -> Any:
        """A value of the section Mappings, None if it is not there."""
        return self.template.mappings.get(mapping, {}).get(top, {}).get(second)

    # What is made of it

    @cached_property
    def resources(self) -> dict[str, Declared]:
        """The resources whose condition holds."""
        return {
            name: resource
            for name, resource in self.template.resources.items()
            if resource.condition is None or self.condition(resource.condition)
        }

    @cached_property
    def needs(self) -> dict[str, list[str]]:
        """For each resource those that must be made before it. Raises ValidationError."""
        found = {name: self._needed(resource) for name, resource in self.resources.items()}
        circle = in_a_circle(found)
        if circle:
            raise ValidationError(f"Circular dependency between resources: [{', '.join(circle)}]")
        return found

    def _needed(self, resource: Declared) -> list[str]:
        needed = [name for name in resource.depends_on if name in self.resources]
        for reference in references([resource.properties, resource.metadata], self):
            name = reference.name
            if reference.kind == "condition" or name not in self.template.resources:
                continue
            if name not in self.resources:
                raise ValidationError(
                    f"Template format error: Unresolved resource dependencies [{name}] in the "
                    "Resources block of the template"
                )
            needed.append(name)
        return list(dict.fromkeys(needed))

    def properties(self, logical_id: str) -> Document:
        """A resource's properties with everything in them that is known by now."""
        found: Document = evaluate(self.resources[logical_id].properties, self)
        return found

    def outputs(self) -> list[Output]:
        """The outputs whose condition holds, in their order."""
        found = []
        for key, output in self.template.outputs.items():
            if "Condition" in output and not self.condition(output["Condition"]):
                continue
            for reference in references(output["Value"], self):
                gone = reference.name in self.template.resources.keys() - self.resources.keys()
                if reference.kind != "condition" and gone:
                    raise ValidationError(
                        "Template format error: Unresolved resource dependencies "
                        f"[{reference.name}] in the Outputs block of the template"
                    )
            value = evaluate(output["Value"], self)
            if not is_unknown(value) and as_text(value) is None:
                raise ValidationError(
                    "Template format error: The Value field of every Outputs member must evaluate "
                    f"to a String; that of {key} does not."
                )
            export = evaluate(output["Export"]["Name"], self) if "Export" in output else None
            if export is not None and not is_unknown(export) and not isinstance(export, str):
                raise ValidationError(f"The name of the export of {key} must be a string")
            shown = value if is_unknown(value) else as_text(value)
            found.append(Output(key, shown, output.get("Description"), export))
        return found
