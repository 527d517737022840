"""The definition language: what is refused, what is resolved, and what runs when."""

from __future__ import annotations

import io
import json
import tarfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from definitions import ROLE, condition, definition, fail, processing
from test_executions import finish, statuses

from localcloud.clock import Clock
from localcloud.errors import ServiceError, ValidationException
from localcloud.sagemaker.workflow.cache import cache_key
from localcloud.sagemaker.workflow.conditions import holds
from localcloud.sagemaker.workflow.definition import Step, read_definition
from localcloud.sagemaker.workflow.retries import kind_of_failure
from localcloud.sagemaker.workflow.run import Outcome, Run, StepFailed
from localcloud.sagemaker.workflow.values import Unresolvable, Values

Client = Callable[[str], Any]
CAPACITY = "SageMaker.CAPACITY_ERROR"
FOLDER = Path(__file__).parent / "definitions"


def get(path: str) -> dict[str, str]:
    return {"Get": path}


def join(on: str, *values: Any) -> dict[str, Any]:
    return {"Std:Join": {"On": on, "Values": list(values)}}


def compare(kind: str, left: Any, right: Any) -> dict[str, Any]:
    return {"Type": kind, "LeftValue": left, "RightValue": right}


def training(**more: Any) -> dict[str, Any]:
    return {
        "AlgorithmSpecification": {"TrainingImage": "i", "TrainingInputMode": "File"},
        "HyperParameters": {"depth": "1"},
        "InputDataConfig": [{"ChannelName": "train", "DataSource": {"S3Uri": "s3://b/one"}}],
        "OutputDataConfig": {"S3OutputPath": "s3://b/out"},
        "ResourceConfig": {"InstanceType": "ml.m5.large"},
        "RoleArn": ROLE,
        **more,
    }


def tuning(**more: Any) -> dict[str, Any]:
    definition = training(StaticHyperParameters={"a": "1"}, Environment={}) | more
    config = {"Strategy": more.pop("Strategy", "Random")}
    return {"HyperParameterTuningJobConfig": config, "TrainingJobDefinition": definition}


OTHER_DATA = [{"ChannelName": "train", "DataSource": {"S3Uri": "s3://b/two"}}]


@pytest.mark.parametrize(
    ("kind", "make", "changes", "same"),
    [
        ("Training", training, {"OutputDataConfig": {"S3OutputPath": "s3://b/else"}}, True),
        ("Training", training, {"ResourceConfig": {"InstanceType": "ml.m5.xlarge"}}, True),
        ("Training", training, {"RoleArn": "other", "TrainingJobName": "n"}, True),
        ("Training", training, {"StoppingCondition": {"MaxRuntimeInSeconds": 7}}, True),
        ("Training", training, {"HyperParameters": {"depth": "2"}}, False),
        ("Training", training, {"Environment": {"A": "1"}}, False),
        ("Training", training, {"InputDataConfig": OTHER_DATA}, False),
        ("Training", training, {"CheckpointConfig": {"S3Uri": "s3://b/c"}}, False),
        ("Tuning", tuning, {"OutputDataConfig": {"S3OutputPath": "s3://b/else"}}, True),
        ("Tuning", tuning, {"Environment": {"A": "1"}}, True),
        ("Tuning", tuning, {"StaticHyperParameters": {"a": "2"}}, False),
        ("Tuning", tuning, {"InputDataConfig": OTHER_DATA}, False),
        ("Tuning", tuning, {"Strategy": "Grid"}, False),
    ],
)
def test_only_the_attributes_that_aws_lists_are_part_of_a_cache_key(
    kind: str, make: Callable[..., dict[str, Any]], changes: dict[str, Any], same: bool
) -> None:
    keys = [cache_key("p", "S", kind, arguments) for arguments in (make(), make(**changes))]
    assert (keys[0] == keys[1]) is same


@pytest.mark.parametrize(
    ("kind", "reason", "wanted"),
    [
        ("Training", "InternalServerError: it broke", "SageMaker.JOB_INTERNAL_ERROR"),
        ("Tuning", "InternalServerError: it broke", None),
        ("Processing", "CapacityError: none left", CAPACITY),
        ("Training", "ResourceLimitExceeded: too many", "SageMaker.RESOURCE_LIMIT"),
        ("Training", "AlgorithmError: InternalServerError: so it says", None),
        ("Training", "ClientError: CapacityError", None),
    ],
)
def test_the_start_of_a_jobs_failure_reason_tells_its_kind(
    kind: str, reason: str, wanted: str | None
) -> None:
    assert kind_of_failure(kind, reason) == wanted


