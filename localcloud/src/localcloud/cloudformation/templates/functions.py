"""The intrinsic functions: what their arguments must be, and what they give.

Words of errors are AWS's own where they are known.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from localcloud.cloudformation.errors import ValidationError
from localcloud.cloudformation.templates.values import NO_VALUE, UNKNOWN, as_text, is_unknown

_VARIABLE = re.compile(r"\$\{([^}]*)\}")
_VARIABLE_NAME = re.compile(r"[A-Za-z0-9_.:]+")
_INDEX = re.compile(r"\d+")


class Scope(Protocol):
    """What names mean where a value stands."""

    def ref(self, name: str) -> Any:
        """A parameter's value, a pseudo parameter's, or the Ref of a resource."""

    def attribute(self, logical_id: str, name: str) -> Any:
        """An attribute of a resource."""

    def condition(self, name: str) -> bool:
        """Whether a condition holds."""

    def mapped(self, mapping: str, top: str, second: str) -> Any:
        """A value of the section Mappings, None if it is not there."""

    def imported(self, name: str) -> str:
        """The value of another stack's export."""


@dataclass(frozen=True)
class Reference:
    """A name that a value uses: of kind "ref", "attribute" or "condition"."""

    kind: str
    name: str
    attribute: str = ""


def evaluate(value: Any, scope: Scope) -> Any:
    """A value with its functions carried out; members without a value are gone."""
    call = _call(value)
    if call is not None:
        name, argument = call
        return _FUNCTIONS[name].evaluate(argument, scope)
    if isinstance(value, dict):
        found = {key: evaluate(item, scope) for key, item in value.items()}
        return {key: item for key, item in found.items() if item is not NO_VALUE}
    if isinstance(value, list):
        items = [evaluate(item, scope) for item in value]
        return [item for item in items if item is not NO_VALUE]
    return value


def references(value: Any, scope: Scope | None = None) -> Iterator[Reference]:
    """The names that a value uses; with a scope, those of the branches that are taken only.

    Raises ValidationError for a function whose arguments are none of its kind.
    """
    call = _call(value)
    if call is not None:
        name, argument = call
        _FUNCTIONS[name].check(argument)
        if name == "Fn::If":
            yield Reference("condition", argument[0])
            taken = argument[1:]
            if scope is not None:
                taken = [argument[1] if scope.condition(argument[0]) else argument[2]]
            for branch in taken:
                yield from references(branch, scope)
            return
        yield from _own_references(name, argument)
        if name not in ("Ref", "Condition"):
            yield from references(argument, scope)
    elif isinstance(value, dict):
        for item in value.values():
            yield from references(item, scope)
    elif isinstance(value, list):
        for item in value:
            yield from references(item, scope)


def functions_in(value: Any) -> Iterator[str]:
    """The names of the functions that a value uses."""
    call = _call(value)
    if call is not None:
        yield call[0]
    items = value.values() if isinstance(value, dict) else value
    if isinstance(value, dict | list):
        for item in items:
            yield from functions_in(item)


def _call(value: Any) -> tuple[str, Any] | None:
    """Function and argument of a value that is a call."""
    if not isinstance(value, dict) or len(value) != 1:
        return None
    ((name, argument),) = value.items()
    if name in _FUNCTIONS and (name != "Condition" or isinstance(argument, str)):
        return name, argument
    if name.startswith("Fn::"):
        raise ValidationError(
            f"Template error: localcloud does not emulate the function {name}; it knows "
            f"{', '.join(sorted(_FUNCTIONS))}"
        )
    return None


def _own_references(name: str, argument: Any) -> Iterator[Reference]:
    match name:
        case "Ref":
            yield Reference("ref", argument)
        case "Condition":
            yield Reference("condition", argument)
        case "Fn::GetAtt":
            logical_id, attribute = _attribute(argument)
            yield Reference("attribute", logical_id, attribute)
        case "Fn::Sub":
            text, variables = _substitution(argument)
            for variable in _variables(text):
                if variable in variables:
                    continue
                logical_id, dot, attribute = variable.partition(".")
                if dot:
                    yield Reference("attribute", logical_id, attribute)
                else:
                    yield Reference("ref", variable)


@dataclass(frozen=True)
class _Function:
    check: Callable[[Any], None]
    evaluate: Callable[[Any, Scope], Any]


def _error(rule: str) -> ValidationError:
    return ValidationError(f"Template error: {rule}")


def _need(holds: object, rule: str) -> None:
    if not holds:
        raise _error(rule)


def _is_list(value: Any, length: int) -> bool:
    return isinstance(value, list) and len(value) == length


# Ref, Fn::GetAtt

