"""The checksums that S3 keeps beside an object.

CRC32, MD5, SHA1, SHA256 and SHA512 are computed with the standard library; CRC32C and CRC64NVME
if the package ``awscrt`` is installed; those that cannot be computed are kept as they are given.

Source: "Checking object integrity in Amazon S3" in the user guide.
"""

import base64
import binascii
import hashlib
import importlib
import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Protocol

from localcloud.s3.errors import InvalidRequest

BYTES: Final = {
    "crc32": 4, "crc32c": 4, "crc64nvme": 8, "md5": 16, "sha1": 20, "sha256": 32, "sha512": 64,
    "xxhash64": 8, "xxhash3": 8, "xxhash128": 16,
}  # fmt: skip
"""The algorithms, and the length of their values in bytes."""

_POLYNOMIALS: Final = {
    "crc32": (32, 0xEDB88320),
    "crc32c": (32, 0x82F63B78),
    "crc64nvme": (64, 0x9A6C9329AC4BC9B5),
}
_HASHES: Final = ("md5", "sha1", "sha256", "sha512")


class Digest(Protocol):
    """A running checksum."""

    def update(self, block: bytes, /) -> None:
        """Take the next bytes in."""

    def digest(self) -> bytes:
        """The value so far."""


class _Crc:
    def __init__(self, step: Callable[[bytes, int], int], size: int) -> None:
        self._step = step
        self._size = size
        self._value = 0

    def update(self, block: bytes, /) -> None:
        self._value = self._step(block, self._value)

    def digest(self) -> bytes:
        return self._value.to_bytes(self._size, "big")


def start(algorithm: str) -> Digest | None:
    """A running checksum, or None if this installation cannot compute it."""
    if algorithm in _HASHES:
        return hashlib.new(algorithm, usedforsecurity=False)
    if algorithm == "crc32":
        return _Crc(zlib.crc32, 4)
    step = _awscrt(algorithm)
    return None if step is None else _Crc(step, BYTES[algorithm])


@lru_cache
def _awscrt(algorithm: str) -> Callable[[bytes, int], int] | None:
    try:
        return getattr(importlib.import_module("awscrt.checksums"), algorithm, None)
    except ImportError:
        return None


def encode(value: bytes) -> str:
    """A checksum as it stands in headers: Base64."""
    return base64.b64encode(value).decode()


def decode(algorithm: str, text: str) -> bytes:
    """The bytes of a checksum from a header, or InvalidRequest."""
    try:
        value = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        value = b""
    if len(value) != BYTES[algorithm]:
        raise InvalidRequest(f"Value for x-amz-checksum-{algorithm} header is invalid.")
    return value


def check_algorithm(name: str) -> str:
    """The algorithm's name in lower case, or InvalidRequest if S3 has none of that name."""
    if name.lower() not in BYTES:
        raise InvalidRequest(
            f"Checksum algorithm provided is unsupported: {name}. Please try again with any of the"
            f" valid types: [{', '.join(algorithm.upper() for algorithm in BYTES)}]"
        )
    return name.lower()


@dataclass(frozen=True, slots=True)
class Piece:
    """The checksum of one part, in Base64, and the part's size in bytes."""

    value: str
    size: int


def of_parts(algorithm: str, kind: str, pieces: Sequence[Piece]) -> str | None:
    """The checksum of an object made of parts; ``kind`` is ``COMPOSITE`` or ``FULL_OBJECT``.

    Returns None if the algorithm cannot be computed here.
    """
    values = [decode(algorithm, piece.value) for piece in pieces]
    if kind == "FULL_OBJECT":
        numbers = [int.from_bytes(value, "big") for value in values]
        sizes = [piece.size for piece in pieces]
        whole = _combine(algorithm, zip(numbers, sizes, strict=True))
        return encode(whole.to_bytes(BYTES[algorithm], "big"))
    digest = start(algorithm)
    if digest is None:
        return None
    digest.update(b"".join(values))
    return f"{encode(digest.digest())}-{len(pieces)}"


def _combine(algorithm: str, parts: Iterable[tuple[int, int]]) -> int:
    """The CRC of concatenated parts from theirs: CRC(A B) = CRC(A) * x^(8 |B|) + CRC(B)."""
    width, polynomial = _POLYNOMIALS[algorithm]
    whole = 0
    for value, size in parts:
        whole = _multiply(_shift(size, width, polynomial), whole, width, polynomial) ^ value
    return whole


@lru_cache
def _shift(size: int, width: int, polynomial: int) -> int:
    """x^(8 size) modulo the polynomial; bits reflected, as in the CRC itself."""
    power, square, exponent = 1 << (width - 1), 1 << (width - 2), 8 * size
    while exponent:
        if exponent & 1:
            power = _multiply(square, power, width, polynomial)
        square = _multiply(square, square, width, polynomial)
        exponent >>= 1
    return power


def _multiply(left: int, right: int, width: int, polynomial: int) -> int:
    product, bit = 0, 1 << (width - 1)
    while bit:
        if left & bit:
            product ^= right
        right = (right >> 1) ^ polynomial if right & 1 else right >> 1
        bit >>= 1
    return product