class Past:
    """Runs a definition without jobs: what each step does is a function of its name."""

    def __init__(self, text: str, does: dict[str, Callable[[], Outcome]] | None = None) -> None:
        self.states: dict[str, dict[str, Any]] = {}
        self.tried: list[str] = []
        self.pauses: list[float] = []
        self.now = 0.0
        self._does = does or {}
        values = Values({}, {}, lambda _uri: b"{}")
        self.run = Run(
            read_definition(text), values, self._execute, self._record,
            clock=Clock(elapsed=lambda: self.now, wait=self._wait),
        )  # fmt: skip

    def _execute(self, step: Step, *_: Any) -> Outcome:
        self.tried.append(step.name)
        return self._does.get(step.name, Outcome)()

    def _record(self, step: Step, state: dict[str, Any]) -> None:
        self.states[step.name] = dict(state)

    def _wait(self, stopping: threading.Event, seconds: float) -> bool:
        self.pauses.append(seconds)
        self.now += seconds
        return stopping.is_set()


def failing(*kinds: str | None) -> Callable[[], Outcome]:
    left = list(kinds)

    def fail_once() -> Outcome:
        if left:
            raise StepFailed("broken", left.pop(0))
        return Outcome()

    return fail_once


def retried(*policies: dict[str, Any]) -> str:
    return definition(processing("Say", "1", RetryPolicies=list(policies)))


def test_each_pause_is_longer_by_the_back_off_rate_and_each_attempt_is_counted() -> None:
    policy = {"ExceptionType": [CAPACITY], "IntervalSeconds": 3, "BackoffRate": 1.5}
    past = Past(retried(policy), {"Say": failing(CAPACITY, CAPACITY, CAPACITY)})
    assert past.run.run() == "Succeeded"
    assert past.pauses == [3, 4.5, 6.75]
    assert past.states["Say"]["AttemptCount"] == 4


@pytest.mark.parametrize(
    ("policy", "failures", "tried"),
    [
        ({"MaxAttempts": 2}, [CAPACITY] * 9, 3),
        ({"MaxAttempts": 0}, [CAPACITY] * 9, 1),
        ({}, [CAPACITY] * 9, 6),
        # Pauses of 1, 2, 4, 8, 16 and 32 seconds; the minute is over after the last of them.
        ({"ExpireAfterMin": 1}, [CAPACITY] * 9, 7),
        ({"ExpireAfterMin": 0}, [CAPACITY] * 9, 1),
        ({"MaxAttempts": 5}, ["SageMaker.JOB_INTERNAL_ERROR"], 1),
        ({"MaxAttempts": 5}, [None], 1),
    ],
)
def test_a_policy_says_how_often_and_after_what_a_step_is_tried_again(
    policy: dict[str, Any], failures: list[str | None], tried: int
) -> None:
    past = Past(retried({"ExceptionType": [CAPACITY], **policy}), {"Say": failing(*failures)})
    assert past.run.run() == "Failed"
    assert len(past.tried) == tried


def test_faults_of_the_service_are_retried_without_a_policy_and_a_policy_overrides_that() -> None:
    fault = ["Step.SERVICE_FAULT"] * 9
    automatic = Past(definition(processing("Say", "1")), {"Say": failing(*fault)})
    assert automatic.run.run() == "Failed"
    assert len(automatic.tried) == 6
    never = {"ExceptionType": ["Step.SERVICE_FAULT"], "MaxAttempts": 0}
    overridden = Past(retried(never), {"Say": failing(*fault)})
    overridden.run.run()
    assert len(overridden.tried) == 1


def test_an_error_of_the_request_is_never_retried() -> None:
    def refuse() -> Outcome:
        raise ValidationException("no such thing")

    past = Past(definition(processing("Say", "1")), {"Say": refuse})
    past.run.run()
    assert past.tried == ["Say"]
    assert past.states["Say"]["FailureReason"] == "ClientError: no such thing"


def test_a_throttled_call_is_retried() -> None:
    class ThrottledError(ServiceError):
        code, status = "ThrottlingException", 400

    calls = [ThrottledError("slowly")]

    def once() -> Outcome:
        if calls:
            raise calls.pop()
        return Outcome()

    past = Past(definition(processing("Say", "1")), {"Say": once})
    assert past.run.run() == "Succeeded"
    assert past.pauses == [1]


