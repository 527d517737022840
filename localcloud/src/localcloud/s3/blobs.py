"""The files behind the objects: written once, read-only, under names that say nothing.

A file grows in ``incoming`` and is renamed into ``objects`` when it is whole, so what stands in
``objects`` is always whole. A file without a row is an orphan that the next start removes.
Nothing is forced to the disk: a killed process loses nothing, a power cut may lose the last writes.
"""

import hashlib
import os
import secrets
import shutil
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

BLOCK = 1 << 20
"""Bytes read at a time; what a transfer holds in memory."""
_READ_ONLY = 0o444
_PART = 8 << 20
"""Bytes from which on AWS's clients upload in parts."""


class Readable(Protocol):
    """A source of bytes; ``read`` gives at most ``size`` of them and none at the end."""

    def read(self, size: int, /) -> bytes:
        """The next bytes."""
        ...


@dataclass(frozen=True, slots=True)
class Blob:
    """A whole file of the folder: its name and size in bytes.

    ``etag`` is the MD5 of its bytes in hex; of a large file that was adopted it is what S3 gives an
    object that came in parts, which says nothing of the bytes.
    """

    name: str
    size: int
    etag: str


class BlobFolder:
    """The folder of the files behind the objects."""

    def __init__(self, root: Path) -> None:
        self._objects = root / "objects"
        self._incoming = root / "incoming"
        self._incoming.mkdir(parents=True, exist_ok=True)
        for number in range(256):
            (self._objects / f"{number:02x}").mkdir(parents=True, exist_ok=True)

    def path(self, name: str) -> Path:
        """Where the file of this name stands."""
        return self._objects / name[:2] / name

    def receive(self, stream: Readable) -> Blob:
        """A file with all that the stream gives; none if the stream raises."""
        digest = hashlib.md5(usedforsecurity=False)
        size = 0

        def fill(file: BinaryIO) -> None:
            nonlocal size
            while block := stream.read(BLOCK):
                digest.update(block)
                file.write(block)
                size += len(block)

        name = self._write(fill)
        return Blob(name, size, digest.hexdigest())

    def adopt(self, path: Path) -> Blob:
        """A file with the content of ``path``: the same one if it can be linked, else a copy.

        A linked file becomes read-only. A large one is not read: that would take longer than a job.
        """
        path = path.resolve(strict=True)
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            parts = -(-size // _PART)
            etag = f"{secrets.token_hex(16)}-{parts}" if parts > 1 else _md5(file)
        return Blob(self._link(path), size, etag)

    def duplicate(self, name: str) -> str:
        """A second name for a file's content, by hard link where there can be one."""
        return self._link(self.path(name))

    def join(self, names: Iterable[str]) -> str:
        """A file with the contents of these one after the other, copied inside the kernel."""

        def fill(file: BinaryIO) -> None:
            for name in names:
                with self.path(name).open("rb") as part:
                    _copy(part, file, 0, os.fstat(part.fileno()).st_size)

        return self._write(fill)

    def cut(self, name: str, start: int, length: int) -> Blob:
        """A file with ``length`` bytes of another from ``start`` on."""

        def fill(file: BinaryIO) -> None:
            with self.path(name).open("rb") as source:
                _copy(source, file, start, length)

        piece = self._write(fill)
        return Blob(piece, length, self.md5(piece))

    def md5(self, name: str) -> str:
        """The MD5, in hex, of a file's bytes."""
        with self.path(name).open("rb") as file:
            return _md5(file)

    def remove(self, names: Iterable[str]) -> None:
        """Remove these files; who has one open or linked keeps its bytes."""
        for name in names:
            self.path(name).unlink(missing_ok=True)

    def sweep(self, known: Collection[str]) -> None:
        """Remove what a crash left: unfinished files, and files not among ``known``."""
        for path in self._incoming.iterdir():
            path.unlink()
        for path in self._objects.glob("*/*"):
            if path.name not in known:
                path.unlink()

    def orphans(self, known: Callable[[], Collection[str]], before: float) -> list[Path]:
        """The files not touched since a time (seconds since 1970) that are not among the known.

        ``known`` is asked when the files are listed: a file that was given a row since is known.
        """
        files = [*self._incoming.iterdir(), *self._objects.glob("*/*")]
        old = [path for path in files if _touched(path) < before]
        names = known() if old else ()
        return [path for path in old if path.name not in names]

    def _write(self, fill: Callable[[BinaryIO], None]) -> str:
        name = secrets.token_hex(16)
        temporary = self._incoming / name
        try:
            with temporary.open("xb") as file:
                fill(file)
                os.fchmod(file.fileno(), _READ_ONLY)
            temporary.rename(self.path(name))
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        return name

    def _link(self, path: Path) -> str:
        name = secrets.token_hex(16)
        try:
            self.path(name).hardlink_to(path)
            self.path(name).chmod(_READ_ONLY)
        except OSError:  # another file system, another owner, or too many links
            self.path(name).unlink(missing_ok=True)
            return self._write(lambda file: _copy_all(path, file))
        return name


def _touched(path: Path) -> float:
    try:
        return path.stat().st_ctime  # a new hard link to an old file is not old
    except FileNotFoundError:
        return float("inf")


def _copy_all(path: Path, target: BinaryIO) -> None:
    with path.open("rb") as source:
        shutil.copyfileobj(source, target, BLOCK)


def _copy(source: BinaryIO, target: BinaryIO, start: int, length: int) -> None:
    copied = 0
    with suppress(OSError, AttributeError):  # not on this file system or not on macOS
        while copied < length:
            count = os.copy_file_range(
                source.fileno(), target.fileno(), length - copied, start + copied
            )
            if count == 0:
                break
            copied += count
    source.seek(start + copied)
    while copied < length and (block := source.read(min(BLOCK, length - copied))):
        target.write(block)
        copied += len(block)
    target.flush()  # the next piece may go past the buffer


def _md5(file: BinaryIO) -> str:
    digest = hashlib.md5(usedforsecurity=False)
    while block := file.read(BLOCK):
        digest.update(block)
    return digest.hexdigest()
