"""A stack with a function: its code, its configuration, its permissions and its tags."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError
from stack_fixtures import TRUST, Builder, changed, fails, get, ref, resource, template

from localcloud.testing import TestCloud

pytestmark = pytest.mark.integration
NAME = "of-a-stack"
LAMBDA_TRUST = json.loads(json.dumps(TRUST).replace("sagemaker.", "lambda."))


def body(word: str, **more: Any) -> str:
    code = (
        f"import os\ndef handler(event, context):\n    return [{word!r}, os.environ.get('MORE')]\n"
    )
    function = {
        "FunctionName": NAME,
        "Role": get("Role", "Arn"),
        "Runtime": "python3.12",
        "Handler": "index.handler",
        "Code": {"ZipFile": code},
        **more,
    }
    permission = {
        "FunctionName": ref("Function"),
        "Action": "lambda:InvokeFunction",
        "Principal": "apigateway.amazonaws.com",
        "SourceArn": "arn:aws:execute-api:us-east-1:000000000000:abc/*/*",
    }
    return template(
        {
            "Role": resource("IAM::Role", {"AssumeRolePolicyDocument": LAMBDA_TRUST}),
            "Function": resource("Lambda::Function", function),
            "Permission": resource("Lambda::Permission", permission),
        },
        Outputs={"Arn": {"Value": get("Function", "Arn")}, "Sid": {"Value": ref("Permission")}},
    )


@pytest.fixture(scope="module")
def stacks(cloud: TestCloud) -> Builder:
    builder = Builder(cloud)
    try:
        builder.client("lambda").list_functions()
    except ClientError as error:
        pytest.skip(str(error))
    return builder


def test_the_life_of_a_function(stacks: Builder) -> None:
    functions: Any = stacks.client("lambda")

    def call() -> Any:
        return json.loads(functions.invoke(FunctionName=NAME, Payload=b"{}")["Payload"].read())

    def sids() -> list[str]:
        policy = json.loads(functions.get_policy(FunctionName=NAME)["Policy"])
        return [each["Sid"] for each in policy["Statement"]]

    more = {"Environment": {"Variables": {"MORE": "x"}}, "MemorySize": "256"}
    tags = [{"Key": "team", "Value": "ops"}]
    assert stacks.create("functions", body("one", **more), Tags=tags) == "CREATE_COMPLETE"
    outputs = stacks.outputs("functions")
    assert call() == ["one", "x"]
    assert sids() == [outputs["Sid"]]
    assert functions.list_tags(Resource=outputs["Arn"])["Tags"] == {"team": "ops"}
    assert stacks.update("functions", body("two", Timeout=5)) == "UPDATE_COMPLETE"
    assert call() == ["two", None]
    found = functions.get_function_configuration(FunctionName=NAME)
    assert (found["Timeout"], found["MemorySize"]) == (5, 128)
    assert stacks.outputs("functions") == outputs
    broken = changed(
        body("three"), lambda d: d["Resources"].update(Bad=fails(DependsOn="Permission"))
    )
    assert stacks.update("functions", broken) == "UPDATE_ROLLBACK_COMPLETE"
    assert call() == ["two", None]
    assert functions.get_function_configuration(FunctionName=NAME)["Timeout"] == 5
    assert stacks.delete("functions") == "DELETE_COMPLETE"
    assert NAME not in [each["FunctionName"] for each in functions.list_functions()["Functions"]]
