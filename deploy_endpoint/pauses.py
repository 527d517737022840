"""How long to wait between two looks at what takes seconds or minutes."""

import time
from collections.abc import Iterator

_SHORTEST, _LONGEST = 0.3, 5.0


def pauses(limit: float | None = None) -> Iterator[float]:
    """Yield pauses in seconds: short at first, some seconds when it takes minutes.

    None after ``limit`` seconds, if there is a limit.
    """
    started = time.monotonic()
    while limit is None or time.monotonic() - started < limit:
        yield min(_LONGEST, max(_SHORTEST, (time.monotonic() - started) / 25))
