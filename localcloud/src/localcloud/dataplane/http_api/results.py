"""A function's result as an HTTP response, by the rules of payload 2.0."""

from __future__ import annotations

import base64
import binascii
import json
from typing import Any

from localcloud.dataplane.http_api.exchange import internal

Answered = tuple[int, list[tuple[bytes, bytes]], bytes]
JSON = (b"content-type", b"application/json")
_OWN = {
    "connection", "content-length", "date", "keep-alive", "proxy-authenticate", "te", "trailer",
    "transfer-encoding", "upgrade",
}  # fmt: skip
_WITHOUT_BODY = (204, 304)
_WRONG = "The response from the Lambda function doesn't match the format that API Gateway expects."


def answered(result: bytes) -> Answered:
    """Status, headers and body; raises GatewayError for what API Gateway cannot read.

    A result without a statusCode is the body itself, as JSON with status 200; a text is it as it
    stands.
    """
    try:
        document = json.loads(result)
    except ValueError as error:
        raise internal(_WRONG) from error
    if isinstance(document, str):
        return 200, [JSON], document.encode("utf-8", "surrogatepass")
    if not isinstance(document, dict) or "statusCode" not in document:
        return 200, [JSON], result
    status = _status(document["statusCode"])
    headers = _headers(document.get("headers"))
    body = _body(document.get("body"), encoded=document.get("isBase64Encoded") is True)
    if status in _WITHOUT_BODY:
        body = b""
    cookies = document.get("cookies") or []
    if not isinstance(cookies, list) or not all(isinstance(each, str) for each in cookies):
        raise internal(_WRONG)
    headers += [(b"set-cookie", _bytes(each)) for each in cookies]
    if not any(name == b"content-type" for name, _ in headers):
        headers.append((b"content-type", b"text/plain; charset=utf-8"))
    return status, headers, body


def _status(given: Any) -> int:
    if isinstance(given, str) and given.isascii() and given.isdigit():
        given = int(given)
    if type(given) is not int or not 100 <= given <= 599:
        raise internal(_WRONG)
    return given


def _headers(given: Any) -> list[tuple[bytes, bytes]]:
    if given is None:
        return []
    if not isinstance(given, dict):
        raise internal(_WRONG)
    headers = []
    for name, value in given.items():
        if isinstance(value, list | dict):
            raise internal(_WRONG)
        if name.lower() not in _OWN and value is not None:
            text = str(value).lower() if isinstance(value, bool) else str(value)
            headers.append((_bytes(name.lower()), _bytes(text)))
    return headers


def _bytes(text: str) -> bytes:
    if "\r" in text or "\n" in text:
        raise internal(_WRONG)
    return text.encode("utf-8")


def _body(given: Any, *, encoded: bool) -> bytes:
    if given is None:
        return b""
    if not isinstance(given, str):
        raise internal(_WRONG)
    if not encoded:
        return given.encode("utf-8", "surrogatepass")
    try:
        return base64.b64decode(given, validate=True)
    except binascii.Error as error:
        raise internal(_WRONG) from error
