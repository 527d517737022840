"""The template is what AWS takes, permits no more than is needed, and keeps names in limits."""

import dataclasses
import json
import re
from typing import Any

import pytest
from cfnlint.schema import PROVIDER_SCHEMA_MANAGER
from hypothesis import given, settings
from hypothesis import strategies as st
from stage_template import (
    ACCOUNT,
    BUCKET,
    KEY,
    REGION,
    as_list,
    document,
    policies,
    resources,
    values,
)

from deploy_endpoint import parameters, stage
from deploy_endpoint.stage import Encryption, Stage

KEYED = {"KmsKeyArn": KEY}
BOTH = ["staging", "production"]
# The longest names that a stage's file may ask for.
LONGEST = dataclasses.replace(stage.read("production"), project="p" * 40, stage="s" * 12)
TYPES = {
    "AWS::ApiGatewayV2::Api",
    "AWS::ApiGatewayV2::Authorizer",
    "AWS::ApiGatewayV2::Integration",
    "AWS::ApiGatewayV2::Route",
    "AWS::ApiGatewayV2::Stage",
    "AWS::ApplicationAutoScaling::ScalableTarget",
    "AWS::ApplicationAutoScaling::ScalingPolicy",
    "AWS::CloudWatch::Alarm",
    "AWS::CloudWatch::Dashboard",
    "AWS::IAM::Role",
    "AWS::Lambda::Function",
    "AWS::Lambda::Permission",
    "AWS::Logs::LogGroup",
    "AWS::SNS::Topic",
    "AWS::SageMaker::Endpoint",
    "AWS::SageMaker::EndpointConfig",
    "AWS::SageMaker::Model",
    "AWS::SecretsManager::Secret",
}
LOGS = f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group"
STARS = {
    ("EndpointRole", "ImageLogin", "*"): "a registry's login knows no resource",
    ("EndpointRole", "Metrics", "*"): "metrics know none; held to SageMaker's own namespaces",
    (
        "EndpointRole",
        "Models",
        "arn:aws:s3:::the-bucket/predictive-maintenance/*/model.tar.gz",
    ): "each version's archive lies below its own run's key",
    (
        "EndpointRole",
        "Capture",
        "arn:aws:s3:::the-bucket/predictive-maintenance/stages/production/capture/*",
    ): "SageMaker makes the names of captured files, below one prefix",
    (
        "EndpointRole",
        "Logs",
        f"{LOGS}:/aws/sagemaker/Endpoints/predictive-maintenance-production:*",
    ): "SageMaker makes the names of streams, in one group",
    (
        "EndpointRole",
        "RollbackAlarms",
        f"arn:aws:cloudwatch:{REGION}:{ACCOUNT}:alarm:predictive-maintenance-production-*",
    ): "each fleet's alarms have its configuration in their names",
    ("ApiRole", "Logs", f"{LOGS}:<ApiLogs>:*"): "Lambda makes the names of streams, in one group",
    (
        "ApiRole",
        "WhatServes",
        f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:endpoint-config/*",
    ): "CloudFormation makes the names; held to this stage by their tags",
    (
        "ApiRole",
        "WhatServes",
        f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:model/*",
    ): "CloudFormation makes the names; held to this stage by their tags",
    (
        "ApiRole",
        "Contract",
        "arn:aws:s3:::the-bucket/predictive-maintenance/*/deployment.json",
    ): "each version's document lies below its own run's key",
    (
        "AuthorizerRole",
        "Logs",
        f"{LOGS}:<AuthorizerLogs>:*",
    ): "Lambda makes the names of streams, in one group",
}


def of_type(found: dict[str, Any], kind: str) -> dict[str, Any]:
    return {name: each for name, each in found.items() if each["Type"] == kind}


def statements(of: str | Stage = "production", **changes: str) -> dict[tuple[str, str], Any]:
    return {
        (role, each["Sid"]): each
        for role, policy in policies(of, **changes).items()
        for each in policy["Statement"]
    }


def test_the_template_is_small_enough_to_be_passed_as_it_is() -> None:
    assert parameters.TEMPLATE.stat().st_size < parameters.LARGEST_BODY


def test_it_is_made_of_these_types_and_no_other() -> None:
    assert {each["Type"] for each in document()["Resources"].values()} == TYPES


@pytest.mark.parametrize("name", BOTH)
def test_a_stage_gives_every_parameter_a_value_that_the_template_takes(name: str) -> None:
    given_values, declared = values(stage.read(name)), document()["Parameters"]
    assert set(given_values) == set(declared)
    for parameter, text in given_values.items():
        rules = declared[parameter]
        if rules["Type"] == "Number":
            number = float(text)
            assert rules.get("MinValue", number) <= number <= rules.get("MaxValue", number)
        assert re.fullmatch(rules.get("AllowedPattern", "(?s).*"), text), parameter
        assert text in rules.get("AllowedValues", [text]), parameter


