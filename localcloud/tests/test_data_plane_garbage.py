"""What the data plane's port is sent by mistake or ill will: nobody else notices anything."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import pytest
from clients import client_of
from hosting_fixtures import VARIANT, House, says

from localcloud.addresses import HOST
from localcloud.testing import TestCloud

pytestmark = pytest.mark.integration
ENDPOINT = "garbage"
SIGNED = (
    b"Authorization: AWS4-HMAC-SHA256 "
    b"Credential=localcloud/20260101/us-east-1/sagemaker/aws4_request\r\n"
)
PATH = b"/endpoints/garbage/invocations"
MOST_BYTES = 6 * 1024 * 1024
_NO_HTTP = (0, *range(400, 500))


def post(
    headers: bytes = b"", body: bytes = b"1", *, path: bytes = PATH, signed: bytes = SIGNED,
    host: bytes = b"Host: localhost\r\n", length: bytes | None = None, method: bytes = b"POST",
) -> bytes:  # fmt: skip
    """A request that is right but for what is given."""
    size = b"Content-Length: %d\r\n" % len(body) if length is None else length
    first = b"%s %s HTTP/1.1\r\n" % (method, path)
    return first + host + signed + size + headers + b"\r\n" + body


def chunked(*chunks: bytes, end: bytes = b"0\r\n\r\n") -> bytes:
    return post(
        body=b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks) + end,
        length=b"Transfer-Encoding: chunked\r\n",
    )


@pytest.fixture(scope="module")
def house(cloud: TestCloud) -> Iterator[House]:
    made = House(cloud)
    made.config("garbage", says("fine"))
    made.endpoint(ENDPOINT, "garbage")
    yield made
    made.drop(ENDPOINT)


@dataclass
class Port:
    """The data plane's port, byte by byte."""

    number: int

    def connect(self) -> socket.socket:
        return socket.create_connection((HOST, self.number), 10)

    def send(self, sent: bytes) -> bytes | None:
        """Send bytes and read an answer; None if there is none and the connection stays open."""
        with self.connect() as client:
            client.settimeout(1.5)
            received = b""
            try:
                with contextlib.suppress(ConnectionError):
                    client.sendall(sent)
                while not _is_whole(received) and (part := client.recv(65536)):
                    received += part
            except ConnectionError:
                return received
            except TimeoutError:
                return None
            return received


def _is_whole(received: bytes) -> bool:
    head, end, body = received.partition(b"\r\n\r\n")
    if not end:
        return False
    _, found, length = head.lower().partition(b"content-length: ")
    return bool(found) and len(body) >= int(length.split(b"\r\n")[0])


@pytest.fixture
def port(house: House) -> Iterator[Port]:
    """While a test uses it, two clients are answered all the time, each within two seconds."""
    with house.load(ENDPOINT, clients=2) as answers:
        house.wait(lambda: len(answers) > 5)
        yield Port(house.cloud.address.data_port)
        before = len(answers)
        house.wait(lambda: len(answers) > before + 5, 2)
    assert set(answers) == {"fine"}
    assert house.ask(ENDPOINT) == "fine"


def status(received: bytes | None) -> int | None:
    """The status of an answer; 0 if the connection was closed, None if the other side waits."""
    if not received:
        return None if received is None else 0
    return int(received.split(b" ", 2)[1])


def test_a_right_request_is_answered(port: Port) -> None:
    """So that what makes the others wrong is what they change."""
    for sent in (post(), chunked(b"1"), chunked(b"1", b"2" * 5000), post(body=b"")):
        received = port.send(sent)
        assert status(received) == 200
        assert received is not None
        assert received.endswith(b"fine")


