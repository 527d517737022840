"""Pages of Application Auto Scaling's lists."""

from __future__ import annotations

import re

from localcloud.autoscaling.errors import InvalidNextToken
from localcloud.protocol import Document

_SIZE = 50
_TOKEN = re.compile(r"\d{1,9}")


def paged(member: str, request: Document, items: list[Document]) -> Document:
    """One page of a list, with the token for the next one when there are more."""
    token, size = request.get("NextToken", "0"), request.get("MaxResults", _SIZE)
    if not _TOKEN.fullmatch(token):
        raise InvalidNextToken(f"Invalid NextToken {token[:40]!r}")
    start = int(token)
    answer: Document = {member: items[start : start + size]}
    if start + size < len(items):
        answer["NextToken"] = str(start + size)
    return answer
