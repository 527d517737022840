"""The conditions of a Condition step."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

from localcloud.errors import ValidationException
from localcloud.sagemaker.workflow.expressions import check_members, check_operand
from localcloud.sagemaker.workflow.values import Unresolvable, Values

_ORDER: dict[str, Callable[[Any, Any], bool]] = {
    "GreaterThan": operator.gt,
    "GreaterThanOrEqualTo": operator.ge,
    "LessThan": operator.lt,
    "LessThanOrEqualTo": operator.le,
}
MEMBERS = dict.fromkeys(("Equals", *_ORDER), ("LeftValue", "RightValue")) | {
    "In": ("QueryValue", "Values"),
    "Not": ("Condition",),
    "Or": ("Conditions",),
}


def holds(condition: dict[str, Any], values: Values) -> bool:
    """Whether a condition is true. Raises Unresolvable for values that cannot be compared."""
    match condition["Type"]:
        case "Not":
            return not holds(condition["Condition"], values)
        case "Or":
            return any(holds(part, values) for part in condition["Conditions"])
        case "In":
            wanted = values.resolve(condition["QueryValue"])
            return any(_same(wanted, values.resolve(item)) for item in condition["Values"])
    left, right = values.resolve(condition["LeftValue"]), values.resolve(condition["RightValue"])
    if condition["Type"] == "Equals":
        return _same(left, right)
    if _kind(left) is not _kind(right) or _kind(left) not in (float, str):
        raise Unresolvable(f"{left!r} and {right!r} cannot be compared by {condition['Type']}")
    return bool(_ORDER[condition["Type"]](left, right))


def check_condition(condition: Any, where: str) -> None:
    """Raise ValidationException for a condition, or one inside it, that has not its form."""
    kind = condition.get("Type") if isinstance(condition, dict) else None
    if not isinstance(kind, str) or kind not in MEMBERS:
        raise ValidationException(
            f"{where} has a condition of the unknown type {kind!r}; there are {', '.join(MEMBERS)}"
        )
    check_members(condition, ("Type", *MEMBERS[kind]), (), f"{where}: {kind}")
    match kind:
        case "Not":
            check_condition(condition["Condition"], where)
        case "Or":
            for part in _items(condition["Conditions"], f"{where}: Conditions of Or"):
                check_condition(part, where)
        case "In":
            check_operand(condition["QueryValue"], f"{where}: QueryValue of In")
            for item in _items(condition["Values"], f"{where}: Values of In"):
                check_operand(item, f"{where}: a value of In")
        case _:
            for side in MEMBERS[kind]:
                check_operand(condition[side], f"{where}: {side} of {kind}")


def _items(value: Any, what: str) -> list[Any]:
    if not isinstance(value, list) or not value:
        raise ValidationException(f"{what} must be a list that is not empty, not {value!r}")
    return value


def _same(left: Any, right: Any) -> bool:
    return _kind(left) is _kind(right) and bool(left == right)


def _kind(value: Any) -> type:
    """A value's type; the two kinds of number are one, and a boolean is none of them."""
    return float if isinstance(value, int) and not isinstance(value, bool) else type(value)
