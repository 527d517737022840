"""A stack with an endpoint: made when it serves, changed only if it serves what was asked for."""

from __future__ import annotations

from typing import Any

import pytest
from clients import client_of
from definitions import IMAGE, ROLE
from hosting_fixtures import NOT_READY, VARIANT, House, says
from serving_fixtures import archive
from stack_fixtures import Builder, changed, get, ref, resource, template

from localcloud.testing import TestCloud

pytestmark = pytest.mark.integration
BUCKET = "stacks-of-endpoints"
PLACE = {
    "ServiceNamespace": "sagemaker",
    "ScalableDimension": "sagemaker:variant:DesiredInstanceCount",
}


def body(handler: str, name: str = "staged") -> str:
    model = {
        "ExecutionRoleArn": ROLE,
        "PrimaryContainer": {
            "Image": IMAGE,
            "ModelDataUrl": f"s3://{BUCKET}/{handler}/model.tar.gz",
            "Environment": {"SAGEMAKER_PROGRAM": "inference.py"},
        },
    }
    variant = {
        "VariantName": VARIANT,
        "ModelName": get("Model", "ModelName"),
        "InstanceType": ref("InstanceType"),
        "InitialInstanceCount": 1,
        "InitialVariantWeight": 1,
    }
    target = {
        **PLACE,
        "ResourceId": {"Fn::Sub": f"endpoint/${{Endpoint.EndpointName}}/variant/{VARIANT}"},
        "MinCapacity": "1",
        "MaxCapacity": 2,
    }
    policy = {
        "PolicyName": "invocations",
        "PolicyType": "TargetTrackingScaling",
        "ScalingTargetId": ref("Target"),
        "TargetTrackingScalingPolicyConfiguration": {
            "TargetValue": 100,
            "PredefinedMetricSpecification": {
                "PredefinedMetricType": "SageMakerVariantInvocationsPerInstance"
            },
        },
    }
    return template(
        {
            "Model": resource("SageMaker::Model", model),
            "Config": resource("SageMaker::EndpointConfig", {"ProductionVariants": [variant]}),
            "Endpoint": resource(
                "SageMaker::Endpoint",
                {
                    "EndpointName": name,
                    "EndpointConfigName": get("Config", "EndpointConfigName"),
                    "RetainAllVariantProperties": True,
                },
            ),
            "Target": resource("ApplicationAutoScaling::ScalableTarget", target),
            "Policy": resource("ApplicationAutoScaling::ScalingPolicy", policy),
        },
        Parameters={"InstanceType": {"Type": "String", "Default": "ml.m5.large"}},
        Outputs={
            "Ref": {"Value": ref("Endpoint")},
            "Config": {"Value": get("Config", "EndpointConfigName")},
            "Target": {"Value": ref("Target")},
            "Policy": {"Value": ref("Policy")},
        },
    )


@pytest.fixture(scope="module")
def stacks(cloud: TestCloud) -> Builder:
    s3 = client_of(cloud, "s3")
    s3.create_bucket(Bucket=BUCKET)
    for name, text in {"one": says("one"), "two": says("two"), "bad": NOT_READY}.items():
        data = archive({"code/inference.py": text})
        s3.put_object(Bucket=BUCKET, Key=f"{name}/model.tar.gz", Body=data)
    return Builder(cloud)


def mine(stacks: Builder) -> list[str]:
    """The models and configurations of the stack."""
    sagemaker = stacks.client("sagemaker")
    models = sagemaker.list_models(NameContains="staging")["Models"]
    configs = sagemaker.list_endpoint_configs(NameContains="staging")["EndpointConfigs"]
    return sorted(
        [each["ModelName"] for each in models] + [each["EndpointConfigName"] for each in configs]
    )


