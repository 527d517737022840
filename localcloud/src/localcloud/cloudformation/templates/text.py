"""A template's text, YAML with the short forms of the functions or JSON, as one plain document."""

from __future__ import annotations

import json
from collections.abc import Hashable, Iterable
from typing import Any

import yaml

from localcloud.cloudformation.errors import ValidationError
from localcloud.protocol import Document

MAX_DEPTH = 100
_LONG_NAMES = {"Ref": "Ref", "Condition": "Condition"}
_TIMESTAMP = "tag:yaml.org,2002:timestamp"


def read_text(text: str) -> Document:
    """The document that a template's text says. Raises ValidationError in AWS's words.

    Dates stay texts; nulls, keys that stand twice and YAML's aliases are refused.
    """
    document = _json(text) if text.lstrip().startswith("{") else _yaml(text)
    if not isinstance(document, dict):
        raise ValidationError("Template format error: unsupported structure.")
    _refuse_nulls(document, "", MAX_DEPTH)
    return document


def _json(text: str) -> Any:
    try:
        return json.loads(text, object_pairs_hook=_object)
    except json.JSONDecodeError as error:
        raise ValidationError(
            "Template format error: JSON not well-formed. "
            f"(line {error.lineno}, column {error.colno})"
        ) from error
    except RecursionError as error:
        raise _too_deep() from error


def _object(pairs: Iterable[tuple[str, Any]]) -> Document:
    found: Document = {}
    for key, value in pairs:
        if key in found:
            raise ValidationError(
                f"Template format error: the key {key!r} stands twice in an object"
            )
        found[key] = value
    return found


def _yaml(text: str) -> Any:
    try:
        return yaml.load(text, Loader=_Loader)  # noqa: S506 - made of the safe loader
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f" (line {mark.line + 1}, column {mark.column + 1})" if mark else ""
        raise ValidationError(
            f"Template format error: YAML not well-formed.{where} {error.problem or ''}".rstrip()
        ) from error
    except (yaml.YAMLError, ValueError) as error:
        raise ValidationError(f"Template format error: YAML not well-formed. {error}") from error
    except RecursionError as error:
        raise _too_deep() from error


class _Loader(yaml.SafeLoader):  # type: ignore[misc]
    """PyYAML's safe loader with CloudFormation's tags."""

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise ValidationError(
                "Template error: YAML aliases are not allowed in CloudFormation templates"
            )
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:  # noqa: FBT001, FBT002 - PyYAML's own signature
        keys = [key.value for key, _ in node.value]
        twice = next((key for key in keys if keys.count(key) > 1), None)
        if twice is not None:
            line = node.start_mark.line + 1
            raise ValidationError(
                f"Template format error: the key {twice!r} stands twice in the mapping at line "
                f"{line}"
            )
        found = super().construct_mapping(node, deep=deep)
        return {str(key): value for key, value in found.items()}


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != _TIMESTAMP]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def _short_form(loader: _Loader, suffix: str, node: yaml.Node) -> Document:
    """`!Sub text` as {"Fn::Sub": "text"}; `!GetAtt A.B` as a list of two."""
    name = _LONG_NAMES.get(suffix, f"Fn::{suffix}")
    value: Any
    if isinstance(node, yaml.ScalarNode):
        value = loader.construct_scalar(node)
        if suffix == "GetAtt":
            value = value.split(".", 1)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        assert isinstance(node, yaml.MappingNode)  # noqa: S101 - there are three kinds of nodes
        value = loader.construct_mapping(node, deep=True)
    return {name: value}


_Loader.add_multi_constructor("!", _short_form)


def _refuse_nulls(value: Any, path: str, depth: int) -> None:
    if depth == 0:
        raise _too_deep()
    if value is None:
        raise ValidationError(f"[{path}] 'null' values are not allowed in templates")
    if isinstance(value, dict | list):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for key, item in items:
            _refuse_nulls(item, f"{path}/{key}", depth - 1)


def _too_deep() -> ValidationError:
    return ValidationError(f"Template format error: nested deeper than {MAX_DEPTH} levels")
