"""Carries endpoints through their changes: creation, rollouts, scaling, deletion, restarts."""

from __future__ import annotations

import contextlib
import logging
import shutil
import sqlite3
import threading
import time
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial

from localcloud.clock import Clock
from localcloud.protocol import Caller, Document
from localcloud.sagemaker.arns import arn
from localcloud.sagemaker.hosting import summaries
from localcloud.sagemaker.hosting.deployment import Deployment
from localcloud.sagemaker.hosting.endpoint_records import KIND, EndpointRecords, plan_of
from localcloud.sagemaker.hosting.fleet import REASON_LIMIT, Fleet, FleetFailed, Ground
from localcloud.sagemaker.hosting.plan import FleetPlan
from localcloud.sagemaker.hosting.rollout import RolledBack, Rollout, RolloutStopped
from localcloud.traffic import Traffic

_log = logging.getLogger(__name__)
_MARK_SECONDS = 0.5
_DRAIN_SECONDS = 65.0
"""No request is in a fleet for longer: the platform gives a container 60 seconds."""
_CLOSE_SECONDS = 10.0
_PENDING = "PendingDeploymentSummary"
_LAUNCHING = "Launching {count} instance(s)."


@dataclass
class _Change:
    """One change of an endpoint that has not ended; it begins when the one before it has."""

    previous: _Change | None
    stopping: threading.Event = field(default_factory=threading.Event)
    ended: threading.Event = field(default_factory=threading.Event)


class Conductor:
    """Works on each endpoint in a thread of its own, one change after the other.

    It is called when the record already says what is going to happen.
    """

    def __init__(
        self,
        records: EndpointRecords,
        ground: Ground,
        traffic: Traffic,
        alarm: Callable[[Caller, str], str | None],
        clock: Clock,
    ) -> None:
        self._records = records
        self._ground = ground
        self._traffic = traffic
        self._alarm = alarm
        self._clock = clock
        self._lock = threading.Lock()
        self._changes: dict[str, _Change] = {}
        self._serving: dict[str, Fleet] = {}
        self._fleets: dict[Fleet, str] = {}
        self._closing = threading.Event()
        threading.Thread(target=self._mark, name="endpoint logs", daemon=True).start()

    def create(self, caller: Caller, name: str) -> None:
        """Bring up an endpoint that is Creating."""
        self._begin(caller, name, partial(self._create, caller, name))

    def update(self, caller: Caller, name: str, plan: FleetPlan, deployment: Deployment) -> None:
        """Roll a plan out on an endpoint that is Updating."""
        self._begin(caller, name, partial(self._update, caller, name, plan, deployment))

    def change(self, caller: Caller, name: str, plan: FleetPlan) -> None:
        """Give the fleet of an endpoint that is Updating other counts and weights."""
        self._begin(caller, name, partial(self._scale, caller, name, plan))

    def delete(self, caller: Caller, name: str) -> None:
        """Take down an endpoint that is Deleting."""
        change = self._changes.get(arn(caller, KIND, name))
        if change is not None:
            change.stopping.set()
        self._begin(caller, name, partial(self._delete, caller, name))

    def restore(self) -> None:
        """Bring up again what an earlier process served; to be called at the start.

        When it returns all is routed to, and is starting. What was being created is created anew,
        what was being deleted is gone. What was being updated is as it was before, and says so.
        """
        for folder in self._ground.folder.glob("*"):
            if folder.name != "logs":
                shutil.rmtree(folder, ignore_errors=True)
        for caller, name, endpoint in self._records.everywhere():
            match endpoint["EndpointStatus"]:
                case "Creating":
                    self.create(caller, name)
                case "Deleting":
                    self._records.forget(caller, name)
                case "Failed":
                    pass
                case status:
                    if status in ("Updating", "RollingBack"):
                        self._return(caller, name, endpoint)
                    fleet = self._make(caller, name, plan_of(endpoint))
                    self._serve(caller, name, fleet)
                    self._begin(caller, name, partial(self._resume, caller, name, fleet))

    def stop(self) -> None:
        """Begin no change any more, and give up those that go on; fleets go on answering."""
        self._closing.set()
        with self._lock:
            for change in self._changes.values():
                change.stopping.set()

    def close(self) -> None:
        """End all instances. Endpoints stay what they are; `restore` brings them up again."""
        self.stop()
        with self._lock:
            changes = list(self._changes.values())
        deadline = time.monotonic() + _CLOSE_SECONDS
        for change in changes:
            change.ended.wait(max(0.0, deadline - time.monotonic()))
        with self._lock:
            fleets = list(self._fleets)
        if fleets:
            with ThreadPoolExecutor(len(fleets)) as pool:
                list(pool.map(Fleet.end, fleets))

    # --- the changes, each in a thread of its own -------------------------------------------------

    def _create(self, caller: Caller, name: str, change: _Change) -> None:
        plan = plan_of(self._records.find(caller, name))
        started = self._clock.now()
        fleet = self._make(caller, name, plan)
        launching = summaries.pending(
            plan, started, started, "Creating", _LAUNCHING, launched=False
        )
        self._tell(caller, name, {_PENDING: launching})
        try:
            fleet.start(change.stopping.is_set)
        except FleetFailed as error:
            self._end(fleet)
            if not change.stopping.is_set():
                failed = {"EndpointStatus": "Failed", "FailureReason": str(error)}
                self._tell(caller, name, failed, gone=[_PENDING])
            return
        self._serve(caller, name, fleet)
        self._tell(caller, name, self._served(plan, started), gone=[_PENDING])

    def _resume(self, caller: Caller, name: str, fleet: Fleet, change: _Change) -> None:
        """Serve again after a restart. Requests that come meanwhile wait for the containers."""
        try:
            fleet.start(change.stopping.is_set)
        except FleetFailed as error:
            if change.stopping.is_set():
                return
            self._traffic.forget(caller, name)
            with self._lock:
                del self._serving[arn(caller, KIND, name)]
            self._traffic.drop(fleet.id)
            self._end(fleet)
            reason = f"It did not come up again after localcloud had been down. {error}"
            self._tell(caller, name, {"FailureReason": reason[:REASON_LIMIT]})
            self._settle(caller, name, "InService", "OutOfService")
        else:
            self._settle(caller, name, "OutOfService", "InService", gone=["FailureReason"])

    def _update(
        self,
        caller: Caller,
        name: str,
        plan: FleetPlan,
        deployment: Deployment,
        change: _Change,
    ) -> None:
        started = self._clock.now()
        blue, green = self._serving.get(arn(caller, KIND, name)), self._make(caller, name, plan)

        def show(status: str, message: str) -> None:
            launched = status != "Creating"
            now = self._clock.now()
            told = summaries.pending(plan, started, now, status, message, launched=launched)
            self._tell(caller, name, {_PENDING: told})

        show("Creating", _LAUNCHING)
        rollout = Rollout(
            caller=caller,
            endpoint=name,
            blue=blue,
            green=green,
            deployment=deployment,
            traffic=self._traffic,
            alarm=lambda alarm: self._alarm(caller, alarm),
            show=show,
            stopping=change.stopping,
            clock=self._clock,
        )
        try:
            rollout.run()
        except RolloutStopped:
            return
        except RolledBack as error:
            self._roll_back(caller, name, blue, green, str(error))
            return
        with self._lock:
            self._serving[arn(caller, KIND, name)] = green
        without = [] if plan.capture else ["DataCaptureConfig"]
        gone = [_PENDING, "FailureReason", *without]
        self._tell(caller, name, self._served(plan, started), gone)
        if blue is not None:
            self._drain(blue.id)
            self._end(blue)

    def _roll_back(
        self, caller: Caller, name: str, blue: Fleet | None, green: Fleet, reason: str
    ) -> None:
        """Give all requests back to the blue fleet and say why."""
        changes = {"EndpointStatus": "RollingBack", "FailureReason": reason[:REASON_LIMIT]}
        self._tell(caller, name, changes)
        if blue is None:
            self._traffic.forget(caller, name)
        else:
            self._traffic.route(caller, name, [blue.route(1.0)])
        self._drain(green.id)
        self._end(green)
        status = "OutOfService" if blue is None else "InService"
        self._tell(caller, name, {"EndpointStatus": status}, gone=[_PENDING])

    def _scale(self, caller: Caller, name: str, plan: FleetPlan, change: _Change) -> None:
        since = self._clock.now()
        fleet = self._serving.get(arn(caller, KIND, name))
        if fleet is None:  # it has not come up again, and the record says why
            self._tell(caller, name, {"EndpointStatus": "OutOfService"})
            return
        before, routed = fleet.plan, fleet.id
        try:
            surplus = fleet.change(plan, change.stopping.is_set)
        except FleetFailed as error:
            if change.stopping.is_set():
                return
            variants = summaries.in_service(before, since)
            self._tell(
                caller, name,
                {"EndpointStatus": "RollingBack", "FailureReason": str(error)},
            )  # fmt: skip
            self._tell(
                caller, name, {"EndpointStatus": "InService", "ProductionVariants": variants}
            )
            return
        self._traffic.route(caller, name, [fleet.route(1.0)])
        if fleet.id != routed:
            self._drain(routed)
            fleet.dismiss(surplus)
        self._tell(caller, name, self._served(plan, since), gone=["FailureReason"])

    def _delete(self, caller: Caller, name: str, _change: _Change) -> None:
        self._traffic.forget(caller, name)
        with self._lock:
            fleet = self._serving.pop(arn(caller, KIND, name), None)
        if fleet is not None:
            self._drain(fleet.id)
            self._end(fleet)
        self._records.forget(caller, name)

    # --- what they share --------------------------------------------------------------------------

    def _begin(self, caller: Caller, name: str, work: Callable[[_Change], None]) -> None:
        endpoint_arn = arn(caller, KIND, name)
        with self._lock:
            change = _Change(self._changes.get(endpoint_arn))
            self._changes[endpoint_arn] = change

        def carry_through() -> None:
            try:
                if change.previous is not None:
                    change.previous.ended.wait()
                    change.previous = None
                if not self._closing.is_set():
                    work(change)
            except Exception as error:  # noqa: BLE001 - no endpoint is in progress for ever
                _log.exception("%s", name)
                self._give_up(caller, name, f"InternalServerError: {error!r}")
            finally:
                with self._lock:
                    if self._changes.get(endpoint_arn) is change:
                        del self._changes[endpoint_arn]
                change.ended.set()

        threading.Thread(target=carry_through, name=name, daemon=True).start()

    def _give_up(self, caller: Caller, name: str, reason: str) -> None:
        """After a failure of localcloud's own: what served serves, and nothing is in progress."""
        endpoint_arn = arn(caller, KIND, name)
        with self._lock:
            serving = self._serving.get(endpoint_arn)
            others = [
                fleet
                for fleet, owner in self._fleets.items()
                if owner == endpoint_arn and fleet is not serving
            ]
        if serving is None:
            self._traffic.forget(caller, name)
        else:
            self._traffic.route(caller, name, [serving.route(1.0)])
        for fleet in others:
            self._traffic.drop(fleet.id)
            self._end(fleet)
        status = "Failed" if serving is None else "InService"
        changes = {"EndpointStatus": status, "FailureReason": reason[:REASON_LIMIT]}
        self._tell(caller, name, changes, gone=[_PENDING])

    def _make(self, caller: Caller, name: str, plan: FleetPlan) -> Fleet:
        fleet = Fleet(self._ground, caller, name, plan)
        with self._lock:
            self._fleets[fleet] = arn(caller, KIND, name)
        return fleet

    def _end(self, fleet: Fleet) -> None:
        fleet.end()
        with self._lock:
            self._fleets.pop(fleet, None)

    def _serve(self, caller: Caller, name: str, fleet: Fleet) -> None:
        """Give a fleet all requests of an endpoint that had none before."""
        with self._lock:
            self._serving[arn(caller, KIND, name)] = fleet
        self._traffic.route(caller, name, [fleet.route(1.0)])

    def _drain(self, fleet_id: str) -> None:
        if not self._traffic.drain(fleet_id, _DRAIN_SECONDS):
            _log.warning("A request was still in the fleet %s when it ended", fleet_id)

    def _served(self, plan: FleetPlan, since: float) -> Document:
        """What an endpoint's record says of the plan that it serves."""
        found: Document = {
            "EndpointStatus": "InService",
            "EndpointConfigName": plan.config,
            "Plan": plan.document(),
            "ProductionVariants": summaries.in_service(plan, since),
        }
        capture = summaries.capture(plan)
        return found if capture is None else found | {"DataCaptureConfig": capture}

    def _settle(
        self, caller: Caller, name: str, before: str, after: str, gone: Collection[str] = ()
    ) -> None:
        """Change the status, unless it is another one: a call has asked for something meanwhile."""
        if self._records.find(caller, name)["EndpointStatus"] == before:
            self._tell(caller, name, {"EndpointStatus": after}, gone)

    def _return(self, caller: Caller, name: str, endpoint: Document) -> None:
        """Say that an update was cut off, and what serves now."""
        plan = plan_of(endpoint)
        wanted = endpoint.get(_PENDING, {}).get("EndpointConfigName", plan.config)
        reason = "localcloud ended while the endpoint was being updated"
        if wanted != plan.config:
            reason += f" to the configuration {wanted}; it has {plan.config} again"
        changes = self._served(plan, self._clock.now())
        if "FailureReason" not in endpoint:
            changes["FailureReason"] = f"{reason}."
        self._records.change(caller, name, changes, gone=[_PENDING])

    def _tell(
        self, caller: Caller, name: str, changes: Document, gone: Collection[str] = ()
    ) -> None:
        """Change the record; on a full disk as soon as there is room."""
        while True:
            try:
                self._records.change(caller, name, changes, gone)
            except sqlite3.OperationalError as error:
                _log.error("%s has changed, which cannot be stored: %s", name, error)
                if self._closing.wait(1.0):
                    return
            else:
                return

    def _mark(self) -> None:
        while not self._closing.wait(_MARK_SECONDS):
            with self._lock:
                fleets = list(self._fleets)
            for fleet in fleets:
                with contextlib.suppress(OSError):  # a full disk costs a line its time, no more
                    fleet.mark()
