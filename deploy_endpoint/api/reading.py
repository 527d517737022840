"""Read the rows of a request by the model's columns, or say which value breaks which rule."""

import csv
import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, TypeVar

from .contract import Column, Contract, Value
from .errors import BadRequestError, Finding, TooLargeError, show
from .media import CSV
from .rows import SHOWN_NAMES, Row, Table

# An endpoint takes 6 MB; this keeps the answer below it, and the work far below 30 seconds.
MAX_BYTES: Final = 1_000_000
MAX_ROWS: Final = 10_000
SHOWN_FINDINGS: Final = 5

_SHAPE = 'The body must be {"instances": [{column: value, ...}, ...]}'

Sent = TypeVar("Sent")


class _MisshapenError(Exception):
    """A row that does not have one value for each column: the rule, and what it is instead."""

    def __init__(self, rule: str, instead: str, column: str | None = None) -> None:
        super().__init__(rule)
        self.rule, self.instead, self.column = rule, instead, column

    def finding(self, number: int) -> Finding:
        told = f"Row {number} {self.rule}{self.instead}."
        return Finding(told, number, self.column, rule=self.rule)


class _Repeating(dict[str, Any]):
    """A JSON object that has one of its keys twice: it may mean either value."""


def read(body: bytes, kind: str, contract: Contract) -> Table:
    """Read csv or JSON rows.

    Csv rows have the columns in their order, unless a first line names them. JSON is
    ``{"instances": [...]}`` of objects; its numbers are numbers, not strings. Columns that the
    model does not have are left out.
    Raises TooLargeError above a limit, else BadRequestError for the first five broken rules.
    """
    if len(body) > MAX_BYTES:
        raise TooLargeError(f"The body must have at most {MAX_BYTES:,} bytes, not {len(body):,}.")
    try:
        text = body.decode().removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        raise BadRequestError(f"The body must be UTF-8; byte {error.start} is not.") from error
    return _read_csv(text, contract) if kind == CSV else _read_json(text, contract)


def _read_csv(text: str, contract: Contract) -> Table:
    text = text.replace("\r\n", "\n").strip("\n")
    try:
        lines = list(csv.reader(text.split("\n") if text else [], strict=True))
    except csv.Error as error:
        raise BadRequestError(f"The body must be csv: {error}.") from error
    names = [field.strip() for field in lines[0]] if lines else []
    if set(contract.names).isdisjoint(names):
        names = list(contract.names)
    else:
        _check_header(names, contract)
        del lines[0]
    places = [names.index(name) for name in contract.names]

    def pick(line: list[str]) -> list[str]:
        if len(line) != len(names):
            shown = ", ".join(map(show, names[:SHOWN_NAMES]))
            raise _MisshapenError(f"must have {len(names)} values ({shown})", f", not {len(line)}")
        return [line[place] for place in places]

    rows = _convert(lines, pick, Column.read_text, contract.columns)
    return Table(rows, [name for name in names if name not in contract.names])


def _check_header(names: Sequence[str], contract: Contract) -> None:
    rule = "must name every column once"
    for name in contract.names:
        if (count := names.count(name)) != 1:
            told = f"The header {rule}; {name} is there {count} times."
            raise BadRequestError(told, [Finding(told, column=name, rule=rule)])


def _read_json(text: str, contract: Contract) -> Table:
    try:
        document = _parse(text)
    except (ValueError, RecursionError) as error:
        raise BadRequestError(f"The body must be JSON: {error}.") from error
    if type(document) is not dict or document.keys() != {"instances"}:
        raise BadRequestError(f"{_SHAPE}.")
    instances = document["instances"]
    if not isinstance(instances, list):
        raise BadRequestError(f"{_SHAPE}; instances is {_spell(instances)}.")

    def pick(instance: Any) -> list[Any]:
        if not isinstance(instance, dict):
            raise _MisshapenError("must be an object", f", not {_spell(instance)}")
        if isinstance(instance, _Repeating):
            raise _MisshapenError("must name each column once", "; it repeats one")
        for name in contract.names:
            if name not in instance:
                raise _MisshapenError("must name every column", f"; {name} is missing", name)
        return [instance[name] for name in contract.names]

    rows = _convert(instances, pick, Column.read_json, contract.columns)
    names = dict.fromkeys(name for instance in instances for name in instance)
    return Table(rows, [name for name in names if name not in contract.names])


def _convert(
    sent: Sequence[Sent],
    pick: Callable[[Sent], Sequence[Any]],
    read_value: Callable[[Column, Any], Value | None],
    columns: Sequence[Column],
) -> list[Row]:
    """Convert rows, at least one, or refuse them with the first findings.

    ``pick`` gives a row's values in the columns' order, or raises _MisshapenError.
    """
    if not sent:
        raise BadRequestError("The body must hold at least one row; it has none.")
    if len(sent) > MAX_ROWS:
        raise TooLargeError(f"The body must hold at most {MAX_ROWS:,} rows, not {len(sent):,}.")
    rows: list[Row] = []
    findings: list[Finding] = []
    for number, each in enumerate(sent, start=1):
        try:
            values = pick(each)
        except _MisshapenError as error:
            findings.append(error.finding(number))
        else:
            row = [read for read in map(read_value, columns, values) if read is not None]
            if len(row) == len(columns):
                rows.append(tuple(row))
            else:
                findings += _explain(number, columns, values, read_value)
        if len(findings) > SHOWN_FINDINGS:
            break
    if findings:
        shown = findings[:SHOWN_FINDINGS]
        more = ["And more."] if len(findings) > SHOWN_FINDINGS else []
        raise BadRequestError(" ".join([*(each.message for each in shown), *more]), shown)
    return rows


def _explain(
    number: int,
    columns: Sequence[Column],
    values: Sequence[Any],
    read_value: Callable[[Column, Any], Value | None],
) -> Iterator[Finding]:
    for column, value in zip(columns, values, strict=True):
        if read_value(column, value) is None:
            told = f"Row {number}, column {column.name}: {column.rule}, not {_spell(value)}."
            yield Finding(told, number, column.name, _shorten(value), column.rule)


def _spell(value: Any) -> str:
    """Name a value for a message, so that a string is told from a number."""
    if isinstance(value, list | dict):
        return "a list" if isinstance(value, list) else "an object"
    return repr(show(value)) if isinstance(value, str) else _shorten(value)


def _shorten(value: Any) -> str:
    if isinstance(value, list | dict):
        return "[...]" if isinstance(value, list) else "{...}"
    return show(value if isinstance(value, str) else json.dumps(value))


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
    return found if len(found) == len(pairs) else _Repeating(pairs)
