"""Log groups that are made before anything writes to them, and what is refused about them."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError
from clients import client_of

from localcloud.testing import TestCloud

pytestmark = pytest.mark.integration
ARN = "arn:aws:logs:us-east-1:000000000000:log-group:"


@pytest.fixture(scope="module")
def logs(cloud: TestCloud) -> Any:
    return client_of(cloud, "logs")


def found(logs: Any, prefix: str) -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = logs.describe_log_groups(logGroupNamePrefix=prefix)["logGroups"]
    return listed


def test_the_life_of_a_log_group(logs: Any) -> None:
    logs.create_log_group(logGroupName="/made/by/hand", tags={"team": "ops"}, kmsKeyId="arn:key")
    (group,) = found(logs, "/made")
    assert group["arn"] == f"{ARN}/made/by/hand:*"
    assert (group["kmsKeyId"], "retentionInDays" in group, "tags" in group) == (
        "arn:key",
        False,
        False,
    )
    logs.put_retention_policy(logGroupName="/made/by/hand", retentionInDays=30)
    assert found(logs, "/made")[0]["retentionInDays"] == 30
    logs.delete_retention_policy(logGroupName="/made/by/hand")
    assert "retentionInDays" not in found(logs, "/made")[0]
    logs.tag_resource(resourceArn=group["logGroupArn"], tags={"stage": "test"})
    logs.untag_resource(resourceArn=group["logGroupArn"], tagKeys=["team", "none"])
    tags = logs.list_tags_for_resource(resourceArn=group["logGroupArn"])["tags"]
    assert tags == {"stage": "test"}
    assert logs.describe_log_streams(logGroupName="/made/by/hand")["logStreams"] == []
    assert logs.filter_log_events(logGroupName="/made/by/hand")["events"] == []
    logs.delete_log_group(logGroupName="/made/by/hand")
    assert found(logs, "/made") == []


def test_groups_are_listed_in_pages(logs: Any) -> None:
    names = [f"/paged/{number}" for number in range(5)]
    for name in names:
        logs.create_log_group(logGroupName=name)
    pages = logs.get_paginator("describe_log_groups").paginate(
        logGroupNamePrefix="/paged", PaginationConfig={"PageSize": 2}
    )
    listed = [[each["logGroupName"] for each in page["logGroups"]] for page in pages]
    assert listed == [names[:2], names[2:4], names[4:]]


@pytest.mark.parametrize(
    ("operation", "request_", "code", "words"),
    [
        (
            "create_log_group",
            {"logGroupName": "/there"},
            "ResourceAlreadyExistsException",
            "exists",
        ),
        ("create_log_group", {"logGroupName": "a b"}, "InvalidParameterException", "pattern"),
        (
            "create_log_group",
            {"logGroupName": "/x", "deletionProtectionEnabled": True},
            "InvalidParameterException",
            "deletionProtectionEnabled",
        ),
        ("delete_log_group", {"logGroupName": "/none"}, "ResourceNotFoundException", "not exist"),
        (
            "put_retention_policy",
            {"logGroupName": "/there", "retentionInDays": 2},
            "InvalidParameterException",
            "must be one of 1, 3, 5",
        ),
        (
            "put_retention_policy",
            {"logGroupName": "/none", "retentionInDays": 1},
            "ResourceNotFoundException",
            "not exist",
        ),
        ("delete_retention_policy", {"logGroupName": "/none"}, "ResourceNotFoundException", "not"),
        (
            "tag_resource",
            {"resourceArn": f"{ARN}/none", "tags": {"a": "b"}},
            "ResourceNotFoundException",
            "not exist",
        ),
        (
            "list_tags_for_resource",
            {"resourceArn": "arn:aws:s3:::bucket"},
            "InvalidParameterException",
            "no",
        ),
    ],
)
def test_what_aws_refuses_is_refused(
    logs: Any, operation: str, request_: dict[str, Any], code: str, words: str
) -> None:
    if not found(logs, "/there"):
        logs.create_log_group(logGroupName="/there")
    with pytest.raises(ClientError, match=words) as refused:
        getattr(logs, operation)(**request_)
    assert refused.value.response["Error"]["Code"] == code
