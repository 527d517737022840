"""The rules of botocore's shapes, held against what a client sends.

botocore's own validator looks at no enum, no pattern and no length, so those rules, which AWS
applies, are read from the same models and applied here.
"""

from __future__ import annotations

import base64
import binascii
import math
import re
from collections.abc import Callable, Iterator
from difflib import get_close_matches
from functools import cache
from typing import Any

from botocore.model import ListShape, MapShape, Shape, StructureShape

from localcloud.errors import SerializationException, ServiceError, ValidationException

MAX_FINDINGS = 5
MAX_VALUES = 40
SHOWN = 80
"""Characters of a value that an error repeats."""
_INTEGER_BITS = {"integer": 32, "long": 64}


def check(shape: Shape, value: Any, invalid: type[ServiceError] = ValidationException) -> None:
    """Raise `invalid`, in AWS's own words, for every rule of `shape` that is broken.

    Raises SerializationException for a value of another type than the shape's.
    """
    findings = list(_violations(shape, value, ""))
    if not findings:
        return
    count = len(findings)
    noun = "error" if count == 1 else "errors"
    shown = "; ".join(findings[:MAX_FINDINGS])
    raise invalid(f"{count} validation {noun} detected: {shown}")


def _violations(shape: Shape, value: Any, path: str) -> Iterator[str]:
    match shape.type_name:
        case "structure":
            yield from _structure_violations(shape, value, path)
        case "list" | "map":
            yield from _container_violations(shape, value, path)
        case "string":
            _expect(isinstance(value, str), path, "a string", value)
            yield from _string_violations(shape, value, path)
        case "integer" | "long":
            _expect(type(value) is int, path, "an integer", value)
            bits = _INTEGER_BITS[shape.type_name]
            _expect(abs(value) < 2 ** (bits - 1), path, f"an integer of {bits} bits", value)
            yield from _range_violations(shape, value, value, path)
        case "float" | "double":
            _expect(_is_number(value), path, "a number", value)
            if math.isfinite(value):
                yield from _range_violations(shape, value, value, path)
            else:
                yield _finding(value, path, "Member must be a finite number")
        case "boolean":
            _expect(isinstance(value, bool), path, "true or false", value)
        case "timestamp":
            finite = _is_number(value) and math.isfinite(value)
            _expect(finite, path, "seconds since 1970", value)
        case "blob":
            _expect(isinstance(value, str), path, "base64 text", value)
            try:
                base64.b64decode(value, validate=True)
            except binascii.Error as error:
                raise SerializationException(f"{path} is not base64: {error}") from error


def _is_number(value: Any) -> bool:
    if type(value) is int:
        return abs(value) < 2**63
    return isinstance(value, float)


def _container_violations(shape: Shape, value: Any, path: str) -> Iterator[str]:
    if isinstance(shape, ListShape):
        _expect(isinstance(value, list), path, "a list", value)
        for index, item in enumerate(value, 1):
            yield from _violations(shape.member, item, f"{path}.{index}.member")
    elif isinstance(shape, MapShape):
        _expect(isinstance(value, dict), path, "an object", value)
        for key, item in value.items():
            yield from _violations(shape.key, key, f"{path}.{key[:SHOWN]}.key")
            yield from _violations(shape.value, item, f"{path}.{key[:SHOWN]}.value")
    yield from _range_violations(shape, value, len(value), path)


def _structure_violations(shape: Shape, value: Any, path: str) -> Iterator[str]:
    assert isinstance(shape, StructureShape)  # noqa: S101 - tells mypy what the caller knows
    if shape.is_document_type:
        return
    _expect(isinstance(value, dict), path, "an object", value)
    for name in shape.required_members:
        if value.get(name) is None:
            yield (
                f"Value null at {_quoted(path, name)} failed to satisfy constraint: "
                "Member must not be null"
            )
    given = [name for name in shape.members if value.get(name) is not None]
    if shape.is_tagged_union and len(given) != 1:
        yield f"Value at '{path}' failed to satisfy constraint: Exactly one member must be set"
    for name in given:
        yield from _violations(shape.members[name], value[name], _join(path, name))


def _string_violations(shape: Shape, value: str, path: str) -> Iterator[str]:
    broken = list(_range_violations(shape, value, len(value), path))
    yield from broken
    pattern = shape.metadata.get("pattern")
    # A text that is too long anyway is not searched: some patterns take their time.
    if pattern and not broken and not _matcher(pattern)(value):
        yield _finding(value, path, f"Member must satisfy regular expression pattern: {pattern}")
    allowed = shape.metadata.get("enum")
    if allowed and value not in allowed:
        yield _finding(
            value, path, f"Member must satisfy enum value set: [{_listed(allowed, value)}]"
        )


def _range_violations(shape: Shape, value: Any, size: float, path: str) -> Iterator[str]:
    noun = "value" if isinstance(value, int | float) else "length"
    minimum, maximum = shape.metadata.get("min"), shape.metadata.get("max")
    if minimum is not None and size < minimum:
        rule = f"Member must have {noun} greater than or equal to {minimum}"
        yield _finding(value, path, rule)
    if maximum is not None and size > maximum:
        yield _finding(value, path, f"Member must have {noun} less than or equal to {maximum}")


def _listed(allowed: list[str], value: str) -> str:
    if len(allowed) <= MAX_VALUES:
        return ", ".join(allowed)
    close = get_close_matches(value[:SHOWN], allowed, n=5, cutoff=0)
    return f"{', '.join(close)}, ... ({len(allowed)} values)"


def _finding(value: Any, path: str, rule: str) -> str:
    shown = str(value)
    if len(shown) > SHOWN:
        shown = f"{shown[: SHOWN - 3]}..."
    return f"Value '{shown}' at '{path}' failed to satisfy constraint: {rule}"


def _expect(holds: bool, path: str, wanted: str, value: Any) -> None:  # noqa: FBT001
    if not holds:
        kind = type(value).__name__
        raise SerializationException(f"{path or 'The body'} must be {wanted}, not {kind}")


def _join(path: str, name: str) -> str:
    member = name[:1].lower() + name[1:]
    return f"{path}.{member}" if path else member


def _quoted(path: str, name: str) -> str:
    return f"'{_join(path, name)}'"


@cache
def _matcher(pattern: str) -> Callable[[str], object]:
    """A full match by AWS's pattern; Java's character classes need the package `regex`."""
    cleaned = re.sub(r"\$\{\d+,\d+\}$", "", pattern)
    try:
        return re.compile(cleaned, re.DOTALL).fullmatch
    except re.error:
        import regex  # noqa: PLC0415 - rare, and not worth every start's time

    try:
        matcher: Callable[[str], object] = regex.compile(_readable(cleaned), regex.DOTALL).fullmatch
    except regex.error:
        return lambda _value: True
    return matcher


def _readable(pattern: str) -> str:
    return pattern.replace(r"\uD800\uDC00-\uDBFF\uDFFF", "\U00010000-\U0010ffff")
