"""Source bundles: the files that each job takes along, under a key that is their content.

A step is cached as long as the URIs of its inputs stay the same, so a bundle's URI must change when
one of its files changes, and for no other reason: no time stamps, no folder names, no file modes.
"""

import gzip
import hashlib
import io
import tarfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from botocore.exceptions import ClientError

ROOT: Final = Path(__file__).resolve().parent.parent
ARCHIVE: Final = "sourcedir.tar.gz"

_MODEL = "pipelines/predictive_maintenance"
_SHARED = (
    "pipelines/__init__.py",
    f"{_MODEL}/__init__.py",
    f"{_MODEL}/schema.py",
    f"{_MODEL}/features.py",
    f"{_MODEL}/table.py",
)


class BundleError(Exception):
    """A bundle cannot be put together."""


@dataclass(frozen=True, slots=True)
class Job:
    """What a job takes along: its script, at the bundle's root, and files under their own paths.

    ``files`` are paths or patterns relative to the repository; ``archive`` packs the bundle into
    one tar.gz, as script mode wants it, instead of plain files.
    """

    script: str
    files: tuple[str, ...]
    archive: bool = False


JOBS: Final[Mapping[str, Job]] = {
    "preprocess": Job(
        f"{_MODEL}/preprocess/preprocess.py",
        (
            *_SHARED,
            f"{_MODEL}/preprocess/*.py",
            f"{_MODEL}/inference/*.py",
            f"{_MODEL}/inference/featurizer/*.py",
        ),
    ),
    "train": Job(
        f"{_MODEL}/train/train.py",
        (
            *_SHARED,
            f"{_MODEL}/metrics.py",
            f"{_MODEL}/train/*.py",
            f"{_MODEL}/inference/*.py",
            f"{_MODEL}/inference/classifier/*.py",
        ),
        archive=True,
    ),
    "evaluate": Job(
        f"{_MODEL}/evaluate/evaluate.py",
        (
            *_SHARED,
            f"{_MODEL}/metrics.py",
            f"{_MODEL}/evaluate/*.py",
            f"{_MODEL}/evaluate/*.json",
        ),
    ),
}


@dataclass(frozen=True, slots=True)
class Bundle:
    """A job's files by their name in the bundle, in the order of the names.

    ``digest`` is over names and contents, not over packed bytes: those differ between versions of
    zlib.
    """

    job: str
    contents: Mapping[str, bytes]
    archive: bool

    @property
    def digest(self) -> str:
        """32 hexadecimal digits that stand for the names and the contents."""
        hashed = hashlib.sha256()
        for name, content in self.contents.items():
            for part in (name.encode(), content):
                hashed.update(len(part).to_bytes(8, "big"))
                hashed.update(part)
        return hashed.hexdigest()[:32]

    @property
    def key(self) -> str:
        """The S3 key below the pipeline's prefix: the archive's, or that of the files' folder."""
        folder = f"code/{self.job}/{self.digest}"
        return f"{folder}/{ARCHIVE}" if self.archive else folder

    def objects(self) -> dict[str, bytes]:
        """Return what to store, by S3 key below the pipeline's prefix."""
        if self.archive:
            return {self.key: _pack(self.contents)}
        return {f"{self.key}/{name}": content for name, content in self.contents.items()}


def collect(root: Path = ROOT) -> dict[str, Bundle]:
    """Read every job's bundle from the repository at ``root``.

    Raises BundleError when a path or pattern of the table finds no file.
    """
    return {name: Bundle(name, _read(name, job, root), job.archive) for name, job in JOBS.items()}


def upload(s3_client: Any, bundles: Iterable[Bundle], bucket: str, prefix: str) -> list[str]:
    """Store what is not there yet and return the URIs of what was stored.

    Every object is looked for, so that the next call completes an upload that was cut short.
    Raises botocore's ClientError when S3 refuses.
    """
    stored = []
    for bundle in bundles:
        for key, content in bundle.objects().items():
            full_key = f"{prefix}/{key}"
            if not _exists(s3_client, bucket, full_key):
                s3_client.put_object(Bucket=bucket, Key=full_key, Body=content)
                stored.append(f"s3://{bucket}/{full_key}")
    return stored


def _read(name: str, job: Job, root: Path) -> dict[str, bytes]:
    found = {Path(job.script).name: root / job.script}
    for pattern in job.files:
        paths = sorted(root.glob(pattern))
        if not paths:
            raise BundleError(f"job {name}: {pattern} must be a file in {root}; there is none")
        found.update({path.relative_to(root).as_posix(): path for path in paths})
    # A second copy of the script would be another module to whoever imports it.
    found.pop(job.script, None)
    try:
        return {path: found[path].read_bytes() for path in sorted(found)}
    except OSError as error:
        raise BundleError(f"job {name}: {error.filename} cannot be read: {error}") from error


def _pack(contents: Mapping[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with (
        gzip.GzipFile(filename="", fileobj=packed, mode="wb", mtime=0) as zipped,
        tarfile.open(fileobj=zipped, mode="w", format=tarfile.USTAR_FORMAT) as archive,
    ):
        for name, content in contents.items():
            entry = tarfile.TarInfo(name)  # its defaults: mtime 0, uid and gid 0, no user name
            entry.size = len(content)
            entry.mode = 0o644
            archive.addfile(entry, io.BytesIO(content))
    return packed.getvalue()


def _exists(s3_client: Any, bucket: str, key: str) -> bool:
    try:
        s3_client.head_object(Bucket=bucket, Key=key)
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] == 404:
            return False
        raise
    return True
