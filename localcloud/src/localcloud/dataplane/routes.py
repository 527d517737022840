"""The endpoints that are served: fleets, their variants, and the containers of these."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, field
from typing import Any

from localcloud.dataplane.capture import Capture, Captures
from localcloud.dataplane.containers import Container

Document = dict[str, Any]


@dataclass
class Variant:
    """One variant of a fleet: containers in the order in which a request passes them."""

    name: str
    weight: float
    containers: tuple[Container, ...]
    fleet: Fleet


@dataclass
class Fleet:
    """What runs for one endpoint configuration; `requests` are in it now."""

    id: str
    config: str
    share: float
    capture: Capture | None
    variants: tuple[Variant, ...] = ()
    requests: int = 0
    emptied: list[asyncio.Future[None]] = field(default_factory=list)

    def enter(self) -> None:
        """A request comes in."""
        self.requests += 1

    def leave(self) -> None:
        """A request has its answer."""
        self.requests -= 1
        if self.requests == 0:
            for each in self.emptied:
                if not each.done():
                    each.set_result(None)
            self.emptied.clear()

    def close(self) -> None:
        """Let go of its containers."""
        for variant in self.variants:
            for container in variant.containers:
                container.close()


@dataclass
class Endpoint:
    """One endpoint; a request goes to a fleet by the fleets' shares."""

    account: str
    region: str
    name: str
    fleets: tuple[Fleet, ...]

    def choose(self, target: str | None) -> Variant | None:
        """The variant for one request: the one asked for, or by chance and weight."""
        fleet = self.fleets[0]
        if len(self.fleets) > 1:
            shares = [each.share for each in self.fleets]
            if sum(shares) > 0:
                fleet = random.choices(self.fleets, shares)[0]  # noqa: S311 - nothing to guess
        variants = fleet.variants
        if target is not None:
            return next((each for each in variants if each.name == target), None)
        if len(variants) == 1:
            return variants[0]
        weights = [each.weight for each in variants]
        return random.choices(variants, weights)[0] if sum(weights) else variants[0]  # noqa: S311


class Routes:
    """All endpoints by region and name. A fleet that stays in a new table keeps its requests."""

    def __init__(self, account: str, captures: Captures) -> None:
        self.account = account
        self._captures = captures
        self._endpoints: dict[tuple[str, str], Endpoint] = {}
        self._fleets: dict[str, Fleet] = {}

    def find(self, region: str, name: str) -> Endpoint | None:
        """The endpoint of this name."""
        return self._endpoints.get((region, name))

    def put(self, table: Document) -> None:
        """Serve an endpoint by this table from now on."""
        fleets = []
        for told in table["fleets"]:
            fleet = self._fleets.get(told["id"])
            if fleet is None:
                fleet = self._fleets[told["id"]] = self._make(table, told)
            fleet.share = told["share"]
            weights = {each["name"]: each["weight"] for each in told["variants"]}
            for variant in fleet.variants:
                variant.weight = weights[variant.name]
            fleets.append(fleet)
        key = (table["region"], table["endpoint"])
        self._endpoints[key] = Endpoint(
            self.account, table["region"], table["endpoint"], tuple(fleets)
        )

    def forget(self, region: str, name: str) -> None:
        """Serve an endpoint no more."""
        self._endpoints.pop((region, name), None)

    async def drain(self, fleet_id: str) -> None:
        """Wait until a fleet that has no route has no request either, and let go of it."""
        fleet = self._fleets.get(fleet_id)
        if fleet is None:
            return
        if fleet.requests:
            emptied = asyncio.get_running_loop().create_future()
            fleet.emptied.append(emptied)
            await emptied
        self._fleets.pop(fleet_id, None)
        fleet.close()

    def drop(self, fleet_id: str) -> None:
        """Let go of a fleet at once: what is in it is lost."""
        fleet = self._fleets.pop(fleet_id, None)
        if fleet is not None:
            fleet.close()

    def _make(self, table: Document, told: Document) -> Fleet:
        capture = None
        if told["capture"] is not None and told["capture"].get("EnableCapture", True):
            capture = Capture(table["endpoint"], told["capture"], table["region"], self._captures)
        fleet = Fleet(told["id"], told["config"], told["share"], capture)
        fleet.variants = tuple(
            Variant(
                variant["name"],
                variant["weight"],
                tuple(
                    Container(each["hostname"], each["sockets"], each["log_streams"])
                    for each in variant["containers"]
                ),
                fleet,
            )
            for variant in told["variants"]
        )
        return fleet
