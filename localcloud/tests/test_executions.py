"""Pipelines and their executions, through boto3."""

from __future__ import annotations

import json
import math
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from clients import client_of
from definitions import IMAGE, ROLE, condition, definition, fail, processing
from waiting import finish

from localcloud.sagemaker.execution_records import KIND, STEP
from localcloud.store import Store
from localcloud.testing import localcloud

Client = Callable[[str], Any]
Runner = Callable[..., dict[str, Any]]
pytestmark = pytest.mark.integration


@pytest.fixture
def run(client: Client, request: pytest.FixtureRequest) -> Runner:
    """Creates a pipeline named after the test, runs it to its end, gives what it did."""
    sagemaker = client("sagemaker")
    name = request.node.name.replace("_", "-").split("[")[0][:200]

    def go(text: str, **parameters: str) -> dict[str, Any]:
        given = {"PipelineName": name, "PipelineDefinition": text, "RoleArn": ROLE}
        try:
            sagemaker.create_pipeline(**given)
        except ClientError:
            sagemaker.update_pipeline(**given)
        started = sagemaker.start_pipeline_execution(
            PipelineName=name,
            PipelineParameters=[{"Name": k, "Value": v} for k, v in parameters.items()],
        )
        return finish(sagemaker, started["PipelineExecutionArn"])

    return go


def statuses(execution: dict[str, Any]) -> dict[str, str]:
    return {name: step["StepStatus"] for name, step in execution["Steps"].items()}


def described(sagemaker: Any, arn: str) -> dict[str, Any]:
    """An execution's steps by name, as they stand now."""
    steps = sagemaker.list_pipeline_execution_steps(PipelineExecutionArn=arn)
    return {"Steps": {step["StepName"]: step for step in steps["PipelineExecutionSteps"]}}


WRITE = "import json; json.dump({'auc': {'value': %s}}, open('/opt/ml/processing/out/m.json', 'w'))"


def measured(workshop: str, value: str, **more: Any) -> dict[str, Any]:
    outputs = {"out": f"s3://{workshop}/measured/{value}"}
    files = [{"PropertyFileName": "metrics", "OutputName": "out", "FilePath": "m.json"}]
    return processing("Measure", WRITE % value, outputs=outputs, PropertyFiles=files, **more)


AUC = {
    "Std:JsonGet": {
        "PropertyFile": {"Get": "Steps.Measure.PropertyFiles.metrics"},
        "Path": "auc.value",
    }
}
MIN = {"Get": "Parameters.Min"}


@pytest.mark.parametrize(("value", "chosen"), [("0.9", "Good"), ("0.5", "Bad")])
def test_a_condition_on_a_property_file_takes_one_branch_only(
    run: Runner, workshop: str, value: str, chosen: str
) -> None:
    gate = condition(
        "Gate",
        [
            {
                "Type": "GreaterThanOrEqualTo",
                "LeftValue": AUC,
                "RightValue": {"Get": "Parameters.Min"},
            }
        ],
        [processing("Good", "print('good')")],
        [fail("Bad", {"Std:Join": {"On": " ", "Values": ["below", MIN]}})],
    )
    parameters = [{"Name": "Min", "Type": "Float", "DefaultValue": 0.8}]
    execution = run(definition(measured(workshop, value), gate, parameters=parameters))
    other = {"Good": "Bad", "Bad": "Good"}[chosen]
    assert chosen in execution["Steps"]
    assert other not in execution["Steps"]
    if chosen == "Bad":
        assert execution["PipelineExecutionStatus"] == "Failed"
        assert "below 0.8" in execution["FailureReason"]
    else:
        assert execution["PipelineExecutionStatus"] == "Succeeded"


def test_independent_steps_run_at_the_same_time(run: Runner) -> None:
    sleep = "import time; time.sleep(1.0)"
    execution = run(definition(processing("A", sleep), processing("B", sleep)))
    first, second = execution["Steps"]["A"], execution["Steps"]["B"]
    assert execution["PipelineExecutionStatus"] == "Succeeded"
    assert first["StartTime"] < second["EndTime"]
    assert second["StartTime"] < first["EndTime"]


