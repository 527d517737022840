"""Application Auto Scaling keeps targets and policies, and refuses what AWS refuses."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError
from clients import client_of
from hosting_fixtures import VARIANT, House, says

from localcloud.testing import TestCloud

pytestmark = pytest.mark.integration
PLACE = {
    "ServiceNamespace": "sagemaker",
    "ScalableDimension": "sagemaker:variant:DesiredInstanceCount",
}
INVALID, NOT_FOUND = "ValidationException", "ObjectNotFoundException"
NOBODY = {"ResourceId": "endpoint/none/variant/x"}
LIMITS = {"MinCapacity": 1, "MaxCapacity": 1}
Refusal = tuple[str, dict[str, Any], str, str]
WITHOUT_A_TARGET: list[Refusal] = [
    ("register_scalable_target", NOBODY | LIMITS, INVALID, "does not exist"),
    ("register_scalable_target", {"ResourceId": "endpoint/x"} | LIMITS, INVALID, "is not"),
    ("register_scalable_target", {"ServiceNamespace": "ecs"}, INVALID, "ecs"),
    ("register_scalable_target", {"MinCapacity": 1}, INVALID, "must be given to register"),
    ("register_scalable_target", {"MinCapacity": 3, "MaxCapacity": 2}, INVALID, "2 is less than 3"),
    ("deregister_scalable_target", {}, NOT_FOUND, "No scalable target registered"),
    ("put_scaling_policy", {"PolicyName": "a"}, NOT_FOUND, "No scalable target registered"),
    ("delete_scaling_policy", {"PolicyName": "none"}, NOT_FOUND, "policy name: none"),
]
STEPS = {"StepScalingPolicyConfiguration": {"AdjustmentType": "ChangeInCapacity"}}
OF_A_TARGET: list[Refusal] = [
    ("register_scalable_target", {"MinCapacity": 3}, INVALID, "2 is less than 3"),
    ("register_scalable_target", {"MaxCapacity": 0}, INVALID, "0 is less than 1"),
    ("register_scalable_target", {"Tags": {"a": "b"}}, INVALID, "cannot specify tags"),
    (
        "put_scaling_policy",
        {"PolicyName": "a", "PolicyType": "TargetTrackingScaling"},
        INVALID,
        "must have a TargetTracking",
    ),
    (
        "put_scaling_policy",
        {"PolicyName": "a", "PolicyType": "TargetTrackingScaling", **STEPS},
        INVALID,
        "and no other",
    ),
    (
        "put_scaling_policy",
        {"PolicyName": "a", "PolicyType": "PredictiveScaling"},
        INVALID,
        "PredictiveScaling",
    ),
]


def test_scaling_obeys_the_rules_of_application_auto_scaling(cloud: TestCloud) -> None:
    house, scaling = House(cloud), client_of(cloud, "application-autoscaling")
    house.endpoint("scaled", house.config("scaled", says("scaled")))
    place = {**PLACE, "ResourceId": f"endpoint/scaled/variant/{VARIANT}"}
    for operation, wrong, code, words in WITHOUT_A_TARGET:
        with pytest.raises(ClientError, match=words) as refused:
            getattr(scaling, operation)(**{**place, **wrong})
        assert refused.value.response["Error"]["Code"] == code
    scaling.register_scalable_target(**place, MinCapacity=1, MaxCapacity=2)
    for operation, wrong, code, words in OF_A_TARGET:
        with pytest.raises(ClientError, match=words) as refused:
            getattr(scaling, operation)(**{**place, **wrong})
        assert refused.value.response["Error"]["Code"] == code
    scaling.register_scalable_target(**place, MaxCapacity=4)
    found = scaling.describe_scalable_targets(
        ServiceNamespace="sagemaker", ResourceIds=[place["ResourceId"]]
    )["ScalableTargets"][0]
    assert (found["MinCapacity"], found["MaxCapacity"]) == (1, 4)
    arn = found["ScalableTargetARN"]
    scaling.tag_resource(ResourceARN=arn, Tags={"team": "ops"})
    assert scaling.list_tags_for_resource(ResourceARN=arn)["Tags"] == {"team": "ops"}
    scaling.untag_resource(ResourceARN=arn, TagKeys=["team"])
    assert scaling.list_tags_for_resource(ResourceARN=arn)["Tags"] == {}
    policy = {
        "PolicyName": "tracking",
        "PolicyType": "TargetTrackingScaling",
        "TargetTrackingScalingPolicyConfiguration": {
            "TargetValue": 100.0,
            "PredefinedMetricSpecification": {
                "PredefinedMetricType": "SageMakerVariantInvocationsPerInstance"
            },
        },
    }
    first = scaling.put_scaling_policy(**place, **policy)["PolicyARN"]
    assert scaling.put_scaling_policy(**place, **policy)["PolicyARN"] == first
    listed = scaling.describe_scaling_policies(
        ServiceNamespace="sagemaker", PolicyNames=["tracking"]
    )["ScalingPolicies"]
    assert [each["PolicyARN"] for each in listed] == [first]
    other = house.config("scaled-2", says("two"), variant={"InstanceType": "ml.c5.large"})
    with pytest.raises(ClientError, match="while it is a scalable target; deregister it first"):
        house.update("scaled", other)
    scaling.deregister_scalable_target(**place)
    assert not scaling.describe_scaling_policies(ServiceNamespace="sagemaker")["ScalingPolicies"]
    assert house.update("scaled", other)["EndpointConfigName"] == other
    house.drop("scaled")
