"""Requests that must be refused: none gets a score, none gets a 500, each gets a reason.

``BAD`` is one table for whoever serves the model: the handlers called as functions, or an endpoint
behind HTTP. Every body is below the 6 MB that an endpoint takes; every header is plain ASCII.
"""

import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipelines.predictive_maintenance import schema

CSV = "text/csv"
JSON = "application/json"
NPY = "application/x-npy"
LARGE = 5_900_000

NAMES = schema.COLUMN_NAMES
GOOD: dict[str, Any] = dict(zip(NAMES, ("M", 298.1, 308.6, 1551, 42.8, 0), strict=True))
ROW = ",".join(map(str, GOOD.values()))
TORQUE = "Torque [Nm]"
SPEED = "Rotational speed [rpm]"


@dataclass(frozen=True, slots=True)
class BadPayload:
    """What to send, and how it must be refused: the status, and words the message must hold."""

    name: str
    content_type: str
    body: bytes
    status: int
    words: str
    accept: str = JSON


def _line(**changes: str) -> str:
    """A csv row with one value spelt otherwise; the column is named by its first word."""
    values = [str(value) for value in GOOD.values()]
    for word, text in changes.items():
        values[_place(word)] = text
    return ",".join(values)


def _place(word: str) -> int:
    return next(place for place, name in enumerate(NAMES) if name.startswith(word))


def _instance(word: str, text: str) -> str:
    """A JSON row, as text, with one value spelt otherwise."""
    spelt = {name: json.dumps(value) for name, value in GOOD.items()}
    spelt[NAMES[_place(word)]] = text
    return "{" + ", ".join(f'"{name}": {value}' for name, value in spelt.items()) + "}"


def _csv(name: str, body: str | bytes, words: str) -> BadPayload:
    return BadPayload(
        f"csv: {name}", CSV, body.encode() if isinstance(body, str) else body, 400, words
    )


def _json(name: str, body: str | bytes, words: str) -> BadPayload:
    return BadPayload(
        f"json: {name}", JSON, body.encode() if isinstance(body, str) else body, 400, words
    )


def _csv_values() -> Iterator[BadPayload]:
    """One value of the second row breaks the rule of its column."""
    numbers = {
        "empty": "",
        "blank": "  ",
        "a word": "warm",
        "nan": "nan",
        "NaN": "NaN",
        "inf": "inf",
        "minus infinity": "-Infinity",
        "beyond float": "1e400",
        "beyond the range": "500.1",
        "below the range": "-0.1",
        "far below zero": "-1e308",
        "an integer of 400 digits": "1" + "0" * 400,
        "an integer of 5000 digits": "9" * 5000,
        "underscores": "4_2",
        "hexadecimal": "0x2A",
        "two points": "4.2.8",
        "two signs": "--42",
        "an exponent alone": "e5",
        "a sign alone": "-",
        "a point alone": ".",
        "a unit": "42.8Nm",
        "a decimal comma in quotes": '"42,8"',
        "thousands in quotes": '"1,000"',
        "quotes within": '4"2',
        "blanks within": "4 2",
        "a semicolon": "42;8",
        "Arabic digits": "\u0664\u0662",
        "fullwidth digits": "\uff14\uff12",
        "a superscript": "4\u00b2",
        "a no-break space": "42\u00a0",
        "a zero-width space": "\u200b42",
        "a minus sign of typography": "\u221242",
        "a byte-order mark within": "\ufeff42",
        "NUL": "42\x00",
        "a bell": "42\x07",
        "an escape sequence": "\x1b[31m42",
        "a vertical tab": "42\x0b",
        "a form feed": "\x0c42",
        "a unit separator": "42\x1f",
        "a line separator": "42\u2028",
        "null": "null",
        "None": "None",
        "True": "True",
        "a fraction": "1/2",
        "a complex number": "42j",
        "a formula": "=40+2",
        "SQL": "0;DROP TABLE x",
        "a path": "../../etc/passwd",
        "100 kB": "7" * 100_000,
    }
    for name, text in numbers.items():
        yield _csv(f"torque is {name}", f"{ROW}\n{_line(Torque=text)}\n", f"Row 2, column {TORQUE}")
    for name, text in {"with a fraction": "1551.5", "too high": "10001", "tiny": "1e-9"}.items():
        yield _csv(f"speed {name}", f"{ROW}\n{_line(Rotational=text)}\n", f"Row 2, column {SPEED}")
    for name, text in {
        "unknown": "X",
        "in lower case": "l",
        "empty": "",
        "with a blank": "L ",
        "of two letters": "LM",
        "a number": "1",
        "a homoglyph": "\u041c",  # Cyrillic
    }.items():
        yield _csv(
            f"type {name}", f"{ROW}\n{_line(Type=text)}\n", "Row 2, column Type: must be one"
        )
    yield _csv("Celsius", _line(Air="25.1", Process="35.6"), "from 250 to 350 K, not '25.1'")
    yield _csv("two bad values", _line(Type="X", Tool="-1"), "column Tool wear [min]")
    yield _csv("all rows bad", "\n".join([_line(Type="X")] * 50), "And more.")


