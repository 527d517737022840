"""The ``aws-chunked`` content encoding: chunks with their length in hex, then trailers.

Signatures of chunks are read over: localcloud takes any credentials.
Source: "Signature calculations: transferring payload in multiple chunks" in the S3 API reference.
"""

import re

from localcloud.s3.blobs import BLOCK, Readable
from localcloud.s3.errors import IncompleteBody, InvalidRequest

_LENGTH = re.compile(rb"[0-9a-fA-F]{1,16}")


class ChunkedReader:
    """The decoded bytes of an ``aws-chunked`` body.

    ``trailers`` (names in lower case) are complete once ``read`` has given its last bytes.
    """

    def __init__(self, source: Readable) -> None:
        self.trailers: dict[str, str] = {}
        self._source = source
        self._buffer = b""
        self._position = 0
        self._left = 0
        self._begun = False
        self._ended = False

    def read(self, size: int, /) -> bytes:
        """At most ``size`` decoded bytes, none at the end; IncompleteBody if it is cut off."""
        if self._left == 0 and not self._ended:
            self._next_chunk()
        if self._ended:
            return b""
        if self._position == len(self._buffer) and not self._refill():
            raise IncompleteBody
        taken = self._buffer[self._position : self._position + min(size, self._left)]
        self._position += len(taken)
        self._left -= len(taken)
        return taken

    def _next_chunk(self) -> None:
        if self._begun and self._line():
            raise InvalidRequest("A chunk of the body is longer than its length says")
        length = self._line().partition(b";")[0].strip()
        if not _LENGTH.fullmatch(length):
            raise InvalidRequest(f"The length of a chunk is not hexadecimal: {length[:40]!r}")
        self._begun = True
        self._left = int(length, 16)
        if self._left == 0:
            self._ended = True
            self._read_trailers()

    def _read_trailers(self) -> None:
        while line := self._line(last=True):
            name, _, value = line.decode("latin-1").partition(":")
            self.trailers[name.strip().lower()] = value.strip()
        while self._source.read(BLOCK):
            pass

    def _line(self, *, last: bool = False) -> bytes:
        """The next line without its end; where the body may end, what is left of it."""
        while (end := self._buffer.find(b"\n", self._position)) < 0:
            if len(self._buffer) - self._position > BLOCK:
                raise InvalidRequest("A line between two chunks of the body is too long")
            if not self._refill():
                if not last:
                    raise IncompleteBody
                end = len(self._buffer)
                break
        line = self._buffer[self._position : end]
        self._position = min(end + 1, len(self._buffer))
        return line.rstrip(b"\r")

    def _refill(self) -> bool:
        block = self._source.read(BLOCK)
        self._buffer = self._buffer[self._position :] + block
        self._position = 0
        return bool(block)
