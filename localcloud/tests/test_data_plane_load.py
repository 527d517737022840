"""What the data plane itself carries: containers that cost nothing, swapped under a full load."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from data_plane_fixtures import CALLER, CAPTURE, Plane
from waiting import wait_until

from benchmarks.support.load import Exchange, drive, percentile
from localcloud.traffic import ContainerRoute, FleetRoute, VariantRoute

pytestmark = pytest.mark.alone
SECONDS, CLIENTS, SWAPS = 20.0, 8, 40
ROW = b"M,297.6,308.8,1453,39.7,69"


@pytest.fixture
def fleets(plane: Plane) -> Iterator[list[FleetRoute]]:
    """Two fleets, each of two containers that a request passes."""
    program = Path(__file__).with_name("echo_container.py")
    paths = [plane.sockets / name for name in "abcd"]
    running = [subprocess.Popen([sys.executable, program, path]) for path in paths]
    wait_until(lambda: all(path.exists() for path in paths))
    yield [fleet(number, paths[2 * number : 2 * number + 2]) for number in range(2)]
    for process in running:
        process.kill()
        process.wait()


def fleet(number: int, paths: Sequence[Path]) -> FleetRoute:
    containers = tuple(ContainerRoute(p.name, (str(p),), (f"A/i/{p.name}",)) for p in paths)
    variant = VariantRoute("AllTraffic", 1.0, containers)
    return FleetRoute(f"fleet-{number}", f"config-{number}", 1.0, (variant,), CAPTURE)


def exchange(plane: Plane, endpoint: str) -> Exchange:
    head = (
        f"POST /endpoints/{endpoint}/invocations HTTP/1.1\r\nhost: localhost\r\n"
        f"authorization: AWS4-HMAC-SHA256 Credential=a/20260101/{CALLER.region}/sagemaker/"
        f"aws4_request\r\ncontent-type: text/csv\r\ncontent-length: {len(ROW)}\r\n\r\n"
    )
    return Exchange(head.encode() + ROW, 200, ROW)


def test_swapping_containers_under_a_full_load_loses_no_request(
    plane: Plane,
    fleets: list[FleetRoute],
) -> None:
    """Every answer comes and is right; each request that was answered is captured once."""
    plane.traffic.route(CALLER, "swapped", [fleets[0]])
    ended, swaps, drained = threading.Event(), 0, []

    def swap() -> None:
        nonlocal swaps
        while not ended.wait(SECONDS / SWAPS):
            swaps += 1
            new, old = fleets[swaps % 2], fleets[(swaps - 1) % 2]
            plane.traffic.route(CALLER, "swapped", [new])
            drained.append(plane.traffic.drain(old.id, 10))

    swapping = threading.Thread(target=swap)
    swapping.start()
    host, port = plane.url.removeprefix("http://").split(":")
    try:
        measured = drive(
            (host, int(port)), [exchange(plane, "swapped")],
            clients=CLIENTS, seconds=SECONDS, warm_up=0.2,
        )  # fmt: skip
    finally:
        ended.set()
        swapping.join()
    assert swaps > SWAPS / 2
    assert all(drained)
    plane.traffic.close()
    captured = sum(
        plane.objects.get("captured", each.key).path.read_bytes().count(b"\n")
        for each in plane.objects.list("captured")
    )
    answered = sum(count["requests"] for count in plane.counts)
    assert captured == answered >= len(measured.latencies)
    print(
        f"\n{measured.rate:.0f} requests/s through two containers at {CLIENTS} clients, p99 "
        f"{1000 * percentile(measured.latencies, 99):.1f} ms, longest "
        f"{1000 * max(measured.latencies):.0f} ms; {swaps} swaps, {captured} captured"
    )