def _csv_shapes() -> Iterator[BadPayload]:
    """The rows are not six values wide, or there are none."""
    header = ",".join(NAMES)
    none, wide = "at least one row", "must have 6 values"
    yield _csv("empty", "", none)
    yield _csv("a line end", "\n", none)
    yield _csv("line ends of Windows", "\r\n\r\n", none)
    yield _csv("a mark alone", "\ufeff", none)
    yield _csv("only a header", header + "\n", none)
    yield _csv("only a header in quotes", ",".join(f'"{name}"' for name in NAMES), none)
    yield _csv("only a header after a mark", "\ufeff" + header + "\r\n", none)
    yield _csv("blanks", "   ", f"Row 1 {wide}")
    yield _csv("two headers", f"{header}\n{header}\n{ROW}", "Row 1, column Type")
    yield _csv("a header in another order", f"{','.join(NAMES[::-1])}\n{ROW}", "Row 1, column Type")
    yield _csv("a header of the whole data set", f"UDI,Product ID,{header}\n{ROW}", f"Row 1 {wide}")
    yield _csv("columns in another order", ",".join(ROW.split(",")[::-1]), "Row 1, column Type")
    yield _csv("five values", ROW.rpartition(",")[0], "Row 1 must have 6 values")
    yield _csv("seven values", f"{ROW}\n{ROW},1", f"Row 2 {wide}")
    yield _csv("a comma at the end", ROW + ",", "not 7")
    yield _csv("an empty line within", f"{ROW}\n\n{ROW}", f"Row 2 {wide}")
    yield _csv("a line of blanks at the end", f"{ROW}\n  \n", f"Row 2 {wide}")
    yield _csv("rows broken in the wrong place", "M,1,2,3,4\n5,M,1,2,3,4,5", "Row 1 must have 6")
    yield _csv("semicolons", ROW.replace(",", ";"), "Row 1 must have 6 values")
    yield _csv("tabs", ROW.replace(",", "\t"), "Row 1 must have 6 values")
    yield _csv("line ends of old Macs", f"{ROW}\r{ROW}", "Row 1 must have 6 values")
    yield _csv("thousands of columns", ",".join(["1"] * 100_000), "not 100000")
    yield _csv("commas only", "," * 1_000_000, "not 1000001")
    yield _csv("an open quote", f'"{ROW}\n{ROW}', "must be csv")
    yield _csv("an open quote before much", '"' + "x" * 200_000, "must be csv")
    yield _csv("text after a quote", f'"M"x{ROW[1:]}', "must be csv")
    yield _csv("JSON", json.dumps([GOOD]), "Row 1")
    yield _csv("a matrix", _matrix([[1.0] * 11]), "UTF-8")
    yield _csv("a page", "<html><body>Bad Gateway</body></html>", "Row 1 must have 6 values")


