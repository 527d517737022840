"""Steady load on an endpoint, and what its clients saw, request by request."""

import itertools
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

_loads = itertools.count(1)


@dataclass(frozen=True)
class Payload:
    """What a client sends."""

    content_type: str
    body: bytes


@dataclass(frozen=True)
class Request:
    """One request as its client saw it; times are of `time.monotonic`, `payload` is a number.

    `answer` is None if there was none: then `error` says why not.
    """

    client: int
    id: str
    payload: int
    began: float
    ended: float
    answer: bytes | None
    error: str = ""


def runtime_client(url: str, connections: int = 8) -> Any:
    """A plain boto3 client of the data plane that repeats nothing."""
    make: Any = boto3.session.Session().client
    return make(
        "sagemaker-runtime",
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id="localcloud",
        aws_secret_access_key="localcloud",
        config=Config(retries={"total_max_attempts": 1}, max_pool_connections=connections),
    )


class Load:
    """Clients that ask an endpoint one request after the other, inside the block.

    Each goes through the payloads from another one on; `pause` is what it waits between two.
    """

    def __init__(
        self,
        url: str,
        endpoint: str,
        payloads: Sequence[Payload],
        clients: int = 8,
        pause: float = 0.0,
    ) -> None:
        self._runtime = runtime_client(url, clients)
        self._endpoint = endpoint
        self._payloads = payloads
        self._pause = pause
        self._number = next(_loads)
        self._seen: list[list[Request]] = [[] for _ in range(clients)]
        self._ending = threading.Event()
        self._threads = [
            threading.Thread(target=self._go, args=(number,), daemon=True)
            for number in range(clients)
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ending.set()
        for thread in self._threads:
            thread.join()

    @property
    def by_client(self) -> list[list[Request]]:
        """The requests of each client so far, in their order."""
        return [list(each) for each in self._seen]

    @property
    def requests(self) -> list[Request]:
        """All requests so far, in the order of their ends."""
        return sorted((one for each in self.by_client for one in each), key=lambda one: one.ended)

    @property
    def lost(self) -> list[Request]:
        """Those that got no answer."""
        return [each for each in self.requests if each.answer is None]

    def await_answers(self, count: int, seconds: float = 30.0) -> None:
        """Wait until so many more requests, begun from now on, are answered."""
        began = time.monotonic()
        wait_until(
            lambda: (
                sum(each.began > began and each.answer is not None for each in self.requests)
                >= count
            ),
            seconds,
        )

    def _go(self, client: int) -> None:
        order = itertools.cycle(range(len(self._payloads)))
        chosen = itertools.islice(order, client * 7, None)
        for count, number in enumerate(chosen):
            if self._ending.wait(self._pause if count else 0):
                return
            self._seen[client].append(self._ask(client, number, f"{self._number}-{client}-{count}"))

    def _ask(self, client: int, number: int, name: str) -> Request:
        payload, answer, error = self._payloads[number], None, ""
        began = time.monotonic()
        try:
            reply = self._runtime.invoke_endpoint(
                EndpointName=self._endpoint,
                ContentType=payload.content_type,
                Body=payload.body,
                InferenceId=name,
            )
            answer = reply["Body"].read()
        except ClientError as refusal:
            status = refusal.response.get("OriginalStatusCode", "")
            error = f"{refusal.response['Error']['Code']} {status}".strip()
        except BotoCoreError as failure:
            error = type(failure).__name__
        if error.endswith("EndpointConnectionError"):
            time.sleep(0.05)  # nobody listens
        return Request(client, name, number, began, time.monotonic(), answer, error)


def outage(requests: Sequence[Request]) -> float:
    """The longest time between two answers."""
    ends = [each.ended for each in requests if each.answer is not None]
    return max(later - earlier for earlier, later in itertools.pairwise(ends))


def wait_until(holds: Callable[[], Any], seconds: float = 30.0) -> None:
    """Wait until something holds; AssertionError if it does not come to be."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"not within {seconds:g} seconds"
        time.sleep(0.02)


def tell(what: str, figures: Mapping[str, object]) -> None:
    """Print what was measured."""
    shown = ", ".join(
        f"{name} {value:.2f}" if isinstance(value, float) else f"{name} {value}"
        for name, value in figures.items()
    )
    print(f"\n{what}: {shown}")
