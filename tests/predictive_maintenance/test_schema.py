"""The data contract and what it says about single values."""

import pytest

from pipelines.predictive_maintenance import schema

BY_NAME = {column.name: column for column in schema.COLUMNS}
TORQUE = BY_NAME["Torque [Nm]"]
SPEED = BY_NAME["Rotational speed [rpm]"]
TYPE = BY_NAME["Type"]


def test_neither_identifiers_nor_the_label_nor_its_parts_are_inputs() -> None:
    """What is known only after a failure, or only names a product, must never become a feature."""
    hidden = {*schema.IDENTIFIERS, schema.LABEL, *schema.LABEL_PARTS}
    assert hidden.isdisjoint(schema.COLUMN_NAMES)


def test_every_column_has_either_limits_or_categories() -> None:
    """A column's kind decides which of the two rules it has."""
    for column in schema.COLUMNS:
        ranged = column.minimum is not None and column.maximum is not None
        assert ranged == (column.kind != "category") == (column.categories == ())


@pytest.mark.parametrize("text", ["0", "500", "42.8", " 42.8 ", "4.28e1", "+42.", ".5"])
def test_a_number_within_the_limits_is_accepted(text: str) -> None:
    """Limits are inclusive and every usual spelling of a number will do."""
    assert TORQUE.accepts(text)


@pytest.mark.parametrize(
    "text",
    ["", " ", "-0.1", "500.1", "nan", "inf", "-inf", "1e999", "1_0", "0x10", "٤", "4 2", "4,2"],
)
def test_what_is_no_plausible_number_is_refused(text: str) -> None:
    """Nothing but a finite number within the limits passes, whatever float() would take."""
    assert not TORQUE.accepts(text)


def test_an_integer_column_wants_whole_numbers() -> None:
    """1551.0 is a whole number, 1551.5 is none."""
    assert SPEED.accepts("1551")
    assert SPEED.accepts("1551.0")
    assert not SPEED.accepts("1551.5")
    assert not SPEED.accepts("1e999")


def test_a_category_is_exactly_one_of_its_names() -> None:
    """Case and blanks count."""
    assert [text for text in ("L", "M", "H", "l", " L", "LM", "") if TYPE.accepts(text)] == [
        "L",
        "M",
        "H",
    ]


def test_a_rule_names_limits_and_unit() -> None:
    """The rule in an error message says what the value must be."""
    assert TORQUE.rule == "must be a number from 0 to 500 Nm"
    assert SPEED.rule == "must be a whole number from 0 to 10000 rpm"
    assert TYPE.rule == "must be one of L, M, H"


def test_a_long_value_is_shown_in_part() -> None:
    """A message never carries more than 40 characters of a value."""
    assert schema.show("x" * 41) == repr("x" * 40) + "... (41 characters)"
    assert schema.show("x" * 40) == repr("x" * 40)
