"""The other services, called as a client calls them: over the gateway's own address."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from localcloud.addresses import Address
from localcloud.cloudformation.errors import Interrupted, ResourceFailed
from localcloud.protocol import Caller, Document

_NOT_FOUND = (
    "NoSuchEntity",
    "NotFound",
    "NotFoundException",
    "ObjectNotFoundException",
    "ResourceNotFound",
    "ResourceNotFoundException",
)
_THERE = (
    "ConflictException",
    "EntityAlreadyExists",
    "ResourceAlreadyExistsException",
    "ResourceConflictException",
    "ResourceExistsException",
    "ResourceInUse",
)
_TIMEOUT = 120.0
CANCELLED = "Resource operation cancelled"


class CallFailed(ResourceFailed):
    """A service refused a call; the text is as a resource handler of AWS tells it."""

    def __init__(self, service: str, operation: str, code: str, message: str, status: int) -> None:
        super().__init__(
            f'Resource handler returned message: "{message} (Service: {service}, Operation: '
            f'{operation}, Status Code: {status})" (HandlerErrorCode: {code})'
        )
        self.code = code
        self.message = message

    @property
    def says_not_found(self) -> bool:
        """Whether the thing that the call is about does not exist."""
        return self.code in _NOT_FOUND or (
            self.code == "ValidationException" and self.message.startswith("Could not find")
        )

    @property
    def says_there(self) -> bool:
        """Whether the call failed because somebody else's thing has the name."""
        return self.code in _THERE or "already exist" in self.message.lower()


class Services:
    """Plain boto3 clients of one localcloud, kept by service and region.

    `stopping` is set when localcloud goes down: whoever waits is interrupted.
    """

    def __init__(self, address: Address, stopping: threading.Event) -> None:
        self._address = address
        self._stopping = stopping
        self._lock = threading.Lock()
        self._clients: dict[tuple[str, str], Any] = {}

    def bound(self, caller: Caller, cancelled: threading.Event | None = None) -> Calls:
        """The services as one account and region sees them.

        Once `cancelled` is set, waits end with ResourceFailed.
        """
        return Calls(caller, self._client, self._stopping, cancelled or threading.Event())

    def _client(self, service: str, region: str) -> Any:
        with self._lock:
            found = self._clients.get((service, region))
            if found is None:
                # Not at the start of the gateway: most localclouds never see a stack.
                import boto3  # noqa: PLC0415
                from botocore.config import Config  # noqa: PLC0415

                found = boto3.session.Session().client(
                    service,
                    region_name=region,
                    endpoint_url=self._address.url,
                    aws_access_key_id="localcloud",
                    aws_secret_access_key="localcloud",  # noqa: S106 - any will do
                    config=Config(
                        retries={"max_attempts": 1, "mode": "standard"},
                        read_timeout=_TIMEOUT,
                        max_pool_connections=16,
                        proxies={},
                    ),
                )
                self._clients[service, region] = found
            return found


@dataclass(frozen=True)
class Calls:
    """The services for one account and region."""

    caller: Caller
    _client: Callable[[str, str], Any]
    _stopping: threading.Event
    _cancelled: threading.Event

    @property
    def stopping(self) -> bool:
        """Whether localcloud goes down."""
        return self._stopping.is_set()

    def __call__(self, service: str, operation: str, **arguments: Any) -> Document:
        """Make one call. Raises CallFailed where the service refuses."""
        from botocore import xform_name  # noqa: PLC0415
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415

        if self.stopping:
            raise Interrupted(operation)
        client = self._client(service, self.caller.region)
        try:
            answer: Document = getattr(client, xform_name(operation))(**arguments)
        except ClientError as error:
            told = error.response
            raise CallFailed(
                service,
                operation,
                told["Error"].get("Code", "InternalFailure"),
                told["Error"].get("Message", ""),
                told["ResponseMetadata"]["HTTPStatusCode"],
            ) from error
        except BotoCoreError as error:
            if self.stopping:
                raise Interrupted(operation) from error
            raise CallFailed(service, operation, type(error).__name__, str(error), 0) from error
        return answer

    def wait(self, probe: Callable[[], Document | None]) -> Document | None:
        """Ask again and again until `probe` gives what ends the wait: {} to go on.

        The pauses grow from 50 ms to half a second. Raises Interrupted when localcloud goes down,
        ResourceFailed when the operation is cancelled.
        """
        pause = 0.05
        while (found := probe()) == {}:
            if self._stopping.wait(pause):
                raise Interrupted("wait")
            if self._cancelled.is_set():
                raise ResourceFailed(CANCELLED)
            pause = min(0.5, pause * 1.3)
        return found
