"""S3 inputs become folders of a job.

A small object is copied, so that a job may change its file as it may on AWS. A big one is hard
linked, which takes 0.1 ms whatever its size; its file is the object itself and is kept from being
written: by its mode, and for root by a read-only mount.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

from localcloud.containers.errors import JobNotSupported, NoObjects
from localcloud.containers.hosts import Host
from localcloud.s3.errors import NotFound

ML = PurePosixPath("/opt/ml")
COPIED_BELOW = 8 * 1024 * 1024
_CAP_SYS_ADMIN = 21
Request = Mapping[str, Any]


class Found(Protocol):
    """What is needed of an object to lay it out."""

    @property
    def key(self) -> str:
        """Its key."""
        ...

    @property
    def size(self) -> int:
        """Its bytes."""
        ...

    @property
    def path(self) -> Path:
        """Its file."""
        ...


class Source(Protocol):
    """Where inputs come from: the object store, or what was kept of it."""

    def get(self, bucket: str, key: str, /) -> Found:
        """One object; raises NotFound."""
        ...

    def list(self, bucket: str, prefix: str, /) -> Iterator[Found]:
        """The objects of a prefix in the order of their keys; raises NotFound."""
        ...


def check_source(source: Request, name: str) -> None:
    """Refuse an S3 data source that cannot be laid out; raises JobNotSupported."""
    kind = source.get("S3DataType", "S3Prefix")
    if kind not in ("S3Prefix", "ManifestFile"):
        raise JobNotSupported(
            f"the input {name!r} must have S3DataType S3Prefix or ManifestFile here, not {kind!r}"
        )
    split_uri(source["S3Uri"])


def host_path(root: Path, container_path: str) -> Path:
    """Where a path under /opt/ml is on this machine; raises JobNotSupported for any other."""
    path = PurePosixPath(container_path)
    if not path.is_relative_to(ML) or ".." in path.parts:
        raise JobNotSupported(f"a local path must be under {ML}, without '..': {container_path!r}")
    return root / path.relative_to(ML)


def split_uri(uri: str) -> tuple[str, str]:
    """Bucket and key of an S3 URI; raises JobNotSupported if it is none."""
    scheme, _, rest = uri.partition("://")
    bucket, _, key = rest.partition("/")
    if scheme != "s3" or not bucket:
        raise JobNotSupported(f"an S3 URI must look like s3://bucket/key: {uri!r}")
    return bucket, key


def find_objects(
    source: Request, objects: Source, *, role: str, region: str
) -> Iterator[tuple[str, Found, str]]:
    """What an S3 data source names: each object's bucket, the object, and its name below the URI.

    `source` has S3Uri and S3DataType; `role` and `region` are for AWS's sentence.

    Raises:
        NoObjects: nothing is behind the URI.
        JobNotSupported: the URI is none of S3, or the manifest is none.
    """
    uri = source["S3Uri"]
    bucket, prefix = split_uri(uri)
    try:
        if source.get("S3DataType") == "ManifestFile":
            yield from _manifest(uri, objects, role, region)
            return
        found = False
        for stored in objects.list(bucket, prefix):
            found = True
            if not stored.key.endswith("/"):
                yield bucket, stored, _name(stored.key, prefix)
    except NotFound as exc:
        raise _nothing(uri, role, region) from exc
    if not found:
        raise _nothing(uri, role, region)


class InputFolders:
    """Lays out a job's inputs; remembers which files must not be written."""

    def __init__(self, root: Path, objects: Source, host: Host, *, role: str, region: str) -> None:
        self._host = host
        self._root = root
        self._objects = objects
        self._role = role
        self._region = region
        self._may_link = may_link()
        self.read_only: list[str] = []

    def fetch(self, source: Request, container_path: str) -> None:
        """Put what an S3 data source names under a container path.

        `source` has S3Uri, S3DataType and S3DataDistributionType, as in both kinds of jobs. Of a
        source that is ShardedByS3Key this host gets its share, which may be nothing.

        Raises:
            NoObjects: nothing is behind the URI.
            JobNotSupported: an object cannot be laid out, or the manifest is none.
        """
        folder = host_path(self._root, container_path)
        folder.mkdir(parents=True, exist_ok=True)
        found = list(find_objects(source, self._objects, role=self._role, region=self._region))
        if source.get("S3DataDistributionType") == "ShardedByS3Key":
            found = list(self._host.share(found))
        for bucket, stored, name in found:
            self._place(bucket, stored, folder, name)

    def fetch_existing(self, uri: str, container_path: str) -> None:
        """The same for a prefix that may be empty: checkpoints before the first run."""
        try:
            self.fetch({"S3Uri": f"{uri.rstrip('/')}/"}, container_path)
        except NoObjects:
            return

    def fetch_file(self, uri: str) -> Path:
        """The file of one object, to be read in place; raises NoObjects."""
        bucket, key = split_uri(uri)
        try:
            return self._objects.get(bucket, key).path
        except NotFound as exc:
            raise _nothing(uri, self._role, self._region) from exc

    def _place(self, bucket: str, stored: Found, folder: Path, name: str) -> None:
        target = folder / name
        if not target.resolve().is_relative_to(folder.resolve()):
            raise JobNotSupported(f"s3://{bucket}/{stored.key} would leave the input's folder")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.unlink(missing_ok=True)
            try:
                self._take(stored, target)
            except FileNotFoundError:  # the object was replaced after it was listed
                self._take(self._objects.get(bucket, stored.key), target)
        except (FileExistsError, NotADirectoryError, IsADirectoryError) as exc:
            raise JobNotSupported(
                f"s3://{bucket}/{stored.key} is the name of both a file and a folder"
            ) from exc

    def _take(self, stored: Found, target: Path) -> None:
        if stored.size < COPIED_BELOW or not self._may_link:
            shutil.copyfile(stored.path, target)
            return
        try:
            target.hardlink_to(stored.path)
        except OSError as exc:
            if isinstance(exc, FileNotFoundError):
                raise
            shutil.copyfile(stored.path, target)  # another file system
            return
        self.read_only.append(str(ML / target.relative_to(self._root)))


