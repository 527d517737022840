"""What a serving container's server does with bytes, good and odd: it answers or refuses."""

from __future__ import annotations

import hashlib
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from serving_fixtures import ECHO, UnixConnection, Workshop, ask

from localcloud.containers.environments import Images
from localcloud.containers.runtime import Runtime

DIGEST = """
import hashlib, time

def model_fn(model_dir):
    return None

def transform_fn(model, body, content_type, accept):
    if content_type == "text/x-sleep":
        time.sleep(float(body))
    body = body.encode() if isinstance(body, str) else body
    return hashlib.sha256(body).hexdigest(), "text/plain"
"""
MEGABYTE = 1024 * 1024


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workshop]:
    folder = tmp_path_factory.mktemp("wire")
    runtime = Runtime(folder / "state", Images())
    made = Workshop(runtime, folder)
    yield made
    made.close()
    runtime.close()


@pytest.fixture(scope="module")
def echo(workshop: Workshop) -> Path:
    return workshop.serve(ECHO)[0]


@pytest.fixture(scope="module")
def digest(workshop: Workshop) -> Path:
    return workshop.serve(DIGEST)[0]


def connect(path: Path) -> socket.socket:
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(10)
    client.connect(str(path))
    return client


def read_all(client: socket.socket) -> bytes:
    """What comes until the server closes."""
    received = b""
    while piece := client.recv(65536):
        received += piece
    return received


def post(body: bytes, *headers: str, version: str = "1.1") -> bytes:
    lines = [
        f"POST /invocations HTTP/{version}",
        "Content-Type: text/csv",
        f"Content-Length: {len(body)}",
        *headers,
    ]
    return "".join(f"{line}\r\n" for line in lines).encode() + b"\r\n" + body


POST = b"POST /invocations HTTP/1.1\r\n"
GET = b"GET /ping HTTP/1.1\r\n"


