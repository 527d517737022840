"""Listings: keys in UTF-8 order, keys with a common prefix rolled up, pages."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from localcloud.s3.buckets import find_bucket
from localcloud.s3.objects import ObjectStore, key_after_prefix
from localcloud.s3.stored import StoredObject

_BATCH = 1000


@dataclass(frozen=True, slots=True)
class Page:
    """A part of a listing; ``last`` is its last entry (an object or a prefix) if more follow."""

    objects: list[StoredObject]
    prefixes: list[str]
    last: StoredObject | str | None


def list_objects(
    store: ObjectStore, bucket: str, *, prefix: str, delimiter: str, after: str, limit: int
) -> Page:
    """At most ``limit`` current objects and common prefixes that come after ``after``."""
    walk = _walk(store, bucket, prefix, delimiter, after.encode(), versions=False)
    return _page(walk, limit)


def list_versions(
    store: ObjectStore,
    bucket: str,
    *,
    prefix: str,
    delimiter: str,
    after: str,
    after_version: str,
    limit: int,
) -> Page:
    """At most ``limit`` versions, delete markers and common prefixes, the newest of a key first.

    With ``after_version`` the page starts in the middle of the key ``after``.
    """
    walk = _walk(
        store, bucket, prefix, delimiter, after.encode(), versions=True, version=after_version
    )
    return _page(walk, limit)


def _page(walk: Iterator[StoredObject | str], limit: int) -> Page:
    entries = list(islice(walk, limit))
    more = limit > 0 and next(walk, None) is not None
    return Page(
        [entry for entry in entries if isinstance(entry, StoredObject)],
        [entry for entry in entries if isinstance(entry, str)],
        entries[-1] if more else None,
    )


def _walk(
    store: ObjectStore,
    bucket: str,
    prefix: str,
    delimiter: str,
    after: bytes,
    *,
    versions: bool,
    version: str = "",
) -> Iterator[StoredObject | str]:
    """Objects, and for keys with the delimiter behind the prefix their common prefix, once."""
    connection = store.index.connection
    versioned = bool(find_bucket(connection, bucket).versioning)
    stem, cut = prefix.encode(), delimiter.encode()
    end = key_after_prefix(stem)
    which = "1" if versions else "latest = 1 AND delete_marker = 0"
    # The place to go on from: a key and, within it, the versions older than this row.
    key, sequence = max(stem, after + b"\0" if after else b""), 1 << 62
    if version:
        key, sequence = after, _sequence(store, bucket, after, version)
    while True:
        rows = connection.execute(
            f"SELECT * FROM objects WHERE bucket = ? AND {which}"  # noqa: S608  (constants)
            " AND key >= ? AND key < ? AND (key > ? OR sequence < ?)"
            " ORDER BY key, sequence DESC LIMIT ?",
            [bucket, key, end, key, sequence, _BATCH],
        ).fetchall()
        for row in rows:
            if row["key"] < key:
                continue
            found = row["key"].find(cut, len(stem)) if cut else -1
            if found < 0:
                yield store.stored(row, versioned=versioned)
                key, sequence = row["key"], row["sequence"]
                continue
            common = row["key"][: found + len(cut)]
            if common > after:
                yield common.decode()
            key, sequence = key_after_prefix(common), 1 << 62
        if len(rows) < _BATCH:
            return


def _sequence(store: ObjectStore, bucket: str, key: bytes, version: str) -> int:
    row = store.index.connection.execute(
        "SELECT sequence FROM objects WHERE bucket = ? AND key = ? AND version = ?",
        [bucket, key, version],
    ).fetchone()
    return 0 if row is None else int(row["sequence"])
