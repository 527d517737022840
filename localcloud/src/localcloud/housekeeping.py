"""What runs, for people, and what can be deleted without anybody missing it."""

from __future__ import annotations

import contextlib
import fcntl
import math
import platform
import shutil
import stat
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

from localcloud.functions.records import KIND as FUNCTION
from localcloud.http_api.records import KIND as HTTP_API
from localcloud.logs import KIND as LOG_STREAM
from localcloud.protocol import Caller, Document
from localcloud.s3.objects import ObjectStore
from localcloud.sagemaker.execution_records import KIND as EXECUTION
from localcloud.sagemaker.execution_records import STEP
from localcloud.sagemaker.hosting.endpoint_records import KIND as ENDPOINT
from localcloud.sagemaker.hosting.endpoint_records import plan_of
from localcloud.sagemaker.hosting.fleet import LOG_GROUPS
from localcloud.sagemaker.job_kinds import KINDS, Kind
from localcloud.store import Store

_ENDED = ("Completed", "Failed", "Stopped", "Succeeded")
_ORPHAN_SECONDS = 3600.0  # a younger file may be an object that is being written


@dataclass
class Part:
    """Files of one sort: how many, and the bytes that are free without them."""

    what: str
    count: int = 0
    bytes: int = 0

    def take(self, path: Path, *, dry_run: bool) -> None:
        """Count a file or a folder, and delete it."""
        self.count += 1
        self.bytes += _freed(path)
        if dry_run:
            return
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


class Housekeeping:
    """Looks at the whole state folder of a localcloud that is up."""

    def __init__(self, state: Path, store: Store, objects: ObjectStore) -> None:
        self._state = state
        self._store = store
        self._objects = objects

    def running(self) -> Document:
        """Executions with their steps, and jobs, with their seconds; endpoints; functions."""
        now = self._store.clock.now()
        executions = [
            {
                "pipeline": name.partition("/")[0],
                "id": name.rpartition("/")[2],
                "seconds": max(0.0, now - execution["CreationTime"]),
                "steps": [
                    step["StepName"]
                    for step in self._store.documents(caller, STEP, f"{name}/")
                    if step["StepStatus"] not in _ENDED
                ],
            }
            for caller, name, execution in self._store.everywhere(EXECUTION)
            if execution["PipelineExecutionStatus"] not in _ENDED
        ]
        jobs = [
            {"kind": kind.resource, "name": name, "seconds": max(0.0, now - job["CreationTime"])}
            for kind, _, name, job in self._jobs()
            if job[kind.status] not in _ENDED
        ]
        endpoints = [
            {
                "name": name,
                "status": endpoint["EndpointStatus"],
                "config": endpoint["EndpointConfigName"],
                "instances": sum(each.count for each in plan_of(endpoint).variants),
            }
            for _, name, endpoint in self._store.everywhere(ENDPOINT)
        ]
        functions = [
            {"name": name, "state": function["configuration"]["State"]}
            for _, name, function in self._store.everywhere(FUNCTION)
        ]
        return {
            "executions": executions,
            "jobs": jobs,
            "endpoints": endpoints,
            "functions": functions,
        }

    def prune(self, older_than: float, *, dry_run: bool) -> list[Document]:
        """Delete what is older than so many seconds and nobody needs; no object ever.

        That is: folders of jobs that failed, were stopped or are not known; logs of jobs,
        endpoints, functions and APIs that are not known; files of S3 that are no object. With
        `dry_run` it is only counted.
        """
        now = self._store.clock.now()
        before = now - older_than
        folders = Part("folders of ended jobs")
        for path in self._job_folders(before):
            folders.take(path, dry_run=dry_run)
        logs = Part("logs of what is gone")
        for path in self._logs(before):
            logs.take(path, dry_run=dry_run)
        orphans = Part("files that are no object")
        for path in self._objects.orphans(min(before, now - _ORPHAN_SECONDS)):
            orphans.take(path, dry_run=dry_run)
        return [asdict(part) for part in (folders, logs, orphans)]

    def _jobs(self) -> Iterator[tuple[Kind, Caller, str, Document]]:
        for kind in KINDS.values():
            for caller, name, job in self._store.everywhere(kind.resource):
                yield kind, caller, name, job

    def _job_folders(self, before: float) -> Iterator[Path]:
        jobs = self._state / "jobs"
        paths = [path for kind in KINDS.values() for path in (jobs / kind.resource).glob("*")]
        # Asked after the folders were listed: a job is in the store before it has a folder.
        changes: dict[Path, float] = {}
        for kind, _, name, job in self._jobs():
            ended = job["LastModifiedTime"] if job[kind.status] in _ENDED else math.inf
            path = jobs / kind.resource / name
            changes[path] = max(ended, changes.get(path, 0.0))
        for path in paths:
            if changes.get(path, _changed(path)) < before and not _in_use(path):
                yield path

    def _logs(self, before: float) -> Iterator[Path]:
        folders = [
            self._state / what / "logs" for what in ("jobs", "endpoints", "functions", "http-apis")
        ]
        files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
        needed = {
            Path(stream["path"]).with_suffix("")
            for caller, _, stream in self._store.everywhere(LOG_STREAM)
            if self._is_known(caller, stream)
        }
        for path in files:
            if path.with_suffix("") not in needed and _changed(path) < before:
                yield path

    def _is_known(self, caller: Caller, document: Document) -> bool:
        """Whether what wrote a log is there still."""
        group, stream, path = document["group"], document["stream"], Path(document["path"])
        if path.is_relative_to(self._state / "functions"):
            return self._store.get(caller, FUNCTION, path.parent.name) is not None
        if path.is_relative_to(self._state / "http-apis"):
            return self._store.get(caller, HTTP_API, path.parent.name) is not None
        if group.startswith(LOG_GROUPS):
            return self._store.get(caller, ENDPOINT, group.removeprefix(LOG_GROUPS)) is not None
        name = stream.partition("/")[0]
        kinds = [kind.resource for kind in KINDS.values() if kind.log_group == group]
        return any(self._store.get(caller, kind, name) is not None for kind in kinds)


def versions() -> dict[str, str]:
    """What this localcloud is made of."""
    own = {name: version(name) for name in ("localcloud", "moto", "botocore")}
    return own | {"Python": platform.python_version()}


def _in_use(folder: Path) -> bool:
    """Whether somebody debugs the job of a folder: `localcloud debug` holds a lock."""
    with contextlib.suppress(FileNotFoundError), (folder / "container.json").open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def _changed(path: Path) -> float:
    with contextlib.suppress(OSError):
        return path.stat().st_mtime
    return math.inf


def _freed(path: Path) -> int:
    """Bytes that only this file, or the files of this folder, hold on the disk."""
    size = 0
    for each in [path, *path.rglob("*")] if path.is_dir() else [path]:
        with contextlib.suppress(OSError):
            found = each.lstat()
            only = stat.S_ISDIR(found.st_mode) or found.st_nlink == 1
            size += found.st_blocks * 512 if only else 0
    return size
