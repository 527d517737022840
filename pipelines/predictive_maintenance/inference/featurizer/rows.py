"""Read the rows of a request into one array per column, or say which value breaks which rule."""

import csv
import json
import re
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from pipelines.predictive_maintenance import schema

CSV: Final = "text/csv"
JSON: Final = "application/json"
SHOWN_FINDINGS: Final = 5

Columns = dict[str, npt.NDArray[Any]]

_PLAIN = re.compile(r"[0-9eE+\-. \t]*")
_UTF8 = {"", "utf-8", "utf8", "us-ascii", "ascii"}
_SHAPE = '{"instances": [{"Type": "L", ...}, ...]} or rows as lists in the order of the columns'


class RequestError(ValueError):
    """The request cannot be answered with features; the message says why."""

    status = 400


class UnsupportedMediaTypeError(RequestError):
    """The request's body is of a type that is not read here."""

    status = 415


def read(body: str | bytes, content_type: str | None) -> Columns:
    """Read csv or JSON rows: n texts for ``Type``, n float64 for each other column.

    Csv rows have the schema's columns in its order; a first line that names exactly these is a
    header. JSON is ``{"instances": [...]}`` or the list alone, of objects or lists. Raises
    RequestError for the first five values that break a rule, by row, column, value and rule.
    """
    kind, _, parameters = (content_type or "").lower().partition(";")
    charset = re.search(r"charset=\"?([^\";\s]*)", parameters)
    if kind.strip() not in {CSV, JSON} or (charset and charset[1] not in _UTF8):
        raise UnsupportedMediaTypeError(
            f"Content-Type must be {CSV} or {JSON} in UTF-8, not {schema.show(content_type)}."
        )
    try:
        text = body if isinstance(body, str) else bytes(body).decode()
    except UnicodeDecodeError as error:
        raise RequestError(f"The body must be UTF-8; byte {error.start} is not.") from error
    text = text.removeprefix("\ufeff")
    rows = _read_csv(text) if kind.strip() == CSV else _read_json(text)
    if not rows:
        raise RequestError("The body must hold at least one row; it has none.")
    columns = _convert(rows)
    if columns is None:
        raise RequestError(_explain(rows))
    return columns


def _read_csv(text: str) -> list[list[str]]:
    text = text.replace("\r\n", "\n").strip("\n")
    if not text:
        return []
    lines = text.split("\n")
    try:
        rows = list(csv.reader(lines)) if '"' in text else [line.split(",") for line in lines]
    except csv.Error as error:
        raise RequestError(f"The body must be csv: {error}.") from error
    named = tuple(field.strip() for field in rows[0]) == schema.COLUMN_NAMES
    return rows[1:] if named else rows


def _read_json(text: str) -> list[list[str]]:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise RequestError(f"The body must be JSON: {error}.") from error
    instances = document.get("instances") if isinstance(document, dict) else document
    if not isinstance(instances, list):
        raise RequestError(f"The body must be {_SHAPE}.")
    rows = []
    for number, instance in enumerate(instances, start=1):
        if isinstance(instance, dict):
            missing = [name for name in schema.COLUMN_NAMES if name not in instance]
            if missing:
                raise RequestError(f"Row {number} must name every column; {missing[0]} is missing.")
            rows.append([str(instance[name]) for name in schema.COLUMN_NAMES])
        elif isinstance(instance, list):
            rows.append([str(value) for value in instance])
        else:
            raise RequestError(f"Row {number} must be an object or a list; the body is {_SHAPE}.")
    return rows


def _convert(rows: list[list[str]]) -> Columns | None:
    """Turn good rows into arrays at once; None when any value breaks a rule."""
    width = len(schema.COLUMNS)
    if any(len(row) != width for row in rows):
        return None
    columns: Columns = {}
    for column, texts in zip(schema.COLUMNS, zip(*rows, strict=True), strict=True):
        values = _convert_column(column, texts)
        if values is None:
            return None
        columns[column.name] = values
    return columns


def _convert_column(column: schema.Column, texts: tuple[str, ...]) -> npt.NDArray[Any] | None:
    if column.minimum is None or column.maximum is None:
        return np.array(texts) if set(texts) <= set(column.categories) else None
    if _PLAIN.fullmatch("".join(texts)) is None:
        return None
    try:
        values = np.array(list(map(float, texts)))
    except ValueError:
        return None
    inside = values.min() >= column.minimum and values.max() <= column.maximum
    whole = column.kind == "number" or bool((np.rint(values) == values).all())
    return values if inside and whole else None


def _explain(rows: list[list[str]]) -> str:
    """List the first values that break a rule; only a refused request pays for the search."""
    findings: list[str] = []
    count = 0
    for number, row in enumerate(rows, start=1):
        if len(row) != len(schema.COLUMNS):
            names = ", ".join(schema.COLUMN_NAMES)
            found = [
                f"Row {number} must have {len(schema.COLUMNS)} values ({names}), not {len(row)}."
            ]
        else:
            found = [
                f"Row {number}, column {column.name}: {column.rule}, not {schema.show(value)}."
                for column, value in zip(schema.COLUMNS, row, strict=True)
                if not column.accepts(value)
            ]
        count += len(found)
        findings += found[: SHOWN_FINDINGS - len(findings)]
    more = f" And {count - len(findings)} more." if count > len(findings) else ""
    return " ".join(findings) + more
