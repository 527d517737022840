"""A rollout: a green fleet takes over from a blue one, step by step, or does not."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

from localcloud.clock import Clock
from localcloud.protocol import Caller
from localcloud.sagemaker.hosting.deployment import Deployment
from localcloud.sagemaker.hosting.fleet import Fleet, FleetFailed
from localcloud.traffic import Traffic

_LOOK_SECONDS = 0.1
_OFF = ("ALARM", None)
_MOST_RESTARTS = 3
"""So often may the containers of one instance die while traffic is shifted to it."""


class RolledBack(Exception):  # noqa: N818 - reads as the sentence it makes
    """The green fleet shall not take over; the text says why."""


class RolloutStopped(Exception):  # noqa: N818 - reads as the sentence it makes
    """localcloud is stopping."""


@dataclass
class Rollout:
    """One deployment. `show` tells its stages: a VariantStatus, and a message about a variant."""

    caller: Caller
    endpoint: str
    blue: Fleet | None
    green: Fleet
    deployment: Deployment
    traffic: Traffic
    alarm: Callable[[str], str | None]
    show: Callable[[str, str], None]
    stopping: threading.Event
    clock: Clock

    def __post_init__(self) -> None:
        self._began = self.clock.elapsed()

    def run(self) -> None:
        """Start the green fleet and give it all requests; the blue one runs on, idle.

        Raises:
            RolledBack: the routes are to be put back.
            RolloutStopped: nobody cares for the routes any more.
        """
        try:
            self.green.start(lambda: self.stopping.is_set() or self._is_late())
        except FleetFailed as error:
            self._check_time()
            raise RolledBack(str(error)) from error
        for share in self.deployment.shares:
            full = share == 1.0
            part = "full capacity of {count} instance(s)" if full else f"{share:.0%} of the traffic"
            self.show("ActivatingTraffic", f"Activating traffic on {part}.")
            self._route(share)
            seconds = self.deployment.termination if full else self.deployment.interval
            if seconds:
                wait = "TerminationWaitInSeconds" if full else "WaitIntervalInSeconds"
                self.show(
                    "Baking", f"Baking for {seconds:g} seconds ({wait}) with traffic on {part}."
                )
            self._bake(seconds)

    def _route(self, share: float) -> None:
        fleets = [self.green.route(share)]
        if self.blue is not None and share < 1.0:
            fleets.append(self.blue.route(1.0 - share))
        self.traffic.route(self.caller, self.endpoint, fleets)

    def _bake(self, seconds: float) -> None:
        """Watch alarms and containers for so long, once at least."""
        until = self.clock.elapsed() + seconds
        while True:
            self._check_time()
            self._check_alarms()
            if self.green.restarts >= _MOST_RESTARTS:
                raise RolledBack(
                    "The containers of the new fleet ended and were started again "
                    f"{self.green.restarts} times while it was watched. Please check CloudWatch "
                    "logs for this endpoint."
                )
            left = until - self.clock.elapsed()
            if left <= 0:
                return
            self.clock.wait(self.stopping, min(left, _LOOK_SECONDS))

    def _check_alarms(self) -> None:
        states = {name: self.alarm(name) for name in self.deployment.alarms}
        # An alarm that was deleted watches nothing.
        off = [f"{name} is {state or 'gone'}" for name, state in states.items() if state in _OFF]
        if off:
            raise RolledBack(
                f"The deployment was rolled back by its CloudWatch alarms: {', '.join(off)}."
            )

    def _check_time(self) -> None:
        if self.stopping.is_set():
            raise RolloutStopped
        if self._is_late():
            raise RolledBack(
                "The deployment took longer than MaximumExecutionTimeoutInSeconds="
                f"{self.deployment.limit}."
            )

    def _is_late(self) -> bool:
        limit = self.deployment.limit
        return limit is not None and self.clock.elapsed() - self._began > limit
