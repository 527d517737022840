"""The data plane by itself: boto3 in front, small containers behind Unix sockets, no gateway."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import BotoCoreError, ClientError
from data_plane_fixtures import CALLER, CAPTURE, Plane, captured
from waiting import wait_until

from localcloud.traffic import ContainerRoute, FleetRoute, Traffic, VariantRoute


def test_nobody_is_refused_before_all_routes_are_known(plane: Plane, tmp_path: Path) -> None:
    """A data plane that starts is told first, and answers then."""
    listener = socket.create_server(("127.0.0.1", 0))
    traffic = Traffic(tmp_path / "second", "000000000000", plane.objects, {})
    fleet = plane.serve("early", "early")
    began = time.monotonic()
    traffic.route(CALLER, "early", [fleet])
    assert time.monotonic() - began < 5  # there is nobody yet to wait for
    traffic.open(listener)
    second = Plane(tmp_path, traffic, plane.objects, _url(listener), [])
    try:
        answer = second.client().invoke_endpoint(EndpointName="early", Body=b"1")
        assert answer["Body"].read().startswith(b"early")
    finally:
        traffic.close()


def _url(listener: socket.socket) -> str:
    return f"http://127.0.0.1:{listener.getsockname()[1]}"


def test_a_request_passes_the_containers_in_their_order(plane: Plane) -> None:
    plane.traffic.route(CALLER, "chain", [plane.serve("1", "a", "b")])
    answer = plane.client().invoke_endpoint(
        EndpointName="chain", Body=b"x", ContentType="text/csv", Accept="application/json",
        CustomAttributes="trace=1",
    )  # fmt: skip
    assert answer["Body"].read() == b"b a x"
    assert answer["InvokedProductionVariant"] == "AllTraffic"
    # Parameters of a type are dropped between containers; the last one's answer is told as it is.
    assert answer["ContentType"] == "text/csv; charset=utf-8"
    assert answer["CustomAttributes"] == "trace=1 application/json"


@pytest.mark.parametrize(
    ("arguments", "code", "status", "words"),
    [
        ({"EndpointName": "nobody"}, "ValidationError", 400, "Endpoint nobody of account"),
        ({"TargetVariant": "other"}, "ValidationError", 400, "Variant 'other' was not found"),
        ({"TargetModel": "m.tar.gz"}, "ValidationError", 400, "multi-model"),
        ({"TargetContainerHostname": "h"}, "ValidationError", 400, "serial pipeline"),
        ({"InferenceId": "i" * 65}, "ValidationError", 400, "InferenceId"),
        ({"CustomAttributes": "a" * 1025}, "ValidationError", 400, "CustomAttributes"),
        ({"Body": b"x" * (6 * 1024 * 1024 + 1)}, "413", 413, "exceeded 6291456 bytes"),
    ],
)
def test_a_request_against_the_rules_is_refused(
    plane: Plane, arguments: dict[str, Any], code: str, status: int, words: str
) -> None:
    plane.traffic.route(CALLER, "rules", [plane.serve("1", "a")])
    client = plane.client(parameter_validation=False)
    with pytest.raises(ClientError) as refused:
        client.invoke_endpoint(**{"EndpointName": "rules", "Body": b"x"} | arguments)
    error = refused.value.response
    assert error["Error"]["Code"] == code
    assert error["ResponseMetadata"]["HTTPStatusCode"] == status
    assert words in error["Error"]["Message"]


def test_a_body_of_the_greatest_size_passes(plane: Plane) -> None:
    plane.traffic.route(CALLER, "big", [plane.serve("1", "a")])
    body = os.urandom(6 * 1024 * 1024)
    answer = plane.client().invoke_endpoint(EndpointName="big", Body=body)["Body"].read()
    assert answer == b"a " + body


@pytest.mark.parametrize(("status", "side"), [(400, "client"), (415, "client"), (503, "server")])
def test_what_a_container_refuses_is_a_model_error(plane: Plane, status: int, side: str) -> None:
    plane.traffic.route(CALLER, "errors", [plane.serve("1", "a")])
    with pytest.raises(ClientError) as refused:
        plane.client().invoke_endpoint(
            EndpointName="errors", Body=f"status {status} row 3 is bad".encode()
        )
    error = refused.value.response
    assert error["Error"]["Code"] == "ModelError"
    assert error["ResponseMetadata"]["HTTPStatusCode"] == 424
    assert error["OriginalStatusCode"] == status
    assert error["OriginalMessage"] == "row 3 is bad"
    assert error["LogStreamArn"].endswith(
        "log-group:/aws/sagemaker/Endpoints/errors:log-stream:AllTraffic/i-1/a"
    )
    assert f"Received {side} error ({status}) from host-a" in error["Error"]["Message"]


def test_an_error_names_the_log_of_the_instance_that_it_came_from(plane: Plane) -> None:
    names = ("a", "b")
    route = ContainerRoute(
        "primary",
        tuple(plane.container(name) for name in names),
        tuple(f"AllTraffic/i-{name}" for name in names),
    )
    variant = VariantRoute("AllTraffic", 1.0, (route,))
    plane.traffic.route(CALLER, "several", [FleetRoute("1", "c", 1.0, (variant,))])
    client, streams = plane.client(), set()
    for number in range(20):
        with pytest.raises(ClientError) as refused:
            client.invoke_endpoint(EndpointName="several", Body=b"status 500 %d" % number)
        streams.add(refused.value.response["LogStreamArn"].rpartition(":log-stream:")[2])
    assert streams == {"AllTraffic/i-a", "AllTraffic/i-b"}


def test_a_fleet_that_is_dropped_keeps_nobody_waiting(plane: Plane) -> None:
    """Neither the request that a process has, nor the one that waits for a process."""
    plane.traffic.route(CALLER, "dropped", [plane.serve("1", "a")])
    errors: list[int | str] = []
    client = plane.client()

    def ask() -> None:
        try:
            client.invoke_endpoint(EndpointName="dropped", Body=b"sleep 30")
        except ClientError as error:
            errors.append(error.response.get("OriginalStatusCode", str(error)))

    asking = [threading.Thread(target=ask) for _ in range(3)]
    for thread in asking:
        thread.start()
    time.sleep(1)
    assert not errors
    plane.traffic.forget(CALLER, "dropped")
    plane.traffic.drop("1")
    for thread in asking:
        thread.join(10)
    assert errors == [500, 500, 500]


def test_a_container_that_dies_loses_its_request_and_no_other(plane: Plane) -> None:
    route = plane.serve("1", "a")
    plane.traffic.route(CALLER, "mortal", [route])
    client = plane.client()
    with pytest.raises(ClientError) as lost:
        client.invoke_endpoint(EndpointName="mortal", Body=b"die")
    assert lost.value.response["OriginalStatusCode"] == 500
    answers: list[bytes] = []
    waiting = threading.Thread(
        target=lambda: answers.append(
            client.invoke_endpoint(EndpointName="mortal", Body=b"x")["Body"].read()
        )
    )
    waiting.start()
    time.sleep(0.3)
    assert not answers
    plane.container("a")
    waiting.join(5)
    assert answers == [b"a x"]


def test_a_process_that_dies_before_it_has_taken_a_request_loses_none(plane: Plane) -> None:
    """The system makes connections to a dying process, for which nobody will answer."""
    path = plane.sockets / "dying"
    with socket.socket(socket.AF_UNIX) as dying:
        dying.bind(str(path))
        dying.listen()
        route = ContainerRoute("host-dying", (str(path),), ("AllTraffic/i-1/dying",))
        variant = VariantRoute("AllTraffic", 1.0, (route,))
        plane.traffic.route(CALLER, "dying", [FleetRoute("1", "c", 1.0, (variant,))])
        answers: list[bytes] = []
        asking = threading.Thread(
            target=lambda: answers.append(
                plane.client().invoke_endpoint(EndpointName="dying", Body=b"x")["Body"].read()
            )
        )
        asking.start()
        time.sleep(0.3)
    assert plane.container("dying") == str(path)
    asking.join(10)
    assert answers == [b"dying x"]


def test_requests_wait_for_their_turn(plane: Plane) -> None:
    plane.traffic.route(CALLER, "turns", [plane.serve("1", "a")])
    client = plane.client(max_pool_connections=20)
    results: list[bytes] = []

    def ask(number: int) -> None:
        answer = client.invoke_endpoint(EndpointName="turns", Body=f"sleep 0.02 {number}".encode())
        results.append(answer["Body"].read())

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == sorted(f"a sleep 0.02 {number}".encode() for number in range(20))


def test_shares_and_weights_divide_the_requests(plane: Plane) -> None:
    one = FleetRoute("1", "c1", 1.0, (plane.variant("a", variant="A", weight=3.0),
                                      plane.variant("b", variant="B", weight=1.0)))  # fmt: skip
    two = FleetRoute("2", "c2", 1.0, (plane.variant("c", variant="A"),))
    plane.traffic.route(CALLER, "mixed", [one, two])
    client = plane.client()
    counts: dict[bytes, int] = {}
    for _ in range(400):
        name = client.invoke_endpoint(EndpointName="mixed", Body=b"")["Body"].read()
        counts[name] = counts.get(name, 0) + 1
    assert 140 < counts[b"c "] < 260
    assert 1.5 < counts[b"a "] / counts[b"b "] < 6
    # One that is asked for gets the request whatever its weight.
    only = FleetRoute("1", "c1", 1.0, one.variants)
    plane.traffic.route(CALLER, "mixed", [only])
    asked = client.invoke_endpoint(EndpointName="mixed", Body=b"", TargetVariant="B")
    assert asked["Body"].read() == b"b "


class Load:
    """Requests one after the other from some clients, until it is told to end."""

    def __init__(self, plane: Plane, endpoint: str, clients: int = 4) -> None:
        self.answers: list[bytes] = []
        self.errors: list[Exception] = []
        self.longest = 0.0
        self._end = threading.Event()
        self._threads = [
            threading.Thread(target=self._ask, args=(plane.client(), endpoint))
            for _ in range(clients)
        ]
        for thread in self._threads:
            thread.start()

    def _ask(self, client: Any, endpoint: str) -> None:
        while not self._end.is_set():
            began = time.monotonic()
            try:
                answer = client.invoke_endpoint(EndpointName=endpoint, Body=b"x")
                self.answers.append(answer["Body"].read())
            except (ClientError, BotoCoreError) as error:
                self.errors.append(error)
            self.longest = max(self.longest, time.monotonic() - began)

    def end(self) -> None:
        self._end.set()
        for thread in self._threads:
            thread.join()


def test_fleets_replace_each_other_without_losing_a_request(plane: Plane) -> None:
    fleets = [plane.serve(f"f{number}", f"a{number}", f"b{number}") for number in range(2)]
    plane.traffic.route(CALLER, "swap", [fleets[0]])
    load = Load(plane, "swap")
    for number in range(1, 8):
        time.sleep(0.3)
        new, old = fleets[number % 2], fleets[(number - 1) % 2]
        plane.traffic.route(CALLER, "swap", [new])
        assert plane.traffic.drain(old.id, 5)
    load.end()
    assert load.errors == []
    assert set(load.answers) == {b"b0 a0 x", b"b1 a1 x"}
    assert len(load.answers) > 60  # a busy machine answers less


def test_it_ends_with_a_gateway_that_was_killed_before_it_had_read_all(tmp_path: Path) -> None:
    """Nobody would end it, and it would hold the port."""
    orders, theirs = socket.socketpair()
    with theirs, socket.create_server(("127.0.0.1", 0)) as listener:
        command = [
            sys.executable, "-m", "localcloud.dataplane",
            "--account", CALLER.account, "--captures", str(tmp_path),
            "--orders", str(theirs.fileno()), "--listener", str(listener.fileno()),
        ]  # fmt: skip
        process = subprocess.Popen(command, pass_fds=[theirs.fileno(), listener.fileno()])
    try:
        assert orders.recv(1, socket.MSG_PEEK)  # it says that it is ready; nobody reads that
        orders.sendall(b'{"do": "serve"}\n')
        orders.close()
        assert process.wait(10) == 0
    finally:
        process.kill()


def test_a_killed_data_plane_is_back_at_once(plane: Plane) -> None:
    plane.traffic.route(CALLER, "back", [plane.serve("1", "a", capture=CAPTURE)])
    load = Load(plane, "back")
    time.sleep(0.5)
    first = plane.traffic.pid
    assert first is not None
    os.kill(first, signal.SIGKILL)
    before = len(load.answers)
    wait_until(lambda: len(load.answers) > before + 50)
    load.end()
    assert plane.traffic.pid != first
    # Only requests that it had in its hands are lost.
    assert len(load.errors) <= 4
    assert load.longest < 5
    plane.traffic.close()
    assert len(captured(plane)) > 50


def test_what_is_captured_is_whole_and_in_its_place(plane: Plane) -> None:
    plane.traffic.route(CALLER, "seen", [plane.serve("1", "a", capture=CAPTURE)])
    client = plane.client()
    for number in range(50):
        client.invoke_endpoint(
            EndpointName="seen", Body=f"{number},ü".encode(), ContentType="text/csv",
            InferenceId=f"id-{number}", CustomAttributes="why=test",
        )  # fmt: skip
    client.invoke_endpoint(EndpointName="seen", Body=b"\xff", ContentType="image/png")
    with pytest.raises(ClientError):
        client.invoke_endpoint(EndpointName="seen", Body=b"status 400 no")
    plane.traffic.close()
    records = captured(plane)
    assert len(records) == 51
    first = next(r for r in records if r["eventMetadata"].get("inferenceId") == "id-0")
    assert first["eventVersion"] == "0"
    assert first["eventMetadata"]["customAttributes"] == ["why=test"]
    assert time.strptime(first["eventMetadata"]["inferenceTime"], "%Y-%m-%dT%H:%M:%SZ")
    assert first["captureData"] == {
        "endpointInput": {
            "observedContentType": "text/csv", "mode": "INPUT", "data": "0,ü", "encoding": "CSV",
        },
        "endpointOutput": {
            "observedContentType": "text/csv; charset=utf-8", "mode": "OUTPUT", "data": "a 0,ü",
            "encoding": "CSV",
        },
    }  # fmt: skip
    picture = next(r for r in records if "inferenceId" not in r["eventMetadata"])
    assert picture["captureData"]["endpointInput"]["encoding"] == "BASE64"
    assert picture["captureData"]["endpointInput"]["data"] == "/w=="
    key = next(iter(plane.objects.list("captured"))).key
    assert key.startswith("from/here/seen/AllTraffic/")
    moment = time.strptime(key.removeprefix("from/here/seen/AllTraffic/")[:19], "%Y/%m/%d/%H/%M-%S")
    assert moment
    assert not list((plane.folder / "captures").iterdir())


def test_a_cut_off_line_of_a_killed_process_is_left_out(plane: Plane, tmp_path: Path) -> None:
    plane.traffic.close()
    folder = tmp_path / "captures"
    note = {"region": "us-east-1", "uri": "s3://captured/k.jsonl"}
    (folder / "torn.json").write_text(json.dumps(note))
    (folder / "torn.jsonl").write_text('{"a": 1}\n{"b": ')
    listener = socket.create_server(("127.0.0.1", 0))
    again = Traffic(tmp_path, "000000000000", plane.objects, {})
    again.open(listener)
    again.close()
    assert plane.objects.get("captured", "k.jsonl").path.read_text() == '{"a": 1}\n'


def test_every_request_is_counted_by_how_it_ended(plane: Plane) -> None:
    plane.traffic.route(CALLER, "counted", [plane.serve("1", "a")])
    client = plane.client()
    for body in (b"x", b"x", b"status 400 a", b"status 500 b"):
        try:
            client.invoke_endpoint(EndpointName="counted", Body=body)
        except ClientError:
            continue
    plane.traffic.close()
    assert {(c["endpoint"], c["config"], c["variant"]) for c in plane.counts} == {
        ("counted", "config-1", "AllTraffic")
    }
    for name, wanted in {
        "requests": 4, "client_errors": 1, "server_errors": 1, "model_errors": 2,
    }.items():  # fmt: skip
        assert sum(count[name] for count in plane.counts) == wanted
    assert all(count["model"]["total"] > 0 for count in plane.counts)


def test_latencies_are_told_to_the_microsecond(plane: Plane) -> None:
    plane.traffic.route(CALLER, "timed", [plane.serve("1", "a")])
    client = plane.client()
    began = time.perf_counter()
    for _ in range(20):
        client.invoke_endpoint(EndpointName="timed", Body=b"sleep 0.0027")
    whole = 1e6 * (time.perf_counter() - began)
    plane.traffic.close()
    model = [count["model"] for count in plane.counts]
    overhead = [count["overhead"] for count in plane.counts]
    assert min(each["minimum"] for each in model) > 2700
    assert min(each["minimum"] for each in overhead) > 0
    assert 20 * 2700 < sum(each["total"] for each in [*model, *overhead]) < whole
    assert sum(each["total"] for each in model) % 1000 != 0


def test_only_this_machine_may_ask(plane: Plane) -> None:
    import urllib.error
    import urllib.request

    for headers, status in (({"Host": "evil.example"}, 403), ({"Origin": "https://evil"}, 403)):
        request = urllib.request.Request(f"{plane.url}/endpoints/x/invocations", b"x", headers)
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(request)
        assert refused.value.code == status


def _connect(plane: Plane) -> socket.socket:
    host, _, port = plane.url.rpartition("/")[2].partition(":")
    return socket.create_connection((host, int(port)), timeout=10)


HEAD = (
    b"POST /endpoints/http/invocations HTTP/1.1\r\nHost: localhost\r\n"
    b"Authorization: AWS4-HMAC-SHA256 Credential=a/20260101/us-east-1/sagemaker/aws4_request\r\n"
)


def test_an_answer_comes_in_one_piece(plane: Plane) -> None:
    """A client need not be woken twice; two requests at once are answered in their order."""
    plane.traffic.route(CALLER, "http", [plane.serve("1", "a")])
    with _connect(plane) as client:
        for body in 100 * (b"x", b"yy"):
            client.sendall(HEAD + b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
            answer = client.recv(65536)
            assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
            assert answer.endswith(b"\r\n\r\na " + body)
        client.sendall(2 * (HEAD + b"Content-Length: 1\r\n\r\n1"))
        both = b""
        while both.count(b"HTTP/1.1 200 OK\r\n") < 2 or not both.endswith(b"a 1"):
            received = client.recv(65536)
            assert received, both
            both += received


def test_a_client_is_told_to_go_on_before_it_sends_a_body(plane: Plane) -> None:
    plane.traffic.route(CALLER, "http", [plane.serve("1", "a")])
    with _connect(plane) as client:
        client.sendall(HEAD + b"Content-Length: 1\r\nExpect: 100-continue\r\n\r\n")
        assert client.recv(65536) == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.sendall(b"1")
        assert client.recv(65536).endswith(b"\r\n\r\na 1")


def test_an_answer_is_whole_before_its_connection_is_closed(plane: Plane) -> None:
    plane.traffic.route(CALLER, "http", [plane.serve("1", "a")])
    with _connect(plane) as client:
        client.sendall(HEAD + b"Connection: close\r\nContent-Length: 1\r\n\r\n1")
        answer = b""
        while received := client.recv(65536):
            answer += received
        assert answer.endswith(b"\r\n\r\na 1")