BAD_LINES = {
    "a word": b"hello\r\n\r\n",
    "no version": b"POST " + PATH + b"\r\n\r\n",
    "another protocol": b"POST " + PATH + b" SPDY/3\r\n\r\n",
    "a version to come": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "an unknown version": b"POST " + PATH + b" HTTP/7.3\r\nHost: localhost\r\n\r\n",
    "TLS": bytes.fromhex("16030100c8010000c40303") + b"\x00" * 200,
    "NUL": b"\x00" * 64 + b"\r\n\r\n",
    "random bytes": bytes(range(128, 256)) * 8 + b"\r\n\r\n",
    "a blank in the path": post(path=b"/endpoints/gar bage/invocations"),
    "bytes in the path": post(path=b"/endpoints/\xff\xfe/invocations"),
    "a line end in the path": post(path=b"/endpoints/x\n/invocations"),
    "an unknown method": post(method=b"BREW"),
    "a method in small letters": post(method=b"post"),
    "CONNECT": post(method=b"CONNECT", path=b"example.com:443"),
    "a header without a colon": post(b"Accept application/json\r\n"),
    "a header without a name": post(b": x\r\n"),
    "a blank before the colon": post(b"Accept : text/csv\r\n"),
    "a header with a NUL": post(b"Accept: a\x00b\r\n"),
    "a path of 100 kB": post(path=b"/" + b"x" * 100_000),
    "a header with a bare line feed": post(b"Accept: a\nX: b\r\n", length=b"Content-Length: x\r\n"),
    "a header of 1 MB": post(b"X-Much: " + b"x" * 1_000_000 + b"\r\n", signed=b""),
    "100,000 headers": post(b"X-Many: x\r\n" * 100_000, signed=b""),
}
ENDLESS = {
    "empty lines": b"\r\n\r\n",
    "a header that never ends": b"POST / HTTP/1.1\r\nX: " + b"x" * 3_000_000,
    "a body that never comes": post(length=b"Content-Length: 5\r\n"),
    "a last chunk that never comes": chunked(b"1", end=b""),
}
LENGTHS = {
    "no number": post(length=b"Content-Length: many\r\n"),
    "negative": post(length=b"Content-Length: -1\r\n"),
    "a plus": post(length=b"Content-Length: +1\r\n"),
    "hexadecimal": post(length=b"Content-Length: 0x1\r\n"),
    "two that differ": post(length=b"Content-Length: 1\r\nContent-Length: 2\r\n"),
    "a list": post(length=b"Content-Length: 1, 1\r\n"),
    "beyond 64 bits": post(length=b"Content-Length: 99999999999999999999999\r\n"),
    "of 5,000 digits": post(length=b"Content-Length: " + b"9" * 5000 + b"\r\n"),
    "both": post(length=b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n"),
    "unknown coding": post(length=b"Transfer-Encoding: x\r\n"),
    "chunked not last": post(length=b"Transfer-Encoding: chunked, gzip\r\n"),
    "a chunk's size is no number": post(
        body=b"zz\r\n1\r\n0\r\n\r\n", length=b"Transfer-Encoding: chunked\r\n"
    ),
    "a chunk's size is too great": post(
        body=b"f" * 40 + b"\r\n1", length=b"Transfer-Encoding: chunked\r\n"
    ),
    "a chunk is longer than it says": post(
        body=b"1\r\n12345\r\n0\r\n\r\n", length=b"Transfer-Encoding: chunked\r\n"
    ),
}
REFUSED = {
    "no signature": (post(signed=b""), 403),
    "another signature": (post(signed=b"Authorization: Basic bG9jYWw=\r\n"), 403),
    "a signature without a scope": (post(signed=b"Authorization: AWS4-HMAC-SHA256 x\r\n"), 403),
    "another region": (post(signed=SIGNED.replace(b"us-east-1", b"eu-west-1")), 400),
    "no host": (post(host=b""), 403),
    "a foreign host": (post(host=b"Host: evil.example\r\n"), 403),
    "a foreign host like ours": (post(host=b"Host: localhost.evil.example\r\n"), 403),
    "a foreign origin": (post(b"Origin: https://evil.example\r\n"), 403),
    "an origin of null": (post(b"Origin: null\r\n"), 403),
    "the root": (post(path=b"/"), 404),
    "another path": (post(path=b"/2015-03-31/functions/x/invocations"), 404),
    "a path that goes up": (post(path=b"/endpoints/../../etc/passwd"), 404),
    "a path of 50 kB": (post(path=b"/" + b"x" * 50_000), 404),
    "a name of 50 kB": (post(path=b"/endpoints/" + b"x" * 50_000 + b"/invocations"), 400),
    "an encoded slash": (post(path=b"/endpoints/a%2Fb/invocations"), 400),
    "an encoded NUL": (post(path=b"/endpoints/%00/invocations"), 400),
    "no UTF-8": (post(path=b"/endpoints/%ff/invocations"), 400),
    "half an encoding": (post(path=b"/endpoints/%f/invocations"), 400),
    "no name": (post(path=b"/endpoints//invocations"), 400),
    "no such endpoint": (post(path=b"/endpoints/other/invocations"), 400),
    "GET": (post(method=b"GET"), 405),
    "PUT": (post(method=b"PUT"), 405),
    "DELETE": (post(method=b"DELETE"), 405),
    "OPTIONS": (post(method=b"OPTIONS"), 405),
    "over 6 MB": (post(body=b"x" * (MOST_BYTES + 1)), 413),
    "over 6 MB as it says": (post(length=b"Content-Length: 999999999999\r\n"), 413),
    "over 6 MB in chunks": (chunked(*[b"x" * 65536] * 97), 413),
    "no such variant": (post(b"X-Amzn-SageMaker-Target-Variant: \xff\r\n"), 400),
    "a long type": (post(b"Content-Type: text/csv;" + b"x" * 2000 + b"\r\n"), 400),
    "a type of 100 kB": (post(b"Content-Type: " + b"x" * 100_000 + b"\r\n"), 400),
    "a long Accept": (post(b"Accept: text/csv," + b"x" * 2000 + b"\r\n"), 400),
    "an Accept of 100 kB": (post(b"Accept: " + b"x" * 100_000 + b"\r\n"), 400),
    "a type that is not ASCII": (post(b"Content-Type: text/csv; x=\xe9\r\n"), 400),
    "an Accept that is not ASCII": (post(b"Accept: \xff\r\n"), 400),
    "long attributes": (
        post(b"X-Amzn-SageMaker-Custom-Attributes: " + b"x" * 2000 + b"\r\n"), 400,
    ),
    "attributes that are not ASCII": (
        post(b"X-Amzn-SageMaker-Custom-Attributes: \xff\r\n"), 400,
    ),
}  # fmt: skip


def test_what_is_no_http_is_a_400_or_a_closed_connection(port: Port) -> None:
    found = {name: status(port.send(sent)) for name, sent in (BAD_LINES | LENGTHS).items()}
    assert {name: code for name, code in found.items() if code not in _NO_HTTP} == {}


def test_what_is_not_whole_is_waited_for(port: Port) -> None:
    with ThreadPoolExecutor(len(ENDLESS)) as pool:
        found = [status(each) for each in pool.map(port.send, ENDLESS.values())]
    assert dict(zip(ENDLESS, found, strict=True)) == dict.fromkeys(ENDLESS)


def test_what_is_against_the_rules_is_refused_by_its_own_status(port: Port) -> None:
    found = {name: status(port.send(sent)) for name, (sent, _) in REFUSED.items()}
    assert found == {name: code for name, (_, code) in REFUSED.items()}


def test_a_second_request_in_the_rest_of_a_body_is_one_of_its_own(port: Port) -> None:
    """What comes after a body's length is read as a request, and refused as what it is."""
    hidden = b"GET /hidden HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with port.connect() as client:
        client.sendall(post() + hidden)
        received = b""
        while received.count(b"HTTP/1.1 ") < 2:
            received += client.recv(65536)
    assert received.startswith(b"HTTP/1.1 200 ")
    assert b"HTTP/1.1 404 " in received
    hidden = b"rubbish" * 100
    rest = port.send(post(body=b"1" + hidden, length=b"Content-Length: 1\r\n"))
    assert status(rest) in (200, 400)


@pytest.mark.parametrize("kind", ["idle", "half a head", "slow body", "slow chunks"])
def test_two_hundred_connections_that_say_nothing_or_little_hold_nobody_up(
    port: Port, kind: str
) -> None:
    begun = {
        "idle": b"",
        "half a head": b"POST " + PATH + b" HTTP/1.1\r\nHost: local",
        "slow body": post(length=b"Content-Length: 1000\r\n"),
        "slow chunks": chunked(b"1", end=b""),
    }[kind]
    more = {"idle": b"", "half a head": b"h", "slow body": b"1", "slow chunks": b"1\r\n1\r\n"}
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(port.connect()) for _ in range(200)]
        for client in clients:
            client.sendall(begun)
        for _ in range(3):
            time.sleep(0.3)
            for client in clients:
                client.sendall(more[kind])
            began = time.monotonic()
            assert status(port.send(post())) == 200
            assert time.monotonic() - began < 2
        silent = 0
        for client in clients:
            client.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                client.recv(1)
                continue
            silent += 1
    assert silent == 200  # nobody was answered what he had not asked


