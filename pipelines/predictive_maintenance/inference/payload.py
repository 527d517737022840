"""What both handlers know of requests: content types, csv and JSON as such, and refusals.

A handler's exception becomes a 500 in the containers, so a refusal is a response of its own.
"""

import csv
import json
import re
from collections.abc import Callable, Iterator, Sequence
from itertools import chain, islice
from typing import Any, Final, TypeVar

from werkzeug.datastructures import MIMEAccept
from werkzeug.http import parse_accept_header
from werkzeug.wrappers import Response

from pipelines.predictive_maintenance import schema

CSV: Final = "text/csv"
JSON: Final = "application/json"

Row = TypeVar("Row")
Converted = TypeVar("Converted")

_SHOWN_FINDINGS = 5
_BLOCK_ROWS = 1000
_UTF8 = {"utf-8", "utf8", "us-ascii", "ascii"}
_ACCEPT_PARAMETER = re.compile(r";(?!\s*q\s*=)[^;,]*", re.IGNORECASE)
_CHARSET = re.compile(r"charset\s*=\s*\"?([^\";\s]*)")


class RefusalError(ValueError):
    """The request cannot be answered; the message says why."""

    status = 400

    def response(self) -> Response:
        """Give what the container sends on: the status, and the message as JSON."""
        return Response(
            json.dumps({"error": str(self)}), status=self.status, content_type="application/json"
        )


class UnsupportedMediaTypeError(RefusalError):
    """The request's body is of a type that is not read here."""

    status = 415


class NotAcceptableError(RefusalError):
    """The caller accepts no type that is written here."""

    status = 406


class Repeating(dict[str, Any]):
    """A JSON object that has one of its keys twice: it may mean either value."""

    def __init__(self, pairs: Sequence[tuple[str, Any]]) -> None:
        super().__init__(pairs)
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                break
            seen.add(key)
        self.key = key


def media_type(content_type: str | None, readable: Sequence[str]) -> str:
    """Give the one of the ``readable`` types that a Content-Type names.

    Raises UnsupportedMediaTypeError for another type, and for a charset that is not UTF-8.
    """
    if content_type is not None and content_type in readable:
        return content_type
    kind, _, parameters = (content_type or "").lower().partition(";")
    charset = _CHARSET.search(parameters)
    if kind.strip() not in readable or (charset and charset[1] not in _UTF8):
        raise UnsupportedMediaTypeError(
            f"Content-Type must be {' or '.join(readable)} in UTF-8, not "
            f"{schema.show(content_type)}."
        )
    return kind.strip()


def choose(accept: str | None, writable: Sequence[str]) -> str:
    """Give the one of the ``writable`` types that an Accept likes best, the first of equals.

    Raises NotAcceptableError when it likes none.
    """
    if not accept or accept == "*/*":
        return writable[0]
    if accept in writable:
        return accept
    # No parameter but q changes what is written.
    kinds = _ACCEPT_PARAMETER.sub("", accept)
    best = parse_accept_header(kinds, MIMEAccept).best_match(writable)
    if best is None:
        raise NotAcceptableError(
            f"Accept must allow {' or '.join(writable)}, not only {schema.show(accept)}."
        )
    return best


def decode(body: str | bytes) -> str:
    """Give the body's text without a byte-order mark. Raises RefusalError unless it is UTF-8."""
    try:
        text = body if isinstance(body, str) else bytes(body).decode()
    except UnicodeDecodeError as error:
        raise RefusalError(f"The body must be UTF-8; byte {error.start} is not.") from error
    if (place := text.find("\ufffd")) >= 0:
        # The container decodes some bodies itself, and puts this where it cannot.
        raise RefusalError(f"The body must be UTF-8; character {place} is not.")
    return text.removeprefix("\ufeff")


def split_lines(text: str) -> list[str]:
    """Give the lines of a csv without empty ones at both ends."""
    text = text.replace("\r\n", "\n").strip("\n")
    return text.split("\n") if text else []


def split_fields(lines: Sequence[str]) -> list[list[str]]:
    """Give the fields of csv lines in which there are quotes. Raises RefusalError for bad csv."""
    try:
        return list(csv.reader(lines, strict=True))
    except csv.Error as error:
        raise RefusalError(f"The body must be csv: {error}.") from error


def parse_rows(text: str, shape: str) -> list[Any]:
    """Give the members of a JSON list, or of the list "instances" in an object.

    An object that repeats a key is a Repeating. Raises RefusalError for what is no JSON or not of
    this ``shape``.
    """
    try:
        document = _parse(text)
    except (ValueError, RecursionError) as error:
        raise RefusalError(f"The body must be JSON: {error}.") from error
    rows = document.get("instances") if isinstance(document, dict) else document
    if isinstance(document, Repeating) or not isinstance(rows, list):
        raise RefusalError(f"The body must be {shape}.")
    return rows


def spell(value: Any) -> str:
    """Name a JSON value for an error message, as JSON spells it."""
    if isinstance(value, list | dict):
        return "a list" if isinstance(value, list) else "an object"
    if isinstance(value, str):
        return f"the string {schema.show(value)}"
    text = json.dumps(value)
    return text if len(text) <= schema.SHOWN_CHARACTERS else schema.show(text)


def flatten(rows: Sequence[Any], width: int) -> list[Any] | None:
    """Give the values of all rows one after the other; None unless all are lists of ``width``."""
    if set(map(type, rows)) <= {list, tuple} and set(map(len, rows)) == {width}:
        return list(chain.from_iterable(rows))
    return None


def flatten_lines(lines: Sequence[str], width: int) -> list[str] | None:
    """Do the same with csv lines in which there are no quotes."""
    if set([line.count(",") for line in lines]) == {width - 1}:  # noqa: C403  a third faster
        return ",".join(lines).split(",")
    return None


def convert(
    rows: Sequence[Row],
    converter: Callable[[Sequence[Row]], Converted | None],
    explain: Callable[[int, Row], Iterator[str]],
) -> Converted:
    """Convert rows, at least one, or refuse them with the first things that ``explain`` finds.

    ``converter`` gives None for rows of which any breaks a rule; ``explain`` takes a row's number,
    from 1, and the row. The search takes time in proportion to the rows before the last finding
    that is told, and passes over blocks that ``converter`` takes.
    """
    if not rows:
        raise RefusalError("The body must hold at least one row; it has none.")
    converted = converter(rows)
    if converted is not None:
        return converted
    findings = chain.from_iterable(
        explain(number, row)
        for start in range(0, len(rows), _BLOCK_ROWS)
        if converter(rows[start : start + _BLOCK_ROWS]) is None
        for number, row in enumerate(rows[start : start + _BLOCK_ROWS], start=start + 1)
    )
    first = list(islice(findings, _SHOWN_FINDINGS + 1))
    more = ["And more."] if len(first) > _SHOWN_FINDINGS else []
    raise RefusalError(" ".join(first[:_SHOWN_FINDINGS] + more))


def _parse(text: str) -> Any:
    try:
        return json.loads(text, object_pairs_hook=_object)
    except json.JSONDecodeError:
        raise
    except ValueError:
        # Python refuses to make an int of thousands of digits; as a float it is told by its place.
        return json.loads(text, object_pairs_hook=_object, parse_int=float)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    return found if len(found) == len(pairs) else Repeating(pairs)
