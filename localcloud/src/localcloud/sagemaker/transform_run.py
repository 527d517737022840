"""One transform job: instances of its model started, its objects sent through them, and all ended.

Of a job that fails the objects that were transformed whole are delivered; of one that is stopped
none is, as on AWS.
"""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from localcloud.clock import Timeline
from localcloud.containers.errors import JobFolderFailed, StartFailed
from localcloud.containers.inputs import find_objects, split_uri
from localcloud.containers.outcome import REASON_LIMIT
from localcloud.containers.outputs import deliver_files
from localcloud.containers.runtime import Runtime
from localcloud.containers.serving import ModelContainer, ModelInstance
from localcloud.containers.transform.chain import Chain, Link, Stopped
from localcloud.containers.transform.data_log import DataLog
from localcloud.containers.transform.settings import Settings
from localcloud.containers.transform.work import Failure, Item, Worker
from localcloud.logs import LogStream
from localcloud.protocol import Document
from localcloud.s3.objects import ObjectStore
from localcloud.sagemaker.job_kinds import Kind

WATCH_SECONDS = 0.25
START_SECONDS = 60.0
"""How long a container may take to answer its first ping; AWS gives more."""
_GRACE_SECONDS = 2.0


@dataclass(frozen=True)
class TransformInstance:
    """One instance of a job: its name, a log for each container, and one for the data."""

    id: str
    logs: tuple[Path, ...]
    data_log: Path
    streams: tuple[LogStream, ...]


