"""The body of a request: decoded, measured and held against every digest the client sent.

A mismatch is raised by the ``read`` that meets the end, so whoever stores what it reads only has
to let the error through.
"""

import base64
import binascii
import hashlib
import re

from localcloud.s3 import checksums
from localcloud.s3.blobs import BLOCK, Readable
from localcloud.s3.chunked import ChunkedReader
from localcloud.s3.errors import (
    BadDigest,
    EntityTooLarge,
    IncompleteBody,
    InvalidArgument,
    InvalidDigest,
    InvalidRequest,
    MaxMessageLengthExceeded,
    MissingContentLength,
    XAmzContentSHA256Mismatch,
)
from localcloud.s3.request import Request

MAXIMUM_PUT = 5 << 30
"""Bytes of one PUT."""
_MAXIMUM_DOCUMENT = 20 << 20
_HEADER = "x-amz-checksum-"


class Payload:
    """The bytes that a request brings.

    ``checksums`` (algorithm to Base64) are complete once ``read`` has given its last bytes.
    """

    def __init__(self, request: Request) -> None:
        headers = request.headers
        self.checksums: dict[str, str] = {}
        self._size = 0
        self._ended = False
        self._source: Readable = _Exactly(request.body, _length(request))
        self._expected_size: int | None = None
        self._chunked: ChunkedReader | None = None
        content_sha256 = headers.get("x-amz-content-sha256", "")
        if content_sha256.startswith("STREAMING-") or "aws-chunked" in encodings(request):
            self._source = self._chunked = ChunkedReader(self._source)
            decoded = headers.get("x-amz-decoded-content-length", "")
            self._expected_size = int(decoded) if decoded.isdigit() else None
        self._content_md5 = _md5(headers.get("content-md5"))
        self._md5 = hashlib.md5(usedforsecurity=False)
        self._content_sha256 = content_sha256 if _is_sha256(content_sha256) else ""
        self._sha256 = hashlib.sha256()
        self._algorithm, self._given = _declared(request)
        self._digest = checksums.start(self._algorithm) if self._algorithm else None

    def read(self, size: int, /) -> bytes:
        """The next bytes; at the end, none, or an error if the body is not what was declared."""
        if self._ended:
            return b""
        block = self._source.read(size)
        if not block:
            self._ended = True
            self._verify()
            return b""
        self._size += len(block)
        if self._size > MAXIMUM_PUT:
            raise EntityTooLarge(details={"MaxSizeAllowed": str(MAXIMUM_PUT)})
        if self._content_md5:
            self._md5.update(block)
        if self._content_sha256:
            self._sha256.update(block)
        if self._digest is not None:
            self._digest.update(block)
        return block

    def document(self) -> bytes:
        """The whole body, which is a document and so must be small."""
        blocks = []
        while block := self.read(BLOCK):
            blocks.append(block)
            if self._size > _MAXIMUM_DOCUMENT:
                raise MaxMessageLengthExceeded(
                    details={"MaxMessageLengthBytes": str(_MAXIMUM_DOCUMENT)}
                )
        return b"".join(blocks)

    def _verify(self) -> None:
        if self._expected_size not in {None, self._size}:
            raise IncompleteBody
        if self._content_md5 and self._content_md5 != self._md5.digest():
            raise BadDigest
        if self._content_sha256 and self._content_sha256 != self._sha256.hexdigest():
            raise XAmzContentSHA256Mismatch
        if not self._algorithm:
            return
        given = self._given
        if not given and self._chunked is not None:
            given = self._chunked.trailers.get(_HEADER + self._algorithm, "")
        computed = None if self._digest is None else self._digest.digest()
        if not given:
            raise InvalidRequest(
                f"The trailer {_HEADER}{self._algorithm} was declared and is missing."
            )
        if computed not in {None, checksums.decode(self._algorithm, given)}:
            raise BadDigest(
                f"The {self._algorithm.upper()} you specified did not match the calculated"
                " checksum."
            )
        self.checksums[self._algorithm] = given


def drain(stream: Readable) -> None:
    """Read a body to its end and drop it, so that the connection can go on."""
    while stream.read(BLOCK):
        pass


def encodings(request: Request) -> list[str]:
    """The request's content encodings in their order."""
    header = request.headers.get("content-encoding", "")
    return [name.strip() for name in header.split(",") if name.strip()]


class _Exactly:
    """A stream that must have this length, or end by itself if the length is None."""

    def __init__(self, stream: Readable, length: int | None) -> None:
        self._stream = stream
        self._left = length

    def read(self, size: int, /) -> bytes:
        if self._left is None:
            return self._stream.read(size)
        if self._left == 0:
            return b""
        block = self._stream.read(min(size, self._left))
        if not block:
            raise IncompleteBody
        self._left -= len(block)
        return block


def _length(request: Request) -> int | None:
    length = request.headers.get("content-length")
    if length is None:
        if "chunked" in request.headers.get("transfer-encoding", "").lower():
            return None
        if request.method == "PUT":
            raise MissingContentLength
        return 0
    if not length.isdigit():
        raise InvalidArgument(f"Content-Length is not a number: {length}")
    return int(length)


def _md5(header: str | None) -> bytes:
    if header is None:
        return b""
    try:
        value = base64.b64decode(header, validate=True)
    except (binascii.Error, ValueError):
        value = b""
    if len(value) != 16:
        raise InvalidDigest(details={"Content-MD5": header})
    return value


def _is_sha256(text: str) -> bool:
    return re.fullmatch(r"[0-9a-f]{64}", text) is not None


def _declared(request: Request) -> tuple[str, str]:
    """The checksum algorithm that the body carries, and its value unless it is in a trailer."""
    headers = request.headers
    given = {
        name.removeprefix(_HEADER): value
        for name, value in headers.items()
        if name.removeprefix(_HEADER) in checksums.BYTES and name.startswith(_HEADER)
    }
    trailers = [
        name.strip().lower().removeprefix(_HEADER)
        for name in headers.get("x-amz-trailer", "").split(",")
        if name.strip().lower().startswith(_HEADER)
    ]
    if len(given) + len(trailers) > 1:
        raise InvalidRequest(
            "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed."
        )
    for algorithm, value in given.items():
        checksums.decode(algorithm, value)
        return algorithm, value
    for name in trailers:
        return checksums.check_algorithm(name), ""
    if headers.get("x-amz-sdk-checksum-algorithm"):
        raise InvalidRequest(
            "x-amz-sdk-checksum-algorithm specified, but no corresponding x-amz-checksum-* or"
            " x-amz-trailer headers were found."
        )
    return "", ""
