"""What a binary classifier's scores are worth, in numpy alone.

Training, evaluation and the benchmark share these, so that one name means one number. Labels are 0
and 1, scores any finite numbers of which a higher one means more risk; both have shape (n,).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Curve = tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]


@dataclass(frozen=True, slots=True)
class Confusion:
    """Counts of one set of decisions; a rate whose denominator is zero is 0."""

    true_negatives: int
    false_positives: int
    false_negatives: int
    true_positives: int

    @property
    def rows(self) -> int:
        """Number of decisions."""
        return self.true_negatives + self.false_positives + self.positives

    @property
    def positives(self) -> int:
        """Number of rows whose label is 1."""
        return self.true_positives + self.false_negatives

    @property
    def precision(self) -> float:
        """Share of the reported rows that are positive."""
        return _ratio(self.true_positives, self.true_positives + self.false_positives)

    @property
    def recall(self) -> float:
        """Share of the positive rows that are reported."""
        return _ratio(self.true_positives, self.positives)

    @property
    def accuracy(self) -> float:
        """Share of the rows decided rightly."""
        return _ratio(self.true_positives + self.true_negatives, self.rows)

    @property
    def false_positive_rate(self) -> float:
        """Share of the negative rows that are reported."""
        return _ratio(self.false_positives, self.false_positives + self.true_negatives)

    def f(self, beta: float) -> float:
        """Return the F score in which recall weighs ``beta`` times as much as precision."""
        hits = (1 + beta**2) * self.true_positives
        return _ratio(hits, hits + beta**2 * self.false_negatives + self.false_positives)


def confuse(label: Array, decision: Array) -> Confusion:
    """Count the decisions (0 or 1) against the labels."""
    positive, reported = label > 0, decision > 0
    positives, reports = int(np.count_nonzero(positive)), int(np.count_nonzero(reported))
    both = int(np.count_nonzero(positive & reported))
    return Confusion(
        true_negatives=label.size - positives - reports + both,
        false_positives=reports - both,
        false_negatives=positives - both,
        true_positives=both,
    )


def roc_curve(label: Array, score: Array) -> Curve:
    """Return false and true positive rates from (0, 0) to (1, 1), one point per distinct score.

    A rate without a denominator is nan.
    """
    hits, flagged = _cumulate(label, score)
    with np.errstate(invalid="ignore"):
        false_rate = np.append(0.0, (flagged - hits) / (label.size - hits[-1]))
        true_rate = np.append(0.0, hits / hits[-1])
    return false_rate, true_rate


def precision_recall_curve(label: Array, score: Array) -> Curve:
    """Return precisions and recalls by falling score, one point per distinct score.

    Starts at the first point that the scores define: nothing is invented for recall 0.
    """
    hits, flagged = _cumulate(label, score)
    with np.errstate(invalid="ignore"):
        return hits / flagged, hits / hits[-1]


def roc_auc(label: Array, score: Array) -> float:
    """Return the area under the ROC curve; nan when a class is missing."""
    false_rate, true_rate = roc_curve(label, score)
    return float(np.trapezoid(true_rate, false_rate))


def average_precision(label: Array, score: Array) -> float:
    """Return the precision averaged over the steps of recall, not interpolated; nan without a 1."""
    precision, recall = precision_recall_curve(label, score)
    return float(np.sum(np.diff(recall, prepend=0.0) * precision))


def logloss(label: Array, probability: Array) -> float:
    """Return the mean negative log likelihood in nats; probabilities are clipped by 1e-15."""
    clipped = np.clip(probability.astype(np.float64), 1e-15, 1 - 1e-15)
    likelihood = np.log1p(-clipped)
    positive = label > 0
    likelihood[positive] = np.log(clipped[positive])
    return float(-np.mean(likelihood))


def _cumulate(label: Array, score: Array) -> Curve:
    """Count, for every distinct score from the highest down, the hits and rows at or above it."""
    # The order of equal scores does not show in what is returned.
    falls = bool((score[:-1] >= score[1:]).all())
    order = slice(None) if falls else np.argsort(-score)
    ranked = score[order]
    last_of_ties = np.append(np.flatnonzero(np.diff(ranked)), ranked.size - 1)
    hits = np.cumsum(label[order] > 0)[last_of_ties].astype(np.float64)
    return hits, last_of_ties + 1.0


def _ratio(numerator: float, denominator: float) -> float:
    return numerator / denominator if denominator else 0.0
