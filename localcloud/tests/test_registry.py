"""The model registry, through boto3."""

from __future__ import annotations

import io
import itertools
import time
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError
from definitions import IMAGE

Client = Callable[[str], Any]
_NUMBERS = itertools.count()
pytestmark = pytest.mark.integration


@pytest.fixture
def group(client: Client, request: pytest.FixtureRequest) -> str:
    """A group of the test's own."""
    test = request.node.name.replace("_", "-").split("[")[0]
    name = f"{test[:50].strip('-')}-{next(_NUMBERS)}"
    client("sagemaker").create_model_package_group(ModelPackageGroupName=name)
    return str(name)


@pytest.fixture
def register(client: Client, workshop: str, group: str) -> Callable[..., str]:
    """Registers a version in the test's group and gives its ARN."""
    client("s3").put_object(Bucket=workshop, Key="model.tar.gz", Body=io.BytesIO(b"model"))

    def go(**more: Any) -> str:
        url = more.pop("url", f"s3://{workshop}/model.tar.gz")
        answer = client("sagemaker").create_model_package(
            ModelPackageGroupName=group,
            InferenceSpecification={
                "Containers": [{"Image": IMAGE, "ModelDataUrl": url}],
                "SupportedContentTypes": ["text/csv"],
                "SupportedResponseMIMETypes": ["text/csv"],
            },
            **more,
        )
        return str(answer["ModelPackageArn"])

    return go


def versions(client: Client, group: str, **more: Any) -> list[int]:
    pages = client("sagemaker").get_paginator("list_model_packages")
    found = pages.paginate(ModelPackageGroupName=group, **more)
    return [
        package["ModelPackageVersion"]
        for page in found
        for package in page["ModelPackageSummaryList"]
    ]


def test_versions_count_up_and_a_deleted_number_is_not_given_again(
    client: Client, group: str, register: Callable[..., str]
) -> None:
    sagemaker = client("sagemaker")
    first, second = register(), register()
    assert first.endswith(f"model-package/{group}/1")
    sagemaker.delete_model_package(ModelPackageName=second)
    assert register().endswith("/3")
    assert versions(client, group) == [3, 1]


def test_a_version_that_is_asked_for_twice_with_one_token_is_made_once(
    client: Client, group: str, register: Callable[..., str]
) -> None:
    """As boto3 does by itself when it did not get the first answer."""
    token = f"{group[-20:].strip('-')}-{time.time_ns()}"[-36:]
    first, second = (register(ClientToken=token) for _ in range(2))
    assert first == second
    assert versions(client, group) == [1]
    with pytest.raises(ClientError, match="was used for another") as refused:
        register(ClientToken=token, ModelPackageDescription="another")
    assert refused.value.response["Error"]["Code"] == "ConflictException"


def test_a_new_version_waits_for_approval_and_keeps_who_said_what(
    client: Client, register: Callable[..., str]
) -> None:
    sagemaker, arn = client("sagemaker"), register()
    before = sagemaker.describe_model_package(ModelPackageName=arn)
    assert before["ModelApprovalStatus"] == "PendingManualApproval"
    sagemaker.update_model_package(
        ModelPackageArn=arn, ModelApprovalStatus="Approved", ApprovalDescription="good curves"
    )
    after = sagemaker.describe_model_package(ModelPackageName=arn)
    assert (after["ModelApprovalStatus"], after["ApprovalDescription"]) == (
        "Approved",
        "good curves",
    )
    assert after["LastModifiedTime"] >= before["CreationTime"]


def test_versions_are_filtered_sorted_and_paged(
    client: Client, group: str, register: Callable[..., str]
) -> None:
    arns = [register() for _ in range(5)]
    client("sagemaker").update_model_package(
        ModelPackageArn=arns[2], ModelApprovalStatus="Approved"
    )
    assert versions(client, group, ModelApprovalStatus="Approved") == [3]
    assert versions(client, group, SortOrder="Ascending") == [1, 2, 3, 4, 5]
    pages = versions(client, group, PaginationConfig={"PageSize": 2})
    assert pages == [5, 4, 3, 2, 1]
    assert (
        client("sagemaker").list_model_packages(
            ModelPackageGroupName=group, SortBy="CreationTime", SortOrder="Descending", MaxResults=1
        )["ModelPackageSummaryList"][0]["ModelPackageVersion"]
        == 5
    )


def test_metadata_can_be_added_changed_and_taken_away(
    client: Client, register: Callable[..., str]
) -> None:
    sagemaker = client("sagemaker")
    arn = register(CustomerMetadataProperties={"GitCommit": "abc", "Old": "1"})
    sagemaker.update_model_package(
        ModelPackageArn=arn,
        CustomerMetadataProperties={"GitCommit": "def", "New": "s3://bucket/key"},
        CustomerMetadataPropertiesToRemove=["Old"],
    )
    package = sagemaker.describe_model_package(ModelPackageName=arn)
    assert package["CustomerMetadataProperties"] == {"GitCommit": "def", "New": "s3://bucket/key"}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"url": "s3://workshop/nothing.tar.gz"}, "Could not find model data"),
        ({"url": "https://example.org/model"}, "is not an S3 URI"),
        ({"ModelApprovalStatus": "Aproved"}, "enum value set"),
        ({"CustomerMetadataProperties": {"Json": '{"a": 1}'}}, "regular expression pattern"),
        ({"CustomerMetadataProperties": {"Long": "x" * 257}}, "length less than or equal to 256"),
        ({"CustomerMetadataProperties": {f"k{n}": "v" for n in range(51)}}, "less than or equal"),
        ({"ModelPackageDescription": "x" * 1025}, "length less than or equal to 1024"),
    ],
)
def test_a_package_that_aws_would_refuse_is_refused_and_takes_no_number(
    client: Client, group: str, register: Callable[..., str], change: dict[str, Any], said: str
) -> None:
    with pytest.raises(ClientError, match="ValidationException") as refused:
        register(**change)
    assert said in str(refused.value)
    assert versions(client, group) == []
    assert register().endswith("/1")


def test_a_group_is_found_by_name_and_deleted_only_when_it_is_empty(
    client: Client, group: str, register: Callable[..., str]
) -> None:
    sagemaker, arn = client("sagemaker"), register()
    listed = sagemaker.list_model_package_groups(NameContains=group)
    names = [item["ModelPackageGroupName"] for item in listed["ModelPackageGroupSummaryList"]]
    assert names == [group]
    with pytest.raises(sagemaker.exceptions.ConflictException):
        sagemaker.delete_model_package_group(ModelPackageGroupName=group)
    sagemaker.delete_model_package(ModelPackageName=arn)
    sagemaker.delete_model_package_group(ModelPackageGroupName=group)
    with pytest.raises(ClientError, match="does not exist"):
        sagemaker.describe_model_package_group(ModelPackageGroupName=group)


def test_a_second_group_of_the_same_name_is_refused(client: Client, group: str) -> None:
    with pytest.raises(ClientError, match="already exists"):
        client("sagemaker").create_model_package_group(ModelPackageGroupName=group)
