"""The containers of a model: a process each, kept alive, behind Unix sockets.

A container speaks HTTP/1.1 with keep-alive on its socket: GET /ping and POST /invocations, one
request at a time. While its process is started again its socket refuses, or is not there.
"""

from __future__ import annotations

import contextlib
import shutil
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from localcloud.containers.errors import ImageNotSupported, StartFailed
from localcloud.containers.inputs import Source
from localcloud.containers.model_layout import (
    ModelContainer,
    Place,
    lay_out,
    model_server_timeout,
)
from localcloud.containers.runtime import Runtime, stop_all
from localcloud.containers.served import Served
from localcloud.containers.sockets import make_sockets_folder, sockets_folder

__all__ = ["ModelContainer", "ModelInstance", "StartFailed"]


class ModelInstance:
    """One instance of a model, started once: a process per container.

    What dies, or hangs, is started again behind the same socket: at once, then with growing pauses.
    `name` is for messages and records; `logs` has a file for each container; `environment` is what
    every container is told of where AWS is.
    """

    def __init__(
        self,
        runtime: Runtime,
        objects: Source,
        containers: Sequence[ModelContainer],
        folder: Path,
        *,
        name: str,
        region: str,
        cpus: int,
        logs: Sequence[Path],
        environment: Mapping[str, str],
    ) -> None:
        self._runtime = runtime
        self._objects = objects
        self._containers = containers
        self._folder = folder.absolute()
        self.name = name
        self._region = region
        self._cpus = cpus
        self._environment = environment
        self._sockets = sockets_folder(self._folder)
        self._places = [
            Place(
                root=self._folder / str(number) / "ml",
                log=log,
                socket=self._sockets / f"{number:02}.sock",
                pulse=self._folder / str(number) / "pulse",
            )
            for number, log in enumerate(logs)
        ]
        self._served: list[Served] = []
        self._ending = threading.Event()

    @property
    def sockets(self) -> tuple[Path, ...]:
        """One per container, in their order; known before the start, the same after a restart."""
        return tuple(place.socket for place in self._places)

    @property
    def restarts(self) -> int:
        """How often a container has been started again."""
        return sum(served.restarts for served in self._served)

    def start(self, timeout: float, stopping: threading.Event | None = None) -> None:
        """Lay out and start all containers; returns when every one answers GET /ping with 200.

        `timeout` is the seconds that each has from its process's start. If it raises, nothing of
        the instance runs any more and nothing is left but the logs.

        Raises:
            StartFailed: an archive or program is missing, a process died, or did not answer in
                time, or `stopping` was set. The text names the container and ends with its own
                last lines.
        """
        self._clear()
        try:
            make_sockets_folder(self._folder)
            self._served = [
                self._lay_out(container, place)
                for container, place in zip(self._containers, self._places, strict=True)
            ]
            self._start_all(timeout, stopping or threading.Event())
        except BaseException:
            self.stop(0.0)
            raise

    def stop(self, grace: float = 10.0) -> None:
        """End all containers: SIGTERM, and SIGKILL after `grace` seconds; their files are deleted.

        A container finishes the request that it is at. Safe at any time, also while `start` runs in
        another thread, which then raises.
        """
        self._ending.set()
        running = [process for served in self._served if (process := served.end()) is not None]
        stop_all(running, grace)
        for served in self._served:
            served.join()
        self._clear()

    def _start_all(self, timeout: float, stopping: threading.Event) -> None:
        """At the same time; the first that fails ends the others' starts."""
        if self._ending.is_set():
            raise StartFailed(f"{self.name} was stopped while it started")
        with ThreadPoolExecutor(len(self._served), "start-container") as threads:
            starts = [threads.submit(each.start, timeout, stopping) for each in self._served]
            try:
                for start in as_completed(starts):
                    start.result()
            except BaseException:
                for each in self._served:
                    each.end()
                raise

    def _lay_out(self, container: ModelContainer, place: Place) -> Served:
        who = f"{container.hostname} of {self.name}"
        place.root.mkdir(parents=True)
        try:
            spec = lay_out(
                container, place, self._objects, name=f"{self.name}/{container.hostname}",
                region=self._region, cpus=self._cpus, environment=self._environment,
            )  # fmt: skip
            return Served(self._runtime, spec, place, who, model_server_timeout(spec))
        except (StartFailed, ImageNotSupported) as exc:
            raise StartFailed(f"{who} could not be started: {exc}") from exc

    def _clear(self) -> None:
        """Delete what a start lays out, also that of an earlier run under the same folder."""
        for place in self._places:
            shutil.rmtree(place.pulse.parent, ignore_errors=True)
            for path in (place.socket, place.socket.with_name(f"{place.socket.name}~")):
                path.unlink(missing_ok=True)
        if self._sockets != self._folder:
            shutil.rmtree(self._sockets, ignore_errors=True)
        with contextlib.suppress(OSError):
            self._folder.rmdir()
