"""Rows that keep every rule: what the endpoint gets, and what the caller should know of them."""

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from .contract import Column, Contract, Value
from .errors import Finding, show

SHOWN_WARNINGS: Final = 100
SHOWN_NAMES: Final = 20

Row = tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """Rows in the order of the model's columns; ``unused`` names columns that it does not have."""

    rows: Sequence[Row]
    unused: Sequence[str]


def write_csv(table: Table) -> str:
    """Give the rows as the endpoint takes them; a float has the digits that make it again."""
    written = io.StringIO()
    csv.writer(written, lineterminator="\n").writerows(table.rows)
    return written.getvalue()


def warn(table: Table, contract: Contract) -> list[Finding]:
    """Tell of unused columns and of values that the training data did not reach.

    At most 100 findings; one more counts the rest.
    """
    found = [
        Finding(f"{show(name)} is no column of this model and was not used.", column=show(name))
        for name in table.unused[:SHOWN_NAMES]
    ]
    outside = list(_outside_training(table.rows, contract.columns))
    found += outside[: SHOWN_WARNINGS - len(found)]
    left = len(outside) + len(table.unused) - len(found)
    return [*found, Finding(f"And {left:,} more.")] if left else found


def _outside_training(rows: Sequence[Row], columns: Sequence[Column]) -> Iterator[Finding]:
    for number, row in enumerate(rows, start=1):
        for column, value in zip(columns, row, strict=True):
            if column.is_outside_training(value):
                rule = f"the training data goes {column.training_span}"
                told = f"Row {number}, column {column.name}: {value}, but {rule}."
                yield Finding(told, number, column.name, str(value), rule)
