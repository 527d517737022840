"""Multipart uploads and the transfer manager, through boto3."""
# ruff: noqa: S324  (MD5 is what an ETag is)

import hashlib
import os

import pytest
from boto3.s3.transfer import TransferConfig
from s3_server import refused

pytest_plugins = ["s3_fixtures"]

PART = 5 << 20


@pytest.fixture(scope="module")
def data():
    return os.urandom(2 * PART + 12345)


def begin(s3, bucket, **arguments):
    answer = s3.create_multipart_upload(Bucket=bucket, Key="k", **arguments)
    return {"Bucket": bucket, "Key": "k", "UploadId": answer["UploadId"]}


def send(s3, upload, number, body, **arguments):
    answer = s3.upload_part(**upload, PartNumber=number, Body=body, **arguments)
    sums = {name: value for name, value in answer.items() if name.startswith("Checksum")}
    return {"PartNumber": number, "ETag": answer["ETag"], **sums}


def finish(s3, upload, parts, **arguments):
    return s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts}, **arguments)


def test_the_transfer_manager_uploads_in_parts_and_downloads_by_ranges(s3, bucket, data, tmp_path):
    config = TransferConfig(multipart_threshold=PART, multipart_chunksize=PART, max_concurrency=4)
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(data)
    s3.upload_file(str(source), bucket, "big", Config=config)
    digests = [hashlib.md5(data[i : i + PART]).digest() for i in range(0, len(data), PART)]
    etag = hashlib.md5(b"".join(digests)).hexdigest()
    head = s3.head_object(Bucket=bucket, Key="big", ChecksumMode="ENABLED")
    assert head["ETag"] == f'"{etag}-3"'
    assert head["ChecksumCRC32"].endswith("-3")
    assert head["ChecksumType"] == "COMPOSITE"
    s3.download_file(bucket, "big", str(target), Config=config)
    assert target.read_bytes() == data
    part = s3.get_object(Bucket=bucket, Key="big", PartNumber=3)
    assert (part["PartsCount"], part["Body"].read()) == (3, data[2 * PART :])
    wanted = s3.get_object_attributes(Bucket=bucket, Key="big", ObjectAttributes=["ObjectParts"])
    assert wanted["ObjectParts"]["TotalPartsCount"] == 3
    assert s3.list_multipart_uploads(Bucket=bucket).get("Uploads", []) == []


def test_a_copy_of_a_multipart_object_is_one_piece(s3, bucket, data):
    upload = begin(s3, bucket)
    finish(s3, upload, [send(s3, upload, 1, data[:PART]), send(s3, upload, 2, b"end")])
    s3.copy_object(Bucket=bucket, Key="copy", CopySource={"Bucket": bucket, "Key": "k"})
    etag = hashlib.md5(data[:PART] + b"end").hexdigest()
    assert s3.head_object(Bucket=bucket, Key="copy")["ETag"] == f'"{etag}"'


def test_parts_are_listed_replaced_and_only_the_named_ones_are_joined(s3, s3_store, bucket, data):
    upload = begin(s3, bucket, Metadata={"m": "1"}, ContentType="text/x")
    send(s3, upload, 1, b"replaced")
    first = send(s3, upload, 1, data[:PART])
    send(s3, upload, 2, b"unused")
    last = send(s3, upload, 7, b"end")
    pages = s3.get_paginator("list_parts").paginate(**upload, PaginationConfig={"PageSize": 2})
    sizes = [(part["PartNumber"], part["Size"]) for page in pages for part in page["Parts"]]
    assert sizes == [(1, PART), (2, 6), (7, 3)]
    begun = s3.list_multipart_uploads(Bucket=bucket)["Uploads"]
    assert [entry["UploadId"] for entry in begun] == [upload["UploadId"]]
    finish(s3, upload, [first, last], MpuObjectSize=PART + 3)
    got = s3.get_object(Bucket=bucket, Key="k")
    assert (got["Metadata"], got["ContentType"]) == ({"m": "1"}, "text/x")
    assert got["Body"].read() == data[:PART] + b"end"
    refused(s3.list_parts, "NoSuchUpload", 404, **upload)