def test_a_stop_ends_the_wait_for_the_next_attempt() -> None:
    past = Past(retried({"ExceptionType": [CAPACITY], "IntervalSeconds": 60}), {})
    past._does["Say"] = lambda: past.run.stopping.set() or failing(CAPACITY)()  # type: ignore[func-returns-value]
    assert past.run.run() == "Stopped"
    assert past.states["Say"]["StepStatus"] == "Stopped"
    assert past.tried == ["Say"]


def test_a_step_that_depends_on_a_step_of_the_branch_not_taken_does_not_run() -> None:
    gate = condition(
        "Gate", [compare("Equals", 1, 1)], [processing("Yes", "1")], [processing("No", "1")]
    )
    after = [processing(f"After{name}", "1", DependsOn=[name]) for name in ("Yes", "No", "Gate")]
    past = Past(definition(gate, *after), {"Gate": lambda: Outcome({"Outcome": "True"})})
    assert past.run.run() == "Succeeded"
    assert set(past.tried) == {"Gate", "Yes", "AfterYes", "AfterGate"}


def test_after_a_failure_what_runs_ends_and_nothing_else_starts() -> None:
    both = threading.Barrier(2, timeout=10)
    failed = threading.Event()

    def broken() -> Outcome:
        both.wait()
        raise StepFailed("the wheel came off")

    def slow() -> Outcome:
        both.wait()
        failed.wait(0.2)
        return Outcome()

    text = definition(
        processing("Broken", "1"),
        processing("Slow", "1"),
        processing("Later", "1", DependsOn=["Slow"]),
    )
    past = Past(text, {"Broken": broken, "Slow": slow})
    assert past.run.run() == "Failed"
    assert past.states["Slow"]["StepStatus"] == "Succeeded"
    assert "Later" not in past.states
    assert past.run.failure == (
        "Step failure: One or multiple steps failed. Broken: the wheel came off"
    )


PROPERTIES = {
    "A": {
        "ProcessingOutputConfig": {
            "Outputs": [{"OutputName": "x.y", "S3Output": {"S3Uri": "s3://b/x"}}]
        },
        "Environment": {"a.b": "dotted"},
    }
}
FILES = {"A": {"m": {"PropertyFileName": "m", "OutputName": "x.y", "FilePath": "m.json"}}}
DOCUMENT = {"list": [{"the value": 0.5}, 2], "flat.key": True}
M = get("Steps.A.PropertyFiles.m")
OUTPUT = "Steps.A.ProcessingOutputConfig.Outputs"


@pytest.mark.parametrize(
    ("value", "resolved"),
    [
        (get("Parameters.P"), 3),
        (join("/", "s3:/", get("Parameters.P"), join("-", "a", True, 1.5)), "s3://3/a-true-1.5"),
        (get(f"{OUTPUT}['x.y'].S3Output.S3Uri"), "s3://b/x"),
        (get(f"{OUTPUT}[0].S3Output.S3Uri"), "s3://b/x"),
        (get("Steps.A.Environment['a.b']"), "dotted"),
        ({"Std:JsonGet": {"PropertyFile": M, "Path": "list[0]['the value']"}}, 0.5),
        ({"Std:JsonGet": {"PropertyFile": M, "Path": "list[1]"}}, 2),
        ({"Std:JsonGet": {"PropertyFile": M, "Path": "['flat.key']"}}, True),
        ({"Std:JsonGet": {"S3Uri": "s3://b/x/m.json", "Path": 'list[0]["the value"]'}}, 0.5),
        (
            {"Std:JsonGet": {
                "S3Uri": join("/", get(f"{OUTPUT}['x.y'].S3Output.S3Uri"), "m.json"),
                "Path": "list[1]",
            }},
            2,
        ),
        ([{"k": get("Parameters.P"), "left out": None}], [{"k": 3}]),
    ],
)  # fmt: skip
def test_a_function_gives_the_value_it_stands_for(value: Any, resolved: Any) -> None:
    read = {"s3://b/x/m.json": json.dumps(DOCUMENT).encode()}
    values = Values({"P": 3}, {}, read.__getitem__, PROPERTIES, FILES)
    assert values.resolve(value) == resolved


NAMED = [{"OutputName": "1", "S3Uri": "first"}, {"OutputName": "0", "S3Uri": "second"}]


