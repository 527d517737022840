"""The wire itself: digests, aws-chunked bodies, signatures, host styles, documents."""
# ruff: noqa: S314, S324  (our own URLs and documents; digests that S3 has)

import base64
import hashlib
import http.client
import zlib
from datetime import UTC, datetime, timedelta
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from s3_server import ACCOUNT, make_client, serving

from localcloud.s3 import ObjectStore, S3Application
from localcloud.s3.checksums import Piece, encode, of_parts
from localcloud.s3.chunked import ChunkedReader
from localcloud.s3.request import bucket_of_host

pytest_plugins = ["s3_fixtures"]

SIGNED = {
    "Authorization": "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/s3/aws4_request,"
    " SignedHeaders=host, Signature=0"
}


@pytest.fixture
def send(s3_endpoint):
    """Send a request as it is written; status, code of the error document, headers, body."""

    def request(method, path, body=None, headers=None):
        connection = http.client.HTTPConnection(urlsplit(s3_endpoint).netloc, timeout=20)
        connection.request(method, path, body, {**SIGNED, **(headers or {})})
        response = connection.getresponse()
        content = response.read()
        connection.close()
        code = ""
        if response.status >= 400 and content:
            code = ET.fromstring(content).findtext("Code")
        return response.status, code, response.headers, content

    return request


def test_a_corrupted_body_is_refused_and_the_old_object_stays(s3, send, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"old")
    good = {
        "Content-MD5": base64.b64encode(hashlib.md5(b"good").digest()).decode(),
        "x-amz-checksum-crc32": encode(zlib.crc32(b"good").to_bytes(4, "big")),
        "x-amz-checksum-sha1": encode(hashlib.sha1(b"good").digest()),
        "x-amz-checksum-sha256": encode(hashlib.sha256(b"good").digest()),
        "x-amz-content-sha256": hashlib.sha256(b"good").hexdigest(),
    }
    for name, value in good.items():
        status, code, _, _ = send("PUT", f"/{bucket}/k", b"evil", {name: value})
        expected = "XAmzContentSHA256Mismatch" if "content-sha" in name else "BadDigest"
        assert (name, status, code) == (name, 400, expected)
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"old"
    for name, value in good.items():
        assert send("PUT", f"/{bucket}/{name}", b"good", {name: value})[0] == 200


def test_digests_that_are_none_are_refused(send, bucket):
    path = f"/{bucket}/k"
    assert send("PUT", path, b"x", {"Content-MD5": "AAAA"})[1] == "InvalidDigest"
    assert send("PUT", path, b"x", {"x-amz-checksum-crc32": "no"})[1] == "InvalidRequest"
    two = {"x-amz-checksum-crc32": "AAAAAA==", "x-amz-checksum-sha1": "A" * 27 + "="}
    assert send("PUT", path, b"x", two)[1] == "InvalidRequest"


def test_checksums_come_back_when_asked_for(s3, bucket):
    for algorithm in ("CRC32", "SHA1", "SHA256"):
        put = s3.put_object(Bucket=bucket, Key="k", Body=b"x", ChecksumAlgorithm=algorithm)
        name = f"Checksum{algorithm}"
        here = {"Bucket": bucket, "Key": "k"}
        assert s3.head_object(**here, ChecksumMode="ENABLED")[name] == put[name]
        got = s3.get_object(**here, ChecksumMode="ENABLED")
        assert (got[name], got["Body"].read()) == (put[name], b"x")


