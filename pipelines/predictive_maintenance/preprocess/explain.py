"""Say which values of a csv file break the contract, row by row, after a quick check has failed."""

import csv
from pathlib import Path

from pipelines.predictive_maintenance import schema

SHOWN_FINDINGS = 5
LABEL_RULE = "must be 0 or 1"


def explain(path: Path) -> str:
    """List the first findings with row, line, column, value and rule, and count the others.

    Rows count from 1 after the header. Gives "" when every row follows the contract.
    """
    findings: list[str] = []
    count = 0
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file)
        names: list[str] = []
        number = 0
        try:
            for row in reader:
                if not row:
                    continue
                if not names:
                    names = row
                    places = {name: index for index, name in enumerate(names)}
                    continue
                number += 1
                found = _check_row(row, len(names), places)
                count += len(found)
                where = f"row {number} (line {reader.line_num})"
                findings += [f"{where}, {text}" for text in found[: SHOWN_FINDINGS - len(findings)]]
        except csv.Error as error:
            findings.append(f"line {reader.line_num}: {error}")
            count += 1
    if not findings:
        return "" if number else f"{path.name}: the file must have rows; it has only a header"
    more = f"; and {count - len(findings)} more" if count > len(findings) else ""
    return f"{path.name}: " + "; ".join(findings) + more


def _check_row(row: list[str], width: int, places: dict[str, int]) -> list[str]:
    if len(row) != width:
        return [f"must have {width} fields as the header has, not {len(row)}"]
    found = []
    for column in schema.COLUMNS:
        value = row[places[column.name]]
        if not column.accepts(value):
            found.append(f"column {column.name!r}: {column.rule}, not {schema.show(value)}")
    label = row[places[schema.LABEL]]
    if schema.NUMBER.fullmatch(label) is None or float(label) not in {0.0, 1.0}:
        found.append(f"column {schema.LABEL!r}: {LABEL_RULE}, not {schema.show(label)}")
    return found