def _encodings() -> Iterator[BadPayload]:
    """Bytes that are no UTF-8, in both formats."""
    for make, text in ((_csv, ROW), (_json, json.dumps([GOOD]))):
        yield make("a byte that is no UTF-8", text.encode() + b"\xff", "UTF-8")
        yield make("Latin-1", ("\u00e9" + text).encode("latin-1"), "UTF-8")
        yield make("UTF-16 with a mark", text.encode("utf-16"), "UTF-8")
        yield make("a surrogate", b"\xed\xa0\x80" + text.encode(), "UTF-8")
        yield make("an overlong slash", text.encode() + b"\xc0\xaf", "UTF-8")
        yield make("cut within a character", text.encode() + b"\xe2\x82", "UTF-8")
    yield _csv("UTF-16 without a mark", ROW.encode("utf-16-le"), "Row 1, column Type")
    yield _csv("gzip", b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03", "UTF-8")
    yield _json("UTF-16 without a mark", json.dumps([GOOD]).encode("utf-16-le"), "must be JSON")
    yield _json("two marks", "\ufeff\ufeff" + json.dumps([GOOD]), "must be JSON")


def _json_values() -> Iterator[BadPayload]:
    """One value of the second row is no number of its column, or no number at all."""
    numbers = {
        "null": "null",
        "true": "true",
        "false": "false",
        "NaN": "NaN",
        "Infinity": "Infinity",
        "minus Infinity": "-Infinity",
        "beyond float": "1e400",
        "an integer beyond float": "1" + "0" * 400,
        "an integer of 5000 digits": "9" * 5000,
        "above the range": "500.5",
        "below the range": "-1",
        "a number in a string": '"42.8"',
        "an empty string": '""',
        "a string NaN": '"NaN"',
        "a list": "[42.8]",
        "an object": '{"value": 42.8}',
        "an empty list": "[]",
        "nested 500 deep": "[" * 500 + "]" * 500,
        "a long string": '"' + "x" * 100_000 + '"',
    }
    good = json.dumps(GOOD)
    for name, text in numbers.items():
        body = f'{{"instances": [{good}, {_instance("Torque", text)}]}}'
        yield _json(f"torque is {name}", body, f"Row 2, column {TORQUE}: must be a number")
    speed = "1551.5", "true", '"1551"'
    for text in speed:
        yield _json(f"speed is {text}", f"[{_instance('Rotational', text)}]", f"column {SPEED}")
    for text in ('"X"', "0", "null", "true", '["L"]', '{"L": 1}', '"\\ud800"', '"L\\u0000"'):
        yield _json(
            f"type is {text}", f"[{_instance('Type', text)}]", "column Type: must be one of"
        )
    row = list(GOOD.values())
    yield _json("a list with a boolean", json.dumps([row, [*row[:5], False]]), "not false")
    yield _json("a list with a string", json.dumps([row, [*row[:5], "0"]]), "not the string '0'")
    yield _json("a list with a list", json.dumps([[*row[:5], [0]]]), "not a list")


def _json_shapes() -> Iterator[BadPayload]:
    """No JSON, or JSON that holds no rows."""
    good, row = json.dumps(GOOD), list(GOOD.values())
    shape = 'must be {"instances"'
    for name, text in {
        "empty": "",
        "blanks": "  ",
        "cut": '{"instances": [',
        "a comma too many": f"[{good},]",
        "two documents": f"[{good}][{good}]",
        "one quotes": "{'instances': []}",
        "a comment": f"[{good}] // a row",
        "a control character": '[{"Ty\x01pe": "L"}]',
        "a bad escape": '["\\x41"]',
        "a leading zero": "[0551]",
        "a leading plus": "[+1]",
        "lines of objects": f"{good}\n{good}",
        "csv": ROW,
        "lists 100000 deep": "[" * 100_000,
        "lists 100000 deep and closed": "[" * 100_000 + "]" * 100_000,
        "objects 100000 deep": '{"instances":' * 100_000,
    }.items():
        yield _json(name, text, "must be JSON")
    for name, document in {
        "null": None,
        "true": True,
        "a number": 3,
        "a string": "L",
        "an empty object": {},
        "one row as an object": GOOD,
        "another key": {"rows": [GOOD]},
        "instances is null": {"instances": None},
        "instances is an object": {"instances": GOOD},
        "instances is a string": {"instances": ROW},
    }.items():
        yield _json(name, json.dumps(document), shape)
    yield _json("instances twice", f'{{"instances": [{good}], "instances": [{good}]}}', shape)
    yield _json("no rows", '{"instances": []}', "at least one row")
    yield _json("an empty list", "[]", "at least one row")
    for name, value in {"null": None, "a number": 3, "a string": ROW, "true": True}.items():
        yield _json(f"a row is {name}", json.dumps([GOOD, value]), "Row 2 must be an object or a")
    yield _json("a row of one list too many", json.dumps([[row]]), "must have 6 values")
    yield _json("an empty row", "[[]]", "Row 1 must have 6 values")
    yield _json("five values", json.dumps([row, row[:5]]), "Row 2 must have 6 values")
    yield _json("seven values", json.dumps([row, [*row, 1]]), "Row 2 must have 6 values")
    yield _json("thousands of values", json.dumps([[1] * 100_000]), "not 100000")
    yield _json("an empty object as a row", "[{}]", "Type is missing")
    without = {name: value for name, value in GOOD.items() if name != TORQUE}
    yield _json("a column is missing", json.dumps([GOOD, without]), "Row 2 must name every column")
    yield _json("a column in lower case", json.dumps([without | {"torque [nm]": 1}]), "is missing")
    twice = good[:-1] + f', "{TORQUE}": 3}}'
    yield _json("a column twice", f"[{good}, {twice}]", "Row 2 must name each column once")
    escaped = good[:-1] + ', "\\u0054orque [Nm]": 3}'
    yield _json("a column twice, once escaped", f"[{escaped}]", "must name each column once")
    many = ", ".join(f'"k{number}": 1' for number in range(50_000))
    yield _json("an unknown key twice among many", f'[{{{many}, "k49999": 1}}]', "'k49999'")


def _types() -> Iterator[BadPayload]:
    """Types that are not read, or not written."""
    body = ROW.encode()
    for kind in (
        "text/plain",
        "text/html",
        "text/csvx",
        "csv",
        "*/*",
        "application/octet-stream",
        "application/x-www-form-urlencoded",
        "application/x-recordio-protobuf",
        "application/jsonlines",
        "multipart/form-data; boundary=x",
        "text/csv; charset=latin-1",
        'text/csv; charset="utf-16"',
        "application/json;charset=ISO-8859-1",
        "text/csv, application/json",
    ):
        yield BadPayload(f"Content-Type {kind}", kind, body, 415, "Content-Type must be text/csv")
    yield BadPayload(f"Content-Type {NPY}", NPY, _matrix([[1.0] * 11]), 415, "Content-Type must be")
    for accept in (
        "text/html",
        "image/png, text/plain;q=0.5",
        "application/xml",
        "application/json;q=0",
        "application/json; q=0",
        "text/csv;q=0, application/json;q=0.0",
        NPY,
        "json",
        ",;,",
    ):
        yield BadPayload(f"Accept {accept}", CSV, body, 406, "Accept must allow", accept)


def _large() -> Iterator[BadPayload]:
    """Near the largest body that an endpoint takes: refused in a time in proportion to it."""
    short, row = "1\n", f"{ROW}\n"
    good = json.dumps(list(GOOD.values()))
    yield _csv("millions of short lines", short * (LARGE // 2), "And more.")
    yield _csv("millions of empty lines and a row", f"{ROW}{chr(10) * (LARGE - 99)}X", "And more.")
    yield _csv("millions of bad rows", "X,,,,,\n" * (LARGE // 7), "And more.")
    yield _csv("millions of quoted lines", '"1"\n' * (LARGE // 4), "And more.")
    yield _csv("a last row too short", row * (LARGE // len(row)) + "M", "must have 6 values")
    yield _csv(
        "a last row that is bad",
        row * (LARGE // len(row)) + _line(Torque="x"),
        f"Row {LARGE // len(row) + 1}, column {TORQUE}",
    )
    yield _csv("one long line", "M" + ",1" * (LARGE // 2 - 9), "Row 1 must have 6 values")
    yield _csv("one long word", "x" * LARGE, "Row 1 must have 6 values")
    yield _csv("blanks without end", " " * LARGE, "Row 1 must have 6 values")
    yield _csv("digits without end", _line(Torque="9" * LARGE), f"Row 1, column {TORQUE}")
    yield _json("millions of empty rows", f"[{'[],' * (LARGE // 3)}[]]", "And more.")
    yield _json("millions of empty objects", f"[{'{},' * (LARGE // 3)}{{}}]", "And more.")
    yield _json("a last value that is bad", f"[{f'{good},' * (LARGE // 40)}null]", "must be an obj")
    yield _json("digits without end", f"[{'9' * LARGE}]", "Row 1 must be an object or a list")
    yield _json("lists without end", "[" * LARGE, "must be JSON")


def _matrix(rows: list[list[float]]) -> bytes:
    written = io.BytesIO()
    np.save(written, np.array(rows, dtype=np.float32))
    return written.getvalue()


BAD: tuple[BadPayload, ...] = (
    *_csv_values(),
    *_csv_shapes(),
    *_encodings(),
    *_json_values(),
    *_json_shapes(),
    *_types(),
    *_large(),
)
