"""The values that only CloudFormation has."""

from __future__ import annotations

from typing import Any, Final


class _Marker:
    def __init__(self, name: str) -> None:
        self._name = name

    def __repr__(self) -> str:
        return self._name


NO_VALUE: Final = _Marker("AWS::NoValue")
"""What `Ref: AWS::NoValue` gives: the member that has it is as if it were not there."""
UNKNOWN: Final = _Marker("known after apply")
"""What depends on a resource that is not made yet; a function of it is unknown, too."""


def is_unknown(value: Any) -> bool:
    """Whether a value, or anything in it, is not known yet."""
    if isinstance(value, dict):
        return any(is_unknown(item) for item in value.values())
    if isinstance(value, list):
        return any(is_unknown(item) for item in value)
    return value is UNKNOWN


def as_text(value: Any) -> str | None:
    """A number, a truth or a text as the functions see it; None for what is no text at all."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int | float):
        return str(value)
    return None
