"""Processing and training jobs: created by a call or by a step, kept, described and stopped."""

from __future__ import annotations

import logging
import shutil
import sqlite3
import threading
from collections.abc import Callable, Mapping
from pathlib import Path

from localcloud.clock import Timeline
from localcloud.containers import training
from localcloud.containers.errors import ContainerError, DeliveryFailed
from localcloud.containers.hosts import Host, Instance, hosts
from localcloud.containers.images import find_image
from localcloud.containers.runtime import Runtime
from localcloud.errors import ResourceInUse, ResourceNotFound, ServiceError, ValidationException
from localcloud.logs import Logs
from localcloud.protocol import Caller, Document, Operation
from localcloud.s3.errors import S3Error
from localcloud.s3.objects import ObjectStore
from localcloud.sagemaker.arns import arn
from localcloud.sagemaker.job_kinds import KINDS, TRAINING, Kind
from localcloud.sagemaker.job_run import WATCH_SECONDS, JobRun
from localcloud.sagemaker.tags import Tags
from localcloud.store import Store

_log = logging.getLogger(__name__)
_INTERNAL = "InternalServerError"
_ENDED = ("Completed", "Failed", "Stopped")


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
    ) -> None:
        self._store = store
        self._objects = objects
        self._tags = tags
        self._logs = logs
        self._runtime = runtime
        self._folder = folder
        self._environment = environment
        self._runs: dict[str, JobRun] = {}
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

        Folders stay of failed jobs only.
        """
        reason = {"FailureReason": f"{_INTERNAL}: localcloud ended while this job ran"}
        for kind in KINDS.values():
            failed = set()
            for caller, name, job in self._store.everywhere(kind.resource):
                if job[kind.status] not in _ENDED:
                    self._end(caller, kind, name, "Failed", reason, self._store.clock.now())
                if job[kind.status] not in ("Completed", "Stopped"):
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
        find_image(kind.image(request))
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
            job |= _secondary(job, "Starting", now)
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
        kind = KINDS[kind_name]
        job = self._store.get(caller, kind.resource, name)
        if job is None:
            if kind is TRAINING:
                raise ValidationException("Requested resource not found.")
            raise ResourceNotFound(f"Could not find requested job with name: {name}")
        return job

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
        if run is None or job[kind.status] in _ENDED:
            raise ValidationException(
                f"The request was rejected because the {kind.name.lower()} job is in status "
                f"{job[kind.status]}."
            )
        now = self._store.clock.now()
        self._update(caller, kind, name, {kind.status: "Stopping"}, now)
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
    ) -> JobRun:
        folder = self._folder / kind.resource / name
        with self._lock:
            if any(run.folder == folder for run in self._runs.values()):
                raise ResourceInUse(f"A job with the name {name} runs in another region")
        logs = self._folder / "logs" / kind.resource
        instances = tuple(
            Instance(host, folder / host.name, logs / f"{name}{_suffix(host)}.log")
            for host in hosts(kind.instances(job))
        )
        created = int(job["CreationTime"])
        streams = tuple(
            self._logs.open(caller, kind.log_group, f"{name}/{each.host.name}-{created}", each.log)
            for each in instances
        )

        def enter(status: str) -> None:
            if kind is TRAINING:
                now = timeline.now()
                with self._store.transaction():
                    current = self.describe(caller, kind.name, name)
                    self._update(caller, kind, name, _secondary(current, status, now), now)

        return JobRun(
            kind=kind,
            request=job,
            folder=folder,
            instances=instances,
            streams=streams,
            region=caller.region,
            environment=self._environment(caller.region),
            update=lambda changes: self._update(caller, kind, name, changes, timeline.now()),
            enter=enter,
            timeline=timeline,
        )

    def _run(self, caller: Caller, name: str, run: JobRun) -> None:
        try:
            status, changes = run.work(self._objects, self._runtime)
        except (ServiceError, S3Error, DeliveryFailed) as error:
            status, changes = "Failed", {"FailureReason": f"ClientError: {error}"}
        except ContainerError as error:
            status, changes = "Failed", {"FailureReason": f"{_INTERNAL}: {error}"}
        except OSError as error:
            where = error.filename or run.folder
            reason = f"{_INTERNAL}: {error.strerror or error}: {where}"
            status, changes = "Failed", {"FailureReason": reason}
        except Exception as error:  # noqa: BLE001 - a job never stays "InProgress" for ever
            _log.exception("%s", name)
            reason = f"{_INTERNAL}: {type(error).__name__}: {error}"
            status, changes = "Failed", {"FailureReason": reason}
        self._end_run(caller, name, run, status, changes)
        if status != "Failed":
            shutil.rmtree(run.folder, ignore_errors=True)

    def _end_run(
        self, caller: Caller, name: str, run: JobRun, status: str, changes: Document
    ) -> None:
        try:
            while True:
                try:
                    self._end(caller, run.kind, name, status, changes, run.timeline.now())
                    break
                except sqlite3.OperationalError as error:  # the disk is full: told when it is not
                    _log.error("%s is %s, which cannot be stored: %s", name, status, error)
                    if self._closing.wait(1.0):
                        break
        finally:
            with self._lock:
                self._runs.pop(arn(caller, run.kind.resource, name), None)
            run.ended.set()

    def _end(
        self, caller: Caller, kind: Kind, name: str, status: str, changes: Document, now: float
    ) -> None:
        with self._store.transaction():
            job = self.describe(caller, kind.name, name)
            now = max(now, job["LastModifiedTime"])
            final = {kind.status: status, f"{kind.name}EndTime": now, **changes}
            if kind is TRAINING:
                final |= _secondary(job, final.get("SecondaryStatus", status), now)
            self._update(caller, kind, name, final, now)

    def _update(self, caller: Caller, kind: Kind, name: str, changes: Document, now: float) -> None:
        with self._store.transaction():
            job = self.describe(caller, kind.name, name)
            job |= changes | {"LastModifiedTime": max(now, job["LastModifiedTime"])}
            self._store.put(caller, kind.resource, name, job)


def _suffix(host: Host) -> str:
    return "" if host.number == 1 else f".{host.name}"


def _secondary(job: Document, status: str, now: float) -> Document:
    """SecondaryStatus and its transitions after a training job enters `status`."""
    transitions = [dict(item) for item in job.get("SecondaryStatusTransitions", [])]
    if transitions:
        transitions[-1]["EndTime"] = now
    transitions.append({"Status": status, "StartTime": now, "StatusMessage": status})
    return {"SecondaryStatus": status, "SecondaryStatusTransitions": transitions}


def _operations(jobs: Jobs, kind: Kind) -> dict[str, Operation]:
    """The four calls of a kind of job."""
    member = f"{kind.name}JobName"

    def create(caller: Caller, request: Document) -> Document:
        return {f"{kind.name}JobArn": jobs.create(caller, kind.name, request)}

    def describe(caller: Caller, request: Document) -> Document:
        return jobs.describe(caller, kind.name, request[member])

    def stop(caller: Caller, request: Document) -> Document:
        jobs.stop(caller, kind.name, request[member])
        return {}

    def list_jobs(caller: Caller, request: Document) -> Document:
        return jobs.list_jobs(caller, kind.name, request)

    return {
        f"Create{kind.name}Job": create,
        f"Describe{kind.name}Job": describe,
        f"Stop{kind.name}Job": stop,
        f"List{kind.name}Jobs": list_jobs,
    }