def test_the_life_of_a_stage(stacks: Builder) -> None:
    house = House(stacks.cloud)
    scaling: Any = stacks.client("application-autoscaling")
    # Made: it answers, and the scaling target is there.
    assert stacks.create("staging", body("one")) == "CREATE_COMPLETE", stacks.story("staging")
    outputs = stacks.outputs("staging")
    assert outputs["Ref"] == "arn:aws:sagemaker:us-east-1:000000000000:endpoint/staged"
    assert outputs["Target"] == (
        f"endpoint/staged/variant/{VARIANT}|sagemaker:variant:DesiredInstanceCount|sagemaker"
    )
    assert house.ask("staged") == "one"
    (target,) = scaling.describe_scalable_targets(ServiceNamespace="sagemaker")["ScalableTargets"]
    assert (target["MinCapacity"], target["MaxCapacity"]) == (1, 2)
    (policy,) = scaling.describe_scaling_policies(ServiceNamespace="sagemaker")["ScalingPolicies"]
    assert policy["PolicyARN"] == outputs["Policy"]
    first = mine(stacks)
    assert len(first) == 2
    # Updated: a new model and configuration, the endpoint in place, then the old ones are gone.
    with house.load("staged") as answers:
        assert stacks.update("staging", body("two")) == "UPDATE_COMPLETE"
        assert house.ask("staged") == "two"
    assert set(answers) <= {"one", "two"}
    second = mine(stacks)
    assert len(second) == 2
    assert not set(first) & set(second)
    assert stacks.statuses("staging", "Endpoint")[-2:] == ["UPDATE_IN_PROGRESS", "UPDATE_COMPLETE"]
    # A model that cannot start: SageMaker rolls the endpoint back, so the resource failed.
    assert stacks.update("staging", body("bad")) == "UPDATE_ROLLBACK_COMPLETE"
    why = [
        reason
        for who, status, reason in stacks.story("staging")
        if (who, status) == ("Endpoint", "UPDATE_FAILED")
    ]
    assert len(why) == 1
    assert "did not stabilize" in why[0]
    assert outputs["Config"] != stacks.outputs("staging")["Config"]
    assert house.ask("staged") == "two"
    assert mine(stacks) == second
    now = house.describe("staged")
    assert now["EndpointStatus"] == "InService"
    assert now["EndpointConfigName"] == stacks.outputs("staging")["Config"]
    # Another instance type of a variant that scales: refused by SageMaker, as on AWS.
    given = [{"ParameterKey": "InstanceType", "ParameterValue": "ml.c5.large"}]
    assert stacks.update("staging", Parameters=given) == "UPDATE_ROLLBACK_COMPLETE"
    assert any("while it is a scalable target" in each[2] for each in stacks.story("staging"))
    assert mine(stacks) == second
    # Without its scaling target it may change.
    unscaled = changed(
        body("two"),
        lambda d: (
            [d["Resources"].pop(name) for name in ("Policy", "Target")]
            + [d["Outputs"].pop(name) for name in ("Policy", "Target")]
        ),
    )
    assert stacks.update("staging", unscaled) == "UPDATE_COMPLETE"
    assert not scaling.describe_scalable_targets(ServiceNamespace="sagemaker")["ScalableTargets"]
    assert not scaling.describe_scaling_policies(ServiceNamespace="sagemaker")["ScalingPolicies"]
    assert stacks.update("staging", Parameters=given) == "UPDATE_COMPLETE"
    # Deleted: nothing is left.
    assert stacks.delete("staging") == "DELETE_COMPLETE"
    assert mine(stacks) == []
    assert not house.exists("staged")


def test_an_endpoint_that_cannot_start_rolls_the_creation_back(stacks: Builder) -> None:
    assert stacks.create("staging-bad", body("bad", "never")) == "ROLLBACK_COMPLETE"
    why = next(
        reason
        for who, status, reason in stacks.story("staging-bad")
        if (who, status) == ("Endpoint", "CREATE_FAILED")
    )
    assert "it is Failed" in why
    assert "a model that cannot be loaded" in why
    assert mine(stacks) == []
    assert not House(stacks.cloud).exists("never")
    stacks.delete("staging-bad")


def test_an_update_can_be_cancelled_and_goes_back(stacks: Builder) -> None:
    house = House(stacks.cloud)
    stacks.create("staging-cancel", body("one", "cancelled"))
    stacks.api.update_stack(StackName="staging-cancel", TemplateBody=body("two", "cancelled"))
    stacks.wait(lambda: house.describe("cancelled")["EndpointStatus"] != "InService")
    stacks.api.cancel_update_stack(StackName="staging-cancel")
    assert stacks.settled("staging-cancel") == "UPDATE_ROLLBACK_COMPLETE"
    assert ("staging-cancel", "UPDATE_ROLLBACK_IN_PROGRESS", "User Initiated") in stacks.story(
        "staging-cancel"
    )
    assert house.ask("cancelled") == "one"
    assert stacks.delete("staging-cancel") == "DELETE_COMPLETE"


def test_a_creation_under_way_can_be_deleted(stacks: Builder) -> None:
    house = House(stacks.cloud)
    made = stacks.api.create_stack(StackName="staging-gone", TemplateBody=body("one", "short"))
    stacks.wait(lambda: house.exists("short"))
    stacks.api.delete_stack(StackName="staging-gone")
    assert stacks.settled(made["StackId"]) == "DELETE_COMPLETE"
    assert not house.exists("short")
    assert mine(stacks) == []