@pytest.mark.parametrize(
    ("path", "found"), [("['1']", "first"), ('["0"]', "second"), ("[1]", "second"), (".1", "first")]
)
def test_a_number_in_quotes_is_a_name_and_without_them_a_place(path: str, found: str) -> None:
    values = Values({}, {}, lambda _uri: b"", {"A": {"Outputs": NAMED}})
    assert values.resolve({"Get": f"Steps.A.Outputs{path}.S3Uri"}) == found


@pytest.mark.parametrize("path", ["list[7]", "list.name", "nothing", "list[0]['the value'].deeper"])
def test_a_path_that_leads_nowhere_says_so(path: str) -> None:
    values = Values({}, {}, lambda _uri: json.dumps(DOCUMENT).encode())
    with pytest.raises(Unresolvable, match="there is no"):
        values.resolve({"Std:JsonGet": {"S3Uri": "s3://b/m.json", "Path": path}})


def first_condition(*conditions: dict[str, Any]) -> list[Any]:
    return list(read_definition(definition(condition("C", list(conditions), [], []))).steps)


@pytest.mark.parametrize(
    ("test", "true"),
    [
        (compare("Equals", 1, 1.0), True),
        (compare("Equals", "1", 1), False),
        (compare("Equals", True, 1), False),
        (compare("GreaterThan", 2, 2), False),
        (compare("GreaterThanOrEqualTo", 2, 2.0), True),
        (compare("LessThan", "a", "b"), True),
        (compare("LessThanOrEqualTo", 3, 2), False),
        ({"Type": "In", "QueryValue": "a", "Values": ["b", join("", "a")]}, True),
        ({"Type": "In", "QueryValue": 1, "Values": [True, "1"]}, False),
        ({"Type": "Not", "Condition": compare("Equals", 1, 2)}, True),
        ({"Type": "Or", "Conditions": [compare("Equals", 1, 2), compare("Equals", 1, 1)]}, True),
        (
            {"Type": "Not", "Condition": {"Type": "Or", "Conditions": [
                {"Type": "In", "QueryValue": "x", "Values": ["y"]},
                {"Type": "Not", "Condition": compare("Equals", "x", "x")},
            ]}},
            True,
        ),
    ],
)  # fmt: skip
def test_every_condition_type_holds_when_it_should(test: dict[str, Any], true: bool) -> None:
    first_condition(test)
    assert holds(test, Values({}, {}, lambda _uri: b"")) is true


@pytest.mark.parametrize(
    ("kind", "below", "same", "above"),
    [
        ("Equals", False, True, False),
        ("GreaterThan", False, False, True),
        ("GreaterThanOrEqualTo", False, True, True),
        ("LessThan", True, False, False),
        ("LessThanOrEqualTo", True, True, False),
    ],
)
@pytest.mark.parametrize(("low", "high"), [(2, 10), (-0.5, 0.25), (2, 2.5), ("10", "2")])
def test_a_comparison_tells_what_is_below_the_same_and_above(
    kind: str, below: bool, same: bool, above: bool, low: Any, high: Any
) -> None:
    values = Values({"Low": low, "High": high}, {}, lambda _uri: b"")
    names = (get("Parameters.Low"), get("Parameters.High"))

    def true(left: Any, right: Any) -> bool:
        return holds(compare(kind, left, right), values)

    assert [true(low, high), true(low, low), true(high, low)] == [below, same, above]
    assert [true(*names), true(names[1], high), true(*reversed(names))] == [below, same, above]


@pytest.mark.parametrize(
    ("left", "right"), [("1", 2), (True, False), ([], [])], ids=["text", "boolean", "list"]
)
def test_what_has_no_order_cannot_be_ordered(left: Any, right: Any) -> None:
    values = Values({"L": left, "R": right}, {}, lambda _uri: b"")
    test = compare("LessThan", get("Parameters.L"), get("Parameters.R"))
    with pytest.raises(Unresolvable, match="cannot be compared by LessThan"):
        holds(test, values)


def conditions(*tests: Any) -> str:
    return definition(condition("C", list(tests), [], []))


def step(**more: Any) -> str:
    return definition(processing("A", "1", **more))


def words(value: Any) -> str:
    return step(words=[value])


def topped(**more: Any) -> str:
    return json.dumps({"Version": "2020-12-01", "Steps": [processing("A", "1")], **more})


