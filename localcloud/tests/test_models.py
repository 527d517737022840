"""Models, through boto3."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError
from definitions import IMAGE, ROLE, definition
from test_executions import finish

Client = Callable[[str], Any]
pytestmark = pytest.mark.integration


@pytest.fixture(scope="session")
def data(client: Client, workshop: str) -> str:
    """The URI of a model's archive."""
    client("s3").put_object(Bucket=workshop, Key="models/model.tar.gz", Body=b"archive")
    return f"s3://{workshop}/models/model.tar.gz"


def package(client: Client, data: str, status: str) -> str:
    sagemaker = client("sagemaker")
    group = "models-test"
    if not sagemaker.list_model_package_groups(NameContains=group)["ModelPackageGroupSummaryList"]:
        sagemaker.create_model_package_group(ModelPackageGroupName=group)
    answer = sagemaker.create_model_package(
        ModelPackageGroupName=group,
        ModelApprovalStatus=status,
        InferenceSpecification={
            "Containers": [{"Image": IMAGE, "ModelDataUrl": data}],
            "SupportedContentTypes": ["text/csv"],
            "SupportedResponseMIMETypes": ["text/csv"],
        },
    )
    return str(answer["ModelPackageArn"])


def test_a_model_can_be_created_described_listed_and_deleted(client: Client, data: str) -> None:
    sagemaker = client("sagemaker")
    container = {"Image": IMAGE, "ModelDataUrl": data, "Environment": {"A": "1"}}
    arn = sagemaker.create_model(
        ModelName="short-lived", ExecutionRoleArn=ROLE, PrimaryContainer=container
    )["ModelArn"]
    found = sagemaker.describe_model(ModelName="short-lived")
    assert (found["ModelArn"], found["PrimaryContainer"]) == (arn, container)
    listed = sagemaker.list_models(NameContains="short-lived")["Models"]
    assert [model["ModelArn"] for model in listed] == [arn]
    sagemaker.delete_model(ModelName="short-lived")
    with pytest.raises(ClientError, match="Could not find model"):
        sagemaker.describe_model(ModelName="short-lived")


def test_a_package_must_be_approved_to_become_a_model(client: Client, data: str) -> None:
    sagemaker = client("sagemaker")
    pending = package(client, data, "PendingManualApproval")
    request = {
        "ModelName": "from-package",
        "ExecutionRoleArn": ROLE,
        "Containers": [{"ModelPackageName": pending}],
    }
    with pytest.raises(ClientError, match="is not Approved, but PendingManualApproval"):
        sagemaker.create_model(**request)
    sagemaker.update_model_package(ModelPackageArn=pending, ModelApprovalStatus="Approved")
    sagemaker.create_model(**request)
    found = sagemaker.describe_model(ModelName="from-package")
    assert found["Containers"] == [{"ModelPackageName": pending}]


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({}, "Exactly one of PrimaryContainer and Containers"),
        ({"PrimaryContainer": {"Environment": {}}}, "one of Image and ModelPackageName"),
        ({"PrimaryContainer": {"Image": IMAGE, "ModelDataUrl": "s3://no/where"}}, "Could not find"),
        ({"PrimaryContainer": {"Image": "mine:1"}}, "mine:1"),
        ({"Containers": [{"ModelPackageName": "nobody"}]}, "does not exist"),
        ({"Containers": [{"ModelPackageName": "x", "Image": IMAGE}]}, "cannot have Image"),
    ],
)
def test_a_model_that_could_not_be_deployed_is_refused(
    client: Client, more: dict[str, Any], said: str
) -> None:
    sagemaker = client("sagemaker")
    with pytest.raises(ClientError, match="ValidationException") as refused:
        sagemaker.create_model(ModelName="never", ExecutionRoleArn=ROLE, **more)
    assert said in str(refused.value)
    assert sagemaker.list_models(NameContains="never")["Models"] == []


def test_a_name_is_given_to_one_model_only(client: Client, data: str) -> None:
    request = {"ModelName": "taken", "PrimaryContainer": {"Image": IMAGE, "ModelDataUrl": data}}
    client("sagemaker").create_model(**request)
    with pytest.raises(ClientError, match="already existing model"):
        client("sagemaker").create_model(**request)


def test_a_model_step_creates_a_model_whose_properties_others_can_use(
    client: Client, data: str
) -> None:
    sagemaker = client("sagemaker")
    container = {"Image": IMAGE, "ModelDataUrl": data}
    create = {"Name": "Make_it", "Type": "Model", "Arguments": {"PrimaryContainer": container}}
    message = {"Std:Join": {"On": " ", "Values": ["made", {"Get": "Steps.Make_it.ModelArn"}]}}
    end = {"Name": "End", "Type": "Fail", "Arguments": {"ErrorMessage": message}}
    sagemaker.create_pipeline(
        PipelineName="model-step", PipelineDefinition=definition(create, end), RoleArn=ROLE
    )
    started = sagemaker.start_pipeline_execution(PipelineName="model-step")
    execution = finish(sagemaker, started["PipelineExecutionArn"])
    arn = execution["Steps"]["Make_it"]["Metadata"]["Model"]["Arn"]
    assert f"made {arn}" in execution["FailureReason"]
    found = sagemaker.describe_model(ModelName=arn.rpartition("/")[2])
    assert found["PrimaryContainer"] == container
    assert found["ExecutionRoleArn"] == ROLE
