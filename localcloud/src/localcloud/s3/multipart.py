"""Multipart uploads: every part is a file; completion copies them once, inside the kernel."""

import hashlib
import json
import secrets
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from itertools import pairwise

from localcloud.s3.blobs import Blob
from localcloud.s3.buckets import find_bucket, from_milliseconds, to_milliseconds
from localcloud.s3.checksums import Piece, of_parts
from localcloud.s3.errors import (
    BadDigest,
    EntityTooSmall,
    InvalidArgument,
    InvalidPart,
    InvalidPartOrder,
    InvalidRequest,
    NoSuchUpload,
)
from localcloud.s3.names import encode_key
from localcloud.s3.objects import ObjectStore
from localcloud.s3.stored import Attributes, StoredObject, WriteCondition

MINIMUM_PART = 5 << 20
"""Bytes of every part but the last."""
MAXIMUM_PARTS = 10_000


@dataclass(frozen=True, slots=True)
class Upload:
    """An upload under way; ``algorithm`` is the checksum every part carries, or empty."""

    id: str
    bucket: str
    key: str
    started: datetime
    attributes: Attributes
    algorithm: str


@dataclass(frozen=True, slots=True)
class Part:
    """A part that has arrived; its ETag is the MD5 of its bytes."""

    number: int
    blob: str
    size: int
    etag: str
    last_modified: datetime
    checksums: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class ClaimedPart:
    """A part as the client names it when it completes the upload."""

    number: int
    etag: str
    checksums: Mapping[str, str]


