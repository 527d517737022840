"""Objects, versions, copies and conditions, through boto3."""
# ruff: noqa: S324  (MD5 is what an ETag is)

import hashlib
import random
import string
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from botocore.exceptions import ClientError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from s3_server import make_client, refused

pytest_plugins = ["s3_fixtures"]

TRICKS = [
    "../../etc/passwd", "/lead", "a//b", ".", "..", "a/../b", "nul\0byte",
    "tab\tnew\nline\r", "ü/ß/日本/🙂",
    "per%2Fcent", "plus+and space", "q?x=1&y#z", "'\"<>&", "\x01", "k" * 1024, "trailing/",
]  # fmt: skip


def body_of(response):
    return response["Body"].read()


def test_an_object_comes_back_with_what_was_said_of_it(s3, bucket):
    put = s3.put_object(
        Bucket=bucket,
        Key="a/b.csv",
        Body=b"x,y\n",
        ContentType="text/csv",
        CacheControl="no-store",
        ContentDisposition="attachment",
        Metadata={"Source": "sensor 7"},
        Tagging="stage=raw&x=",
    )
    got = s3.get_object(Bucket=bucket, Key="a/b.csv")
    assert body_of(got) == b"x,y\n"
    assert got["ETag"] == put["ETag"] == '"' + hashlib.md5(b"x,y\n").hexdigest() + '"'
    assert got["ContentType"] == "text/csv"
    assert (got["CacheControl"], got["ContentDisposition"]) == ("no-store", "attachment")
    assert got["Metadata"] == {"source": "sensor 7"}
    assert got["TagCount"] == 2
    assert "VersionId" not in got


@pytest.mark.parametrize("key", TRICKS)
def test_a_key_is_only_a_name(s3, s3_store, bucket, key):
    s3.put_object(Bucket=bucket, Key=key, Body=key.encode())
    assert body_of(s3.get_object(Bucket=bucket, Key=key)) == key.encode()
    assert [entry["Key"] for entry in s3.list_objects_v2(Bucket=bucket)["Contents"]] == [key]
    assert s3_store.get(bucket, key).path.parent.parent.name == "objects"
    s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "other"}]})
    s3.delete_object(Bucket=bucket, Key=key)
    refused(s3.head_object, "404", 404, Bucket=bucket, Key=key)


def test_a_key_longer_than_1024_bytes_is_refused(s3, bucket):
    refused(s3.put_object, "KeyTooLongError", 400, Bucket=bucket, Key="ü" * 513, Body=b"")


KEYS = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cs"]), min_size=1, max_size=12
) | st.text("ab/é\uffff\U00010000", min_size=1, max_size=6)


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(keys=st.sets(KEYS, min_size=1, max_size=8))
def test_keys_round_trip_and_list_in_utf8_order(s3, bucket, keys):
    for entry in s3.list_objects_v2(Bucket=bucket).get("Contents", []):
        s3.delete_object(Bucket=bucket, Key=entry["Key"])
    for key in keys:
        s3.put_object(Bucket=bucket, Key=key, Body=key.encode())
    pages = s3.get_paginator("list_objects_v2").paginate(
        Bucket=bucket, PaginationConfig={"PageSize": 3}
    )
    listed = [entry["Key"] for page in pages for entry in page["Contents"]]
    assert listed == sorted(keys, key=str.encode)
    assert all(body_of(s3.get_object(Bucket=bucket, Key=key)) == key.encode() for key in keys)


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    keys=st.sets(st.text("ab/", min_size=1, max_size=5), min_size=1, max_size=12),
    prefix=st.text("ab/", max_size=2),
    delimiter=st.sampled_from(["", "/", "a/", "b"]),
    size=st.integers(1, 4),
)
def test_pages_roll_up_common_prefixes_once(s3, s3_store, bucket, keys, prefix, delimiter, size):
    for stored in list(s3_store.list(bucket)):
        s3_store.delete(bucket, stored.key)
    for key in keys:
        s3.put_object(Bucket=bucket, Key=key, Body=b"")
    expected, rolled = [], set()
    for key in sorted(k for k in keys if k.startswith(prefix)):
        cut = key.find(delimiter, len(prefix)) if delimiter else -1
        if cut < 0:
            expected.append(key)
        else:
            rolled.add(key[: cut + len(delimiter)])
    for operation in ("list_objects_v2", "list_objects", "list_object_versions"):
        names, prefixes = [], []
        for page in s3.get_paginator(operation).paginate(
            Bucket=bucket, Prefix=prefix, Delimiter=delimiter, PaginationConfig={"PageSize": size}
        ):
            entries = [e["Key"] for e in page.get("Contents", page.get("Versions", []))]
            common = [entry["Prefix"] for entry in page.get("CommonPrefixes", [])]
            assert len(entries) + len(common) <= size
            names += entries
            prefixes += common
        assert (operation, names, prefixes) == (operation, expected, sorted(rolled))


