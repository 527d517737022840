"""What `plan` says: changes in words, and money."""

import dataclasses
import json
from typing import Any

import pytest

from deploy_endpoint import cost, stage, words
from deploy_endpoint.stage import Instances

PRODUCTION = stage.read("production")


def change(action: str, replacement: str = "", **more: Any) -> dict[str, Any]:
    found = {"Action": action, "LogicalResourceId": "X", "ResourceType": "AWS::IAM::Role", **more}
    return found | ({"Replacement": replacement} if replacement else {})


@pytest.mark.parametrize(
    ("action", "replacement", "verb"),
    [
        ("Add", "", "add"),
        ("Remove", "", "remove"),
        ("Modify", "False", "change"),
        ("Modify", "True", "replace"),
        ("Modify", "Conditional", "perhaps replace"),
        ("Dynamic", "", "perhaps change"),
    ],
)
def test_every_kind_of_change_has_its_word(action: str, replacement: str, verb: str) -> None:
    assert [line[:3] for line in words.lines([change(action, replacement)])] == [
        (verb, "X", "IAM::Role")
    ]


def test_a_change_tells_what_changes_and_what_causes_it() -> None:
    details = [
        {
            "Target": {"Attribute": "Properties", "Name": "Code"},
            "ChangeSource": "ParameterReference",
            "CausingEntity": "CodeKey",
        },
        {
            "Target": {"Attribute": "Properties", "Name": "Role"},
            "ChangeSource": "ResourceAttribute",
            "CausingEntity": "ApiRole.Arn",
        },
        {"Target": {"Attribute": "Tags"}, "ChangeSource": "DirectModification"},
    ]
    (line,) = words.lines([change("Modify", "False", Details=details)])
    assert line[3] == "Code (parameter CodeKey); Role (because of ApiRole.Arn); Tags"


def test_what_the_list_of_changes_cannot_show_is_told_in_words() -> None:
    policy = change("Add", LogicalResourceId="ScalingPolicy")
    assert list(words.notes([policy])) == ["Autoscaling adds two alarms of its own."]
    for name, notes in (
        ("EndpointConfigName", ["During the roll-out the endpoint has twice its instances."]),
        ("Tags", []),
    ):
        details = [{"Target": {"Attribute": "Properties", "Name": name}}]
        endpoint = change("Modify", "False", LogicalResourceId="Endpoint", Details=details)
        assert list(words.notes([endpoint])) == notes
    assert list(words.notes([change("Add", LogicalResourceId="Endpoint")])) == []


def test_what_is_removed_comes_last() -> None:
    found = words.lines([change("Remove"), change("Modify", "True"), change("Add")])
    assert [line[0] for line in found] == ["add", "replace", "remove"]


def test_the_cost_is_instances_by_hours_by_the_table() -> None:
    prices = json.loads((stage.FOLDER.parent / "prices.json").read_text())
    hour = prices["instance_hour"]["ml.m5.large"]
    first, *rest = cost.lines(PRODUCTION, "us-east-1")
    low, high = (f"${count * hour * 730:,.0f}" for count in (2, 8))
    assert first.endswith(f"2 to 8 x ml.m5.large x 730 h x ${hour} = {low} to {high} a month")
    assert "twice the instances during a roll-out" in "".join(rest)
    assert "alarms, dashboard, secret: $4.10 a month" in "".join(rest)
    assert f"list prices of {prices['region']}, noted {prices['noted']}" in rest[-1]


def test_the_cost_of_what_the_table_has_not_is_not_made_up() -> None:
    other = dataclasses.replace(PRODUCTION, instances=Instances("ml.c9.large", 2, 2, 3))
    first, *rest = cost.lines(other, "eu-west-1")
    assert first == "Cost       2 to 3 x ml.c9.large: the table has no price of it"
    assert rest[-1].endswith("; eu-west-1 has prices of its own")


def test_every_price_is_a_number_above_nothing() -> None:
    prices = json.loads((stage.FOLDER.parent / "prices.json").read_text())
    assert prices["source"].startswith("https://")
    for group in ("instance_hour", "month", "million_requests", "gigabyte"):
        for name, price in prices[group].items():
            assert isinstance(price, float), name
            assert price > 0, name
    for name in ("staging", "production"):
        assert stage.read(name).instances.type in prices["instance_hour"]
