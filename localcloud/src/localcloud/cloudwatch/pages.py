"""Pages of CloudWatch's lists."""

from __future__ import annotations

import base64
import binascii
from typing import Any

from localcloud.cloudwatch.errors import InvalidNextToken
from localcloud.protocol import Document

_MAX_DIGITS = 9


def page(answer: str, request: Document, items: list[Any], size: int) -> Document:
    """One page of `items`, with a NextToken when there are more."""
    start = offset(request)
    found: Document = {answer: items[start : start + size]}
    if start + size < len(items):
        found["NextToken"] = token(start + size)
    return found


def token(start: int) -> str:
    """The token of the page that begins there."""
    return base64.urlsafe_b64encode(str(start).encode()).decode()


def offset(request: Document) -> int:
    """Where the page begins that a request asks for."""
    given = request.get("NextToken")
    if given is None:
        return 0
    try:
        text = base64.b64decode(given, altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidNextToken(f"Invalid NextToken {given[:40]!r}") from error
    if not text.isdigit() or len(text) > _MAX_DIGITS:
        raise InvalidNextToken(f"Invalid NextToken {given[:40]!r}")
    return int(text)
