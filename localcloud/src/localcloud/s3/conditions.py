"""Conditional and partial reads.

Source: RFC 9110, sections 13 and 14, with S3's choices: GetObject in the S3 API reference.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from localcloud.s3.errors import InvalidRange, PreconditionFailed
from localcloud.s3.stored import StoredObject, WriteCondition

_RANGE = re.compile(r"bytes=(\d*)-(\d*)")


class NotModified(Exception):  # noqa: N818  (no error: the client is up to date)
    """The client has this version already: 304."""


def check_read(headers: Mapping[str, str], stored: StoredObject, prefix: str = "") -> None:
    """Hold an object against ``If-*`` headers (``prefix`` is ``x-amz-copy-source-`` in copies).

    Raises:
        PreconditionFailed: the object is not the one that is wanted.
        NotModified: it is, and the client has it.
    """
    match = headers.get(f"{prefix}if-match")
    none_match = headers.get(f"{prefix}if-none-match")
    since = _moment(headers.get(f"{prefix}if-modified-since"))
    unmodified = _moment(headers.get(f"{prefix}if-unmodified-since"))
    modified = stored.last_modified.replace(microsecond=0)
    if match is not None:
        if not _names(match, stored.etag):
            raise PreconditionFailed(details={"Condition": "If-Match"})
    elif unmodified is not None and modified > unmodified:
        raise PreconditionFailed(details={"Condition": "If-Unmodified-Since"})
    if none_match is not None:
        if _names(none_match, stored.etag):
            raise NotModified
    elif since is not None and modified <= since:
        raise NotModified


def write_condition(headers: Mapping[str, str]) -> WriteCondition | None:
    """What the ``If-Match`` and ``If-None-Match`` headers of a write ask for."""
    match, none_match = headers.get("if-match"), headers.get("if-none-match")
    if match is None and none_match is None:
        return None
    etag = None if match is None else match.strip().strip('"')
    return WriteCondition(absent=none_match is not None, etag=etag)


def parse_range(header: str | None, size: int) -> tuple[int, int] | None:
    """First byte and length that a ``Range`` header asks for; None means all.

    A header that is not one range of bytes is ignored, as S3 does; InvalidRange if there is no
    such byte.
    """
    found = _RANGE.fullmatch(header.strip()) if header else None
    if header is None or found is None or not (found[1] or found[2]):
        return None
    if found[1]:
        first, last = int(found[1]), min(int(found[2] or size), size - 1)
        if found[2] and int(found[2]) < first:
            return None
    else:
        first, last = max(size - int(found[2]), 0), size - 1
    if first >= size or last < first:
        raise InvalidRange(details={"RangeRequested": header, "ActualObjectSize": str(size)})
    return first, last - first + 1


def _names(header: str, etag: str) -> bool:
    names = {name.strip().removeprefix("W/").strip('"') for name in header.split(",")}
    return "*" in names or etag in names


def _moment(header: str | None) -> datetime | None:
    if header is None:
        return None
    try:
        moment = parsedate_to_datetime(header)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
