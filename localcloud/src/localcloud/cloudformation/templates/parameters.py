"""A template's parameters: what is declared, and the values that a request gives them."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

from localcloud.cloudformation.errors import ValidationError
from localcloud.cloudformation.templates.values import as_text
from localcloud.protocol import Document

MAX_PARAMETERS = 200
MASK = "****"
_TYPES = ("String", "Number", "List<Number>", "CommaDelimitedList")
_MEMBERS = (
    "Type",
    "Default",
    "AllowedPattern",
    "AllowedValues",
    "ConstraintDescription",
    "Description",
    "MaxLength",
    "MaxValue",
    "MinLength",
    "MinValue",
    "NoEcho",
)
_LIMITS = ("MaxLength", "MinLength", "MaxValue", "MinValue")


def check_declarations(section: Document) -> None:
    """Raise ValidationError for a declaration that says what no parameter can be."""
    if len(section) > MAX_PARAMETERS:
        raise ValidationError(
            f"Template format error: Number of parameters, {len(section)}, is greater than maximum "
            f"allowed, {MAX_PARAMETERS}"
        )
    for name, declared in section.items():
        if not name.isalnum() or not name.isascii():
            raise ValidationError(
                f"Template format error: Parameter name {name} is non alphanumeric."
            )
        if not isinstance(declared, dict) or "Type" not in declared:
            raise ValidationError(
                "Template format error: Every Parameters object must contain a Type member."
            )
        unknown = sorted(set(declared) - set(_MEMBERS))
        if unknown:
            raise ValidationError(
                f"Invalid template parameter property '{unknown[0]}' of the parameter {name}"
            )
        if declared["Type"] not in _TYPES:
            raise ValidationError(
                f"Template format error: Unrecognized parameter type: {declared['Type']} of the "
                f"parameter {name}; localcloud emulates {', '.join(_TYPES)}"
            )
        for limit in _LIMITS:
            if limit in declared and _number(declared[limit]) is None:
                raise ValidationError(f"Template format error: {limit} of {name} is no number")


class Parameters:
    """The values of a stack's parameters, as texts, checked against their declarations.

    `previous` are the values that UsePreviousValue means.
    """

    def __init__(
        self,
        section: Document,
        given: Iterable[Document] = (),
        previous: Mapping[str, str] | None = None,
    ) -> None:
        self._section = section
        texts: dict[str, str] = {}
        for each in given:
            key = each.get("ParameterKey", "")
            if key in texts:
                raise ValidationError(f"Duplicate parameter keys: [{key}]")
            if each.get("UsePreviousValue"):
                texts[key] = self._kept(key, each, previous)
            elif "ParameterValue" in each:
                texts[key] = each["ParameterValue"]
        unknown = sorted(set(texts) - set(section))
        if unknown:
            raise ValidationError(
                f"Parameters: [{', '.join(unknown)}] do not exist in the template"
            )
        for name, declared in section.items():
            if "Default" in declared:
                texts.setdefault(name, _default(declared["Default"]))
        missing = [name for name in section if name not in texts]
        if missing:
            raise ValidationError(f"Parameters: [{', '.join(missing)}] must have values")
        self.texts = {name: texts[name] for name in section}
        for name, text in self.texts.items():
            _check(name, section[name], text)

    @staticmethod
    def _kept(key: str, given: Document, previous: Mapping[str, str] | None) -> str:
        if "ParameterValue" in given:
            raise ValidationError(
                f"Invalid input for parameter key {key}. Cannot specify usePreviousValue as true "
                "and non empty value for a parameter"
            )
        if previous is None or key not in previous:
            raise ValidationError(
                f"Invalid input for parameter key {key}. Cannot specify usePreviousValue as true "
                "for a parameter key not in the previous template"
            )
        return previous[key]

    def value(self, name: str) -> Any:
        """What `Ref` gives: a text, or a list of texts."""
        text = self.texts[name]
        if self._section[name]["Type"] in ("CommaDelimitedList", "List<Number>"):
            return [item.strip() for item in text.split(",")] if text else []
        return text

    def shown(self) -> list[Document]:
        """As DescribeStacks lists them: secrets are masked."""
        return [
            {
                "ParameterKey": name,
                "ParameterValue": MASK if _is_secret(self._section[name]) else text,
            }
            for name, text in self.texts.items()
        ]


def declarations(section: Document) -> list[Document]:
    """As GetTemplateSummary lists them."""
    listed = []
    for name, declared in section.items():
        shown: Document = {
            "ParameterKey": name,
            "ParameterType": declared["Type"],
            "NoEcho": _is_secret(declared),
            "ParameterConstraints": {},
        }
        if "Default" in declared:
            shown["DefaultValue"] = _default(declared["Default"])
        if "Description" in declared:
            shown["Description"] = declared["Description"]
        if "AllowedValues" in declared:
            allowed = [str(as_text(item)) for item in declared["AllowedValues"]]
            shown["ParameterConstraints"] = {"AllowedValues": allowed}
        listed.append(shown)
    return listed


def _is_secret(declared: Document) -> bool:
    return as_text(declared.get("NoEcho", False)) == "true"


def _default(value: Any) -> str:
    if isinstance(value, list):
        return ",".join(str(as_text(item)) for item in value)
    return str(as_text(value))


def _number(value: Any) -> float | None:
    try:
        return float(value)
    except (TypeError, ValueError):
        return None


def _check(name: str, declared: Document, text: str) -> None:
    items = [text]
    if declared["Type"] in ("CommaDelimitedList", "List<Number>"):
        items = [item.strip() for item in text.split(",")]
    for item in items:
        broken = _broken(name, declared, item)
        if broken and "ConstraintDescription" in declared:
            constraint = declared["ConstraintDescription"]
            broken = f"Parameter {name} failed to satisfy constraint: {constraint}"
        if broken:
            raise ValidationError(broken)


def _broken(name: str, declared: Document, text: str) -> str | None:
    """The first rule that a value breaks, in AWS's words."""
    allowed, pattern = declared.get("AllowedValues"), declared.get("AllowedPattern")
    number = _number(text) if "Number" in declared["Type"] else None
    rules = (
        (
            allowed is None or text in [as_text(item) for item in allowed],
            "must be one of AllowedValues",
        ),
        (pattern is None or re.fullmatch(pattern, text), f"must match pattern {pattern}"),
        (
            len(text) >= (_number(declared.get("MinLength")) or 0),
            f"must contain at least {declared.get('MinLength')} characters",
        ),
        (
            len(text) <= _limit(declared, "MaxLength"),
            f"must contain at most {declared.get('MaxLength')} characters",
        ),
        (number is not None or "Number" not in declared["Type"], "must be a number"),
        (
            number is None or number >= -_limit(declared, "MinValue", -1),
            f"must be a number not less than {declared.get('MinValue')}",
        ),
        (
            number is None or number <= _limit(declared, "MaxValue"),
            f"must be a number not greater than {declared.get('MaxValue')}",
        ),
    )
    broken = next((rule for holds, rule in rules if not holds), None)
    return broken and f"Parameter '{name}' {broken}"


def _limit(declared: Document, name: str, sign: int = 1) -> float:
    """A limit, infinite where none is declared."""
    found = _number(declared.get(name))
    return math.inf if found is None else sign * found
