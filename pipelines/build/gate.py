"""The quality gate, read from the definition: which metric is held against which threshold."""

import json
import operator
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from pipelines.build import definition
from pipelines.build.definition import Document
from pipelines.build.terminal import number, table

Metrics = dict[str, float]

_OPERATORS: Final[Mapping[str, tuple[str, Callable[[float, float], bool]]]] = {
    "GreaterThanOrEqualTo": (">=", operator.ge),
    "GreaterThan": (">", operator.gt),
    "LessThanOrEqualTo": ("<=", operator.le),
    "LessThan": ("<", operator.lt),
}


@dataclass(frozen=True, slots=True)
class Check:
    """One metric, its rule and threshold, and the step that measures it."""

    metric: str
    kind: str
    threshold: float
    step: str
    property_file: str

    @property
    def rule(self) -> str:
        """The rule as it is written in a table."""
        return f"{_OPERATORS[self.kind][0]} {number(self.threshold)}"

    @property
    def higher_is_better(self) -> bool:
        """The direction in which this metric is good."""
        return self.kind.startswith("Greater")

    def holds(self, value: float) -> bool:
        """Tell whether a value passes."""
        return _OPERATORS[self.kind][1](value, self.threshold)


def checks(document: Document, parameters: Mapping[str, Any]) -> list[Check]:
    """Return the gate of a definition under an execution's parameters; the defaults fill in."""
    values = defaults(document) | dict(parameters)
    return [
        check
        for step in definition.steps(document)
        if step["Type"] == "Condition"
        for condition in step["Arguments"]["Conditions"]
        for check in _read(condition, values)
    ]


def defaults(document: Document) -> dict[str, Any]:
    """Return the parameters' default values."""
    return {
        parameter["Name"]: parameter["DefaultValue"]
        for parameter in document.get("Parameters", [])
        if "DefaultValue" in parameter
    }


def file_of(document: Document, step_name: str, property_file: str) -> tuple[str, str]:
    """Return the processing output that holds a property file, and the file's path in it."""
    for step in definition.steps(document):
        for entry in step.get("PropertyFiles", []):
            if step["Name"] == step_name and entry["PropertyFileName"] == property_file:
                return str(entry["OutputName"]), str(entry["FilePath"])
    raise KeyError(property_file)


def read_metrics(s3: Any, uri: str) -> Metrics:
    """Read the numbers of a flat JSON file in S3; empty when it is not there or no such file."""
    from botocore.exceptions import ClientError  # noqa: PLC0415

    from pipelines.build.errors import is_missing  # noqa: PLC0415

    bucket, _, key = uri.removeprefix("s3://").partition("/")
    try:
        content = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
    except ClientError as error:
        if is_missing(error):
            return {}
        raise
    try:
        document = json.loads(content)
    except ValueError:
        return {}
    if not isinstance(document, dict):
        return {}
    return {
        name: value
        for name, value in document.items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    }


def verdict(gate: list[Check], metrics: Metrics) -> str:
    """Return a table of every metric beside its threshold, and by how much a failing one fails."""
    rows = []
    for check in gate:
        value = metrics.get(check.metric)
        if value is None:
            rows.append([check.metric, "not measured", check.rule, "failed"])
        elif check.holds(value):
            rows.append([check.metric, number(value), check.rule, "passed"])
        else:
            missed = number(abs(value - check.threshold))
            rows.append([check.metric, number(value), check.rule, f"failed by {missed}"])
    gated = {check.metric for check in gate}
    rows += [[name, number(v), "", ""] for name, v in metrics.items() if name not in gated]
    return table(rows, ("metric", "value", "threshold", ""), "lrl") if rows else ""


def _read(condition: Document, values: Mapping[str, Any]) -> Iterator[Check]:
    left = condition.get("LeftValue")
    source = left.get("Std:JsonGet") if isinstance(left, dict) else None
    if source is None or condition["Type"] not in _OPERATORS:
        return
    _, step, _, name = source["PropertyFile"]["Get"].split(".", 3)
    right = condition["RightValue"]
    if isinstance(right, dict):
        right = values.get(str(right.get("Get", "")).removeprefix("Parameters."))
    if right is not None:
        yield Check(source["Path"], condition["Type"], float(right), step, name)
