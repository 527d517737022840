"""Calls as bytes on the wire: no client between that would mend or refuse them first."""

from __future__ import annotations

import http.client
import json
import socket
from dataclasses import dataclass
from typing import Any

from localcloud.addresses import HOST, Address

TIMEOUT = 30.0


def signed_for(service: str, region: str = "us-east-1") -> str:
    """An Authorization header; localcloud reads of it for whom it is."""
    return (
        f"AWS4-HMAC-SHA256 Credential=localcloud/20260101/{region}/{service}/aws4_request, "
        "SignedHeaders=host, Signature=0"
    )


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self.body)
        return document

    @property
    def code(self) -> str:
        return str(self.json["__type"])

    @property
    def message(self) -> str:
        return str(self.json["message"])


def call(
    address: Address, operation: str, body: Any, *, service: str = "sagemaker", **headers: str
) -> Answer:
    """Make one JSON call; a body that is no bytes is written as JSON."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    target = {"sagemaker": "SageMaker", "logs": "Logs_20140328"}.get(service, service)
    connection = http.client.HTTPConnection(HOST, address.port, timeout=TIMEOUT)
    try:
        connection.request(
            "POST",
            "/",
            data,
            {
                "X-Amz-Target": f"{target}.{operation}",
                "Authorization": signed_for(service),
                "Content-Type": "application/x-amz-json-1.1",
                **headers,
            },
        )
        answer = connection.getresponse()
        return Answer(answer.status, dict(answer.getheaders()), answer.read())
    finally:
        connection.close()


def send(address: Address, data: bytes, *, half_close: bool = False) -> bytes:
    """Send these bytes and give all that comes back until the server closes, or TIMEOUT."""
    with socket.create_connection((HOST, address.port), timeout=TIMEOUT) as connection:
        connection.sendall(data)
        if half_close:
            connection.shutdown(socket.SHUT_WR)
        received = b""
        while block := connection.recv(65536):
            received += block
    return received