IMAGE_OF_OTHERS = {"ImageUri": "1.dkr.ecr.us-east-1.amazonaws.com/mine:1"}
POLICY = {"ExceptionType": [CAPACITY]}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (definition({"Name": "S", "Type": "QualityCheck", "Arguments": {}}), "not emulated yet"),
        *(
            (definition({"Name": "S", "Type": kind, "Arguments": {}}), f"[S] has type {kind!r}")
            for kind in ("ClarifyCheck", "EMR", "Callback", "AutoML")
        ),
        (
            conditions({"Type": "Not", "Expression": compare("Equals", 1, 1)}),
            "unknown property 'Expression'",
        ),
        (conditions({"Type": "Equals", "LeftValue": 1}), "must have RightValue"),
        (conditions(compare("Equals", [1], 1)), "LeftValue of Equals must be a text, a number"),
        (conditions(compare("Equals", None, 1)), "LeftValue of Equals must be a text, a number"),
        (
            conditions({"Type": "In", "QueryValue": 1, "Values": []}),
            "must be a list that is not empty",
        ),
        (conditions({"Type": "Or", "Conditions": [{"Type": "Xor"}]}), "unknown type 'Xor'"),
        (conditions({"Type": "Not", "Condition": 3}), "unknown type None"),
        (conditions(compare("Equals", get("Parameters.No"), 1)), "undeclared parameter [No]"),
        (words({"Std:Join": {"Values": []}}), "must have On"),
        (words({"Std:Join": {"On": "", "Values": [{"a": 1}]}}), "a value of Std:Join must be"),
        (words({"Std:JsonGet": {"Path": "a"}}), "one of PropertyFile and S3Uri"),
        (words({"Std:JsonGet": {"Path": "a[", "S3Uri": "s3://b/k"}}), "is not a path"),
        (words({"Std:Split": {"On": ""}}), "uses the function Std:Split"),
        (words({"Std:Join": {"On": "", "Values": []}, "more": 1}), "must stand alone"),
        (words(get("Steps.A")), "has no property"),
        (words(get("Execution.TrainingJobName")), "is known in Training steps only"),
        (
            definition(
                processing("A", "1"), processing("B", "1", words=[get("Steps.A.Wrong.Name")])
            ),
            "a Processing step has no property 'Wrong.Name'",
        ),
        (
            step(PropertyFiles=[{"PropertyFileName": "f", "OutputName": "o", "FilePath": "p"}]),
            "the step's outputs are []",
        ),
        (step(DependsOn=[{"Step": "B", "Trigger": "Failed"}]), "not emulated yet"),
        (definition(processing("Ä", "1")), "letters, digits"),
        (step(CacheConfig={"Enabled": True, "ExpireAfter": "soon"}), "ISO 8601"),
        (definition(fail("F", "x") | {"CacheConfig": {"Enabled": True}}), "cannot be cached"),
        (definition(fail("F", ["x"])), "ErrorMessage must be a text"),
        (step(RetryPolicies=[{"ExceptionType": ["Boredom"]}]), "must have a list of"),
        (
            step(RetryPolicies=[POLICY | {"MaxAttempts": 21}]),
            "MaxAttempts must be an integer from 0 to 20",
        ),
        (
            step(RetryPolicies=[POLICY | {"MaxAttempts": 1, "ExpireAfterMin": 1}]),
            "only one of MaxAttempts",
        ),
        (step(RetryPolicies=[POLICY | {"IntervalSeconds": 43_201}]), "IntervalSeconds must be"),
        (step(RetryPolicies=[POLICY | {"BackoffRate": -1}]), "BackoffRate must be a number"),
        (definition(fail("F", "x") | {"RetryPolicies": [POLICY]}), "cannot stand at a Fail step"),
        (
            definition({"Name": "A", "Type": "Training", "Arguments": {"Wrong": 1}}),
            "Unknown Argument member Wrong",
        ),
        (
            definition(processing("A", "1") | {"Arguments": {"AppSpecification": IMAGE_OF_OTHERS}}),
            "ProcessingResources must not be null",
        ),
        (step(CacheConfg={"Enabled": True}), "unknown property 'CacheConfg'. (Step [A] has"),
        (step(RetryPolcies=[POLICY]), "unknown property 'RetryPolcies'"),
        (step(FunctionArn="f"), "unknown property 'FunctionArn'"),
        (
            definition(condition("C", [], [processing("A", "1", Depends=[])], [])),
            "unknown property 'Depends'",
        ),
        (definition({"Type": "Fail"}), "Step [] must have Name"),
        (topped(Parametrs=[]), "unknown property 'Parametrs'. (The definition has Version"),
        ('{"Version": "2020-12-01"}', "The definition must have Steps"),
        (topped(MlflowConfig={"MlflowResourceArn": "a"}), "MlflowConfig of a pipeline definition"),
        (
            topped(PipelineExperimentConfig={"ExperimentName": get("Parameters.No")}),
            "PipelineExperimentConfig: the definition uses the undeclared parameter [No]",
        ),
        (topped(PipelineExperimentConfig={"Experiment": "e"}), "unknown property 'Experiment'"),
        (topped(PipelineExperimentConfig={"TrialName": 3.5, "ExperimentName": []}), "must be a"),
        (
            topped(PipelineExperimentConfig={"TrialName": get("Execution.TrainingJobName")}),
            "not 'Execution.TrainingJobName'",
        ),
        (
            topped(PipelineExperimentConfig={"TrialName": get("Steps.A.ProcessingJobName")}),
            "can name parameters and the execution variables",
        ),
        (
            definition(
                processing("A", "1", words=[get("Parameters.P.x")]),
                parameters=[{"Name": "P", "Type": "String"}],
            ),
            "the parameter [P] is one value and has no 'x'",
        ),
        (words(get("Execution.PipelineName.x")), "no execution variable 'PipelineName.x'"),
        ('{"Version": "2020-12-01", "Steps": 3}', "must be a list of steps"),
        ('{"Version": "2020-12-01", "Steps": [3]}', "a step must be an object"),
        ('{"Version": "2020-12-01", "Steps": [], "Parameters": [3]}', "must be an object"),
    ],
)
def test_what_cannot_be_run_is_refused_by_name_when_it_is_read(text: str, said: str) -> None:
    with pytest.raises(ValidationException) as refused:
        read_definition(text)
    assert said in refused.value.message


