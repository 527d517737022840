"""Points of metrics: how they add up, what is read of them, and how they grow old."""

from __future__ import annotations

import math
import random
import statistics
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localcloud.cloudwatch.errors import ValidationError
from localcloud.cloudwatch.expressions import Expression
from localcloud.cloudwatch.points import Metric, Points
from localcloud.cloudwatch.statistics import Datum, Point, merged, value_of
from localcloud.protocol import Caller

CALLER = Caller("000000000000", "us-east-1")
METRIC = Metric("Mine", "Load", ())
NUMBERS = st.lists(st.integers(-1000, 1000).map(float), min_size=1, max_size=50)
DAY = 86_400


def datum(value: float, at: float = 0.0) -> Datum:
    return Datum("Load", {}, at, "None", 1.0, value, value, value)


@pytest.fixture
def points(tmp_path: Path) -> Iterator[Points]:
    made = Points(tmp_path / "metrics.db")
    yield made
    made.close()


@given(NUMBERS)
def test_statistics_are_those_of_the_values(values: list[float]) -> None:
    point = merged(Point.of(datum(value)) for value in values)
    assert value_of(point, "SampleCount") == len(values)
    assert value_of(point, "Sum") == sum(values)
    assert value_of(point, "Average") == pytest.approx(statistics.fmean(values))
    assert value_of(point, "Minimum") == value_of(point, "p0") == min(values)
    assert value_of(point, "Maximum") == value_of(point, "p100") == max(values)
    assert value_of(point, "TM(0%:100%)") == pytest.approx(statistics.fmean(values))
    assert value_of(point, "TC(0%:100%)") == pytest.approx(len(values))
    ordered = sorted(values)
    for share in (10, 50, 90, 99.5):
        rank = max(1, math.ceil(len(values) * share / 100))
        assert value_of(point, f"p{share}") == ordered[rank - 1]
    assert value_of(point, "PR(:0)") == pytest.approx(
        100 * sum(value <= 0 for value in values) / len(values)
    )


@pytest.mark.parametrize("seed", range(5))
def test_many_different_values_keep_percentiles_to_a_percent(seed: int) -> None:
    draw = random.Random(seed)
    values = [draw.lognormvariate(0, 2) for _ in range(5000)]
    point = merged(Point.of(datum(value)) for value in values)
    for share in (1, 10, 50, 90, 99):
        wanted = sorted(values)[math.ceil(len(values) * share / 100) - 1]
        assert value_of(point, f"p{share}") == pytest.approx(wanted, rel=0.01)
    assert value_of(point, "Sum") == pytest.approx(sum(values))
    assert len(point.values or {}) < 1500


def test_what_grows_old_is_added_up_and_nothing_is_lost(points: Points) -> None:
    """A second, a minute, five minutes, an hour, and then nothing."""
    now = 1000 * DAY
    ages = {3600: 120, 4 * 3600: 2, 16 * DAY: 1, 64 * DAY: 1, 500 * DAY: 0}
    for age in ages:
        start = (now - age) // 3600 * 3600
        points.add(CALLER, "Mine", [datum(1.0, start + second) for second in range(120)])
    points.tidy(now)
    for age, kept in ages.items():
        start = (now - age) // 3600 * 3600
        found = points.read(CALLER, METRIC, start, start + 3600)
        assert len(found) == kept, age
        assert sum(point.count for _, _, point in found) == (120 if kept else 0)
    points.tidy(now)
    assert len(points.read(CALLER, METRIC, 0, now)) == sum(ages.values())


def test_what_is_added_is_there_after_a_restart(points: Points, tmp_path: Path) -> None:
    points.add(CALLER, "Mine", [datum(1.0, 5), datum(2.0, 5.9), datum(4.0, 6)])
    points.close()
    again = Points(tmp_path / "metrics.db")
    found = again.read(CALLER, METRIC, 0, 10)
    assert [(moment, point.total) for moment, _, point in found] == [(5, 3.0), (6, 4.0)]
    assert again.metrics(Caller("000000000000", "eu-west-1"), 0) == []
    again.close()


