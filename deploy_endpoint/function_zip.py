"""The code of a stage's functions as one zip: the packages ``api`` and ``web``, and what they need.

The dependencies are those that requirements/lambda.txt pins, taken from this Python's environment,
where ``make setup`` installed the same versions by their hashes. The same files make the same
bytes, so the zip's SHA-256 is its name: a function whose code did not change is not updated.
"""

import hashlib
import io
import re
import zipfile
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).resolve().parent
LOCK: Final = HERE.parent / "requirements" / "lambda.txt"
FOLDERS: Final = ("api", "web")
# A zip has no time zone and starts in 1980.
_TIME = (1980, 1, 1, 0, 0, 0)
_READABLE = 0o644 << 16
# What an installer notes of its own work: with it the name would tell pip's zip from uv's.
_NOTES = {"RECORD", "INSTALLER", "REQUESTED", "direct_url.json", "uv_cache.json"}
_PIN = re.compile(r"^([\w.-]+)==(\S+)", re.MULTILINE)


class MissingDependencyError(RuntimeError):
    """A package that the functions need is not installed as it is pinned."""


def build() -> bytes:
    """Give the zip. Raises MissingDependencyError."""
    files = dict(_own_files())
    for name, version in _PIN.findall(LOCK.read_text(encoding="utf-8")):
        files |= dict(_files_of(name, version))
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for place, content in sorted(files.items()):
            entry = zipfile.ZipInfo(place, _TIME)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = _READABLE
            archive.writestr(entry, content)
    return packed.getvalue()


def name(content: bytes) -> str:
    """Give the name of a zip: its SHA-256 and the suffix."""
    return f"{hashlib.sha256(content).hexdigest()}.zip"


def _own_files() -> Iterator[tuple[str, bytes]]:
    for folder in FOLDERS:
        for path in sorted((HERE / folder).rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                yield path.relative_to(HERE).as_posix(), path.read_bytes()


def _files_of(project: str, version: str) -> Iterator[tuple[str, bytes]]:
    try:
        found = metadata.distribution(project)
    except metadata.PackageNotFoundError as error:
        raise MissingDependencyError(f"{project} {version} is not installed: make setup") from error
    if found.version != version:
        raise MissingDependencyError(
            f"{project} must be {version}, as {LOCK.name} pins it, not {found.version}: make setup"
        )
    if "-none-any\n" not in (found.read_text("WHEEL") or ""):
        raise MissingDependencyError(f"{project} {version} is built for this machine only")
    for file in found.files or ():
        if file.parts[0].endswith(".dist-info") and file.name in _NOTES:
            continue
        if ".." not in file.parts and "__pycache__" not in file.parts:
            yield file.as_posix(), Path(str(found.locate_file(file))).read_bytes()
