"""The rules for the names of buckets and keys.

Source: "General purpose bucket naming rules" and "Naming Amazon S3 objects" in the S3 user guide.
"""

import re

from localcloud.s3.errors import InvalidArgument, InvalidBucketName, InvalidURI, KeyTooLongError

_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_ADDRESS = re.compile(r"\d+\.\d+\.\d+\.\d+")
_PREFIXES = ("xn--", "sthree-", "amzn-s3-demo-")
_SUFFIXES = ("-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3")
MAXIMUM_KEY = 1024
"""Bytes of a key in UTF-8."""


def check_bucket_name(name: str) -> None:
    """Raise InvalidBucketName unless AWS would let a bucket have this name."""
    if (
        not _BUCKET.fullmatch(name)
        or ".." in name
        or _ADDRESS.fullmatch(name)
        or name.startswith(_PREFIXES)
        or name.endswith(_SUFFIXES)
    ):
        raise InvalidBucketName(details={"BucketName": name})


def encode_key(key: str) -> bytes:
    """The key's UTF-8 bytes, the form in which keys are compared and kept.

    Raises:
        KeyTooLongError: the key has more than 1,024 bytes.
        InvalidArgument: the key is empty.
        InvalidURI: the key has no UTF-8 form.
    """
    try:
        encoded = key.encode()
    except UnicodeEncodeError as error:
        raise InvalidURI(details={"URI": key.encode(errors="replace").decode()}) from error
    if not encoded:
        raise InvalidArgument("An object's key has at least one character")
    if len(encoded) > MAXIMUM_KEY:
        raise KeyTooLongError(
            details={"Size": str(len(encoded)), "MaxSizeAllowed": str(MAXIMUM_KEY)}
        )
    return encoded
