"""A fleet: the instances of all variants of one endpoint configuration, as they run."""

from __future__ import annotations

import os
import secrets
import shutil
import threading
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path

from localcloud.containers.runtime import Runtime
from localcloud.containers.serving import ModelInstance
from localcloud.logs import Logs, LogStream
from localcloud.protocol import Caller
from localcloud.s3.objects import ObjectStore
from localcloud.sagemaker.arns import random_id
from localcloud.sagemaker.hosting.plan import FleetPlan, Variant
from localcloud.traffic import ContainerRoute, FleetRoute, VariantRoute

REASON_LIMIT = 1024
LOG_GROUPS = "/aws/sagemaker/Endpoints/"
_LOOK_SECONDS = 0.1
Stopping = Callable[[], bool]
"""Says whether whoever waits for a start does not want it any more."""


@dataclass(frozen=True)
class Ground:
    """What every fleet stands on. `environment` says by region where AWS is."""

    runtime: Runtime
    objects: ObjectStore
    logs: Logs
    folder: Path
    environment: Callable[[str], Mapping[str, str]]


class FleetFailed(Exception):  # noqa: N818 - reads as the sentence it makes
    """An instance did not start; the text is an endpoint's FailureReason."""


@dataclass(frozen=True)
class Instance:
    """One instance of a variant."""

    id: str
    model: ModelInstance
    folder: Path
    streams: tuple[LogStream, ...]


