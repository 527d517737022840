"""What the data plane captures: which requests, which halves, into which files."""

from __future__ import annotations

import asyncio
import json
import re
from calendar import timegm
from pathlib import Path
from typing import Any

import pytest
from data_plane_fixtures import CALLER, CAPTURE, Plane, captured

from localcloud.dataplane.capture import Capture, Captures, Record

BOTH = CAPTURE["CaptureOptions"]


def ask(plane: Plane, endpoint: str, count: int, config: dict[str, Any]) -> list[dict[str, Any]]:
    """What was captured of so many requests."""
    plane.traffic.route(CALLER, endpoint, [plane.serve("1", "a", capture=config)])
    client = plane.client()
    for number in range(count):
        client.invoke_endpoint(EndpointName=endpoint, Body=b"%d" % number, ContentType="text/csv")
    plane.traffic.close()
    return captured(plane)


def test_of_all_requests_a_share_is_captured(plane: Plane) -> None:
    records = ask(plane, "half", 400, CAPTURE | {"InitialSamplingPercentage": 50})
    assert 120 < len(records) < 280
    inputs = [record["captureData"]["endpointInput"]["data"] for record in records]
    assert len(set(inputs)) == len(inputs)


@pytest.mark.parametrize(
    ("mode", "halves"),
    [
        ("Input", ["endpointInput"]),
        ("Output", ["endpointOutput"]),
        ("InputAndOutput", ["endpointInput", "endpointOutput"]),
    ],
)
def test_only_the_halves_that_were_asked_for_are_captured(
    plane: Plane,
    mode: str,
    halves: list[str],
) -> None:
    (record,) = ask(plane, "halves", 1, CAPTURE | {"CaptureOptions": [{"CaptureMode": mode}]})
    assert list(record["captureData"]) == halves


def test_capture_that_is_switched_off_captures_nothing(plane: Plane) -> None:
    assert ask(plane, "off", 3, CAPTURE | {"EnableCapture": False}) == []


def moment(text: str) -> float:
    """Seconds since 1970 of a time in UTC, by its hour, minute and second."""
    hour, minute, second = (float(part) for part in text.split(":"))
    return timegm((2026, 3, 31, int(hour), int(minute), 0)) + second


def files(folder: Path) -> dict[str, list[str]]:
    """The lines' inputs by the key that the file shall have."""
    found = {}
    for note in folder.glob("*.json"):
        uri = json.loads(note.read_text())["uri"]
        lines = note.with_suffix(".jsonl").read_text().splitlines()
        found[uri] = [json.loads(line)["captureData"]["endpointInput"]["data"] for line in lines]
    return found


def test_each_hour_of_utc_has_files_of_its_own(tmp_path: Path) -> None:
    times = {"12:59:58.25": "a", "12:59:59.999": "b", "13:00:00.004": "c", "23:59:59.5": "d"}
    whole: list[str] = []

    async def write() -> None:
        captures = Captures(tmp_path, whole.append)
        capture = Capture("turbines", CAPTURE, "us-east-1", captures)
        for at, text in times.items():
            answer = (text.encode(), "text/csv", b"0.5", None, None)
            capture.add("AllTraffic", Record(moment(at), "text/csv", *answer))
        await captures.flush(ending=True)

    asyncio.run(write())
    found = files(tmp_path)
    assert len(whole) == len(found) == 3
    start = re.escape("s3://captured/from/here/turbines/AllTraffic/2026/03/31/")
    for pattern, inputs in (
        ("12/59-58-250", ["a", "b"]),
        ("13/00-00-004", ["c"]),
        ("23/59-59-500", ["d"]),
    ):
        (key,) = [
            uri for uri in found if re.fullmatch(f"{start}{pattern}-[0-9a-f-]{{36}}.jsonl", uri)
        ]
        assert found[key] == inputs


def test_a_burst_is_captured_whole(tmp_path: Path) -> None:
    """Between two writes comes more than what is kept for a disk that takes nothing."""
    whole: list[str] = []
    large = b"7" * (6 * 1024 * 1024)

    async def write() -> None:
        captures = Captures(tmp_path, whole.append)
        capture = Capture("turbines", CAPTURE, "us-east-1", captures)
        for _ in range(8):
            record = Record(moment("12:00:00"), "text/csv", large, "text/csv", large, None, None)
            capture.add("AllTraffic", record)
        await captures.flush(ending=True)

    asyncio.run(write())
    (inputs,) = files(tmp_path).values()
    assert [len(text) for text in inputs] == 8 * [len(large)]


def test_a_disk_that_takes_nothing_loses_no_record_that_there_is_room_for(tmp_path: Path) -> None:
    whole: list[str] = []

    async def write() -> None:
        captures = Captures(tmp_path / "captures", whole.append)
        capture = Capture("turbines", CAPTURE, "us-east-1", captures)
        for number in range(3):
            text = str(number).encode()
            record = Record(moment("12:00:00"), "text/csv", text, "text/csv", b"1", None, None)
            capture.add("AllTraffic", record)
            # A file in the folder's place: nothing can be made in it.
            (tmp_path / "captures").rename(tmp_path / "aside")
            (tmp_path / "captures").write_text("in the way")
            await captures.flush()
            (tmp_path / "captures").unlink()
            (tmp_path / "aside").rename(tmp_path / "captures")
        await captures.flush(ending=True)

    asyncio.run(write())
    assert list(files(tmp_path / "captures").values()) == [["0", "1", "2"]]
