"""InvokeEndpoint: one request through the containers of a variant, by the platform's rules.

Sources: the API reference of SageMaker Runtime, and botocore's model of it.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
from http import HTTPStatus

from localcloud.dataplane.capture import Record
from localcloud.dataplane.containers import Answer, Container, LostError, TooLateError
from localcloud.dataplane.counters import Counters
from localcloud.dataplane.reply import Reply
from localcloud.dataplane.routes import Endpoint, Routes, Variant

MOST_BYTES = 6 * 1024 * 1024
MOST_SECONDS = 60.0
_SHOWN = 4096
"""Characters of a container's message that the caller is told."""
_CREDENTIAL = re.compile(rb"Credential=[^/,]*/\d{8}/([^/,]+)/([^/,]+)/aws4_request")
_NAME = re.compile(r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}")
_INFERENCE_ID = re.compile(r".{1,64}")
_PREFIX = b"x-amzn-sagemaker-"
_LONGEST_TEXT = 1024
_TEXTS = {
    b"content-type": "ContentType",
    b"accept": "Accept",
    b"x-amzn-sagemaker-custom-attributes": "CustomAttributes",
}
_HANDED_ON = (b"accept", b"x-amzn-sagemaker-custom-attributes")
_NOT_EMULATED = {
    b"x-amzn-sagemaker-target-model": "TargetModel needs a multi-model endpoint",
    b"x-amzn-sagemaker-target-container-hostname": "TargetContainerHostname needs an endpoint with "
    "direct invocation; this one runs its containers as a serial pipeline",
    b"x-amzn-sagemaker-inference-component": "InferenceComponentName needs inference components",
    b"x-amzn-sagemaker-session-id": "SessionId needs a stateful model server",
    b"x-amzn-sagemaker-enable-explanations": "EnableExplanations needs an explainer",
}

Headers = dict[bytes, bytes]


class RefusedError(Exception):
    """A request that AWS answers with an error, by its code and status."""

    def __init__(self, code: str, status: int, message: str, **members: object) -> None:
        super().__init__(message)
        self.code = code
        self.status = status
        self.members = members

    def reply(self) -> Reply:
        """The error as a client of the protocol rest-json reads it."""
        body = json.dumps({"Message": str(self), "message": str(self), **self.members}).encode()
        headers = [(b"content-type", b"application/json")]
        if self.code:
            headers.append((b"x-amzn-errortype", self.code.encode()))
        return Reply(self.status, headers, body)


def check_size(size: int) -> None:
    """Raise RefusedError for a body that is longer than the platform takes."""
    if size > MOST_BYTES:
        status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
        raise RefusedError("", status, f"HTTP content length exceeded {MOST_BYTES} bytes.")


class Invocations:
    """Answers InvokeEndpoint for the endpoints that have a route."""

    def __init__(self, routes: Routes, counters: Counters) -> None:
        self._routes = routes
        self._counters = counters

    async def invoke(self, name: str, headers: Headers, body: bytes, began: float) -> Reply:
        """InvokeEndpoint, through the containers of a variant, with data capture.

        `began` is when the request came, by `time.perf_counter`: the loop's own time has whole
        milliseconds only. Raises RefusedError.
        """
        endpoint = self._endpoint(name, headers)
        inference_id, attributes = _check_headers(headers)
        target = headers.get(b"x-amzn-sagemaker-target-variant")
        variant = endpoint.choose(None if target is None else target.decode("latin-1"))
        if variant is None:
            raise RefusedError(
                "ValidationError", 400,
                f"Variant {_text(target)!r} was not found for endpoint {endpoint.name} of account "
                f"{endpoint.account}.",
            )  # fmt: skip
        fleet = variant.fleet
        fleet.enter()
        try:
            left = MOST_SECONDS - (time.perf_counter() - began)
            call = _Call(endpoint, variant, headers, left)
            try:
                answer = await call.chain(body)
            finally:
                self._count(endpoint, variant, call, began)
        finally:
            fleet.leave()
        if fleet.capture is not None:
            record = Record(
                time.time(), _optional(headers.get(b"content-type")), body,
                _optional(answer.content_type), answer.body, inference_id, attributes,
            )  # fmt: skip
            fleet.capture.add(variant.name, record)
        told = [(b"x-amzn-invoked-production-variant", variant.name.encode())]
        if answer.content_type is not None:
            told.append((b"content-type", answer.content_type))
        if answer.attributes is not None:
            told.append((b"x-amzn-sagemaker-custom-attributes", answer.attributes))
        return Reply(200, told, answer.body)

    def _endpoint(self, name: str, headers: Headers) -> Endpoint:
        signed = _CREDENTIAL.search(headers.get(b"authorization", b""))
        if signed is None:
            raise RefusedError(
                "MissingAuthenticationTokenException", 403, "Missing Authentication Token"
            )
        if _NAME.fullmatch(name) is None:
            raise RefusedError(
                "ValidationError", 400,
                f"1 validation error detected: Value '{name[:80]}' at 'endpointName' failed to "
                "satisfy constraint: Member must satisfy regular expression pattern: "
                "[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}",
            )  # fmt: skip
        region = signed[1].decode("latin-1")
        endpoint = self._routes.find(region, name)
        if endpoint is None:
            account = self._routes.account
            raise RefusedError(
                "ValidationError", 400, f"Endpoint {name} of account {account} not found."
            )
        return endpoint

    def _count(self, endpoint: Endpoint, variant: Variant, call: _Call, began: float) -> None:
        counter = self._counters.of(
            endpoint.region, endpoint.name, variant.fleet.config, variant.name
        )
        whole = time.perf_counter() - began
        counter.add(call.status, call.seconds, whole - call.seconds)


