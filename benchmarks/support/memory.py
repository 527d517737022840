"""The memory of a process and all its descendants, sampled while they run.

The figure is the proportional set size: a page that n processes share counts as a n-th in each, so
the sum over a tree of forked processes counts every page once. Linux only.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_INTERVAL_SECONDS: Final = 0.03


@dataclass
class Peak:
    """The highest sum seen so far, in bytes, and the number of samples."""

    size: int = 0
    samples: int = 0


@contextmanager
def sampled(root: int) -> Iterator[Peak]:
    """Sample the tree below process ``root``, itself included, until the block ends."""
    peak, ended = Peak(), threading.Event()

    def sample() -> None:
        while True:
            peak.size = max(peak.size, sum(_proportional(pid) for pid in _tree(root)))
            peak.samples += 1
            if ended.wait(_INTERVAL_SECONDS):
                return

    thread = threading.Thread(target=sample, daemon=True)
    thread.start()
    try:
        yield peak
    finally:
        ended.set()
        thread.join()


def _tree(root: int) -> list[int]:
    found, waiting = [], [root]
    while waiting:
        pid = waiting.pop()
        found.append(pid)
        for children in Path(f"/proc/{pid}/task").glob("*/children"):
            waiting += [int(child) for child in _read(children).split()]
    return found


def _proportional(pid: int) -> int:
    """Return the bytes of a process; 0 for one that has ended."""
    for line in _read(Path(f"/proc/{pid}/smaps_rollup")).splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    return 0


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
