"""Copies inside the store: the bytes are linked, not moved."""

import hashlib
from dataclasses import replace
from pathlib import Path

from localcloud.s3 import checksums, xml
from localcloud.s3.blobs import BLOCK, Blob
from localcloud.s3.bucket_calls import format_moment
from localcloud.s3.conditions import (
    NotModified,
    check_read,
    parse_range,
    write_condition,
)
from localcloud.s3.errors import InvalidArgument, InvalidRequest, PreconditionFailed
from localcloud.s3.headers import (
    checksum_elements,
    encryption_headers,
    read_attributes,
    requested_algorithm,
    version_header,
)
from localcloud.s3.payload import MAXIMUM_PUT
from localcloud.s3.request import Request, Response, parse_copy_source
from localcloud.s3.service import Service, xml_response
from localcloud.s3.stored import Attributes, StoredObject

_PREFIX = "x-amz-copy-source-"
_ENCRYPTION = "x-amz-server-side-encryption"


def copy_object(service: Service, request: Request) -> Response:
    """CopyObject."""
    store = service.store
    source = find_source(service, request)
    if source.size > MAXIMUM_PUT:
        raise InvalidRequest(
            "The specified copy source is larger than the maximum allowable size for a copy"
            f" source: {MAXIMUM_PUT}"
        )
    store.buckets.get(request.bucket)
    attributes = _copied_attributes(service, request, source)
    blob, attributes = _copy(service, request, source, attributes)
    stored = store.commit(
        request.bucket,
        request.key,
        blob,
        attributes,
        condition=write_condition(request.headers),
    )
    content: xml.Content = [
        ("LastModified", format_moment(stored.last_modified)),
        ("ETag", f'"{stored.etag}"'),
        *checksum_elements(attributes),
    ]
    headers = {
        **encryption_headers(attributes),
        **source_version_header(source),
        **version_header(stored),
    }
    return xml_response(xml.write("CopyObjectResult", content), headers)


def find_source(service: Service, request: Request) -> StoredObject:
    """The object to copy from, if the request's conditions on it hold."""
    source = service.store.get(*parse_copy_source(request.headers["x-amz-copy-source"]))
    try:
        check_read(request.headers, source, _PREFIX)
    except NotModified as unchanged:
        raise PreconditionFailed from unchanged
    return source


def copy_range(service: Service, request: Request, source: StoredObject) -> Blob:
    """The bytes of the source that UploadPartCopy asks for, as a new file."""
    header = request.headers.get(_PREFIX + "range")
    if header is None:
        name = service.store.blobs.duplicate(source.path.name)
        md5 = source.etag if "-" not in source.etag else service.store.blobs.md5(name)
        return Blob(name, source.size, md5)
    extent = parse_range(header, source.size)
    if extent is None or header.endswith("-") or header.startswith("bytes=-"):
        raise InvalidArgument(
            "The x-amz-copy-source-range value must be of the form bytes=first-last where first"
            " and last are the zero-based offsets of the first and last bytes to copy",
            details={"ArgumentName": _PREFIX + "range", "ArgumentValue": header},
        )
    if int(header.rpartition("-")[2]) >= source.size:
        raise InvalidArgument(
            f"Range specified is not valid for source object of size: {source.size}",
            details={"ArgumentName": _PREFIX + "range", "ArgumentValue": header},
        )
    return service.store.blobs.cut(source.path.name, *extent)


def source_version_header(source: StoredObject) -> dict[str, str]:
    """The version that was copied, in a bucket that has versions."""
    return {} if source.version_id is None else {_PREFIX + "version-id": source.version_id}


def measure(path: Path, algorithm: str) -> tuple[str, dict[str, str]]:
    """A file's MD5 in hex, and its checksum if it can be computed."""
    md5 = hashlib.md5(usedforsecurity=False)
    digest = checksums.start(algorithm) if algorithm else None
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            md5.update(block)
            if digest is not None:
                digest.update(block)
    value = {} if digest is None else {algorithm: checksums.encode(digest.digest())}
    return md5.hexdigest(), value


def _copied_attributes(service: Service, request: Request, source: StoredObject) -> Attributes:
    asked = read_attributes(service.store, request)
    replaced = _directive(request, "metadata")
    attributes = asked if replaced else source.attributes
    kept = {
        name: value
        for name, value in attributes.headers.items()
        if not name.startswith((_ENCRYPTION, "x-amz-storage-class"))
    }
    # A copy is stored as its own request says, whatever becomes of the metadata.
    own = {
        name: value
        for name, value in asked.headers.items()
        if name.startswith((_ENCRYPTION, "x-amz-storage-class"))
    }
    tags = asked.tags if _directive(request, "tagging") else source.attributes.tags
    into_itself = (source.bucket, source.key) == (request.bucket, request.key)
    changes = replaced or request.headers.keys() & {_ENCRYPTION, "x-amz-storage-class"}
    if into_itself and source.latest and not changes:
        raise InvalidRequest(
            "This copy request is illegal because it is trying to copy an object to itself without"
            " changing the object's metadata, storage class, website redirect location or"
            " encryption attributes."
        )
    return replace(attributes, headers={**kept, **own}, tags=tags)


def _directive(request: Request, kind: str) -> bool:
    """Whether the request replaces the source's metadata or tags."""
    name = f"x-amz-{kind}-directive"
    directive = request.headers.get(name, "COPY")
    if directive not in {"COPY", "REPLACE"}:
        raise InvalidArgument(
            f"Unknown {kind} directive.",
            details={"ArgumentName": name, "ArgumentValue": directive},
        )
    return directive == "REPLACE"


def _copy(
    service: Service, request: Request, source: StoredObject, attributes: Attributes
) -> tuple[Blob, Attributes]:
    """The linked file, and the attributes with the checksums of an object put in one piece."""
    held = dict(source.attributes.checksums)
    whole = "-" not in source.etag
    algorithm = requested_algorithm(request) or next(iter(held), "")
    name = service.store.blobs.duplicate(source.path.name)
    if whole and (not algorithm or algorithm in held):
        md5 = source.etag
    else:
        md5, held = measure(service.store.blobs.path(name), algorithm)
    attributes = replace(attributes, checksums=held, checksum_type="FULL_OBJECT", parts=())
    return Blob(name, source.size, md5), attributes
