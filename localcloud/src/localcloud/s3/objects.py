"""The store: objects as read-only files beside rows, safe for many threads and processes."""

import fcntl
import json
import secrets
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from localcloud.s3.blobs import Blob, BlobFolder, Readable
from localcloud.s3.buckets import Buckets, find_bucket, from_milliseconds, to_milliseconds
from localcloud.s3.errors import MethodNotAllowed, NoSuchKey, NoSuchVersion, PreconditionFailed
from localcloud.s3.index import Index
from localcloud.s3.names import encode_key
from localcloud.s3.stored import Attributes, StoredObject, WriteCondition

NULL_VERSION = "null"
"""The version written while versioning is not enabled."""
_PAGE = 1000
_OPEN_ATTEMPTS = 5


def utc_now() -> datetime:
    """The time of day, in UTC."""
    return datetime.now(UTC)


class ObjectStore:
    """Buckets and objects under one folder: ``index.db`` and the files in ``objects/``.

    A write is seen whole or not at all, also after ``kill -9``: the file is written aside and
    renamed, then its row is committed. The first process to open a store removes orphans.
    """

    def __init__(self, root: Path, clock: Callable[[], datetime] = utc_now) -> None:
        root.mkdir(parents=True, exist_ok=True)
        self.clock = clock
        self.index = Index(root / "index.db")
        self.blobs = BlobFolder(root)
        self.buckets = Buckets(self.index, clock)
        self._lock = (root / "lock").open("ab")
        self._sweep()

    def close(self) -> None:
        """Let another process, or a later store, treat what it finds without a row as orphans."""
        self._lock.close()

    def create_bucket(self, account: str, region: str, bucket: str) -> None:
        """Make an empty bucket; raises InvalidBucketName, BucketAlreadyOwnedByYou."""
        self.buckets.create(account, region, bucket)

    def get(self, bucket: str, key: str, version_id: str | None = None) -> StoredObject:
        """The current version of an object, or the one asked for.

        Raises:
            NoSuchBucket, NoSuchKey, NoSuchVersion: it is not there.
            MethodNotAllowed: the version asked for is a delete marker.
        """
        found = self._find(self.index.connection, bucket, encode_key(key), version_id)
        if found is None:
            if version_id is None:
                raise NoSuchKey(details={"Key": key})
            raise NoSuchVersion(details={"Key": key, "VersionId": version_id})
        if found.delete_marker:
            headers = {"x-amz-delete-marker": "true", "x-amz-version-id": str(found.version_id)}
            if version_id is None:
                raise NoSuchKey(details={"Key": key}, headers=headers)
            raise MethodNotAllowed(headers={**headers, "Allow": "DELETE"})
        return found

    def open(
        self, bucket: str, key: str, version_id: str | None = None
    ) -> tuple[StoredObject, BinaryIO]:
        """An object and its file opened for reading, which stays whole whatever happens to it."""
        for attempt in range(_OPEN_ATTEMPTS):
            found = self.get(bucket, key, version_id)
            try:
                return found, found.path.open("rb")
            except FileNotFoundError:  # replaced between the row and the file: look again
                if attempt == _OPEN_ATTEMPTS - 1:
                    raise
        raise AssertionError

    def list(self, bucket: str, prefix: str = "") -> Iterator[StoredObject]:
        """The current objects whose keys start with the prefix, in UTF-8 order of the keys."""
        find_bucket(self.index.connection, bucket)
        start, end = prefix.encode(), key_after_prefix(prefix.encode())
        while True:
            rows = self.index.connection.execute(
                "SELECT * FROM objects WHERE bucket = ? AND latest = 1 AND delete_marker = 0"
                " AND key >= ? AND key < ? ORDER BY key LIMIT ?",
                [bucket, start, end, _PAGE],
            ).fetchall()
            versioned = bool(find_bucket(self.index.connection, bucket).versioning)
            for row in rows:
                yield self.stored(row, versioned=versioned)
            if len(rows) < _PAGE:
                return
            start = rows[-1]["key"] + b"\0"

    def put_file(
        self, bucket: str, key: str, path: Path, *, content_type: str | None = None
    ) -> StoredObject:
        """Make a file an object by hard link (by copy across file systems).

        The file becomes read-only: it *is* the object now.
        """
        find_bucket(self.index.connection, bucket)
        encode_key(key)
        return self.commit(bucket, key, self.blobs.adopt(path), _attributes(content_type))

    def put_stream(
        self, bucket: str, key: str, stream: Readable, *, content_type: str | None = None
    ) -> StoredObject:
        """Make an object of all that a stream gives; the old object stays if the stream raises."""
        find_bucket(self.index.connection, bucket)
        encode_key(key)
        return self.commit(bucket, key, self.blobs.receive(stream), _attributes(content_type))

    def commit(
        self,
        bucket: str,
        key: str,
        blob: Blob,
        attributes: Attributes,
        *,
        etag: str | None = None,
        condition: WriteCondition | None = None,
        upload: str | None = None,
    ) -> StoredObject:
        """Make a received file the current version of an object, or remove the file and raise.

        ``etag`` is the blob's unless it is given; ``upload`` the multipart upload that ends here.
        """
        encoded = encode_key(key)
        try:
            with self.index.write() as connection:
                enabled = find_bucket(connection, bucket).versioning == "Enabled"
                if condition is not None:
                    _check(condition, self._find(connection, bucket, encoded, None), key)
                version = secrets.token_urlsafe(24) if enabled else NULL_VERSION
                removed = _replace(connection, bucket, encoded, version)
                connection.execute(
                    "INSERT INTO objects (bucket, key, version, latest, delete_marker, blob, size,"
                    " etag, modified, attributes) VALUES (?, ?, ?, 1, 0, ?, ?, ?, ?, ?)",
                    [
                        bucket,
                        encoded,
                        version,
                        blob.name,
                        blob.size,
                        etag or blob.etag,
                        to_milliseconds(self.clock()),
                        json.dumps(asdict(attributes)),
                    ],
                )
                if upload is not None:
                    connection.execute("DELETE FROM uploads WHERE id = ?", [upload])
                    parts = connection.execute(
                        "DELETE FROM parts WHERE upload = ? RETURNING blob", [upload]
                    )
                    removed += [row["blob"] for row in parts]
                stored = self._find(connection, bucket, encoded, version)
        except BaseException:
            self.blobs.remove([blob.name])
            raise
        self.blobs.remove(removed)
        assert stored is not None  # noqa: S101  (inserted above)
        return stored

    def delete(
        self,
        bucket: str,
        key: str,
        version_id: str | None = None,
        condition: WriteCondition | None = None,
    ) -> StoredObject | None:
        """Delete an object, or one version of it for good; nothing happens if it is not there.

        Returns:
            The delete marker made or removed, the version removed, or None.
        """
        encoded = encode_key(key)
        with self.index.write() as connection:
            versioning = find_bucket(connection, bucket).versioning
            if condition is not None:
                _check(condition, self._find(connection, bucket, encoded, version_id), key)
            if version_id is not None or not versioning:
                target = version_id or NULL_VERSION
                gone = self._find(connection, bucket, encoded, target)
                removed = _remove(connection, bucket, encoded, target)
            else:
                target = secrets.token_urlsafe(24) if versioning == "Enabled" else NULL_VERSION
                removed = _replace(connection, bucket, encoded, target)
                connection.execute(
                    "INSERT INTO objects (bucket, key, version, latest, delete_marker, blob, size,"
                    " etag, modified, attributes) VALUES (?, ?, ?, 1, 1, '', 0, '', ?, ?)",
                    [
                        bucket,
                        encoded,
                        target,
                        to_milliseconds(self.clock()),
                        json.dumps(asdict(Attributes())),
                    ],
                )
                gone = self._find(connection, bucket, encoded, target)
        self.blobs.remove(removed)
        return gone

    def orphans(self, before: float) -> Sequence[Path]:
        """Files without a row that were not touched since a time, in seconds since 1970."""
        return self.blobs.orphans(self.index.blobs, before)

    def put_tags(
        self, bucket: str, key: str, version_id: str | None, tags: dict[str, str]
    ) -> StoredObject:
        """Replace the tags of an object's current version, or of the one asked for."""
        with self.index.write() as connection:
            stored = self.get(bucket, key, version_id)
            attributes = replace(stored.attributes, tags=tags)
            connection.execute(
                "UPDATE objects SET attributes = ? WHERE bucket = ? AND key = ? AND version = ?",
                [
                    json.dumps(asdict(attributes)),
                    bucket,
                    encode_key(key),
                    stored.version_id or NULL_VERSION,
                ],
            )
        return replace(stored, attributes=attributes)

    def stored(self, row: sqlite3.Row, *, versioned: bool) -> StoredObject:
        """The object that a row of ``objects`` stands for."""
        attributes = json.loads(row["attributes"])
        attributes["parts"] = tuple(attributes["parts"])
        return StoredObject(
            bucket=row["bucket"],
            key=row["key"].decode(),
            size=row["size"],
            etag=row["etag"],
            last_modified=from_milliseconds(row["modified"]),
            path=self.blobs.path(row["blob"]),
            version_id=row["version"] if versioned else None,
            attributes=Attributes(**attributes),
            latest=bool(row["latest"]),
            delete_marker=bool(row["delete_marker"]),
        )

    def _find(
        self, connection: sqlite3.Connection, bucket: str, key: bytes, version_id: str | None
    ) -> StoredObject | None:
        versioned = bool(find_bucket(connection, bucket).versioning)
        which = "latest = 1" if version_id is None else "version = ?"
        row = connection.execute(
            f"SELECT * FROM objects WHERE bucket = ? AND key = ? AND {which}",  # noqa: S608 (constants)
            [bucket, key] if version_id is None else [bucket, key, version_id],
        ).fetchone()
        return None if row is None else self.stored(row, versioned=versioned)

    def _sweep(self) -> None:
        """Remove orphans, unless another process has the store open: it may be writing."""
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pass
        else:
            self.blobs.sweep(self.index.blobs())
        fcntl.flock(self._lock, fcntl.LOCK_SH)


