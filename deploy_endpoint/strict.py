"""JSON into frozen dataclasses: each key once, none missing, none unknown, each of its type."""

import json
import types
import typing
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any, TypeVar

T = TypeVar("T")

_KINDS: Mapping[Any, str] = {int: "a whole number", float: "a number", str: "a text"}


class StrictError(ValueError):
    """A document is not what it must be; the text names the key, the rule and the value."""


def parse(kind: type[T], text: str) -> T:
    """Read a JSON text as a dataclass. Raises StrictError, from the dataclass's own rules too."""
    try:
        document = json.loads(text, object_pairs_hook=_once, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        raise StrictError(f"it must be JSON: {error}") from error
    return _object(kind, document, "")


def _object(kind: type[T], value: Any, where: str) -> T:
    if not isinstance(value, dict):
        raise StrictError(f"{where or 'it'} must be an object, not {json.dumps(value)}")
    hints = typing.get_type_hints(kind)
    names = [each.name for each in fields(typing.cast("Any", kind))]
    prefix = f"{where}." if where else ""
    for name in value:
        if name not in names:
            raise StrictError(f"unknown key {prefix}{name}; known are {', '.join(names)}")
    for name in names:
        if name not in value:
            raise StrictError(f"key {prefix}{name} is missing")
    values = {name: _value(hints[name], value[name], f"{prefix}{name}") for name in names}
    try:
        return kind(**values)
    except StrictError as error:
        raise StrictError(f"{prefix}{error}") from error


def _value(hint: Any, value: Any, where: str) -> Any:
    if isinstance(hint, types.UnionType):  # of one type and None: nothing else is declared
        (hint,) = (each for each in typing.get_args(hint) if each is not type(None))
        return None if value is None else _value(hint, value, where)
    if is_dataclass(hint):
        return _object(typing.cast("type[Any]", hint), value, where)
    origin = typing.get_origin(hint)
    if origin is Mapping:
        if not isinstance(value, dict) or not all(isinstance(each, str) for each in value.values()):
            raise StrictError(f"{where} must be an object of texts, not {json.dumps(value)}")
        return value
    if origin is typing.Literal:
        known = typing.get_args(hint)
        if value not in known:
            raise StrictError(f"{where} must be {' or '.join(known)}, not {json.dumps(value)}")
        return value
    accepted = (int, float) if hint is float else hint
    if isinstance(value, bool) or not isinstance(value, accepted):
        raise StrictError(f"{where} must be {_KINDS[hint]}, not {json.dumps(value)}")
    return value


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise StrictError(f"key {twice} is there twice")
    return found


def _no_constant(name: str) -> Any:
    raise StrictError(f"{name} is no JSON number")
