"""The baseline of scores: what the model answered on the test data, to watch drift against."""

from typing import Any, Final

import numpy as np
import numpy.typing as npt

# Fixed edges make two files comparable. Failures are rare, so most scores lie near 0: the bins are
# narrow there and, for the sure failures, near 1.
EDGES: Final = (
    *(0.0, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2),
    *(0.35, 0.5, 0.65, 0.8, 0.9, 0.95, 0.98, 1.0),
)
QUANTILES: Final = (0.0, 0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 1.0)


def describe(score: npt.NDArray[np.float32], threshold: float) -> dict[str, Any]:
    """Return rows, mean, standard deviation, share of reported rows, quantiles and a histogram.

    A bin holds its lower edge, the last one both; the counts add up to the rows.
    """
    exact = score.astype(np.float64)
    counts, _ = np.histogram(exact, bins=np.array(EDGES))
    return {
        "version": 0.0,
        "rows": int(score.size),
        "mean": float(exact.mean()),
        "standard_deviation": float(exact.std()),
        "threshold": threshold,
        "reported_share": float(np.mean(score >= np.float32(threshold))),
        "quantiles": [
            {"probability": p, "score": float(q)}
            for p, q in zip(QUANTILES, np.quantile(exact, QUANTILES), strict=True)
        ],
        "histogram": {"edges": list(EDGES), "counts": counts.tolist()},
    }
