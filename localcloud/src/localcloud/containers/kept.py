"""What is kept of a job so that it can be run again as it was: its request and its inputs.

Beside the folders that the job sees as /opt/ml, its folder holds container.json and a hard link to
the file of every object that went into it. A job changes neither: what S3 holds by then, and what
the failed run did to its own files, does not matter to the next one.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from localcloud.containers.errors import NothingKept
from localcloud.containers.inputs import Found, Source
from localcloud.s3.errors import NoSuchKey

_FILE = "container.json"
_OBJECTS = "objects"


@dataclass(frozen=True)
class KeptObject:
    """An object as a job found it; its file is a link of our own."""

    key: str
    size: int
    path: Path


@dataclass
class KeptJob:
    """A job that was started: all that is needed to lay it out and start it again."""

    kind: str
    request: dict[str, Any]
    arn: str
    region: str
    cpus: int
    environment: dict[str, str]
    count: int
    objects: dict[str, list[tuple[str, int, str]]] = field(default_factory=dict)

    def write(self, folder: Path) -> None:
        """Put it into the job's folder, readable by its owner: the environment may hold secrets."""
        with os.fdopen(os.open(folder / _FILE, os.O_WRONLY | os.O_CREAT, 0o600), "w") as file:
            file.write(json.dumps(vars(self), default=str))


def read_job(folder: Path) -> KeptJob:
    """What a job's folder keeps; raises NothingKept if it is not that of a job that was started."""
    try:
        return KeptJob(**json.loads((folder / _FILE).read_text()))
    except (OSError, ValueError, TypeError) as exc:
        raise NothingKept(f"{folder} is not the folder of a job that was started: {exc}") from exc


class KeepingSource:
    """The object store, as a job's inputs come from it; keeps what it gives."""

    def __init__(self, objects: Source, folder: Path, job: KeptJob) -> None:
        self._objects = objects
        self._folder = folder / _OBJECTS
        self._folder.mkdir(parents=True, exist_ok=True)
        self._answers = job.objects

    def get(self, bucket: str, key: str, /) -> Found:
        """One object; raises NotFound."""
        found = self._objects.get(bucket, key)
        self._answers[f"{bucket}/{key}"] = [self._keep(found)]
        return found

    def list(self, bucket: str, prefix: str, /) -> Iterator[Found]:
        """The objects of a prefix; raises NotFound."""
        found = list(self._objects.list(bucket, prefix))
        self._answers[f"{bucket}/{prefix}*"] = [self._keep(each) for each in found]
        return iter(found)

    def _keep(self, found: Found) -> tuple[str, int, str]:
        name = found.path.name
        try:
            (self._folder / name).hardlink_to(found.path)
        except FileExistsError:
            pass  # another host, or another question, has had it
        except FileNotFoundError:
            pass  # replaced since it was listed: whoever lays it out asks again
        except OSError:
            shutil.copyfile(found.path, self._folder / name)
        return found.key, found.size, name


class KeptSource:
    """The answers that a job got before, from its folder."""

    def __init__(self, folder: Path, job: KeptJob) -> None:
        self._folder = folder / _OBJECTS
        self._answers = job.objects

    def get(self, bucket: str, key: str, /) -> Found:
        """One object; raises NotFound."""
        return next(self._answer(f"{bucket}/{key}", key))

    def list(self, bucket: str, prefix: str, /) -> Iterator[Found]:
        """The objects of a prefix; raises NotFound."""
        return self._answer(f"{bucket}/{prefix}*", prefix)

    def _answer(self, question: str, key: str) -> Iterator[Found]:
        if question not in self._answers:
            raise NoSuchKey(details={"Key": key})
        for name, size, file in self._answers[question]:
            yield KeptObject(name, size, self._folder / file)