def may_link() -> bool:
    """Whether a job can be kept from writing a hard-linked file.

    A user is by its mode. Root is by a mount, unless it may not mount, as in a plain container.
    """
    if os.geteuid() != 0:
        return True
    if sys.platform != "linux":
        return False
    status = Path("/proc/self/status").read_text()
    effective = int(status.split("CapEff:")[1].split()[0], 16)
    return bool(effective >> _CAP_SYS_ADMIN & 1)


def _name(key: str, prefix: str) -> str:
    """An object's name below its folder: what follows the prefix, or the prefix's last slash."""
    if prefix and key.startswith(prefix.rstrip("/") + "/"):
        return key[len(prefix.rstrip("/")) + 1 :]
    return key[prefix.rfind("/") + 1 :]


def _manifest(
    uri: str, objects: Source, role: str, region: str
) -> Iterator[tuple[str, Found, str]]:
    """The objects of a manifest; raises NotFound if there is no manifest."""
    text = objects.get(*split_uri(uri)).path.read_text()
    try:
        head, *names = json.loads(text)
        start = head["prefix"]
    except (ValueError, TypeError, KeyError) as exc:
        raise JobNotSupported(
            f'the manifest {uri} must be a JSON list that begins with {{"prefix": "s3://..."}}'
        ) from exc
    for name in names:
        bucket, key = split_uri(start + name)
        try:
            yield bucket, objects.get(bucket, key), name
        except NotFound as exc:
            raise _nothing(start + name, role, region) from exc


def _nothing(uri: str, role: str, region: str) -> NoObjects:
    bucket, _ = split_uri(uri)
    return NoObjects(
        f'No S3 objects found under S3 URL "{uri}" given in input data source. Please ensure '
        f"that the bucket exists in the selected region ({region}), that objects exist "
        f'under that S3 prefix, and that the role "{role}" has "s3:ListBucket" '
        f'permissions on bucket "{bucket}".'
    )
