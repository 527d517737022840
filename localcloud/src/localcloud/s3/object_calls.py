"""Calls that write, read and delete objects."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from typing import BinaryIO
from urllib.parse import quote
from xml.etree.ElementTree import Element

from localcloud.s3 import xml
from localcloud.s3.blobs import BLOCK
from localcloud.s3.conditions import check_read, parse_range, write_condition
from localcloud.s3.copy_calls import copy_object
from localcloud.s3.errors import (
    InvalidArgument,
    InvalidRange,
    InvalidRequest,
    MalformedXML,
    S3Error,
)
from localcloud.s3.headers import (
    checksum_elements,
    checksum_headers,
    encryption_headers,
    object_headers,
    read_attributes,
    refuse_unknown,
    version_header,
)
from localcloud.s3.multipart import check_part_number
from localcloud.s3.names import encode_key
from localcloud.s3.payload import Payload
from localcloud.s3.request import Request, Response
from localcloud.s3.service import EMPTY, NO_CONTENT, Calls, Service, xml_response
from localcloud.s3.stored import StoredObject, WriteCondition
from localcloud.s3.tags import OBJECT_LIMIT, tags_of_document, write_tags

_OVERRIDES = {
    "response-cache-control": "Cache-Control",
    "response-content-disposition": "Content-Disposition",
    "response-content-encoding": "Content-Encoding",
    "response-content-language": "Content-Language",
    "response-content-type": "Content-Type",
    "response-expires": "Expires",
}
_ATTRIBUTES = {"ETag", "Checksum", "ObjectParts", "StorageClass", "ObjectSize"}
_MAXIMUM_DELETES = 1000


def put_object(service: Service, request: Request) -> Response:
    """PutObject, or CopyObject if the headers name a source."""
    refuse_unknown(request)
    if "x-amz-copy-source" in request.headers:
        return copy_object(service, request)
    store = service.store
    store.buckets.get(request.bucket)
    encode_key(request.key)
    attributes = read_attributes(store, request)
    payload = Payload(request)
    blob = store.blobs.receive(payload)
    attributes = replace(attributes, checksums=payload.checksums)
    condition = write_condition(request.headers)
    stored = store.commit(request.bucket, request.key, blob, attributes, condition=condition)
    headers = {
        "ETag": f'"{stored.etag}"',
        **encryption_headers(attributes),
        **checksum_headers(attributes),
        **version_header(stored),
    }
    return Response(200, headers)


def get_object(service: Service, request: Request) -> Response:
    """GetObject: with ranges, conditions and versions."""
    stored, file = service.store.open(request.bucket, request.key, request.version_id)
    try:
        status, headers, (first, length) = _describe(request, stored)
    except BaseException:
        file.close()
        raise
    return Response(status, headers, FileBlocks(file, first, length))


def head_object(service: Service, request: Request) -> Response:
    """HeadObject: what describes an object."""
    stored = service.store.get(request.bucket, request.key, request.version_id)
    status, headers, _ = _describe(request, stored)
    return Response(status, headers)


def delete_object(service: Service, request: Request) -> Response:
    """DeleteObject: a delete marker where versions are kept."""
    condition = write_condition(request.headers)
    gone = service.store.delete(request.bucket, request.key, request.version_id, condition)
    headers = {}
    if gone is not None:
        headers = version_header(gone)
        if gone.delete_marker:
            headers["x-amz-delete-marker"] = "true"
    return replace(NO_CONTENT, headers=headers)


def delete_objects(service: Service, request: Request) -> Response:
    """DeleteObjects: each one by itself; what fails is told in the answer."""
    service.store.buckets.get(request.bucket)
    payload = Payload(request)
    root = xml.read(payload.document(), "Delete")
    if "content-md5" not in request.headers and not payload.checksums:
        raise InvalidRequest(
            "Missing required header for this request: Content-MD5 OR x-amz-checksum-*"
        )
    entries = root.findall("Object")
    if not 1 <= len(entries) <= _MAXIMUM_DELETES:
        raise MalformedXML
    quiet = xml.text(root, "Quiet") == "true"
    results = [_delete_entry(service, request.bucket, entry) for entry in entries]
    content = [result for result in results if not (quiet and result[0] == "Deleted")]
    return xml_response(xml.write("DeleteResult", content))


def get_tagging(service: Service, request: Request) -> Response:
    """GetObjectTagging: of any version."""
    stored = service.store.get(request.bucket, request.key, request.version_id)
    return xml_response(write_tags(stored.attributes.tags), version_header(stored))


def put_tagging(service: Service, request: Request) -> Response:
    """PutObjectTagging: at most ten."""
    root = xml.read(Payload(request).document(), "Tagging")
    tags = tags_of_document(root, OBJECT_LIMIT)
    stored = service.store.put_tags(request.bucket, request.key, request.version_id, tags)
    return replace(EMPTY, headers=version_header(stored))


def delete_tagging(service: Service, request: Request) -> Response:
    """DeleteObjectTagging: all of them."""
    stored = service.store.put_tags(request.bucket, request.key, request.version_id, {})
    return replace(NO_CONTENT, headers=version_header(stored))


def get_attributes(service: Service, request: Request) -> Response:
    """GetObjectAttributes: size, checksums and parts."""
    stored = service.store.get(request.bucket, request.key, request.version_id)
    header = request.headers.get("x-amz-object-attributes", "")
    wanted = {name.strip() for name in header.split(",")}
    if not wanted <= _ATTRIBUTES:
        raise InvalidArgument(
            "Invalid attribute name specified.",
            details={"ArgumentName": "x-amz-object-attributes", "ArgumentValue": header},
        )
    parts = stored.attributes.parts
    elements: dict[str, xml.Content | None] = {
        "ETag": stored.etag,
        "Checksum": checksum_elements(stored.attributes) or None,
        "ObjectParts": [("PartsCount", str(len(parts)))] if parts else None,
        "StorageClass": stored.storage_class,
        "ObjectSize": str(stored.size),
    }
    content = [(name, value) for name, value in elements.items() if name in wanted]
    modified = object_headers(stored)["Last-Modified"]
    return xml_response(
        xml.write("GetObjectAttributesResponse", content),
        {"Last-Modified": modified, **version_header(stored)},
    )


class FileBlocks:
    """A range of a file in blocks of a bounded size; closes the file."""

    def __init__(self, file: BinaryIO, first: int, length: int) -> None:
        self._file = file
        self._file.seek(first)
        self._left = length

    def __iter__(self) -> Iterator[bytes]:
        with closing(self._file):
            while self._left and (block := self._file.read(min(BLOCK, self._left))):
                self._left -= len(block)
                yield block

    def close(self) -> None:
        """Close the file; a WSGI server calls this also if the client has gone."""
        self._file.close()


def _describe(
    request: Request, stored: StoredObject
) -> tuple[int, dict[str, str], tuple[int, int]]:
    """Status, headers, and the first byte and length of what a read asks for."""
    check_read(request.headers, stored)
    headers = object_headers(stored)
    for name, header in _OVERRIDES.items():
        if name in request.query:
            headers[header] = quote(request.query[name], safe=" !\"#$%&'()*+,/:;<=>?@[]^`{|}~")
    extent = _part_range(request, stored)
    if extent is None:
        extent = parse_range(request.headers.get("range"), stored.size)
    elif stored.attributes.parts:
        headers["x-amz-mp-parts-count"] = str(len(stored.attributes.parts))
    checksum_wanted = request.headers.get("x-amz-checksum-mode", "").upper() == "ENABLED"
    if extent in {None, (0, stored.size)} and checksum_wanted:
        headers |= checksum_headers(stored.attributes)
    first, length = extent or (0, stored.size)
    headers["Content-Length"] = str(length)
    if extent is None or length == 0:
        return 200, headers, (first, length)
    headers["Content-Range"] = f"bytes {first}-{first + length - 1}/{stored.size}"
    return 206, headers, extent


def _part_range(request: Request, stored: StoredObject) -> tuple[int, int] | None:
    if "partNumber" not in request.query:
        return None
    if "range" in request.headers:
        raise InvalidRequest("Cannot specify both Range header and partNumber query parameter")
    number = check_part_number(request.query["partNumber"])
    sizes = stored.attributes.parts or (stored.size,)
    if number > len(sizes):
        raise InvalidRange(
            "The requested partnumber is not satisfiable",
            details={"PartNumberRequested": str(number), "ActualPartCount": str(len(sizes))},
        )
    return sum(sizes[: number - 1]), sizes[number - 1]


def _delete_entry(
    service: Service, bucket: str, entry: Element
) -> tuple[str, list[tuple[str, xml.Content | None]]]:
    key = entry.findtext("Key") or ""
    version_id = xml.text(entry, "VersionId")
    etag = xml.text(entry, "ETag")
    condition = None if etag is None else WriteCondition(etag=etag.strip('"'))
    try:
        gone = service.store.delete(bucket, key, version_id, condition)
    except S3Error as error:
        return "Error", [
            ("Key", key),
            ("VersionId", version_id),
            ("Code", error.code),
            ("Message", error.message),
        ]
    marker = gone is not None and gone.delete_marker
    return "Deleted", [
        ("Key", key),
        ("VersionId", version_id),
        ("DeleteMarker", "true" if marker else None),
        ("DeleteMarkerVersionId", gone.version_id if marker and gone is not None else None),
    ]


CALLS: Calls = {
    ("PUT", "object", ""): put_object,
    ("GET", "object", ""): get_object,
    ("HEAD", "object", ""): head_object,
    ("DELETE", "object", ""): delete_object,
    ("POST", "bucket", "delete"): delete_objects,
    ("GET", "object", "tagging"): get_tagging,
    ("PUT", "object", "tagging"): put_tagging,
    ("DELETE", "object", "tagging"): delete_tagging,
    ("GET", "object", "attributes"): get_attributes,
}
