"""What the properties of each type may be: cut out of cfn-lint's copies of AWS's schemas.

`schemas.json` is written by `localcloud/tools/resource_schemas.py`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

from localcloud.cloudformation.templates.values import UNKNOWN, as_text
from localcloud.protocol import Document

_FILE = Path(__file__).with_name("schemas.json")
_MAX_REFERENCES = 20
_TRUTHS = {"true": True, "false": False}


@cache
def schemas() -> dict[str, Document]:
    """The schemas by the name of their type."""
    found: dict[str, Document] = json.loads(_FILE.read_text(encoding="utf-8"))
    return found


def create_only(type_name: str) -> frozenset[str]:
    """The properties whose change means another resource instead of this one."""
    return _names(schemas()[type_name].get("createOnlyProperties", []))


def read_only(type_name: str) -> frozenset[str]:
    """The properties that a resource tells, and nobody gives."""
    return _names(schemas()[type_name].get("readOnlyProperties", []))


def tags_of(type_name: str) -> str | None:
    """How a type takes tags: as an "array" of pairs, as an "object", or not at all."""
    tags = schemas()[type_name]["properties"].get("Tags")
    return None if tags is None else str(tags["type"])


def _names(pointers: list[str]) -> frozenset[str]:
    return frozenset(pointer.split("/")[2] for pointer in pointers if pointer.count("/") == 2)


def coerced(type_name: str, properties: Document) -> Document:
    """The properties with texts as the numbers and truths that the schema wants, and back.

    As on AWS, where every parameter is a text. What cannot be converted stays as it is.
    """
    schema = schemas()[type_name]
    found: Document = _coerced(schema, schema, properties)
    return found


def violations(type_name: str, properties: Document) -> Iterator[str]:
    """Every rule of the schema that the properties break; UNKNOWN breaks none."""
    given = read_only(type_name) & set(properties)
    for name in sorted(given):
        yield f"#: the property {name} is read only"
    for error in _validator(type_name).iter_errors(properties):
        path = "/".join(["#", *map(str, error.absolute_path)])
        yield f"{path}: {_words(error)}"


def _words(error: Any) -> str:
    if error.validator == "additionalProperties":
        unknown = sorted(set(error.instance) - set(error.schema.get("properties", {})))
        return f"extraneous key [{', '.join(unknown)}] is not permitted"
    if error.validator == "required":
        missing = [name for name in error.validator_value if name not in error.instance]
        return f"required key [{', '.join(missing)}] not found"
    if error.validator == "type":
        wanted = error.validator_value
        kinds = wanted if isinstance(wanted, str) else " or ".join(wanted)
        return f"expected type: {kinds}, found: {_kind(error.instance)}"
    return str(error.message)[:300]


def _kind(value: Any) -> str:
    kinds = {dict: "object", list: "array", bool: "boolean", int: "integer", float: "number"}
    return kinds.get(type(value), "string")


@cache
def _validator(type_name: str) -> Any:
    """A validator that lets pass what is not known yet."""
    import jsonschema  # noqa: PLC0415 - most localclouds never see a stack

    base = jsonschema.Draft7Validator

    def tolerant(rule: Callable[..., Any]) -> Callable[..., Iterator[Any]]:
        def check(validator: Any, value: Any, instance: Any, schema: Any) -> Iterator[Any]:
            if instance is not UNKNOWN:
                yield from rule(validator, value, instance, schema) or ()

        return check

    rules = {name: tolerant(rule) for name, rule in base.VALIDATORS.items()}
    schema = {**schemas()[type_name], "type": "object"}
    extended: Any = jsonschema.validators.extend(base, rules)  # type: ignore[no-untyped-call]
    return extended(schema)


def _coerced(schema: Document, root: Document, value: Any) -> Any:
    schema = _resolved(schema, root)
    if isinstance(value, dict):
        members = schema.get("properties", {})
        patterns = list(schema.get("patternProperties", {}).values())
        others = schema.get("additionalProperties")
        rest = patterns[0] if patterns else others if isinstance(others, dict) else {}
        return {key: _coerced(members.get(key, rest), root, item) for key, item in value.items()}
    if isinstance(value, list):
        return [_coerced(schema.get("items", {}), root, item) for item in value]
    return _converted(schema.get("type"), value)


def _resolved(schema: Document, root: Document) -> Document:
    for _ in range(_MAX_REFERENCES):
        if "$ref" not in schema:
            return schema
        found: Any = root
        for part in schema["$ref"].removeprefix("#/").split("/"):
            found = found[part]
        schema = found
    return schema


def _converted(kind: Any, value: Any) -> Any:
    if isinstance(value, str):
        if kind == "boolean":
            return _TRUTHS.get(value.lower(), value)
        if kind in ("integer", "number"):
            return _number(kind, value)
    elif kind == "string" and as_text(value) is not None:
        return as_text(value)
    return value


def _number(kind: str, text: str) -> Any:
    try:
        return int(text)
    except ValueError:
        pass
    try:
        return float(text) if kind == "number" else text
    except ValueError:
        return text