def test_a_step_waits_for_what_it_refers_to_and_gets_its_value(run: Runner, workshop: str) -> None:
    first = processing("First", "print(1)", outputs={"out": f"s3://{workshop}/first"})
    uri = {"Get": "Steps.First.ProcessingOutputConfig.Outputs['out'].S3Output.S3Uri"}
    second = processing("Second", "import sys; print('got', sys.argv[1])", words=[uri])
    third = processing("Third", "print(3)", DependsOn=["Second"])
    execution = run(definition(third, second, first))
    steps = execution["Steps"]
    assert execution["PipelineExecutionStatus"] == "Succeeded"
    assert steps["First"]["EndTime"] <= steps["Second"]["StartTime"]
    assert steps["Second"]["EndTime"] <= steps["Third"]["StartTime"]


def test_a_step_with_the_same_arguments_is_taken_from_the_cache(
    run: Runner, client: Client
) -> None:
    cache = {"Enabled": True, "ExpireAfter": "P30D"}
    parameters = [{"Name": "Word", "Type": "String", "DefaultValue": "a"}]
    step = processing("Say", "print(1)", words=[{"Get": "Parameters.Word"}], CacheConfig=cache)
    text = definition(step, parameters=parameters)
    first, again, other = run(text), run(text), run(text, Word="b")
    assert "CacheHitResult" not in first["Steps"]["Say"]
    source = again["Steps"]["Say"]["CacheHitResult"]["SourcePipelineExecutionArn"]
    assert source == first["PipelineExecutionArn"]
    assert again["Steps"]["Say"]["Metadata"] == first["Steps"]["Say"]["Metadata"]
    assert "CacheHitResult" not in other["Steps"]["Say"]


def test_a_failed_step_says_why_and_starts_nothing_more(run: Runner) -> None:
    broken = processing("Broken", "raise ValueError('the third wheel')")
    later = processing("Later", "print(1)", DependsOn=["Broken"])
    execution = run(definition(broken, later))
    assert statuses(execution) == {"Broken": "Failed"}
    assert "ValueError: the third wheel" in execution["Steps"]["Broken"]["FailureReason"]
    assert "Broken" in execution["FailureReason"]


def test_stopping_an_execution_ends_its_jobs(client: Client) -> None:
    sagemaker = client("sagemaker")
    text = definition(processing("Long", "import time; time.sleep(60)"))
    sagemaker.create_pipeline(PipelineName="stopped", PipelineDefinition=text, RoleArn=ROLE)
    started = sagemaker.start_pipeline_execution(PipelineName="stopped")["PipelineExecutionArn"]
    while not sagemaker.list_processing_jobs(NameContains="Long", StatusEquals="InProgress")[
        "ProcessingJobSummaries"
    ]:
        time.sleep(0.05)
    sagemaker.stop_pipeline_execution(PipelineExecutionArn=started)
    execution = finish(sagemaker, started, seconds=20)
    assert execution["PipelineExecutionStatus"] == "Stopped"
    assert statuses(execution) == {"Long": "Stopped"}
    job = sagemaker.list_processing_jobs(NameContains="Long")["ProcessingJobSummaries"][0]
    assert job["ProcessingJobStatus"] == "Stopped"


def test_an_execution_keeps_the_definition_and_the_parameters_it_started_with(
    run: Runner, client: Client
) -> None:
    parameters = [{"Name": "Word", "Type": "String", "DefaultValue": "a"}]
    text = definition(processing("Say", "print(1)"), parameters=parameters)
    arn = run(text, Word="b")["PipelineExecutionArn"]
    run(definition(processing("Other", "print(2)")))
    sagemaker = client("sagemaker")
    kept = sagemaker.describe_pipeline_definition_for_execution(PipelineExecutionArn=arn)
    assert kept["PipelineDefinition"] == text
    given = sagemaker.list_pipeline_parameters_for_execution(PipelineExecutionArn=arn)
    assert given["PipelineParameters"] == [{"Name": "Word", "Value": "b"}]


