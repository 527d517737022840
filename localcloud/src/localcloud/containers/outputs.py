"""A job's folders become S3 objects, by hard link: 0.1 ms a file, whatever its size."""

from __future__ import annotations

import errno
import os
import tarfile
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from stat import S_ISREG

from localcloud.containers.errors import DeliveryFailed
from localcloud.containers.hosts import Instance
from localcloud.containers.inputs import ML, split_uri
from localcloud.s3.objects import ObjectStore

_STILL_SECONDS = 1.0


def deliver(root: Path, folder: Path, uri: str, objects: ObjectStore) -> int:
    """Make every file below a folder an object under the URI, by hard link; returns how many.

    `root` is what the job saw as /opt/ml: symbolic links are followed as the job would.

    Raises:
        DeliveryFailed: the disk is full, or a link leads nowhere.
    """
    bucket, prefix = split_uri(uri)
    count = 0
    with _told(folder):
        for path in _files(folder):
            key = _key(folder, path, prefix)
            if path.is_symlink():
                # Its file may be one of this machine's: never link that, never change its mode.
                with _target(root, path).open("rb") as stream:
                    objects.put_stream(bucket, key, stream)
            else:
                objects.put_file(bucket, key, path)
            count += 1
    return count


def deliver_files(
    files: Iterable[tuple[str, Path]], folder: Path, bucket: str, objects: ObjectStore
) -> None:
    """Make each file below a folder the object of its key, by hard link.

    Raises:
        DeliveryFailed: the disk is full.
    """
    with _told(folder):
        for key, path in files:
            objects.put_file(bucket, key, path)


def deliver_archive(
    instances: Sequence[Instance], folder: str, uri: str, objects: ObjectStore
) -> str | None:
    """Make a tar.gz object of a folder, whole or not at all; of all hosts' folders in one.

    AWS asks the hosts to let no names clash and does not say what happens else: here the last
    host's file counts, and the log says so.

    Returns:
        The URI; None if the folder is empty on every host.
    """
    found: dict[str, Path] = {}
    for instance in instances:
        start = instance.root / folder
        own = {path.relative_to(start).as_posix(): path for path in sorted(start.rglob("*"))}
        clashes = [n for n in own if n in found and not (own[n].is_dir() and found[n].is_dir())]
        if clashes:
            instance.note(
                f"{', '.join(clashes[:5])} in /opt/ml/{folder} was also written by another host; "
                f"that of {instance.host.name} is kept. AWS does not say whose it would keep"
            )
        found |= own
    if not found:
        return None
    bucket, key = split_uri(uri)
    archive = instances[0].root / f".{PurePosixPath(key).name}"
    with _told(instances[0].root):
        try:
            with tarfile.open(archive, "w:gz", compresslevel=1) as tar:
                for name in sorted(found):
                    tar.add(found[name], arcname=name, recursive=False)
            objects.put_file(bucket, key, archive)
        finally:
            archive.unlink(missing_ok=True)
    return uri


class Continuous:
    """Uploads what a running job writes to a folder, as copies: the job may go on writing.

    A file goes up when it has not changed for a second, and again when it has changed since. What
    date it has does not matter: clocks jump, and jobs set dates.
    """

    def __init__(self, folder: Path, uri: str, objects: ObjectStore) -> None:
        self._folder = folder
        self._bucket, self._prefix = split_uri(uri)
        self._objects = objects
        self._seen: dict[Path, tuple[int, int]] = {}
        self._uploaded: dict[Path, tuple[int, int]] = {}
        self._next = 0.0

    def look(self) -> None:
        """Upload what is new; looks at most once a second."""
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + _STILL_SECONDS
        for path in _files(self._folder):
            with suppress(FileNotFoundError):
                found = path.lstat()
                now, before = (found.st_mtime_ns, found.st_size), self._seen.get(path)
                self._seen[path] = now
                if not S_ISREG(found.st_mode) or now != before or now == self._uploaded.get(path):
                    continue
                with path.open("rb") as stream:
                    key = _key(self._folder, path, self._prefix)
                    self._objects.put_stream(self._bucket, key, stream)
                self._uploaded[path] = now


def _files(folder: Path) -> Iterator[Path]:
    """Files and links to files; sockets and pipes have no content to deliver."""
    for parent, _, names in os.walk(folder):
        for name in sorted(names):
            path = Path(parent, name)
            if path.is_symlink() or path.is_file():
                yield path


def _key(folder: Path, path: Path, prefix: str) -> str:
    return f"{prefix.rstrip('/')}/{path.relative_to(folder).as_posix()}".lstrip("/")


def _target(root: Path, link: Path) -> Path:
    """The file that a job's link leads to, seen from outside of the job."""
    seen: Iterable[Path] = ()
    while link.is_symlink() and link not in seen:
        seen = (*seen, link)
        target = PurePosixPath(link.readlink())
        link = root / target.relative_to(ML) if target.is_relative_to(ML) else link.parent / target
    return link


@contextmanager
def _told(folder: Path) -> Iterator[None]:
    """What goes wrong with files, in one sentence that names the folder."""
    try:
        yield
    except OSError as exc:
        reason = os.strerror(exc.errno) if exc.errno else str(exc)
        where = folder if exc.errno == errno.ENOSPC or not exc.filename else exc.filename
        raise DeliveryFailed(f"Artifact upload failed: {reason}: {where}") from exc