def test_a_datum_that_cannot_be_kept_keeps_none_of_its_call(points: Points) -> None:
    odd = Datum("Load", {}, 5, "None", "x", 1.0, 1.0, 1.0, {object(): 1.0})  # type: ignore[dict-item]
    with pytest.raises(TypeError):
        points.add(CALLER, "Mine", [datum(1.0, 5), odd])
    assert points.read(CALLER, METRIC, 0, 10) == []
    points.add(CALLER, "Mine", [datum(1.0, 5)])
    assert len(points.read(CALLER, METRIC, 0, 10)) == 1


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("a + b", {0: 3.0, 120: 9.0}),
        ("a - 1", {0: 0.0, 60: 1.0, 120: 3.0}),
        ("-a", {0: -1.0, 60: -2.0, 120: -4.0}),
        ("a / (b - 2)", {120: 4.0 / 3}),
        ("2 * 3 ^ 2", {0: 18.0, 60: 18.0, 120: 18.0}),
        ("a > 1", {0: 0.0, 60: 1.0, 120: 1.0}),
        ("a > 1 AND b > 4", {0: 0.0, 120: 1.0}),
        ("a > 3 || b < 3", {0: 1.0, 120: 1.0}),
        ("IF(a > 1, a, 0)", {0: 0.0, 60: 2.0, 120: 4.0}),
        ("IF(a > 1, a)", {60: 2.0, 120: 4.0}),
        ("FILL(b, 7)", {0: 2.0, 60: 7.0, 120: 5.0}),
        ("FILL(b, REPEAT)", {0: 2.0, 60: 2.0, 120: 5.0}),
        ("SUM(a)", {0: 7.0, 60: 7.0, 120: 7.0}),
        ("a / MAX(a)", {0: 0.25, 60: 0.5, 120: 1.0}),
        ("MIN([a, b])", {0: 1.0, 60: 2.0, 120: 4.0}),
        ("AVG(METRICS())", {0: 1.5, 60: 2.0, 120: 4.5}),
        ("ABS(CEIL(a / -3))", {0: 0.0, 60: 0.0, 120: 1.0}),
        ("a * PERIOD(a)", {0: 60.0, 60: 120.0, 120: 240.0}),
        ("(-1 * a) ^ 0.5", {}),
        ("10 ^ 400", {}),
    ],
)
def test_math_of_series(text: str, wanted: dict[int, float]) -> None:
    """Where one of two series has no value, or the result is no number, there is none."""
    series = {"a": {0: 1.0, 60: 2.0, 120: 4.0}, "b": {0: 2.0, 120: 5.0}}
    expression = Expression.parse(text)
    found = expression.evaluate(series, list(series.values()), [0, 60, 120], 60)
    assert found == pytest.approx(wanted)


@pytest.mark.parametrize(
    "text",
    ["a.b", "a[0]", "__import__('os')", "a if b else c", "lambda: 1", "'text'", "a := 1", "RATE(a)",
     "A + 1", "a +", "", "(" * 500, "a < b < c", "f(a)", "SUM(a, b)", "[a, b]", "SUM(*a)", "a % 2",
     "{}", "SUM(a=1)", "a\nb", "None"],
)  # fmt: skip
def test_an_expression_that_is_none_is_refused_in_words(text: str) -> None:
    with pytest.raises(ValidationError, match="Error in expression"):
        Expression.parse(text).evaluate({"a": {0: 1.0}, "b": {}, "c": {}}, [], [0], 60)


@given(st.text(st.sampled_from("abm12+-*/^()[],<>=&|! IFSUMFILLMETRICS.\x00"), max_size=40))
def test_no_text_crashes_the_reader(text: str) -> None:
    try:
        Expression.parse(text).evaluate({"a": {0: 1.0}}, [{0: 1.0}], [0, 60], 60)
    except ValidationError:
        return
