"""Buckets and the documents that configure them."""

import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from localcloud.s3.errors import (
    BucketAlreadyExists,
    BucketAlreadyOwnedByYou,
    BucketNotEmpty,
    NoSuchBucket,
)
from localcloud.s3.index import Index
from localcloud.s3.names import check_bucket_name

_XMLNS: Final = 'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'
NEW_BUCKET: Final[Mapping[str, str]] = {
    "publicAccessBlock": (
        f"<PublicAccessBlockConfiguration {_XMLNS}>"
        "<BlockPublicAcls>true</BlockPublicAcls><IgnorePublicAcls>true</IgnorePublicAcls>"
        "<BlockPublicPolicy>true</BlockPublicPolicy>"
        "<RestrictPublicBuckets>true</RestrictPublicBuckets></PublicAccessBlockConfiguration>"
    ),
    "ownershipControls": (
        f"<OwnershipControls {_XMLNS}><Rule><ObjectOwnership>BucketOwnerEnforced"
        "</ObjectOwnership></Rule></OwnershipControls>"
    ),
}
"""What AWS gives every new bucket since April 2023."""


@dataclass(frozen=True, slots=True)
class Bucket:
    """A bucket; ``versioning`` is empty (never set), ``Enabled`` or ``Suspended``."""

    name: str
    account: str
    region: str
    created: datetime
    versioning: str


class Buckets:
    """The buckets of a store."""

    def __init__(self, index: Index, clock: Callable[[], datetime]) -> None:
        self._index = index
        self._clock = clock

    def create(self, account: str, region: str, name: str) -> None:
        """Make an empty bucket.

        Raises:
            InvalidBucketName: AWS would not take the name.
            BucketAlreadyOwnedByYou: the account has it already.
            BucketAlreadyExists: another account has it.
        """
        check_bucket_name(name)
        with self._index.write() as connection:
            row = connection.execute("SELECT account FROM buckets WHERE name = ?", [name])
            if owner := row.fetchone():
                taken = BucketAlreadyOwnedByYou if owner[0] == account else BucketAlreadyExists
                raise taken(details={"BucketName": name})
            connection.execute(
                "INSERT INTO buckets (name, account, region, created) VALUES (?, ?, ?, ?)",
                [name, account, region, to_milliseconds(self._clock())],
            )
            connection.executemany(
                "INSERT INTO documents VALUES (?, ?, ?)",
                [(name, kind, body.encode()) for kind, body in NEW_BUCKET.items()],
            )

    def get(self, name: str) -> Bucket:
        """The bucket, or NoSuchBucket."""
        return find_bucket(self._index.connection, name)

    def list(self, account: str) -> list[Bucket]:
        """The account's buckets in the order of their names."""
        rows = self._index.connection.execute(
            "SELECT * FROM buckets WHERE account = ? ORDER BY name", [account]
        )
        return [_bucket(row) for row in rows]

    def delete(self, name: str) -> None:
        """Remove an empty bucket; BucketNotEmpty while it has a version or a delete marker."""
        with self._index.write() as connection:
            find_bucket(connection, name)
            for table in ("objects", "uploads"):
                query = f"SELECT 1 FROM {table} WHERE bucket = ? LIMIT 1"  # noqa: S608 (constants)
                if connection.execute(query, [name]).fetchone():
                    raise BucketNotEmpty(details={"BucketName": name})
            connection.execute("DELETE FROM documents WHERE bucket = ?", [name])
            connection.execute("DELETE FROM buckets WHERE name = ?", [name])

    def set_versioning(self, name: str, versioning: str) -> None:
        """Turn versioning to ``Enabled`` or ``Suspended``."""
        with self._index.write() as connection:
            find_bucket(connection, name)
            connection.execute(
                "UPDATE buckets SET versioning = ? WHERE name = ?", [versioning, name]
            )

    def document(self, name: str, kind: str) -> bytes | None:
        """The configuration kept under a kind (``policy``, ``lifecycle``, ...), as it was put."""
        self.get(name)
        row = self._index.connection.execute(
            "SELECT body FROM documents WHERE bucket = ? AND kind = ?", [name, kind]
        ).fetchone()
        return None if row is None else row["body"]

    def put_document(self, name: str, kind: str, body: bytes) -> None:
        """Keep a configuration in place of an older one of its kind."""
        with self._index.write() as connection:
            find_bucket(connection, name)
            connection.execute("REPLACE INTO documents VALUES (?, ?, ?)", [name, kind, body])

    def delete_document(self, name: str, kind: str) -> None:
        """Forget a configuration, if there is one."""
        with self._index.write() as connection:
            find_bucket(connection, name)
            connection.execute("DELETE FROM documents WHERE bucket = ? AND kind = ?", [name, kind])


def find_bucket(connection: sqlite3.Connection, name: str) -> Bucket:
    """The bucket as this connection sees it, or NoSuchBucket."""
    row = connection.execute("SELECT * FROM buckets WHERE name = ?", [name]).fetchone()
    if row is None:
        raise NoSuchBucket(details={"BucketName": name})
    return _bucket(row)


def to_milliseconds(moment: datetime) -> int:
    """Milliseconds since 1970, as rows keep time."""
    return round(moment.timestamp() * 1000)


def from_milliseconds(number: int) -> datetime:
    """The moment, in UTC, that a row keeps."""
    return datetime.fromtimestamp(number / 1000, UTC)


def _bucket(row: sqlite3.Row) -> Bucket:
    return Bucket(
        row["name"],
        row["account"],
        row["region"],
        from_milliseconds(row["created"]),
        row["versioning"],
    )
