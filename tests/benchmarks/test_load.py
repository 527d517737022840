"""The benchmarks' load counts right answers and nothing else."""

import asyncio
import threading
from contextlib import contextmanager

import pytest

from benchmarks.support import load
from benchmarks.support.executions import BenchmarkError

REQUEST = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n"
RIGHT = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nright"


@contextmanager
def serving(*pieces, after=(RIGHT,), right=20):
    """A server that answers so many requests as it should, then with these pieces."""
    answered = 0
    loop, ready, address = asyncio.new_event_loop(), threading.Event(), []

    async def answer(reader, writer):
        nonlocal answered
        while await reader.readuntil(b"\r\n\r\n"):
            answered += 1
            for piece in after if answered <= right else pieces:
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(0.001)
            if answered > right and not pieces:
                writer.close()
                return

    async def serve():
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        address.append(server.sockets[0].getsockname())
        ready.set()

    def go():
        loop.set_exception_handler(lambda *_: None)  # clients leave as they like
        task = loop.create_task(serve())
        loop.run_forever()
        task.result()

    thread = threading.Thread(target=go, daemon=True)
    thread.start()
    assert ready.wait(10)
    yield address[0]
    loop.call_soon_threadsafe(loop.stop)
    thread.join(10)


def drive(address, *, free=range(0), **more):
    exchanges = [load.Exchange(REQUEST, 200, b"right", free)]
    return load.drive(address, exchanges, **{"clients": 2, "seconds": 0.2, "warm_up": 0.01, **more})


@pytest.mark.parametrize("pieces", [(RIGHT,), (RIGHT[:30], RIGHT[30:50], RIGHT[50:])])
def test_right_answers_are_counted_however_they_come(pieces):
    with serving(*pieces, right=0) as address:
        measured = drive(address)
        assert len(measured.latencies) >= 2
        assert all(0 < each < measured.seconds for each in measured.latencies)
        assert measured.rate == pytest.approx(len(measured.latencies) / measured.seconds)
        assert load.ask(address, REQUEST) == (200, b"right")


@pytest.mark.parametrize(
    "answer",
    [
        RIGHT.replace(b"right", b"wrong"),
        RIGHT.replace(b"200 OK", b"500 No"),
        RIGHT.replace(b"length: 5", b"length: 6") + b"!",
        RIGHT + b"more",
    ],
)
def test_one_wrong_answer_fails_the_load(answer):
    with serving(answer) as address, pytest.raises(BenchmarkError, match="answer must be"):
        drive(address)


def test_free_bytes_may_be_any_and_others_may_not():
    with serving(RIGHT.replace(b"right", b"rivat"), right=0) as address:
        assert len(drive(address, free=range(2, 4)).latencies) >= 2
        with pytest.raises(BenchmarkError, match="answer must be"):
            drive(address, free=range(3, 4))


def test_free_bytes_change_nothing_of_the_length():
    answer = RIGHT.replace(b"right", b"rigght").replace(b"length: 5", b"length: 6")
    with serving(answer) as address, pytest.raises(BenchmarkError, match="answer must be"):
        drive(address, free=range(2, 4))


def test_an_end_of_a_connection_fails_the_load():
    with serving() as address, pytest.raises(BenchmarkError, match="connection ended"):
        drive(address)


def test_a_slow_side_gets_the_time_that_its_clients_answers_take():
    with serving(RIGHT, right=0) as address:
        assert len(drive(address, clients=4, seconds=0.0005, warm_up=0).latencies) >= 8
