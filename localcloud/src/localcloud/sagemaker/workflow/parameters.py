"""The parameters of a definition: declarations and the values that an execution is given."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from localcloud.errors import ValidationException
from localcloud.sagemaker.workflow.expressions import check_members

_PYTHON_TYPES: dict[str, tuple[type, ...]] = {
    "String": (str,),
    "Integer": (int,),
    "Float": (int, float),
    "Boolean": (bool,),
}


@dataclass(frozen=True)
class Parameter:
    """A parameter's declaration."""

    name: str
    type: str
    default: Any = None
    allowed: tuple[Any, ...] = ()

    def read(self, text: str) -> Any:
        """The value of this parameter that StartPipelineExecution gives as text."""
        try:
            value = self._convert(text)
        except ValueError as error:
            raise ValidationException(
                f"Parameter [{self.name}] must be of type {self.type}; {text!r} is not"
            ) from error
        if self.allowed and value not in self.allowed:
            raise ValidationException(
                f"Parameter [{self.name}] must be one of {list(self.allowed)}, not {text!r}"
            )
        return value

    def _convert(self, text: str) -> Any:
        match self.type:
            case "Integer":
                if not re.fullmatch(r"[+-]?\d+", text, re.ASCII):
                    raise ValueError(text)
                return int(text)
            case "Float":
                value = float(text)
                if not math.isfinite(value) or "_" in text:
                    raise ValueError(text)
                return value
            case "Boolean":
                if text.lower() not in ("true", "false"):
                    raise ValueError(text)
                return text.lower() == "true"
            case _:
                return text


def read_parameters(declared: Any) -> Iterator[tuple[str, Parameter]]:
    """The declarations by name. Raises ValidationException for one that has not its form."""
    if not isinstance(declared, list):
        raise ValidationException(f"Parameters must be a list, not {declared!r}")
    seen = set()
    for item in declared:
        check_members(item, ("Name", "Type"), ("DefaultValue", "EnumValues"), "A parameter")
        name, kind = item["Name"], item["Type"]
        if not isinstance(name, str) or not name or name in seen:
            raise ValidationException(f"Parameter names must be present and unique: {name!r}")
        if not isinstance(kind, str) or kind not in _PYTHON_TYPES:
            raise ValidationException(f"Parameter [{name}] has the unknown type {kind!r}")
        seen.add(name)
        values = item.get("EnumValues") or []
        if not isinstance(values, list):
            raise ValidationException(f"Parameter [{name}]: EnumValues must be a list")
        default, allowed = item.get("DefaultValue"), tuple(values)
        wrong_bool = isinstance(default, bool) and kind != "Boolean"
        if default is not None and (wrong_bool or not isinstance(default, _PYTHON_TYPES[kind])):
            raise ValidationException(f"Parameter [{name}] is {kind}, its default is {default!r}")
        if allowed and default is not None and default not in allowed:
            raise ValidationException(
                f"Parameter [{name}] must be one of {list(allowed)}, its default is {default!r}"
            )
        yield name, Parameter(name, kind, default, allowed)


def check_parameter(declared: dict[str, Parameter], path: list[str], where: str) -> None:
    """Refuse a path below `Parameters` that is not the name of one."""
    name, *below = path
    if name not in declared:
        raise ValidationException(f"{where}: the definition uses the undeclared parameter [{name}]")
    if below:
        raise ValidationException(
            f"{where}: the parameter [{name}] is one value and has no {'.'.join(below)!r}"
        )


def given_values(parameters: dict[str, Parameter], given: list[dict[str, str]]) -> dict[str, Any]:
    """Every parameter's value, from what an execution was given and from the defaults."""
    names = [item["Name"] for item in given]
    for name in names:
        if name not in parameters:
            raise ValidationException(
                f"Pipeline has no parameter [{name}]; it has {sorted(parameters)}"
            )
        if names.count(name) > 1:
            raise ValidationException(f"Parameter [{name}] is given more than once")
    texts = {item["Name"]: item["Value"] for item in given}
    values = {}
    for name, parameter in parameters.items():
        if name in texts:
            values[name] = parameter.read(texts[name])
        elif parameter.default is not None:
            values[name] = parameter.default
        else:
            raise ValidationException(f"Parameter [{name}] has no default and needs a value")
    return values