def test_start_after_and_max_keys(s3, bucket):
    for key in "abcd":
        s3.put_object(Bucket=bucket, Key=key, Body=b"")
    page = s3.list_objects_v2(Bucket=bucket, StartAfter="a", MaxKeys=2)
    assert [entry["Key"] for entry in page["Contents"]] == ["b", "c"]
    assert page["IsTruncated"]
    assert page["KeyCount"] == 2
    assert s3.list_objects_v2(Bucket=bucket, MaxKeys=0)["KeyCount"] == 0
    refused(s3.list_objects_v2, "InvalidArgument", 400, Bucket=bucket, ContinuationToken="%")
    refused(s3.list_objects_v2, "NoSuchBucket", 404, Bucket="no-such-bucket")


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("bytes=2-4", b"234"),
        ("bytes=7-", b"789"),
        ("bytes=-3", b"789"),
        ("bytes=8-99", b"89"),
        ("bytes=-99", b"0123456789"),
    ],
)
def test_ranges(s3, bucket, header, expected):
    s3.put_object(Bucket=bucket, Key="digits", Body=string.digits.encode())
    got = s3.get_object(Bucket=bucket, Key="digits", Range=header)
    assert got["ResponseMetadata"]["HTTPStatusCode"] == 206
    assert body_of(got) == expected
    assert got["ContentRange"].endswith("/10")


def test_a_range_beyond_the_end_is_refused_and_no_range_is_ignored(s3, bucket):
    s3.put_object(Bucket=bucket, Key="digits", Body=string.digits.encode())
    refused(s3.get_object, "InvalidRange", 416, Bucket=bucket, Key="digits", Range="bytes=10-")
    got = s3.get_object(Bucket=bucket, Key="digits", Range="bytes=5-2")
    assert (got["ResponseMetadata"]["HTTPStatusCode"], len(body_of(got))) == (200, 10)


def test_conditional_reads(s3, bucket):
    etag = s3.put_object(Bucket=bucket, Key="k", Body=b"1")["ETag"]
    now = datetime.now(UTC)
    here = {"Bucket": bucket, "Key": "k"}
    s3.get_object(**here, IfMatch=etag, IfUnmodifiedSince=now - timedelta(days=1))
    refused(s3.get_object, "PreconditionFailed", 412, **here, IfMatch='"0"')
    refused(s3.get_object, "304", 304, **here, IfNoneMatch=etag)
    refused(s3.get_object, "304", 304, **here, IfModifiedSince=now + timedelta(minutes=1))
    since = now - timedelta(days=1)
    refused(s3.get_object, "PreconditionFailed", 412, **here, IfUnmodifiedSince=since)
    s3.get_object(**here, IfNoneMatch='"0"', IfModifiedSince=now + timedelta(minutes=1))


def test_conditional_writes(s3, bucket):
    here = {"Bucket": bucket, "Key": "k"}
    etag = s3.put_object(**here, Body=b"1", IfNoneMatch="*")["ETag"]
    refused(s3.put_object, "PreconditionFailed", 412, **here, Body=b"2", IfNoneMatch="*")
    refused(s3.put_object, "PreconditionFailed", 412, **here, Body=b"2", IfMatch='"0"')
    assert body_of(s3.get_object(**here)) == b"1"
    s3.put_object(**here, Body=b"2", IfMatch=etag)
    refused(s3.put_object, "NoSuchKey", 404, Bucket=bucket, Key="no", Body=b"", IfMatch=etag)