PARAMETERS = [
    {"Name": "Count", "Type": "Integer", "DefaultValue": 1},
    {"Name": "Ratio", "Type": "Float", "DefaultValue": 0.5},
    {"Name": "Flag", "Type": "Boolean", "DefaultValue": True},
    {"Name": "Kind", "Type": "String", "DefaultValue": "a", "EnumValues": ["a", "b"]},
]


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("Nobody", "1", "no parameter [Nobody]"),
        ("Count", "1.5", "[Count] must be of type Integer"),
        ("Count", "many", "[Count] must be of type Integer"),
        ("Ratio", "half", "[Ratio] must be of type Float"),
        ("Flag", "maybe", "[Flag] must be of type Boolean"),
        ("Flag", "1", "[Flag] must be of type Boolean"),
        ("Kind", "c", "[Kind] must be one of"),
    ],
)
def test_a_wrong_parameter_is_refused_before_anything_runs(
    client: Client, name: str, value: str, said: str
) -> None:
    sagemaker = client("sagemaker")
    text = definition(processing("Say", "print(1)"), parameters=PARAMETERS)
    pipeline = f"wrong-parameter-{name}-{value.replace('.', '-')}"
    sagemaker.create_pipeline(PipelineName=pipeline, PipelineDefinition=text, RoleArn=ROLE)
    with pytest.raises(ClientError, match="ValidationException") as refused:
        sagemaker.start_pipeline_execution(
            PipelineName=pipeline, PipelineParameters=[{"Name": name, "Value": value}]
        )
    assert said in str(refused.value)
    listed = sagemaker.list_pipeline_executions(PipelineName=pipeline)
    assert listed["PipelineExecutionSummaries"] == []


@pytest.mark.parametrize(
    ("given", "chosen"), [({}, "On"), ({"Flag": "false"}, "Off"), ({"Flag": "TRUE"}, "On")]
)
def test_a_boolean_parameter_reaches_conditions_and_texts_as_one(
    run: Runner, given: dict[str, str], chosen: str
) -> None:
    flag = {"Get": "Parameters.Flag"}
    same = {"Type": "Equals", "LeftValue": flag, "RightValue": True}
    gate = condition("Gate", [same], [], [])
    for branch, name in (("IfSteps", "On"), ("ElseSteps", "Off")):
        word = {"Std:Join": {"On": "=", "Values": ["flag", flag]}}
        script = "import sys; raise SystemExit(sys.argv[1])"
        gate["Arguments"][branch] = [processing(name, script, words=[word])]
    execution = run(definition(gate, parameters=PARAMETERS), **given)
    assert set(execution["Steps"]) == {"Gate", chosen}
    said = {"On": "flag=true", "Off": "flag=false"}[chosen]
    assert said in execution["Steps"][chosen]["FailureReason"]


ONE = processing("Say", "print(1)")
AFTER_B = processing("A", "1", DependsOn=["B"])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "not JSON"),
        ('{"Version": "2019-01-01", "Steps": []}', "Version"),
        (definition({"Name": "Clever", "Type": "EMR", "Arguments": {}}), "[Clever] has type 'EMR'"),
        (definition(ONE, ONE), "unique: 'Say'"),
        (definition(AFTER_B), "depends on [B]"),
        (
            definition(
                processing("A", "1", DependsOn=["B"]), processing("B", "1", DependsOn=["A"])
            ),
            "wait for each other",
        ),
        (definition(processing("A", "1", words=[{"Get": "Parameters.No"}])), "parameter [No]"),
        (definition(processing("A", "1", words=[{"Get": "Execution.No"}])), "variable 'No'"),
        (definition(condition("C", [{"Type": "Like"}], [], [])), "unknown type 'Like'"),
        (definition(ONE, parameters=[{"Name": "P", "Type": "Date"}]), "unknown type 'Date'"),
        (
            definition(ONE, parameters=[{"Name": "P", "Type": "Integer", "DefaultValue": "x"}]),
            "its default is 'x'",
        ),
    ],
)
def test_a_definition_that_cannot_be_run_is_refused_when_it_is_created(
    client: Client, text: str, said: str
) -> None:
    sagemaker = client("sagemaker")
    with pytest.raises(ClientError, match="ValidationException") as refused:
        sagemaker.create_pipeline(PipelineName="never", PipelineDefinition=text, RoleArn=ROLE)
    assert said in str(refused.value)
    assert sagemaker.list_pipelines(PipelineNamePrefix="never")["PipelineSummaries"] == []


def test_a_pipeline_can_be_described_listed_tagged_and_deleted(client: Client) -> None:
    sagemaker = client("sagemaker")
    arn = sagemaker.create_pipeline(
        PipelineName="short-lived",
        PipelineDefinition=definition(ONE),
        RoleArn=ROLE,
        Tags=[{"Key": "team", "Value": "ops"}],
    )["PipelineArn"]
    assert sagemaker.describe_pipeline(PipelineName="short-lived")["PipelineArn"] == arn
    assert sagemaker.list_tags(ResourceArn=arn)["Tags"] == [{"Key": "team", "Value": "ops"}]
    sagemaker.delete_pipeline(PipelineName="short-lived")
    with pytest.raises(sagemaker.exceptions.ResourceNotFound):
        sagemaker.describe_pipeline(PipelineName="short-lived")


