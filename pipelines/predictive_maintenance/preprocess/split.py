"""Deal rows into train, validation and test by stratum, the same way with every numpy."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pipelines.predictive_maintenance.preprocess.errors import DataError

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Split:
    """Indices of the rows of each part, ascending; together every row once."""

    train: Rows
    validation: Rows
    test: Rows


def split(
    label: npt.NDArray[np.int8],
    kind: npt.NDArray[Any],
    *,
    test_ratio: float,
    validation_ratio: float,
    seed: int,
) -> Split:
    """Split n rows stratified by label (0 or 1) and, within it, by kind (small integers).

    The parts' sizes, and the positives in them, are within two rows of the ratios. Raises DataError
    when a part would lack one of the classes.
    """
    n = label.size
    shuffled = np.random.Generator(np.random.PCG64(seed)).permutation(n)
    strata = label.astype(np.int16) * (int(kind.max(initial=0)) + 1) + kind
    dealt = shuffled[np.argsort(strata[shuffled], kind="stable")]
    held_ratio = test_ratio + validation_ratio
    held = _take_at_pace(dealt, held_ratio)
    part = np.zeros(n, dtype=np.int8)
    part[held] = 1
    part[_take_at_pace(held, test_ratio / held_ratio)] = 2
    parts = [np.flatnonzero(part == number) for number in range(3)]
    for name, rows in zip(("train", "validation", "test"), parts, strict=True):
        positives = int(label[rows].sum())
        if not 0 < positives < rows.size:
            raise DataError(
                f"the {name} part must hold rows with and without a failure; it would have "
                f"{rows.size} rows, {positives} with a failure, of {n} rows, {int(label.sum())} "
                f"with a failure"
            )
    return Split(*parts)


def _take_at_pace(rows: Rows, ratio: float) -> Rows:
    """Take every (1 / ratio)-th row, so that each run of rows gives its share."""
    due = np.floor(np.arange(rows.size + 1) * ratio + 0.5)
    taken: Rows = rows[np.diff(due) > 0]
    return taken
