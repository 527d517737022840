"""Data capture: what went in and what came out, as files of JSON lines for S3.

A request only puts its record into a list. A thread writes the list to a file of the state folder a
few times a second, and the file is handed to the gateway, which makes it an object, when it is some
seconds old or its hour is over. A file that a killed process left is handed over at the next start.

Format: SageMaker Data Capture, version "0". Content types that the configuration names neither as
csv nor as JSON are base64. Requests that the model did not answer with a 2xx are not captured.
"""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import os
import random
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

FLUSH_SECONDS = 0.25
_FILE_SECONDS = 5.0
_FILE_BYTES = 8 * 1024 * 1024
_KEPT_BYTES = 64 * 1024 * 1024
"""What is kept for a disk that takes nothing; more is dropped, and the log says so."""
_MOST_BYTES = 512 * 1024 * 1024
"""What is kept for a disk that is slow."""
_log = logging.getLogger(__name__)
Document = dict[str, Any]


class Record(NamedTuple):
    """One request, as it came and as it was answered."""

    time: float
    content_type: str | None
    body: bytes
    answer_type: str | None
    answer: bytes
    inference_id: str | None
    attributes: str | None


class Capture:
    """What a fleet captures, by its DataCaptureConfig."""

    def __init__(self, endpoint: str, config: Document, region: str, captures: Captures) -> None:
        self._endpoint = endpoint
        self._region = region
        self._captures = captures
        self._share = config["InitialSamplingPercentage"] / 100
        self._destination: str = config["DestinationS3Uri"].rstrip("/")
        modes = {option["CaptureMode"] for option in config["CaptureOptions"]}
        both = "InputAndOutput" in modes
        self._input, self._output = both or "Input" in modes, both or "Output" in modes
        types = config.get("CaptureContentTypeHeader", {})
        self._csv = {each.lower() for each in types.get("CsvContentTypes", [])}
        self._json = {each.lower() for each in types.get("JsonContentTypes", [])}

    def add(self, variant: str, record: Record) -> None:
        """Capture a request, if chance will have it."""
        if self._share < 1 and random.random() >= self._share:  # noqa: S311 - nothing to guess
            return
        place = (self._region, f"{self._destination}/{self._endpoint}/{variant}")
        self._captures.add(place, self, record)

    def line(self, record: Record) -> bytes:
        """A record as its line."""
        captured: Document = {}
        if self._input:
            captured["endpointInput"] = self._half("INPUT", record.content_type, record.body)
        if self._output:
            captured["endpointOutput"] = self._half("OUTPUT", record.answer_type, record.answer)
        metadata: Document = {"eventId": str(uuid.uuid4())}
        if record.attributes is not None:
            metadata["customAttributes"] = [record.attributes]
        if record.inference_id is not None:
            metadata["inferenceId"] = record.inference_id
        metadata["inferenceTime"] = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(record.time))
        document = {"captureData": captured, "eventMetadata": metadata, "eventVersion": "0"}
        return json.dumps(document, separators=(",", ":")).encode() + b"\n"

    def _half(self, mode: str, content_type: str | None, body: bytes) -> Document:
        kind = (content_type or "").partition(";")[0].strip().lower()
        encoding = "CSV" if kind in self._csv else "JSON" if kind in self._json else "BASE64"
        try:
            data = body.decode() if encoding != "BASE64" else base64.b64encode(body).decode()
        except UnicodeDecodeError:
            encoding, data = "BASE64", base64.b64encode(body).decode()
        return {
            "observedContentType": content_type,
            "mode": mode,
            "data": data,
            "encoding": encoding,
        }