_REF = "every Ref object must have a single String value."
_GET_ATT = (
    "every Fn::GetAtt object requires two non-empty parameters, the resource name and the "
    "resource attribute"
)


def _check_ref(argument: Any) -> None:
    _need(isinstance(argument, str), _REF)


def _ref(argument: Any, scope: Scope) -> Any:
    return scope.ref(argument)


def _attribute(argument: Any) -> tuple[str, str]:
    parts = argument.split(".", 1) if isinstance(argument, str) else argument
    good = _is_list(parts, 2) and all(isinstance(part, str) and part for part in parts)
    _need(good, _GET_ATT)
    return parts[0], parts[1]


def _check_get_att(argument: Any) -> None:
    _attribute(argument)


def _get_att(argument: Any, scope: Scope) -> Any:
    return scope.attribute(*_attribute(argument))


# Fn::Sub

_SUB = (
    "One or more Fn::Sub intrinsic functions don't specify expected arguments. Specify a string "
    "as first argument, and an optional second argument to specify a mapping of values to replace "
    "in the string"
)
_SUB_NAMES = (
    "variable names in Fn::Sub syntax must contain only alphanumeric characters, underscores, "
    "periods, and colons"
)


def _substitution(argument: Any) -> tuple[str, dict[str, Any]]:
    text, variables = argument if _is_list(argument, 2) else (argument, {})
    _need(isinstance(text, str) and isinstance(variables, dict), _SUB)
    return text, variables


def _variables(text: str) -> Iterator[str]:
    for found in _VARIABLE.finditer(text):
        if found[1].startswith("!"):
            continue
        name = found[1].strip()
        _need(_VARIABLE_NAME.fullmatch(name), _SUB_NAMES)
        yield name


def _check_sub(argument: Any) -> None:
    text, _ = _substitution(argument)
    list(_variables(text))


def _sub(argument: Any, scope: Scope) -> Any:
    text, variables = _substitution(argument)
    values: dict[str, Any] = {}
    for name in _variables(text):
        if name in variables:
            values[name] = evaluate(variables[name], scope)
        elif "." in name:
            values[name] = scope.attribute(*name.split(".", 1))
        else:
            values[name] = scope.ref(name)
    if is_unknown(values):
        return UNKNOWN
    for name, value in values.items():
        _need(as_text(value) is not None, f"Fn::Sub: the value of ${{{name}}} is no string")

    def replace(found: re.Match[str]) -> str:
        if found[1].startswith("!"):
            return f"${{{found[1][1:]}}}"
        return str(as_text(values[found[1].strip()]))

    return _VARIABLE.sub(replace, text)


# Lists

_JOIN = (
    "every Fn::Join object requires two parameters, (1) a string delimiter and (2) a list of "
    "strings to be joined or a function that returns a list of strings (such as Fn::GetAZs) to be "
    "joined."
)
_SPLIT = (
    "every Fn::Split object requires two parameters, (1) a string delimiter and (2) a string to be "
    "split or a function that returns a string to be split."
)
_SELECT = (
    "every Fn::Select object requires two parameters, an index and a list of values or a function "
    "that returns a list"
)


def _is_function(value: Any) -> bool:
    return _call(value) is not None


def _check_join(argument: Any) -> None:
    good = _is_list(argument, 2) and isinstance(argument[0], str)
    _need(good and (isinstance(argument[1], list) or _is_function(argument[1])), _JOIN)


def _join(argument: Any, scope: Scope) -> Any:
    items = evaluate(argument[1], scope)
    if is_unknown(items):
        return UNKNOWN
    _need(isinstance(items, list) and all(as_text(item) is not None for item in items), _JOIN)
    return argument[0].join(str(as_text(item)) for item in items)


def _check_split(argument: Any) -> None:
    good = _is_list(argument, 2) and isinstance(argument[0], str) and argument[0]
    _need(good and (isinstance(argument[1], str) or _is_function(argument[1])), _SPLIT)


def _split(argument: Any, scope: Scope) -> Any:
    text = evaluate(argument[1], scope)
    if is_unknown(text):
        return UNKNOWN
    _need(isinstance(text, str), _SPLIT)
    return text.split(argument[0])


def _check_select(argument: Any) -> None:
    _need(_is_list(argument, 2), _SELECT)
    _need(isinstance(argument[1], list) or _is_function(argument[1]), _SELECT)


def _select(argument: Any, scope: Scope) -> Any:
    index, items = as_text(evaluate(argument[0], scope)), evaluate(argument[1], scope)
    if items is UNKNOWN:
        return UNKNOWN
    _need(isinstance(items, list) and index is not None and _INDEX.fullmatch(index), _SELECT)
    number = int(str(index))
    _need(number < len(items), f"Fn::Select cannot select nonexistent value at index {number}")
    return items[number]


