"""The data contract: a csv's columns, their types, units and plausible ranges, and the label.

Plain data and the standard library only: every job's bundle and both model archives take it along.
The ranges are what a machine of this kind can show at all, not what the training data happened to
show: a value outside is a broken sensor, a wrong unit or a shifted column.
Source: AI4I 2020 Predictive Maintenance Dataset, DOI 10.24432/C5HS5C.
"""

import re
from dataclasses import dataclass
from typing import Final, Literal

Kind = Literal["number", "integer", "category"]

CONTRACT_VERSION: Final = "1"

# float() takes more than numbers, "nan" and "1_0" among them.
NUMBER: Final = re.compile(r"[ \t]*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?[ \t]*", re.ASCII)
SHOWN_CHARACTERS: Final = 40


@dataclass(frozen=True, slots=True)
class Column:
    """One input column under its name in the csv; the limits are inclusive.

    A category has ``categories`` and no limits; a number or an integer has limits only.
    """

    name: str
    kind: Kind
    unit: str
    minimum: float | None
    maximum: float | None
    categories: tuple[str, ...]
    description: str

    @property
    def rule(self) -> str:
        """What a value of this column must be, in words for an error message."""
        if self.kind == "category":
            return f"must be one of {', '.join(self.categories)}"
        noun = "a whole number" if self.kind == "integer" else "a number"
        return f"must be {noun} from {self.minimum:g} to {self.maximum:g} {self.unit}"

    def accepts(self, text: str) -> bool:
        """Whether the text of one field follows the rule; blanks around a number do not count."""
        if self.minimum is None or self.maximum is None:
            return text in self.categories
        if NUMBER.fullmatch(text) is None:
            return False
        value = float(text)
        whole = self.kind == "number" or value.is_integer()
        return whole and self.minimum <= value <= self.maximum


def show(value: object) -> str:
    """Quote a value for an error message, at most 40 characters of it."""
    text = str(value)
    if len(text) > SHOWN_CHARACTERS:
        return f"{text[:SHOWN_CHARACTERS]!r}... ({len(text)} characters)"
    return repr(text)


# The order is the order of the fields in a row sent to the endpoint.
COLUMNS: Final[tuple[Column, ...]] = (
    Column(
        "Type", "category", "", None, None, ("L", "M", "H"), "Product quality: low, medium or high"
    ),
    Column("Air temperature [K]", "number", "K", 250.0, 350.0, (), "Temperature of the air around"),
    Column(
        "Process temperature [K]", "number", "K", 250.0, 400.0, (), "Temperature at the process"
    ),
    Column("Rotational speed [rpm]", "integer", "rpm", 0.0, 10000.0, (), "Speed of the spindle"),
    Column("Torque [Nm]", "number", "Nm", 0.0, 500.0, (), "Torque at the spindle"),
    Column(
        "Tool wear [min]", "integer", "min", 0.0, 1000.0, (), "Minutes this tool has been in use"
    ),
)
COLUMN_NAMES: Final[tuple[str, ...]] = tuple(column.name for column in COLUMNS)
NUMERIC_NAMES: Final[tuple[str, ...]] = tuple(c.name for c in COLUMNS if c.kind != "category")

LABEL: Final = "Machine failure"
IDENTIFIERS: Final = ("UDI", "Product ID")
# The failure modes whose union is the label: known only after a failure, so never an input.
LABEL_PARTS: Final = ("TWF", "HDF", "PWF", "OSF", "RNF")