def test_every_parameter_is_used() -> None:
    text = parameters.TEMPLATE.read_text()
    for name in document()["Parameters"]:
        assert re.search(rf"!Ref {name}\b|\${{{name}}}", text), name


def test_a_star_stands_only_where_there_is_a_reason() -> None:
    found = {
        (*where, text)
        for where, each in statements(**KEYED).items()
        for text in as_list(each["Resource"]) + as_list(each["Action"])
        if "*" in text
    }
    assert found == set(STARS)


def test_no_action_is_a_pattern_and_a_star_alone_is_a_resource_only_where_aws_knows_none() -> None:
    for where, each in statements(**KEYED).items():
        assert each["Effect"] == "Allow"
        assert all("*" not in action for action in as_list(each["Action"])), where
        if "*" in as_list(each["Resource"]):
            assert where in {("EndpointRole", "ImageLogin"), ("EndpointRole", "Metrics")}


def test_what_a_role_may_do_is_this_and_no_more() -> None:
    told = {where: sorted(as_list(each["Action"])) for where, each in statements(**KEYED).items()}
    logs = ["logs:CreateLogStream", "logs:PutLogEvents"]
    assert told == {
        ("EndpointRole", "Models"): ["s3:GetObject"],
        ("EndpointRole", "Capture"): ["s3:PutObject"],
        ("EndpointRole", "ImageLogin"): ["ecr:GetAuthorizationToken"],
        ("EndpointRole", "Images"): [
            "ecr:BatchCheckLayerAvailability",
            "ecr:BatchGetImage",
            "ecr:GetDownloadUrlForLayer",
        ],
        # Not the group: SageMaker would make it anew after the stack has deleted it.
        ("EndpointRole", "Logs"): sorted([*logs, "logs:DescribeLogStreams"]),
        ("EndpointRole", "Metrics"): ["cloudwatch:PutMetricData"],
        ("EndpointRole", "RollbackAlarms"): ["cloudwatch:DescribeAlarms"],
        ("EndpointRole", "Key"): ["kms:Decrypt", "kms:GenerateDataKey"],
        ("EndpointRole", "KeyOfVolumes"): ["kms:CreateGrant"],
        ("ApiRole", "Logs"): logs,
        ("ApiRole", "Endpoint"): ["sagemaker:DescribeEndpoint", "sagemaker:InvokeEndpoint"],
        ("ApiRole", "WhatServes"): ["sagemaker:DescribeEndpointConfig", "sagemaker:DescribeModel"],
        ("ApiRole", "Contract"): ["s3:GetObject"],
        ("ApiRole", "Key"): ["kms:Decrypt"],
        ("AuthorizerRole", "Logs"): logs,
        ("AuthorizerRole", "Token"): ["secretsmanager:GetSecretValue"],
        ("AuthorizerRole", "Key"): ["kms:Decrypt"],
    }


def test_grants_of_the_customers_key_are_for_aws_only() -> None:
    condition = statements(**KEYED)["EndpointRole", "KeyOfVolumes"]["Condition"]
    assert condition == {"Bool": {"kms:GrantIsForAWSResource": "true"}}


def test_no_role_may_read_what_another_stage_writes() -> None:
    for where, each in statements("staging").items():
        for text in as_list(each["Resource"]):
            assert "production" not in text
            if "s3:PutObject" in as_list(each["Action"]):
                assert text.endswith(
                    ":::the-bucket/predictive-maintenance/stages/staging/capture/*"
                )
            if where == ("ApiRole", "Endpoint"):
                assert text.endswith(":endpoint/predictive-maintenance-staging")


def test_a_role_is_assumed_by_its_service_only() -> None:
    for name, each in of_type(resources("production"), "AWS::IAM::Role").items():
        (statement,) = each["Properties"]["AssumeRolePolicyDocument"]["Statement"]
        service = "sagemaker" if name == "EndpointRole" else "lambda"
        assert statement["Principal"] == {"Service": f"{service}.amazonaws.com"}


