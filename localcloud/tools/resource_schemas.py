"""Cuts the schemas of the emulated resource types out of cfn-lint's copies of AWS's.

    python localcloud/tools/resource_schemas.py

writes localcloud/src/localcloud/cloudformation/resources/schemas.json. What services check
themselves (patterns) and what only people read is left out.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cfnlint

from localcloud.cloudformation.resources.table import KINDS

REGION = "us-east-1"
TARGET = Path(__file__).parents[1] / "src/localcloud/cloudformation/resources/schemas.json"
_KEPT = (
    "additionalProperties",
    "createOnlyProperties",
    "definitions",
    "primaryIdentifier",
    "properties",
    "readOnlyProperties",
    "required",
)
_DROPPED = (
    "default",
    "description",
    "format",
    "insertionOrder",
    "maxUniqueItems",
    "pattern",
    "uniqueItems",
)


def generated() -> str:
    """The file as it should be."""
    folder = Path(cfnlint.__file__).parent / "data/schemas"
    files = json.loads((folder / f"providers/{REGION}.json").read_text(encoding="utf-8"))
    found = {}
    for name in sorted(KINDS):
        schema = json.loads((folder / f"resources/{files[name]}.json").read_text(encoding="utf-8"))
        found[name] = {key: _cut(schema[key], key) for key in _KEPT if key in schema}
    return json.dumps(found, indent=1, sort_keys=True) + "\n"


def _cut(value: Any, name: str = "") -> Any:
    """A schema without what is not needed; names of properties are no keywords."""
    if isinstance(value, list):
        return [_cut(item) for item in value]
    if not isinstance(value, dict):
        return value
    if name in ("properties", "definitions", "patternProperties"):
        return {key: _cut(item) for key, item in value.items()}
    return {key: _cut(item, key) for key, item in value.items() if key not in _DROPPED}


if __name__ == "__main__":
    TARGET.write_text(generated(), encoding="utf-8")
