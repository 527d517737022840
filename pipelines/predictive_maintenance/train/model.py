"""Fit the classifier: gradient boosted trees that know which way each feature must push."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import xgboost as xgb

from pipelines.predictive_maintenance import metrics
from pipelines.predictive_maintenance.features import FEATURE_NAMES, MONOTONE
from pipelines.predictive_maintenance.train.hyperparameters import Number
from pipelines.predictive_maintenance.train.threshold import choose_threshold

Rows = tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]

# The others steer the loop around the booster.
_BOOSTER_PARAMETERS = frozenset(
    {"max_depth", "eta", "gamma", "min_child_weight", "subsample", "max_bin", "seed"}
)
_ROWS_A_THREAD = 20_000
_SKETCHED_ROWS = 500_000


class TrainingError(ValueError):
    """The data cannot train a classifier, or the job is set up wrongly."""


@dataclass(frozen=True, slots=True)
class Model:
    """A booster cut at its best round, and the score from which it reports a failure."""

    booster: xgb.Booster
    threshold: float
    rounds: int
    train_logloss: float

    def score(self, features: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Return the probability of a failure for each row of ``features`` (n, k)."""
        scores: npt.NDArray[np.float32] = self.booster.inplace_predict(features)
        return scores

    def measure(self, rows: Rows) -> dict[str, float]:
        """Return average_precision, f1 (at the threshold) and logloss on rows with a label."""
        features, label = rows
        scores = self.score(features)
        return {
            "average_precision": metrics.average_precision(label, scores),
            "f1": metrics.confuse(label, scores >= np.float32(self.threshold)).f(1.0),
            "logloss": metrics.logloss(label, scores),
        }


def check_rows(name: str, rows: Rows) -> None:
    """Raise TrainingError unless the rows named ``name`` hold both classes."""
    _, label = rows
    positives = int(np.count_nonzero(label))
    if not 0 < positives < label.size:
        raise TrainingError(
            f"The {name} data must hold rows with and without a failure; "
            f"it has {label.size} rows, {positives} with a failure."
        )


def fit(
    train: Rows, validation: Rows, hyperparameters: Mapping[str, Number], threads: int
) -> Model:
    """Train until the validation loss stops falling, cut there and choose the threshold there.

    Few rows use fewer threads than given: those would wait for each other more than they work. The
    same rows, hyperparameters and number of threads give the same booster. Within a collective
    each host brings its share of ``train`` and the whole of ``validation``; all get one booster.
    Raises TrainingError when XGBoost refuses the values.
    """
    threads = min(threads, 1 + train[1].size // _ROWS_A_THREAD)
    parameters = {
        "objective": "binary:logistic",
        "eval_metric": "logloss",
        "tree_method": "hist",
        "monotone_constraints": dict(zip(FEATURE_NAMES, MONOTONE, strict=True)),
        "nthread": threads,
        **{name: value for name, value in hyperparameters.items() if name in _BOOSTER_PARAMETERS},
    }
    try:
        matrix = _bin(train, int(hyperparameters["max_bin"]), threads)
        booster = xgb.train(
            parameters,
            matrix,
            num_boost_round=int(hyperparameters["num_round"]),
            evals=[(_plain(validation, threads), "validation")],
            early_stopping_rounds=int(hyperparameters["early_stopping_rounds"]),
            verbose_eval=False,
        )
        rounds = booster.best_iteration + 1
        booster = booster[:rounds]
        # Once, for the report: after every tree it would cost as much as growing the tree.
        train_logloss = float(booster.eval(matrix).rpartition(":")[2])
    except xgb.core.XGBoostError as error:
        raise TrainingError(f"XGBoost refuses to train: {_first_line(error)}") from error
    threshold = choose_threshold(booster.inplace_predict(validation[0]))
    booster.set_attr(
        best_iteration=str(rounds - 1),
        feature_names=json.dumps(FEATURE_NAMES),
        threshold=repr(threshold),
    )
    return Model(booster, threshold, rounds, train_logloss)


def _bin(rows: Rows, most: int, threads: int) -> Any:
    """Bin the rows at once: half a DMatrix's memory, and the only copy that `hist` needs.

    Of very many rows an even sample tells the quantiles: to sketch them from all would take longer
    than growing the trees. Hosts of a collective must sketch together, so they use all.
    """
    features, label = rows
    step = label.size // _SKETCHED_ROWS
    sample = None
    if step > 1 and xgb.collective.get_world_size() == 1:
        sample = _quantiles((features[::step], label[::step]), most, threads)
    return _quantiles(rows, most, threads, ref=sample)


def _quantiles(rows: Rows, most: int, threads: int, ref: Any = None) -> Any:
    names = list(FEATURE_NAMES)
    return xgb.QuantileDMatrix(*rows, feature_names=names, max_bin=most, nthread=threads, ref=ref)


def _plain(rows: Rows, threads: int) -> Any:
    """Leave the rows as they are, which is quicker for what is only predicted."""
    return xgb.DMatrix(*rows, feature_names=list(FEATURE_NAMES), nthread=threads)


def _first_line(error: Exception) -> str:
    """Return XGBoost's own sentence without its time stamp, source line and stack."""
    line = str(error).strip().splitlines()[0]
    return re.sub(r"^\[[\d:]+\]\s+\S+:\d+:\s*", "", line)
