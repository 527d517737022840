"""The statistics and constraints of model quality, in the file format of SageMaker Model Monitor.

A registered model package points at these two files; SageMaker Studio draws the curves from them
and a monitoring run compares later statistics with the constraints.
"""

import math
from collections.abc import Callable
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from pipelines.predictive_maintenance import metrics
from pipelines.predictive_maintenance.evaluate.thin import thin

Values = dict[str, float]
Labels = npt.NDArray[np.float32]
Scores = npt.NDArray[np.float32]

_VERSION: Final = 0.0
_SAMPLES: Final = 5
_SAMPLE_SHARE: Final = 0.8
# Below this the format has the text "NaN" for every standard deviation.
_FEWEST_ROWS: Final = 200
_LOWER_IS_BETTER: Final = ("false_positive_rate", "false_negative_rate")
_F_SCORES: Final = {"f0_5": 0.5, "f1": 1.0, "f2": 2.0}


def describe(label: Labels, score: Scores, threshold: float, seed: int) -> dict[str, Any]:
    """Return the statistics document for n labels (0, 1) and scores decided at ``threshold``.

    Standard deviations come from five random samples of 80 % of the rows, drawn from ``seed``.
    Curves have at most 200 points. Both classes must occur.
    """
    decision = score >= np.float32(threshold)
    cells = metrics.confuse(label, decision)
    # Ranked once: what keeps the order need not be sorted again.
    order = np.argsort(-score)
    labels, ranked, decisions = label[order], score[order], decision[order]
    false_rate, true_rate = metrics.roc_curve(labels, ranked)
    precision, recall = metrics.precision_recall_curve(labels, ranked)
    roc_kept = thin(false_rate, true_rate)
    recall_kept = thin(recall, precision)

    def evaluate(sample: npt.NDArray[np.bool_]) -> Values:
        kept = sample[order]
        return _evaluate(labels[kept], ranked[kept], decisions[kept])

    values = _evaluate(labels, ranked, decisions)
    deviations = _deviate(evaluate, label.size, seed)
    scalars = {
        name: {"value": _jsonable(value), "standard_deviation": _jsonable(deviations[name])}
        for name, value in values.items()
    }
    return {
        "version": _VERSION,
        "dataset": {"item_count": int(label.size)},
        "binary_classification_metrics": {
            "confusion_matrix": {
                "0": {"0": cells.true_negatives, "1": cells.false_positives},
                "1": {"0": cells.false_negatives, "1": cells.true_positives},
            },
            **scalars,
            "receiver_operating_characteristic_curve": {
                "false_positive_rates": false_rate[roc_kept].tolist(),
                "true_positive_rates": true_rate[roc_kept].tolist(),
            },
            "precision_recall_curve": {
                "precisions": precision[recall_kept].tolist(),
                "recalls": recall[recall_kept].tolist(),
            },
        },
    }


def constrain(statistics: dict[str, Any]) -> dict[str, Any]:
    """Return the constraints document: no metric may become worse than these statistics."""
    described = statistics["binary_classification_metrics"]
    return {
        "version": _VERSION,
        "binary_classification_constraints": {
            name: {
                "threshold": described[name]["value"],
                "comparison_operator": (
                    "GreaterThanThreshold" if name in _LOWER_IS_BETTER else "LessThanThreshold"
                ),
            }
            for name in (
                *("recall", "precision", "accuracy"),
                *("true_positive_rate", "true_negative_rate", *_LOWER_IS_BETTER),
                *("auc", *_F_SCORES),
            )
        },
    }


def _evaluate(label: Labels, score: Scores, decision: npt.NDArray[np.bool_]) -> Values:
    cells = metrics.confuse(label, decision)
    constant = metrics.confuse(label, np.ones(label.size))
    return {
        "recall": cells.recall,
        "precision": cells.precision,
        "accuracy": cells.accuracy,
        # The format's constant classifier always answers with the positive class.
        "recall_best_constant_classifier": constant.recall,
        "precision_best_constant_classifier": constant.precision,
        "accuracy_best_constant_classifier": constant.accuracy,
        "true_positive_rate": cells.recall,
        "true_negative_rate": 1.0 - cells.false_positive_rate,
        "false_positive_rate": cells.false_positive_rate,
        "false_negative_rate": 1.0 - cells.recall,
        "auc": metrics.roc_auc(label, score),
        **{name: cells.f(beta) for name, beta in _F_SCORES.items()},
        **{f"{n}_best_constant_classifier": constant.f(beta) for n, beta in _F_SCORES.items()},
    }


def _deviate(
    evaluate: Callable[[npt.NDArray[np.bool_]], Values], rows: int, seed: int
) -> dict[str, float]:
    generator = np.random.default_rng(seed)
    kept = round(rows * _SAMPLE_SHARE)
    samples = []
    for _ in range(_SAMPLES):
        sample = np.zeros(rows, dtype=bool)
        sample[generator.permutation(rows)[:kept]] = True
        samples.append(evaluate(sample))
    return {
        name: float(np.std([each[name] for each in samples])) if rows >= _FEWEST_ROWS else math.nan
        for name in samples[0]
    }


def _jsonable(value: float) -> float | str:
    return value if math.isfinite(value) else "NaN"
