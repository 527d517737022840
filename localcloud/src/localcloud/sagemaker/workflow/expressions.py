"""The functions of a definition and their forms: `Get`, `Std:Join`, `Std:JsonGet`.

Source: the JSON that the SageMaker Python SDK writes for version 2020-12-01.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from localcloud.errors import ValidationException

_ACCESS = re.compile(
    r"\.?(?P<name>[^.\[\]]+)|\[(?P<index>\d+)\]|\['(?P<single>[^']*)'\]|\[\"(?P<double>[^\"]*)\"\]"
)
_FUNCTIONS = ("Get", "Std:Join", "Std:JsonGet")


def function_name(value: Any) -> str | None:
    """The function that a value calls, None if it calls none."""
    if isinstance(value, dict) and len(value) == 1:
        (key,) = value
        if key == "Get" or key.startswith("Std:"):
            return str(key)
    return None


class Index(str):
    """A part of a path that is a place in a list: the number in `[0]`, without quotes."""

    __slots__ = ()


def access_path(path: str) -> list[str]:
    """The parts of a path such as `Steps.A.Outputs['b'].S3Uri` or `metrics.auc[0]`.

    A part in brackets and without quotes is an Index.
    """
    parts: list[str] = []
    position = 0
    if not isinstance(path, str):
        raise ValidationException(f"{path!r} is not a path that a definition can use")
    while position < len(path):
        found = _ACCESS.match(path, position)
        if found is None:
            raise ValidationException(f"{path!r} is not a path that a definition can use")
        part = next(group for group in found.groups() if group is not None)
        parts.append(Index(part) if found["index"] is not None else part)
        position = found.end()
    return parts


def references(value: Any) -> Iterator[list[str]]:
    """The paths of every `Get` inside a value."""
    if function_name(value) == "Get":
        yield access_path(value["Get"])
    elif isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from references(item)


def check_functions(value: Any, where: str) -> None:
    """Raise ValidationException for a function inside `value` that has not its form."""
    if isinstance(value, list):
        for item in value:
            check_functions(item, where)
    elif isinstance(value, dict):
        name = function_name(value)
        if name is not None:
            _check_function(name, value[name], where)
            return
        for key, item in value.items():
            if key.startswith("Std:"):
                raise ValidationException(
                    f"{where}: {key} must stand alone, not beside {_others(value, key)}"
                )
            check_functions(item, where)


def check_operand(value: Any, where: str) -> None:
    """Raise ValidationException unless `value` is a text, a number, a boolean or a function."""
    if isinstance(value, str | int | float):
        return
    if function_name(value) is None:
        raise ValidationException(
            f"{where} must be a text, a number, a boolean or one of {', '.join(_FUNCTIONS)}, "
            f"not {value!r}"
        )
    check_functions(value, where)


def check_members(
    value: Any, needed: tuple[str, ...], optional: tuple[str, ...], what: str
) -> None:
    """Raise ValidationException unless `value` is an object with these members and no others."""
    if not isinstance(value, dict):
        raise ValidationException(
            f"Unable to parse pipeline definition. {what} must be an object, not {value!r}"
        )
    for name in value:
        if name not in (*needed, *optional):
            raise ValidationException(
                f"Unable to parse pipeline definition. Cannot parse object, unknown property "
                f"'{name}'. ({what} has {', '.join((*needed, *optional))})"
            )
    for name in needed:
        if name not in value:
            raise ValidationException(
                f"Unable to parse pipeline definition. {what} must have {name}"
            )


def _check_function(name: str, argument: Any, where: str) -> None:
    match name:
        case "Get":
            if not isinstance(argument, str) or len(access_path(argument)) < 2:
                raise ValidationException(
                    f"{where}: Get must name a parameter, a variable or a property, "
                    f"not {argument!r}"
                )
        case "Std:Join":
            check_members(argument, ("On", "Values"), (), f"{where}: Std:Join")
            if not isinstance(argument["On"], str) or not isinstance(argument["Values"], list):
                raise ValidationException(
                    f"{where}: Std:Join must have a text as On and a list as Values"
                )
            for item in argument["Values"]:
                check_operand(item, f"{where}: a value of Std:Join")
        case "Std:JsonGet":
            _check_json_get(argument, where)
        case _:
            raise ValidationException(
                f"{where} uses the function {name}; localcloud knows {', '.join(_FUNCTIONS)}"
            )


def _check_json_get(argument: Any, where: str) -> None:
    what = f"{where}: Std:JsonGet"
    check_members(argument, ("Path",), ("PropertyFile", "S3Uri"), what)
    if not isinstance(argument["Path"], str) or not access_path(argument["Path"]):
        raise ValidationException(f"{what} must have a path as Path, not {argument['Path']!r}")
    if ("PropertyFile" in argument) == ("S3Uri" in argument):
        raise ValidationException(f"{what} must have one of PropertyFile and S3Uri")
    if "S3Uri" in argument:
        check_operand(argument["S3Uri"], f"{what}: S3Uri")
        return
    file = argument["PropertyFile"]
    path = access_path(file["Get"]) if function_name(file) == "Get" else []
    if len(path) != 4 or path[0] != "Steps" or path[2] != "PropertyFiles":
        raise ValidationException(
            f"{what}: PropertyFile must be a Get of Steps.STEP.PropertyFiles.NAME, not {file!r}"
        )


def _others(value: dict[str, Any], key: str) -> str:
    return ", ".join(repr(name) for name in value if name != key)
