"""Processing, training and transform jobs: created by a call or a step, described, stopped."""

from __future__ import annotations

import errno
import logging
import os
import shutil
import threading
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from localcloud.clock import Timeline
from localcloud.containers import training
from localcloud.containers.errors import ContainerError, DeliveryFailed
from localcloud.containers.hosts import Host, Instance, hosts
from localcloud.containers.images import find_image
from localcloud.containers.outcome import is_full
from localcloud.containers.runtime import Runtime
from localcloud.errors import ResourceInUse, ServiceError, ValidationException, is_disk_full
from localcloud.logs import Logs
from localcloud.protocol import Caller, Document, Operation
from localcloud.s3.errors import S3Error
from localcloud.s3.objects import ObjectStore
from localcloud.sagemaker.arns import arn
from localcloud.sagemaker.job_kinds import KINDS, TRAINING, ContainerKind, Kind
from localcloud.sagemaker.job_records import ENDED, STOP_REASON, JobRecords, secondary
from localcloud.sagemaker.job_run import WATCH_SECONDS, JobRun
from localcloud.sagemaker.tags import Tags
from localcloud.sagemaker.transform_jobs import TransformJobs
from localcloud.sagemaker.transform_run import TransformRun
from localcloud.store import Store

_log = logging.getLogger(__name__)
_INTERNAL = "InternalServerError"
_Run = JobRun | TransformRun


class Jobs:
    """Runs each job in a thread of its own, which watches its process and keeps its state.

    `environment` gives what every job of a region gets beside its own: where the services are.
    """

    def __init__(
        self,
        store: Store,
        objects: ObjectStore,
        tags: Tags,
        logs: Logs,
        runtime: Runtime,
        folder: Path,
        environment: Callable[[str], Mapping[str, str]],
        transforms: TransformJobs,
    ) -> None:
        self._store = store
        self._records = JobRecords(store)
        self._objects = objects
        self._tags = tags
        self._logs = logs
        self._runtime = runtime
        self._folder = folder
        self._environment = environment
        self._transforms = transforms
        self._runs: dict[str, _Run] = {}
        self._lock = threading.Lock()
        self._closing = threading.Event()

    def operations(self) -> dict[str, Operation]:
        """The calls by their AWS names."""
        calls: dict[str, Operation] = {}
        for kind in KINDS.values():
            calls |= _operations(self, kind)
        return calls

    def end_leftovers(self) -> None:
        """Report as failed what an earlier process left running; to be called at the start.

        Folders stay of failed jobs only, and of those that can be run again.
        """
        reason = {"FailureReason": f"{_INTERNAL}: localcloud ended while this job ran"}
        for kind in KINDS.values():
            failed = set()
            for caller, name, job in self._store.everywhere(kind.resource):
                if job[kind.status] not in ENDED:
                    self._records.end(caller, kind, name, "Failed", reason, self._store.clock.now())
                again = isinstance(kind, ContainerKind)
                if again and (
                    job[kind.status] not in ("Completed", "Stopped") or STOP_REASON in job
                ):
                    failed.add(name)
            for folder in (self._folder / kind.resource).glob("*"):
                if folder.name not in failed:
                    shutil.rmtree(folder, ignore_errors=True)

    def create(
        self,
        caller: Caller,
        kind_name: str,
        request: Document,
        timeline: Timeline | None = None,
    ) -> str:
        """Start a job and return its ARN; its name must be new.

        Its times go by `timeline`, where it is part of something larger.
        """
        kind = KINDS[kind_name]
        name = request[f"{kind.name}JobName"]
        job_arn = arn(caller, kind.resource, name)
        kind.check(request)
        if isinstance(kind, ContainerKind):
            find_image(kind.image(request))
        else:
            self._transforms.check(caller, request)
        timeline = timeline or self._store.clock.timeline()
        now = timeline.now()
        job = {key: value for key, value in request.items() if key != "Tags"}
        job |= {
            f"{kind.name}JobArn": job_arn,
            kind.status: "InProgress",
            "CreationTime": now,
            "LastModifiedTime": now,
        }
        if kind is TRAINING:
            job |= secondary(job, "Starting", now)
            job["ModelArtifacts"] = {"S3ModelArtifacts": training.model_uri(request)}
        with self._store.transaction():
            if self._store.get(caller, kind.resource, name):
                raise ResourceInUse(
                    "Job name must be unique within an AWS account and region, and a job with "
                    f"this name already exists ({job_arn})"
                )
            self._store.put(caller, kind.resource, name, job)
            self._tags.set(caller, job_arn, request.get("Tags"))
            run = self._prepare(caller, kind, name, job, timeline)
        with self._lock:
            self._runs[job_arn] = run
        try:
            threading.Thread(
                target=self._run, args=(caller, name, run), name=name, daemon=True
            ).start()
        except RuntimeError as error:  # no more threads: the job never stays "InProgress"
            self._end_run(caller, name, run, "Failed", {"FailureReason": f"{_INTERNAL}: {error}"})
        return job_arn

    def describe(self, caller: Caller, kind_name: str, name: str) -> Document:
        """A job's description. What is not there is refused in the words of its kind."""
        return self._records.find(caller, KINDS[kind_name], name)

    def wait(
        self, caller: Caller, kind_name: str, name: str, stopping: threading.Event
    ) -> Document:
        """Wait until a job has ended; stop it when `stopping` is set. Returns its description."""
        run = self._runs.get(arn(caller, KINDS[kind_name].resource, name))
        while run is not None and not run.ended.wait(WATCH_SECONDS):
            if stopping.is_set():
                run.stopping.set()
        return self.describe(caller, kind_name, name)

    def stop(self, caller: Caller, kind_name: str, name: str) -> None:
        """Ask a running job to end; it is Stopping until it has."""
        kind = KINDS[kind_name]
        job = self.describe(caller, kind_name, name)
        run = self._runs.get(job[f"{kind.name}JobArn"])
        if run is None or job[kind.status] in ENDED:
            raise ValidationException(
                f"The request was rejected because the {kind.name.lower()} job is in status "
                f"{job[kind.status]}."
            )
        now = self._store.clock.now()
        self._records.update(caller, kind, name, {kind.status: "Stopping"}, now)
        run.stopping.set()

    def list_jobs(self, caller: Caller, kind_name: str, request: Document) -> Document:
        """One page of the jobs of a kind."""
        kind = KINDS[kind_name]
        return kind.listing.page(request, self._store.documents(caller, kind.resource))

    def running(self) -> list[str]:
        """The ARNs of the jobs that run now."""
        with self._lock:
            return sorted(self._runs)

    def close(self) -> None:
        """Ask all running jobs to end and give them a moment."""
        self._closing.set()
        with self._lock:
            runs = list(self._runs.values())
        for run in runs:
            run.stopping.set()
        for run in runs:
            run.ended.wait(5)

    def _prepare(
        self, caller: Caller, kind: Kind, name: str, job: Document, timeline: Timeline
    ) -> _Run:
        folder, records = self._folder / kind.resource / name, self._records
        with self._lock:
            if any(run.folder == folder for run in self._runs.values()):
                raise ResourceInUse(f"A job with the name {name} runs in another region")
        logs = self._folder / "logs" / kind.resource

        def update(changes: Document) -> None:
            records.update(caller, kind, name, changes, timeline.now())

        if not isinstance(kind, ContainerKind):
            return self._transforms.prepare(caller, job, folder, logs, timeline, update)
        instances = tuple(
            Instance(host, folder / host.name, logs / f"{name}{_suffix(host)}.log")
            for host in hosts(kind.instances(job))
        )
        created = int(job["CreationTime"])
        streams = tuple(
            self._logs.open(caller, kind.log_group, f"{name}/{each.host.name}-{created}", each.log)
            for each in instances
        )

        return JobRun(
            kind=kind,
            request=job,
            folder=folder,
            instances=instances,
            streams=streams,
            region=caller.region,
            environment=self._environment(caller.region),
            update=update,
            enter=lambda status: records.enter(caller, kind, name, status, timeline.now()),
            timeline=timeline,
        )

    def _run(self, caller: Caller, name: str, run: _Run) -> None:
        try:
            status, changes = run.work(self._objects, self._runtime)
        except Exception as error:  # noqa: BLE001 - a job never stays "InProgress" for ever
            status, changes = "Failed", {"FailureReason": _reason(error, run.folder)}
            run.keep = not is_full(self._folder)
        if status == "Failed" and not run.keep:
            # It is the job, most likely, that has filled the disk: without this its end could not
            # be stored, and nothing of localcloud would go on.
            shutil.rmtree(run.folder, ignore_errors=True)
        self._end_run(caller, name, run, status, changes)
        if status != "Failed" and STOP_REASON not in changes:
            shutil.rmtree(run.folder, ignore_errors=True)

    def _end_run(
        self, caller: Caller, name: str, run: _Run, status: str, changes: Document
    ) -> None:
        now = run.timeline.now()
        end = partial(self._records.end, caller, run.kind, name, status, changes, now)
        try:
            self._store.insist(end, self._closing)
        finally:
            with self._lock:
                self._runs.pop(arn(caller, run.kind.resource, name), None)
            run.ended.set()


