"""What the store knows of an object."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

DEFAULT_CONTENT_TYPE = "binary/octet-stream"


@dataclass(frozen=True, slots=True)
class Attributes:
    """What a writer says about an object beside its bytes.

    ``headers`` are the headers that S3 keeps and gives back (``cache-control``, ...) by their
    names in lower case; ``checksums`` map an algorithm (``crc32``) to its value in Base64;
    ``parts`` are the sizes, in bytes, of the parts of a multipart upload.
    """

    content_type: str = DEFAULT_CONTENT_TYPE
    metadata: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    checksums: Mapping[str, str] = field(default_factory=dict)
    checksum_type: str = "FULL_OBJECT"
    parts: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class StoredObject:
    """One version of an object, or a delete marker (which has no file).

    ``path`` is a read-only file: link or read it, never write it. ``etag`` stands without
    quotation marks. ``version_id`` is None in a bucket that never had versioning.
    """

    bucket: str
    key: str
    size: int
    etag: str
    last_modified: datetime
    path: Path
    version_id: str | None
    attributes: Attributes
    latest: bool = True
    delete_marker: bool = False

    @property
    def content_type(self) -> str:
        """The media type the writer named, or S3's default."""
        return self.attributes.content_type

    @property
    def metadata(self) -> Mapping[str, str]:
        """The user's metadata, names in lower case without ``x-amz-meta-``."""
        return self.attributes.metadata

    @property
    def storage_class(self) -> str:
        """The storage class the writer named; everything lies on the same disk."""
        return self.attributes.headers.get("x-amz-storage-class", "STANDARD")


@dataclass(frozen=True, slots=True)
class WriteCondition:
    """What must hold of the current object for a write to happen.

    ``absent``: there is none (``If-None-Match: *``); ``etag``: it has this one (``If-Match``).
    """

    absent: bool = False
    etag: str | None = None
