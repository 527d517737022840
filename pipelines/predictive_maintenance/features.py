"""The physical features: one definition for training and for serving.

The failure modes of AI4I 2020 follow rules that its author published (Matzka 2020, IEEE AI4I,
pp. 69-74): heat is not dissipated when the temperatures differ by less than 8.6 K and the spindle
turns below 1380 rpm, power must stay between 3500 and 9000 W, and strain (wear times torque) below
a limit of the product's type. A margin to such a limit is what a tree cuts with one split, so the
published constants stand here, in the features, and nowhere else.
"""

import math
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt

TYPE_ORDER: Final = ("L", "M", "H")
STRAIN_LIMITS: Final = {"L": 11000.0, "M": 12000.0, "H": 13000.0}
HEAT_DIFFERENCE: Final = 8.6
HEAT_SPEED: Final = 1380.0
POWER_LIMITS: Final = (3500.0, 9000.0)

# Name and the sign of its effect on the risk: +1 never lowers it, -1 never raises it, 0 is free.
_FEATURES: Final = (
    ("type", 0),
    ("air_temperature", 0),
    ("process_temperature", 0),
    ("rotational_speed", 0),
    ("torque", 0),
    ("tool_wear", 1),
    ("power", 0),
    ("power_margin", -1),
    ("temperature_margin", -1),
    ("heat_margin", -1),
    ("strain", 1),
)
FEATURE_NAMES: Final[tuple[str, ...]] = tuple(name for name, _ in _FEATURES)
MONOTONE: Final[tuple[int, ...]] = tuple(sign for _, sign in _FEATURES)

RANKS: Final = {kind: rank for rank, kind in enumerate(TYPE_ORDER)}

Matrix = npt.NDArray[np.float32]

_RADIANS_PER_SECOND = 2.0 * math.pi / 60.0
_LIMIT_BY_RANK = np.array([STRAIN_LIMITS[kind] for kind in TYPE_ORDER])


def derive(columns: Mapping[str, npt.NDArray[Any]]) -> Matrix:
    """Turn n raw rows into the (n, len(FEATURE_NAMES)) float32 matrix, C order.

    Takes one array per input column under its name in the csv; ``Type`` holds "L", "M" or "H", the
    others numbers (K, K, rpm, Nm, min). Everything is computed in float64 and only the result is
    cast: a difference of 8.6 K is a cut point that float32 would blur.

    Raises ValueError for a type that is none of the three.
    """
    kind = np.asarray(columns["Type"])
    rank = np.select([kind == name for name in TYPE_ORDER], range(len(TYPE_ORDER)), default=-1)
    if rank.size and rank.min() < 0:
        raise ValueError(f"Type must be one of {', '.join(TYPE_ORDER)}, not {kind[rank < 0][0]!r}")
    return derive_ranked(
        rank,
        np.asarray(columns["Air temperature [K]"], dtype=np.float64),
        np.asarray(columns["Process temperature [K]"], dtype=np.float64),
        np.asarray(columns["Rotational speed [rpm]"], dtype=np.float64),
        np.asarray(columns["Torque [Nm]"], dtype=np.float64),
        np.asarray(columns["Tool wear [min]"], dtype=np.float64),
    )


def derive_ranked(rank: Any, air: Any, process: Any, speed: Any, torque: Any, wear: Any) -> Matrix:
    """Do what ``derive`` does, with the types as RANKS has them and float64 in the other columns.

    Takes arrays of n, or an int and five floats for one row: the same operations on the same
    numbers give the same bits, and on floats they take a third of the time.
    """
    values = _compute(rank, air, process, speed, torque, wear)
    if isinstance(rank, int):
        return np.array([values], dtype=np.float32)
    out = np.empty((rank.size, len(FEATURE_NAMES)), dtype=np.float32)
    for index, feature in enumerate(values):
        out[:, index] = feature
    return out


def _compute(
    rank: Any, air: Any, process: Any, speed: Any, torque: Any, wear: Any
) -> tuple[Any, ...]:
    """Give the features in the order of FEATURE_NAMES, each of the kind of the arguments."""
    power = torque * speed * _RADIANS_PER_SECOND
    temperature_margin = process - air - HEAT_DIFFERENCE
    lowest, highest = POWER_LIMITS
    return (
        rank,
        air,
        process,
        speed,
        torque,
        wear,
        power,
        np.minimum(power - lowest, highest - power),
        temperature_margin,
        np.maximum(temperature_margin / HEAT_DIFFERENCE, speed / HEAT_SPEED - 1.0),
        wear * torque / _LIMIT_BY_RANK[rank],
    )
