"""``--parameter Name=Value``: read, and checked against the definition before anything starts."""

import difflib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from pipelines.build.definition import Document
from pipelines.build.errors import UsageError
from pipelines.build.gate import defaults
from pipelines.predictive_maintenance.train.hyperparameters import (
    HYPERPARAMETERS,
    HyperparameterError,
)

_SHARES: Final = (
    "TestRatio",
    "ValidationRatio",
    "MinAveragePrecision",
    "MinRecall",
    "MinPrecision",
)
_PARTS: Final = ("TestRatio", "ValidationRatio")
# botocore's names of the lists of instance types are also the parameters' names.
_INSTANCE_TYPES: Final = ("ProcessingInstanceType", "TrainingInstanceType")
_TYPES: Final[Mapping[str, tuple[str, str]]] = {
    "Integer": (r"[+-]?[0-9]{1,18}", "a whole number"),
    "Float": (r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]{1,2})?", "a number"),
    "Boolean": (r"[Tt]rue|[Ff]alse", "true or false"),
    "String": (r"(?s:.*)", "a text"),
}


def parse(assignments: Sequence[str]) -> dict[str, str]:
    """Read ``Name=Value`` pairs; the value is all after the first ``=``. Raises UsageError."""
    values: dict[str, str] = {}
    for assignment in assignments:
        name, equals, value = assignment.partition("=")
        if not equals or not name:
            raise UsageError(f"--parameter must be Name=Value, not {assignment!r}.")
        if name in values:
            raise UsageError(f"Parameter {name} is given twice: {values[name]!r} and {value!r}.")
        values[name] = value
    return values


def check(given: Mapping[str, str], document: Document) -> None:
    """Raise UsageError for the first value that the pipeline or a job would refuse."""
    known = {parameter["Name"]: parameter for parameter in document.get("Parameters", [])}
    for name, text in given.items():
        if name not in known:
            raise UsageError(
                f"Parameter {name} is not one of the pipeline's{suggestion(name, known)} "
                f"The pipeline has {', '.join(known)}."
            )
        _check_type(known[name], text)
        for rule in _RULES:
            rule(name, text)
    _check_parts(defaults(document) | dict(given))


def suggestion(name: str, known: Iterable[str]) -> str:
    """Return ``; did you mean X?`` for the nearest known name, else a full stop."""
    by_lower = {each.lower(): each for each in known}
    near = difflib.get_close_matches(name.lower(), by_lower, n=1, cutoff=0.6)
    return f"; did you mean {by_lower[near[0]]}?" if near else "."


def _check_type(parameter: Document, text: str) -> None:
    name = parameter["Name"]
    pattern, words = _TYPES[parameter["Type"]]
    if not re.fullmatch(pattern, text):
        raise UsageError(f"Parameter {name} must be {words}, not {text!r}.")
    allowed = parameter.get("EnumValues")
    if allowed and text not in allowed:
        raise UsageError(f"Parameter {name} must be one of {', '.join(allowed)}, not {text!r}.")


def _check_share(name: str, text: str) -> None:
    if name in _SHARES and not 0 <= float(text) <= 1:
        raise UsageError(f"Parameter {name} must be from 0 to 1, not {text}.")


def _check_hyperparameter(name: str, text: str) -> None:
    for each in HYPERPARAMETERS:
        if each.parameter == name:
            try:
                each.check(text)
            except HyperparameterError as error:
                raise UsageError(f"Parameter {name}: {error}") from error


def _check_instance(name: str, text: str) -> None:
    if name.endswith("InstanceCount") and int(text) < 1:
        raise UsageError(f"Parameter {name} must be at least 1, not {text}.")
    if name in _INSTANCE_TYPES:
        types = _instance_types(name)
        if text not in types:
            raise UsageError(
                f"Parameter {name} must be an instance type of SageMaker, not {text!r}"
                f"{suggestion(text, types)}"
            )


def _check_parts(values: Mapping[str, Any]) -> None:
    parts = [float(values[name]) for name in _PARTS if name in values]
    if parts and (min(parts) <= 0 or sum(parts) >= 1):
        raise UsageError(
            f"Parameters {' and '.join(_PARTS)} must each be more than 0 and together less than 1, "
            f"so that rows are left for training; they are {' and '.join(f'{p:g}' for p in parts)}."
        )


def _instance_types(name: str) -> list[str]:
    import botocore.session  # noqa: PLC0415 - not for --help

    shape: Any = botocore.session.get_session().get_service_model("sagemaker").shape_for(name)
    return list(shape.enum)


_RULES: Final[tuple[Callable[[str, str], None], ...]] = (
    _check_share,
    _check_hyperparameter,
    _check_instance,
)
