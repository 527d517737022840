"""The Python environments of the images: built by uv on first use, kept in the user's cache."""

from __future__ import annotations

import fcntl
import hashlib
import importlib
import logging
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from localcloud.containers.errors import ImageBuildFailed
from localcloud.containers.images import IMAGES, Image, find_image

_log = logging.getLogger(__name__)
_COMPLETE = ".complete"
_RUNS = "import sys; print(sys.executable, '%d.%d.%d' % sys.version_info[:3], sep='\\n')"
_ADVICE = (
    "To run with the image's own versions, have uv and a Python 3.12 (LOCALCLOUD_PYTHON312 may "
    "name one), and a package index that uv can reach the first time."
)


@dataclass(frozen=True)
class ImageEnvironment:
    """How to run an image: its interpreter, and a home that is not the user's own.

    The home keeps what libraries cache (matplotlib looks through all fonts once), and keeps the
    user's AWS profiles out of the jobs' sight.
    """

    image: Image
    python: Path
    home: Path

    @property
    def shared(self) -> tuple[Path, ...]:
        """What every process of the image reads and none may change; none if it is no venv."""
        folder = self.python.parent.parent
        return (folder / "lib", folder / "bin") if (folder / "pyvenv.cfg").exists() else ()


class Images:
    """Environments by image URI. Safe for threads, and for other processes that build too."""

    def __init__(self, cache: Path | None = None) -> None:
        chosen = os.environ.get("LOCALCLOUD_CACHE") or Path.home() / ".cache" / "localcloud"
        self.cache = (cache or Path(chosen)).absolute()
        self._found: dict[str, ImageEnvironment] = {}
        self._locks = {image.name: threading.Lock() for image in IMAGES}

    def environment(self, uri: str) -> ImageEnvironment:
        """The environment of an image, built now if it is not there yet (seconds to a minute).

        Without a Python 3.12, or if it cannot be built, the project's own environment serves, and
        a warning says so once.

        Raises:
            ImageNotSupported: no lock file stands for this image.
            ImageBuildFailed: LOCALCLOUD_PYTHON312 names no Python 3.12 that runs.
        """
        image = find_image(uri, IMAGES)
        with self._locks[image.name]:
            if image.name not in self._found:
                self._found[image.name] = self._make(image)
            return self._found[image.name]

    @cached_property
    def _python(self) -> tuple[Path, str] | None:
        return find_python312()

    def is_built(self, uri: str) -> bool:
        """Whether an image's environment is there, so that `environment` need not build it.

        Raises:
            ImageNotSupported, ImageBuildFailed: as `environment` does.
        """
        image = find_image(uri, IMAGES)
        if self._python is None:
            return False
        return (_folder(image, *self._python, self.cache / "images") / _COMPLETE).exists()

    def _make(self, image: Image) -> ImageEnvironment:
        if self._python is None:
            reason = "no Python 3.12 was found"
        else:
            try:
                folder = build(image, *self._python, self.cache / "images")
            except ImageBuildFailed as exc:
                reason = str(exc)
            else:
                return ImageEnvironment(image, folder / "bin" / "python", _home(folder / "home"))
        _log.warning(
            "The image %s:%s runs in localcloud's own environment, with the versions installed "
            "there, because %s. %s", image.repository, image.tag, reason, _ADVICE,
        )  # fmt: skip
        return ImageEnvironment(image, Path(sys.executable), _home(self.cache / "home"))


def build(image: Image, python: Path, version: str, cache: Path) -> Path:
    """The folder of an image's environment, made if it is not there whole.

    A build that was killed leaves no completion marker and is begun again.

    Raises:
        ImageBuildFailed: uv is not there, or failed.
    """
    folder = _folder(image, python, version, cache)
    with only_one(folder):
        if (folder / _COMPLETE).exists():
            return folder
        _log.info("Building the environment of %s:%s, once", image.repository, image.tag)
        shutil.rmtree(folder, ignore_errors=True)
        _uv("venv", "--quiet", "--python", str(python), str(folder))
        _uv(
            "pip", "sync", "--quiet", "--require-hashes",
            "--python", str(folder / "bin" / "python"), str(image.lock),
        )  # fmt: skip
        (folder / _COMPLETE).write_text(f"{image.name} on Python {version}\n")
    return folder


def _folder(image: Image, python: Path, version: str, cache: Path) -> Path:
    key = hashlib.sha256(image.lock.read_bytes() + f"{python} {version}".encode()).hexdigest()
    return cache / key[:16]


def find_python312() -> tuple[Path, str] | None:
    """A Python 3.12 that really runs and its full version; nothing is downloaded.

    Raises:
        ImageBuildFailed: LOCALCLOUD_PYTHON312 is set and does not run as a Python 3.12.
    """
    chosen = os.environ.get("LOCALCLOUD_PYTHON312")
    if chosen:
        found = _try_python(Path(chosen))
        if found is None:
            raise ImageBuildFailed(
                f"LOCALCLOUD_PYTHON312 must name a Python 3.12 that runs; {chosen!r} does not"
            )
        return found
    return next((found for path in _candidates() if (found := _try_python(path))), None)


def _candidates() -> Iterator[Path]:
    yield Path(sys.executable)
    folders = [Path(folder) for folder in os.environ.get("PATH", "").split(os.pathsep) if folder]
    folders += [Path(name) for name in ("/usr/bin", "/usr/local/bin", "/opt/homebrew/bin")]
    for folder in dict.fromkeys(folders):
        yield folder / "python3.12"
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    for versions in dict.fromkeys((pyenv, Path.home() / ".pyenv")):
        yield from sorted(versions.glob("versions/3.12*/bin/python3.12"), reverse=True)
    try:
        yield Path(_uv("python", "find", "--managed-python", "3.12").strip())
    except ImageBuildFailed:
        return


def _try_python(path: Path) -> tuple[Path, str] | None:
    """A pyenv shim is an executable file that answers 127, so only running it tells."""
    if not path.is_file():
        return None
    try:
        done = subprocess.run(
            [path, "-I", "-c", _RUNS], capture_output=True, text=True, timeout=20, check=True
        )
        executable, version = done.stdout.split("\n")[:2]
    except (OSError, subprocess.SubprocessError, ValueError):
        return None
    return (Path(executable), version) if version.startswith("3.12.") else None


def run_uv(*arguments: str, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run uv, in a folder if one is given; raises ImageBuildFailed with its own words."""
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("PYTHON") and name not in ("VIRTUAL_ENV", "CONDA_PREFIX")
    }
    environment["UV_PYTHON_DOWNLOADS"] = "never"
    try:
        program = importlib.import_module("uv").find_uv_bin()
    except (ImportError, FileNotFoundError):
        program = shutil.which("uv")
    if program is None:
        raise ImageBuildFailed("uv is not installed")
    done = subprocess.run(
        [program, *arguments],
        env=environment,
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        said = " ".join(done.stderr.split())[-600:]
        raise ImageBuildFailed(f"`uv {' '.join(arguments[:2])}` failed: {said}")
    return done


def _uv(*arguments: str) -> str:
    return run_uv(*arguments).stdout


@contextmanager
def only_one(folder: Path) -> Iterator[None]:
    """Let one process at a time make a folder, by a lock file beside it."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / f"{folder.name}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _home(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder
