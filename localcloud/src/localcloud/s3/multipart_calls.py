"""Calls of multipart uploads."""

from dataclasses import replace
from xml.etree.ElementTree import Element

from localcloud.s3 import checksums, xml
from localcloud.s3.bucket_calls import format_moment, owner
from localcloud.s3.conditions import write_condition
from localcloud.s3.copy_calls import copy_range, find_source, measure, source_version_header
from localcloud.s3.errors import InvalidArgument, InvalidRequest, MalformedXML
from localcloud.s3.headers import (
    checksum_elements,
    encryption_headers,
    read_attributes,
    refuse_unknown,
    requested_algorithm,
    version_header,
)
from localcloud.s3.listing_calls import name_encoder
from localcloud.s3.multipart import ClaimedPart, Upload, check_part_number
from localcloud.s3.payload import Payload
from localcloud.s3.request import Request, Response
from localcloud.s3.service import NO_CONTENT, Calls, Service, xml_response

_LIMIT = 1000
_WHOLE = ("crc32", "crc32c", "crc64nvme")


def create_upload(service: Service, request: Request) -> Response:
    """CreateMultipartUpload: with all that the object shall have."""
    refuse_unknown(request)
    service.store.buckets.get(request.bucket)
    algorithm = requested_algorithm(request)
    default = "FULL_OBJECT" if algorithm in {"", "crc64nvme"} else "COMPOSITE"
    kind = request.headers.get("x-amz-checksum-type", default)
    allowed = {"FULL_OBJECT": ("", *_WHOLE), "COMPOSITE": {*checksums.BYTES} - {"crc64nvme"}}
    if algorithm not in allowed.get(kind, ()):
        raise InvalidRequest(
            f"The {kind} checksum type cannot be used with the {algorithm or 'null'} checksum"
            " algorithm."
        )
    attributes = replace(read_attributes(service.store, request), checksum_type=kind)
    upload = service.uploads.create(request.bucket, request.key, attributes, algorithm)
    headers = encryption_headers(attributes)
    if algorithm:
        headers["x-amz-checksum-algorithm"] = algorithm.upper()
        headers["x-amz-checksum-type"] = kind
    content: xml.Content = [
        ("Bucket", request.bucket),
        ("Key", request.key),
        ("UploadId", upload.id),
    ]
    return xml_response(xml.write("InitiateMultipartUploadResult", content), headers)


def upload_part(service: Service, request: Request) -> Response:
    """UploadPart, or UploadPartCopy if the headers name a source."""
    refuse_unknown(request)
    upload = _upload(service, request)
    number = check_part_number(request.query.get("partNumber", ""))
    if "x-amz-copy-source" in request.headers:
        return _copy_part(service, request, upload, number)
    payload = Payload(request)
    blob = service.store.blobs.receive(payload)
    if upload.algorithm and upload.algorithm not in payload.checksums:
        service.store.blobs.remove([blob.name])
        raise InvalidRequest(
            f"Checksum Type mismatch occurred, expected checksum Type: {upload.algorithm},"
            f" actual checksum Type: {next(iter(payload.checksums), 'null')}"
        )
    part = service.uploads.put_part(upload, number, blob, payload.checksums)
    sums = {f"x-amz-checksum-{name}": value for name, value in part.checksums.items()}
    headers = {"ETag": f'"{part.etag}"', **encryption_headers(upload.attributes), **sums}
    return Response(200, headers)


def complete_upload(service: Service, request: Request) -> Response:
    """CompleteMultipartUpload: the parts become an object, whole or not at all."""
    upload = _upload(service, request)
    body = Payload(replace(request, headers=_without_checksums(request))).document()
    root = xml.read(body, "CompleteMultipartUpload")
    claimed = [_claimed(element) for element in root.findall("Part")]
    if not claimed:
        raise MalformedXML
    given = {
        name: request.headers[f"x-amz-checksum-{name}"]
        for name in checksums.BYTES
        if f"x-amz-checksum-{name}" in request.headers
    }
    size = request.headers.get("x-amz-mp-object-size")
    condition = write_condition(request.headers)
    stored = service.uploads.complete(
        upload, claimed, given, size=None if size is None else int(size), condition=condition
    )
    content: xml.Content = [
        ("Location", f"http://{request.headers.get('host', '')}{request.path}"),
        ("Bucket", request.bucket),
        ("Key", request.key),
        ("ETag", f'"{stored.etag}"'),
        *checksum_elements(stored.attributes),
    ]
    headers = {**encryption_headers(stored.attributes), **version_header(stored)}
    return xml_response(xml.write("CompleteMultipartUploadResult", content), headers)


def abort_upload(service: Service, request: Request) -> Response:
    """AbortMultipartUpload: its parts are deleted."""
    service.uploads.abort(request.bucket, request.key, request.query["uploadId"])
    return NO_CONTENT