def test_of_many_writers_with_if_none_match_one_wins(s3, bucket):
    def put(number):
        try:
            s3.put_object(Bucket=bucket, Key="lock", Body=b"%d" % number, IfNoneMatch="*")
        except ClientError as error:
            return error.response["Error"]["Code"]
        return "won"

    with ThreadPoolExecutor(8) as pool:
        results = sorted(pool.map(put, range(8)))
    assert results == ["PreconditionFailed"] * 7 + ["won"]


def test_response_overrides(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"1")
    got = s3.get_object(
        Bucket=bucket,
        Key="k",
        ResponseContentType="text/html",
        ResponseContentDisposition="attachment; filename=x",
    )
    assert got["ContentType"] == "text/html"
    assert got["ContentDisposition"] == "attachment; filename=x"


def test_versions_are_kept_listed_and_restored(s3, bucket):
    here = {"Bucket": bucket, "Key": "k"}
    s3.put_object(**here, Body=b"0")
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    first = s3.put_object(**here, Body=b"1")["VersionId"]
    second = s3.put_object(**here, Body=b"2")["VersionId"]
    assert body_of(s3.get_object(**here, VersionId="null")) == b"0"
    assert body_of(s3.get_object(**here, VersionId=first)) == b"1"
    assert s3.get_object(**here)["VersionId"] == second
    gone = s3.delete_object(**here)
    assert gone["DeleteMarker"]
    error = refused(s3.get_object, "NoSuchKey", 404, **here)
    assert error["Key"] == "k"
    refused(s3.get_object, "MethodNotAllowed", 405, **here, VersionId=gone["VersionId"])
    refused(s3.get_object, "NoSuchVersion", 404, **here, VersionId="x")
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)
    pages = list(
        s3.get_paginator("list_object_versions").paginate(
            Bucket=bucket, PaginationConfig={"PageSize": 1}
        )
    )
    versions = [(v["VersionId"], v["IsLatest"]) for page in pages for v in page.get("Versions", [])]
    assert versions == [(second, False), (first, False), ("null", False)]
    markers = [m for page in pages for m in page.get("DeleteMarkers", [])]
    assert [(m["VersionId"], m["IsLatest"]) for m in markers] == [(gone["VersionId"], True)]
    s3.delete_object(**here, VersionId=gone["VersionId"])
    s3.delete_object(**here, VersionId=second)
    assert body_of(s3.get_object(**here)) == b"1"


def test_suspended_versioning_overwrites_only_the_null_version(s3, bucket):
    here = {"Bucket": bucket, "Key": "k"}
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    kept = s3.put_object(**here, Body=b"kept")["VersionId"]
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Suspended"})
    for body in (b"a", b"b"):
        s3.put_object(**here, Body=body)
    assert s3.delete_object(**here)["VersionId"] == "null"
    versions = s3.list_object_versions(Bucket=bucket)
    assert [v["VersionId"] for v in versions["Versions"]] == [kept]
    assert [m["VersionId"] for m in versions["DeleteMarkers"]] == ["null"]


def test_copies_keep_or_replace_metadata(s3, s3_store, bucket):
    s3.put_object(
        Bucket=bucket,
        Key="a ü+b",
        Body=b"1",
        Metadata={"m": "1"},
        ContentType="text/x",
        Tagging="t=1",
    )
    source = {"Bucket": bucket, "Key": "a ü+b"}
    copied = s3.copy_object(Bucket=bucket, Key="kept", CopySource=source)["CopyObjectResult"]
    head = s3.head_object(Bucket=bucket, Key="kept")
    assert (head["Metadata"], head["ContentType"], head["ETag"]) == (
        {"m": "1"},
        "text/x",
        copied["ETag"],
    )
    tags = s3.get_object_tagging(Bucket=bucket, Key="kept")["TagSet"]
    assert tags == [{"Key": "t", "Value": "1"}]
    assert s3_store.get(bucket, "kept").path.samefile(s3_store.get(bucket, "a ü+b").path)
    s3.copy_object(
        Bucket=bucket,
        Key="new",
        CopySource=source,
        MetadataDirective="REPLACE",
        Metadata={"m": "2"},
    )
    assert s3.head_object(Bucket=bucket, Key="new")["Metadata"] == {"m": "2"}
    s3.delete_object(**source)
    assert body_of(s3.get_object(Bucket=bucket, Key="kept")) == b"1"


