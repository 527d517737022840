"""The server's process, from outside: started, asked, stopped."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from localcloud.addresses import SERVER_FILE, Address

_ANSWER_SECONDS = 5.0
_ENDING_SECONDS = 5.0
_LONGEST_SECONDS = 600.0
_STOP_SECONDS = 20.0


class Refused(Exception):  # noqa: N818 - reads as the sentence it makes
    """What was asked for cannot be done; the text is one sentence for a person."""


def ensure_up(address: Address) -> bool:
    """See that the server of this state folder answers; whether it had to be started.

    Raises Refused: something else is at the port, or it does not start.
    """
    status = ask(address)
    if status is None:
        _start(address)
        return True
    require_ours(address, status)
    return False


def ask(address: Address) -> dict[str, Any] | None:
    """The status of whoever answers at the port; None if nobody does.

    A killed server's port still lets callers in, and resets them, until the kernel has freed its
    memory: such an answer is asked for again.
    """
    until = time.monotonic() + _ENDING_SECONDS
    while True:
        try:
            return _request(address, "status", None, _ANSWER_SECONDS)
        except (OSError, ValueError, http.client.HTTPException) as error:
            reason = error.reason if isinstance(error, urllib.error.URLError) else error
            if isinstance(reason, ConnectionRefusedError):
                return None
            if not isinstance(reason, ConnectionError) or time.monotonic() > until:
                raise Refused(_taken(address)) from error
        time.sleep(0.02)


def order(address: Address, what: str, settings: dict[str, Any] | None = None) -> dict[str, Any]:
    """Ask the server of this state folder, or with settings have it do something."""
    status = ask(address)
    if status is None:
        raise Refused(f"it is not up at {address.url}. Start it with `localcloud up`.")
    require_ours(address, status)
    body = None if settings is None else json.dumps(settings).encode()
    try:
        return _request(address, what, body, _LONGEST_SECONDS)
    except urllib.error.HTTPError as error:
        raise Refused(json.load(error)["message"]) from error
    except OSError as error:
        raise Refused(f"it did not answer to {what}: {error}") from error


def require_ours(address: Address, status: dict[str, Any]) -> None:
    """Raise Refused if who answers at the port has another state folder."""
    if Path(status["state"]) != address.state:
        raise Refused(
            f"port {address.port} is taken by the localcloud of {status['state']}. Stop that one "
            f"(LOCALCLOUD_HOME={status['state']} localcloud down), or choose another port with "
            "LOCALCLOUD_PORT."
        )


def stop(address: Address) -> bool:
    """End the server of this state folder and wait for that; whether there was one."""
    pid = _server_pid(address)
    if pid is None:
        return False
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + _STOP_SECONDS
    while _is_server(pid):
        if time.monotonic() > deadline:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.02)
    (address.state / SERVER_FILE).unlink(missing_ok=True)
    return True


def _start(address: Address) -> None:
    """Start the server in a session of its own and wait until it answers or says why not."""
    try:
        address.state.mkdir(parents=True, exist_ok=True)
        log_file = (address.state / "server.log").open("ab")
    except OSError as error:
        raise Refused(
            f"the state folder {address.state} cannot be written: {error.strerror}. Choose another "
            "one with LOCALCLOUD_HOME."
        ) from error
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    command = [sys.executable, "-m", "localcloud.server", "--state", str(address.state)]
    with log_file as log:
        process = subprocess.Popen(
            [*command, "--port", str(address.port)],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            start_new_session=True,
            text=True,
        )
    assert process.stdout is not None  # noqa: S101 - it was asked for as a pipe
    line = process.stdout.readline().strip()
    process.stdout.close()
    word, _, sentence = line.partition(" ")
    if word == "ready":
        return
    if word == "refused":
        raise Refused(sentence)
    raise Refused(f"It did not start; its log is {address.state / 'server.log'}")


def _request(address: Address, question: str, body: bytes | None, seconds: float) -> dict[str, Any]:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(f"{address.url}/_localcloud/{question}", body, timeout=seconds) as answer:
        document: dict[str, Any] = json.load(answer)
    return document


def _taken(address: Address) -> str:
    return (
        f"port {address.port} is taken by something that is no localcloud. "
        "Stop that, or choose another port with LOCALCLOUD_PORT."
    )


def _server_pid(address: Address) -> int | None:
    try:
        pid = int(json.loads((address.state / SERVER_FILE).read_text())["pid"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return pid if _is_server(pid) else None


def _is_server(pid: int) -> bool:
    """Whether a process is a localcloud server: numbers are given again after a crash."""
    command = Path(f"/proc/{pid}/cmdline")
    if command.exists():
        return b"localcloud.server" in command.read_bytes()
    if Path("/proc/self").exists():
        return False
    try:
        os.kill(pid, 0)
    except OSError:
        return False
    return True
