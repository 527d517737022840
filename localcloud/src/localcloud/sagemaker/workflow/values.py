"""Values of a definition that are known only when it runs: `Get`, `Std:Join`, `Std:JsonGet`."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from localcloud.sagemaker.workflow.expressions import Index, access_path, function_name

# How a list of a job's description is indexed by name, e.g. Outputs['train'].
_LIST_KEYS = ("OutputName", "InputName", "ChannelName", "MetricName", "Name")


class Unresolvable(Exception):  # noqa: N818 - reads as the sentence it makes
    """A value that the running execution cannot give."""


@dataclass
class Values:
    """What an execution knows: parameters, execution variables, properties of finished steps.

    `read` gives the bytes behind an S3 URI, for property files.
    """

    parameters: Mapping[str, Any]
    variables: Mapping[str, Any]
    read: Callable[[str], bytes]
    properties: dict[str, dict[str, Any]] = field(default_factory=dict)
    property_files: dict[str, dict[str, dict[str, str]]] = field(default_factory=dict)

    def knowing(self, variables: Mapping[str, Any]) -> Values:
        """The same with more execution variables: those of one step."""
        return replace(self, variables={**self.variables, **variables})

    def resolve(self, value: Any, *, nulls: bool = False) -> Any:
        """`value` with everything that stands for something else put in its place.

        Members that are null are left out, as AWS's calls ignore them, unless `nulls` keeps them.
        """
        if isinstance(value, list):
            return [self.resolve(item, nulls=nulls) for item in value]
        if not isinstance(value, dict):
            return value
        match function_name(value):
            case "Get":
                return self._get(value["Get"])
            case "Std:Join":
                return self._join(value["Std:Join"])
            case "Std:JsonGet":
                return self._json_get(value["Std:JsonGet"])
        return {
            key: self.resolve(item, nulls=nulls)
            for key, item in value.items()
            if nulls or item is not None
        }

    def _get(self, path: str) -> Any:
        root, *rest = access_path(path)
        match root:
            case "Parameters":
                return self.parameters[rest[0]]
            case "Execution":
                return self.variables[rest[0]]
            case "Steps":
                step, *properties = rest
                if step not in self.properties:
                    raise Unresolvable(f"{path}: step {step!r} did not run in this execution")
                return walk(self.properties[step], properties, path)
        raise Unresolvable(f"{path}: nothing is known by the name {root!r}")

    def _join(self, argument: dict[str, Any]) -> str:
        return str(argument["On"]).join(_text(self.resolve(item)) for item in argument["Values"])

    def _json_get(self, argument: dict[str, Any]) -> Any:
        uri = self._json_location(argument)
        try:
            document = json.loads(self.read(uri))
        except ValueError as error:
            raise Unresolvable(f"{uri} is not JSON: {error}") from error
        return walk(document, access_path(argument["Path"]), f"{uri}, path {argument['Path']}")

    def _json_location(self, argument: dict[str, Any]) -> str:
        if "S3Uri" in argument:
            return str(self.resolve(argument["S3Uri"]))
        _, step, _, name = access_path(argument["PropertyFile"]["Get"])
        declared = self.property_files[step][name]
        outputs = self.properties.get(step, {}).get("ProcessingOutputConfig", {}).get("Outputs", [])
        for output in outputs:
            if output["OutputName"] == declared["OutputName"]:
                return f"{output['S3Output']['S3Uri'].rstrip('/')}/{declared['FilePath']}"
        raise Unresolvable(f"step {step!r} has no output {declared['OutputName']!r}")


def walk(document: Any, parts: list[str], where: str) -> Any:
    """What stands in `document` at the end of `parts`."""
    current = document
    for part in parts:
        try:
            current = current[part] if isinstance(current, dict) else _item(current, part)
        except (KeyError, IndexError, TypeError, AttributeError) as error:
            raise Unresolvable(f"{where}: there is no {part!r}") from error
    return current


def _item(items: list[Any], part: str) -> Any:
    if not isinstance(items, list):
        raise TypeError(part)
    if isinstance(part, Index):
        return items[int(part)]
    for item in items:
        if isinstance(item, dict) and any(item.get(key) == part for key in _LIST_KEYS):
            return item
    if part.isdecimal():  # as in `auc.0`
        return items[int(part)]
    raise KeyError(part)


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return str(value)