# Conditions

_IF = "every Fn::If object requires a list of three: a condition's name and two values"
_EQUALS = "every Fn::Equals object requires a list of 2 string parameters."
_NOT = "every Fn::Not object requires a list of 1 boolean parameter."


def _check_if(argument: Any) -> None:
    _need(_is_list(argument, 3) and isinstance(argument[0], str), _IF)


def _if(argument: Any, scope: Scope) -> Any:
    return evaluate(argument[1] if scope.condition(argument[0]) else argument[2], scope)


def _check_equals(argument: Any) -> None:
    _need(_is_list(argument, 2), _EQUALS)


def _equals(argument: Any, scope: Scope) -> Any:
    sides = [evaluate(side, scope) for side in argument]
    texts = [as_text(side) for side in sides]
    _need(all(isinstance(side, str | int | float) for side in sides), _EQUALS)
    return texts[0] == texts[1]


def _check_not(argument: Any) -> None:
    _need(_is_list(argument, 1), _NOT)


def _truth(value: Any, scope: Scope, rule: str) -> bool:
    found = evaluate(value, scope)
    _need(isinstance(found, bool), rule)
    return bool(found)


def _not(argument: Any, scope: Scope) -> bool:
    return not _truth(argument[0], scope, _NOT)


def _several(name: str) -> str:
    return f"every {name} object requires a list of at least 2 and at most 10 boolean parameters."


def _check_several(name: str) -> Callable[[Any], None]:
    def check(argument: Any) -> None:
        _need(isinstance(argument, list) and 2 <= len(argument) <= 10, _several(name))

    return check


def _and(argument: Any, scope: Scope) -> bool:
    truths = [_truth(each, scope, _several("Fn::And")) for each in argument]
    return all(truths)


def _or(argument: Any, scope: Scope) -> bool:
    truths = [_truth(each, scope, _several("Fn::Or")) for each in argument]
    return any(truths)


def _check_condition(argument: Any) -> None:
    _need(isinstance(argument, str), "every Condition object must have a single String value.")


def _condition(argument: Any, scope: Scope) -> bool:
    return scope.condition(argument)


# The rest

_FIND_IN_MAP = (
    "every Fn::FindInMap object requires three parameters, the map name, map key and the attribute "
    "for return value"
)
_BASE64 = "every Fn::Base64 object must have a String-typed value."
_IMPORT = "every Fn::ImportValue object must have a String-typed value that names no resource."


def _check_find_in_map(argument: Any) -> None:
    _need(_is_list(argument, 3), _FIND_IN_MAP)


def _find_in_map(argument: Any, scope: Scope) -> Any:
    keys = [as_text(evaluate(each, scope)) for each in argument]
    _need(None not in keys, _FIND_IN_MAP)
    mapping, top, second = (str(key) for key in keys)
    found = scope.mapped(mapping, top, second)
    _need(found is not None, f"Unable to get mapping for {mapping}::{top}::{second}")
    return found


def _check_base64(argument: Any) -> None:
    _need(isinstance(argument, str) or _is_function(argument), _BASE64)


def _base64(argument: Any, scope: Scope) -> Any:
    text = evaluate(argument, scope)
    if text is UNKNOWN:
        return UNKNOWN
    _need(isinstance(text, str), _BASE64)
    return base64.b64encode(text.encode()).decode()


def _check_import(argument: Any) -> None:
    _need(isinstance(argument, str) or _is_function(argument), _IMPORT)


def _import(argument: Any, scope: Scope) -> Any:
    name = evaluate(argument, scope)
    _need(isinstance(name, str), _IMPORT)
    return scope.imported(name)


_FUNCTIONS = {
    "Ref": _Function(_check_ref, _ref),
    "Condition": _Function(_check_condition, _condition),
    "Fn::GetAtt": _Function(_check_get_att, _get_att),
    "Fn::Sub": _Function(_check_sub, _sub),
    "Fn::Join": _Function(_check_join, _join),
    "Fn::Split": _Function(_check_split, _split),
    "Fn::Select": _Function(_check_select, _select),
    "Fn::If": _Function(_check_if, _if),
    "Fn::Equals": _Function(_check_equals, _equals),
    "Fn::Not": _Function(_check_not, _not),
    "Fn::And": _Function(_check_several("Fn::And"), _and),
    "Fn::Or": _Function(_check_several("Fn::Or"), _or),
    "Fn::FindInMap": _Function(_check_find_in_map, _find_in_map),
    "Fn::Base64": _Function(_check_base64, _base64),
    "Fn::ImportValue": _Function(_check_import, _import),
}
