"""Calls that list objects and versions."""

import base64
import binascii
from collections.abc import Callable
from urllib.parse import quote

from localcloud.s3 import xml
from localcloud.s3.bucket_calls import format_moment, owner
from localcloud.s3.errors import InvalidArgument
from localcloud.s3.listing import Page, list_objects, list_versions
from localcloud.s3.objects import NULL_VERSION
from localcloud.s3.request import Request, Response
from localcloud.s3.service import Calls, Service, xml_response
from localcloud.s3.stored import StoredObject

_LIMIT = 1000


def list_v2(service: Service, request: Request) -> Response:
    """ListObjectsV2: with prefix, delimiter and pages."""
    query = request.query
    if query["list-type"] != "2":
        raise InvalidArgument(
            "Invalid List Type specified in Request",
            details={"ArgumentName": "list-type", "ArgumentValue": query["list-type"]},
        )
    encode = name_encoder(request)
    prefix, delimiter = query.get("prefix", ""), query.get("delimiter", "")
    token, start_after = query.get("continuation-token"), query.get("start-after", "")
    after = start_after if token is None else _decode_token(token)
    limit = request.number("max-keys", _LIMIT, _LIMIT)
    page = list_objects(
        service.store, request.bucket, prefix=prefix, delimiter=delimiter, after=after, limit=limit
    )
    account = service.account if query.get("fetch-owner") == "true" else None
    next_token = None if page.last is None else _encode_token(_name(page.last))
    content: xml.Content = [
        ("Name", request.bucket),
        ("Prefix", encode(prefix)),
        ("ContinuationToken", token),
        ("StartAfter", encode(start_after) if start_after else None),
        ("KeyCount", str(len(page.objects) + len(page.prefixes))),
        ("MaxKeys", str(limit)),
        ("Delimiter", encode(delimiter) if delimiter else None),
        ("EncodingType", query.get("encoding-type")),
        ("IsTruncated", _boolean(page.last is not None)),
        ("NextContinuationToken", next_token),
        *[("Contents", _object(stored, encode, account)) for stored in page.objects],
        *_prefixes(page, encode),
    ]
    return xml_response(xml.write("ListBucketResult", content))


def list_v1(service: Service, request: Request) -> Response:
    """ListObjects: with prefix, delimiter and pages."""
    query = request.query
    encode = name_encoder(request)
    prefix, delimiter = query.get("prefix", ""), query.get("delimiter", "")
    marker = query.get("marker", "")
    limit = request.number("max-keys", _LIMIT, _LIMIT)
    page = list_objects(
        service.store, request.bucket, prefix=prefix, delimiter=delimiter, after=marker, limit=limit
    )
    # Without a delimiter S3 leaves NextMarker out: the last key is the marker.
    next_marker = encode(_name(page.last)) if page.last is not None and delimiter else None
    content: xml.Content = [
        ("Name", request.bucket),
        ("Prefix", encode(prefix)),
        ("Marker", encode(marker)),
        ("NextMarker", next_marker),
        ("MaxKeys", str(limit)),
        ("Delimiter", encode(delimiter) if delimiter else None),
        ("EncodingType", query.get("encoding-type")),
        ("IsTruncated", _boolean(page.last is not None)),
        *[("Contents", _object(stored, encode, service.account)) for stored in page.objects],
        *_prefixes(page, encode),
    ]
    return xml_response(xml.write("ListBucketResult", content))


