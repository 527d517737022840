"""Read the rows of a request into columns, or say which value breaks which rule."""

import re
from collections.abc import Iterator, Sequence
from operator import itemgetter
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from pipelines.predictive_maintenance import schema
from pipelines.predictive_maintenance.features import RANKS
from pipelines.predictive_maintenance.inference import payload
from pipelines.predictive_maintenance.inference.payload import CSV, JSON

# The ranks of Type and the numeric columns: arrays of n, or an int and floats for one row.
Columns = tuple[Any, ...]

_SHAPE: Final = (
    '{"instances": [{"Type": "L", ...}, ...]} or rows as lists in the order of the columns'
)
_NAMES: Final = ", ".join(schema.COLUMN_NAMES)
_WIDTH: Final = len(schema.COLUMNS)
# The first column is the category.
_NUMERIC: Final = schema.COLUMNS[1:]
_LOWEST, _HIGHEST = np.array(
    [(column.minimum, column.maximum) for column in _NUMERIC], dtype=np.float64
).T
_LIMITS: Final = list(zip(_LOWEST.tolist(), _HIGHEST.tolist(), strict=True))
_WHOLE: Final = [place for place, column in enumerate(_NUMERIC) if column.kind == "integer"]
_PLAIN = re.compile(r"[0-9eE+\-. \t]*")
_pick = itemgetter(*schema.COLUMN_NAMES)


def read(body: str | bytes, content_type: str | None) -> Columns:
    """Read csv or JSON rows into what ``features.derive_ranked`` takes.

    Csv rows have the schema's columns in its order; a first line that names exactly these is a
    header. JSON is ``{"instances": [...]}`` or the list alone, of objects or lists; its numbers are
    numbers, not strings. Raises RefusalError for the first five values that break a rule, by row,
    column, value and rule.
    """
    kind = payload.media_type(content_type, (CSV, JSON))
    text = payload.decode(body)
    if kind == JSON:
        return payload.convert(
            payload.parse_rows(text, _SHAPE), _convert_instances, _explain_instance
        )
    lines = payload.split_lines(text)
    if '"' in text:
        fields = payload.split_fields(lines)
        return payload.convert(fields[_names(fields) :], _convert_fields, _explain_fields)
    if lines and schema.COLUMN_NAMES[0] in lines[0]:
        lines = lines[_names([lines[0].split(",")]) :]
    return payload.convert(lines, _convert_lines, _explain_line)


def _names(rows: list[list[str]]) -> bool:
    """Whether the first row is a header."""
    return bool(rows) and tuple(field.strip() for field in rows[0]) == schema.COLUMN_NAMES


# Each gives None when any value of any row breaks a rule.


def _convert_lines(lines: Sequence[str]) -> Columns | None:
    return _convert_texts(payload.flatten_lines(lines, _WIDTH))


def _convert_fields(rows: Sequence[list[str]]) -> Columns | None:
    return _convert_texts(payload.flatten(rows, _WIDTH))


def _convert_texts(values: list[str] | None) -> Columns | None:
    if values is None:
        return None
    types = values[::_WIDTH]
    del values[::_WIDTH]
    return _convert_values(types, values) if _PLAIN.fullmatch("".join(values)) else None


def _convert_instances(instances: Sequence[Any]) -> Columns | None:
    try:
        rows = [_pick(each) if type(each) is dict else each for each in instances]
    except KeyError:
        return None
    values = payload.flatten(rows, _WIDTH)
    if values is None:
        return None
    types = values[::_WIDTH]
    del values[::_WIDTH]
    return _convert_values(types, values) if set(map(type, values)) <= {int, float} else None


def _convert_values(types: list[Any], values: list[Any]) -> Columns | None:
    try:
        ranks = [RANKS[each] for each in types]
        if len(ranks) == 1:
            return _check_row(ranks[0], list(map(float, values)))
        numbers = np.fromiter(map(float, values), np.float64, len(values))
    except (KeyError, TypeError, ValueError, OverflowError):
        return None
    return _check_table(ranks, numbers.reshape(-1, len(_NUMERIC)))


def _check_row(rank: int, numbers: list[float]) -> Columns | None:
    for number, (lowest, highest) in zip(numbers, _LIMITS, strict=True):
        if not lowest <= number <= highest:
            return None
    for place in _WHOLE:
        if not numbers[place].is_integer():
            return None
    return rank, *numbers


def _check_table(ranks: list[int], numbers: npt.NDArray[np.float64]) -> Columns | None:
    whole = numbers[:, _WHOLE]
    inside = (numbers >= _LOWEST) & (numbers <= _HIGHEST)
    if not inside.all() or not (np.rint(whole) == whole).all():
        return None
    return np.array(ranks), *np.ascontiguousarray(numbers.T)


def _explain_line(number: int, line: str) -> Iterator[str]:
    return _explain_fields(number, line.split(","))


def _explain_fields(number: int, row: list[str]) -> Iterator[str]:
    if len(row) != _WIDTH:
        yield f"Row {number} must have {_WIDTH} values ({_NAMES}), not {len(row)}."
        return
    for column, value in zip(schema.COLUMNS, row, strict=True):
        if not column.accepts(value):
            yield f"Row {number}, column {column.name}: {column.rule}, not {schema.show(value)}."


def _explain_instance(number: int, instance: Any) -> Iterator[str]:
    if isinstance(instance, payload.Repeating):
        yield f"Row {number} must name each column once; {schema.show(instance.key)} is repeated."
        return
    if isinstance(instance, dict):
        missing = [name for name in schema.COLUMN_NAMES if name not in instance]
        if missing:
            yield f"Row {number} must name every column; {missing[0]} is missing."
            return
        instance = _pick(instance)
    elif not isinstance(instance, list):
        yield f"Row {number} must be an object or a list, not {payload.spell(instance)}."
        return
    if len(instance) != _WIDTH:
        yield f"Row {number} must have {_WIDTH} values ({_NAMES}), not {len(instance)}."
        return
    for column, value in zip(schema.COLUMNS, instance, strict=True):
        if not _accepts(column, value):
            spelt = payload.spell(value)
            yield f"Row {number}, column {column.name}: {column.rule}, not {spelt}."


def _accepts(column: schema.Column, value: Any) -> bool:
    if column.kind == "category":
        return isinstance(value, str) and column.accepts(value)
    return type(value) in {int, float} and column.accepts(repr(value))
