"""The data log of a transform job: what became of which object, in AWS's format."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from pathlib import Path


class DataLog:
    """Appends lines to a file; safe for many threads."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()

    def write(self, *lines: str) -> None:
        """Write lines, one after the other."""
        now = datetime.now(UTC).isoformat(timespec="milliseconds").removesuffix("+00:00")
        text = "".join(f"{now}:[sagemaker logs]: {line}\n" for line in lines)
        with self._lock, self._path.open("a") as file:
            file.write(text)