def list_object_versions(service: Service, request: Request) -> Response:
    """ListObjectVersions: versions and delete markers, newest first."""
    query = request.query
    encode = name_encoder(request)
    prefix, delimiter = query.get("prefix", ""), query.get("delimiter", "")
    key_marker, version_marker = query.get("key-marker", ""), query.get("version-id-marker", "")
    if version_marker and not key_marker:
        raise InvalidArgument(
            "A version-id marker cannot be specified without a key marker.",
            details={"ArgumentName": "version-id-marker", "ArgumentValue": version_marker},
        )
    limit = request.number("max-keys", _LIMIT, _LIMIT)
    page = list_versions(
        service.store,
        request.bucket,
        prefix=prefix,
        delimiter=delimiter,
        after=key_marker,
        after_version=version_marker,
        limit=limit,
    )
    last = page.last
    next_version = _version(last) if isinstance(last, StoredObject) else None
    content: xml.Content = [
        ("Name", request.bucket),
        ("Prefix", encode(prefix)),
        ("KeyMarker", encode(key_marker)),
        ("VersionIdMarker", version_marker),
        ("NextKeyMarker", None if last is None else encode(_name(last))),
        ("NextVersionIdMarker", next_version),
        ("MaxKeys", str(limit)),
        ("Delimiter", encode(delimiter) if delimiter else None),
        ("EncodingType", query.get("encoding-type")),
        ("IsTruncated", _boolean(last is not None)),
        *[_version_entry(stored, encode, service.account) for stored in page.objects],
        *_prefixes(page, encode),
    ]
    return xml_response(xml.write("ListVersionsResult", content))


def name_encoder(request: Request) -> Callable[[str], str]:
    """How names stand in the answer: as they are, or percent-encoded on request."""
    encoding = request.query.get("encoding-type")
    if encoding is None:
        return str
    if encoding != "url":
        raise InvalidArgument(
            "Invalid Encoding Method specified in Request",
            details={"ArgumentName": "encoding-type", "ArgumentValue": encoding},
        )
    return quote


def _name(entry: StoredObject | str) -> str:
    return entry if isinstance(entry, str) else entry.key


def _version(stored: StoredObject) -> str:
    return stored.version_id or NULL_VERSION


def _boolean(value: bool) -> str:  # noqa: FBT001  (it is what is written)
    return "true" if value else "false"


def _object(
    stored: StoredObject, encode: Callable[[str], str], account: str | None
) -> list[tuple[str, xml.Content | None]]:
    checksums = stored.attributes.checksums
    return [
        ("Key", encode(stored.key)),
        ("LastModified", format_moment(stored.last_modified)),
        ("ETag", f'"{stored.etag}"'),
        *[("ChecksumAlgorithm", name.upper()) for name in checksums],
        ("ChecksumType", stored.attributes.checksum_type if checksums else None),
        ("Size", str(stored.size)),
        ("Owner", None if account is None else owner(account)),
        ("StorageClass", stored.storage_class),
    ]


def _version_entry(
    stored: StoredObject, encode: Callable[[str], str], account: str
) -> tuple[str, list[tuple[str, xml.Content | None]]]:
    common: list[tuple[str, xml.Content | None]] = [
        ("VersionId", _version(stored)),
        ("IsLatest", _boolean(stored.latest)),
    ]
    if not stored.delete_marker:
        return "Version", [*common, *_object(stored, encode, account)]
    return "DeleteMarker", [
        *common,
        ("Key", encode(stored.key)),
        ("LastModified", format_moment(stored.last_modified)),
        ("Owner", owner(account)),
    ]


def _prefixes(page: Page, encode: Callable[[str], str]) -> list[tuple[str, list[tuple[str, str]]]]:
    return [("CommonPrefixes", [("Prefix", encode(prefix))]) for prefix in page.prefixes]


def _encode_token(name: str) -> str:
    return base64.urlsafe_b64encode(name.encode()).decode()


def _decode_token(token: str) -> str:
    try:
        return base64.b64decode(token, altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError) as error:
        raise InvalidArgument(
            "The continuation token provided is incorrect",
            details={"ArgumentName": "continuation-token"},
        ) from error


CALLS: Calls = {
    ("GET", "bucket", "list-type"): list_v2,
    ("GET", "bucket", ""): list_v1,
    ("GET", "bucket", "versions"): list_object_versions,
}