def test_all_that_the_sdks_write_at_the_top_and_at_a_step_is_accepted() -> None:
    said = {"DisplayName": "d", "Description": "d", "DependsOn": ["A"]}
    function = {
        **said, "Name": "F", "Type": "Lambda", "Arguments": {}, "FunctionArn": "f",
        "OutputParameters": [{"OutputName": "o", "OutputType": "String"}],
        "CacheConfig": {"Enabled": True},
    }  # fmt: skip
    cached = {"CacheConfig": {"Enabled": False}, "RetryPolicies": [POLICY], "PropertyFiles": []}
    text = json.dumps({
        "Version": "2020-12-01",
        "Metadata": {},
        "Parameters": [{"Name": "P", "Type": "String", "DefaultValue": "x"}],
        "PipelineExperimentConfig": {
            "ExperimentName": join("-", get("Parameters.P"), get("Execution.PipelineName")),
            "TrialName": "t",
        },
        "MlflowConfig": None,
        "Steps": [processing("A", "1", **cached), function],
    })  # fmt: skip
    assert [each.name for each in read_definition(text).steps] == ["A", "F"]
    nulls = dict.fromkeys(("Metadata", "Parameters", "PipelineExperimentConfig", "MlflowConfig"))
    assert read_definition(topped(**nulls)).parameters == {}


SCRIPTS = {
    "prepare.py": "import shutil; shutil.copytree('/opt/ml/processing/raw', "
    "'/opt/ml/processing/train', dirs_exist_ok=True)",
    "evaluate.py": "import json, os, sys, tarfile\n"
    "with tarfile.open('/opt/ml/processing/model/model.tar.gz') as tar:\n"
    "    score = float(tar.extractfile('score').read())\n"
    "with open('/opt/ml/processing/report/scores.json', 'w') as file:\n"
    "    json.dump({'models': [{'score': score}], 'words': sys.argv}, file)",
}
TRAIN = """
import argparse, os
parser = argparse.ArgumentParser()
parser.add_argument("--depth", type=int)
parser.add_argument("--alpha", type=float, default=0.0)
parser.add_argument("--mode", default="a")
given = parser.parse_args()
rows = open(os.path.join(os.environ["SM_CHANNEL_TRAIN"], "rows.csv")).read().split()
score = given.depth * 0.1 + given.alpha + 0.1 * len(rows)
print(f"score={score}")
open(os.path.join(os.environ["SM_MODEL_DIR"], "score"), "w").write(str(score))
"""


