"""What runs, in files: so that the next start can end what an earlier one left behind."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

MARK = "LOCALCLOUD_CONTAINER"
"""The variable by which a job's processes are known, whatever session they moved to."""
_SERVER = bytes(Path(__file__).with_name("warm.py"))


@dataclass(frozen=True)
class ProcessRecord:
    """A job's first process. Boot and start time tell it from a later one with its number."""

    pid: int
    start: int
    boot: str
    name: str
    mark: str


def record_process(state: Path, pid: int, name: str, mark: str) -> ProcessRecord:
    """Write down a process before it runs code that is not ours."""
    record = ProcessRecord(pid, _start_time(pid), _boot(), name, mark)
    path = _path(state, record)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(asdict(record)))
    partial.replace(path)
    return record


def forget_process(state: Path, record: ProcessRecord) -> None:
    """Take the record of a process away that has ended."""
    _path(state, record).unlink(missing_ok=True)


def end_leftovers(state: Path) -> list[str]:
    """Kill what is left of jobs that an earlier run recorded; returns the names of those found."""
    ended = []
    for path in sorted((state / "processes").glob("*.json")):
        record = ProcessRecord(**json.loads(path.read_text()))
        if end_process(record):
            ended.append(record.name)
        path.unlink(missing_ok=True)
    return ended


def end_process(record: ProcessRecord) -> bool:
    """Kill a job's processes and no other's; tells whether there were any.

    They are the recorded process itself, if number, start time and boot agree; those that carry
    the job's mark in their environment; and, as a fork that ran no other program shows none, forks
    of the server in the job's session.
    """
    if record.boot != _boot():
        return False
    found = False
    while pids := set(_members(record)):
        found = True
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        _wait_until_gone(pids)
    return found


def _members(record: ProcessRecord) -> Iterator[int]:
    if record.start and _start_time(record.pid) == record.start:
        yield record.pid
    if sys.platform != "linux":
        return
    wanted = f"{MARK}={record.mark}".encode()
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and int(folder.name) != record.pid:
            with contextlib.suppress(OSError):
                forked = _SERVER in (folder / "cmdline").read_bytes()
                if wanted in (folder / "environ").read_bytes().split(b"\0") or (
                    forked and os.getsid(int(folder.name)) == record.pid
                ):
                    yield int(folder.name)


def _wait_until_gone(pids: set[int]) -> None:
    for pid in pids:
        with contextlib.suppress(OSError):
            descriptor = os.pidfd_open(pid)
            try:
                select.select([descriptor], [], [], 1.0)
            finally:
                os.close(descriptor)


def _start_time(pid: int) -> int:
    """In clock ticks since the boot; 0 for no such process, for a dead one, and where unknown."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0
    return 0 if fields[0] in "ZX" else int(fields[19])


def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def _path(state: Path, record: ProcessRecord) -> Path:
    return state / "processes" / f"{record.pid}.json"