class Uploads:
    """The multipart uploads of a store."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    def create(self, bucket: str, key: str, attributes: Attributes, algorithm: str = "") -> Upload:
        """Begin an upload."""
        upload = Upload(
            secrets.token_urlsafe(48), bucket, key, self._store.clock(), attributes, algorithm
        )
        with self._store.index.write() as connection:
            find_bucket(connection, bucket)
            connection.execute(
                "INSERT INTO uploads VALUES (?, ?, ?, ?, ?, ?)",
                [
                    upload.id, bucket, encode_key(key), to_milliseconds(upload.started),
                    json.dumps(asdict(attributes)), algorithm,
                ],
            )  # fmt: skip
        return upload

    def get(self, bucket: str, key: str, upload_id: str) -> Upload:
        """The upload, or NoSuchUpload."""
        return self._find(self._store.index.connection, bucket, key, upload_id)

    def put_part(
        self, upload: Upload, number: int, blob: Blob, checksums: Mapping[str, str]
    ) -> Part:
        """Keep a received file as a part, in place of an older one with its number."""
        try:
            with self._store.index.write() as connection:
                self._find(connection, upload.bucket, upload.key, upload.id)
                old = connection.execute(
                    "DELETE FROM parts WHERE upload = ? AND number = ? RETURNING blob",
                    [upload.id, number],
                ).fetchall()
                now = self._store.clock()
                connection.execute(
                    "INSERT INTO parts VALUES (?, ?, ?, ?, ?, ?, ?)",
                    [
                        upload.id, number, blob.name, blob.size, blob.etag, to_milliseconds(now),
                        json.dumps(dict(checksums)),
                    ],
                )  # fmt: skip
        except BaseException:
            self._store.blobs.remove([blob.name])
            raise
        self._store.blobs.remove(row["blob"] for row in old)
        return Part(number, blob.name, blob.size, blob.etag, now, checksums)

    def parts(self, upload: Upload) -> list[Part]:
        """The parts that have arrived, by number."""
        rows = self._store.index.connection.execute(
            "SELECT * FROM parts WHERE upload = ? ORDER BY number", [upload.id]
        )
        return [
            Part(
                row["number"], row["blob"], row["size"], row["md5"],
                from_milliseconds(row["modified"]), json.loads(row["checksums"]),
            )
            for row in rows
        ]  # fmt: skip

    def under_way(self, bucket: str, prefix: str = "") -> list[Upload]:
        """The uploads under way, by key and then by the time they began."""
        self._store.buckets.get(bucket)
        rows = self._store.index.connection.execute(
            "SELECT * FROM uploads WHERE bucket = ? ORDER BY key, started, id", [bucket]
        )
        uploads = [_upload(row) for row in rows]
        return [upload for upload in uploads if upload.key.startswith(prefix)]

    def abort(self, bucket: str, key: str, upload_id: str) -> None:
        """End an upload and remove its parts."""
        with self._store.index.write() as connection:
            self._find(connection, bucket, key, upload_id)
            connection.execute("DELETE FROM uploads WHERE id = ?", [upload_id])
            gone = connection.execute(
                "DELETE FROM parts WHERE upload = ? RETURNING blob", [upload_id]
            ).fetchall()
        self._store.blobs.remove(row["blob"] for row in gone)

    def complete(
        self,
        upload: Upload,
        claimed: Sequence[ClaimedPart],
        checksums: Mapping[str, str],
        *,
        size: int | None = None,
        condition: WriteCondition | None = None,
    ) -> StoredObject:
        """Make the object of the claimed parts, all of which must be there as claimed.

        Raises:
            InvalidRequest: the parts have not the size given.
            InvalidPart, InvalidPartOrder, EntityTooSmall: the parts are not what S3 takes.
            BadDigest: a checksum of the whole is not the one given.
        """
        parts = self._claimed(upload, claimed)
        whole = sum(part.size for part in parts)
        if size not in {None, whole}:
            raise InvalidRequest(
                f"The provided 'x-amz-mp-object-size' header value {size} does not match what was"
                f" computed: {whole}"
            )
        attributes = replace(
            upload.attributes,
            checksums=_checksum(upload, parts, checksums),
            parts=tuple(part.size for part in parts),
        )
        digests = b"".join(bytes.fromhex(part.etag) for part in parts)
        etag = hashlib.md5(digests, usedforsecurity=False).hexdigest()
        try:
            if len(parts) == 1:
                name = self._store.blobs.duplicate(parts[0].blob)
            else:
                name = self._store.blobs.join(part.blob for part in parts)
        except FileNotFoundError as error:  # replaced or aborted meanwhile
            raise InvalidPart(details={"UploadId": upload.id}) from error
        blob = Blob(name, whole, etag)
        return self._store.commit(
            upload.bucket,
            upload.key,
            blob,
            attributes,
            etag=f"{etag}-{len(parts)}",
            condition=condition,
            upload=upload.id,
        )

    def _claimed(self, upload: Upload, claimed: Sequence[ClaimedPart]) -> list[Part]:
        numbers = [part.number for part in claimed]
        if any(after <= before for before, after in pairwise(numbers)):
            raise InvalidPartOrder(details={"UploadId": upload.id})
        present = {part.number: part for part in self.parts(upload)}
        parts = []
        for claim in claimed:
            part = present.get(claim.number)
            if (
                part is None
                or part.etag != claim.etag
                or any(
                    part.checksums.get(name, value) != value
                    for name, value in claim.checksums.items()
                )
            ):
                details = {
                    "UploadId": upload.id,
                    "PartNumber": str(claim.number),
                    "ETag": claim.etag,
                }
                raise InvalidPart(details=details)
            parts.append(part)
        for part in parts[:-1]:
            if part.size < MINIMUM_PART:
                details = {
                    "ProposedSize": str(part.size),
                    "MinSizeAllowed": str(MINIMUM_PART),
                    "PartNumber": str(part.number),
                    "ETag": part.etag,
                }
                raise EntityTooSmall(details=details)
        return parts

    def _find(
        self, connection: sqlite3.Connection, bucket: str, key: str, upload_id: str
    ) -> Upload:
        find_bucket(connection, bucket)
        row = connection.execute(
            "SELECT * FROM uploads WHERE id = ? AND bucket = ? AND key = ?",
            [upload_id, bucket, encode_key(key)],
        ).fetchone()
        if row is None:
            raise NoSuchUpload(details={"UploadId": upload_id})
        return _upload(row)


def check_part_number(text: str) -> int:
    """A part's number, 1 to 10,000, or InvalidArgument."""
    number = int(text) if text.isascii() and text.isdigit() else 0
    if not 1 <= number <= MAXIMUM_PARTS:
        raise InvalidArgument(
            f"Part number must be an integer between 1 and {MAXIMUM_PARTS}, inclusive",
            details={"ArgumentName": "partNumber", "ArgumentValue": text},
        )
    return number


def _upload(row: sqlite3.Row) -> Upload:
    return Upload(
        row["id"], row["bucket"], row["key"].decode(), from_milliseconds(row["started"]),
        Attributes(**json.loads(row["attributes"])), row["algorithm"],
    )  # fmt: skip


def _checksum(upload: Upload, parts: Sequence[Part], given: Mapping[str, str]) -> Mapping[str, str]:
    """The checksum of the whole, held against the one that the client gives."""
    algorithm = upload.algorithm or next(iter(given), "")
    if any(algorithm not in part.checksums for part in parts):
        if not upload.algorithm:
            return given
        raise InvalidRequest(
            f"The upload was created using a {algorithm} checksum. The complete request must"
            " include the checksum for each part."
        )
    pieces = [Piece(part.checksums[algorithm], part.size) for part in parts]
    whole = of_parts(algorithm, upload.attributes.checksum_type, pieces)
    if whole is None:
        return given
    if given.get(algorithm, whole) not in {whole, whole.rpartition("-")[0]}:
        raise BadDigest(f"The {algorithm} you specified did not match the calculated checksum.")
    return {algorithm: whole}
