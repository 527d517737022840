"""What a training script's own requirements add to its image: installed once, kept in the cache.

The images' starter runs pip on a requirements.txt, or on a folder with a setup.py, before the
script. Here the image's environment stays as it is: what it lacks goes to a folder of its own that
the job finds on PYTHONPATH, before the image's packages.
"""

from __future__ import annotations

import hashlib
import os
import re
import shlex
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

from localcloud.containers.environments import ImageEnvironment, only_one, run_uv
from localcloud.containers.errors import ImageBuildFailed, RequirementsFailed

_COMPLETE = ".complete"
_REQUIREMENTS = "requirements.txt"
_INDEX = {
    "PIP_INDEX_URL": "--index-url",
    "PIP_EXTRA_INDEX_URL": "--extra-index-url",
    "PIP_FIND_LINKS": "--find-links",
}
_OPTION = re.compile(r"\s*(-i|-f|--(index-url|extra-index-url|find-links|no-index|pre))\b")
_LOCAL = re.compile(r"\s*(\.|/|-[erc]\b|file:|[^#]*@\s*file:)")
_NEW = re.compile(r" \+ (\S+==\S+|\S+ @ \S+)")


def install(
    code: Path, environment: ImageEnvironment, settings: Mapping[str, str], cache: Path, log: Path
) -> Path:
    """The folder of what a source folder asks for and its image lacks, made if it is not there.

    `settings` is the job's environment: pip's variables in it, or else in this process's, say
    where packages come from. What is done is told in the job's log.

    Raises:
        RequirementsFailed: the text names what was asked for and ends with uv's own words.
    """
    wanted = list(_wanted(code))
    folder = cache / "layers" / _key(code, environment)
    with only_one(folder):
        if (folder / _COMPLETE).exists():
            return folder
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        with log.open("a") as told:
            told.write(f"localcloud: installing {', '.join(wanted)}\n")
        options = [*_options(settings), "--python", str(environment.python)]
        try:
            _fill(folder, code, options)
        except ImageBuildFailed as exc:
            raise RequirementsFailed(
                f"InstallRequirementsError: {', '.join(wanted)} could not be installed: {exc}"
            ) from exc
        (folder / _COMPLETE).write_text("\n".join(wanted))
    return folder


def _fill(folder: Path, code: Path, options: list[str]) -> None:
    """Ask uv what is missing in the image, then install exactly that beside it."""
    asked = ["-r", _REQUIREMENTS] if (code / _REQUIREMENTS).is_file() else []
    asked += ["."] if (code / "setup.py").exists() else []
    plan = run_uv("pip", "install", "--dry-run", *options, *asked, folder=code).stderr
    exact = [match[1] for line in plan.splitlines() if (match := _NEW.match(line))]
    if not exact:
        return
    for line in _lines(code):
        options += shlex.split(line, comments=True) if _OPTION.match(line) else []
    run_uv(
        "pip", "install", "--quiet", "--no-deps", *options, "--target", str(folder), *exact,
        folder=code,
    )  # fmt: skip


def _lines(code: Path) -> list[str]:
    path = code / _REQUIREMENTS
    return path.read_text(errors="replace").splitlines() if path.is_file() else []


def _wanted(code: Path) -> Iterator[str]:
    """What a reader would say is asked for."""
    for line in _lines(code):
        if line.strip() and not line.lstrip().startswith(("#", "--")):
            yield line.partition(" #")[0].strip()
    if (code / "setup.py").exists():
        yield "the package of setup.py"


def _key(code: Path, environment: ImageEnvironment) -> str:
    """Other requirements or another image: another folder. Local files count with their bytes."""
    digest = hashlib.sha256(f"{environment.python}".encode())
    digest.update(environment.image.lock.read_bytes())
    lines = _lines(code)
    digest.update("\n".join(lines).encode())
    if (code / "setup.py").exists() or any(_LOCAL.match(line) for line in lines):
        for path in sorted(code.rglob("*")):
            if path.is_file():
                digest.update(f"{path.relative_to(code)}\0".encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def _options(settings: Mapping[str, str]) -> Iterator[str]:
    """The settings of pip, told to uv, which does not read them."""
    given = {name: settings.get(name) or os.environ.get(name) for name in (*_INDEX, "PIP_NO_INDEX")}
    for name, option in _INDEX.items():
        for word in (given[name] or "").split():
            yield from (option, word)
    if (given["PIP_NO_INDEX"] or "0").lower() not in ("0", "false", "no", "off"):
        yield "--no-index"
    # pip's way to say it: 0 means without isolation.
    if settings.get("PIP_NO_BUILD_ISOLATION") == "0":
        yield "--no-build-isolation"
