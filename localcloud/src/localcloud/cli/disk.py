"""How much room the parts of a localcloud take on the disk."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

_UNITS = (("GB", 1e9), ("MB", 1e6), ("kB", 1e3))


def parts(state: Path, cache: Path) -> Mapping[str, int]:
    """Bytes on disk by part. What several parts have in common, by hard link, the first one has."""
    jobs = [path for path in (state / "jobs").glob("*") if path.name != "logs"]
    endpoints = [path for path in (state / "endpoints").glob("*") if path.name != "logs"]
    functions = [path for path in (state / "functions").glob("*") if path.name != "logs"]
    logs = [
        *(state / what / "logs" for what in ("jobs", "endpoints", "functions", "http-apis")),
        state / "processes",
        state / "server.log",
    ]
    seen: set[tuple[int, int]] = set()
    return {
        "objects": _size([state / "s3"], seen),
        "job folders": _size(jobs, seen),
        "endpoint folders": _size(endpoints, seen),
        "function folders": _size(functions, seen),
        "logs": _size(logs, seen),
        "records": _size([state], seen),
        "image environments": _size([cache / "images"], seen),
    }


def shown(size: float) -> str:
    """A number of bytes for people: `12.3 MB`."""
    for unit, factor in _UNITS:
        if size >= factor:
            return f"{size / factor:.1f} {unit}"
    return f"{size:.0f} B"


def _size(places: Iterable[Path], seen: set[tuple[int, int]]) -> int:
    """Bytes on disk at and below these places of what is not in `seen`, and is now."""
    size = 0
    folders = []
    for place in places:
        with contextlib.suppress(OSError):
            size += _blocks(place.lstat(), seen)
            folders += [os.fspath(place)] if place.is_dir() else []
    while folders:
        # What is deleted while it is looked at takes no room.
        with contextlib.suppress(OSError), os.scandir(folders.pop()) as entries:
            for entry in entries:
                added = _blocks(entry.stat(follow_symlinks=False), seen)
                size += added
                if entry.is_dir(follow_symlinks=False) and added:
                    folders.append(entry.path)
    return size


def _blocks(found: os.stat_result, seen: set[tuple[int, int]]) -> int:
    if (found.st_dev, found.st_ino) in seen:
        return 0
    seen.add((found.st_dev, found.st_ino))
    return found.st_blocks * 512