def test_copies_that_aws_refuses(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"1")
    source = {"Bucket": bucket, "Key": "k"}
    refused(s3.copy_object, "InvalidRequest", 400, Bucket=bucket, Key="k", CopySource=source)
    code = "PreconditionFailed"
    here = {"Bucket": bucket, "Key": "l"}
    refused(s3.copy_object, code, 412, **here, CopySource=source, CopySourceIfMatch='"0"')
    missing = {"Bucket": bucket, "Key": "none"}
    refused(s3.copy_object, "NoSuchKey", 404, **here, CopySource=missing)


def test_delete_objects_tells_of_each(s3, bucket):
    for key in ("a", "b"):
        s3.put_object(Bucket=bucket, Key=key, Body=b"")
    objects = [{"Key": "a"}, {"Key": "never"}, {"Key": "b", "ETag": "0"}]
    result = s3.delete_objects(Bucket=bucket, Delete={"Objects": objects})
    assert [entry["Key"] for entry in result["Deleted"]] == ["a", "never"]
    assert [(e["Key"], e["Code"]) for e in result["Errors"]] == [("b", "PreconditionFailed")]
    quiet = s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "b"}], "Quiet": True})
    assert "Deleted" not in quiet
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)


def test_tags_of_an_object(s3, bucket):
    here = {"Bucket": bucket, "Key": "k"}
    s3.put_object(**here, Body=b"")
    tags = [{"Key": "a", "Value": "1"}, {"Key": "b", "Value": ""}]
    s3.put_object_tagging(**here, Tagging={"TagSet": tags})
    assert s3.get_object_tagging(**here)["TagSet"] == tags
    s3.delete_object_tagging(**here)
    assert s3.get_object_tagging(**here)["TagSet"] == []
    many = [{"Key": str(number), "Value": ""} for number in range(11)]
    refused(s3.put_object_tagging, "BadRequest", 400, **here, Tagging={"TagSet": many})
    twice = {"TagSet": [tags[0], tags[0]]}
    refused(s3.put_object_tagging, "InvalidTag", 400, **here, Tagging=twice)


def test_object_attributes(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"abc", ChecksumAlgorithm="SHA256")
    wanted = ["ETag", "Checksum", "ObjectSize", "StorageClass", "ObjectParts"]
    got = s3.get_object_attributes(Bucket=bucket, Key="k", ObjectAttributes=wanted)
    assert (got["ObjectSize"], got["StorageClass"]) == (3, "STANDARD")
    assert got["ETag"] == hashlib.md5(b"abc", usedforsecurity=False).hexdigest()
    assert got["Checksum"]["ChecksumSHA256"] == "ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0="
    assert "ObjectParts" not in got


def test_metadata_over_2_kilobytes_is_refused(s3, bucket):
    here = {"Bucket": bucket, "Key": "k"}
    refused(s3.put_object, "MetadataTooLarge", 400, **here, Body=b"", Metadata={"m": "x" * 2048})


def test_public_acls_are_refused(s3, bucket):
    code = "AccessControlListNotSupported"
    refused(s3.put_object, code, 400, Bucket=bucket, Key="k", Body=b"", ACL="public-read")
    s3.put_object(Bucket=bucket, Key="k", Body=b"", ACL="bucket-owner-full-control")


def test_eight_threads_read_whole_objects_while_eight_write(s3_endpoint, bucket):
    client = make_client(s3_endpoint, max_pool_connections=16)
    sizes = [random.Random(number).randrange(200_000) for number in range(40)]
    client.put_object(Bucket=bucket, Key="shared", Body=b"")

    def write(size):
        client.put_object(Bucket=bucket, Key="shared", Body=b"%d " % size + b"x" * size)
        client.put_object(Bucket=bucket, Key=f"own/{size}", Body=b"x" * size)

    def read(_):
        body = body_of(client.get_object(Bucket=bucket, Key="shared"))
        size, _, rest = body.partition(b" ")
        return len(rest) == int(size or 0)

    with ThreadPoolExecutor(8) as writers, ThreadPoolExecutor(8) as readers:
        writing = writers.map(write, sizes)
        assert all(readers.map(read, range(80)))
        list(writing)
    assert client.list_objects_v2(Bucket=bucket, Prefix="own/")["KeyCount"] == len(set(sizes))
