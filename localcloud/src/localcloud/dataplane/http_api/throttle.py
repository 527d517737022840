"""Token buckets: so many requests a second, and so many at once."""

from __future__ import annotations

from typing import Any

MOST_RATE, MOST_BURST = 10_000.0, 5_000.0
"""The account's own limits."""


class Throttle:
    """A bucket of `burst` tokens that is filled with `rate` tokens a second."""

    def __init__(self, rate: float, burst: float) -> None:
        self._rate = rate
        self._burst = burst
        self._tokens = burst
        self._since = 0.0

    @classmethod
    def of(cls, settings: dict[str, Any] | None) -> Throttle | None:
        """The bucket of RouteSettings; None if they limit nothing."""
        if not settings:
            return None
        rate, burst = settings.get("ThrottlingRateLimit"), settings.get("ThrottlingBurstLimit")
        if rate is None and burst is None:
            return None
        return cls(
            MOST_RATE if rate is None else rate, MOST_BURST if burst is None else float(burst)
        )

    def take(self, now: float) -> bool:
        """Take a token at a time by `time.perf_counter`; whether there was one."""
        if self._since:
            filled = self._tokens + (now - self._since) * self._rate
            self._tokens = min(self._burst, filled)
        self._since = now
        if self._tokens < 1.0:
            return False
        self._tokens -= 1.0
        return True
