"""What AWS refuses of endpoints, localcloud refuses: valid requests, each with one mistake in it.

Nothing stands between the test and the wire, as in test_refusals.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from botocore.model import OperationModel
from hosting_fixtures import House, says
from raw_calls import call
from test_refusals import ARN, GONE, INVALID, TAGS_51, WRONG_TYPE, Mistake

from localcloud.protocol import service_model
from localcloud.testing import localcloud

pytestmark = pytest.mark.integration
ROUTING = {"Type": "ALL_AT_ONCE", "WaitIntervalInSeconds": 0}
HALF = {"Type": "CAPACITY_PERCENT", "Value": 50}
ONE = {"Type": "INSTANCE_COUNT", "Value": 1}
CANARY = {"Type": "CANARY", "WaitIntervalInSeconds": 0, "CanarySize": HALF}
LINEAR = {"Type": "LINEAR", "WaitIntervalInSeconds": 0, "LinearStepSize": HALF}
VARIANT = {
    "VariantName": "AllTraffic",
    "ModelName": "there",
    "InstanceType": "ml.m5.large",
    "InitialInstanceCount": 1,
}
SERVERLESS = {"MemorySizeInMB": 1024, "MaxConcurrency": 1}

# A valid request of each operation. What a test creates with one must not be there yet.
BASE: dict[str, dict[str, Any]] = {
    "CreateEndpointConfig": {
        "EndpointConfigName": "new",
        "ProductionVariants": [VARIANT],
        "DataCaptureConfig": {
            "InitialSamplingPercentage": 100,
            "DestinationS3Uri": "s3://hosting/captured",
            "CaptureOptions": [{"CaptureMode": "Input"}],
        },
        "Tags": [{"Key": "team", "Value": "ops"}],
    },
    "DescribeEndpointConfig": {"EndpointConfigName": "there"},
    "ListEndpointConfigs": {"MaxResults": 10},
    "DeleteEndpointConfig": {"EndpointConfigName": "there"},
    "CreateEndpoint": {
        "EndpointName": "new",
        "EndpointConfigName": "there",
        "DeploymentConfig": {"BlueGreenUpdatePolicy": {"TrafficRoutingConfiguration": ROUTING}},
    },
    "DescribeEndpoint": {"EndpointName": "there"},
    "ListEndpoints": {"MaxResults": 10},
    "DeleteEndpoint": {"EndpointName": "there"},
    "UpdateEndpoint": {
        "EndpointName": "there",
        "EndpointConfigName": "two",
        "DeploymentConfig": {"BlueGreenUpdatePolicy": {"TrafficRoutingConfiguration": ROUTING}},
    },
    "UpdateEndpointWeightsAndCapacities": {
        "EndpointName": "there",
        "DesiredWeightsAndCapacities": [{"VariantName": "AllTraffic", "DesiredWeight": 1.0}],
    },
}
CONFIG, UPDATE, WEIGHTS = (
    "CreateEndpointConfig",
    "UpdateEndpoint",
    "UpdateEndpointWeightsAndCapacities",
)
POLICY = "DeploymentConfig.BlueGreenUpdatePolicy"
TRAFFIC = f"{POLICY}.TrafficRoutingConfiguration"
M = Mistake
MISTAKES = [
    M(CONFIG, "EndpointConfigName", GONE, INVALID, "'endpointConfigName'"),
    M(CONFIG, "EndpointConfigName", "my_config", INVALID, "regular expression"),
    M(CONFIG, "EndpointConfigName", "x" * 64, INVALID, "less than or equal to 63"),
    M(CONFIG, "EndpointConfigName", "there", INVALID, "already existing endpoint configuration"),
    M(CONFIG, "ProductionVariants", [], INVALID, "greater than or equal to 1"),
    M(CONFIG, "ProductionVariants", [VARIANT] * 11, INVALID, "less than or equal to 10"),
    M(CONFIG, "ProductionVariants", [VARIANT] * 2, INVALID, "different names"),
    M(CONFIG, "ProductionVariants.0.VariantName", GONE, INVALID, "variantName"),
    M(CONFIG, "ProductionVariants.0.ModelName", "nobody", INVALID, 'not find model "arn:aws'),
    M(CONFIG, "ProductionVariants.0.ModelName", GONE, INVALID, "ModelName"),
    M(CONFIG, "ProductionVariants.0.ModelName", "direct", INVALID, "mode Direct"),
    M(CONFIG, "ProductionVariants.0.ModelName", "multi", INVALID, "mode MultiModel"),
    M(CONFIG, "ProductionVariants.0.InstanceType", "ml.m5.xlargee", INVALID, "enum"),
    M(CONFIG, "ProductionVariants.0.InstanceType", GONE, INVALID, "InstanceType"),
    M(CONFIG, "ProductionVariants.0.InitialInstanceCount", 0, INVALID, "equal to 1"),
    M(CONFIG, "ProductionVariants.0.InitialInstanceCount", 9, INVALID, "1 to 8 instances"),
    M(CONFIG, "ProductionVariants.0.InitialInstanceCount", GONE, INVALID, "InitialInstanceCount"),
    M(CONFIG, "ProductionVariants.0.InitialInstanceCount", "1", WRONG_TYPE, "an integer"),
    M(CONFIG, "ProductionVariants.0.InitialVariantWeight", -1, INVALID, "or equal to 0"),
    M(CONFIG, "ProductionVariants.0.ServerlessConfig", SERVERLESS, INVALID, "ServerlessConfig"),
    M(CONFIG, "ProductionVariants.0.AcceleratorType", "ml.eia1.medium", INVALID, "Accelerator"),
    M(CONFIG, "ProductionVariants.0.ManagedInstanceScaling", {}, INVALID, "ManagedInstance"),
    M(
        CONFIG,
        "ProductionVariants.0.RoutingConfig",
        {"RoutingStrategy": "KV_AWARE"},
        INVALID,
        "KV_AWARE",
    ),
    M(
        CONFIG,
        "ProductionVariants.0.ContainerStartupHealthCheckTimeoutInSeconds",
        59,
        INVALID,
        "greater than or equal to 60",
    ),
    M(CONFIG, "ShadowProductionVariants", [VARIANT], INVALID, "ShadowProductionVariants"),
    M(CONFIG, "AsyncInferenceConfig", {"OutputConfig": {}}, INVALID, "AsyncInferenceConfig"),
    M(CONFIG, "EnableNetworkIsolation", True, INVALID, "EnableNetworkIsolation"),
    M(CONFIG, "ExecutionRoleArn", "arn:aws:iam::000000000000:role/x", INVALID, "ExecutionRole"),
    M(CONFIG, "DataCaptureConfig.InitialSamplingPercentage", 101, INVALID, "or equal to 100"),
    M(CONFIG, "DataCaptureConfig.InitialSamplingPercentage", GONE, INVALID, "null"),
    M(CONFIG, "DataCaptureConfig.DestinationS3Uri", "https://x/y", INVALID, "not an S3 URI"),
    M(CONFIG, "DataCaptureConfig.DestinationS3Uri", "hosting", INVALID, "regular expression"),
    M(CONFIG, "DataCaptureConfig.CaptureOptions", [], INVALID, "greater than or equal to 1"),
    M(CONFIG, "DataCaptureConfig.CaptureOptions.0.CaptureMode", "Both", INVALID, "enum"),
    M(CONFIG, "Tags", TAGS_51, INVALID, "less than or equal to 50"),
    M("DescribeEndpointConfig", "EndpointConfigName", "nobody", INVALID, "Could not find endpoint"),
    M("DeleteEndpointConfig", "EndpointConfigName", "nobody", INVALID, "Could not find endpoint"),
    M("ListEndpointConfigs", "SortBy", "Status", INVALID, "enum"),
    M("ListEndpointConfigs", "NextToken", "!!!", INVALID, "NextToken"),
    M("CreateEndpoint", "EndpointName", GONE, INVALID, "'endpointName'"),
    M("CreateEndpoint", "EndpointName", "my_endpoint", INVALID, "regular expression"),
    M("CreateEndpoint", "EndpointName", "there", INVALID, "Cannot create already existing"),
    M("CreateEndpoint", "EndpointName", "THERE", INVALID, "endpoint/there"),
    M("CreateEndpoint", "EndpointConfigName", "nobody", INVALID, f'"{ARN}endpoint-config/nobody"'),
    M("CreateEndpoint", "EndpointConfigName", GONE, INVALID, "'endpointConfigName'"),
    M("CreateEndpoint", TRAFFIC, CANARY, INVALID, "1 instance(s)"),
    M("CreateEndpoint", "Tags", TAGS_51, INVALID, "less than or equal to 50"),
    M("DescribeEndpoint", "EndpointName", "nobody", INVALID, f'find endpoint "{ARN}endpoint/nobo'),
    M("ListEndpoints", "StatusEquals", "Up", INVALID, "enum"),
    M("ListEndpoints", "MaxResults", 101, INVALID, "less than or equal to 100"),
    M("DeleteEndpoint", "EndpointName", "nobody", INVALID, "Could not find endpoint"),
    M(UPDATE, "EndpointName", "nobody", INVALID, "Could not find endpoint"),
    M(UPDATE, "EndpointConfigName", "nobody", INVALID, "Could not find endpoint configuration"),
    M(UPDATE, "RetainDeploymentConfig", True, INVALID, "RetainDeploymentConfig"),
    M(UPDATE, f"{TRAFFIC}.Type", "BLUE_GREEN", INVALID, "enum"),
    M(UPDATE, f"{TRAFFIC}.Type", "CANARY", INVALID, "must have a CanarySize"),
    M(UPDATE, f"{TRAFFIC}.Type", "LINEAR", INVALID, "must have a LinearStepSize"),
    M(UPDATE, f"{TRAFFIC}.CanarySize", HALF, INVALID, "cannot have a CanarySize"),
    M(UPDATE, TRAFFIC, CANARY | {"LinearStepSize": HALF}, INVALID, "cannot have a LinearStepSize"),
    M(UPDATE, TRAFFIC, CANARY | {"CanarySize": HALF | {"Value": 51}}, INVALID, "it is 51 %"),
    M(UPDATE, TRAFFIC, CANARY | {"CanarySize": ONE | {"Value": 2}}, INVALID, "2 of 2 instances"),
    M(UPDATE, TRAFFIC, LINEAR | {"LinearStepSize": HALF | {"Value": 9}}, INVALID, "it is 9 %"),
    M(UPDATE, f"{TRAFFIC}.WaitIntervalInSeconds", GONE, INVALID, "waitIntervalInSeconds"),
    M(UPDATE, f"{TRAFFIC}.WaitIntervalInSeconds", 3601, INVALID, "or equal to 3600"),
    M(UPDATE, f"{POLICY}.TerminationWaitInSeconds", -1, INVALID, "or equal to 0"),
    M(UPDATE, f"{POLICY}.MaximumExecutionTimeoutInSeconds", 599, INVALID, "or equal to 600"),
    M(
        UPDATE,
        POLICY,
        {
            "TrafficRoutingConfiguration": CANARY | {"WaitIntervalInSeconds": 400},
            "TerminationWaitInSeconds": 200,
            "MaximumExecutionTimeoutInSeconds": 600,
        },
        INVALID,
        "600 seconds",
    ),
    M(
        UPDATE,
        "DeploymentConfig",
        {"RollingUpdatePolicy": {"MaximumBatchSize": ONE, "WaitIntervalInSeconds": 0}},
        INVALID,
        "RollingUpdatePolicy",
    ),
    M(
        UPDATE,
        "DeploymentConfig.AutoRollbackConfiguration",
        {"Alarms": [{"AlarmName": "nobody"}]},
        INVALID,
        "alarms nobody",
    ),
    M(
        UPDATE,
        "DeploymentConfig.AutoRollbackConfiguration",
        {"Alarms": [{"AlarmName": f"a{number}"} for number in range(11)]},
        INVALID,
        "less than or equal to 10",
    ),
    M(WEIGHTS, "EndpointName", "nobody", INVALID, "Could not find endpoint"),
    M(WEIGHTS, "DesiredWeightsAndCapacities", [], INVALID, "greater than or equal to 1"),
    M(WEIGHTS, "DesiredWeightsAndCapacities.0.VariantName", "nobody", INVALID, "named nobody"),
    M(WEIGHTS, "DesiredWeightsAndCapacities.0.DesiredWeight", -1, INVALID, "or equal to 0"),
    M(WEIGHTS, "DesiredWeightsAndCapacities.0.DesiredInstanceCount", 0, INVALID, "1 to 8"),
    M(WEIGHTS, "DesiredWeightsAndCapacities.0.DesiredInstanceCount", 9, INVALID, "1 to 8"),
    M(
        WEIGHTS,
        "DesiredWeightsAndCapacities.0.ServerlessUpdateConfig",
        {"MaxConcurrency": 1},
        INVALID,
        "ServerlessUpdateConfig",
    ),
]


@dataclass(frozen=True)
class World:
    """A localcloud with an endpoint `there`, whose configuration has that name too."""

    house: House

    def state(self) -> list[Any]:
        """All that the list calls and the descriptions tell."""
        sagemaker = self.house.sagemaker
        answers = [
            sagemaker.list_endpoint_configs(),
            sagemaker.describe_endpoint_config(EndpointConfigName="there"),
            sagemaker.list_endpoints(),
            sagemaker.describe_endpoint(EndpointName="there"),
        ]
        for answer in answers:
            del answer["ResponseMetadata"]
        return answers


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with localcloud(tmp_path_factory.mktemp("cloud") / "state") as cloud:
        house = House(cloud)
        house.config("there", says("there"))
        house.config("two", variant={"ModelName": "there"}, count=2)
        model = house.sagemaker.describe_model(ModelName="there")
        container = model["PrimaryContainer"]
        house.sagemaker.create_model(
            ModelName="direct",
            Containers=[container, container],
            InferenceExecutionConfig={"Mode": "Direct"},
        )
        house.sagemaker.create_model(
            ModelName="multi", PrimaryContainer=container | {"Mode": "MultiModel"}
        )
        house.endpoint("there", "there")
        yield World(house)


@pytest.mark.parametrize("mistake", MISTAKES, ids=str)
def test_a_request_with_one_mistake_is_refused_as_aws_does_and_changes_nothing(
    world: World, mistake: Mistake
) -> None:
    before = world.state()
    wrong = mistake.applied_to(BASE[mistake.operation])
    answer = call(world.house.cloud.address, mistake.operation, wrong)
    assert (answer.status, answer.code) == (400, mistake.code), answer.body
    assert mistake.word in answer.message
    assert len(answer.message) < 1500
    assert world.state() == before


def test_every_operation_with_a_mistake_has_a_base_that_is_valid(world: World) -> None:
    """Else a request might be refused for something else than its mistake."""
    order = (CONFIG, "CreateEndpoint", UPDATE, WEIGHTS)
    reading = [name for name in BASE if name.startswith(("Describe", "List"))]
    for name in (*reading, *order, "DeleteEndpointConfig"):
        request = copy.deepcopy(BASE[name])
        if name == "DeleteEndpointConfig":
            request["EndpointConfigName"] = "new"
        answer = call(world.house.cloud.address, name, request)
        assert answer.status == 200, (name, answer.body)
        if "EndpointName" in request:
            world.house.settled(request["EndpointName"])
        model: OperationModel = service_model("sagemaker").operation_model(name)
        assert set(request) <= set(model.input_shape.members)


def test_guarded_traffic_goes_between_variants_of_the_same_names_only(world: World) -> None:
    house = world.house
    house.config("renamed", variant={"ModelName": "there", "VariantName": "Other"}, count=2)
    house.endpoint("guarded", "two")
    canary = {"BlueGreenUpdatePolicy": {"TrafficRoutingConfiguration": CANARY}}
    request = {"EndpointName": "guarded", "EndpointConfigName": "renamed"}
    refused = call(house.cloud.address, UPDATE, request | {"DeploymentConfig": canary})
    assert (refused.status, refused.code) == (400, INVALID)
    assert "['AllTraffic'], not ['Other']" in refused.message
    assert house.update("guarded", "renamed")["EndpointConfigName"] == "renamed"