def changed(step: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    """A copy of a step with one argument changed, by its path."""
    copy = json.loads(json.dumps(step))
    *parents, last = path.split(".")
    current = copy["Arguments"]
    for name in parents:
        current = current.setdefault(name, {})
    current[last] = value
    return dict(copy)


ROLE_OF_OTHERS = "arn:aws:iam::000000000000:role/other"


def test_outputs_resources_and_role_keep_a_cached_step_and_what_goes_in_does_not(
    run: Runner, client: Client, workshop: str
) -> None:
    client("s3").put_object(Bucket=workshop, Key="cached/one/x", Body=b"1")
    client("s3").put_object(Bucket=workshop, Key="cached/two/x", Body=b"1")

    def given(name: str) -> list[dict[str, Any]]:
        where = {
            "S3Uri": f"s3://{workshop}/cached/{name}",
            "LocalPath": "/opt/ml/processing/in",
            "S3DataType": "S3Prefix",
            "S3InputMode": "File",
        }
        return [{"InputName": "in", "S3Input": where}]

    cache = {"Enabled": True, "ExpireAfter": "T16m"}
    step = processing("Say", "print(1)", inputs=given("one"), CacheConfig=cache)
    run(definition(step))
    kept = [
        changed(step, "ProcessingResources.ClusterConfig.InstanceType", "ml.m5.xlarge"),
        changed(step, "RoleArn", ROLE_OF_OTHERS),
        changed(step, "StoppingCondition", {"MaxRuntimeInSeconds": 77}),
        processing(
            "Say", "print(1)", inputs=given("one"), CacheConfig=cache,
            outputs={"out": f"s3://{workshop}/cached/out"},
        ),
    ]  # fmt: skip
    for same in kept:
        assert "CacheHitResult" in run(definition(same))["Steps"]["Say"]
    others = [
        changed(step, "Environment", {"A": "1"}),
        processing("Say", "print(1)", inputs=given("two"), CacheConfig=cache),
        processing("Say", "print(2)", inputs=given("one"), CacheConfig=cache),
    ]
    for other in others:
        assert "CacheHitResult" not in run(definition(other))["Steps"]["Say"]


def test_a_failed_step_and_a_step_of_another_pipeline_are_not_in_the_cache(
    run: Runner, client: Client, tmp_path: Path
) -> None:
    step = mending("Say", tmp_path, CacheConfig={"Enabled": True})
    assert run(definition(step))["PipelineExecutionStatus"] == "Failed"
    (tmp_path / "mended").touch()
    assert "CacheHitResult" not in run(definition(step))["Steps"]["Say"]
    sagemaker = client("sagemaker")
    sagemaker.create_pipeline(
        PipelineName="cache-of-others", PipelineDefinition=definition(step), RoleArn=ROLE
    )
    started = sagemaker.start_pipeline_execution(PipelineName="cache-of-others")
    other = finish(sagemaker, started["PipelineExecutionArn"])
    assert "CacheHitResult" not in other["Steps"]["Say"]


def mending(name: str, folder: Path, **more: Any) -> dict[str, Any]:
    """A step that fails until a file is there."""
    script = f"import os, sys; sys.exit(not os.path.exists({str(folder / 'mended')!r}))"
    return processing(name, script, **more)


def chain(folder: Path) -> str:
    """First -> Gate -> { Second, which fails until it is mended } -> Third."""
    gate = condition("Gate", [{"Type": "Equals", "LeftValue": 1, "RightValue": 1}], [], [])
    gate["Arguments"]["IfSteps"] = [mending("Second", folder)]
    return definition(
        processing("First", "print(1)"),
        gate | {"DependsOn": ["First"]},
        processing("Third", "print(3)", DependsOn=["Second"]),
    )


@pytest.fixture
def broken(client: Client, run: Runner, tmp_path: Path) -> str:
    """The ARN of an execution of the chain that failed at Second."""
    execution = run(chain(tmp_path))
    assert statuses(execution) == {"First": "Succeeded", "Gate": "Succeeded", "Second": "Failed"}
    return str(execution["PipelineExecutionArn"])


def test_a_retried_execution_runs_what_did_not_succeed_and_nothing_twice(
    client: Client, broken: str, tmp_path: Path
) -> None:
    sagemaker = client("sagemaker")
    before = finish(sagemaker, broken)
    (tmp_path / "mended").touch()
    token = "r" * 40
    for _ in range(2):
        sagemaker.retry_pipeline_execution(PipelineExecutionArn=broken, ClientRequestToken=token)
    after = finish(sagemaker, broken)
    assert after["PipelineExecutionStatus"] == "Succeeded"
    assert "FailureReason" not in after
    for name in ("First", "Gate"):
        assert after["Steps"][name] == before["Steps"][name]
    assert after["Steps"]["Second"]["Metadata"] != before["Steps"]["Second"]["Metadata"]
    assert after["Steps"]["Third"]["StepStatus"] == "Succeeded"
    with pytest.raises(ClientError, match="Only executions in status Failed or Stopped"):
        sagemaker.retry_pipeline_execution(PipelineExecutionArn=broken)


def test_a_stopped_execution_can_be_retried(client: Client, tmp_path: Path) -> None:
    sagemaker = client("sagemaker")
    wait = f"import os, time\nwhile not os.path.exists({str(tmp_path / 'go')!r}): time.sleep(0.05)"
    text = definition(processing("Wait", wait), processing("Next", "1", DependsOn=["Wait"]))
    sagemaker.create_pipeline(PipelineName="resumed", PipelineDefinition=text, RoleArn=ROLE)
    arn = sagemaker.start_pipeline_execution(PipelineName="resumed")["PipelineExecutionArn"]
    sagemaker.stop_pipeline_execution(PipelineExecutionArn=arn)
    assert finish(sagemaker, arn)["PipelineExecutionStatus"] == "Stopped"
    (tmp_path / "go").touch()
    sagemaker.retry_pipeline_execution(PipelineExecutionArn=arn)
    resumed = finish(sagemaker, arn)
    assert statuses(resumed) == {"Wait": "Succeeded", "Next": "Succeeded"}


def select(client: Client, pipeline: str, *names: str, source: str | None = None) -> dict[str, Any]:
    config: dict[str, Any] = {"SelectedSteps": [{"StepName": name} for name in names]}
    if source is not None:
        config["SourcePipelineExecutionArn"] = source
    sagemaker = client("sagemaker")
    started = sagemaker.start_pipeline_execution(
        PipelineName=pipeline, SelectiveExecutionConfig=config
    )
    return finish(sagemaker, started["PipelineExecutionArn"])


def pipeline_of(arn: str) -> str:
    return arn.split("/")[1]


def test_selected_steps_run_on_the_results_of_the_source_and_on_nothing_else(
    client: Client, broken: str, tmp_path: Path
) -> None:
    (tmp_path / "mended").touch()
    chosen = select(client, pipeline_of(broken), "Second", source=broken)
    assert statuses(chosen) == {"Gate": "Succeeded", "Second": "Succeeded"}
    reused = chosen["Steps"]["Gate"]["SelectiveExecutionResult"]
    assert reused == {"SourcePipelineExecutionArn": broken}
    assert "SelectiveExecutionResult" not in chosen["Steps"]["Second"]
    assert chosen["SelectiveExecutionConfig"]["SourcePipelineExecutionArn"] == broken
    again = select(client, pipeline_of(broken), "Third", source=chosen["PipelineExecutionArn"])
    assert statuses(again) == {"Second": "Succeeded", "Third": "Succeeded"}
    assert statuses(select(client, pipeline_of(broken), "First")) == {"First": "Succeeded"}


@pytest.mark.parametrize(
    ("names", "with_source", "said"),
    [
        (["Nobody"], True, "[Nobody] is no step"),
        (
            ["Second"],
            False,
            "Invalid SourcePipelineExecutionArn: null. The selected steps [Second]",
        ),
        (["Third"], True, "have dependencies on [Second], which did not succeed"),
        (["First", "Third"], True, "Not selected: [Gate, Second]"),
    ],
)
def test_a_selection_that_cannot_be_run_is_refused(
    client: Client, broken: str, names: list[str], with_source: bool, said: str
) -> None:
    with pytest.raises(ClientError, match="ValidationException") as refused:
        select(client, pipeline_of(broken), *names, source=broken if with_source else None)
    assert said in str(refused.value)


def test_a_call_repeated_with_its_token_is_made_once(client: Client) -> None:
    sagemaker = client("sagemaker")
    create = {
        "PipelineName": "made-once",
        "PipelineDefinition": definition(ONE),
        "RoleArn": ROLE,
        "ClientRequestToken": "c" * 40,
    }
    first, second = (sagemaker.create_pipeline(**create)["PipelineArn"] for _ in range(2))
    assert first == second
    start = {"PipelineName": "made-once", "ClientRequestToken": "s" * 40}
    arns = {sagemaker.start_pipeline_execution(**start)["PipelineExecutionArn"] for _ in range(3)}
    assert len(arns) == 1
    with pytest.raises(ClientError, match="was used for another"):
        sagemaker.start_pipeline_execution(**start, PipelineExecutionDescription="other")
    finish(sagemaker, arns.pop())
    listed = sagemaker.list_pipeline_executions(PipelineName="made-once")
    assert len(listed["PipelineExecutionSummaries"]) == 1


def test_a_started_execution_can_be_renamed_and_run_wider(client: Client, tmp_path: Path) -> None:
    sagemaker = client("sagemaker")
    go = tmp_path / "go"
    wait = f"import os, time\nwhile not os.path.exists({str(go)!r}): time.sleep(0.05)"
    text = definition(processing("A", wait), processing("B", "print(2)"))
    sagemaker.create_pipeline(PipelineName="wider", PipelineDefinition=text, RoleArn=ROLE)
    arn = sagemaker.start_pipeline_execution(
        PipelineName="wider", ParallelismConfiguration={"MaxParallelExecutionSteps": 1}
    )["PipelineExecutionArn"]
    time.sleep(0.5)
    listed = sagemaker.list_pipeline_execution_steps(PipelineExecutionArn=arn)
    assert [step["StepName"] for step in listed["PipelineExecutionSteps"]] == ["A"]
    sagemaker.update_pipeline_execution(
        PipelineExecutionArn=arn,
        PipelineExecutionDisplayName="renamed",
        ParallelismConfiguration={"MaxParallelExecutionSteps": 2},
    )
    deadline = time.monotonic() + 30
    while statuses(described(sagemaker, arn)).get("B") != "Succeeded":
        assert time.monotonic() < deadline, "B waits for A, though two may run"
        time.sleep(0.05)
    go.touch()
    done = finish(sagemaker, arn)
    assert done["PipelineExecutionDisplayName"] == "renamed"
    assert done["Steps"]["B"]["EndTime"] <= done["Steps"]["A"]["EndTime"]


def test_pipelines_and_executions_are_listed_by_the_time_of_their_making(client: Client) -> None:
    """The moment between is a whole second, as boto3 sends no parts of one."""
    sagemaker = client("sagemaker")
    text = definition(processing("A", "print(1)"))

    def make(name: str) -> str:
        sagemaker.create_pipeline(PipelineName=name, PipelineDefinition=text, RoleArn=ROLE)
        return start()

    def start() -> str:
        started = sagemaker.start_pipeline_execution(PipelineName="listed-1")
        finish(sagemaker, started["PipelineExecutionArn"])
        return str(started["PipelineExecutionArn"])

    early = make("listed-1")
    between = math.ceil(time.time())
    time.sleep(max(0.0, between - time.time()) + 0.05)
    late = make("listed-2")
    for times, name, execution in (
        ({"CreatedBefore": between}, "listed-1", early),
        ({"CreatedAfter": between}, "listed-2", late),
    ):
        pipelines = sagemaker.list_pipelines(PipelineNamePrefix="listed", **times)
        assert [each["PipelineName"] for each in pipelines["PipelineSummaries"]] == [name]
        found = sagemaker.list_pipeline_executions(PipelineName="listed-1", **times)
        arns = [each["PipelineExecutionArn"] for each in found["PipelineExecutionSummaries"]]
        assert arns == [execution]


def test_a_step_whose_job_took_too_long_says_so_and_its_job_can_be_run_again(run: Runner) -> None:
    step = processing("Long", "import time; time.sleep(60)")
    step["Arguments"]["StoppingCondition"] = {"MaxRuntimeInSeconds": 1}
    execution = run(definition(step))
    assert execution["PipelineExecutionStatus"] == "Failed"
    reason = execution["Steps"]["Long"]["FailureReason"]
    assert "it ran longer than its MaxRuntimeInSeconds, 1\n" in reason
    job = execution["Steps"]["Long"]["Metadata"]["ProcessingJob"]["Arn"].rpartition("/")[2]
    assert reason.endswith(f"localcloud debug {job}")


def test_execution_variables_hold_what_they_name(run: Runner) -> None:
    names = ("StartDateTime", "CurrentDateTime", "PipelineName", "PipelineArn",
             "PipelineExecutionId", "PipelineExecutionArn", "ProcessingJobName")  # fmt: skip
    script = "import sys; raise ValueError(' '.join(sys.argv[1:]))"
    words = [{"Get": f"Execution.{name}"} for name in names]
    execution = run(definition(processing("Say", script, words=words)))
    arn = execution["PipelineExecutionArn"]
    said = execution["FailureReason"].partition("ValueError: ")[2].split()
    assert said[2:6] == [arn.split("/")[1], arn.split("/execution")[0], arn[-12:], arn]
    assert said[0] <= said[1]
    job = execution["Steps"]["Say"]["Metadata"]["ProcessingJob"]["Arn"]
    assert said[6].rstrip(",") == job.rpartition("/")[2]


@pytest.mark.slow
def test_an_execution_that_was_killed_goes_on_with_a_retry(tmp_path: Path) -> None:
    state = tmp_path / "state"
    go = tmp_path / "go"
    wait = f"import os, time\nwhile not os.path.exists({str(go)!r}): time.sleep(0.05)"
    text = definition(processing("First", "1"), processing("Wait", wait, DependsOn=["First"]))
    with localcloud(state) as cloud:
        sagemaker = client_of(cloud, "sagemaker")
        sagemaker.create_pipeline(PipelineName="killed", PipelineDefinition=text, RoleArn=ROLE)
        arn = sagemaker.start_pipeline_execution(PipelineName="killed")["PipelineExecutionArn"]
        while not sagemaker.list_processing_jobs(NameContains="Wait")["ProcessingJobSummaries"]:
            time.sleep(0.05)
        os.kill(json.loads((state / "server.json").read_text())["pid"], signal.SIGKILL)
        assert cloud.command("up").returncode == 0
        killed = finish(sagemaker, arn)
        assert statuses(killed) == {"First": "Succeeded", "Wait": "Failed"}
        assert killed["FailureReason"] == "localcloud ended while this ran"
        go.touch()
        sagemaker.retry_pipeline_execution(PipelineExecutionArn=arn)
        retried = finish(sagemaker, arn)
        assert statuses(retried) == {"First": "Succeeded", "Wait": "Succeeded"}
        assert retried["Steps"]["First"] == killed["Steps"]["First"]


@pytest.mark.slow
def test_a_package_is_registered_once_though_its_step_was_cut_off_right_after(
    tmp_path: Path,
) -> None:
    """The state is made by hand: a kill between the two is a matter of microseconds."""
    state = tmp_path / "state"
    specification = {
        "Containers": [{"Image": IMAGE}],
        "SupportedContentTypes": ["text/csv"],
        "SupportedResponseMIMETypes": ["text/csv"],
    }
    step = {
        "Name": "Register",
        "Type": "RegisterModel",
        "Arguments": {"ModelPackageGroupName": "once", "InferenceSpecification": specification},
    }
    with localcloud(state) as cloud:
        sagemaker = client_of(cloud, "sagemaker")
        sagemaker.create_model_package_group(ModelPackageGroupName="once")
        sagemaker.create_pipeline(
            PipelineName="once", PipelineDefinition=definition(step), RoleArn=ROLE
        )
        arn = sagemaker.start_pipeline_execution(PipelineName="once")["PipelineExecutionArn"]
        finish(sagemaker, arn)
        cloud.command("down")
        store = Store(state / "state.db")
        for kind in (KIND, STEP):
            for caller, name, document in store.everywhere(kind):
                status = "StepStatus" if kind == STEP else "PipelineExecutionStatus"
                store.put(caller, kind, name, document | {status: "Executing"})
        store.close()
        cloud.command("up")
        sagemaker.retry_pipeline_execution(PipelineExecutionArn=arn)
        assert statuses(finish(sagemaker, arn)) == {"Register": "Succeeded"}
        again = sagemaker.start_pipeline_execution(PipelineName="once")["PipelineExecutionArn"]
        finish(sagemaker, again)
        listed = sagemaker.list_model_packages(ModelPackageGroupName="once")
    versions = [each["ModelPackageVersion"] for each in listed["ModelPackageSummaryList"]]
    assert sorted(versions) == [1, 2]
