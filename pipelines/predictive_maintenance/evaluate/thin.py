"""Fewer points for the same curve."""

import heapq
from typing import Final

import numpy as np
import numpy.typing as npt

MOST_POINTS: Final = 200
# Differences of this size are rounding, not shape.
_FLAT: Final = 1e-12

Floats = npt.NDArray[np.float64]


def thin(x: Floats, y: Floats, most: int = MOST_POINTS) -> npt.NDArray[np.intp]:
    """Return the rising indices of at most ``most`` points that draw the polyline (x, y).

    Both ends stay; then always the point farthest from what is drawn so far joins (the refinement
    of Ramer, 1972, and of Douglas and Peucker, 1973), until nothing is off the line or the points
    are used up.
    """
    kept = {0, x.size - 1}
    waiting: list[tuple[float, int, int, int]] = []

    def consider(first: int, last: int) -> None:
        if last - first > 1:
            distance = _distances(x[first : last + 1], y[first : last + 1])
            farthest = int(np.argmax(distance))
            heapq.heappush(waiting, (-float(distance[farthest]), first, first + farthest, last))

    consider(0, x.size - 1)
    while waiting and len(kept) < most:
        negative_distance, first, farthest, last = heapq.heappop(waiting)
        if -negative_distance < _FLAT:
            break
        kept.add(farthest)
        consider(first, farthest)
        consider(farthest, last)
    return np.array(sorted(kept), dtype=np.intp)


def _distances(x: Floats, y: Floats) -> Floats:
    """Return how far each point is from the segment between the first and the last one."""
    along = np.array([x[-1] - x[0], y[-1] - y[0]])
    length = float(np.hypot(*along))
    offset = np.stack([x - x[0], y - y[0]])
    if length == 0.0:
        straight: Floats = np.hypot(*offset)
        return straight
    distance: Floats = np.abs(along[0] * offset[1] - along[1] * offset[0]) / length
    return distance