@pytest.fixture(scope="session")
def sources(client: Client) -> str:
    """The bucket that the SDK's definitions read from."""
    s3 = client("s3")
    s3.create_bucket(Bucket="definitions")
    for name, script in SCRIPTS.items():
        s3.put_object(Bucket="definitions", Key=f"code/{name}", Body=script.encode())
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz") as tar:
        info = tarfile.TarInfo("train.py")
        info.size = len(TRAIN)
        tar.addfile(info, io.BytesIO(TRAIN.encode()))
    s3.put_object(Bucket="definitions", Key="code/sourcedir.tar.gz", Body=archive.getvalue())
    s3.put_object(Bucket="definitions", Key="raw/rows.csv", Body=b"1\n2\n")
    client("sagemaker").create_model_package_group(ModelPackageGroupName="definitions")
    return "definitions"


def run_file(client: Client, name: str, **parameters: str) -> dict[str, Any]:
    sagemaker = client("sagemaker")
    pipeline = f"{name.replace('_', '-')}-{len(parameters)}"
    text = (FOLDER / f"{name}.json").read_text()
    sagemaker.create_pipeline(PipelineName=pipeline, PipelineDefinition=text, RoleArn=ROLE)
    started = sagemaker.start_pipeline_execution(
        PipelineName=pipeline,
        PipelineParameters=[{"Name": key, "Value": value} for key, value in parameters.items()],
    )
    return finish(sagemaker, started["PipelineExecutionArn"])


@pytest.mark.integration
def test_a_definition_of_the_second_sdk_runs_to_its_end(client: Client, sources: str) -> None:
    execution = run_file(client, "sdk_v2")
    assert "FailureReason" not in execution
    names = ("Prepare", "Train", "Tune", "Evaluate", "Gate")
    done = statuses(execution)
    assert {name: done.get(name) for name in names} == dict.fromkeys(names, "Succeeded")
    sagemaker = client("sagemaker")
    steps = execution["Steps"].values()
    (package,) = (
        s["Metadata"]["RegisterModel"]["Arn"] for s in steps if "RegisterModel" in s["Metadata"]
    )
    (model,) = (s["Metadata"]["Model"]["Arn"] for s in steps if "Model" in s["Metadata"])
    assert sagemaker.describe_model_package(ModelPackageName=package)["ModelPackageVersion"] >= 1
    tuning = execution["Steps"]["Tune"]["Metadata"]["TuningJob"]["Arn"].rpartition("/")[2]
    best = sagemaker.describe_hyper_parameter_tuning_job(HyperParameterTuningJobName=tuning)
    best_job = best["BestTrainingJob"]["TrainingJobName"]
    created = sagemaker.describe_model(ModelName=model.rpartition("/")[2])
    assert best_job in created["PrimaryContainer"]["ModelDataUrl"]
    report = json.loads(
        client("s3")
        .get_object(
            Bucket=sources,
            Key=f"{execution['PipelineExecutionArn'].rpartition('/')[2]}/report/scores.json",
        )["Body"]
        .read()
    )
    assert report["words"][-1] == best_job


@pytest.mark.integration
@pytest.mark.parametrize("name", ["sdk_v2", "sdk_v3"])
def test_the_fail_step_of_an_sdk_says_what_a_job_measured(
    client: Client, sources: str, name: str
) -> None:
    execution = run_file(client, name, MinScore="5.5")
    assert execution["PipelineExecutionStatus"] == "Failed"
    assert "TooLow: score 0.5 is below 5.5" in execution["FailureReason"]
    assert execution["Steps"]["TooLow"]["Metadata"]["Fail"]["ErrorMessage"].startswith("score 0.5")


@pytest.mark.integration
def test_a_definition_of_the_third_sdk_runs_to_its_end(client: Client, sources: str) -> None:
    execution = run_file(client, "sdk_v3")
    assert execution["PipelineExecutionStatus"] == "Succeeded"
    assert set(statuses(execution)) == {"Prepare", "Train", "Evaluate", "Gate"}


@pytest.mark.integration
def test_a_definition_is_refused_by_the_call_that_brings_it(client: Client) -> None:
    with pytest.raises(ClientError, match="is not emulated yet"):
        client("sagemaker").create_pipeline(
            PipelineName="never-language",
            PipelineDefinition=definition({"Name": "S", "Type": "QualityCheck", "Arguments": {}}),
            RoleArn=ROLE,
        )
