"""One job, from its inputs to its outputs, watched while its containers run."""

from __future__ import annotations

import math
import os
import shutil
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from localcloud.clock import Timeline
from localcloud.containers import processing, training
from localcloud.containers.errors import JobFolderFailed, RequirementsFailed
from localcloud.containers.hosts import Instance
from localcloud.containers.kept import KeepingSource, KeptJob
from localcloud.containers.outcome import REASON_LIMIT, failure_reason, final_metrics, is_full
from localcloud.containers.outputs import Continuous
from localcloud.containers.rerun import advice
from localcloud.containers.runtime import Container, ContainerSpec, Runtime, stop_all
from localcloud.logs import LogStream
from localcloud.protocol import Document
from localcloud.s3.objects import ObjectStore
from localcloud.sagemaker.job_kinds import TRAINING, ContainerKind
from localcloud.sagemaker.job_records import STOP_REASON

WATCH_SECONDS = 0.25
_DEFAULT_MAX_RUNTIME = 86_400
_LONGEST_STOP = "MaxRuntimeExceeded"


@dataclass
class JobRun:
    """A job that has not ended: `stopping` asks it to end, `ended` is set when it has.

    `folder` is the job's; each of its `instances` has a root there and one of the `streams`.
    `update` stores a change of the job's description, `enter` a step of a training job's way.
    `timeline` gives the job's times. `keep` says whether the folder is of use if the job fails.
    """

    kind: ContainerKind
    request: Document
    folder: Path
    instances: tuple[Instance, ...]
    streams: tuple[LogStream, ...]
    region: str
    environment: Mapping[str, str]
    update: Callable[[Document], None]
    enter: Callable[[str], None]
    timeline: Timeline
    stopping: threading.Event = field(default_factory=threading.Event)
    ended: threading.Event = field(default_factory=threading.Event)
    keep: bool = True

    def work(self, objects: ObjectStore, runtime: Runtime) -> tuple[str, Document]:
        """Run the job; returns its status and what else changes in its description."""
        self._make_folders()
        self.enter("Downloading")
        specs = self._prepare(objects)
        if len(specs) > 1:
            runtime.find_hosts(specs[0].image, self.instances[0].host.names)
        name = self.kind.name
        started, began = self.timeline.now(), time.monotonic()
        try:
            containers = self._start(specs, runtime)
        except RequirementsFailed as error:
            return "Failed", {"FailureReason": f"AlgorithmError: {error}"[:REASON_LIMIT]}
        try:
            self.update({f"{name}StartTime": started})
            self.enter("Training")
            uploads = []
            if self.kind is not TRAINING:
                uploads = processing.continuous(self.request, self.instances, objects)
            failed, stopped = self._watch(containers, began, uploads)
        except BaseException:  # nothing of a job runs on when nobody watches it
            stop_all(containers, grace=0)
            raise
        ended = self.timeline.now()
        lost = failed is not None and containers[failed].lost
        code = 0 if failed is None else containers[failed].wait() or 0
        reason = None
        if stopped is None and failed is not None:
            reason = self._failure(self.instances[failed], code, lost=lost)
        if self.kind is TRAINING:
            status, changes = self._end_training(objects, reason, stopped)
            seconds = max(1, math.ceil(ended - started))  # AWS counts begun ones
            changes |= {"TrainingTimeInSeconds": seconds, "BillableTimeInSeconds": seconds}
        else:
            status, changes = self._end_processing(objects, reason, stopped)
        if stopped == _LONGEST_STOP:
            changes[STOP_REASON] = self._overrun()
        return status, changes | {f"{name}EndTime": ended}

    def _make_folders(self) -> None:
        try:
            if self.folder.exists():  # of a job of this name that is not known any more
                shutil.rmtree(self.folder)
            for instance in self.instances:
                instance.root.mkdir(parents=True)
                instance.log.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise JobFolderFailed(
                f"The job's folder {self.folder} cannot be made: {error.strerror}: {error.filename}"
            ) from error

    def _prepare(self, objects: ObjectStore) -> list[ContainerSpec]:
        """Lay out every host, and keep what is needed to do it again."""
        job = KeptJob(
            kind=self.kind.name,
            request=self.request,
            arn=self.request[f"{self.kind.name}JobArn"],
            region=self.region,
            cpus=max(1, (os.cpu_count() or 1) // len(self.instances)),
            environment=dict(self.environment),
            count=len(self.instances),
        )
        source = KeepingSource(objects, self.folder, job)
        specs = [
            self.kind.prepare(
                self.request, instance, source,
                cpus=job.cpus, region=job.region, arn=job.arn, environment=job.environment,
            )
            for instance in self.instances
        ]  # fmt: skip
        job.write(self.folder)
        return specs

    def _start(self, specs: list[ContainerSpec], runtime: Runtime) -> list[Container]:
        containers: list[Container] = []
        try:
            for spec in specs:
                containers.append(runtime.start(spec, lambda _pid: None))  # noqa: PERF401 - see below
        except BaseException:
            stop_all(containers, grace=0)
            raise
        return containers

    def _watch(
        self, containers: list[Container], began: float, uploads: list[Continuous]
    ) -> tuple[int | None, str | None]:
        """Wait until all have ended. The failure of one host ends the others.

        Returns:
            The number of the first host that failed, and why the job was stopped if it was.
        """
        limit = self._longest()
        deadline = began + limit
        running = list(containers)
        while running:
            running[0].wait(WATCH_SECONDS)
            for stream in self.streams:
                stream.mark()
            codes = [container.wait(0) for container in containers]
            failed = next((n for n, code in enumerate(codes) if code), None)
            running = [each for each, code in zip(containers, codes, strict=True) if code is None]
            if failed is not None:
                self._stop(running)
                return failed, None
            if running and self.stopping.is_set():
                self._stop(running)
                return None, "Stopped"
            if running and time.monotonic() > deadline:
                for instance in self.instances:
                    instance.note(f"stopped after MaxRuntimeInSeconds={limit}")
                self._stop(running)
                return None, _LONGEST_STOP
            for upload in uploads:
                upload.look()
        return None, None

    def _stop(self, running: list[Container]) -> None:
        stop_all(running)
        for stream in self.streams:
            stream.mark()

    def _end_processing(
        self, objects: ObjectStore, reason: str | None, stopped: str | None
    ) -> tuple[str, Document]:
        changes: Document = {}
        message = processing.exit_message(self.instances)
        if message:
            changes["ExitMessage"] = message
        if reason is not None:
            changes["FailureReason"] = reason
        if reason is None and stopped is None:
            processing.finish(self.request, self.instances, objects)
            return "Completed", changes
        processing.finish_early(self.request, self.instances, objects)
        return ("Failed" if stopped is None else "Stopped"), changes

    def _end_training(
        self, objects: ObjectStore, reason: str | None, stopped: str | None
    ) -> tuple[str, Document]:
        definitions = self.request["AlgorithmSpecification"].get("MetricDefinitions", [])
        metrics = [
            metric | {"Timestamp": metric["Timestamp"].timestamp()}
            for metric in final_metrics(definitions, self.instances[0].log)
        ]
        changes: Document = {"FinalMetricDataList": metrics}
        if reason is not None:
            training.save_checkpoints(self.request, self.instances, objects)
            return "Failed", changes | {"FailureReason": reason}
        self.enter("Uploading")
        training.finish(self.request, self.instances, objects)
        if stopped == _LONGEST_STOP:
            changes["SecondaryStatus"] = stopped
        return ("Completed" if stopped is None else "Stopped"), changes

    def _overrun(self) -> str:
        name = self.request[f"{self.kind.name}JobName"]
        return (
            f"The job {name} was stopped: it ran longer than its MaxRuntimeInSeconds, "
            f"{self._longest()}{advice(name, self.instances[0].host)}"
        )

    def _longest(self) -> int:
        limit = self.request.get("StoppingCondition", {}).get("MaxRuntimeInSeconds")
        return int(limit or _DEFAULT_MAX_RUNTIME)

    def _failure(self, instance: Instance, code: int, *, lost: bool) -> str:
        if lost:
            return "InternalServerError: the process that had started the job's container died"
        if is_full(self.folder):  # then the log may lack the job's last words
            self.keep = False
            said = "No space left on device"
            kept = "\nThe disk was full: the job's folder was deleted to make room"
            limit = REASON_LIMIT - len(kept)
            return failure_reason(instance.root, instance.log, code, limit, said) + kept
        again = advice(self.request[f"{self.kind.name}JobName"], instance.host)
        return failure_reason(instance.root, instance.log, code, REASON_LIMIT - len(again)) + again
