"""What an endpoint's requests took and how they ended, summed up by second."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

Document = dict[str, Any]
_DIGITS = 3


@dataclass
class Spread:
    """Numbers by how often they came, in three significant digits; their sum is exact."""

    total: float = 0.0
    lowest: float = float("inf")
    highest: float = 0.0
    values: dict[float, int] = field(default_factory=dict)

    def add(self, value: float) -> None:
        """Count a number."""
        self.total += value
        self.lowest = min(self.lowest, value)
        self.highest = max(self.highest, value)
        rounded = float(f"{value:.{_DIGITS}g}")
        self.values[rounded] = self.values.get(rounded, 0) + 1

    def told(self) -> Document:
        """The numbers as the gateway is told."""
        return {
            "total": self.total,
            "minimum": self.lowest,
            "maximum": self.highest,
            "values": list(self.values.items()),
        }


@dataclass
class Counter:
    """One variant's requests in one second; latencies in microseconds."""

    requests: int = 0
    client_errors: int = 0
    server_errors: int = 0
    model_errors: int = 0
    model: Spread = field(default_factory=Spread)
    overhead: Spread = field(default_factory=Spread)

    def add(self, status: int, model: float, overhead: float) -> None:
        """Count a request that a model answered with a status; 0 if it did not answer."""
        self.requests += 1
        self.client_errors += 400 <= status < 500
        self.server_errors += status >= 500 or status == 0
        self.model_errors += not 200 <= status < 300
        self.model.add(model * 1e6)
        self.overhead.add(overhead * 1e6)


class Counters:
    """The running second of all variants, by region, endpoint, configuration and variant."""

    def __init__(self) -> None:
        self._second = int(time.time())
        self._counters: dict[tuple[str, str, str, str], Counter] = {}

    def of(self, region: str, endpoint: str, config: str, variant: str) -> Counter:
        """The counter of a variant."""
        key = (region, endpoint, config, variant)
        counter = self._counters.get(key)
        if counter is None:
            counter = self._counters[key] = Counter()
        return counter

    def take(self) -> list[Document]:
        """What was counted since the last time."""
        second, self._second = self._second, int(time.time())
        counters, self._counters = self._counters, {}
        return [
            {
                "region": region,
                "endpoint": endpoint,
                "config": config,
                "variant": variant,
                "time": second,
                "requests": counter.requests,
                "client_errors": counter.client_errors,
                "server_errors": counter.server_errors,
                "model_errors": counter.model_errors,
                "model": counter.model.told(),
                "overhead": counter.overhead.told(),
            }
            for (region, endpoint, config, variant), counter in counters.items()
        ]
