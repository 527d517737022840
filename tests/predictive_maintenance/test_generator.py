"""The generated rows follow the published rules and the measured statistics."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow.csv
import pytest

from pipelines.predictive_maintenance import generator

Table = dict[str, npt.NDArray[Any]]
SEEDS = range(20)


@pytest.fixture(scope="module")
def files() -> list[Table]:
    """One generated file of the published size per seed."""
    return [next(generator.segments(10_000, seed)) for seed in SEEDS]


@pytest.fixture(scope="module")
def table(files: list[Table]) -> Table:
    """All rows of all seeds."""
    return {name: np.concatenate([file[name] for file in files]) for name in generator.HEADER}


# Mean and standard deviation over 300 files; the mean of 20 files lies within 4 standard errors.
@pytest.mark.parametrize(
    ("name", "mean", "deviation"),
    [
        ("Machine failure", 338, 52),
        ("TWF", 46, 5),
        ("HDF", 105, 54),
        ("PWF", 105, 10),
        ("OSF", 101, 12),
        ("RNF", 19, 4.4),
    ],
)
def test_the_failures_are_as_many_as_measured(
    files: list[Table], name: str, mean: float, deviation: float
) -> None:
    """The counts of the label and of each mode lie where the published file's do."""
    counts = [file[name].sum() for file in files]
    assert abs(np.mean(counts) - mean) < 4 * deviation / len(SEEDS) ** 0.5


def test_the_modes_follow_their_rules_exactly(table: Table) -> None:
    """Heat, power and strain failures are functions of the row as it is written."""
    air, process = table["Air temperature [K]"], table["Process temperature [K]"]
    speed, torque, wear = (
        table["Rotational speed [rpm]"],
        table["Torque [Nm]"],
        table["Tool wear [min]"],
    )
    power = torque * speed * 2 * np.pi / 60
    limit = np.select([table["Type"] == kind for kind in "LMH"], [11000, 12000, 13000])
    assert np.array_equal(table["HDF"] == 1, (process - air < 8.6) & (speed < 1380))
    assert np.array_equal(table["PWF"] == 1, (power < 3500) | (power > 9000))
    assert np.array_equal(table["OSF"] == 1, wear * torque > limit)


def test_the_label_is_the_union_of_four_modes_and_a_few_more(table: Table) -> None:
    """Random failures do not set the label; 0.09 % of the rows have it without a flag."""
    modes = np.logical_or.reduce([table[name] == 1 for name in ("TWF", "HDF", "PWF", "OSF")])
    label = table["Machine failure"] == 1
    assert label[modes].all()
    assert 0.0005 < (label & ~modes).mean() < 0.0014


def test_wear_grows_by_the_rows_type_until_the_tool_ends(files: list[Table]) -> None:
    """A row adds 2, 3 or 5 minutes; a tool ends above 197 minutes, and TWF only on its last row."""
    ends = []
    for file in files:
        wear = file["Tool wear [min]"]
        minutes = np.select([file["Type"] == kind for kind in "LMH"], [2, 3, 5])
        last = np.append(np.diff(wear) < 0, True)
        assert wear[0] == 0
        assert np.array_equal(np.where(last, 0, wear + minutes)[:-1], wear[1:])
        assert wear[last][:-1].min() >= 198
        assert not (file["TWF"].astype(bool) & ~last).any()
        ends.append(int(last[:-1].sum()))
    assert 117 < np.mean(ends) < 120


def test_the_walks_are_standardised_per_file(files: list[Table]) -> None:
    """Air has mean 300 and deviation 2; the difference to the process has mean 10, deviation 1."""
    for file in files:
        air, process = file["Air temperature [K]"], file["Process temperature [K]"]
        assert (air.mean(), air.std()) == pytest.approx((300, 2), abs=0.01)
        assert ((process - air).mean(), (process - air).std()) == pytest.approx((10, 1), abs=0.01)


# Quantiles of the published file; its own sampling error in probability is 0.0136 at 10,000 rows.
PROBABILITIES = (0.05, 0.25, 0.5, 0.75, 0.95)


@pytest.mark.parametrize(
    ("name", "quantiles"),
    [
        ("Rotational speed [rpm]", (1332, 1423, 1503, 1612, 1868)),
        ("Torque [Nm]", (23.5, 33.2, 40.1, 46.8, 56.1)),
        ("Tool wear [min]", (10, 53, 108, 162, 206)),
    ],
)
def test_the_distributions_are_the_published_ones(
    table: Table, name: str, quantiles: tuple[float, ...]
) -> None:
    """At the published file's quantiles the generated distribution is off by less than 0.02."""
    values = np.sort(table[name])
    for probability, quantile in zip(PROBABILITIES, quantiles, strict=True):
        below = np.searchsorted(values, quantile, "left") / values.size
        upto = np.searchsorted(values, quantile, "right") / values.size
        assert below - 0.02 < probability < upto + 0.02


def test_the_types_are_mixed_60_30_10(table: Table) -> None:
    """The shares are those of the file, not of its description."""
    shares = [(table["Type"] == kind).mean() for kind in "LMH"]
    assert shares == pytest.approx([0.6, 0.3, 0.1], abs=0.01)


def test_fewer_rows_are_the_beginning_of_more() -> None:
    """The same seed gives the same rows however many are asked for, and another seed others."""

    def torque(rows: int, seed: int) -> npt.NDArray[Any]:
        return np.concatenate([part["Torque [Nm]"] for part in generator.segments(rows, seed)])

    assert np.array_equal(torque(12_345, 3), torque(25_000, 3)[:12_345])
    assert not np.array_equal(torque(100, 3), torque(100, 4))
    assert torque(12_345, 3).size == 12_345


def test_negative_rows_are_refused() -> None:
    """The message carries the value."""
    with pytest.raises(ValueError, match="-1"):
        next(generator.segments(-1, 0))


@pytest.fixture
def written(tmp_path: Path) -> Iterator[Path]:
    """A csv over more than one segment."""
    path = tmp_path / "rows.csv"
    generator.write_csv(path, 10_001, 7)
    yield path
    assert list(tmp_path.iterdir()) == [path]


def test_the_csv_reads_back_as_the_rows(written: Path) -> None:
    """Every number's text is the number, and a product id is its type's letter and a number."""
    parts = list(generator.segments(10_001, 7))
    read = pyarrow.csv.read_csv(written)
    assert tuple(read.column_names) == generator.HEADER
    for name in generator.HEADER:
        expected = np.concatenate([part[name] for part in parts])
        values = read[name].to_numpy()
        if name == "Product ID":
            types = np.concatenate([part["Type"] for part in parts])
            assert all(
                text == f"{kind}{number}"
                for text, kind, number in zip(values, types, expected, strict=True)
            )
        else:
            assert np.array_equal(values, expected), name
    assert written.read_bytes().startswith(b"UDI,Product ID,Type,")
    assert b"\r" not in written.read_bytes()
