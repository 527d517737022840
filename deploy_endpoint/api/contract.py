"""What deployment.json says of the model: its columns, its threshold, its sample.

The model package names the document; ``deployment.schema.json`` describes it.
"""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, Literal

from .errors import UnavailableError

VERSION: Final = "1"

Kind = Literal["number", "integer", "category"]
Value = str | int | float

# float() takes more than numbers, "nan" and "1_0" among them.
_NUMBER = re.compile(r"[ \t]*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?[ \t]*", re.ASCII)


@dataclass(frozen=True)
class Column:
    """One field of a row. A category has ``categories``; a number may have limits, inclusive."""

    name: str
    kind: Kind
    unit: str
    minimum: float | None
    maximum: float | None
    categories: tuple[str, ...]
    training_minimum: float | None
    training_maximum: float | None
    description: str

    @cached_property
    def rule(self) -> str:
        """What a value must be, in words for a message."""
        if self.kind == "category":
            return f"must be one of {', '.join(self.categories)}"
        noun = "a whole number" if self.kind == "integer" else "a number"
        return " ".join(["must be", noun, *_range(self.minimum, self.maximum, self.unit)])

    @cached_property
    def training_span(self) -> str:
        """How far the training data goes, in words for a message."""
        return " ".join(_range(self.training_minimum, self.training_maximum, self.unit))

    def read_text(self, text: str) -> Value | None:
        """Read a csv field; None when it breaks the rule. Blanks around a number do not count."""
        if self.kind == "category":
            return text if text in self.categories else None
        return self._check(float(text)) if _NUMBER.fullmatch(text) else None

    def read_json(self, value: object) -> Value | None:
        """Read a JSON value; None when it breaks the rule, as a number in a string does."""
        if self.kind == "category":
            return value if isinstance(value, str) and value in self.categories else None
        if isinstance(value, bool) or not isinstance(value, int | float):
            return None
        try:
            return self._check(float(value))
        except OverflowError:
            return None

    def is_outside_training(self, value: Value) -> bool:
        """Whether the training data had no value as low or as high."""
        if isinstance(value, str):
            return False
        low, high = self.training_minimum, self.training_maximum
        return (low is not None and value < low) or (high is not None and value > high)

    def _check(self, number: float) -> Value | None:
        low = -math.inf if self.minimum is None else self.minimum
        high = math.inf if self.maximum is None else self.maximum
        if not math.isfinite(number) or not low <= number <= high:
            return None
        if self.kind == "number":
            return number
        return int(number) if number.is_integer() else None


@dataclass(frozen=True, slots=True)
class Contract:
    """The document, as far as the API needs it; ``examples`` are rows with their answers."""

    label: str
    threshold: float
    columns: tuple[Column, ...]
    examples: tuple[Mapping[str, Any], ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The columns' names, in the order of a csv row."""
        return tuple(column.name for column in self.columns)


def fetch(s3: Any, uri: str) -> Contract:
    """Read the document behind an ``s3://`` URI. Raises UnavailableError if it is not readable."""
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    try:
        body = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
        return parse(json.loads(body))
    except Exception as error:
        raise UnavailableError(
            "The description of the model cannot be read now.", headers={"retry-after": "5"}
        ) from error


def parse(document: Mapping[str, Any]) -> Contract:
    """Take what is needed of the document.

    Raises ValueError for another version of the contract, KeyError and TypeError for a document
    that is none.
    """
    if document["contract_version"] != VERSION:
        raise ValueError(
            f"contract_version must be {VERSION!r}, not {document['contract_version']!r}"
        )
    columns = tuple(
        Column(**{**each, "categories": tuple(each["categories"] or ())})
        for each in document["columns"]
    )
    sample = document["sample"]
    instances = json.loads(sample["payloads"]["application/json"])["instances"]
    examples = tuple(
        {"values": values, "expected": expected}
        for values, expected in zip(instances, sample["expected"], strict=True)
    )
    return Contract(document["label"], document["threshold"], columns, examples)


def _range(low: float | None, high: float | None, unit: str) -> list[str]:
    words = [] if low is None else [f"from {low:g}"]
    words += [] if high is None else [f"to {high:g}"]
    return [*words, unit] if words and unit else words
