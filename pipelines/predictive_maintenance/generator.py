"""Rows that a classifier cannot tell from the published AI4I 2020 file, any number of them, seeded.

The walks, the limits and the union of the modes are as documented (Matzka 2020, IEEE AI4I,
pp. 69-74). The type mix, the law of the rotational speed, the chances of a tool's end, of a random
failure and of a failure without a flag are measured on the published file, which departs from its
description there.
"""

import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from pipelines.predictive_maintenance import schema

SEGMENT_ROWS: Final = 10_000
HEADER: Final = (*schema.IDENTIFIERS, *schema.COLUMN_NAMES, schema.LABEL, *schema.LABEL_PARTS)

Floats = npt.NDArray[np.float64]

_TYPES: Final = ("L", "M", "H")
_TYPE_SHARES: Final = (0.6, 0.3, 0.1)
_PRODUCT_OFFSETS: Final = np.array([47179, 14859, 29413])
_WEAR_MINUTES: Final = np.array([2, 3, 5])
_STRAIN_LIMITS: Final = np.array([11000.0, 12000.0, 13000.0])
_TOOL_FAILURE_CHANCE: Final = 46 / 119
_RANDOM_FAILURE_CHANCE: Final = 0.0019
_UNEXPLAINED_CHANCE: Final = 0.0009


def segments(rows: int, seed: int) -> Iterator[dict[str, npt.NDArray[Any]]]:
    """Give ``rows`` rows in segments of at most 10,000, each a mapping from name to array.

    ``Product ID`` is the number without the letter of the type. Every segment has walks, tools and
    a random stream of its own, so fewer rows of the same seed are the beginning of more. Raises
    ValueError for a negative number of rows or seed.
    """
    if rows < 0 or seed < 0:
        raise ValueError(f"rows and seed must not be negative, not {rows} and {seed}")
    for index in range(math.ceil(rows / SEGMENT_ROWS)):
        stream = np.random.SeedSequence(seed, spawn_key=(index,))
        segment = _segment(np.random.Generator(np.random.PCG64(stream)), index * SEGMENT_ROWS)
        keep = min(SEGMENT_ROWS, rows - index * SEGMENT_ROWS)
        yield {name: values[:keep] for name, values in segment.items()}


def write_csv(path: Path, rows: int, seed: int) -> None:
    """Write ``rows`` rows as a csv like the published one (UTF-8, no mark, LF), all or nothing."""
    import pyarrow as pa  # noqa: PLC0415  who only fetches the data need not load it
    import pyarrow.compute as pc  # noqa: PLC0415
    import pyarrow.csv  # noqa: PLC0415

    whole = {"UDI", "Rotational speed [rpm]", "Tool wear [min]", schema.LABEL, *schema.LABEL_PARTS}
    types = {name: pa.int64() if name in whole else pa.float64() for name in HEADER}
    types |= {"Product ID": pa.string(), "Type": pa.string()}
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with partial.open("wb") as file:
            file.write((",".join(HEADER) + "\n").encode())
            options = pa.csv.WriteOptions(include_header=False, quoting_style="none")
            with pa.csv.CSVWriter(file, pa.schema(types), write_options=options) as writer:
                for segment in segments(rows, seed):
                    columns = {name: pa.array(values) for name, values in segment.items()}
                    number = pc.cast(columns["Product ID"], pa.string())
                    columns["Product ID"] = pc.binary_join_element_wise(columns["Type"], number, "")
                    writer.write_batch(
                        pa.record_batch(
                            [pc.cast(columns[name], types[name]) for name in HEADER], names=HEADER
                        )
                    )
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _segment(random: np.random.Generator, first_row: int) -> dict[str, npt.NDArray[Any]]:
    n = SEGMENT_ROWS
    udi = np.arange(first_row + 1, first_row + n + 1)
    kind = random.choice(len(_TYPES), size=n, p=_TYPE_SHARES)
    warmth = 300.0 + 2.0 * _walk(random, n)
    air = _tenths(warmth)
    process = _tenths(warmth + 10.0 + _walk(random, n))
    torque = _tenths(np.abs(random.normal(40.0, 10.0, n)))
    speed = 1000.0 + 20000.0 / np.maximum(torque, 0.1) + random.normal(0.0, 50.0, n)
    speed = np.rint(np.where(speed > 2700.0, 3000.0 - 30.0 * torque, speed)).astype(np.int64)
    wear, last = _wear(random, _WEAR_MINUTES[kind])

    power = torque * speed * (2.0 * math.pi / 60.0)
    parts = {
        "TWF": last & (random.random(n) < _TOOL_FAILURE_CHANCE),
        "HDF": (process - air < 8.6) & (speed < 1380),
        "PWF": (power < 3500.0) | (power > 9000.0),
        "OSF": wear * torque > _STRAIN_LIMITS[kind],
    }
    failure = np.logical_or.reduce([*parts.values(), random.random(n) < _UNEXPLAINED_CHANCE])
    parts["RNF"] = random.random(n) < _RANDOM_FAILURE_CHANCE
    return {
        "UDI": udi,
        "Product ID": udi + _PRODUCT_OFFSETS[kind],
        "Type": np.array(_TYPES)[kind],
        "Air temperature [K]": air,
        "Process temperature [K]": process,
        "Rotational speed [rpm]": speed,
        "Torque [Nm]": torque,
        "Tool wear [min]": wear,
        schema.LABEL: failure.astype(np.int64),
        **{name: flags.astype(np.int64) for name, flags in parts.items()},
    }


def _walk(random: np.random.Generator, n: int) -> Floats:
    """Make a Gaussian random walk of n steps, standardised to mean 0 and standard deviation 1."""
    walk = np.cumsum(random.standard_normal(n))
    standard: Floats = (walk - walk.mean()) / walk.std()
    return standard


def _tenths(values: Floats) -> Floats:
    """Round to 0.1 so that each value is the float64 that its decimal text reads as."""
    rounded: Floats = np.rint(values * 10.0) / 10.0
    return rounded


def _wear(
    random: np.random.Generator, minutes: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """Tool wear before each row, and whether the row is its tool's last.

    A row adds its minutes to the next row's wear. The loop is over tools, some 119 in a segment.
    """
    n = minutes.size
    used = np.concatenate(([0], np.cumsum(minutes)[:-1]))
    chance = random.random(n)
    wear = used.copy()
    last = np.zeros(n, dtype=np.bool_)
    start = 0
    while start < n:
        since = used[start]
        old = int(np.searchsorted(used, since + 198))
        # Above 217 minutes the chance is 0.238 a row: 256 rows more without an end do not happen.
        age = used[old : old + 256] - since
        ends = np.flatnonzero(chance[old : old + 256] < np.minimum(0.238, 0.0112 * (age - 196.64)))
        end = old + int(ends[0]) if ends.size else n
        wear[start : end + 1] -= since
        last[end : end + 1] = True
        start = end + 1
    return wear, last
