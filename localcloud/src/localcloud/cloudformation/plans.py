"""A plan: a template, the values of its parameters and tags; what a stack has or shall have."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from localcloud.cloudformation.errors import ValidationError
from localcloud.cloudformation.records import StackRecords
from localcloud.cloudformation.templates.evaluation import Evaluation
from localcloud.cloudformation.templates.parameters import Parameters
from localcloud.cloudformation.templates.template import Template
from localcloud.protocol import Caller, Document


@dataclass(frozen=True)
class Plan:
    """What was checked when it was asked for, and is evaluated again as resources come to be."""

    text: str
    texts: dict[str, str]
    tags: list[Document]
    capabilities: list[str]

    @classmethod
    def of(cls, document: Document) -> Plan:
        """The plan that `document` was made of."""
        return cls(
            document["Template"],
            document["Parameters"],
            document["Tags"],
            document["Capabilities"],
        )

    def document(self) -> Document:
        """As it is stored."""
        return {
            "Template": self.text,
            "Parameters": self.texts,
            "Tags": self.tags,
            "Capabilities": self.capabilities,
        }

    @cached_property
    def template(self) -> Template:
        """The template, read."""
        return Template(self.text)

    @cached_property
    def parameters(self) -> Parameters:
        """The parameters' values, checked."""
        given = [{"ParameterKey": k, "ParameterValue": v} for k, v in self.texts.items()]
        return Parameters(self.template.parameters, given)

    @property
    def tag_map(self) -> dict[str, str]:
        """The tags by key."""
        return {tag["Key"]: tag["Value"] for tag in self.tags}

    def shown(self) -> Document:
        """What DescribeStacks shows of it."""
        return {
            "Description": self.template.description,
            "Parameters": self.parameters.shown(),
            "Tags": self.tags,
            "Capabilities": self.capabilities,
        }

    def evaluation(
        self,
        caller: Caller,
        stack: Document,
        resource: Callable[[str, str | None], Any],
        imported: Callable[[str], str],
    ) -> Evaluation:
        """The template with these values for a stack."""
        return Evaluation(
            self.template,
            self.parameters,
            caller,
            stack["StackName"],
            stack["StackId"],
            resource,
            imported,
        )

    @staticmethod
    def imported(records: StackRecords, caller: Caller, name: str) -> str:
        """The value of an export. Raises ValidationError."""
        found = records.exports(caller).get(name)
        if found is None:
            raise ValidationError(f"No export named {name} found")
        return found[1]