@dataclass
class TransformRun:
    """A transform job that has not ended: `stopping` asks it to end, `ended` is set when it has.

    `containers` are the model's, with the job's own environment; `environment` is where AWS is.
    `timeline` gives the job's times. `keep` says whether the folder is of use if the job fails.
    """

    kind: Kind
    request: Document
    folder: Path
    containers: Sequence[ModelContainer]
    instances: tuple[TransformInstance, ...]
    role: str
    region: str
    environment: Mapping[str, str]
    update: Callable[[Document], None]
    timeline: Timeline
    stopping: threading.Event = field(default_factory=threading.Event)
    ended: threading.Event = field(default_factory=threading.Event)
    keep: bool = False
    _giving_up: threading.Event = field(default_factory=threading.Event, init=False)

    def work(self, objects: ObjectStore, runtime: Runtime) -> tuple[str, Document]:
        """Run the job; returns its status and what else changes in its description."""
        try:
            return self._work(objects, runtime)
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)

    def _work(self, objects: ObjectStore, runtime: Runtime) -> tuple[str, Document]:
        self._make_folders()
        self._check_output(objects)
        items = self._items(objects)
        # One object goes through one instance, so that more instances than objects would idle.
        used = self.instances[: max(1, len(items))]
        models = [self._model(each, runtime, objects) for each in used]
        marking = threading.Event()
        marker = threading.Thread(target=self._mark, args=[marking], daemon=True)
        marker.start()
        try:
            failures = self._transform(models, items)
        except Stopped:
            return "Stopped", {}
        except StartFailed as error:
            return "Failed", {"FailureReason": f"AlgorithmError: {error}"[:REASON_LIMIT]}
        finally:
            with ThreadPoolExecutor(len(models)) as pool:
                list(pool.map(lambda model: model.stop(_GRACE_SECONDS), models))
            marking.set()
            marker.join()
        self._deliver(items, objects)
        if failures:
            return "Failed", {"FailureReason": self._reason(failures)}
        return "Completed", {}

    def _make_folders(self) -> None:
        try:
            shutil.rmtree(self.folder, ignore_errors=True)
            for name in ("inputs", "outputs"):
                (self.folder / name).mkdir(parents=True)
            for instance in self.instances:
                instance.data_log.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise JobFolderFailed(
                f"The job's folder {self.folder} cannot be made: {error.strerror}: {error.filename}"
            ) from error

    def _check_output(self, objects: ObjectStore) -> None:
        """Raise NoSuchBucket for an output that has none, before the work and not after it."""
        bucket, prefix = split_uri(self.request["TransformOutput"]["S3OutputPath"])
        next(objects.list(bucket, prefix), None)

    def _items(self, objects: ObjectStore) -> list[Item]:
        """The objects, kept as they are now: one that is replaced meanwhile stays what it was."""
        source = self.request["TransformInput"]["DataSource"]["S3DataSource"]
        _, prefix = split_uri(self.request["TransformOutput"]["S3OutputPath"])
        items = []
        found = find_objects(source, objects, role=self.role, region=self.region)
        for number, (bucket, stored, name) in enumerate(found):
            path = self.folder / "inputs" / f"{number:06}"
            try:
                path.hardlink_to(stored.path)
            except FileNotFoundError:  # it was replaced after it was listed
                path.hardlink_to(objects.get(bucket, stored.key).path)
            output = self.folder / "outputs" / path.name
            key = f"{prefix.rstrip('/')}/{name}.out".lstrip("/")
            items.append(Item(bucket, stored.key, path, output, key))
        return items

    def _model(
        self, instance: TransformInstance, runtime: Runtime, objects: ObjectStore
    ) -> ModelInstance:
        return ModelInstance(
            runtime,
            objects,
            self.containers,
            self.folder / instance.id[-8:],
            name=f"{self.request['TransformJobName']}/{instance.id}",
            region=self.region,
            cpus=max(1, (os.cpu_count() or 1) // len(self.instances)),
            logs=instance.logs,
            environment=self.environment,
        )

    def _transform(self, models: Sequence[ModelInstance], items: Sequence[Item]) -> list[Failure]:
        """Start the instances and send all objects through them; returns what failed."""
        waiting = iter(items)
        lock = threading.Lock()

        def take() -> Item | None:
            with lock:
                return next(waiting, None)

        begun = threading.Event()
        with ThreadPoolExecutor(len(models), thread_name_prefix="instance") as pool:
            running = [
                pool.submit(self._share, model, instance, take, begun)
                for model, instance in zip(models, self.instances, strict=False)
            ]
            error = self._watch(running, models)
        if self._giving_up.is_set() and self.stopping.is_set():
            raise Stopped
        if error is not None:
            raise error
        return [failure for each in running for failure in each.result()]

    def _watch(
        self, running: Sequence[Future[list[Failure]]], models: Sequence[ModelInstance]
    ) -> BaseException | None:
        """Wait until all instances are through; a stop, or one that breaks, ends all.

        Returns:
            What the first that broke raised.
        """
        error = None
        left = set(running)
        while left:
            done, left = wait(left, WATCH_SECONDS, FIRST_EXCEPTION)
            error = error or next(filter(None, (each.exception() for each in done)), None)
            if left and (error is not None or self.stopping.is_set()):
                self._giving_up.set()  # so that what is cut off now does not come back
                for model in models:
                    model.stop(0.0)
        return error

    def _share(
        self,
        model: ModelInstance,
        instance: TransformInstance,
        take: Callable[[], Item | None],
        begun: threading.Event,
    ) -> list[Failure]:
        """Start one instance and send objects through it while there are any."""
        model.start(START_SECONDS, self._giving_up)
        if not begun.is_set():
            begun.set()
            self.update({"TransformStartTime": self.timeline.now()})
        log = DataLog(instance.data_log)
        links = [
            Link(container.hostname, path)
            for container, path in zip(self.containers, model.sockets, strict=True)
        ]
        settings = Settings.of(self.request, self._offered(links))
        log.write(str(settings))

        def connect() -> Chain:
            return Chain(
                links, content_type=settings.content_type, accept=settings.accept,
                timeout=settings.timeout, stopping=self._giving_up,
            )  # fmt: skip

        worker = Worker(connect, settings, log, self._giving_up)
        failures = []
        try:
            while (item := take()) is not None:
                failure = worker.transform(item)
                if self._giving_up.is_set():
                    raise Stopped
                if failure is not None:
                    failures.append(failure)
                    if failure.for_good:
                        break
        finally:
            worker.close()
        return failures

    def _offered(self, links: Sequence[Link]) -> bytes | None:
        """The execution parameters of the first container, if it tells any."""
        asking = Chain(
            links[:1], content_type=None, accept=None, timeout=START_SECONDS,
            stopping=self._giving_up,
        )  # fmt: skip
        try:
            return asking.execution_parameters()
        finally:
            asking.close()

    def _mark(self, ending: threading.Event) -> None:
        streams = [stream for instance in self.instances for stream in instance.streams]
        over = False
        while not over:
            over = ending.wait(WATCH_SECONDS)
            for stream in streams:
                with suppress(OSError):
                    stream.mark()

    def _deliver(self, items: Sequence[Item], objects: ObjectStore) -> None:
        bucket, _ = split_uri(self.request["TransformOutput"]["S3OutputPath"])
        files = [(item.output_key, item.output) for item in items if item.output.exists()]
        deliver_files(files, self.folder, bucket, objects)

    def _reason(self, failures: Sequence[Failure]) -> str:
        first = failures[0]
        more = f" {len(failures) - 1} more object(s) failed." if len(failures) > 1 else ""
        ending = f"{more} See the log group {self.kind.log_group} for more information."
        start = f"{first.kind}: {first.text}"
        room = REASON_LIMIT - len(ending)
        return (start if len(start) <= room else f"{start[: room - 3]}...") + ending
