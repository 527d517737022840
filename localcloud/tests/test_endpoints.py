"""Endpoint configurations and endpoints through their lives, through boto3."""

from __future__ import annotations

import io
import json
import sqlite3
from datetime import timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError
from clients import client_of
from definitions import IMAGE, ROLE
from hosting_fixtures import BUCKET, CRASHES, NOT_READY, SLOW, VARIANT, House, says
from serving_fixtures import archive

from localcloud.testing import TestCloud

pytestmark = pytest.mark.integration
ARN = "arn:aws:sagemaker:us-east-1:000000000000:"
CAPTURE = {
    "InitialSamplingPercentage": 50,
    "DestinationS3Uri": "s3://hosting/captured",
    "CaptureOptions": [{"CaptureMode": "Input"}, {"CaptureMode": "Output"}],
}
TAG = {"Key": "team", "Value": "ops"}


@pytest.fixture(scope="module")
def house(cloud: TestCloud) -> House:
    made = House(cloud)
    made.config("one", says("one"))
    return made


def events(house: House, name: str) -> list[dict[str, Any]]:
    """The events about an endpoint or configuration that wait in the outbox, oldest first."""
    with sqlite3.connect(house.cloud.address.state / "state.db") as database:
        rows = database.execute("SELECT event FROM outbox ORDER BY number").fetchall()
    found = [json.loads(row[0]) for row in rows]
    return [event for event in found if event["resources"][0].endswith(f"/{name}")]


def test_a_configuration_is_kept_as_it_was_given_with_its_defaults(house: House) -> None:
    sagemaker = house.sagemaker
    house.config("kept", says("x"), count=2, DataCaptureConfig=CAPTURE, Tags=[TAG], KmsKeyId="key")
    found = sagemaker.describe_endpoint_config(EndpointConfigName="kept")
    assert found["EndpointConfigArn"] == f"{ARN}endpoint-config/kept"
    assert found["ProductionVariants"] == [
        {
            "VariantName": VARIANT,
            "ModelName": "kept",
            "InstanceType": "ml.m5.large",
            "InitialInstanceCount": 2,
            "InitialVariantWeight": 1.0,
        }
    ]
    assert found["DataCaptureConfig"] == CAPTURE | {"EnableCapture": True}
    assert found["KmsKeyId"] == "key"
    assert sagemaker.list_tags(ResourceArn=found["EndpointConfigArn"])["Tags"] == [TAG]
    sagemaker.delete_endpoint_config(EndpointConfigName="kept")
    with pytest.raises(ClientError, match='Could not find endpoint configuration "arn:'):
        sagemaker.describe_endpoint_config(EndpointConfigName="kept")
    told = [event["detail-type"] for event in events(house, "kept")]
    assert told == ["SageMaker Endpoint Config State Change"] * 2


def test_configurations_are_listed_by_page_name_and_time(house: House) -> None:
    sagemaker = house.sagemaker
    for name in ("list-b", "list-c", "list-a"):
        house.config(name, variant={"ModelName": "one"})
    paginator = sagemaker.get_paginator("list_endpoint_configs")

    def names(**more: Any) -> list[str]:
        pages = paginator.paginate(NameContains="LIST-", PaginationConfig={"PageSize": 2}, **more)
        return [each["EndpointConfigName"] for page in pages for each in page["EndpointConfigs"]]

    assert names() == ["list-a", "list-c", "list-b"]  # the newest first
    assert names(SortBy="Name", SortOrder="Ascending") == ["list-a", "list-b", "list-c"]
    made = sagemaker.describe_endpoint_config(EndpointConfigName="list-c")["CreationTime"]
    hour = timedelta(hours=1)
    assert len(names(CreationTimeAfter=made - hour, CreationTimeBefore=made + hour)) == 3
    assert names(CreationTimeBefore=made - hour) == names(CreationTimeAfter=made + hour) == []


