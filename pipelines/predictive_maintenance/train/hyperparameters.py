"""The hyperparameters: one table for the training script and for the pipeline's parameters.

Standard library only, so that the definition can be compiled without XGBoost.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

Number = int | float


class HyperparameterError(ValueError):
    """A hyperparameter is unknown, no number or out of its range."""


@dataclass(frozen=True, slots=True)
class Hyperparameter:
    """One number that a user may turn; the limits are inclusive.

    ``name`` is the training script's argument, ``parameter`` the pipeline's parameter. The type of
    ``default`` is the type: an int takes whole numbers only.
    """

    name: str
    parameter: str
    default: Number
    minimum: Number
    maximum: Number
    description: str

    def check(self, text: str) -> Number:
        """Read a value as the command line gives it; raise HyperparameterError if it may not be."""
        whole = isinstance(self.default, int)
        try:
            value: Number = int(text) if whole else float(text)
        except ValueError:
            value = math.nan
        if not self.minimum <= value <= self.maximum:
            raise HyperparameterError(
                f"Hyperparameter {self.name} must be a {'whole ' if whole else ''}number from "
                f"{self.minimum} to {self.maximum}, not {text!r}."
            )
        return value


HYPERPARAMETERS: Final = (
    Hyperparameter("max_depth", "MaxDepth", 4, 1, 16, "Most questions a tree asks in a row"),
    Hyperparameter("eta", "Eta", 0.1, 0.001, 1.0, "Share of each tree's correction that is kept"),
    Hyperparameter("gamma", "Gamma", 0.3, 0.0, 1000.0, "Loss a split must save to be made"),
    Hyperparameter(
        "min_child_weight", "MinChildWeight", 1.0, 0.0, 1000.0, "Least evidence (hessian) in a leaf"
    ),
    Hyperparameter("subsample", "Subsample", 1.0, 0.1, 1.0, "Share of the rows each tree sees"),
    Hyperparameter("max_bin", "MaxBin", 8192, 2, 65536, "Most cut points kept per feature"),
    Hyperparameter("num_round", "NumRound", 1000, 1, 100000, "Most trees"),
    Hyperparameter(
        "early_stopping_rounds",
        "EarlyStoppingRounds",
        30,
        1,
        1000,
        "Trees without a better validation loss after which training stops",
    ),
    Hyperparameter("seed", "Seed", 0, 0, 2**31 - 1, "Seed of everything random"),
)
DEFAULTS: Final[Mapping[str, Number]] = {each.name: each.default for each in HYPERPARAMETERS}


def parse(arguments: Sequence[str]) -> dict[str, Number]:
    """Read ``--name value`` or ``--name=value`` as script mode passes them; defaults fill in.

    Raises HyperparameterError: one sentence with the hyperparameter, the rule and the value.
    """
    table = {each.name: each for each in HYPERPARAMETERS}
    values = dict(DEFAULTS)
    remaining = list(arguments)
    while remaining:
        flag, equals, text = remaining.pop(0).partition("=")
        name = flag.removeprefix("--")
        if name == flag or name not in table:
            raise HyperparameterError(
                f"Hyperparameter {flag!r} is unknown; the known ones are {', '.join(table)}."
            )
        if not equals:
            if not remaining:
                raise HyperparameterError(f"Hyperparameter {name} has no value.")
            text = remaining.pop(0)
        values[name] = table[name].check(text)
    return values
