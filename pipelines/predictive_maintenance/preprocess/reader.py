"""Read the raw csv files into one array per column, checked against the schema.

There is no loop over rows; only when a check fails the file is read again, slowly, to say which
value breaks which rule.
"""

import codecs
import csv
import hashlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.csv

from pipelines.predictive_maintenance import schema
from pipelines.predictive_maintenance.preprocess.errors import DataError
from pipelines.predictive_maintenance.preprocess.explain import explain

KNOWN_NAMES = {*schema.IDENTIFIERS, *schema.COLUMN_NAMES, schema.LABEL, *schema.LABEL_PARTS}

_NEEDED = (*schema.COLUMN_NAMES, schema.LABEL)
_CHUNK = 1 << 20
_DELIMITERS = {";": "semicolons", "\t": "tabs", "|": "bars"}


@dataclass(frozen=True, slots=True)
class RawData:
    """The checked rows of all files, in the order of the files' names.

    ``columns`` holds one array of n values for each name of the schema: float64, or int8 indices
    into the column's categories. ``label`` is int8, 0 or 1. ``sha256`` is the hash of the files'
    bytes one after the other. ``ignored`` are the names of columns that the contract does not know.
    """

    columns: dict[str, npt.NDArray[Any]]
    label: npt.NDArray[np.int8]
    sha256: str
    ignored: tuple[str, ...]

    def deal(self, *parts: npt.NDArray[np.int64]) -> "list[RawData]":
        """Give the rows of each of these indices as a table of its own, and keep no column.

        It goes column by column, so that the rows are never in memory twice.
        """
        columns: list[dict[str, npt.NDArray[Any]]] = [{} for _ in parts]
        for name in list(self.columns):
            values = self.columns.pop(name)
            for rows, dealt in zip(parts, columns, strict=True):
                dealt[name] = values[rows]
        return [
            RawData(dealt, self.label[rows], self.sha256, self.ignored)
            for rows, dealt in zip(parts, columns, strict=True)
        ]

    def blocks(self, size: int) -> "Iterator[RawData]":
        """Give the rows as views of at most ``size`` rows each, in order."""
        for start in range(0, self.label.size, size):
            here = slice(start, start + size)
            columns = {name: values[here] for name, values in self.columns.items()}
            yield RawData(columns, self.label[here], self.sha256, self.ignored)


def read(folder: Path) -> RawData:
    """Read and check every ``*.csv`` of the folder; DataError says what breaks the contract."""
    if not folder.is_dir():
        raise DataError(
            f"{folder}: the input must be a folder of csv files; there is no such folder"
        )
    paths = sorted(folder.glob("*.csv"))
    if not paths:
        raise DataError(f"{folder}: the input folder must hold csv files, and holds none")
    digest = hashlib.sha256()
    parts: list[dict[str, npt.NDArray[Any]]] = []
    ignored: dict[str, None] = {}
    for path in paths:
        _check_text(path, digest)
        names = _read_header(path)
        ignored |= dict.fromkeys(name for name in names if name not in KNOWN_NAMES)
        parts.append(_read_columns(path))
    whole = {name: _join([part.pop(name) for part in parts]) for name in _NEEDED}
    label = whole.pop(schema.LABEL).astype(np.int8)
    if label.min() == label.max():
        files = ", ".join(path.name for path in paths)
        raise DataError(
            f"{files}: column {schema.LABEL!r} must hold both 0 and 1; "
            f"all {label.size} rows have {label[0]}"
        )
    return RawData(whole, label, digest.hexdigest(), tuple(ignored))