def test_clients_that_go_away_in_the_middle_leave_nothing_behind(port: Port) -> None:
    def leave(sent: bytes) -> None:
        for _ in range(20):
            with port.connect() as client:
                client.sendall(sent)

    parts = [b"", post()[:40], post(length=b"Content-Length: 100\r\n"), post(), chunked(b"1")[:-3]]
    threads = [threading.Thread(target=leave, args=(sent,)) for sent in parts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_what_a_client_did_not_send_to_its_end_reaches_no_model(house: House) -> None:
    house.endpoint("abandoned", "garbage")
    path = b"/endpoints/abandoned/invocations"
    port = Port(house.cloud.address.data_port)
    parts = [post(path=path, body=b"", length=b"Content-Length: %d\r\n" % size) for size in (1, 9)]
    parts += [
        parts[1] + b"1234",
        post(path=path, body=b"", length=b"Transfer-Encoding: chunked\r\n"),
    ]
    for sent in parts * 5:
        with port.connect() as client:
            client.sendall(sent)
            time.sleep(0.02)
    assert house.ask("abandoned") == "fine"
    counted = partial(_invocations, house, "abandoned")
    house.wait(counted)
    time.sleep(1.5)
    assert counted() == 1
    house.drop("abandoned")


def _invocations(house: House, endpoint: str) -> float:
    now = time.time()
    found = client_of(house.cloud, "cloudwatch").get_metric_statistics(
        Namespace="AWS/SageMaker",
        MetricName="Invocations",
        Dimensions=[
            {"Name": "EndpointName", "Value": endpoint},
            {"Name": "VariantName", "Value": VARIANT},
        ],
        StartTime=now - 3600,
        EndTime=now + 60,
        Period=60,
        Statistics=["Sum"],
    )
    return sum(float(point["Sum"]) for point in found["Datapoints"])
