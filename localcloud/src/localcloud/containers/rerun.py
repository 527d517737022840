"""Run a job that failed once more, alone and in the foreground, under a debugger if wanted."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from localcloud.containers import processing, training
from localcloud.containers.environments import Images
from localcloud.containers.errors import NothingKept
from localcloud.containers.hosts import Host, Instance, hosts, hosts_file
from localcloud.containers.kept import KeptJob, KeptSource, read_job
from localcloud.containers.runtime import describe_job

_PROGRAM = Path(__file__).with_name("foreground.py")
_PREPARE = {"Processing": processing.prepare, "Training": training.prepare}
_TERMINAL = ("TERM", "COLUMNS", "LINES")
_KINDS = ("processing-job", "training-job")


def advice(name: str, host: Host) -> str:
    """The line that ends the failure reason of a job that can be run again."""
    which = "" if host.number == 1 else f" --host {host.name}"
    return f"\nRun it again under a debugger: localcloud debug {name}{which}"


def find_job(jobs: Path, name: str) -> Path:
    """The folder that a failed job left, below the folder of all jobs.

    Raises:
        NothingKept: there is none; the text names the jobs that could be run again.
    """
    folders = [path.parent for kind in _KINDS for path in (jobs / kind).glob("*/container.json")]
    for folder in folders:
        if folder.name == name:
            return folder
    known = ", ".join(sorted(folder.name for folder in folders)) or "none"
    raise NothingKept(f"no job {name!r} has left its folder. Jobs that can be run again: {known}")


def rerun(folder: Path, debugger: bool, host: str = "algo-1") -> int:  # noqa: FBT001
    """Run the job of a folder again and return its exit code (128 and the signal's number).

    It gets the inputs that it had, a /opt/ml of its own below the folder's `rerun`, the same
    command, environment and working directory, and this process's terminal. Nothing is delivered.
    Of a job with several hosts `host` is in the foreground; the others' output goes to files there.
    A Python program that fails leads into pdb, where it failed, if `debugger` is set.

    Raises:
        NothingKept: the folder is not that of a job that was started.
        ContainerError: its requirements could not be installed.
    """
    job = read_job(folder)
    again = folder / "rerun"
    shutil.rmtree(again, ignore_errors=True)
    again.mkdir()
    described = dict(_describe(job, folder, again))
    with contextlib.ExitStack() as stack:
        for name, file in described.items():
            if name != host:
                stack.enter_context(_in_background(file, again / f"{name}.log"))
        if host not in described:
            raise NothingKept(f"the job in {folder} has no host {host!r}: {', '.join(described)}")
        return _in_foreground(described[host], debugger=debugger)


def _describe(job: KeptJob, folder: Path, again: Path) -> Iterator[tuple[str, Path]]:
    """Lay out each host anew; gives its name and the file that says how to start it."""
    images = Images()
    addresses = again / "hosts"
    machine = Path("/etc/hosts")
    addresses.write_text(hosts_file(machine.read_text() if machine.exists() else ""))
    for host in hosts(job.count):
        instance = Instance(host, again / host.name, again / f"{host.name}.log")
        instance.root.mkdir()
        spec = _PREPARE[job.kind](
            job.request, instance, KeptSource(folder, job),
            cpus=job.cpus, region=job.region, arn=job.arn, environment=job.environment,
        )  # fmt: skip
        environment = images.environment(spec.image)
        told: dict[str, Any] = describe_job(spec, environment, images.cache, addresses)
        file = again / f"{host.name}.json"
        file.write_text(json.dumps(told | {"python": str(environment.python)}))
        yield host.name, file


def _in_foreground(file: Path, *, debugger: bool) -> int:
    before = signal.getsignal(signal.SIGINT)
    command, environment = _command(file, "debug" if debugger else "run")
    with subprocess.Popen(command, env=environment) as process:
        # Ctrl-C is for the job, which has this terminal; pdb takes it as "stop here".
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            code = process.wait()
        finally:
            signal.signal(signal.SIGINT, before)
    return code if code >= 0 else 128 - code


@contextlib.contextmanager
def _in_background(file: Path, log: Path) -> Iterator[None]:
    command, environment = _command(file, "run")
    with (
        log.open("ab") as output,
        subprocess.Popen(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
            start_new_session=True,
        ) as process,
    ):  # fmt: skip
        try:
            yield
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def _command(file: Path, role: str) -> tuple[Sequence[str | Path], dict[str, str]]:
    """What starts a host's process, and its environment."""
    told = json.loads(file.read_text())
    terminal = {name: os.environ[name] for name in _TERMINAL if name in os.environ}
    return [told["python"], _PROGRAM, file, role], terminal | told["environment"]
