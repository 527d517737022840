"""Pages of CloudFormation's lists."""

from __future__ import annotations

import re

from localcloud.cloudformation.errors import ValidationError
from localcloud.protocol import Document

SIZE = 100
_TOKEN = re.compile(r"\d{1,9}")


def paged(member: str, request: Document, items: list[Document]) -> Document:
    """One page of a list, with the token for the next one when there are more."""
    token = request.get("NextToken", "0")
    if not _TOKEN.fullmatch(token):
        raise ValidationError(f"Invalid NextToken {token[:40]!r}")
    start = int(token)
    answer: Document = {member: items[start : start + SIZE]}
    if start + SIZE < len(items):
        answer["NextToken"] = str(start + SIZE)
    return answer
