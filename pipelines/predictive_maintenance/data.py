"""Where the data comes from: a folder the user names, the public home, or the generator.

Source: S. Matzka, AI4I 2020 Predictive Maintenance Dataset, UCI Machine Learning Repository,
DOI 10.24432/C5HS5C, licence CC BY 4.0.
"""

import argparse
import hashlib
import http.client
import io
import os
import sys
import threading
import urllib.request
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from pipelines.predictive_maintenance import generator

FOLDER_VARIABLE: Final = "AI4I_DATA"
FILE_NAME: Final = "ai4i2020.csv"
GENERATED_NAME: Final = "ai4i2020-generated.csv"
ADDRESS: Final = (
    "https://archive.ics.uci.edu/static/public/601/ai4i+2020+predictive+maintenance+dataset.zip"
)
SHA256: Final = "dc6630cd9b1f0f853922fad78a1b6436570d3f1ec863f1dd5c4340ac56bc8a8e"
# The same values with LF line ends and without the byte-order mark.
PLAIN_SHA256: Final = "53d0e7b71f760829a91ec3a9df54c0f044836074a227fe5be5a06bedd0cb1125"
GENERATED_ROWS: Final = 10_000
GENERATED_SEED: Final = 2020

_TIMEOUT_SECONDS: Final = 3.0
_PATIENCE_SECONDS: Final = 6.0
_LARGEST_DOWNLOAD: Final = 5_000_000


class DataUnavailableError(RuntimeError):
    """The data is not where the user says it is; the message says what to change."""


class DownloadError(RuntimeError):
    """The public home did not give the published file."""


@dataclass(frozen=True, slots=True)
class Dataset:
    """A csv on disk, its hash, where it came from, and why from there."""

    path: Path
    sha256: str
    source: Literal["folder", "download", "generator"]
    note: str


def fetch(cache: Path, environment: Mapping[str, str] | None = None) -> Dataset:
    """Find the csv: the folder named by AI4I_DATA, else the public home, else the generator.

    ``cache`` is a folder that keeps what was downloaded or generated; a generated file that is
    there is used again without asking the public home. ``environment`` is ``os.environ`` unless
    given. Raises DataUnavailableError when AI4I_DATA names a folder without the file.
    """
    folder = (os.environ if environment is None else environment).get(FOLDER_VARIABLE)
    if folder:
        return _from_folder(Path(folder))
    cache.mkdir(parents=True, exist_ok=True)
    published, generated = cache / FILE_NAME, cache / GENERATED_NAME
    if published.is_file() and _hash(published) == SHA256:
        return Dataset(published, SHA256, "download", f"the published file, kept in {cache}")
    if generated.is_file():
        why = f"generated before and kept; remove {generated} to try the download again"
    else:
        try:
            _write(published, _download())
        except DownloadError as error:
            why = f"{error}; {FOLDER_VARIABLE} may name a folder that holds {FILE_NAME}"
            generator.write_csv(generated, GENERATED_ROWS, GENERATED_SEED)
        else:
            return Dataset(published, SHA256, "download", f"the published file, from {ADDRESS}")
    return Dataset(generated, _hash(generated), "generator", f"not the published file: {why}")


def _from_folder(folder: Path) -> Dataset:
    path = folder / FILE_NAME
    if not path.is_file():
        what = f"has no file {FILE_NAME}" if folder.is_dir() else "is no folder"
        raise DataUnavailableError(
            f"{FOLDER_VARIABLE} must name a folder that holds {FILE_NAME}; {folder} {what}"
        )
    content = path.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    plain = content.removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n").rstrip(b"\n") + b"\n"
    if digest == SHA256:
        note = "the published file"
    elif hashlib.sha256(plain).hexdigest() == PLAIN_SHA256:
        note = "the published values with other line ends or without the byte-order mark"
    else:
        note = f"not the published file: its SHA-256 is {digest}, the published one's is {SHA256}"
    return Dataset(path, digest, "folder", f"{note}, from {FOLDER_VARIABLE}={folder}")


def _download() -> bytes:
    """Get the published csv; raises DownloadError for a failure, a delay or another content."""
    outcome: list[bytes | DownloadError] = []

    def attempt() -> None:
        try:
            outcome.append(_read_archive(_get(ADDRESS)))
        except (OSError, http.client.HTTPException, zipfile.BadZipFile, KeyError) as error:
            outcome.append(DownloadError(f"{ADDRESS} could not be read: {error}"))

    # A socket's time-out covers neither the name look-up nor an answer that trickles.
    thread = threading.Thread(target=attempt, daemon=True)
    thread.start()
    thread.join(_PATIENCE_SECONDS)
    if not outcome:
        raise DownloadError(f"{ADDRESS} did not answer within {_PATIENCE_SECONDS:g} s")
    content = outcome[0]
    if isinstance(content, DownloadError):
        raise content
    digest = hashlib.sha256(content).hexdigest()
    if digest != SHA256:
        raise DownloadError(
            f"{ADDRESS} gave a file with SHA-256 {digest}, the published one's is {SHA256}"
        )
    return content


def _get(address: str) -> bytes:
    # The address is a constant, so no other scheme can come in.
    with urllib.request.urlopen(address, timeout=_TIMEOUT_SECONDS) as response:  # noqa: S310
        body: bytes = response.read(_LARGEST_DOWNLOAD)
    return body


def _read_archive(archive: bytes) -> bytes:
    with zipfile.ZipFile(io.BytesIO(archive)).open(FILE_NAME) as member:
        return member.read(_LARGEST_DOWNLOAD)


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _write(path: Path, content: bytes) -> None:
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    partial.write_bytes(content)
    partial.replace(path)


def main(arguments: list[str] | None = None) -> None:
    """Generate a csv of any size."""
    parser = argparse.ArgumentParser(prog="data", description=main.__doc__)
    parser.add_argument("--rows", type=int, default=GENERATED_ROWS)
    parser.add_argument("--seed", type=int, default=GENERATED_SEED)
    parser.add_argument("--output", type=Path, required=True)
    options = parser.parse_args(arguments)
    if options.rows < 1 or options.seed < 0:
        parser.error(
            f"--rows must be at least 1, --seed at least 0, not {options.rows} and {options.seed}"
        )
    generator.write_csv(options.output, options.rows, options.seed)
    sys.stdout.write(f"{options.output}: {options.rows} rows, SHA-256 {_hash(options.output)}\n")


if __name__ == "__main__":
    main()
