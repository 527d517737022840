"""The rows of a csv that are to be scored: read, cut into parts, and joined with their scores.

A part is what one request to the model carries, so that a row which the model refuses can be named
by its place in the file.
"""

import csv
import hashlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final

from pipelines.build import files
from pipelines.build.errors import ExecutionFailedError, UsageError

SCORE_COLUMNS: Final = ("score", "predicted_label")
_PART_BYTES: Final = 4_000_000
_BLOCK: Final = 1000
_POSITIVE: Final = "1"


@dataclass(frozen=True, slots=True)
class Part:
    """A file of rows as the model takes them; ``first`` is its first row's number in the csv."""

    path: Path
    first: int
    rows: int


@dataclass(frozen=True, slots=True)
class Table:
    """A csv on disk; ``places`` says where the model's columns stand, None as they come."""

    path: Path
    header: list[str] | None
    places: list[int] | None

    def rows(self) -> Iterator[tuple[int, list[str]]]:
        """Go through the rows, each with the number of its first line. Raises UsageError."""
        found = _records(self.path)
        yield from islice(found, 1 if self.header else 0, None)

    def line(self, row: int) -> int:
        """Return the line on which a row stands; rows and lines are counted from 1."""
        return next(islice(self.rows(), row - 1, None))[0]


def open_table(path: Path, columns: Sequence[str]) -> Table:
    """Look at a csv whose rows have these columns, in this order if it has no header.

    A first line that names all columns is a header; others may stand beside and between them.
    Raises UsageError for a file that cannot be read, has no row, or names only some columns.
    """
    found = _records(path)
    first = next(found, None)
    if first is None:
        raise UsageError(f"{path} is empty.")
    names = [name.strip() for name in first[1]]
    missing = [column for column in columns if column not in names]
    if len(missing) == len(columns):
        return Table(path, None, None)
    if missing:
        raise UsageError(
            f"The header of {path} must name every column that the model takes; "
            f"{', '.join(missing)} is missing."
        )
    twice = [column for column in columns if names.count(column) > 1]
    if twice:
        raise UsageError(f"The header of {path} names {twice[0]} more than once.")
    if next(found, None) is None:
        raise UsageError(f"{path} holds a header and no row.")
    return Table(path, first[1], [names.index(column) for column in columns])


def cut(table: Table, folder: Path) -> tuple[list[Part], str]:
    """Write the rows as the model takes them into files; returns these and their content's hash.

    Raises UsageError for a row that is not as wide as the header.
    """
    parts: list[Part] = []
    digest = hashlib.sha256()
    rows = table.rows()
    first = 1
    while True:
        path = folder / f"part-{len(parts):05}.csv"
        count = 0
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            while file.tell() < _PART_BYTES:
                block = list(islice(rows, _BLOCK))
                writer.writerows(
                    _chosen(table, first + count + place, *row) for place, row in enumerate(block)
                )
                count += len(block)
                if not block:
                    break
        if count == 0:
            path.unlink()
            return parts, digest.hexdigest()
        digest.update(path.read_bytes())
        parts.append(Part(path, first, count))
        first += count


def join(table: Table, parts: Sequence[Part], scores: Path, output: Path) -> tuple[int, int]:
    """Write every row with its score and predicted label; returns how many, and how many are 1.

    ``scores`` is the folder of the answers, ``PART.out`` each. Raises ExecutionFailedError where
    a part has not one answer for each row.
    """
    rows = table.rows()
    total = positives = 0
    with ExitStack() as stack:
        file = stack.enter_context(files.replacing(output))
        writer = csv.writer(file, lineterminator="\n")
        if table.header:
            writer.writerow([*table.header, *SCORE_COLUMNS])
        for part in parts:
            answers = (scores / f"{part.path.name}.out").read_text(encoding="utf-8").splitlines()
            if len(answers) != part.rows:
                raise ExecutionFailedError(
                    f"The model gave {len(answers)} answers for {part.rows} rows from row "
                    f"{part.first} on; nothing was written."
                )
            for answer, (_, row) in zip(answers, islice(rows, part.rows), strict=True):
                scored = answer.split(",")
                writer.writerow([*row, *scored])
                positives += scored[-1] == _POSITIVE
            total += part.rows
    return total, positives


def _records(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Go through the lines of a csv that are not empty, each with its number."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file, strict=True)
            line = 1
            for fields in reader:
                if fields:
                    yield line, fields
                line = reader.line_num + 1
    except FileNotFoundError as error:
        raise UsageError(f"There is no file {path}.") from error
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} must be UTF-8: {error.reason}.") from error
    except csv.Error as error:
        raise UsageError(f"{path} must be csv; line {reader.line_num}: {error}.") from error


def _chosen(table: Table, row: int, line: int, fields: list[str]) -> list[str]:
    """Return the fields of a row that the model takes."""
    if table.header is None or table.places is None:
        return fields
    if len(fields) != len(table.header):
        raise UsageError(
            f"Row {row} of {table.path} (line {line}) has {len(fields)} fields; the header has "
            f"{len(table.header)}."
        )
    return [fields[place] for place in table.places]
