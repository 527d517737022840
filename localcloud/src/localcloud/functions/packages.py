"""A function's code: a zip archive, from a request or from S3, and the folder it is unpacked to."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import io
import shutil
import stat
import zipfile
import zlib
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

from localcloud.errors import NotEmulated
from localcloud.functions.errors import (
    InvalidParameterValueException,
    RequestEntityTooLargeException,
)
from localcloud.protocol import Caller, Document
from localcloud.s3.errors import BucketAlreadyOwnedByYou, S3Error
from localcloud.s3.objects import ObjectStore

MOST_ZIPPED = 50 * 1024 * 1024
MOST_UNZIPPED = 250 * 1024 * 1024
_OWNER = "aws-lambda"
"""The account of the bucket of all functions' code: it is nobody's of the users'."""
_LINK_SECONDS = 600
_BLOCK = 1024 * 1024


@dataclass(frozen=True)
class Package:
    """An archive whose contents have been looked through."""

    data: bytes

    @property
    def sha256(self) -> str:
        """The hash as Lambda shows it: in base64."""
        return base64.b64encode(hashlib.sha256(self.data).digest()).decode()

    @property
    def name(self) -> str:
        """The hash as a file's name."""
        return hashlib.sha256(self.data).hexdigest()[:32]


class Packages:
    """Takes archives in and gives them out again. `url` is the address of S3."""

    def __init__(self, objects: ObjectStore, url: str) -> None:
        self._objects = objects
        self._url = url

    def fetch(self, code: Document, operation: str) -> Package:
        """The archive that a request brings or names.

        Raises:
            InvalidParameterValueException: there is none, or it is none.
            RequestEntityTooLargeException: it is too large for a request.
            NotEmulated: it is a container image.
        """
        for member in ("ImageUri", "SourceKMSKeyArn"):
            if code.get(member):
                raise NotEmulated(f"localcloud does not emulate functions with a {member}")
        inline, named = code.get("ZipFile"), "S3Bucket" in code or "S3Key" in code
        if inline is not None and named:
            raise InvalidParameterValueException(
                "Please do not provide other FunctionCode parameters when providing a ZipFile."
            )
        if inline is not None:
            data = base64.b64decode(inline)
            if len(data) > MOST_ZIPPED:
                raise RequestEntityTooLargeException(
                    f"Request must be smaller than {MOST_ZIPPED} bytes for the {operation} "
                    "operation"
                )
        elif "S3Bucket" in code and "S3Key" in code:
            data = self._read(code["S3Bucket"], code["S3Key"], code.get("S3ObjectVersion"))
        else:
            raise InvalidParameterValueException("Please provide a source for function code.")
        _check(data)
        return Package(data)

    def keep(self, caller: Caller, name: str, package: Package) -> None:
        """Store a function's archive, so that it can be had again."""
        bucket = _bucket(caller)
        with contextlib.suppress(BucketAlreadyOwnedByYou):
            self._objects.create_bucket(_OWNER, caller.region, bucket)
        key = _key(caller, name, package.name)
        self._objects.put_stream(bucket, key, io.BytesIO(package.data))

    def forget(self, caller: Caller, name: str) -> None:
        """Delete a function's archives."""
        bucket = _bucket(caller)
        for found in list(self._objects.list(bucket, _key(caller, name, ""))):
            self._objects.delete(bucket, found.key)

    def unpack(self, caller: Caller, name: str, package_name: str, folder: Path) -> None:
        """Lay a function's code out in a new folder. Raises OSError, or S3Error if it is gone."""
        folder.mkdir(parents=True)
        _, file = self._objects.open(_bucket(caller), _key(caller, name, package_name))
        with file, zipfile.ZipFile(file) as archive:
            for entry in archive.infolist():
                _extract(archive, entry, folder)

    def link(self, caller: Caller, name: str, package_name: str) -> str:
        """A URL by which the archive can be had for some minutes."""
        now = datetime.now(UTC)
        scope = f"localcloud/{now:%Y%m%d}/{caller.region}/s3/aws4_request"
        query = {
            "X-Amz-Algorithm": "AWS4-HMAC-SHA256",
            "X-Amz-Credential": quote(scope, safe=""),
            "X-Amz-Date": f"{now:%Y%m%dT%H%M%SZ}",
            "X-Amz-Expires": str(_LINK_SECONDS),
            "X-Amz-SignedHeaders": "host",
            "X-Amz-Signature": "0" * 64,
        }
        path = quote(f"{_bucket(caller)}/{_key(caller, name, package_name)}")
        return f"{self._url}/{path}?{'&'.join(f'{key}={value}' for key, value in query.items())}"

    def _read(self, bucket: str, key: str, version: str | None) -> bytes:
        try:
            found, file = self._objects.open(bucket, key, version)
        except S3Error as error:
            raise InvalidParameterValueException(
                f"Error occurred while GetObject. S3 Error Code: {error.code}. S3 Error Message: "
                f"{error}"
            ) from error
        with file:
            if found.size > MOST_UNZIPPED:
                raise InvalidParameterValueException(
                    f"Unzipped size must be smaller than {MOST_UNZIPPED} bytes"
                )
            return file.read()


def _check(data: bytes) -> None:
    """Raise InvalidParameterValueException for what is no archive, or too large, or unsafe."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            size = 0
            for entry in archive.infolist():
                if not _is_inside(entry.filename):
                    raise InvalidParameterValueException(
                        f"The archive has a file outside of its own folder: {entry.filename!r}"
                    )
                with archive.open(entry) as file:
                    while block := file.read(_BLOCK):
                        size += len(block)
                        if size > MOST_UNZIPPED:
                            raise InvalidParameterValueException(
                                f"Unzipped size must be smaller than {MOST_UNZIPPED} bytes"
                            )
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise InvalidParameterValueException(
            "Could not unzip uploaded file. Please check your file, then try to upload again."
        ) from error
    if not archive.infolist():
        raise InvalidParameterValueException("Uploaded file must be a non-empty zip")


def _is_inside(name: str) -> bool:
    return not name.startswith(("/", "\\")) and ".." not in name.replace("\\", "/").split("/")


def _extract(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, folder: Path) -> None:
    """One entry, with its rights; nobody may write it."""
    mode, target = entry.external_attr >> 16, folder / entry.filename
    if entry.is_dir():
        target.mkdir(parents=True, exist_ok=True)
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    if stat.S_ISLNK(mode):
        pointed = archive.read(entry).decode()
        inside = (target.parent / pointed).resolve().is_relative_to(folder.resolve())
        if inside and not pointed.startswith("/"):
            target.symlink_to(pointed)
        return
    with archive.open(entry) as source, target.open("wb") as file:
        shutil.copyfileobj(source, file)
    target.chmod(((mode & 0o777) or 0o644) & ~0o222 | 0o400)


def _bucket(caller: Caller) -> str:
    return f"awslambda-{caller.region}-tasks"


def _key(caller: Caller, name: str, package_name: str) -> str:
    return f"snapshots/{caller.account}/{name}/{package_name}"
