"""Invoke: an event to a function, with its answer, without, or only in words."""

from __future__ import annotations

import base64
import binascii
import json
import uuid

from localcloud.errors import NotEmulated, ServiceError
from localcloud.functions.channel import LostEvent, NoServer, Outcome, send
from localcloud.functions.errors import (
    InvalidRequestContentException,
    RequestTooLargeException,
    ResourceConflictException,
    TooManyRequestsException,
)
from localcloud.functions.names import LATEST, named
from localcloud.functions.queue import Queue
from localcloud.functions.records import Records
from localcloud.functions.servers import Servers
from localcloud.functions.streams import Streams
from localcloud.protocol import Caller, Document, Operation

MOST_BYTES = 6 * 1024 * 1024
MOST_BYTES_LATER = 1024 * 1024
_LONGEST_CONTEXT = 3583


class Invocations:
    """Invoke."""

    def __init__(self, records: Records, servers: Servers, queue: Queue, streams: Streams) -> None:
        self._records = records
        self._servers = servers
        self._queue = queue
        self._streams = streams

    def operations(self) -> dict[str, Operation]:
        """The call by its AWS name."""
        return {"Invoke": self.invoke}

    def invoke(self, caller: Caller, request: Document) -> Document:
        """Invoke: run an event, wait for its answer or not (then it is tried up to three times)."""
        for member in ("DurableExecutionName", "TenantId"):
            if member in request:
                raise NotEmulated(f"localcloud does not emulate {member} of Invoke")
        name = named(caller, request)
        document = self._records.find(caller, name)
        kind = request.get("InvocationType", "RequestResponse")
        payload = base64.b64decode(request.get("Payload", ""))
        _check(payload, MOST_BYTES_LATER if kind == "Event" else MOST_BYTES)
        context = _context(request.get("ClientContext"))
        if kind == "DryRun":
            return {"StatusCode": 204}
        if kind == "Event":
            self._queue.put(caller, name, payload, context)
            return {"StatusCode": 202}
        configuration = document["configuration"]
        if configuration["State"] != "Active":
            raise ResourceConflictException(
                "The operation cannot be performed at this time. The function is currently in the "
                f"following state: {configuration['State']}"
            )
        if document.get("reserved") == 0:
            raise TooManyRequestsException("Rate Exceeded.")
        outcome = self._send(caller, name, payload, context, tail=request.get("LogType") == "Tail")
        self._streams.register(caller, name)
        return {
            "StatusCode": 200,
            "FunctionError": outcome.error,
            "LogResult": outcome.log,
            "Payload": outcome.body,
            "ExecutedVersion": LATEST,
        }

    def _send(
        self,
        caller: Caller,
        name: str,
        payload: bytes,
        context: str | None,
        *,
        tail: bool,
    ) -> Outcome:
        try:
            return send(
                lambda: self._servers.current(caller, name), str(uuid.uuid4()), payload,
                tail=tail, context=context,
            )  # fmt: skip
        except NoServer as error:
            raise ResourceConflictException(str(error)) from error
        except LostEvent as error:
            raise ServiceError(str(error)) from error


def _check(payload: bytes, most: int) -> None:
    if len(payload) > most:
        raise RequestTooLargeException(
            f"Request must be smaller than {most} bytes for the InvokeFunction operation"
        )
    try:
        json.loads(payload or b"{}")
    except (ValueError, RecursionError) as error:
        raise InvalidRequestContentException(
            f"Could not parse request body into json: Could not parse payload into json: {error}"
        ) from error


def _context(given: str | None) -> str | None:
    """The client context's JSON."""
    if given is None:
        return None
    try:
        text = base64.b64decode(given, validate=True).decode()
        whole = isinstance(json.loads(text), dict) and len(given) <= _LONGEST_CONTEXT
    except (binascii.Error, ValueError):
        whole = False
    if not whole:
        raise InvalidRequestContentException(
            "Client context must be a valid Base64-encoded JSON object of at most "
            f"{_LONGEST_CONTEXT} bytes."
        )
    return text
