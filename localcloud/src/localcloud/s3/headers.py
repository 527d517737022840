"""Objects to and from HTTP headers."""

from email.utils import format_datetime

from localcloud.s3 import xml
from localcloud.s3.checksums import check_algorithm
from localcloud.s3.errors import (
    AccessControlListNotSupported,
    InvalidArgument,
    InvalidStorageClass,
    MetadataTooLarge,
    Unsupported,
)
from localcloud.s3.objects import ObjectStore
from localcloud.s3.payload import encodings
from localcloud.s3.request import Request
from localcloud.s3.stored import DEFAULT_CONTENT_TYPE, Attributes, StoredObject
from localcloud.s3.tags import tags_of_header

META = "x-amz-meta-"
_MAXIMUM_METADATA = 2048
_STORAGE_CLASSES = (
    "STANDARD", "REDUCED_REDUNDANCY", "STANDARD_IA", "ONEZONE_IA", "INTELLIGENT_TIERING",
    "GLACIER", "GLACIER_IR", "DEEP_ARCHIVE",
)  # fmt: skip
_SSE = "x-amz-server-side-encryption"
_ENCRYPTIONS = ("AES256", "aws:kms", "aws:kms:dsse")
_KEPT = (
    "cache-control", "content-disposition", "content-language", "expires", "x-amz-storage-class",
    _SSE, f"{_SSE}-aws-kms-key-id", f"{_SSE}-bucket-key-enabled",
)  # fmt: skip
_REFUSED = (
    f"{_SSE}-customer-", f"{_SSE}-context", "x-amz-copy-source-server-side-encryption-customer-",
    "x-amz-object-lock-", "x-amz-bucket-object-lock-", "x-amz-grant-",
    "x-amz-website-redirect-location", "x-amz-write-offset-bytes", "x-amz-bucket-namespace",
)  # fmt: skip
_OWNER_ACLS = ("private", "bucket-owner-full-control")


def refuse_unknown(request: Request) -> None:
    """Raise for a header that asks for what this S3 does not do.

    Raises:
        Unsupported: the header would be without effect.
        AccessControlListNotSupported: it is an ACL for others than the bucket's owner.
    """
    for name in request.headers:
        if name.startswith(_REFUSED):
            raise Unsupported(details={"Header": name})
    if request.headers.get("x-amz-acl", "private") not in _OWNER_ACLS:
        raise AccessControlListNotSupported


def read_attributes(store: ObjectStore, request: Request) -> Attributes:
    """What the headers of a PUT, a copy or a new upload say about the object."""
    headers = request.headers
    kept = {name: headers[name] for name in _KEPT if headers.get(name)}
    if kept.get("x-amz-storage-class", "STANDARD") not in _STORAGE_CLASSES:
        raise InvalidStorageClass(details={"StorageClassRequested": kept["x-amz-storage-class"]})
    if kept.setdefault(_SSE, "") == "":
        kept |= _default_encryption(store, request.bucket)
    if kept[_SSE] not in _ENCRYPTIONS:
        raise InvalidArgument(
            "The encryption method specified is not supported",
            details={"ArgumentName": _SSE, "ArgumentValue": kept[_SSE]},
        )
    if encoding := ", ".join(name for name in encodings(request) if name != "aws-chunked"):
        kept["content-encoding"] = encoding
    metadata = {
        name.removeprefix(META): value for name, value in headers.items() if name.startswith(META)
    }
    size = sum(len(name) + len(value) for name, value in metadata.items())
    if size > _MAXIMUM_METADATA:
        raise MetadataTooLarge(
            details={"Size": str(size), "MaxSizeAllowed": str(_MAXIMUM_METADATA)}
        )
    return Attributes(
        content_type=headers.get("content-type", DEFAULT_CONTENT_TYPE),
        metadata=metadata,
        headers=kept,
        tags=tags_of_header(headers.get("x-amz-tagging")),
    )


def object_headers(stored: StoredObject) -> dict[str, str]:
    """The headers that GetObject and HeadObject give of an object, without its length."""
    attributes = stored.attributes
    headers = {
        "Content-Type": stored.content_type,
        "ETag": f'"{stored.etag}"',
        "Last-Modified": format_datetime(stored.last_modified, usegmt=True),
        "Accept-Ranges": "bytes",
        **encryption_headers(attributes),
        **version_header(stored),
    }
    for name, value in attributes.headers.items():
        if not name.startswith(_SSE) and (name, value) != ("x-amz-storage-class", "STANDARD"):
            headers[name.title() if not name.startswith("x-amz") else name] = value
    for name, value in stored.metadata.items():
        headers[META + name] = value
    if attributes.tags:
        headers["x-amz-tagging-count"] = str(len(attributes.tags))
    return headers


def encryption_headers(attributes: Attributes) -> dict[str, str]:
    """How the object is said to be encrypted; AES256 is what AWS does without being asked."""
    said = {name: value for name, value in attributes.headers.items() if name.startswith(_SSE)}
    return said or {_SSE: "AES256"}


def version_header(stored: StoredObject) -> dict[str, str]:
    """The version's id, in a bucket that has versions."""
    return {} if stored.version_id is None else {"x-amz-version-id": stored.version_id}


def checksum_headers(attributes: Attributes) -> dict[str, str]:
    """The object's checksums and how they were made."""
    if not attributes.checksums:
        return {}
    headers = {f"x-amz-checksum-{name}": value for name, value in attributes.checksums.items()}
    return {**headers, "x-amz-checksum-type": attributes.checksum_type}


def checksum_elements(attributes: Attributes) -> list[tuple[str, xml.Content | None]]:
    """The object's checksums as elements of an answer."""
    if not attributes.checksums:
        return []
    elements: list[tuple[str, xml.Content | None]] = [
        (f"Checksum{name.upper()}", value) for name, value in attributes.checksums.items()
    ]
    return [*elements, ("ChecksumType", attributes.checksum_type)]


def requested_algorithm(request: Request) -> str:
    """The checksum that ``x-amz-checksum-algorithm`` asks S3 for, or nothing."""
    name = request.headers.get("x-amz-checksum-algorithm", "")
    return check_algorithm(name) if name else ""


def _default_encryption(store: ObjectStore, bucket: str) -> dict[str, str]:
    document = store.buckets.document(bucket, "encryption")
    if document is None:
        return {_SSE: "AES256"}
    root = xml.read(document, "ServerSideEncryptionConfiguration")
    default = "Rule/ApplyServerSideEncryptionByDefault"
    headers = {_SSE: xml.text(root, f"{default}/SSEAlgorithm") or "AES256"}
    if key := xml.text(root, f"{default}/KMSMasterKeyID"):
        headers[f"{_SSE}-aws-kms-key-id"] = key
    if xml.text(root, "Rule/BucketKeyEnabled") == "true":
        headers[f"{_SSE}-bucket-key-enabled"] = "true"
    return headers
