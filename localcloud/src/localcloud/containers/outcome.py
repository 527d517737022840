"""What a job's files and log tell after it has ended: why it failed, and its metrics."""

from __future__ import annotations

import os
import re
import shutil
import signal
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

REASON_LIMIT = 1024
_TAIL = 64 * 1024
_LINES = 10
_LAST_LINES = 3
_ROOM = 1 << 20  # what it takes to store how a job ended, many times over
# An exception group's is indented, and those of its exceptions stand inside it, behind a gutter.
_TRACEBACK = re.compile(r"(  \+ Exception Group )?Traceback \(most recent call last\):")
_FRAME = ("", " ", "-", "+")  # what a line begins with that is a frame or a rule
_GUTTER = re.compile(r" *[|+] ?")


def failure_reason(
    root: Path,
    log: Path,
    exit_code: int,
    limit: int = REASON_LIMIT,
    otherwise: str = "See job logs for more information",
) -> str:
    """A failed job's FailureReason: the job's own words between AWS's, `limit` characters at most.

    The job's own words are in /opt/ml/output/failure, or are the last error in its log; `otherwise`
    stands for them where it left none.
    """
    own = read_text(root / "output" / "failure") or last_error(log)
    if exit_code < 0:
        killed = how_it_ended(exit_code)
        own = f"{own} ({killed})" if own else killed
    # A container reports a signal as 128 and its number.
    ending = f", exit code: {exit_code if exit_code >= 0 else 128 - exit_code}"
    start = "AlgorithmError: "
    return start + shortened(own or otherwise, limit - len(start) - len(ending)) + ending


def shortened(text: str, limit: int) -> str:
    """A text of at most `limit` characters: of a longer one the start and the end."""
    if len(text) <= limit:
        return text
    end = limit // 3
    return f"{text[: limit - end - 5]} ... {text[len(text) - end :]}"


def how_it_ended(exit_code: int) -> str:
    """A process's end in words: its exit code, or the signal that killed it."""
    if exit_code < 0:
        return f"killed by {signal.Signals(-exit_code).name}"
    return f"exit code {exit_code}"


def is_full(folder: Path) -> bool:
    """Whether the disk of a folder has no room left to speak of; no if the folder is not there."""
    try:
        return shutil.disk_usage(folder).free < _ROOM
    except FileNotFoundError:
        return False


def read_text(path: Path) -> str:
    """A small text that a job left, stripped; empty if it left none."""
    try:
        with path.open("rb") as file:
            return file.read(_TAIL).decode(errors="replace").strip()
    except OSError:
        return ""


def final_metrics(definitions: Sequence[Mapping[str, str]], log: Path) -> list[dict[str, Any]]:
    """FinalMetricDataList: the last value that each definition's Regex finds in the log."""
    if not definitions or not log.exists():
        return []
    text = log.read_text(errors="replace")
    written = datetime.fromtimestamp(log.stat().st_mtime, UTC)
    found = []
    for definition in definitions:
        value = None
        for match in re.finditer(definition["Regex"], text):
            value = _number(match[1] if match.re.groups else match[0]) or value
        if value is not None:
            found.append(
                {"MetricName": definition["Name"], "Value": value[0], "Timestamp": written}
            )
    return found


def _number(text: str) -> tuple[float] | None:
    try:
        return (float(text),)
    except ValueError:
        return None


def last_error(log: Path, start: int = 0) -> str:
    """The last exception without its frames, or else the last line that says anything.

    Of what came after it the last lines are kept: a script that went on may have failed by them.
    Only what was written from the byte `start` on counts.
    """
    try:
        with log.open("rb") as file:
            file.seek(max(start, file.seek(0, os.SEEK_END) - _TAIL))
            lines = file.read().decode(errors="replace").splitlines()
    except OSError:
        return ""
    last = max((n for n, line in enumerate(lines) if _is_header(line)), default=None)
    if last is not None:
        if lines[last].startswith(" "):
            inner = [_GUTTER.sub("", line, count=1) for line in lines[last + 1 :]]
            said = [line for line in inner if line[:1] not in _FRAME and not _is_header(line)]
        else:
            after = [n for n, line in enumerate(lines) if n > last and line and line[0] != " "]
            said = lines[after[0] :] if after else []
        if said:
            return "\n".join(_ends(said)).strip()
    return next((line.strip() for line in reversed(lines) if line.strip()), "")


def _is_header(line: str) -> bool:
    return _TRACEBACK.match(line) is not None


def _ends(lines: list[str]) -> list[str]:
    """Of many lines the first and the last."""
    lines = [line for line in lines if line.strip()] if len(lines) > _LINES else lines
    if len(lines) <= _LINES:
        return lines
    return [*lines[: _LINES - _LAST_LINES - 1], "...", *lines[-_LAST_LINES:]]
