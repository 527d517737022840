"""An object's bytes in pieces: what one request to the model carries."""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from localcloud.containers.errors import RecordError

_EMPTY_LINE = re.compile(rb"^\r?\n", re.MULTILINE)


@contextmanager
def opened(path: Path, *, gzipped: bool) -> Iterator[BinaryIO]:
    """An object's file, decompressed as it is read. Raises RecordError if it is no whole gzip."""
    if not gzipped:
        with path.open("rb") as file:
            yield file
        return
    try:
        with gzip.open(path, "rb") as file:
            yield file  # type: ignore[misc]  # reads as a file does
    except (gzip.BadGzipFile, EOFError, zlib.error) as exc:
        raise RecordError(f"CompressionType is Gzip, but it is no whole gzip file: {exc}") from exc


def payloads(file: BinaryIO, *, split: bool, single: bool, limit: int) -> Iterator[bytes]:
    """The bodies of the requests for one object, each of at most `limit` bytes.

    Not split, the whole object is one. Else its lines are records, of which empty ones do not
    count: one in each body if `single`, without its line's end, or as many as there is room for.
    What is held in memory at a time is two bodies.

    Raises:
        RecordError: the object, or one of its records, is longer than `limit`.
    """
    if not split:
        whole = file.read(limit + 1)
        if len(whole) > limit:
            raise RecordError(_too_long("the object", limit))
        yield whole
    elif single:
        yield from _lines(file, limit)
    else:
        yield from _blocks(file, limit)


def _lines(file: BinaryIO, limit: int) -> Iterator[bytes]:
    number = 0
    while line := file.readline(limit + 2):
        number += 1
        record = line.rstrip(b"\r\n")
        if len(record) > limit:
            raise RecordError(_too_long(f"its line {number}", limit))
        if record:
            yield record


def _blocks(file: BinaryIO, limit: int) -> Iterator[bytes]:
    rest, before = b"", 0
    while block := file.read(limit + 1 - len(rest)):
        whole = rest + block
        if len(whole) <= limit:  # the object's end, or near it
            rest = whole
            continue
        end = whole.rfind(b"\n", 0, limit) + 1
        if end:
            body, rest = whole[:end], whole[end:]
        elif whole.endswith(b"\n"):  # a record for which there is just room, but for its line's end
            body, rest = whole[:limit], b""
        else:
            raise RecordError(_too_long(f"its line {before + 1}", limit))
        before += body.count(b"\n") or 1
        yield from _without_empty_lines(body)
    yield from _without_empty_lines(rest)


def _without_empty_lines(block: bytes) -> Iterator[bytes]:
    """The block, if a record is left in it."""
    if block.startswith((b"\n", b"\r\n")) or b"\n\n" in block or b"\n\r\n" in block:
        block = _EMPTY_LINE.sub(b"", block)
    if block:
        yield block


def _too_long(what: str, limit: int) -> str:
    return (
        f"{what} is longer than MaxPayloadInMB allows for one request ({limit / 2**20:g} MB); "
        "raise MaxPayloadInMB, or set SplitType to Line if it is not"
    )
