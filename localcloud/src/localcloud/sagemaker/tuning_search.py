"""What a tuning job tries next: values listed before, or chosen by the results so far.

Source: "How Hyperparameter Tuning Works" of the SageMaker Developer Guide.
"""

from __future__ import annotations

import random
import threading
from typing import Any, Protocol

from localcloud.protocol import Document
from localcloud.sagemaker.tuning_ranges import Range, grid, number_of_jobs, read_ranges

Tuned = dict[str, str]
_FIRST = 5
"""Trials before the first that goes by results."""


class Search(Protocol):
    """The trials of one tuning job. Safe for threads."""

    count: int

    def ask(self, number: int) -> Tuned:
        """The hyperparameters of the trial with this number, from 0; always the same ones."""

    def tell(self, number: int, value: float | None) -> None:
        """What the trial was measured by; None if it was not."""


def search_of(config: Document, ranges: Document, *, maximize: bool) -> Search:
    """The search of a tuning job's configuration; the same one for the same RandomSeed.

    Raises ValidationException for a range, or a number of jobs, that AWS would refuse.
    """
    found = read_ranges(ranges)
    if config["Strategy"] == "Grid":
        return Listed(grid(ranges, config))
    count, seed = number_of_jobs(config), config.get("RandomSeed")
    if config["Strategy"] == "Bayesian":
        return Bayesian(found, count, seed, maximize=maximize)
    source = random.Random(seed)  # noqa: S311 - a search keeps no secret
    return Listed([{each.name: each.draw(source) for each in found} for _ in range(count)])


class Listed:
    """Trials that are known before, whatever their results."""

    def __init__(self, trials: list[Tuned]) -> None:
        self._trials = trials
        self.count = len(trials)

    def ask(self, number: int) -> Tuned:
        """The trial of the list."""
        return self._trials[number]

    def tell(self, number: int, value: float | None) -> None:
        """Results change nothing."""


class Bayesian:
    """Trials where the results so far promise the most: Optuna's tree-structured Parzen estimator.

    Numbers are searched in the unit interval of their scale. Trials that still run are taken to
    come out badly, so that those beside them look elsewhere.
    """

    def __init__(
        self, ranges: list[Range], count: int, seed: int | None, *, maximize: bool
    ) -> None:
        # Imported by who needs it: it takes a second.
        import optuna  # noqa: PLC0415

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self.count = count
        self._ranges = ranges
        self._lock = threading.Lock()
        self._trials: dict[int, Any] = {}
        self._failed = optuna.trial.TrialState.FAIL
        self._distributions: dict[str, Any] = {
            each.name: optuna.distributions.CategoricalDistribution(each.values)
            if each.values
            else optuna.distributions.FloatDistribution(0.0, 1.0)
            for each in ranges
        }
        sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=_FIRST, constant_liar=True)
        self._study = optuna.create_study(
            direction="maximize" if maximize else "minimize", sampler=sampler
        )

    def ask(self, number: int) -> Tuned:
        """A point of the ranges: at random at first, and then by the results."""
        with self._lock:
            if number not in self._trials:
                self._trials[number] = self._study.ask(self._distributions)
            found = self._trials[number].params
        return {each.name: each.at(found[each.name]) for each in self._ranges}

    def tell(self, number: int, value: float | None) -> None:
        """Have the next ones know of a result."""
        with self._lock:
            if value is None:
                self._study.tell(self._trials[number], state=self._failed)
            else:
                self._study.tell(self._trials[number], value)
