"""Change sets say what would be done, and do it when they are executed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError
from stack_fixtures import (
    CAPABILITIES,
    Builder,
    changed,
    get,
    group,
    ref,
    resource,
    role,
    template,
    topic,
)

from localcloud.testing import TestCloud

pytestmark = pytest.mark.integration
BODY = template(
    {
        "Role": role(Description="one", Path="/a/"),
        "Topic": topic(),
        "User": resource("SNS::Topic", {"DisplayName": get("Role", "Arn")}),
        "Group": group("/change-sets", days=7),
    },
    Parameters={"Word": {"Type": "String", "Default": "a"}},
)


@pytest.fixture(scope="module")
def stacks(cloud: TestCloud) -> Iterator[Builder]:
    builder = Builder(cloud)
    builder.create("changing", BODY)
    yield builder
    builder.delete("changing")


def look(stacks: Builder, name: str, body: str, **more: Any) -> dict[str, Any]:
    given = {"StackName": "changing", "Capabilities": CAPABILITIES} | more
    made = stacks.api.create_change_set(ChangeSetName=name, TemplateBody=body, **given)
    found: dict[str, Any] = stacks.api.describe_change_set(ChangeSetName=made["Id"])
    return found


def by_id(found: dict[str, Any]) -> dict[str, dict[str, Any]]:
    changes = [change["ResourceChange"] for change in found["Changes"]]
    return {change["LogicalResourceId"]: change for change in changes}


def test_a_change_set_tells_what_is_added_changed_replaced_and_removed(stacks: Builder) -> None:
    def change(document: dict[str, Any]) -> None:
        resources = document["Resources"]
        resources["Role"]["Properties"]["Path"] = "/b/"
        resources["New"] = topic()
        resources["Group"]["Properties"]["RetentionInDays"] = 30
        del resources["Topic"]

    found = look(stacks, "all", changed(BODY, change))
    assert (found["Status"], found["ExecutionStatus"]) == ("CREATE_COMPLETE", "AVAILABLE")
    changes = by_id(found)
    assert {
        name: (each["Action"], each.get("Replacement"), each.get("PolicyAction"))
        for name, each in changes.items()
    } == {
        "New": ("Add", None, None),
        "Role": ("Modify", "True", "ReplaceAndDelete"),
        "User": ("Modify", "False", None),
        "Group": ("Modify", "False", None),
        "Topic": ("Remove", None, "Delete"),
    }
    (detail,) = changes["Role"]["Details"]
    assert detail == {
        "Target": {"Attribute": "Properties", "Name": "Path", "RequiresRecreation": "Always"},
        "Evaluation": "Static",
        "ChangeSource": "DirectModification",
    }
    (detail,) = changes["User"]["Details"]
    assert detail == {
        "Target": {
            "Attribute": "Properties",
            "Name": "DisplayName",
            "RequiresRecreation": "Never",
        },
        "Evaluation": "Dynamic",
        "ChangeSource": "ResourceAttribute",
        "CausingEntity": "Role.Arn",
    }
    assert changes["Group"]["Scope"] == ["Properties"]
    assert stacks.status("changing") == "CREATE_COMPLETE"
    stacks.api.delete_change_set(ChangeSetName="all", StackName="changing")
    with pytest.raises(ClientError, match=r"ChangeSet \[all\] does not exist") as refused:
        stacks.api.describe_change_set(ChangeSetName="all", StackName="changing")
    assert refused.value.response["Error"]["Code"] == "ChangeSetNotFound"


def test_a_change_by_a_parameter_names_the_parameter_and_one_of_tags_the_tags(
    stacks: Builder,
) -> None:
    body = changed(
        BODY,
        lambda d: d["Resources"].update(Topic=resource("SNS::Topic", {"DisplayName": ref("Word")})),
    )
    stacks.update("changing", body)
    found = look(stacks, "word", body, Parameters=[{"ParameterKey": "Word", "ParameterValue": "b"}])
    (detail,) = by_id(found)["Topic"]["Details"]
    assert (detail["ChangeSource"], detail["CausingEntity"]) == ("ParameterReference", "Word")
    found = look(stacks, "tags", body, Tags=[{"Key": "team", "Value": "ops"}])
    assert {tuple(each["Scope"]) for each in by_id(found).values()} == {("Tags",)}
    assert {s["ChangeSetName"] for s in listed(stacks)} == {"word", "tags"}
    stacks.api.execute_change_set(ChangeSetName="word", StackName="changing")
    assert stacks.settled("changing") == "UPDATE_COMPLETE"
    arn = stacks.physical("changing")["Topic"]
    attributes = stacks.client("sns").get_topic_attributes(TopicArn=arn)["Attributes"]
    assert attributes["DisplayName"] == "b"
    assert [s["ExecutionStatus"] for s in listed(stacks)] == ["EXECUTE_COMPLETE"]
    with pytest.raises(ClientError, match="cannot be executed in its current") as refused:
        stacks.api.execute_change_set(ChangeSetName="word", StackName="changing")
    assert refused.value.response["Error"]["Code"] == "InvalidChangeSetStatus"


def listed(stacks: Builder) -> list[dict[str, Any]]:
    summaries: list[dict[str, Any]] = stacks.api.list_change_sets(StackName="changing")["Summaries"]
    return summaries


def test_a_change_set_without_changes_failed_and_says_why(stacks: Builder) -> None:
    body = template({"Topic": topic()})
    stacks.create("unchanging", body)
    made = stacks.api.create_change_set(
        StackName="unchanging", ChangeSetName="none", TemplateBody=body
    )
    found = stacks.api.describe_change_set(ChangeSetName=made["Id"])
    assert (found["Status"], found["ExecutionStatus"]) == ("FAILED", "UNAVAILABLE")
    assert "didn't contain changes" in found["StatusReason"]
    with pytest.raises(ClientError, match="cannot be executed"):
        stacks.api.execute_change_set(ChangeSetName=made["Id"])
    stacks.delete("unchanging")


def test_a_stack_that_a_change_set_begins_is_in_review_until_it_is_executed(
    stacks: Builder,
) -> None:
    body = template({"Topic": topic("reviewed")})
    made = stacks.api.create_change_set(
        StackName="reviewed", ChangeSetName="first", ChangeSetType="CREATE", TemplateBody=body
    )
    stacks.api.get_waiter("change_set_create_complete").wait(
        StackName="reviewed", ChangeSetName="first", WaiterConfig={"Delay": 1, "MaxAttempts": 5}
    )
    assert stacks.status("reviewed") == "REVIEW_IN_PROGRESS"
    with pytest.raises(ClientError, match="already exists"):
        stacks.create("reviewed", body)
    found = stacks.api.get_template(ChangeSetName="first", StackName="reviewed")
    assert found["TemplateBody"]["Resources"]["Topic"]["Type"] == "AWS::SNS::Topic"
    stacks.api.execute_change_set(ChangeSetName=made["Id"])
    assert stacks.settled("reviewed") == "CREATE_COMPLETE"
    assert stacks.describe("reviewed")["ChangeSetId"] == made["Id"]
    assert stacks.delete("reviewed") == "DELETE_COMPLETE"


def test_only_a_change_of_a_policy_is_a_change_too(stacks: Builder) -> None:
    body = template({"Topic": topic("policed")})
    stacks.create("policed", body)
    kept = changed(body, lambda d: d["Resources"]["Topic"].update(DeletionPolicy="Retain"))
    made = stacks.api.create_change_set(
        StackName="policed", ChangeSetName="keep", TemplateBody=kept
    )
    found = stacks.api.describe_change_set(ChangeSetName=made["Id"])
    assert by_id(found)["Topic"]["Scope"] == ["DeletionPolicy"]
    stacks.api.execute_change_set(ChangeSetName=made["Id"])
    assert stacks.settled("policed") == "UPDATE_COMPLETE"
    stacks.delete("policed")
    names = [each["TopicArn"] for each in stacks.client("sns").list_topics()["Topics"]]
    assert any(name.endswith(":policed") for name in names)