def test_what_aws_refuses_at_completion(s3, bucket, data):
    upload = begin(s3, bucket)
    small, large, last = (
        send(s3, upload, 1, b"small"),
        send(s3, upload, 2, data[:PART]),
        send(s3, upload, 3, b"end"),
    )

    def complete(code, parts, **arguments):
        wanted = {"Parts": parts}
        refused(
            s3.complete_multipart_upload, code, 400, **upload, MultipartUpload=wanted, **arguments
        )

    complete("InvalidPartOrder", [last, large])
    complete("InvalidPart", [large, {**last, "ETag": '"0"'}])
    complete("InvalidPart", [large, {**last, "PartNumber": 9}])
    complete("EntityTooSmall", [small, large])
    complete("MalformedXML", [])
    complete("InvalidRequest", [large, last], MpuObjectSize=1)
    finish(s3, upload, [large, last])


def test_part_numbers_run_from_1_to_10000(s3, bucket):
    upload = begin(s3, bucket)
    refused(s3.upload_part, "InvalidArgument", 400, **upload, PartNumber=10_001, Body=b"")
    refused(s3.upload_part, "InvalidArgument", 400, **upload, PartNumber=0, Body=b"")


def test_an_aborted_upload_leaves_no_file(s3, s3_store, bucket):
    before = s3_store.index.blobs()
    upload = begin(s3, bucket)
    send(s3, upload, 1, b"x")
    (blob,) = s3_store.index.blobs() - before
    assert s3_store.blobs.path(blob).exists()
    s3.abort_multipart_upload(**upload)
    assert not s3_store.blobs.path(blob).exists()
    refused(s3.abort_multipart_upload, "NoSuchUpload", 404, **upload)
    refused(s3.upload_part, "NoSuchUpload", 404, **upload, PartNumber=1, Body=b"")


def test_parts_are_copied_from_objects_whole_and_by_range(s3, bucket, data):
    s3.put_object(Bucket=bucket, Key="source", Body=data)
    source = {"Bucket": bucket, "Key": "source"}
    upload = begin(s3, bucket, ChecksumAlgorithm="SHA256")
    parts = []
    for number, extent in enumerate(({}, {"CopySourceRange": f"bytes=10-{PART + 9}"}), 1):
        copied = s3.upload_part_copy(**upload, PartNumber=number, CopySource=source, **extent)
        result = copied["CopyPartResult"]
        sums = {"ETag": result["ETag"], "ChecksumSHA256": result["ChecksumSHA256"]}
        parts.append({"PartNumber": number, **sums})
    beyond = {"PartNumber": 3, "CopySource": source, "CopySourceRange": f"bytes=0-{len(data)}"}
    refused(s3.upload_part_copy, "InvalidArgument", 400, **upload, **beyond)
    assert finish(s3, upload, parts)["ChecksumSHA256"].endswith("-2")
    got = s3.get_object(Bucket=bucket, Key="k")["Body"].read()
    assert got == data + data[10 : PART + 10]


def test_the_crc_of_the_whole_is_combined_from_those_of_the_parts(s3, bucket, data):
    s3.put_object(Bucket=bucket, Key="whole", Body=data, ChecksumAlgorithm="CRC32")
    whole = s3.head_object(Bucket=bucket, Key="whole", ChecksumMode="ENABLED")["ChecksumCRC32"]
    upload = begin(s3, bucket, ChecksumAlgorithm="CRC32", ChecksumType="FULL_OBJECT")
    parts = [
        send(s3, upload, i + 1, data[i * PART : (i + 1) * PART], ChecksumAlgorithm="CRC32")
        for i in range(3)
    ]
    wanted = {"MultipartUpload": {"Parts": parts}, "ChecksumType": "FULL_OBJECT"}
    complete = s3.complete_multipart_upload
    refused(complete, "BadDigest", 400, **upload, **wanted, ChecksumCRC32="AAAAAA==")
    done = complete(**upload, **wanted, ChecksumCRC32=whole)
    assert (done["ChecksumCRC32"], done["ChecksumType"]) == (whole, "FULL_OBJECT")
    assert s3.get_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")["Body"].read() == data


def test_a_completed_upload_can_be_conditional(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"old")
    upload = begin(s3, bucket)
    parts = {"Parts": [send(s3, upload, 1, b"new")]}
    complete = s3.complete_multipart_upload
    code = "PreconditionFailed"
    refused(complete, code, 412, **upload, MultipartUpload=parts, IfNoneMatch="*")
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"old"
    complete(**upload, MultipartUpload=parts)
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"new"
