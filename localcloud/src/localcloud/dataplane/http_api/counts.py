"""What the requests of HTTP APIs took and how they ended, summed up by second."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

from localcloud.dataplane.counters import Spread
from localcloud.dataplane.http_api.exchange import Exchange
from localcloud.dataplane.reply import Reply

Document = dict[str, Any]


@dataclass
class Count:
    """One stage's requests in one second; latencies in milliseconds."""

    requests: int = 0
    client_errors: int = 0
    server_errors: int = 0
    bytes: Spread = field(default_factory=Spread)
    latency: Spread = field(default_factory=Spread)
    integration: Spread = field(default_factory=Spread)
    integrated: int = 0

    def add(self, exchange: Exchange, reply: Reply) -> None:
        """Count a request and its answer."""
        self.requests += 1
        self.client_errors += 400 <= reply.status < 500
        self.server_errors += reply.status >= 500
        self.bytes.add(len(exchange.body) + len(reply.body))
        self.latency.add((time.perf_counter() - exchange.began) * 1000)
        if exchange.integration_seconds is not None:
            self.integrated += 1
            self.integration.add(exchange.integration_seconds * 1000)


class Counts:
    """The running second of all stages, by region, API and stage."""

    def __init__(self) -> None:
        self._second = int(time.time())
        self._counts: dict[tuple[str, str, str], Count] = {}

    def add(self, exchange: Exchange, reply: Reply) -> None:
        """Count a request at its stage."""
        key = (exchange.region, exchange.api, exchange.stage)
        count = self._counts.get(key)
        if count is None:
            count = self._counts[key] = Count()
        count.add(exchange, reply)

    def take(self) -> list[Document]:
        """What was counted since the last time."""
        second, self._second = self._second, int(time.time())
        counts, self._counts = self._counts, {}
        return [
            {
                "region": region,
                "api": api,
                "stage": stage,
                "time": second,
                "requests": count.requests,
                "client_errors": count.client_errors,
                "server_errors": count.server_errors,
                "bytes": count.bytes.told(),
                "latency": count.latency.told(),
                "integrated": count.integrated,
                "integration": count.integration.told() if count.integrated else None,
            }
            for (region, api, stage), count in counts.items()
        ]
