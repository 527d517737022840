"""Steady load on an endpoint or a stage's API, and what its clients saw, request by request."""

import itertools
import json
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import boto3
import urllib3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, EndpointConnectionError

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


Ask = Callable[[Payload, str], tuple[bytes | None, str]]
"""Sends a payload under a name; gives the answer, or None and why there is none."""


def endpoint_caller(url: str, endpoint: str, connections: int = 8) -> Ask:
    """Ask an endpoint by boto3; the name is the inference id."""
    runtime = runtime_client(url, connections)

    def ask(payload: Payload, name: str) -> tuple[bytes | None, str]:
        try:
            reply = runtime.invoke_endpoint(
                EndpointName=endpoint,
                ContentType=payload.content_type,
                Body=payload.body,
                InferenceId=name,
            )
            return reply["Body"].read(), ""
        except ClientError as refusal:
            status = refusal.response.get("OriginalStatusCode", "")
            return None, f"{refusal.response['Error']['Code']} {status}".strip()
        except BotoCoreError as failure:
            if isinstance(failure, EndpointConnectionError):
                time.sleep(0.05)  # nobody listens
            return None, type(failure).__name__

    return ask


def api_caller(url: str, token: str, connections: int = 8) -> Ask:
    """Ask a stage's API by plain HTTP, repeating nothing."""
    pool = urllib3.PoolManager(maxsize=connections, timeout=35, retries=False)

    def ask(payload: Payload, _: str) -> tuple[bytes | None, str]:
        headers = {"Authorization": f"Bearer {token}", "Content-Type": payload.content_type}
        try:
            reply = pool.request("POST", f"{url}/predict", body=payload.body, headers=headers)
        except urllib3.exceptions.HTTPError as failure:
            return None, type(failure).__name__
        if reply.status == 200:
            return reply.data, ""
        document = json.loads(reply.data)
        return None, f"{reply.status} {document.get('error', document)['message']}"

    return ask


class Load:
    """Clients that ask one request after the other, inside the block.

    Each goes through the payloads from another one on; `pause` is what it waits between two.
    """

    def __init__(
        self, ask: Ask, payloads: Sequence[Payload], clients: int = 8, pause: float = 0.0
    ) -> None:
        self._send = ask
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
        began = time.monotonic()
        answer, error = self._send(self._payloads[number], name)
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