class _Call:
    """One request on its way, which may take the seconds `left`.

    `seconds` is what it took in containers so far, `status` that of the last one.
    """

    def __init__(self, endpoint: Endpoint, variant: Variant, headers: Headers, left: float) -> None:
        self._endpoint = endpoint
        self._variant = variant
        self._headers = headers
        self._deadline = asyncio.get_running_loop().time() + left
        self.seconds = 0.0
        self.status = 0

    async def chain(self, body: bytes) -> Answer:
        """The last container's answer: each gets the body and the type of the one before."""
        content_type = self._headers.get(b"content-type")
        answer = None
        for container in self._variant.containers:
            answer = await self._ask(container, content_type, body)
            body = answer.body
            content_type = (answer.content_type or b"").partition(b";")[0].strip() or None
        assert answer is not None  # noqa: S101 - a variant has a container
        return answer

    async def _ask(self, container: Container, content_type: bytes | None, body: bytes) -> Answer:
        request = _request(self._headers, content_type, body)
        started = time.perf_counter()
        try:
            answer = await container.ask(request, self._deadline)
        except LostError as error:
            self.status = 500
            raise self._refusal(
                container, error.log_stream, 500,
                "The container ended while it handled the request.",
            ) from None  # fmt: skip
        except TooLateError as error:
            self.status = 0
            raise self._refusal(
                container, error.log_stream, 0,
                "Your invocation timed out while waiting for a response from container "
                f"{container.hostname}. Review the latency metrics for each container in Amazon "
                "CloudWatch, resolve the issue, and try again.",
            ) from None  # fmt: skip
        finally:
            self.seconds += time.perf_counter() - started
        self.status = answer.status
        if not 200 <= answer.status < 300:
            said = answer.body[: 4 * _SHOWN].decode("utf-8", "replace")[:_SHOWN]
            raise self._refusal(container, answer.log_stream, answer.status, said)
        return answer

    def _refusal(
        self, container: Container, log_stream: str, status: int, said: str
    ) -> RefusedError:
        endpoint = self._endpoint
        side = "client" if 400 <= status < 500 else "server"
        group = f"/aws/sagemaker/Endpoints/{endpoint.name}"
        return RefusedError(
            "ModelError", 424,
            f'Received {side} error ({status}) from {container.hostname} with message "{said}". '
            f"See the log group {group} in account {endpoint.account} for more information.",
            OriginalStatusCode=status,
            OriginalMessage=said,
            LogStreamArn=f"arn:aws:logs:{endpoint.region}:{endpoint.account}:log-group:{group}:"
            f"log-stream:{log_stream}",
        )  # fmt: skip


def _request(headers: Headers, content_type: bytes | None, body: bytes) -> bytes:
    """The request that a container gets."""
    lines = [b"POST /invocations HTTP/1.1\r\nhost: container\r\ncontent-length: %d" % len(body)]
    if content_type is not None:
        lines.append(b"content-type: " + content_type)
    lines += [name + b": " + headers[name] for name in _HANDED_ON if name in headers]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def _check_headers(headers: Headers) -> tuple[str | None, str | None]:
    """InferenceId and CustomAttributes, held against the rules; what is not emulated is refused."""
    for name, member in _TEXTS.items():
        value = headers.get(name)
        if value is not None and (len(value) > _LONGEST_TEXT or not value.isascii()):
            raise RefusedError(
                "ValidationError", 400,
                f"{member} must have at most {_LONGEST_TEXT} characters, all of US-ASCII.",
            )  # fmt: skip
    if not any(name.startswith(_PREFIX) for name in headers):
        return None, None
    for name, reason in _NOT_EMULATED.items():
        if name in headers:
            raise RefusedError("ValidationError", 400, f"{reason}.")
    inference_id = headers.get(b"x-amzn-sagemaker-inference-id")
    if inference_id is not None and not _INFERENCE_ID.fullmatch(inference_id.decode("latin-1")):
        raise RefusedError("ValidationError", 400, "InferenceId must have 1 to 64 characters.")
    attributes = headers.get(b"x-amzn-sagemaker-custom-attributes")
    return _optional(inference_id), _optional(attributes)


def _text(value: bytes | None) -> str:
    return (value or b"")[:80].decode("latin-1")


def _optional(value: bytes | None) -> str | None:
    return None if value is None else value.decode("latin-1")
