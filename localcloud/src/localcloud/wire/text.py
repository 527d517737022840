"""Single values as text: in forms, paths, query strings, headers and XML."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from email.utils import formatdate
from typing import Any

from botocore.model import Shape
from botocore.utils import parse_timestamp

ISO8601, RFC822, EPOCH = "iso8601", "rfc822", "unixtimestamp"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NOT_FINITE = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}
_INTEGER = re.compile(r"[+-]?\d{1,20}")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|NaN|-?Infinity")


def read(shape: Shape, text: str) -> Any:
    """The value that a text stands for; text that is none of the shape's comes back as it is.

    Whoever checks the document then says what is wrong with it.
    """
    match shape.type_name:
        case "integer" | "long" if _INTEGER.fullmatch(text):
            return int(text)
        case "float" | "double" if _NUMBER.fullmatch(text):
            return float(text)
        case "boolean" if text in ("true", "false"):
            return text == "true"
        case "timestamp":
            return read_time(text)
        case _:
            return text


def read_time(text: str) -> float | str:
    """Seconds since 1970, of a time in any of AWS's formats; another text comes back as it is."""
    try:
        return seconds(parse_timestamp(text))
    except (ValueError, RuntimeError, OverflowError):
        return text


def write(shape: Shape, value: Any, default_format: str = ISO8601) -> str:
    """A value as text."""
    match shape.type_name:
        case "boolean":
            return "true" if value else "false"
        case "timestamp":
            return write_time(value, shape.serialization.get("timestampFormat", default_format))
        case "float" | "double":
            return _NOT_FINITE.get(repr(float(value)), repr(float(value)))
        case _:
            return str(value)


def write_time(moment: float, time_format: str) -> str:
    """Seconds since 1970 in one of AWS's formats, to the millisecond where it has fractions."""
    match time_format.lower():
        case "iso8601":
            at = _EPOCH + timedelta(seconds=moment)
            precision = "milliseconds" if at.microsecond else "seconds"
            return at.replace(tzinfo=None).isoformat(timespec=precision) + "Z"
        case "rfc822":
            return formatdate(moment, usegmt=True)
        case _:
            return repr(moment)


def seconds(moment: datetime) -> float:
    """Seconds since 1970."""
    return (moment - _EPOCH).total_seconds()
