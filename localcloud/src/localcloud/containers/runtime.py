"""Containers without Docker: a process with an image's packages and its own /opt/ml."""

from __future__ import annotations

import logging
import signal
import socket
import sys
import threading
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from localcloud.containers.environments import ImageEnvironment, Images
from localcloud.containers.errors import ContainerError, JobNotSupported, ServerFailed
from localcloud.containers.hosts import hosts_file
from localcloud.containers.layers import install
from localcloud.containers.records import (
    MARK,
    ProcessRecord,
    end_process,
    forget_process,
    record_process,
)
from localcloud.containers.server import KILLED, Run, WarmServer, job_environment

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ContainerSpec:
    """What to run: paths in it are the container's, but for `root` and `log`.

    `root` is seen as /opt/ml; `log` gets stdout and stderr line by line; `environment` is all that
    the process has beside PATH, HOME and the number of threads; files in `read_only` (paths under
    /opt/ml) cannot be written; `packages` is a source folder whose requirements are installed
    before.
    """

    name: str
    image: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    root: Path
    log: Path
    cpus: int
    directory: str = "/opt/ml"
    read_only: tuple[str, ...] = ()
    packages: Path | None = None


class Container:
    """A started job."""

    def __init__(self, server: WarmServer, run: Run, pid: int) -> None:
        self._server = server
        self._run = run
        self.pid = pid

    def wait(self, timeout: float | None = None) -> int | None:
        """The exit code, negative for a signal; None if it still runs after `timeout` seconds."""
        return self._run.exit_code if self._run.ended.wait(timeout) else None

    @property
    def lost(self) -> bool:
        """Whether it ended because the server died that had started it."""
        return self._run.lost

    def stop(self, grace: float = 10.0) -> None:
        """End all its processes: SIGTERM, and SIGKILL after `grace` seconds. Returns when done."""
        stop_all([self], grace)

    def signal(self, number: int) -> None:
        """Send a signal to all its processes, if it has not ended."""
        self._server.signal(self._run, number)


def stop_all(containers: Sequence[Container], grace: float = 10.0) -> None:
    """Stop containers at the same time; returns when all have ended."""
    for container in containers:
        container.signal(signal.SIGTERM)
    deadline = time.monotonic() + grace
    for container in containers:
        if container.wait(max(0.0, deadline - time.monotonic())) is None:
            container.signal(signal.SIGKILL)
    for container in containers:
        container.wait()


class Runtime:
    """Starts containers, from many threads at once. One fork server per image, when needed.

    Nothing that it started survives it, not even its own ``kill -9``.
    """

    def __init__(
        self, state: Path, images: Images, *, fork: bool = sys.platform == "linux"
    ) -> None:
        self._state = state
        self._images = images
        self._fork = fork
        self._servers: dict[str, WarmServer] = {}
        self._starting: dict[str, threading.Lock] = {}
        self._lock = threading.Lock()
        self._closed = False
        self._hosts = state.absolute() / "hosts"
        state.mkdir(parents=True, exist_ok=True)
        machine = Path("/etc/hosts")
        self._hosts.write_text(hosts_file(machine.read_text() if machine.exists() else ""))

    def find_hosts(self, image: str, names: Sequence[str]) -> None:
        """See that a job's processes will find each other by name.

        Raises:
            JobNotSupported: where a job cannot have its own /etc/hosts, and the machine's does not
                have the names.
        """
        server = self._server(self._images.environment(image))
        if server.mounts:
            return
        try:
            for name in names:
                socket.gethostbyname(name)
        except OSError as exc:
            raise JobNotSupported(
                f"InstanceCount is {len(names)}, and this machine lets no job have its own "
                f"/etc/hosts ({server.refusal}), so that {name} is not found. Run the job with one "
                f"instance, or add to /etc/hosts: 127.0.0.1 {' '.join(names)}"
            ) from exc

    def prestart(self, image: str) -> threading.Thread:
        """Make an image ready in a thread of its own; what goes wrong is told at the next start."""

        def warm() -> None:
            try:
                self._server(self._images.environment(image)).wait_ready()
            except Exception as exc:  # noqa: BLE001 - the job that needs it will tell
                _log.info("warming %s: %s", image, exc)

        thread = threading.Thread(target=warm, name="prestart", daemon=True)
        thread.start()
        return thread

    def start(self, spec: ContainerSpec, on_started: Callable[[int], None]) -> Container:
        """Start a container; `on_started` gets its process number before its own code runs.

        Raises:
            ImageNotSupported: localcloud has no such image.
            RequirementsFailed: what its sources ask for could not be installed.
            ContainerError: it could not be started.
        """
        environment = self._images.environment(spec.image)
        mark = uuid.uuid4().hex
        spec.log.parent.mkdir(parents=True, exist_ok=True)
        job = describe_job(spec, environment, self._images.cache, self._hosts)
        job["mark"] = job["environment"][MARK] = mark
        records: list[ProcessRecord] = []

        def ended() -> None:
            for record in records:
                if run.exit_code == KILLED:  # perhaps its server died, and left its children
                    end_process(record)
                forget_process(self._state, record)

        server = self._server(environment)
        try:
            run = server.begin(job, ended)
        except ServerFailed:  # it died since; no code of the job has run
            server = self._server(environment)
            run = server.begin(job, ended)
        if run.pid is None:
            raise ServerFailed(f"{spec.name} was not started")
        try:
            records.append(record_process(self._state, run.pid, spec.name, mark))
            on_started(run.pid)
        except BaseException:
            server.signal(run, signal.SIGKILL)
            raise
        server.go(run)
        return Container(server, run, run.pid)

    def close(self) -> None:
        """End all containers and servers."""
        with self._lock:
            self._closed = True
            servers = list(self._servers.values())
        for server in servers:
            server.close()

    def _server(self, environment: ImageEnvironment) -> WarmServer:
        name = environment.image.name
        with self._lock:
            starting = self._starting.setdefault(name, threading.Lock())
        with starting:
            server = self._servers.get(name)
            if server is None or not server.alive:
                log = self._state / "processes" / f"{name}.log"
                with self._lock:
                    if self._closed:
                        raise ContainerError(f"{name} cannot start: localcloud is stopping")
                    server = WarmServer(environment, log, fork=self._fork)
                    self._servers[name] = server
        server.wait_ready()
        return server


def describe_job(
    spec: ContainerSpec, environment: ImageEnvironment, cache: Path, hosts: Path
) -> dict[str, Any]:
    """What the image's own Python is told of a job: plain values, paths of this machine.

    What the job installs with pip goes into `packages`, a folder of its own beside its root.

    Raises:
        RequirementsFailed: what its sources ask for could not be installed.
    """
    given = {**job_environment(environment, spec.cpus), **spec.environment}
    if spec.packages is not None:
        layer = install(spec.packages, environment, given, cache, spec.log)
        given["PYTHONPATH"] = (
            f"{given['PYTHONPATH']}:{layer}" if "PYTHONPATH" in given else str(layer)
        )
        given["PATH"] = f"{layer / 'bin'}:{given['PATH']}"
    return {
        "command": list(spec.command),
        "environment": given,
        "directory": spec.directory,
        "root": str(spec.root.absolute()),
        "log": str(spec.log.absolute()),
        "cpus": spec.cpus,
        "read_only": list(spec.read_only),
        "shared": [str(path) for path in environment.shared],
        "packages": f"{spec.root.absolute()}.packages",
        "hosts": str(hosts),
    }
