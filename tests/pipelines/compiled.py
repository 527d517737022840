"""The definition, compiled once for all tests, and copies of the sources to change."""

import json
import shutil
from functools import cache
from pathlib import Path
from typing import Any

from pipelines import bundle
from pipelines.settings import Settings

SETTINGS = Settings.from_environment({"AWS_REGION": "us-east-1"})


@cache
def text() -> str:
    return compile_at(bundle.ROOT)


def definition() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(text())
    return loaded


def compile_at(root: Path) -> str:
    # The SDK takes seconds to import: only tests that compile pay for it.
    from pipelines.predictive_maintenance import pipeline

    return pipeline.compile_definition(SETTINGS, root)


def steps(compiled: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return every step by its name, those in the branches of a condition too."""
    found = {}
    waiting = list(compiled["Steps"])
    while waiting:
        step = waiting.pop(0)
        found[step["Name"]] = step
        if step["Type"] == "Condition":
            waiting += step["Arguments"]["IfSteps"] + step["Arguments"]["ElseSteps"]
    return found


def copy_sources(folder: Path) -> Path:
    """Copy what a definition is compiled from; return the copy's root."""
    shutil.copytree(
        bundle.ROOT / "pipelines",
        folder / "pipelines",
        ignore=shutil.ignore_patterns("__pycache__", ".*"),
    )
    return folder