class Fleet:
    """Starts, changes and ends the instances of a plan; to be used by one thread at a time."""

    def __init__(self, ground: Ground, caller: Caller, endpoint: str, plan: FleetPlan) -> None:
        self.plan = plan
        self._ground = ground
        self._caller = caller
        self._endpoint = endpoint
        self._name = random_id(8)
        self._generation = 1
        self._instances = {
            each.name: [self._make(each) for _ in range(each.count)] for each in plan.variants
        }

    @property
    def id(self) -> str:
        """The name by which requests are routed to it; another one when its instances change."""
        return f"{self._name}.{self._generation}"

    def start(self, stopping: Stopping) -> None:
        """Start all instances side by side; returns when all answer.

        Raises:
            FleetFailed: one did not, or `stopping` said so. It is to be ended all the same.
        """
        wanted = [(each, new) for each in self.plan.variants for new in self._of(each)]
        self._start(wanted, stopping)

    def route(self, share: float) -> FleetRoute:
        """How requests get to it; possible before it is started."""
        return FleetRoute(
            id=self.id,
            config=self.plan.config,
            share=share,
            variants=tuple(
                VariantRoute(each.name, each.weight, self._containers(each))
                for each in self.plan.variants
            ),
            capture=self.plan.capture,
        )

    def change(self, plan: FleetPlan, stopping: Stopping) -> list[Instance]:
        """Take another plan that differs in instance counts and weights; starts what is missing.

        Returns:
            The instances that are not routed to any more, which `dismiss` ends.

        Raises:
            FleetFailed: the fleet is what it was.
        """
        missing = {
            each.name: [self._make(each) for _ in range(each.count - len(self._of(each)))]
            for each in plan.variants
        }
        try:
            wanted = [(each, new) for each in plan.variants for new in missing[each.name]]
            self._start(wanted, stopping)
        except FleetFailed:
            self.dismiss(new for instances in missing.values() for new in instances)
            raise
        surplus: list[Instance] = []
        for each in plan.variants:
            instances = [*self._of(each), *missing[each.name]]
            self._instances[each.name] = instances[: each.count]
            surplus += instances[each.count :]
        if surplus or any(missing.values()):
            self._generation += 1
        self.plan = plan
        return surplus

    def dismiss(self, instances: Iterable[Instance]) -> None:
        """End instances and forget their folders."""
        ended = list(instances)
        if not ended:
            return
        with ThreadPoolExecutor(len(ended), thread_name_prefix="ending") as pool:
            list(pool.map(_end, ended))

    def end(self) -> None:
        """End all instances."""
        self.dismiss(each for instances in self._instances.values() for each in instances)
        shutil.rmtree(self._ground.folder / self._name, ignore_errors=True)

    def mark(self) -> None:
        """Note how long the logs are now, by which their lines get their times."""
        for instances in list(self._instances.values()):
            for instance in list(instances):
                for stream in instance.streams:
                    stream.mark()

    @property
    def restarts(self) -> int:
        """How often containers were started again, of the instance where that was most often."""
        return max(
            each.model.restarts for instances in self._instances.values() for each in instances
        )

    def _of(self, variant: Variant) -> list[Instance]:
        return self._instances[variant.name]

    def _make(self, variant: Variant) -> Instance:
        instance = f"i-{secrets.token_hex(9)[:17]}"
        folder = self._ground.folder / self._name / instance[-8:]
        logs = self._ground.folder / "logs" / self._endpoint
        paths = [logs / f"{instance}.{each.hostname}.log" for each in variant.containers]
        model = ModelInstance(
            self._ground.runtime,
            self._ground.objects,
            variant.containers,
            folder,
            name=f"{self._endpoint}/{variant.name}/{instance}",
            region=self._caller.region,
            cpus=max(1, (os.cpu_count() or 1) // variant.count),
            logs=paths,
            environment=self._ground.environment(self._caller.region),
        )
        streams = tuple(
            self._ground.logs.open(
                self._caller,
                f"{LOG_GROUPS}{self._endpoint}",
                _stream(variant, instance, each.hostname),
                path,
            )
            for each, path in zip(variant.containers, paths, strict=True)
        )
        return Instance(instance, model, folder, streams)

    def _start(self, instances: Iterable[tuple[Variant, Instance]], stopping: Stopping) -> None:
        """Start instances side by side. The first that fails keeps the others from starting."""
        wanted = list(instances)
        if not wanted:
            return
        giving_up = threading.Event()
        reason = None
        with ThreadPoolExecutor(len(wanted), thread_name_prefix="starting") as pool:
            variants = {
                pool.submit(each.model.start, variant.timeout, giving_up): variant
                for variant, each in wanted
            }
            running = set(variants)
            while running:
                done, running = wait(running, _LOOK_SECONDS, FIRST_EXCEPTION)
                for start in done:
                    error = start.exception()
                    if error is not None and reason is None:
                        reason = _reason(variants[start], error)
                if reason is not None or stopping():
                    giving_up.set()
        if giving_up.is_set():
            raise FleetFailed(reason or "localcloud was stopped")

    def _containers(self, variant: Variant) -> tuple[ContainerRoute, ...]:
        instances = self._of(variant)
        return tuple(
            ContainerRoute(
                hostname=container.hostname,
                sockets=tuple(str(each.model.sockets[number]) for each in instances),
                log_streams=tuple(
                    _stream(variant, each.id, container.hostname) for each in instances
                ),
            )
            for number, container in enumerate(variant.containers)
        )


def _stream(variant: Variant, instance: str, hostname: str) -> str:
    """A container's log stream; AWS names the container where a model has several."""
    several = len(variant.containers) > 1
    return f"{variant.name}/{instance}/{hostname}" if several else f"{variant.name}/{instance}"


def _end(instance: Instance) -> None:
    instance.model.stop()
    for stream in instance.streams:
        stream.mark()
    shutil.rmtree(instance.folder, ignore_errors=True)


def _reason(variant: Variant, error: BaseException) -> str:
    """AWS's sentence, and what the instance says of itself: of a long text its last lines."""
    said = str(error) or type(error).__name__
    named = [each.hostname for each in variant.containers if said.startswith(f"{each.hostname} ")]
    container = named[0] if named and len(variant.containers) > 1 else "primary"
    sentence = (
        f"The {container} container for production variant {variant.name} did not pass the ping "
        "health check. Please check CloudWatch logs for this endpoint. "
    )
    room = REASON_LIMIT - len(sentence)
    return sentence + (said if len(said) <= room else f"...{said[3 - room :]}")
