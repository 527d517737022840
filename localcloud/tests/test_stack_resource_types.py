"""The table of resource types is one with AWS's own schemas and with botocore's models."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

from localcloud.cloudformation.resources.arguments import members
from localcloud.cloudformation.resources.kind import Kind, readable
from localcloud.cloudformation.resources.schemas import create_only, schemas
from localcloud.cloudformation.resources.table import KINDS
from localcloud.protocol import service_model

EVERY = pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: kind.type)


def test_the_schemas_are_those_that_cfn_lint_carries() -> None:
    tool = runpy.run_path(str(Path(__file__).parents[1] / "tools/resource_schemas.py"))
    there = tool["TARGET"].read_text(encoding="utf-8")
    assert there == tool["generated"](), "run: python localcloud/tools/resource_schemas.py"


@EVERY
def test_every_call_of_a_type_is_one_of_its_service(kind: Kind) -> None:
    model = service_model(kind.service)
    calls = {kind.create_call, kind.find_call, kind.delete_call, kind.update_call} - {None}
    assert calls <= set(model.operation_names)


@EVERY
def test_every_read_only_property_can_be_asked_for(kind: Kind) -> None:
    assert readable(kind) <= set(kind.attributes)


@EVERY
def test_every_property_is_either_taken_by_name_or_refused_by_name(kind: Kind) -> None:
    """What a row of the table names is a property of the schema."""
    properties = set(schemas()[kind.type]["properties"])
    assert set(kind.more | kind.without | set(kind.defaults)) - {"Id"} <= properties
    known = members(kind.service, kind.create_call)
    taken = {name for name in properties if name.lower() in known or name in kind.more}
    assert set(kind.defaults) <= taken
    assert not kind.without & kind.more


@EVERY
def test_a_type_without_a_call_that_changes_it_has_nothing_to_change(kind: Kind) -> None:
    if kind.update_call is not None or kind.type == "AWS::Logs::LogGroup":
        return
    changeable = set(schemas()[kind.type]["properties"]) - create_only(kind.type) - {"Tags"}
    assert changeable <= set(kind.attributes)
