"""The gateway's process: `python -m localcloud.server --state FOLDER --port NUMBER`."""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import fcntl
import json
import logging
import os
import signal
import socket
import sys
import threading
import time
from pathlib import Path
from types import FrameType
from typing import IO, TYPE_CHECKING

from localcloud.addresses import HOST, SERVER_FILE, Address
from localcloud.errors import UnusableState, is_disk_full

if TYPE_CHECKING:
    from cheroot.wsgi import Server

THREADS = 32
_BACKLOG = 256
_ENDING_SECONDS = 1.0
_M_MMAP_THRESHOLD, _M_ARENA_MAX = -3, -8  # malloc.h


def main(arguments: list[str] | None = None) -> int:
    """Serve until SIGTERM. Whoever started this reads standard output: `ready` or one sentence."""
    parser = argparse.ArgumentParser(prog="localcloud.server")
    parser.add_argument("--state", type=Path, required=True)
    parser.add_argument("--port", type=int, required=True)
    options = parser.parse_args(arguments)
    _give_memory_back()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    state: Path = options.state
    try:
        state.mkdir(parents=True, exist_ok=True)
        lock = (state / "lock").open("a")
    except OSError as error:
        return _refuse(f"The state folder {state} cannot be written ({error.strerror}).")
    with lock:
        if not _locked(lock):
            return _refuse(f"Another localcloud uses the state folder {state}.")
        return _serve(state, options.port)


def _locked(lock: IO[str]) -> bool:
    """Lock the state folder; a localcloud that was just killed may hold it a moment longer."""
    until = time.monotonic() + _ENDING_SECONDS
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > until:
                return False
            time.sleep(0.02)
        else:
            return True


def _give_memory_back() -> None:
    """Let glibc return freed blocks to the system, and keep no heap for each thread.

    Large uploads would stay in the process, and 32 threads' heaps are mostly empty.
    """
    with contextlib.suppress(OSError, AttributeError):
        libc = ctypes.CDLL(None)
        libc.mallopt(_M_MMAP_THRESHOLD, 256 * 1024)
        libc.mallopt(_M_ARENA_MAX, 2)


def _serve(state: Path, port: int) -> int:
    from cheroot.wsgi import Server  # noqa: PLC0415 - after the lock: a refusal is quick

    from localcloud.clock import Clock  # noqa: PLC0415
    from localcloud.cloud import Cloud  # noqa: PLC0415

    server = Server((HOST, port), None, numthreads=THREADS, request_queue_size=128)
    try:
        server.prepare()
    except OSError as error:
        return _refuse(
            f"Port {port} is taken ({error}). Stop what uses it, or choose another one with "
            "LOCALCLOUD_PORT."
        )
    address = Address(state, port)
    try:
        # It ends a data plane that outlived its gateway, which may hold the port.
        cloud = Cloud(address, Clock.from_environment(os.environ))
    except Exception as error:  # noqa: BLE001 - whoever waits for `ready` gets a sentence
        server.stop()
        return _refuse(_why_not(state, error))
    try:
        listener = socket.create_server((HOST, address.data_port), backlog=_BACKLOG)
    except OSError as error:
        server.stop()
        return _refuse(
            f"Port {address.data_port} is taken ({error}); it is for requests to endpoints, always "
            "the one after LOCALCLOUD_PORT. Stop what uses it, or choose another LOCALCLOUD_PORT."
        )
    try:
        cloud.open(listener)
        server.wsgi_app = cloud.gateway
        _write_server_file(state, port)
    except Exception as error:  # noqa: BLE001 - as above
        server.stop()
        return _refuse(_why_not(state, error))
    stop = threading.Event()

    def end(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    threading.Thread(target=server.serve, name="gateway", daemon=True).start()
    print("ready", flush=True)
    stop.wait()
    cloud.close()
    _stop(server, port)
    (state / SERVER_FILE).unlink(missing_ok=True)
    # Threads of jobs that were just ended may still be telling the store; their word is not needed.
    os._exit(0)


def _why_not(state: Path, error: Exception) -> str:
    """The sentence for what kept a localcloud from opening its state folder."""
    if isinstance(error, UnusableState):
        return str(error)
    if is_disk_full(error):
        return f"The disk of the state folder {state} is full. Free some space, and try again."
    logging.getLogger(__name__).error("did not start", exc_info=error)
    return (
        f"It did not start ({type(error).__name__}: {error}). Nothing was deleted; "
        f"the log is {state / 'server.log'}"
    )


def _stop(server: Server, port: int) -> None:
    """Stop cheroot, which looks up from its wait twice a second, or when somebody knocks."""
    ending = threading.Thread(target=server.stop)
    ending.start()
    while ending.is_alive():
        with contextlib.suppress(OSError):
            socket.create_connection((HOST, port), 0.1).close()
        ending.join(0.02)


def _write_server_file(state: Path, port: int) -> None:
    path = state / SERVER_FILE
    temporary = path.with_suffix(".new")
    temporary.write_text(json.dumps({"pid": os.getpid(), "port": port}))
    temporary.replace(path)


def _refuse(sentence: str) -> int:
    # Who started it reads one line.
    print(f"refused {' '.join(sentence.split())}", flush=True)
    return 1


if __name__ == "__main__":
    sys.exit(main())