def list_parts(service: Service, request: Request) -> Response:
    """ListParts: in pages."""
    upload = _upload(service, request)
    marker = request.number("part-number-marker", 0, 1 << 31)
    limit = request.number("max-parts", _LIMIT, _LIMIT)
    parts = [part for part in service.uploads.parts(upload) if part.number > marker]
    shown = parts[:limit]
    more = len(parts) > limit > 0
    entries: list[tuple[str, xml.Content | None]] = [
        (
            "Part",
            [
                ("PartNumber", str(part.number)),
                ("LastModified", format_moment(part.last_modified)),
                ("ETag", f'"{part.etag}"'),
                ("Size", str(part.size)),
                *[(f"Checksum{name.upper()}", value) for name, value in part.checksums.items()],
            ],
        )
        for part in shown
    ]
    content: xml.Content = [
        ("Bucket", request.bucket),
        ("Key", request.key),
        ("UploadId", upload.id),
        ("PartNumberMarker", str(marker)),
        ("NextPartNumberMarker", str(shown[-1].number) if shown else None),
        ("MaxParts", str(limit)),
        ("IsTruncated", "true" if more else "false"),
        *entries,
        ("Initiator", owner(service.account)),
        ("Owner", owner(service.account)),
        ("StorageClass", upload.attributes.headers.get("x-amz-storage-class", "STANDARD")),
        ("ChecksumAlgorithm", upload.algorithm.upper() or None),
        ("ChecksumType", upload.attributes.checksum_type if upload.algorithm else None),
    ]
    return xml_response(xml.write("ListPartsResult", content))


def list_uploads(service: Service, request: Request) -> Response:
    """ListMultipartUploads: those that are not complete, in pages."""
    query = request.query
    encode = name_encoder(request)
    prefix, delimiter = query.get("prefix", ""), query.get("delimiter", "")
    key_marker, id_marker = query.get("key-marker", ""), query.get("upload-id-marker", "")
    limit = request.number("max-uploads", _LIMIT, _LIMIT)
    entries: dict[str, tuple[str, str, tuple[str, xml.Content | None]]] = {}
    uploads = service.uploads.under_way(request.bucket, prefix)
    begun = {upload.id: upload.started for upload in uploads}
    for upload in uploads:
        behind = upload.key == key_marker and upload.started > begun.get(id_marker, upload.started)
        if key_marker and upload.key.encode() <= key_marker.encode() and not behind:
            continue
        found = upload.key.find(delimiter, len(prefix)) if delimiter else -1
        if found >= 0:
            common = upload.key[: found + len(delimiter)]
            if common.encode() > key_marker.encode():
                content: xml.Content = [("Prefix", encode(common))]
                entries[common] = (common, "", ("CommonPrefixes", content))
            continue
        element = _upload_element(upload, encode(upload.key), service.account)
        entries[upload.id] = (upload.key, upload.id, ("Upload", element))
    page = list(entries.values())[:limit]
    more = len(entries) > limit > 0
    document: xml.Content = [
        ("Bucket", request.bucket),
        ("KeyMarker", encode(key_marker)),
        ("UploadIdMarker", id_marker),
        ("NextKeyMarker", encode(page[-1][0]) if more else None),
        ("NextUploadIdMarker", page[-1][1] if more else None),
        ("Delimiter", encode(delimiter) if delimiter else None),
        ("Prefix", encode(prefix)),
        ("EncodingType", query.get("encoding-type")),
        ("MaxUploads", str(limit)),
        ("IsTruncated", "true" if more else "false"),
        *[element for _, _, element in page],
    ]
    return xml_response(xml.write("ListMultipartUploadsResult", document))


def _upload(service: Service, request: Request) -> Upload:
    return service.uploads.get(request.bucket, request.key, request.query["uploadId"])


def _upload_element(upload: Upload, key: str, account: str) -> xml.Content:
    return [
        ("Key", key),
        ("UploadId", upload.id),
        ("Initiator", owner(account)),
        ("Owner", owner(account)),
        ("StorageClass", upload.attributes.headers.get("x-amz-storage-class", "STANDARD")),
        ("Initiated", format_moment(upload.started)),
    ]


def _copy_part(service: Service, request: Request, upload: Upload, number: int) -> Response:
    source = find_source(service, request)
    blob = copy_range(service, request, source)
    sums: dict[str, str] = {}
    if upload.algorithm:
        _, sums = measure(service.store.blobs.path(blob.name), upload.algorithm)
    part = service.uploads.put_part(upload, number, blob, sums)
    content: xml.Content = [
        ("LastModified", format_moment(part.last_modified)),
        ("ETag", f'"{part.etag}"'),
        *[(f"Checksum{name.upper()}", value) for name, value in sums.items()],
    ]
    headers = {**encryption_headers(upload.attributes), **source_version_header(source)}
    return xml_response(xml.write("CopyPartResult", content), headers)


def _without_checksums(request: Request) -> dict[str, str]:
    """The headers of a completion, whose checksums are the object's and not the body's."""
    return {
        name: value
        for name, value in request.headers.items()
        if not name.startswith("x-amz-checksum-")
    }


def _claimed(element: Element) -> ClaimedPart:
    number = xml.required(element, "PartNumber")
    if not (number.isascii() and number.isdigit()):
        raise InvalidArgument(details={"ArgumentName": "PartNumber", "ArgumentValue": number})
    sums = {
        name: value
        for name in checksums.BYTES
        if (value := xml.text(element, f"Checksum{name.upper()}"))
    }
    return ClaimedPart(int(number), xml.required(element, "ETag").strip('"'), sums)


CALLS: Calls = {
    ("POST", "object", "uploads"): create_upload,
    ("PUT", "object", "uploadId"): upload_part,
    ("POST", "object", "uploadId"): complete_upload,
    ("DELETE", "object", "uploadId"): abort_upload,
    ("GET", "object", "uploadId"): list_parts,
    ("GET", "bucket", "uploads"): list_uploads,
}