def key_after_prefix(prefix: bytes) -> bytes:
    """A bound above all keys with the prefix and not above any other key behind them.

    No byte of UTF-8 is 0xFF, so adding one never overflows and 0xFF alone is above every key.
    """
    return prefix[:-1] + bytes([prefix[-1] + 1]) if prefix else b"\xff"


def _attributes(content_type: str | None) -> Attributes:
    return Attributes() if content_type is None else Attributes(content_type=content_type)


def _check(condition: WriteCondition, current: StoredObject | None, key: str) -> None:
    if current is not None and current.delete_marker:
        current = None
    if condition.absent and current is not None:
        raise PreconditionFailed(details={"Condition": "If-None-Match"})
    if condition.etag is not None:
        if current is None:
            raise NoSuchKey(details={"Key": key})
        if condition.etag not in {"*", current.etag}:
            raise PreconditionFailed(details={"Condition": "If-Match"})


def _replace(connection: sqlite3.Connection, bucket: str, key: bytes, version: str) -> list[str]:
    """Make room for a new current version; returns the files that lost their row."""
    rows = connection.execute(
        "DELETE FROM objects WHERE bucket = ? AND key = ? AND version = ? RETURNING blob",
        [bucket, key, version],
    )
    removed = [row["blob"] for row in rows if row["blob"]]
    connection.execute(
        "UPDATE objects SET latest = 0 WHERE bucket = ? AND key = ? AND latest = 1", [bucket, key]
    )
    return removed


def _remove(connection: sqlite3.Connection, bucket: str, key: bytes, version: str) -> list[str]:
    """Remove one version; the newest of the others becomes the current one."""
    removed = _replace(connection, bucket, key, version)
    connection.execute(
        "UPDATE objects SET latest = 1 WHERE sequence ="
        " (SELECT max(sequence) FROM objects WHERE bucket = ? AND key = ?)",
        [bucket, key],
    )
    return removed
