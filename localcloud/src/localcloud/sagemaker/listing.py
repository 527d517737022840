"""What SageMaker's List calls share: filters, sorting and pages."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from localcloud.errors import ValidationException
from localcloud.protocol import Document

# The field, and what the calls name the times after and before which it must be.
_TIMES = (
    ("CreationTime", "CreationTimeAfter", "CreationTimeBefore"),
    ("CreationTime", "CreatedAfter", "CreatedBefore"),
    ("LastModifiedTime", "LastModifiedTimeAfter", "LastModifiedTimeBefore"),
)
_MAX_DIGITS = 9


@dataclass(frozen=True)
class Listing:
    """How one List call names, sorts and shows what it lists.

    `name` is the field that NameContains looks at, `sort_fields` maps SortBy's values to fields,
    `equal` maps filters of the request to the fields that must equal them.
    """

    answer: str
    name: str
    summary: Callable[[Document], Document]
    sort_fields: dict[str, str]
    default_sort: str = "CreationTime"
    default_order: str = "Descending"
    equal: dict[str, str] | None = None

    def page(self, request: Document, items: Iterable[Document]) -> Document:
        """The page of `items` (oldest first) that `request` asks for."""
        kept = [item for item in items if self._matches(request, item)]
        field = self.sort_fields[request.get("SortBy", self.default_sort)]
        descending = request.get("SortOrder", self.default_order) == "Descending"
        # Things made within one tick of the clock still have an order: that of their making.
        order = sorted(range(len(kept)), key=lambda i: (kept[i].get(field, 0), i))
        ordered = [kept[i] for i in (reversed(order) if descending else order)]
        return paged(self.answer, request, [self.summary(item) for item in ordered])

    def _matches(self, request: Document, item: Document) -> bool:
        wanted = request.get("NameContains")
        if wanted is not None and wanted.lower() not in str(item.get(self.name, "")).lower():
            return False
        for filter_name, field in (self.equal or {}).items():
            if filter_name in request and item.get(field) != request[filter_name]:
                return False
        for field, after_name, before_name in _TIMES:
            value = item.get(field, item.get("CreationTime", 0))
            after, before = request.get(after_name), request.get(before_name)
            if (after is not None and value <= after) or (before is not None and value >= before):
                return False
        return True


def paged(answer: str, request: Document, items: list[Document]) -> Document:
    """One page of at most MaxResults items, with a NextToken when there are more."""
    start = _offset(request.get("NextToken"))
    size = request.get("MaxResults", 100)
    result: Document = {answer: items[start : start + size]}
    if start + size < len(items):
        result["NextToken"] = base64.urlsafe_b64encode(str(start + size).encode()).decode()
    return result


def _offset(token: str | None) -> int:
    if token is None:
        return 0
    try:
        text = base64.b64decode(token, altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValidationException(f"Invalid NextToken {token[:40]!r}") from error
    if not text.isdigit() or len(text) > _MAX_DIGITS:
        raise ValidationException(f"Invalid NextToken {token[:40]!r}")
    return int(text)


def choose(document: Document, *names: str) -> Document:
    """The members of `document` with these names, where they are there."""
    return {name: document[name] for name in names if document.get(name) is not None}