def _reason(error: Exception, folder: Path) -> str:
    """The FailureReason of a job that localcloud could not run to its end."""
    if is_disk_full(error):
        return f"{_INTERNAL}: {os.strerror(errno.ENOSPC)}: {folder}"
    if isinstance(error, ServiceError | S3Error | DeliveryFailed):
        return f"ClientError: {error}"
    if isinstance(error, ContainerError):
        return f"{_INTERNAL}: {error}"
    if isinstance(error, OSError):
        return f"{_INTERNAL}: {error.strerror or error}: {error.filename or folder}"
    _log.error("%s", folder.name, exc_info=error)
    return f"{_INTERNAL}: {type(error).__name__}: {error}"


def _suffix(host: Host) -> str:
    return "" if host.number == 1 else f".{host.name}"


def _operations(jobs: Jobs, kind: Kind) -> dict[str, Operation]:
    """The four calls of a kind of job."""
    member = f"{kind.name}JobName"

    def create(caller: Caller, request: Document) -> Document:
        """Start a process for each instance and container, with inputs, outputs and a log."""
        return {f"{kind.name}JobArn": jobs.create(caller, kind.name, request)}

    def describe(caller: Caller, request: Document) -> Document:
        """How it stands, and in its script's own words why it failed."""
        return jobs.describe(caller, kind.name, request[member])

    def stop(caller: Caller, request: Document) -> Document:
        """Ask its processes to end."""
        jobs.stop(caller, kind.name, request[member])
        return {}

    def list_jobs(caller: Caller, request: Document) -> Document:
        """By name, time or status, in pages."""
        return jobs.list_jobs(caller, kind.name, request)

    return {
        f"Create{kind.name}Job": create,
        f"Describe{kind.name}Job": describe,
        f"Stop{kind.name}Job": stop,
        f"List{kind.name}Jobs": list_jobs,
    }