def test_an_endpoint_comes_up_answers_and_goes(house: House) -> None:
    sagemaker = house.sagemaker
    answer = sagemaker.create_endpoint(EndpointName="life", EndpointConfigName="one", Tags=[TAG])
    assert answer["EndpointArn"] == f"{ARN}endpoint/life"
    first = house.describe("life")
    assert first["EndpointStatus"] == "Creating"
    assert "ProductionVariants" not in first
    waiting = {"Delay": 1, "MaxAttempts": 60}
    sagemaker.get_waiter("endpoint_in_service").wait(EndpointName="life", WaiterConfig=waiting)
    found = house.describe("life")
    (variant,) = found["ProductionVariants"]
    images = [image["SpecifiedImage"] for image in variant.pop("DeployedImages")]
    assert images == [IMAGE]
    assert variant == {
        "VariantName": VARIANT,
        "CurrentWeight": 1.0,
        "DesiredWeight": 1.0,
        "CurrentInstanceCount": 1,
        "DesiredInstanceCount": 1,
    }
    assert found["EndpointConfigName"] == "one"
    assert "PendingDeploymentSummary" not in found
    assert house.ask("life") == "one"
    assert sagemaker.list_tags(ResourceArn=found["EndpointArn"])["Tags"] == [TAG]
    sagemaker.delete_endpoint(EndpointName="life")
    sagemaker.get_waiter("endpoint_deleted").wait(EndpointName="life", WaiterConfig=waiting)
    with pytest.raises(ClientError, match='Could not find endpoint "arn:aws'):
        house.describe("life")
    with pytest.raises(ClientError, match="not found"):
        house.ask("life")


def test_every_change_of_an_endpoints_status_is_told_as_aws_tells_it(house: House) -> None:
    house.endpoint("told", "one", Tags=[TAG])
    house.update("told", "one")
    house.drop("told")
    found = [
        event for event in events(house, "told")
        if event["detail-type"] == "SageMaker Endpoint State Change"
    ]  # fmt: skip
    statuses = [event["detail"]["EndpointStatus"] for event in found]
    expected = ["CREATING", "IN_SERVICE", "UPDATING", "IN_SERVICE", "DELETING", "DELETED"]
    assert statuses == expected
    served = found[1]
    assert served["source"] == "aws.sagemaker"
    assert served["resources"] == [f"{ARN}endpoint/told"]
    assert served["detail"]["EndpointConfigName"] == "one"
    assert served["detail"]["Tags"] == {"team": "ops"}
    assert served["detail"]["CreationTime"] > 1_000_000_000_000  # milliseconds
    stages = [
        event["detail"]["PendingDeploymentSummary"]["ProductionVariants"][0]["VariantStatus"]
        for event in events(house, "told")
        if event["detail-type"] == "SageMaker Endpoint Deployment State Change"
    ]
    assert [stage[0]["Status"] for stage in stages] == ["Creating", "Creating", "ActivatingTraffic"]


def test_endpoints_are_listed_by_page_name_status_and_time(house: House) -> None:
    house.config("cannot", CRASHES)
    for name, config in (("list-b", "one"), ("list-c", "cannot"), ("list-a", "one")):
        house.endpoint(name, config)
    paginator = house.sagemaker.get_paginator("list_endpoints")

    def names(**more: Any) -> list[str]:
        pages = paginator.paginate(NameContains="List", PaginationConfig={"PageSize": 2}, **more)
        return [each["EndpointName"] for page in pages for each in page["Endpoints"]]

    assert names() == ["list-a", "list-c", "list-b"]
    assert names(SortBy="Name", SortOrder="Ascending") == ["list-a", "list-b", "list-c"]
    assert names(SortBy="Status", SortOrder="Ascending")[0] == "list-c"
    assert names(StatusEquals="Failed") == ["list-c"]
    changed = house.describe("list-c")["LastModifiedTime"]
    assert names(LastModifiedTimeAfter=changed + timedelta(hours=1)) == []
    assert len(names(LastModifiedTimeBefore=changed + timedelta(hours=1))) == 3
    for name in ("list-a", "list-b", "list-c"):
        house.drop(name)


@pytest.mark.parametrize(
    ("name", "handler", "said"),
    [
        ("crash", CRASHES, "ValueError: no such file: weights.bin"),
        ("load", NOT_READY, "a model that cannot be loaded"),
    ],
    ids=["crash", "load"],
)
def test_an_endpoint_that_does_not_start_failed_and_says_why_in_its_own_words(
    house: House, name: str, handler: str, said: str
) -> None:
    house.config(f"fails-{name}", handler, count=2)
    found = house.endpoint(f"fails-{name}", f"fails-{name}")
    assert found["EndpointStatus"] == "Failed"
    assert found["FailureReason"].startswith(
        f"The primary container for production variant {VARIANT} did not pass the ping health "
        "check. Please check CloudWatch logs for this endpoint."
    )
    assert said in found["FailureReason"]
    assert len(found["FailureReason"]) <= 1024
    with pytest.raises(ClientError, match="DeleteEndpoint is the only operation"):
        house.update(f"fails-{name}", "one")
    house.drop(f"fails-{name}")