def test_a_checksum_that_cannot_be_computed_is_kept(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", ChecksumXXHASH64="AAAAAAAAAAA=")
    head = s3.head_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")
    assert head["ChecksumXXHASH64"] == "AAAAAAAAAAA="


@given(st.lists(st.binary(max_size=40), min_size=1, max_size=5))
def test_combined_crcs_are_those_of_the_whole(blocks):
    pieces = [Piece(encode(zlib.crc32(b).to_bytes(4, "big")), len(b)) for b in blocks]
    whole = encode(zlib.crc32(b"".join(blocks)).to_bytes(4, "big"))
    assert of_parts("crc32", "FULL_OBJECT", pieces) == whole


def crc64nvme(data):
    value = (1 << 64) - 1
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = (value >> 1) ^ (0x9A6C9329AC4BC9B5 if value & 1 else 0)
    return encode((value ^ ((1 << 64) - 1)).to_bytes(8, "big"))


def test_the_crc64nvme_of_two_halves_is_that_of_the_whole():
    halves = [Piece(crc64nvme(b"1234"), 4), Piece(crc64nvme(b"56789"), 5)]
    check_value = "rosUhgp5mIg="  # 0xAE8B14860A799888, of the ASCII digits 1 to 9
    assert of_parts("crc64nvme", "FULL_OBJECT", halves) == check_value


def chunk(*blocks, trailer=b"", signature=b""):
    parts = [b"%x%b\r\n%b\r\n" % (len(block), signature, block) for block in (*blocks, b"")]
    parts[-1] = b"0%b\r\n" % signature
    return b"".join(parts) + trailer + b"\r\n"


class Dribble:
    def __init__(self, data, size):
        self.data, self.size = data, size

    def read(self, size):
        taken = self.data[: min(size, self.size)]
        self.data = self.data[len(taken) :]
        return taken


@settings(deadline=None)
@given(
    blocks=st.lists(st.binary(min_size=1, max_size=50), max_size=6),
    step=st.integers(1, 30),
    size=st.integers(1, 60),
)
def test_chunks_are_decoded_however_they_arrive(blocks, step, size):
    body = chunk(*blocks, trailer=b"X-Sum:1\r\n", signature=b";chunk-signature=00")
    reader = ChunkedReader(Dribble(body, step))
    decoded = b""
    while taken := reader.read(size):
        assert len(taken) <= size
        decoded += taken
    assert decoded == b"".join(blocks)
    assert reader.trailers == {"x-sum": "1"}


def test_chunked_bodies_with_trailers_are_stored_decoded_and_verified(s3, send, bucket):
    crc = encode(zlib.crc32(b"hello world").to_bytes(4, "big"))
    headers = {
        "Content-Encoding": "gzip,aws-chunked",
        "x-amz-content-sha256": "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
        "x-amz-decoded-content-length": "11",
        "x-amz-trailer": "x-amz-checksum-crc32",
    }
    body = chunk(b"hello ", b"world", trailer=b"x-amz-checksum-crc32:%b\r\n" % crc.encode())
    assert send("PUT", f"/{bucket}/k", body, headers)[0] == 200
    head = s3.head_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")
    assert (head["ContentEncoding"], head["ContentLength"]) == ("gzip", 11)
    assert head["ChecksumCRC32"] == crc

    wrong = body.replace(b"world", b"wurld")
    assert send("PUT", f"/{bucket}/k", wrong, headers)[:2] == (400, "BadDigest")
    short = {**headers, "x-amz-decoded-content-length": "12"}
    assert send("PUT", f"/{bucket}/k", body, short)[:2] == (400, "IncompleteBody")
    cut = body[: body.index(b"world")]
    assert send("PUT", f"/{bucket}/k", cut, headers)[:2] == (400, "IncompleteBody")
    unsaid = chunk(b"hello ", b"world")
    assert send("PUT", f"/{bucket}/k", unsaid, headers)[:2] == (400, "InvalidRequest")
    broken = b"zz\r\n" + body
    assert send("PUT", f"/{bucket}/k", broken, headers)[:2] == (400, "InvalidRequest")
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"hello world"


def test_transfer_encoding_chunked_is_understood(s3, send, bucket):
    body = (block for block in (b"a" * 70_000, b"b"))
    assert send("PUT", f"/{bucket}/k", body)[0] == 200
    assert s3.head_object(Bucket=bucket, Key="k")["ContentLength"] == 70_001


def test_a_refused_body_leaves_the_connection_usable(s3_endpoint, bucket):
    connection = http.client.HTTPConnection(urlsplit(s3_endpoint).netloc)
    for _ in range(2):
        connection.request("PUT", "/no-such-bucket/k", b"x" * 3_000_000, SIGNED)
        response = connection.getresponse()
        assert (response.status, ET.fromstring(response.read()).findtext("Code")) == (
            404,
            "NoSuchBucket",
        )
    connection.close()


@pytest.mark.parametrize("version", ["s3v4", "s3"])
def test_presigned_urls_read_and_write_until_they_expire(s3_endpoint, bucket, tmp_path, version):
    client = make_client(s3_endpoint, signature_version=version)
    here = {"Bucket": bucket, "Key": "a b/ü"}
    put = client.generate_presigned_url("put_object", Params=here, ExpiresIn=60)
    urlopen(Request(put, b"by url", {"Content-Type": "text/x"}, method="PUT")).close()
    url = client.generate_presigned_url(
        "get_object", Params={**here, "ResponseContentType": "text/y"}, ExpiresIn=60
    )
    with urlopen(url) as response:
        assert (response.read(), response.headers["Content-Type"]) == (b"by url", "text/y")

    store = ObjectStore(tmp_path, clock=lambda: datetime.now(UTC) + timedelta(seconds=70))
    with serving(S3Application(store, ACCOUNT)) as later:
        with pytest.raises(HTTPError) as caught:
            urlopen(url.replace(s3_endpoint, later))
        document = ET.fromstring(caught.value.read())
    assert caught.value.code == 403
    assert document.findtext("Code") == "AccessDenied"
    assert document.findtext("Message") == "Request has expired"


def test_presigned_urls_that_are_not_whole_are_refused(s3_endpoint, bucket):
    client = make_client(s3_endpoint, signature_version="s3v4")
    url = client.generate_presigned_url("list_objects_v2", Params={"Bucket": bucket})
    for wrong in (
        url.replace("X-Amz-Expires=3600", "X-Amz-Expires=604801"),
        url.replace("X-Amz-Expires=3600", "X-Amz-Expires=soon"),
        url.replace("X-Amz-Date=", "X-Amz-Day="),
    ):
        with pytest.raises(HTTPError) as caught:
            urlopen(wrong)
        code = ET.fromstring(caught.value.read()).findtext("Code")
        assert (caught.value.code, code) == (400, "AuthorizationQueryParametersError")


def test_who_does_not_sign_is_refused(s3_endpoint, bucket):
    with pytest.raises(HTTPError) as caught:
        urlopen(f"{s3_endpoint}/{bucket}")
    assert caught.value.code == 403


@pytest.mark.parametrize(
    ("host", "bucket"),
    [
        ("a-bucket.s3.localhost:4566", "a-bucket"),
        ("a.dotted.bucket.s3.eu-west-1.localhost", "a.dotted.bucket"),
        ("a-bucket.localhost:4566", "a-bucket"),
        ("a-bucket.s3.amazonaws.com", "a-bucket"),
        ("s3.localhost:4566", ""),
        ("s3.us-east-1.localhost", ""),
        ("localhost:4566", ""),
        ("127.0.0.1:4566", ""),
        ("[::1]:4566", ""),
    ],
)
def test_the_host_may_name_the_bucket(host, bucket):
    assert bucket_of_host(host) == bucket


def test_both_styles_reach_the_same_object(s3, send, bucket):
    s3.put_object(Bucket=bucket, Key="a/b%2Fc", Body=b"x")
    for host in (f"{bucket}.s3.localhost:1", f"{bucket}.localhost"):
        assert send("GET", "/a/b%252Fc", headers={"Host": host})[3] == b"x"
    assert send("GET", f"/{bucket}/a%2Fb%252Fc")[3] == b"x"
    assert b"a/b%2Fc" in send("GET", "/", headers={"Host": f"{bucket}.localhost"})[3]


def test_documents_with_entities_or_other_roots_are_malformed(send, bucket):
    path = f"/{bucket}?versioning"
    bomb = b'<!DOCTYPE x [<!ENTITY e "e">]><VersioningConfiguration>&e;</VersioningConfiguration>'
    for wrong in (bomb, b"<Other/>", b"<VersioningConfiguration>", b""):
        assert send("PUT", path, wrong)[:2] == (400, "MalformedXML")


def test_requests_that_are_no_s3_get_its_errors(send, bucket):
    assert send("PATCH", f"/{bucket}/k")[:2] == (405, "MethodNotAllowed")
    assert send("GET", "/%ff/k")[:2] == (400, "InvalidURI")
    assert send("POST", f"/{bucket}/k?restore")[:2] == (501, "NotImplemented")
    assert send("GET", f"/{bucket}?max-keys=x")[:2] == (400, "InvalidArgument")
    without = {"x-id": "DeleteObjects"}
    body = b"<Delete><Object><Key>k</Key></Object></Delete>"
    assert send("POST", f"/{bucket}?delete", body, without)[:2] == (400, "InvalidRequest")


def test_every_error_names_what_it_is_about(send, bucket):
    _, _, headers, content = send("GET", f"/{bucket}/none")
    document = ET.fromstring(content)
    assert document.findtext("Key") == "none"
    assert document.findtext("Resource") == f"/{bucket}/none"
    assert document.findtext("RequestId") == headers["x-amz-request-id"]
