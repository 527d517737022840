"""What the report says beyond the metrics: where the model errs and how sure it may be."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from pipelines.predictive_maintenance import metrics
from pipelines.predictive_maintenance.evaluate.pictures import Estimate
from pipelines.predictive_maintenance.evaluate.raw_rows import RawRows

# Few rows lie between the sure ones, so the bins are wide there.
_CALIBRATION_EDGES: Final = (0.0, 0.01, 0.05, 0.2, 0.5, 0.8, 0.95, 1.0)
_NORMAL_95: Final = 1.959964


@dataclass(frozen=True, slots=True)
class Evaluation:
    """n test rows: raw values, labels, scores, and the booster's gain by feature."""

    columns: Sequence[dict[str, Any]]
    rows: RawRows
    label: npt.NDArray[np.float32]
    score: npt.NDArray[np.float32]
    threshold: float
    gain: dict[str, float]

    @property
    def reported(self) -> npt.NDArray[np.bool_]:
        """Whether each row's score reaches the threshold."""
        return self.score >= np.float32(self.threshold)

    def errors(self) -> list[int]:
        """Return the misjudged rows, missed failures first, then by falling score."""
        wrong = np.flatnonzero(self.reported != (self.label > 0))
        return sorted(wrong.tolist(), key=lambda i: (-self.label[i], -self.score[i]))

    def by_category(self) -> dict[str, metrics.Confusion]:
        """Count the decisions apart for each value of the first category column."""
        column = next(i for i, each in enumerate(self.columns) if each["kind"] == "category")
        places, kinds = self.rows.counted(column)
        reported, found = self.reported, {}
        for kind in self.columns[column]["categories"]:
            if kind in kinds:
                chosen = places == kinds.index(kind)
                found[kind] = metrics.confuse(self.label[chosen], reported[chosen])
        return found

    def calibration(self) -> list[Estimate]:
        """Compare predicted probabilities with found shares, in bins that hold any row."""
        index = np.digitize(self.score, _CALIBRATION_EDGES[1:-1])
        estimates = []
        for each in np.unique(index):
            inside = index == each
            count, failed = int(inside.sum()), int(self.label[inside].sum())
            low, high = interval(failed, count)
            estimates.append(
                Estimate(float(self.score[inside].mean()), failed / count, low, high, count)
            )
        return estimates


def interval(hits: int, count: int) -> tuple[float, float]:
    """Return the 95 % interval of a share (Wilson, 1927); (0, 1) without a count."""
    if not count:
        return 0.0, 1.0
    share, z = hits / count, _NORMAL_95
    middle = share + z * z / (2 * count)
    spread = z * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    scale = 1 + z * z / count
    low, high = (middle - spread) / scale, (middle + spread) / scale
    # At 0 and 1 the interval ends at the share itself; rounding would put it outside.
    return (0.0 if hits == 0 else low), (1.0 if hits == count else high)