def test_of_a_long_last_word_the_end_is_kept(house: House) -> None:
    house.config("talks", "raise ValueError('word ' * 500 + 'the end')")
    reason = house.endpoint("talks", "talks")["FailureReason"]
    assert len(reason) == 1024
    assert reason.endswith("the end")
    house.drop("talks")


def test_the_container_that_fails_is_named(house: House) -> None:
    house.model("second-fails", says("first"), CRASHES)
    house.config("second-fails")
    reason = house.endpoint("second-fails", "second-fails")["FailureReason"]
    assert reason.startswith("The container-2 container for production variant AllTraffic")
    house.drop("second-fails")


def test_a_configuration_and_its_model_may_go_while_the_endpoint_serves(house: House) -> None:
    """As on AWS: it goes on, but it cannot be updated any more."""
    house.config("goes", says("stays"))
    house.endpoint("stays", "goes")
    house.sagemaker.delete_endpoint_config(EndpointConfigName="goes")
    house.sagemaker.delete_model(ModelName="goes")
    assert house.ask("stays") == "stays"
    with pytest.raises(ClientError, match="Could not find endpoint configuration"):
        house.update("stays", "one")
    assert house.describe("stays")["EndpointStatus"] == "InService"
    house.drop("stays")


def test_a_package_serves_with_its_own_containers_and_environment(house: House) -> None:
    sagemaker, s3 = house.sagemaker, client_of(house.cloud, "s3")
    first = """
def model_fn(model_dir):
    return None

def transform_fn(model, body, content_type, accept):
    import os
    text = body if isinstance(body, str) else body.decode()
    return text + os.environ["WORD"], content_type
"""
    uris = []
    for number in (1, 2):
        key = f"package/{number}.tar.gz"
        body = io.BytesIO(archive({"code/inference.py": first}))
        s3.put_object(Bucket=BUCKET, Key=key, Body=body)
        uris.append(f"s3://{BUCKET}/{key}")
    sagemaker.create_model_package_group(ModelPackageGroupName="served")
    package = sagemaker.create_model_package(
        ModelPackageGroupName="served",
        ModelApprovalStatus="Approved",
        InferenceSpecification={
            "Containers": [
                {
                    "Image": IMAGE,
                    "ModelDataUrl": uri,
                    "ContainerHostname": f"stage-{word}",
                    "Environment": {"SAGEMAKER_PROGRAM": "inference.py", "WORD": word},
                }
                for word, uri in zip(("a", "b"), uris, strict=True)
            ]
        },
    )["ModelPackageArn"]
    sagemaker.create_model(
        ModelName="served",
        ExecutionRoleArn=ROLE,
        Containers=[{"ModelPackageName": package}],
    )
    house.config("served")
    house.endpoint("served", "served")
    assert house.ask("served") == "1ab"
    streams = client_of(house.cloud, "logs").describe_log_streams(
        logGroupName="/aws/sagemaker/Endpoints/served"
    )["logStreams"]
    names = [stream["logStreamName"].split("/") for stream in streams]
    assert [(name[0], name[2]) for name in names] == [(VARIANT, "stage-a"), (VARIANT, "stage-b")]
    assert names[0][1].startswith("i-")
    assert len(house.describe("served")["ProductionVariants"][0]["DeployedImages"]) == 2
    house.drop("served")


def test_what_containers_print_is_in_the_endpoints_log_group(house: House) -> None:
    house.config("prints", says("x").replace("return 'x'", "print('hello'); return 'x'"))
    house.endpoint("prints", "prints")
    house.ask("prints")
    logs = client_of(house.cloud, "logs")

    def lines() -> list[str]:
        group = "/aws/sagemaker/Endpoints/prints"
        found = logs.filter_log_events(logGroupName=group, filterPattern="hello")
        return [event["message"] for event in found["events"]]

    house.wait(lines)
    house.drop("prints")
    assert lines()  # the log outlives the endpoint


