"""The data plane's process; the gateway starts it with its sockets by their numbers."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import logging
import socket
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import uvicorn
import uvloop

from localcloud.dataplane.app import Application
from localcloud.dataplane.capture import FLUSH_SECONDS, Captures
from localcloud.dataplane.counters import Counters
from localcloud.dataplane.functions import Functions
from localcloud.dataplane.http import Protocol
from localcloud.dataplane.http_api.apis import HttpApis
from localcloud.dataplane.invocation import Invocations
from localcloud.dataplane.routes import Routes

_log = logging.getLogger(__name__)
_COUNT_SECONDS = 1.0
_LONGEST_ORDER = 16 * 1024 * 1024
_IDLE_SECONDS = 75
_SWITCH_SECONDS = 0.0005
"""How long the thread that writes captured data may keep the requests waiting."""
_LAST_SECONDS = 10
"""How long requests that are being answered may still take when it shall end."""
Document = dict[str, Any]


class DataPlane:
    """The server and its orders: JSON lines on a socket whose end is the end."""

    def __init__(self, account: str, folder: Path) -> None:
        self._writer: asyncio.StreamWriter | None = None
        self._captures = Captures(folder, lambda name: self._tell({"captured": name}))
        self._counters = Counters()
        self._routes = Routes(account, self._captures)
        self._functions = Functions()
        self._apis = HttpApis(self._functions)
        self._tasks: set[asyncio.Task[None]] = set()
        self._told = asyncio.Event()
        config = uvicorn.Config(
            Application(Invocations(self._routes, self._counters), self._apis),
            http=Protocol, ws="none", lifespan="off", interface="asgi3", proxy_headers=False,
            access_log=False, log_config=None, server_header=False, backlog=128,
            timeout_keep_alive=_IDLE_SECONDS, timeout_graceful_shutdown=_LAST_SECONDS,
        )  # fmt: skip
        self._server = uvicorn.Server(config)

    async def run(self, orders: socket.socket, listener: socket.socket) -> None:
        """Serve, once it knows all routes, until told to end; then hand over what was captured."""
        reader, self._writer = await asyncio.open_connection(sock=orders, limit=_LONGEST_ORDER)
        self._do(self._report())
        self._do(self._obey(reader))
        await self._told.wait()
        await self._server.serve(sockets=[listener])
        await self._captures.flush(ending=True)
        self._apis.flush()
        self._tell_counts()
        self._tell({"ended": True})
        with contextlib.suppress(ConnectionError):
            await self._writer.drain()

    async def _obey(self, reader: asyncio.StreamReader) -> None:
        try:
            self._tell({"ready": True})
            # A gateway that is killed with something unread resets the connection.
            with contextlib.suppress(ConnectionError):
                while (line := await reader.readline()) and self._obeys(json.loads(line)):
                    pass
        finally:
            self._server.should_exit = True
            self._told.set()

    def _obeys(self, order: Document) -> bool:
        """Do an order; of one that cannot be done the gateway is told, and all else goes on."""
        try:
            return self._does(order)
        except Exception as error:  # noqa: BLE001 - it is told
            _log.exception("an order could not be done: %s", order)
            self._tell({"failed": order["id"], "why": f"{type(error).__name__}: {error}"})
            return True

    def _does(self, order: Document) -> bool:
        """Do an order; False for the last one."""
        match order["do"]:
            case "route":
                self._routes.put(order)
                self._tell({"done": order["id"]})
            case "forget":
                self._routes.forget(order["region"], order["endpoint"])
                self._tell({"done": order["id"]})
            case "drop":
                self._routes.drop(order["fleet"])
                self._tell({"done": order["id"]})
            case "drain":
                self._do(self._drain(order))
            case "function" | "forget-function":
                self._functions.put(order)
                self._tell({"done": order["id"]})
            case "http-api" | "forget-http-api":
                self._apis.put(order)
                self._tell({"done": order["id"]})
            case "serve":
                self._told.set()
            case "end":
                return False
        return True

    async def _drain(self, order: Document) -> None:
        await self._routes.drain(order["fleet"])
        self._tell({"done": order["id"]})

    async def _report(self) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time() + _COUNT_SECONDS
        while True:
            await asyncio.sleep(FLUSH_SECONDS)
            await self._captures.flush()
            self._apis.flush()
            if loop.time() >= due:
                due = loop.time() + _COUNT_SECONDS
                self._tell_counts()

    def _tell_counts(self) -> None:
        counts = {"endpoints": self._counters.take(), "http_apis": self._apis.counts.take()}
        if told := {kind: each for kind, each in counts.items() if each}:
            self._tell({"counts": told})

    def _tell(self, message: Document) -> None:
        if self._writer is not None and not self._writer.is_closing():
            self._writer.write(json.dumps(message).encode() + b"\n")

    def _do(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def main() -> int:
    """Serve on the listening socket until the other one ends."""
    parser = argparse.ArgumentParser(prog="localcloud.dataplane")
    parser.add_argument("--account", required=True)
    parser.add_argument("--captures", type=Path, required=True)
    parser.add_argument("--orders", type=int, required=True)
    parser.add_argument("--listener", type=int, required=True)
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    sys.setswitchinterval(_SWITCH_SECONDS)
    plane = DataPlane(options.account, options.captures)
    with (
        socket.socket(fileno=options.orders) as orders,
        socket.socket(fileno=options.listener) as listener,
    ):
        uvloop.run(plane.run(orders, listener))
    return 0


if __name__ == "__main__":
    sys.exit(main())