@pytest.mark.parametrize(
    ("sent", "status", "said"),
    [
        (b"\x16\x03\x01\x02\x00\r\n\r\n", 400, "request line"),
        (b"GET /ping\r\n\r\n", 400, "request line"),
        (b"GET /ping SPDY/3\r\n\r\n", 400, "request line"),
        (GET + b"no colon\r\n\r\n", 400, "NAME: VALUE"),
        (GET + b"A: b\r\n folded\r\n\r\n", 400, "NAME: VALUE"),
        (POST + b"Content-Length: -1\r\n\r\n", 400, "must be a number"),
        (POST + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n", 400, "must be a number"),
        (POST + b"Content-Length: \xb2\r\n\r\n", 400, "must be a number"),
        (POST + b"Content-Length: 104857601\r\n\r\n", 413, "104857601"),
        (POST + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n", 413, "at most"),
        (POST + b"Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n", 411, "chunks"),
        (GET + b"A: " + b"b" * 70_000, 431, "head must be at most 65536 bytes"),
        (GET + b"A: " + b"b" * 70_000 + b"\r\n\r\n", 431, "head must be at most 65536 bytes"),
    ],
    ids=range(13),
)
def test_an_odd_request_is_refused_in_words_and_its_connection_ends(
    sent: bytes, status: int, said: str, echo: Path
) -> None:
    with connect(echo) as client:
        client.sendall(sent)
        client.shutdown(socket.SHUT_WR)
        head, _, body = read_all(client).partition(b"\r\n\r\n")
    assert head.startswith(f"HTTP/1.1 {status} ".encode())
    assert b"\r\nConnection: close" in head
    assert said in body.decode()
    assert ask(echo, "1").body == b"1"


def test_a_connection_stays_for_many_requests_and_takes_several_at_once(echo: Path) -> None:
    with connect(echo) as client:
        client.sendall(post(b"1") + post(b"22") + post(b"333", "Connection: close"))
        received = read_all(client)
    assert [part.split(b"\r\n\r\n")[1] for part in received.split(b"HTTP/1.1 200 OK\r\n")[1:]] == [
        b"1", b"22", b"333",
    ]  # fmt: skip


def test_the_connection_of_an_http_1_0_client_ends_with_its_answer(echo: Path) -> None:
    with connect(echo) as client:
        client.sendall(post(b"1", version="1.0"))
        assert read_all(client).endswith(b"\r\n\r\n1")


def test_a_request_may_come_byte_by_byte_while_others_are_answered(echo: Path) -> None:
    request = post(b"slow")
    with connect(echo) as client:
        for number in range(len(request)):
            client.sendall(request[number : number + 1])
            if number % 20 == 0:
                assert ask(echo, "quick").body == b"quick"
        assert client.recv(4096).endswith(b"\r\n\r\nslow")


def test_clients_that_leave_in_the_middle_harm_nobody(digest: Path) -> None:
    for cut in (1, 10, 90, 100):
        with connect(digest) as client:
            client.sendall(post(b"x" * 100)[:cut])
    with connect(digest) as client:  # leaves before its answer
        client.sendall(post(b"0.2").replace(b"text/csv", b"text/x-sleep"))
    assert ask(digest, b"").body.decode() == hashlib.sha256(b"").hexdigest()


def test_more_connections_than_it_takes_are_closed_and_the_others_go_on(echo: Path) -> None:
    with connect(echo) as first:
        crowd = [connect(echo) for _ in range(300)]
        first.sendall(post(b"1"))
        assert first.recv(4096).endswith(b"1")
        for each in crowd:
            each.close()
    assert ask(echo, "again").body == b"again"


@pytest.mark.parametrize("size", [0, 1, 65_400, 65_536, 300_000, 6 * MEGABYTE, 100 * MEGABYTE])
def test_bodies_of_every_size_arrive_whole(size: int, digest: Path) -> None:
    body = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    answer = ask(digest, body, "application/octet-stream")
    assert answer.body.decode() == hashlib.sha256(body).hexdigest()


@pytest.mark.parametrize("size", [250_000, 6 * MEGABYTE, 100 * MEGABYTE])
def test_answers_of_every_size_leave_whole(size: int, echo: Path) -> None:
    body = b"1234567," * (size // 8)
    assert ask(echo, body).body == body


def test_a_client_that_does_not_read_yet_holds_nobody_up_and_loses_nothing(echo: Path) -> None:
    sent = b"12345678" * MEGABYTE
    with connect(echo) as client:
        client.sendall(post(sent, "Connection: close"))
        assert ask(echo, "1", timeout=1).body == b"1"
        assert read_all(client).partition(b"\r\n\r\n")[2] == sent


def test_a_body_that_is_refused_for_its_size_may_be_sent_nevertheless(echo: Path) -> None:
    assert ask(echo, b"x" * (101 * MEGABYTE)).status == 413


def test_requests_are_answered_one_at_a_time(digest: Path) -> None:
    began = time.monotonic()
    threads = [threading.Thread(target=ask, args=(digest, "0.2", "text/x-sleep")) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert time.monotonic() - began >= 0.8


def test_what_waits_for_its_hundred_continue_gets_it(echo: Path) -> None:
    with connect(echo) as client:
        whole = post(b"later", "Expect: 100-continue")
        client.sendall(whole[:-5])
        assert client.recv(4096) == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.sendall(b"later")
        assert client.recv(4096).endswith(b"\r\n\r\nlater")


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_curl_is_served(echo: Path, tmp_path: Path) -> None:
    big = tmp_path / "big"
    big.write_bytes(b"7" * (3 * MEGABYTE))
    command = [
        "curl", "-s", "-S", "--unix-socket", str(echo), "-H", "Content-Type: text/csv",
        "--data-binary", f"@{big}", "http://localhost/invocations",
    ]  # fmt: skip
    began = time.monotonic()
    assert subprocess.run(command, capture_output=True, check=True).stdout == big.read_bytes()
    assert time.monotonic() - began < 1


def test_a_connection_that_is_reused_after_an_error_goes_on(workshop: Workshop) -> None:
    path, _ = workshop.serve(ECHO.replace("return body", "return body[3], body[0:]"))
    connection = UnixConnection(path)
    for body, status in (("a", 500), ("abcd", 200), ("", 500), ("abcd", 200)):
        connection.request("POST", "/invocations", body, {"Content-Type": "text/csv"})
        response = connection.getresponse()
        response.read()
        assert response.status == status
    connection.close()
