"""Lambda steps: functions that really run, and what other steps get of their answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError
from definitions import ROLE, condition, definition, fail, processing
from function_fixtures import Maker
from waiting import finish, wait_until

pytestmark = pytest.mark.integration
Client = Callable[[str], Any]
ASKED = """
    import time
    def handler(event, context):
        if event.get("raise"):
            raise ValueError("no such model")
        time.sleep(event.get("sleep", 0))
        return event["answer"] | {"seen": ",".join(sorted(event))}
"""


@pytest.fixture(scope="module")
def arn(client: Client) -> str:
    return str(Maker(client("lambda")).make("asked", ASKED, Timeout=10)["FunctionArn"])


def asked(arn: Any, arguments: Any, name: str = "Ask", **outputs: str) -> dict[str, Any]:
    """A step as the SDK writes it."""
    declared = [{"OutputName": key, "OutputType": kind} for key, kind in outputs.items()]
    return {
        "Name": name, "Type": "Lambda", "Arguments": arguments, "FunctionArn": arn,
        "OutputParameters": declared,
    }  # fmt: skip


def output(name: str, step: str = "Ask") -> dict[str, str]:
    return {"Get": f"Steps.{step}.OutputParameters['{name}']"}


@pytest.fixture
def start(client: Client, request: pytest.FixtureRequest) -> Callable[..., str]:
    """Creates a pipeline named after the test and starts it."""
    sagemaker = client("sagemaker")
    name = request.node.name.replace("_", "-").split("[")[0][:200]

    def go(*steps: dict[str, Any], parameters: list[Any] | None = None) -> str:
        text = definition(*steps, parameters=parameters)
        try:
            sagemaker.create_pipeline(PipelineName=name, PipelineDefinition=text, RoleArn=ROLE)
        except ClientError as error:
            if "already exists" not in str(error):
                raise
            sagemaker.update_pipeline(PipelineName=name, PipelineDefinition=text)
        started = sagemaker.start_pipeline_execution(PipelineName=name)
        return str(started["PipelineExecutionArn"])

    return go


def test_a_function_gets_its_arguments_and_its_outputs_reach_other_steps(
    client: Client, start: Callable[..., str], arn: str
) -> None:
    answer = {
        "who": {"Get": "Parameters.Who"},
        "count": 3,
        "share": 0.25,
        "good": True,
        "more": [1],
    }
    ask = asked(
        {"Get": "Parameters.Function"}, {"answer": answer, "nothing": None},
        who="String", count="Integer", share="Float", good="Boolean", seen="String",
    )  # fmt: skip
    words = [output("who"), {"Std:Join": {"On": "/", "Values": [output("count"), output("good")]}}]
    script = "import sys; assert sys.argv[1:] == ['me', '3/true'], sys.argv"
    gate = condition(
        "Gate",
        [{"Type": "GreaterThan", "LeftValue": output("share"), "RightValue": 0.2}],
        [processing("Use", script, words=words)],
        [fail("TooLow", "no")],
    )
    parameters = [
        {"Name": "Function", "Type": "String", "DefaultValue": arn},
        {"Name": "Who", "Type": "String", "DefaultValue": "me"},
    ]
    execution = finish(client("sagemaker"), start(ask, gate, parameters=parameters))
    assert execution["PipelineExecutionStatus"] == "Succeeded", execution
    told = execution["Steps"]["Ask"]["Metadata"]["Lambda"]
    assert told["Arn"] == arn
    assert {each["Name"]: each["Value"] for each in told["OutputParameters"]} == {
        "who": "me", "count": "3", "share": "0.25", "good": "true", "seen": "answer,nothing",
    }  # fmt: skip
    assert set(execution["Steps"]) == {"Ask", "Gate", "Use"}


@pytest.mark.parametrize(
    ("arguments", "outputs", "said"),
    [
        ({"raise": True}, {}, "The Lambda function failed: ValueError: no such model"),
        ({"answer": {"a": 1}}, {"b": "String"}, "an object that has the output 'b'"),
        ({"answer": {}}, {"b": "String"}, "an object that has the output 'b'"),
        ({"answer": {"b": 1}}, {"b": "String"}, "'b' must be of type String, not 1"),
        ({"answer": {"b": True}}, {"b": "Integer"}, "'b' must be of type Integer, not true"),
        ({"answer": {"b": "1"}}, {"b": "Float"}, "'b' must be of type Float, not \"1\""),
    ],
)
def test_an_answer_that_is_not_what_was_declared_fails_the_step(
    client: Client,
    start: Callable[..., str],
    arn: str,
    arguments: Any,
    outputs: dict[str, str],
    said: str,
) -> None:
    later = processing("Later", "1", DependsOn=["Ask"])
    execution = finish(client("sagemaker"), start(asked(arn, arguments, **outputs), later))
    assert execution["PipelineExecutionStatus"] == "Failed"
    assert said in execution["Steps"]["Ask"]["FailureReason"]
    assert set(execution["Steps"]) == {"Ask"}


def test_a_function_that_is_not_there_fails_the_step_by_name(
    client: Client, start: Callable[..., str], arn: str
) -> None:
    nobody = arn.replace(":asked", ":nobody")
    execution = finish(client("sagemaker"), start(asked(nobody, {})))
    assert "Function not found" in execution["Steps"]["Ask"]["FailureReason"]


def test_a_stop_waits_for_the_function_and_starts_nothing_more(
    client: Client, start: Callable[..., str], arn: str
) -> None:
    sagemaker = client("sagemaker")
    later = processing("Later", "1", DependsOn=["Ask"])
    execution_arn = start(asked(arn, {"sleep": 1.5, "answer": {"a": "b"}}, a="String"), later)
    listed = sagemaker.list_pipeline_execution_steps
    wait_until(lambda: listed(PipelineExecutionArn=execution_arn)["PipelineExecutionSteps"])
    sagemaker.stop_pipeline_execution(
        PipelineExecutionArn=execution_arn, ClientRequestToken="s" * 32
    )
    execution = finish(sagemaker, execution_arn)
    assert execution["PipelineExecutionStatus"] == "Stopped"
    assert {name: each["StepStatus"] for name, each in execution["Steps"].items()} == {
        "Ask": "Succeeded"
    }


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"FunctionArn": None}, "FunctionArn must be a text"),
        ({"FunctionArn": 5}, "FunctionArn must be a text"),
        ({"OutputParameters": {}}, None),
        ({"OutputParameters": "a"}, "OutputParameters must be a list"),
        ({"OutputParameters": [{"OutputName": "a"}]}, "must have OutputType"),
        (
            {"OutputParameters": [{"OutputName": "a", "OutputType": "Text"}]},
            "must be one of String, Integer, Float, Boolean, not 'Text'",
        ),
        ({"OutputParameters": [{"OutputName": "a", "OutputType": ["String"]}]}, "must be one of"),
        ({"OutputParameters": [{"OutputName": "a", "OutputType": "String"}] * 2}, "no other"),
        ({"RetryPolicies": [{"ExceptionType": ["Step.THROTTLING"]}]}, "Lambda"),
    ],
)
def test_a_lambda_step_is_held_against_its_form(
    client: Client, start: Callable[..., str], arn: str, change: dict[str, Any], said: str | None
) -> None:
    step = asked(arn, {"answer": {}}) | change
    if said is None:
        assert finish(client("sagemaker"), start(step))["PipelineExecutionStatus"] == "Succeeded"
        return
    with pytest.raises(ClientError, match=said):
        start(step)


def test_only_declared_outputs_can_be_referred_to(start: Callable[..., str], arn: str) -> None:
    ask = asked(arn, {}, known="String")
    for reference in (output("unknown"), {"Get": "Steps.Ask.Arn"}, {"Get": "Steps.Ask"}):
        with pytest.raises(ClientError, match=r"step \[Ask\] has the outputs \['known'\]"):
            start(ask, processing("Use", "1", words=[reference]))
