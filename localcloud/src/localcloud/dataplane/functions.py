"""Functions as the data plane sees them: servers behind sockets, and who may have them run."""

from __future__ import annotations

import asyncio
from typing import Any

from localcloud.dataplane.containers import Answer, Container
from localcloud.dataplane.permissions import is_allowed

Document = dict[str, Any]


class Function:
    """One server of a function; a retired one answers what it has and is let go of then."""

    def __init__(self, table: Document) -> None:
        self.arn: str = table["function"]
        self.socket: str = table["socket"]
        self.processes: int = table["processes"]
        self.policy: list[Document] = table["policy"]
        sockets = [self.socket] * self.processes
        self._pool = Container(self.arn, sockets, [""] * self.processes)
        self._allowed: dict[str, bool] = {}
        self._events = 0
        self._retired = False

    def allows(self, source: str) -> bool:
        """Whether the function's policy lets API Gateway invoke it for a route, by its ARN."""
        known = self._allowed.get(source)
        if known is None:
            known = self._allowed[source] = is_allowed(self.policy, source)
        return known

    def permit(self, policy: list[Document]) -> None:
        """Go by another policy."""
        self.policy = policy
        self._allowed.clear()

    async def invoke(self, request_id: str, trace: str, event: bytes, seconds: float) -> Answer:
        """Have an event answered within `seconds`. Raises LostError and TooLateError."""
        deadline = asyncio.get_running_loop().time() + seconds
        head = (
            f"POST /invoke HTTP/1.1\r\nhost: function\r\nx-request-id: {request_id}\r\n"
            f"x-trace-id: {trace}\r\ncontent-length: {len(event)}\r\n\r\n"
        )
        self._events += 1
        try:
            return await self._pool.ask(head.encode("latin-1") + event, deadline)
        finally:
            self._events -= 1
            if self._retired and not self._events:
                self._pool.close()

    def retire(self, successor: Function | None) -> None:
        """Take no more events; those that wait go to the successor."""
        self._retired = True
        if successor is not None:
            self._pool.hand_over(successor._pool)
        if not self._events:
            self._pool.close()


class Functions:
    """All functions by their ARNs."""

    def __init__(self) -> None:
        self._functions: dict[str, Function] = {}

    def find(self, arn: str) -> Function | None:
        """The function with this ARN."""
        return self._functions.get(arn)

    def put(self, order: Document) -> None:
        """Do what the gateway says of a function."""
        arn = order["function"]
        before = self._functions.get(arn)
        if order["do"] == "forget-function":
            self._functions.pop(arn, None)
            if before is not None:
                before.retire(None)
            return
        same = before is not None and (before.socket, before.processes) == (
            order["socket"], order["processes"],
        )  # fmt: skip
        if before is not None and same:
            before.permit(order["policy"])
            return
        self._functions[arn] = Function(order)
        if before is not None:
            before.retire(self._functions[arn])