def test_the_model_is_the_exact_version_of_the_package() -> None:
    model = resources("staging")["Model"]["Properties"]
    assert model["Containers"] == [
        {"ModelPackageName": f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:model-package/group/7"}
    ]


@pytest.mark.parametrize("name", ["Model", "EndpointConfig"])
def test_what_a_rollback_needs_is_kept_when_it_is_replaced(name: str) -> None:
    """Without a name a new version is a new resource; the old one stays until `deploy` ends."""
    found = resources("staging")[name]
    assert f"{name}Name" not in found["Properties"]
    assert (found["UpdateReplacePolicy"], found["DeletionPolicy"]) == ("Retain", "Delete")


def test_nothing_outlives_the_stack() -> None:
    for each in document()["Resources"].values():
        assert each.get("DeletionPolicy", "Delete") == "Delete"


def test_the_endpoint_keeps_what_autoscaling_added() -> None:
    assert resources("staging")["Endpoint"]["Properties"]["RetainAllVariantProperties"] is True


def test_staging_takes_a_version_at_once() -> None:
    config = resources("staging")["Endpoint"]["Properties"]["DeploymentConfig"]
    assert config == {
        "BlueGreenUpdatePolicy": {
            "TrafficRoutingConfiguration": {"Type": "ALL_AT_ONCE", "WaitIntervalInSeconds": 0},
            "TerminationWaitInSeconds": "0",
            "MaximumExecutionTimeoutInSeconds": "3600",
        }
    }


def test_production_takes_a_version_by_a_canary_that_two_alarms_watch() -> None:
    config = resources("production")["Endpoint"]["Properties"]["DeploymentConfig"]
    routing = config["BlueGreenUpdatePolicy"]["TrafficRoutingConfiguration"]
    assert routing == {
        "Type": "CANARY",
        "WaitIntervalInSeconds": "180",
        "CanarySize": {"Type": "CAPACITY_PERCENT", "Value": "50"},
    }
    assert config["AutoRollbackConfiguration"]["Alarms"] == [
        {"AlarmName": "<FleetErrorsAlarm>"},
        {"AlarmName": "<FleetLatencyAlarm>"},
    ]


@pytest.mark.parametrize("alarm", ["FleetErrorsAlarm", "FleetLatencyAlarm"])
def test_the_alarms_of_a_roll_out_watch_the_new_fleet_and_are_new_with_it(alarm: str) -> None:
    """The configuration in the name replaces the alarm: the old fleet's is there until the end."""
    found = resources("production")[alarm]["Properties"]
    assert {each["Name"]: each["Value"] for each in found["Dimensions"]} == {
        "EndpointName": "predictive-maintenance-production",
        "VariantName": "main",
        "EndpointConfigName": "<EndpointConfig.EndpointConfigName>",
    }
    assert found["AlarmName"].endswith("-<EndpointConfig.EndpointConfigName>")
    # By way of the endpoint the order would be a circle.
    assert "<Endpoint." not in json.dumps(found)


def needed(name: str, found: dict[str, Any]) -> set[str]:
    """What CloudFormation makes before a resource: what it refers to, and what that refers to."""
    depends = as_list(document()["Resources"][name].get("DependsOn", []))
    names = {text.partition(".")[0] for text in re.findall(r"<([\w.]+)>", json.dumps(found[name]))}
    direct = (names | set(depends)) & set(found)
    return direct.union(*(needed(each, found) for each in direct))


@pytest.mark.parametrize("authentication", ["token", "none"])
def test_autoscaling_comes_after_everything_that_could_still_fail(authentication: str) -> None:
    """Once it has the variant, SageMaker refuses the way back to another instance type."""
    found = resources("staging", Authentication=authentication)
    last = {"ScalableTarget", "ScalingPolicy"}
    assert needed("ScalableTarget", found) == set(found) - last
    assert needed("ScalingPolicy", found) == set(found) - {"ScalingPolicy"}


def test_no_alarm_goes_off_because_nobody_asks() -> None:
    for each in of_type(resources("production"), "AWS::CloudWatch::Alarm").values():
        assert each["Properties"]["TreatMissingData"] == "notBreaching"
        assert each["Properties"]["MetricName"] != "InvocationModelErrors"  # it counts 4xx


def test_without_a_key_of_ones_own_no_key_is_named() -> None:
    assert "Kms" not in json.dumps(resources("production"))


def test_all_that_can_be_encrypted_is_with_the_customers_key() -> None:
    keyed = dataclasses.replace(stage.read("production"), encryption=Encryption(KEY))
    found = resources(keyed)
    for name, each in found.items():
        definition = PROVIDER_SCHEMA_MANAGER.get_resource_schema("us-east-1", each["Type"]).schema
        takes = [key for key in definition["properties"] if key.lower().startswith("kms")]
        for key in takes:
            assert each["Properties"].get(key) == KEY, f"{name} has no {key}"
    assert found["EndpointConfig"]["Properties"]["DataCaptureConfig"]["KmsKeyId"] == KEY


@pytest.mark.parametrize("group", of_type(document()["Resources"], "AWS::Logs::LogGroup"))
def test_no_log_is_kept_for_ever(group: str) -> None:
    assert resources("production")[group]["Properties"]["RetentionInDays"] == "90"


def test_all_but_the_page_and_its_files_needs_the_token() -> None:
    routes = {
        each["Properties"]["RouteKey"]: each["Properties"]["AuthorizationType"]
        for each in of_type(resources("production"), "AWS::ApiGatewayV2::Route").values()
    }
    assert routes == {
        "POST /predict": "CUSTOM",
        "GET /schema": "CUSTOM",
        "GET /health": "CUSTOM",
        "$default": "CUSTOM",
        "GET /": "NONE",
        "GET /assets/{name}": "NONE",
    }


def test_without_authentication_there_is_neither_token_nor_authorizer() -> None:
    found = resources("staging", Authentication="none")
    assert not [name for name in found if re.match("Authorizer|Token", name)]
    for each in of_type(found, "AWS::ApiGatewayV2::Route").values():
        assert each["Properties"]["AuthorizationType"] == "NONE"
        assert "AuthorizerId" not in each["Properties"]


def test_every_route_is_throttled() -> None:
    found = resources("production")["ApiStage"]["Properties"]
    default = found["DefaultRouteSettings"]
    assert (default["ThrottlingRateLimit"], default["ThrottlingBurstLimit"]) == ("200", "400")
    for each in found["RouteSettings"].values():
        # A parameter would reach the API as a text: CloudFormation knows no type inside JSON.
        assert {type(value) for value in each.values()} == {int, bool}
    declared = {
        each["Properties"]["RouteKey"]: name
        for name, each in of_type(document()["Resources"], "AWS::ApiGatewayV2::Route").items()
    }
    depends = document()["Resources"]["ApiStage"]["DependsOn"]
    assert sorted(depends) == sorted(declared[key] for key in found["RouteSettings"])


def test_the_function_ends_before_the_api_gives_up() -> None:
    found = resources("production")
    function = found["ApiFunction"]["Properties"]["Timeout"]
    assert function < found["ApiIntegration"]["Properties"]["TimeoutInMillis"] / 1000 <= 30


def test_without_capture_nothing_is_captured() -> None:
    found = resources("staging", CapturePercent="0")
    assert "DataCaptureConfig" not in found["EndpointConfig"]["Properties"]
    found = resources("staging")
    capture = found["EndpointConfig"]["Properties"]["DataCaptureConfig"]
    assert capture["DestinationS3Uri"] == (
        f"s3://{BUCKET}/predictive-maintenance/stages/staging/capture"
    )


def test_the_dashboard_is_json_that_shows_this_stage() -> None:
    body = json.loads(resources("production")["Dashboard"]["Properties"]["DashboardBody"])
    assert len(body["widgets"]) >= 4
    assert "predictive-maintenance-production" in json.dumps(body)


def names(of: Stage) -> dict[str, tuple[str, dict[str, Any]]]:
    """The names that the template gives, with the schema of each."""
    found = {}
    for name, each in resources(of).items():
        kind = each["Type"].rpartition("::")[2]
        definition = PROVIDER_SCHEMA_MANAGER.get_resource_schema("us-east-1", each["Type"]).schema
        for key in ("Name", f"{kind}Name"):
            if isinstance(each["Properties"].get(key), str) and kind != "Stage":
                text = each["Properties"][key].replace("<", "").replace(">", "").replace(".", "")
                found[name] = (text, definition["properties"][key])
    return found


LIMITS = {
    "Alarm": 255,
    "Dashboard": 255,
    "Endpoint": 63,
    "Function": 64,
    "LogGroup": 512,
    "Topic": 256,
}


@given(
    project=st.from_regex(r"[a-z](-?[a-z0-9]){0,19}", fullmatch=True),
    name=st.from_regex(r"[a-z][a-z0-9]{0,11}", fullmatch=True),
)
@settings(max_examples=30, deadline=None)
def test_every_name_is_in_awss_limits_for_every_stage_and_project(project: str, name: str) -> None:
    _check_names(dataclasses.replace(stage.read("staging"), project=project, stage=name))


def test_the_longest_names_are_in_awss_limits() -> None:
    _check_names(LONGEST)


def _check_names(of: Stage) -> None:
    found = names(of)
    assert len(found) >= 12
    for resource, (text, rules) in found.items():
        kind = document()["Resources"][resource]["Type"].rpartition("::")[2]
        longest = rules.get("maxLength") or LIMITS.get(kind, 128)
        # The name that CloudFormation gives a configuration has 63 characters at most.
        length = len(text.replace("EndpointConfigEndpointConfigName", "c" * 63))
        assert length <= longest, text
        if "pattern" in rules:
            assert re.search(rules["pattern"], text), text
