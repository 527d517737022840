"""CloudWatch Logs: the output of jobs, read from the files that the jobs write.

A job writes plain lines. When a line came is known from marks: pairs of a time and the file's
length at that time, kept in a small file beside the log by whoever watches the job.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from localcloud.errors import (
    InvalidParameterException,
    ResourceNotFoundException,
    is_disk_full,
)
from localcloud.log_groups import STREAM, LogGroups
from localcloud.protocol import Caller, Document, Operation
from localcloud.store import Store

KIND = STREAM
_EVENTS_A_PAGE = 10_000
_MAX_DIGITS = 15


@dataclass(frozen=True)
class Event:
    """A line of a log; times are milliseconds since 1970."""

    stream: str
    position: int
    timestamp: int
    message: str


class LogStream:
    """The writing side: a log file and its marks. `now` is the clock, which may be set back."""

    def __init__(self, path: Path, now: Callable[[], float]) -> None:
        self.path = path
        self._now = now
        self._marks = path.with_suffix(".marks")
        self._seen = 0

    def mark(self) -> None:
        """Note that what the file holds by now came before now; on a full disk, later."""
        size = self.path.stat().st_size if self.path.exists() else 0
        if size == self._seen:
            return
        try:
            with self._marks.open("a") as marks:
                marks.write(f"{int(self._now() * 1000)} {size}\n")
        except OSError as error:
            if is_disk_full(error):
                return
            raise
        self._seen = size

    def events(self, stream: str, created: int) -> Iterator[Event]:
        """The lines so far, none older than the one before; the last must have ended."""
        if not self.path.exists():
            return
        times, sizes = [created], [0]
        if self._marks.exists():
            for mark in self._marks.read_text().splitlines():
                moment, size = map(int, mark.split())
                times.append(max(moment, times[-1]))
                sizes.append(size)
        latest = max(int(self._now() * 1000), times[-1])
        position = 0
        with self.path.open("rb") as file:
            for number, line in enumerate(file):
                if not line.endswith(b"\n") and position + len(line) > sizes[-1]:
                    return
                position += len(line)
                known = bisect_left(sizes, position)
                came = times[known] if known < len(times) else latest
                yield Event(stream, number, came, line.decode("utf-8", "replace").rstrip("\r\n"))


class Logs:
    """The reading side, as clients call it."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._groups = LogGroups(store)

    def operations(self) -> dict[str, Operation]:
        """The calls by their AWS names."""
        return {
            "DescribeLogGroups": self.describe_groups,
            "DescribeLogStreams": self.describe_streams,
            "GetLogEvents": self.get_events,
            "FilterLogEvents": self.filter_events,
            **self._groups.operations(),
        }

    def open(self, caller: Caller, group: str, stream: str, path: Path) -> LogStream:
        """Begin a stream whose lines a job writes to `path`."""
        document = {
            "group": group,
            "stream": stream,
            "path": str(path),
            "created": int(self._store.clock.now() * 1000),
        }
        self._store.put(caller, KIND, f"{group}:{stream}", document)
        return LogStream(path, self._store.clock.now)

    def has(self, caller: Caller, path: Path, stream: str) -> bool:
        """Whether a file is a stream of this name already, in whichever group."""
        streams = self._store.documents(caller, KIND)
        return any(each["path"] == str(path) and each["stream"] == stream for each in streams)

    def describe_groups(self, caller: Caller, request: Document) -> Document:
        """DescribeLogGroups: of jobs, of endpoints, and those that were made by a call."""
        prefix, pattern = (
            request.get("logGroupNamePrefix", ""),
            request.get("logGroupNamePattern", ""),
        )
        found = [
            {member: value for member, value in group.items() if member != "tags"}
            for group in self._groups.all(caller)
            if group["logGroupName"].startswith(prefix) and pattern in group["logGroupName"]
        ]
        start, size = _token(request.get("nextToken"), "f"), request.get("limit", 50)
        answer: Document = {"logGroups": found[start : start + size]}
        if start + size < len(found):
            answer["nextToken"] = f"f/{start + size}"
        return answer

    def describe_streams(self, caller: Caller, request: Document) -> Document:
        """DescribeLogStreams: one for each host of a job."""
        streams = self._streams(caller, request, request.get("logStreamNamePrefix", ""))
        found = []
        for stream in streams:
            events = list(self._events(stream))
            times = {}
            if events:
                times = {
                    "firstEventTimestamp": events[0].timestamp,
                    "lastEventTimestamp": events[-1].timestamp,
                }
            arn = (
                f"arn:aws:logs:{caller.region}:{caller.account}:log-group:{stream['group']}"
                f":log-stream:{stream['stream']}"
            )
            found.append(
                {"logStreamName": stream["stream"], "creationTime": stream["created"], "arn": arn}
                | times
            )
        by_time = request.get("orderBy") == "LastEventTime"
        field = "lastEventTimestamp" if by_time else "logStreamName"
        found.sort(key=lambda s: s.get(field, 0), reverse=request.get("descending", False))
        return {"logStreams": found[: request.get("limit", 50)]}

    def get_events(self, caller: Caller, request: Document) -> Document:
        """GetLogEvents: a page of one stream, with tokens for the next and the previous one."""
        name = request["logStreamName"]
        streams = [s for s in self._streams(caller, request, name) if s["stream"] == name]
        if not streams:
            raise ResourceNotFoundException("The specified log stream does not exist.")
        events = [event for event in self._events(streams[0]) if _in_window(event, request)]
        size = request.get("limit", _EVENTS_A_PAGE)
        start = _start(request, len(events), size)
        page = events[start : start + size]
        return {
            "events": [_answer(event) for event in page],
            "nextForwardToken": f"f/{start + len(page)}",
            "nextBackwardToken": f"b/{start}",
        }

    def filter_events(self, caller: Caller, request: Document) -> Document:
        """FilterLogEvents: lines of several streams in order of time; a pattern is plain text."""
        names = request.get("logStreamNames")
        pattern = request.get("filterPattern", "").strip('"')
        streams = self._streams(caller, request, request.get("logStreamNamePrefix", ""))
        events = [
            event
            for stream in streams
            if names is None or stream["stream"] in names
            for event in self._events(stream)
            if _in_window(event, request) and pattern in event.message
        ]
        events.sort(key=lambda event: (event.timestamp, event.stream, event.position))
        start = _token(request.get("nextToken"), "f")
        size = request.get("limit", _EVENTS_A_PAGE)
        answer: Document = {
            "events": [
                _answer(event)
                | {"logStreamName": event.stream, "eventId": f"{event.stream}/{event.position}"}
                for event in events[start : start + size]
            ]
        }
        if start + size < len(events):
            answer["nextToken"] = f"f/{start + size}"
        return answer

    def _streams(self, caller: Caller, request: Document, prefix: str) -> list[Document]:
        group = request.get("logGroupName") or request.get("logGroupIdentifier")
        if not group:
            raise InvalidParameterException("logGroupName must be given")
        self._groups.find(caller, group)
        return self._store.documents(caller, KIND, f"{group}:{prefix}")

    def _events(self, stream: Document) -> Iterator[Event]:
        log = LogStream(Path(stream["path"]), self._store.clock.now)
        return log.events(stream["stream"], stream["created"])


def _in_window(event: Event, request: Document) -> bool:
    after, before = request.get("startTime", 0), request.get("endTime", float("inf"))
    return bool(after <= event.timestamp < before)


def _start(request: Document, count: int, size: int) -> int:
    token = request.get("nextToken")
    if token is None:
        return 0 if request.get("startFromHead") else max(0, count - size)
    if token.startswith("b/"):
        return max(0, _token(token, "b") - size)
    return _token(token, "f")


def _token(token: str | None, kind: str) -> int:
    if token is None:
        return 0
    prefix, _, number = token.partition("/")
    if prefix != kind or not (number.isascii() and number.isdigit()) or len(number) > _MAX_DIGITS:
        raise InvalidParameterException(f"The specified nextToken is invalid: {token[:40]!r}")
    return int(number)


def _answer(event: Event) -> Document:
    return {
        "timestamp": event.timestamp,
        "message": event.message or "\n",  # AWS has no empty one
        "ingestionTime": event.timestamp,
    }
