"""Time. The machine's clock is set by people and programs, also back; durations go by another.

What must hold whatever the machine's clock does: an end never lies before its beginning, what came
later has the later time, and nobody waits because of a jump.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

VARIABLE = "LOCALCLOUD_CLOCK"
"""The variable by which tests let the clock jump: a file that holds the seconds it is off by."""
# A laptop's sleep counts: Linux leaves it out of its monotonic clock, other systems do not.
_UNSET = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def _elapsed() -> float:
    return time.clock_gettime(_UNSET)


@dataclass(frozen=True)
class Clock:
    """What time it is, in seconds.

    `now` is the machine's clock (since 1970, may jump), `elapsed` one that nobody sets. `wait`
    waits for an event so many seconds and returns whether it came before they were over.
    """

    now: Callable[[], float] = time.time
    elapsed: Callable[[], float] = _elapsed
    wait: Callable[[threading.Event, float], bool] = threading.Event.wait

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Clock:
        """The machine's clock; for tests one that is off, by LOCALCLOUD_CLOCK."""
        path = environment.get(VARIABLE)
        return cls(now=lambda: time.time() + float(Path(path).read_text())) if path else cls()

    def after(self, moment: float) -> float:
        """The time now, or `moment` if the clock was set back before it."""
        return max(self.now(), moment)

    def date(self) -> datetime:
        """The time now as a date, in UTC."""
        return datetime.fromtimestamp(self.now(), UTC)

    def timeline(self, after: float = 0.0) -> Timeline:
        """A timeline that begins now, but not before `after`."""
        return Timeline(self, after)


class Timeline:
    """The times of one undertaking and of all that it starts.

    It begins with the machine's clock and goes on by the one that nobody sets: a jump meanwhile
    changes none of its times.
    """

    def __init__(self, clock: Clock, after: float = 0.0) -> None:
        self._start = clock.after(after)
        self._elapsed = clock.elapsed
        self._began = clock.elapsed()

    def now(self) -> float:
        """The time now, in seconds since 1970."""
        return self._start + self._elapsed() - self._began