def _check_text(path: Path, digest: "hashlib._Hash") -> None:
    """Check that the file is UTF-8 and not empty, and add its bytes to the hash."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    before, empty = 0, True
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
            pending = decoder.getstate()[0]
            # Nearly always true, and seen twenty times faster than decoded.
            if not chunk.isascii() or pending:
                try:
                    text = decoder.decode(chunk)
                except UnicodeDecodeError as error:
                    raise _not_utf8(path, before - len(pending) + error.start) from error
                empty = empty and not text.strip("\ufeff\r\n\t ")
            else:
                empty = empty and not chunk.strip(b"\r\n\t ")
            before += len(chunk)
    if decoder.getstate()[0]:
        raise DataError(f"{path.name}: the bytes must be UTF-8; the last character is cut off")
    if empty:
        raise DataError(f"{path.name}: the file must have a header and rows; it is empty")


def _not_utf8(path: Path, place: int) -> DataError:
    """Say in which line the byte at this place stands."""
    line, left = 1, place
    with path.open("rb") as file:
        while left:
            chunk = file.read(min(_CHUNK, left))
            line += chunk.count(b"\n")
            left -= len(chunk)
        byte = file.read(1)[0]
    return DataError(f"{path.name}: the bytes must be UTF-8; line {line} has the byte 0x{byte:02x}")


def _read_header(path: Path) -> list[str]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        try:
            names = next(row for row in csv.reader(file) if row)
        except csv.Error as error:
            raise DataError(f"{path.name}: the header must be a line of csv: {error}") from error
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise DataError(
            f"{path.name}: every column must have a name of its own; {_list(twice)} stands twice"
        )
    missing = [name for name in _NEEDED if name not in names]
    if not missing:
        return names
    for delimiter, word in _DELIMITERS.items():
        if len(names) == 1 and set(_NEEDED) <= set(names[0].split(delimiter)):
            raise DataError(f"{path.name}: commas must separate the fields; here {word} do")
    raise DataError(f"{path.name}: the header must name {_list(missing)}; it names {_list(names)}")


def _list(names: list[str]) -> str:
    more = f" and {len(names) - 15} more" if len(names) > 15 else ""
    return ", ".join(schema.show(name) for name in names[:15]) + more


def _read_columns(path: Path) -> dict[str, npt.NDArray[Any]]:
    types = {name: pa.float64() for name in _NEEDED}
    types |= {
        column.name: pa.dictionary(pa.int32(), pa.string())
        for column in schema.COLUMNS
        if column.kind == "category"
    }
    options = pa.csv.ConvertOptions(
        include_columns=list(_NEEDED), column_types=types, null_values=[], check_utf8=False
    )
    try:
        table = pa.csv.read_csv(path, convert_options=options)
    except pa.ArrowInvalid as error:
        # Arrow names a value without its line; the slow reader knows the line.
        raise DataError(explain(path) or f"{path.name}: {error}") from error
    if table.num_rows == 0:
        raise DataError(explain(path))
    chunked = {name: table[name] for name in _NEEDED}
    del table
    # Arrow keeps what is freed, and its parser's buffers are as large as the table.
    give_back = pa.default_memory_pool().release_unused
    columns = {}
    for column in schema.COLUMNS:
        give_back()
        columns[column.name] = _to_numpy(chunked.pop(column.name), column)
    label = _concatenate(chunked.pop(schema.LABEL))
    give_back()
    good = all(_follows(columns[column.name], column) for column in schema.COLUMNS)
    if not good or not ((label == 0) | (label == 1)).all():
        raise DataError(explain(path) or f"{path.name}: a value breaks the contract")
    return {**columns, schema.LABEL: label}


def _join(parts: list[npt.NDArray[Any]]) -> npt.NDArray[Any]:
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def _to_numpy(chunked: pa.ChunkedArray, column: schema.Column) -> npt.NDArray[Any]:
    """Give a column's values; a category's as int8 indices, -1 for what is none."""
    if column.kind != "category":
        return _concatenate(chunked)
    index = {name: number for number, name in enumerate(column.categories)}
    parts = []
    for chunk in chunked.chunks:
        codes = [index.get(name, -1) for name in chunk.dictionary.to_pylist()]
        parts.append(np.array(codes, dtype=np.int8)[chunk.indices.to_numpy()])
    return np.concatenate(parts)


def _concatenate(chunked: pa.ChunkedArray) -> npt.NDArray[np.float64]:
    return np.concatenate([chunk.to_numpy() for chunk in chunked.chunks])


def _follows(values: npt.NDArray[Any], column: schema.Column) -> bool:
    if column.minimum is None or column.maximum is None:
        return bool(values.min() >= 0)
    # A NaN makes the comparisons false.
    inside = values.min() >= column.minimum and values.max() <= column.maximum
    return bool(inside) and (column.kind == "number" or bool((np.rint(values) == values).all()))
