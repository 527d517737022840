"""Files that are whole or not there: written beside their place and moved."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from deploy_endpoint.errors import UsageError


def write(path: Path, text: str) -> None:
    """Write a text file at once, with the folders above it. Raises UsageError.

    Only its owner can read it: it may hold a token.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.touch(mode=0o600)
        partial.write_text(text, encoding="utf-8")
        partial.replace(path)
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}.") from error


def read_object(path: Path) -> dict[str, Any]:
    """Read a JSON object; an empty one where there is no file. Raises UsageError."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} must hold a JSON object: {error}.") from error
    if not isinstance(document, dict):
        raise UsageError(f"{path} must hold a JSON object, not a {type(document).__name__}.")
    return document


def merge(path: Path, values: Mapping[str, Any]) -> None:
    """Put the values into a JSON file; keys of others stay. Raises UsageError."""
    write(path, json.dumps(read_object(path) | dict(values), indent=2) + "\n")
