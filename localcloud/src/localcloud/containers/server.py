"""The client of one fork server: starts it, sends it jobs, hears of their ends."""

from __future__ import annotations

import contextlib
import itertools
import json
import logging
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from localcloud.containers.environments import ImageEnvironment
from localcloud.containers.errors import ServerFailed

_log = logging.getLogger(__name__)
_PROGRAM = Path(__file__).with_name("warm.py")
KILLED = -9
"""The exit code of a job whose server died."""


@dataclass
class Run:
    """One job at the server: its process, and its exit code once `ended` is set."""

    number: int
    on_end: Callable[[], None]
    pid: int | None = None
    exit_code: int | None = None
    lost: bool = False
    begun: threading.Event = field(default_factory=threading.Event)
    ended: threading.Event = field(default_factory=threading.Event)


class WarmServer:
    """A running fork server. Safe for threads; `alive` turns false for good when it dies.

    Once it is ready, `mounts` tells whether its jobs have a file system view of their own, and
    `refusal` why not.
    """

    def __init__(self, environment: ImageEnvironment, log: Path, *, fork: bool) -> None:
        self._numbers = itertools.count(1)
        self._runs: dict[int, Run] = {}
        self._lock = threading.Lock()
        self._ready = threading.Event()
        self.alive = True
        self.mounts = False
        self.refusal = ""
        log.parent.mkdir(parents=True, exist_ok=True)
        self._log = log
        self._socket, theirs = socket.socketpair()
        with theirs, log.open("ab") as output:
            self._process = subprocess.Popen(
                [environment.python, _PROGRAM, "server", str(theirs.fileno())],
                pass_fds=[theirs.fileno()], start_new_session=True, cwd="/",
                stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                env=_server_environment(environment),
            )  # fmt: skip
        self._send({"fork": fork, "preload": environment.image.preload})
        self._reader = threading.Thread(target=self._read, name="warm-server", daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        """The server's own process."""
        return self._process.pid

    def wait_ready(self) -> None:
        """Return when the libraries are loaded; raises ServerFailed if the server died of it."""
        self._ready.wait()
        if not self.alive:
            said = self._log.read_text(errors="replace").strip()[-600:]
            raise ServerFailed(f"the server {self._process.args!r} died at its start: {said}")

    def begin(self, job: dict[str, Any], on_end: Callable[[], None]) -> Run:
        """Fork the job's process, which waits at its gate; raises ServerFailed.

        `on_end` is called once when it has ended, before `Run.ended` is set.
        """
        run = Run(next(self._numbers), on_end)
        with self._lock:
            if not self.alive:
                raise ServerFailed("the server has died")
            self._runs[run.number] = run
        self._send({"do": "start", "id": run.number, **job})
        run.begun.wait()
        if run.pid is None:
            raise ServerFailed("the server died before it had started the job")
        return run

    def go(self, run: Run) -> None:
        """Let the job's own code begin."""
        self._send({"do": "go", "id": run.number})

    def signal(self, run: Run, number: int) -> None:
        """Send a signal to all processes of a job that has not ended."""
        self._send({"do": "signal", "id": run.number, "signal": number})

    def close(self) -> None:
        """End the server and all its jobs, and wait for that."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join(5)
        self._socket.close()

    def _send(self, message: dict[str, Any]) -> None:
        text = json.dumps(message).encode() + b"\n"
        with self._lock, contextlib.suppress(OSError):  # its death is told by the reader
            self._socket.sendall(text)

    def _read(self) -> None:
        with contextlib.suppress(OSError), self._socket.makefile("rb") as lines:
            for line in lines:
                self._hear(json.loads(line))
        with self._lock:
            self.alive = False
            runs = list(self._runs.values())
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(10)
        self._ready.set()
        for run in runs:
            run.lost = True
            self._end(run, KILLED)

    def _hear(self, message: dict[str, Any]) -> None:
        if message.get("ready"):
            self.mounts, self.refusal = message["mounts"], message["refusal"]
            if not message["mounts"] and sys.platform == "linux":
                _log.warning(
                    "This machine lets no job have its own /opt/ml (%s): the path is replaced in "
                    "arguments and environment, but not in a script's own text", message["refusal"],
                )  # fmt: skip
            self._ready.set()
            return
        run = self._runs[message["id"]]
        if "pid" in message:
            run.pid = message["pid"]
            run.begun.set()
        else:
            self._end(run, message["exit"])

    def _end(self, run: Run, code: int) -> None:
        with self._lock:
            self._runs.pop(run.number, None)
        run.exit_code = code
        try:
            run.on_end()
        except Exception:  # noqa: BLE001 - whoever waits must hear of the end
            _log.exception("after the end of process %s", run.pid)
        run.begun.set()
        run.ended.set()


def job_environment(environment: ImageEnvironment, cpus: int) -> dict[str, str]:
    """What a process of the image finds in its environment, before the job's own settings."""
    return {
        "PATH": f"{environment.python.parent}:/usr/local/bin:/usr/bin:/bin",
        "HOME": str(environment.home),
        "LANG": "C.UTF-8",
        "PYTHONUNBUFFERED": "1",
        "OMP_NUM_THREADS": str(cpus),
        "LOKY_MAX_CPU_COUNT": str(cpus),
    }


def _server_environment(environment: ImageEnvironment) -> dict[str, str]:
    """The server's own: no library may start a thread when it is imported."""
    own = job_environment(environment, 1)
    del own["OMP_NUM_THREADS"], own["LOKY_MAX_CPU_COUNT"]
    return own | {
        "OPENBLAS_NUM_THREADS": "1",
        # Threads that wait by spinning take the cores from the jobs beside them.
        "OPENBLAS_THREAD_TIMEOUT": "16",
        "OMP_WAIT_POLICY": "passive",
        "JE_ARROW_MALLOC_CONF": "background_thread:false",
    }
