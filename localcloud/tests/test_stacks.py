"""Stacks made, changed, rolled back and deleted, through boto3 and the AWS CLI."""

from __future__ import annotations

import json
import re
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from stack_fixtures import (
    POLICY,
    Builder,
    alarm,
    changed,
    fails,
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
EXAMPLE = Path(__file__).with_name("stack_example.yaml")


@pytest.fixture(scope="module")
def stacks(cloud: TestCloud) -> Builder:
    return Builder(cloud)


def topics(stacks: Builder) -> list[str]:
    listed = stacks.client("sns").list_topics()["Topics"]
    return sorted(each["TopicArn"].rpartition(":")[2] for each in listed)


@pytest.mark.slow  # the AWS CLI asks for a stack's status every 30 s
def test_the_aws_cli_deploys_a_template_and_then_a_change_of_it(stacks: Builder) -> None:
    def deploy(*words: str) -> subprocess.CompletedProcess[str]:
        aws = Path(sys.executable).with_name("aws")
        return subprocess.run(
            [aws, "cloudformation", "deploy", "--stack-name", "cli", "--template-file", EXAMPLE,
             "--capabilities", "CAPABILITY_IAM", "--tags", "team=ops", *words],
            env=stacks.cloud.environment, capture_output=True, text=True, check=False,
        )  # fmt: skip

    first = deploy()
    assert first.returncode == 0, first.stderr
    assert "Successfully created/updated stack - cli" in first.stdout
    found = stacks.client("logs").describe_log_groups(logGroupNamePrefix="/aws/lambda/cli")
    assert [each["retentionInDays"] for each in found["logGroups"]] == [7]
    assert re.fullmatch(r"cli-Role-\w{12}", stacks.physical("cli")["Role"])
    again = deploy("--no-fail-on-empty-changeset")
    assert again.returncode == 0, again.stderr
    assert "No changes to deploy" in again.stdout + again.stderr
    time.sleep(1)  # the CLI names its change sets by the second
    second = deploy("--parameter-overrides", "Days=30")
    assert second.returncode == 0, second.stderr
    found = stacks.client("logs").describe_log_groups(logGroupNamePrefix="/aws/lambda/cli")
    assert [each["retentionInDays"] for each in found["logGroups"]] == [30]
    assert stacks.delete("cli") == "DELETE_COMPLETE"
    assert (
        stacks.client("logs").describe_log_groups(logGroupNamePrefix="/aws/lambda/cli")["logGroups"]
        == []
    )


def test_every_resource_is_made_after_what_it_needs_and_deleted_before_it(
    stacks: Builder,
) -> None:
    body = template(
        {
            "End": topic(Metadata={"After": ref("Last")}),
            "Last": group("/order/last", DependsOn="Middle"),
            "Middle": resource("SNS::Topic", {"DisplayName": ref("First")}),
            "First": topic("order-first"),
        },
        Outputs={"Middle": {"Value": get("Middle", "TopicName")}},
    )
    assert stacks.create("order", body) == "CREATE_COMPLETE"
    made = [who for who, status, _ in stacks.story("order") if status == "CREATE_COMPLETE"]
    assert made == ["First", "Middle", "Last", "End", "order"]
    stack_id = stacks.describe("order")["StackId"]
    assert stacks.outputs("order")["Middle"].startswith("order-Middle-")
    assert stacks.delete("order") == "DELETE_COMPLETE"
    gone = [who for who, status, _ in stacks.story(stack_id) if status == "DELETE_COMPLETE"]
    assert gone == ["End", "Last", "Middle", "First", "order"]
    with pytest.raises(ClientError, match="Stack with id order does not exist"):
        stacks.describe("order")
    listed = stacks.api.list_stacks(StackStatusFilter=["DELETE_COMPLETE"])["StackSummaries"]
    assert stack_id in {each["StackId"] for each in listed}


def test_a_resource_that_fails_rolls_the_creation_back_and_leaves_nothing(stacks: Builder) -> None:
    body = template({"Topic": topic("doomed"), "Bad": fails(DependsOn="Topic")})
    assert stacks.create("failing", body) == "ROLLBACK_COMPLETE"
    assert "doomed" not in topics(stacks)
    story = stacks.story("failing")
    why = next(reason for who, status, reason in story if (who, status) == ("Bad", "CREATE_FAILED"))
    assert "Could not find model data at s3://nowhere/model.tar.gz" in why
    (why,) = [reason for _, status, reason in story if status == "ROLLBACK_IN_PROGRESS"]
    assert why == ("The following resource(s) failed to create: [Bad]. Rollback requested by user.")
    assert stacks.statuses("failing", "Topic")[-2:] == ["DELETE_IN_PROGRESS", "DELETE_COMPLETE"]
    with pytest.raises(ClientError, match="is in ROLLBACK_COMPLETE state and can not be updated"):
        stacks.update("failing", body)
    assert stacks.delete("failing") == "DELETE_COMPLETE"


@pytest.mark.parametrize(
    ("more", "ends", "stays"),
    [
        ({"OnFailure": "DO_NOTHING"}, "CREATE_FAILED", True),
        ({"DisableRollback": True}, "CREATE_FAILED", True),
        ({"OnFailure": "ROLLBACK"}, "ROLLBACK_COMPLETE", False),
    ],
)
def test_what_a_failed_creation_leaves_is_what_was_asked_for(
    stacks: Builder, more: dict[str, Any], ends: str, stays: bool
) -> None:
    name = f"asked-{'-'.join(map(str, more.values()))}".replace("_", "-")
    body = template({"Topic": topic(f"of-{name}"), "Bad": fails(DependsOn="Topic")})
    assert stacks.create(name, body, **more) == ends
    assert (f"of-{name}" in topics(stacks)) is stays
    assert stacks.delete(name) == "DELETE_COMPLETE"
    assert f"of-{name}" not in topics(stacks)


def test_a_failed_creation_deletes_the_stack_if_that_was_asked_for(stacks: Builder) -> None:
    body = template({"Topic": topic("vanishing"), "Bad": fails(DependsOn="Topic")})
    made = stacks.api.create_stack(StackName="vanishing", TemplateBody=body, OnFailure="DELETE")
    assert stacks.settled(made["StackId"]) == "DELETE_COMPLETE"
    assert "vanishing" not in topics(stacks)


def test_an_update_changes_in_place_what_can_be_changed_in_place(stacks: Builder) -> None:
    body = template({"Role": role(Policies=[{"PolicyName": "a", "PolicyDocument": POLICY}])})
    stacks.create("in-place", body)
    before = stacks.physical("in-place")["Role"]

    def change(document: dict[str, Any]) -> None:
        properties = document["Resources"]["Role"]["Properties"]
        properties["Policies"][0]["PolicyName"] = "b"
        properties["Description"] = "another"
        properties["MaxSessionDuration"] = "7200"

    assert stacks.update("in-place", changed(body, change)) == "UPDATE_COMPLETE"
    iam = stacks.client("iam")
    assert stacks.physical("in-place")["Role"] == before
    assert iam.list_role_policies(RoleName=before)["PolicyNames"] == ["b"]
    found = iam.get_role(RoleName=before)["Role"]
    assert (found["Description"], found["MaxSessionDuration"]) == ("another", 7200)
    stacks.update("in-place", body)
    assert iam.list_role_policies(RoleName=before)["PolicyNames"] == ["a"]
    assert iam.get_role(RoleName=before)["Role"]["MaxSessionDuration"] == 3600
    stacks.delete("in-place")


def test_a_replaced_resource_is_deleted_only_after_all_went_well(stacks: Builder) -> None:
    body = template(
        {
            "Topic": topic("replaced-1"),
            "User": resource("SNS::Topic", {"DisplayName": ref("Topic")}),
        }
    )
    stacks.create("replacing", body)
    renamed = changed(
        body, lambda d: d["Resources"]["Topic"]["Properties"].update(TopicName="replaced-2")
    )
    assert stacks.update("replacing", renamed) == "UPDATE_COMPLETE"
    assert [name for name in topics(stacks) if name.startswith("replaced")] == ["replaced-2"]
    user = stacks.physical("replacing")["User"]
    found = stacks.client("sns").get_topic_attributes(TopicArn=user)["Attributes"]
    assert found["DisplayName"].endswith(":replaced-2")
    story = [(who, status) for who, status, _ in stacks.story("replacing")]
    cleaning = story.index(("replacing", "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS"))
    assert story.index(("User", "UPDATE_COMPLETE")) < cleaning
    assert story.index(("Topic", "DELETE_COMPLETE")) > cleaning
    broken = changed(
        renamed,
        lambda d: d["Resources"].update(Topic=topic("replaced-3"), Bad=fails(DependsOn="User")),
    )
    assert stacks.update("replacing", broken) == "UPDATE_ROLLBACK_COMPLETE"
    assert [name for name in topics(stacks) if name.startswith("replaced")] == ["replaced-2"]
    found = stacks.client("sns").get_topic_attributes(TopicArn=user)["Attributes"]
    assert found["DisplayName"].endswith(":replaced-2")
    first = next(reason for _, status, reason in stacks.story("replacing") if "FAILED" in status)
    assert "Could not find model data" in first
    assert set(stacks.physical("replacing")) == {"Topic", "User"}
    assert stacks.update("replacing", body) == "UPDATE_COMPLETE"
    assert [name for name in topics(stacks) if name.startswith("replaced")] == ["replaced-1"]
    stacks.delete("replacing")
    assert not [name for name in topics(stacks) if name.startswith("replac")]


def test_retained_resources_stay_where_they_are(stacks: Builder) -> None:
    kept = {"DeletionPolicy": "Retain", "UpdateReplacePolicy": "Retain"}
    body = template({"Kept": topic("kept-1", **kept), "Other": topic("not-kept")})
    stacks.create("retaining", body)
    renamed = changed(body, lambda d: d["Resources"].update(Kept=topic("kept-2", **kept)))
    assert stacks.update("retaining", renamed) == "UPDATE_COMPLETE"
    assert {"kept-1", "kept-2"} <= set(topics(stacks))
    without = changed(renamed, lambda d: d["Resources"].pop("Kept"))
    assert stacks.update("retaining", without) == "UPDATE_COMPLETE"
    assert "DELETE_SKIPPED" in stacks.statuses("retaining", "Kept")
    stacks.delete("retaining")
    assert {"kept-1", "kept-2"} <= set(topics(stacks))
    assert "not-kept" not in topics(stacks)


def test_a_named_resource_cannot_be_replaced_under_its_name(stacks: Builder) -> None:
    body = template({"Role": role(RoleName="fixed", Path="/a/")})
    stacks.create("custom", body)
    moved = changed(body, lambda d: d["Resources"]["Role"]["Properties"].update(Path="/b/"))
    assert stacks.update("custom", moved) == "UPDATE_ROLLBACK_COMPLETE"
    reasons = [reason for _, status, reason in stacks.story("custom") if status == "UPDATE_FAILED"]
    assert "Rename fixed and update the stack again" in reasons[0]
    assert stacks.client("iam").get_role(RoleName="fixed")["Role"]["Path"] == "/a/"
    stacks.delete("custom")


def test_what_somebody_else_made_is_neither_taken_over_nor_deleted(stacks: Builder) -> None:
    stacks.client("sns").create_topic(Name="elses")
    stacks.client("cloudwatch").put_dashboard(
        DashboardName="elses", DashboardBody=json.dumps({"widgets": []})
    )
    board = {"DashboardName": "elses", "DashboardBody": json.dumps({"widgets": []})}
    resources = {"Topic": topic("elses"), "Board": resource("CloudWatch::Dashboard", board)}
    for logical_id, declared in resources.items():
        name = f"taking-{logical_id}"
        assert stacks.create(name, template({logical_id: declared})) == "ROLLBACK_COMPLETE"
        assert "already exists" in stacks.story(name)[2][2]
        stacks.delete(name)
    assert "elses" in topics(stacks)
    assert stacks.client("cloudwatch").get_dashboard(DashboardName="elses")


def test_an_update_that_changes_nothing_is_refused_and_one_of_outputs_is_none(
    stacks: Builder,
) -> None:
    body = template({"Topic": topic()}, Outputs={"A": {"Value": "1"}})
    stacks.create("same", body)
    with pytest.raises(ClientError, match="No updates are to be performed") as refused:
        stacks.update("same", body)
    assert refused.value.response["Error"]["Code"] == "ValidationError"
    with pytest.raises(ClientError, match="No updates are to be performed"):
        stacks.update("same")
    other = changed(body, lambda d: d["Outputs"].update(B={"Value": "2"}))
    assert stacks.update("same", other) == "UPDATE_COMPLETE"
    assert stacks.outputs("same") == {"A": "1", "B": "2"}
    stacks.delete("same")


def test_stack_tags_reach_every_resource_that_takes_tags(stacks: Builder) -> None:
    own = resource("SNS::Topic", {"Tags": [{"Key": "team", "Value": "own"}]})
    body = template({"Own": own, "Topic": topic(), "Role": role(), "Group": group("/tagged")})
    tags = [{"Key": "team", "Value": "ops"}, {"Key": "stage", "Value": "test"}]
    stacks.create("tagged", body, Tags=tags)
    physical = stacks.physical("tagged")
    sns, iam, logs = (stacks.client(service) for service in ("sns", "iam", "logs"))

    def tags_of(listed: list[dict[str, str]]) -> dict[str, str]:
        return {each["Key"]: each["Value"] for each in listed}

    def all_tags() -> list[dict[str, str]]:
        arn = logs.describe_log_groups(logGroupNamePrefix="/tagged")["logGroups"][0]["logGroupArn"]
        return [
            tags_of(sns.list_tags_for_resource(ResourceArn=physical["Own"])["Tags"]),
            tags_of(sns.list_tags_for_resource(ResourceArn=physical["Topic"])["Tags"]),
            tags_of(iam.list_role_tags(RoleName=physical["Role"])["Tags"]),
            logs.list_tags_for_resource(resourceArn=arn)["tags"],
        ]

    both = {"team": "ops", "stage": "test"}
    assert all_tags() == [{"team": "own", "stage": "test"}, both, both, both]
    assert stacks.update("tagged", Tags=[{"Key": "team", "Value": "dev"}]) == "UPDATE_COMPLETE"
    assert all_tags() == [{"team": "own"}, {"team": "dev"}, {"team": "dev"}, {"team": "dev"}]
    assert stacks.physical("tagged") == physical
    stacks.delete("tagged")


def test_exports_are_unique_and_stay_while_they_are_imported(stacks: Builder) -> None:
    exporting = template(
        {"Topic": topic()}, Outputs={"T": {"Value": ref("Topic"), "Export": {"Name": "the-topic"}}}
    )
    stacks.create("exporting", exporting)
    with pytest.raises(ClientError, match="already exported by stack exporting"):
        stacks.create("exporting-2", exporting)
    importing = template(
        {"Topic": resource("SNS::Topic", {"DisplayName": {"Fn::ImportValue": "the-topic"}})}
    )
    assert stacks.create("importing", importing) == "CREATE_COMPLETE"
    listed = stacks.api.list_exports()["Exports"]
    assert [each["Value"] for each in listed if each["Name"] == "the-topic"] == [
        stacks.outputs("exporting")["T"]
    ]
    assert stacks.api.list_imports(ExportName="the-topic")["Imports"] == ["importing"]
    assert stacks.delete("exporting") == "DELETE_FAILED"
    assert "as it is in use by importing" in stacks.describe("exporting")["StackStatusReason"]
    stacks.delete("importing")
    assert stacks.delete("exporting") == "DELETE_COMPLETE"
    with pytest.raises(ClientError, match="No export named the-topic found"):
        stacks.create("importing", importing)


def test_a_template_comes_from_s3_by_any_of_its_urls(stacks: Builder) -> None:
    s3, body = stacks.client("s3"), template({"Topic": topic()})
    s3.create_bucket(Bucket="templates")
    s3.put_object(Bucket="templates", Key="a/b c.json", Body=body.encode())
    own = stacks.cloud.address.url
    for number, url in enumerate(
        [
            "https://templates.s3.us-east-1.amazonaws.com/a/b%20c.json",
            "https://templates.s3.amazonaws.com/a/b%20c.json",
            "https://s3.us-east-1.amazonaws.com/templates/a/b%20c.json",
            f"{own}/templates/a/b%20c.json",
        ]
    ):
        stacks.api.create_stack(StackName=f"url-{number}", TemplateURL=url)
        assert stacks.settled(f"url-{number}") == "CREATE_COMPLETE"
        found = stacks.api.get_template(StackName=f"url-{number}")["TemplateBody"]
        assert found == json.loads(body)
        stacks.delete(f"url-{number}")
    for url, words in {
        "https://templates.s3.amazonaws.com/none": "does not exist",
        "https://example.com/templates/a": "URL of an object in S3",
    }.items():
        with pytest.raises(ClientError, match=words):
            stacks.api.validate_template(TemplateURL=url)


def test_the_waiters_of_boto3_end_when_the_stack_does(stacks: Builder) -> None:
    quick = {"Delay": 1, "MaxAttempts": 30}
    body = template({"Alarm": alarm("waited-for")})
    stacks.api.create_stack(StackName="waiting", TemplateBody=body)
    stacks.api.get_waiter("stack_create_complete").wait(StackName="waiting", WaiterConfig=quick)
    stacks.api.get_waiter("stack_exists").wait(StackName="waiting", WaiterConfig=quick)
    other = template({"Alarm": alarm("waited-for", threshold=5)})
    stacks.api.update_stack(StackName="waiting", TemplateBody=other)
    stacks.api.get_waiter("stack_update_complete").wait(StackName="waiting", WaiterConfig=quick)
    (found,) = stacks.client("cloudwatch").describe_alarms(AlarmNames=["waited-for"])[
        "MetricAlarms"
    ]
    assert found["Threshold"] == 5
    stacks.api.delete_stack(StackName="waiting")
    stacks.api.get_waiter("stack_delete_complete").wait(StackName="waiting", WaiterConfig=quick)


def test_a_stack_tells_of_itself_in_every_call(stacks: Builder) -> None:
    body = EXAMPLE.read_text()
    given = [{"ParameterKey": "Word", "ParameterValue": "secret"}]
    stacks.create("telling", body, Parameters=given, RoleARN="arn:aws:iam::000000000000:role/any")
    found = stacks.describe("telling")
    shown = {each["ParameterKey"]: each["ParameterValue"] for each in found["Parameters"]}
    assert shown == {"Days": "7", "Word": "****", "Extra": "no"}
    assert stacks.api.get_template(StackName="telling")["TemplateBody"] == body
    summary = stacks.api.get_template_summary(StackName="telling")
    assert summary["Capabilities"] == ["CAPABILITY_IAM"]
    assert set(summary["ResourceTypes"]) >= {"AWS::IAM::Role", "AWS::SNS::Topic"}
    validated = stacks.api.validate_template(TemplateBody=body)
    declared = {each["ParameterKey"]: each for each in validated["Parameters"]}
    assert declared["Word"]["NoEcho"] is True
    physical = stacks.physical("telling")
    one = stacks.api.describe_stack_resource(StackName="telling", LogicalResourceId="Topic")
    assert one["StackResourceDetail"]["PhysicalResourceId"] == physical["Topic"]
    by_id = stacks.api.describe_stack_resources(PhysicalResourceId=physical["Topic"])
    assert {each["StackName"] for each in by_id["StackResources"]} == {"telling"}
    assert len(by_id["StackResources"]) == len(physical)
    stacks.delete("telling")


def test_status_changes_of_stacks_are_events_in_the_outbox(stacks: Builder) -> None:
    stacks.create("telling-all", template({"Topic": topic()}))
    stack_id = stacks.describe("telling-all")["StackId"]
    with sqlite3.connect(stacks.cloud.address.state / "state.db") as database:
        rows = database.execute("SELECT event FROM outbox ORDER BY number").fetchall()
    events = [json.loads(row[0]) for row in rows]
    told = [
        each["detail"]["status-details"]["status"]
        for each in events
        if each["detail-type"] == "CloudFormation Stack Status Change"
        and each["resources"] == [stack_id]
    ]
    assert told == ["CREATE_IN_PROGRESS", "CREATE_COMPLETE"]
    stacks.delete("telling-all")


def test_a_deletion_that_fails_can_be_forced_or_leave_resources_out(stacks: Builder) -> None:
    iam = stacks.client("iam")

    def stuck(name: str) -> str:
        """A stack whose role cannot be deleted: somebody put it into an instance profile."""
        stacks.create(name, template({"Role": role(RoleName=name), "Topic": topic(name)}))
        iam.create_instance_profile(InstanceProfileName=name)
        iam.add_role_to_instance_profile(InstanceProfileName=name, RoleName=name)
        return stacks.delete(name)

    assert stuck("stuck-1") == "DELETE_FAILED"
    assert "failed to delete: [Role]" in stacks.describe("stuck-1")["StackStatusReason"]
    assert "stuck-1" not in topics(stacks)
    assert stacks.delete("stuck-1", RetainResources=["Role"]) == "DELETE_COMPLETE"
    assert iam.get_role(RoleName="stuck-1")
    assert stuck("stuck-2") == "DELETE_FAILED"
    assert stacks.delete("stuck-2", DeletionMode="FORCE_DELETE_STACK") == "DELETE_COMPLETE"
    assert iam.get_role(RoleName="stuck-2")