class _File:
    """A file that is being written, and where it shall go."""

    def __init__(self, folder: Path, place: tuple[str, str], moment: float) -> None:
        region, prefix = place
        self.hour = int(moment // 3600)
        self.opened = time.monotonic()
        self.size = 0
        stamp = time.strftime("%Y/%m/%d/%H/%M-%S", time.gmtime(moment))
        name = uuid.uuid4()
        self.path = folder / f"{name}.jsonl"
        uri = f"{prefix}/{stamp}-{int(moment * 1000) % 1000:03d}-{name}.jsonl"
        note = self.path.with_suffix(".partial")
        note.write_text(json.dumps({"region": region, "uri": uri}))
        note.replace(self.path.with_suffix(".json"))
        self._descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def write(self, text: bytes) -> None:
        """Append whole lines; what a full disk cut off is taken back. Raises OSError."""
        done = 0
        try:
            while done < len(text):
                done += os.write(self._descriptor, text[done:])
        except OSError:
            os.truncate(self._descriptor, self.size)
            raise
        self.size += len(text)

    def close(self) -> None:
        """It is whole."""
        os.close(self._descriptor)


Place = tuple[str, str]
Waiting = dict[Place, list[tuple[Capture, Record]]]


class Captures:
    """All records that no file holds yet, and the files that are being written.

    Of the event loop's thread; only what `flush` has taken is another thread's.
    """

    def __init__(self, folder: Path, deliver: Callable[[str], None]) -> None:
        """`deliver` is told the name of each file that is whole."""
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._deliver = deliver
        self._waiting: Waiting = {}
        self._files: dict[Place, _File] = {}
        self._kept = 0
        self._failing = False
        self._dropped = 0
        self._turn = asyncio.Lock()

    def add(self, place: Place, capture: Capture, record: Record) -> None:
        """Keep a record until the next `flush`."""
        size = len(record.body) + len(record.answer)
        if self._kept + size > (_KEPT_BYTES if self._failing else _MOST_BYTES):
            self._dropped += 1
            return
        self._kept += size
        self._waiting.setdefault(place, []).append((capture, record))

    async def flush(self, *, ending: bool = False) -> None:
        """Write what waits; hand over the files that are old enough, or all at the end."""
        async with self._turn:
            waiting, self._waiting, self._kept = self._waiting, {}, 0
            if waiting or self._files:
                whole = await asyncio.to_thread(self._store, waiting, ending=ending)
                for name in whole:
                    self._deliver(name)
            left = [(place, *each) for place, records in waiting.items() for each in records]
            self._failing = bool(left)
            for place, capture, record in left:
                self.add(place, capture, record)
            if self._dropped:
                _log.error("%d captured requests were dropped for want of room", self._dropped)
                self._dropped = 0

    def _store(self, waiting: Waiting, *, ending: bool) -> list[str]:
        """Write records, of which those stay that could not be; the names of files now whole."""
        whole: list[str] = []
        for place, records in waiting.items():
            try:
                self._write(place, records, whole)
            except OSError as error:
                _log.error("captured data cannot be written: %s", error)
            except Exception:  # noqa: BLE001 - what comes after it is captured all the same
                _log.exception("%d captured requests are lost", len(records))
                records.clear()
        now, hour = time.monotonic(), int(time.time() // 3600)
        for place, file in list(self._files.items()):
            old = now - file.opened > _FILE_SECONDS or file.hour != hour
            if ending or old or file.size > _FILE_BYTES:
                whole.append(self._close(place))
        return whole

    def _write(self, place: Place, records: list[tuple[Capture, Record]], whole: list[str]) -> None:
        """Write records, each hour's into a file of its own; drops those that are written."""
        while records:
            hour = int(records[0][1].time // 3600)
            same = 0
            while same < len(records) and int(records[same][1].time // 3600) == hour:
                same += 1
            file = self._files.get(place)
            if file is not None and file.hour != hour:
                whole.append(self._close(place))
                file = None
            if file is None:
                file = self._files[place] = _File(self._folder, place, records[0][1].time)
            file.write(b"".join(capture.line(record) for capture, record in records[:same]))
            del records[:same]

    def _close(self, place: Place) -> str:
        file = self._files.pop(place)
        try:
            file.close()
        except OSError as error:
            _log.error("captured data in %s may not be whole: %s", file.path, error)
        return file.path.name