def test_variants_share_the_requests_by_weight(house: House) -> None:
    house.model("heads", says("heads"))
    house.model("tails", says("tails"))
    variants = [
        {
            "VariantName": name,
            "ModelName": name,
            "InstanceType": "ml.m5.large",
            "InitialInstanceCount": 1,
            "InitialVariantWeight": weight,
        }
        for name, weight in (("heads", 1.0), ("tails", 0.0))
    ]
    house.sagemaker.create_endpoint_config(EndpointConfigName="coin", ProductionVariants=variants)
    house.endpoint("coin", "coin")
    assert {house.ask("coin") for _ in range(20)} == {"heads"}
    assert house.ask("coin", TargetVariant="tails") == "tails"
    house.sagemaker.update_endpoint_weights_and_capacities(
        EndpointName="coin",
        DesiredWeightsAndCapacities=[
            {"VariantName": "heads", "DesiredWeight": 0.0},
            {"VariantName": "tails", "DesiredWeight": 3.0},
        ],
    )
    found = house.settled("coin")
    weights = {v["VariantName"]: v["CurrentWeight"] for v in found["ProductionVariants"]}
    assert weights == {"heads": 0.0, "tails": 3.0}
    assert {house.ask("coin") for _ in range(20)} == {"tails"}
    house.drop("coin")


def test_instances_come_and_go_and_no_request_is_lost(house: House) -> None:
    house.config("slow", SLOW)
    house.endpoint("scales", "slow")
    with house.load("scales") as answers:
        for count in (3, 1, 2):
            house.sagemaker.update_endpoint_weights_and_capacities(
                EndpointName="scales",
                DesiredWeightsAndCapacities=[
                    {"VariantName": VARIANT, "DesiredInstanceCount": count}
                ],
            )
            desired = house.describe("scales")["ProductionVariants"][0]["DesiredInstanceCount"]
            assert desired == count
            found = house.settled("scales")["ProductionVariants"][0]
            assert (found["CurrentInstanceCount"], found["DesiredInstanceCount"]) == (count, count)
            enough = len(answers) + 6
            house.wait(lambda enough=enough: len(answers) > enough)
    assert set(answers) == {"slow"}
    house.drop("scales")


def test_an_instance_that_cannot_be_added_leaves_the_endpoint_as_it_was(house: House) -> None:
    house.config("alone", says("alone"))
    house.endpoint("alone", "alone")
    client_of(house.cloud, "s3").delete_object(Bucket=BUCKET, Key="alone/0/model.tar.gz")
    house.sagemaker.update_endpoint_weights_and_capacities(
        EndpointName="alone",
        DesiredWeightsAndCapacities=[{"VariantName": VARIANT, "DesiredInstanceCount": 2}],
    )
    found = house.settled("alone")
    assert found["EndpointStatus"] == "InService"
    assert found["ProductionVariants"][0]["CurrentInstanceCount"] == 1
    assert "s3://hosting/alone/0/model.tar.gz" in found["FailureReason"]
    assert house.ask("alone") == "alone"
    house.drop("alone")


def test_capture_and_deployment_are_described_and_captured_data_arrives(house: House) -> None:
    capture = CAPTURE | {"InitialSamplingPercentage": 100}
    house.config("captures", says("seen"), DataCaptureConfig=capture)
    found = house.endpoint("captures", "captures")
    assert found["DataCaptureConfig"] == {
        "EnableCapture": True,
        "CaptureStatus": "Started",
        "CurrentSamplingPercentage": 100,
        "DestinationS3Uri": "s3://hosting/captured",
        "KmsKeyId": "",
    }
    house.ask("captures")
    s3 = client_of(house.cloud, "s3")
    prefix = "captured/captures/AllTraffic/"
    house.wait(lambda: s3.list_objects_v2(Bucket=BUCKET, Prefix=prefix)["KeyCount"])
    found = house.update("captures", "one")
    assert "DataCaptureConfig" not in found
    house.drop("captures")


def test_status_names_the_endpoints(house: House) -> None:
    house.endpoint("shown", "one")
    assert "endpoint shown  InService  one  1 instance(s)" in house.cloud.command("status").stdout
    house.drop("shown")


def test_no_file_of_an_ended_instance_stays_but_its_logs(house: House) -> None:
    folder = house.cloud.address.state / "endpoints"
    before = {path.name for path in folder.glob("*")}
    house.endpoint("tidy", "one")
    assert {path.name for path in folder.glob("*")} - before
    house.drop("tidy")
    house.wait(lambda: not {path.name for path in folder.glob("*")} - before - {"logs"})


def test_logs_of_an_endpoint_that_is_gone_can_be_pruned(house: House) -> None:
    house.config("chatty", "print('loaded')\n" + says("x"))
    house.endpoint("kept", "chatty")
    house.endpoint("gone", "chatty")
    house.drop("gone")
    house.cloud.command("prune", "--older-than", "0")
    logs = house.cloud.address.state / "endpoints" / "logs"
    assert list((logs / "kept").glob("*.log"))
    assert not list((logs / "gone").glob("*.log"))
    house.drop("kept")
