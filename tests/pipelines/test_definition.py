import copy
import json
import os
import re
from pathlib import Path
from typing import Any

import aws_model
import compiled
import pytest

from pipelines import bundle
from pipelines.predictive_maintenance.train.hyperparameters import HYPERPARAMETERS

GOLDEN = Path(__file__).parent / "golden" / "definition.json"
EVALUATION = {"Get": "Steps.Evaluate.ProcessingOutputConfig.Outputs['evaluation'].S3Output.S3Uri"}


@pytest.fixture(scope="module")
def definition() -> dict[str, Any]:
    return compiled.definition()


@pytest.fixture(scope="module")
def steps(definition: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return compiled.steps(definition)


@pytest.fixture(scope="module")
def resolved(definition: dict[str, Any], steps: dict[str, Any]) -> dict[str, Any]:
    resolver = aws_model.Resolver(definition, steps)
    return {
        name: resolver.resolve(step["Arguments"])
        for name, step in steps.items()
        if step["Type"] != "Condition"
    }


def variables(value: Any) -> list[str]:
    if isinstance(value, list):
        return [found for item in value for found in variables(item)]
    if isinstance(value, dict):
        if value.keys() == {"Get"}:
            return [value["Get"]]
        return variables(list(value.values()))
    return []


def test_every_change_of_the_definition_shows_in_the_golden_file() -> None:
    text = compiled.text()
    for job, each in bundle.collect().items():
        text = text.replace(each.digest, f"<digest of {job}>")
    pretty = json.dumps(json.loads(text), indent=2) + "\n"
    if "UPDATE_GOLDEN" in os.environ:
        GOLDEN.write_text(pretty, encoding="utf-8")
    assert pretty == GOLDEN.read_text(encoding="utf-8"), "if it is meant: UPDATE_GOLDEN=1 pytest"


def test_the_steps_are_those_of_the_picture(steps: dict[str, Any]) -> None:
    assert {name: step["Type"] for name, step in steps.items()} == {
        "Preprocess": "Processing",
        "Train": "Training",
        "Evaluate": "Processing",
        "CheckQuality": "Condition",
        "Register": "RegisterModel",
        "QualityTooLow": "Fail",
    }


@pytest.mark.parametrize("name", ["Preprocess", "Train", "Evaluate", "Register"])
def test_the_api_would_accept_the_arguments(
    name: str, steps: dict[str, Any], resolved: dict[str, Any]
) -> None:
    assert aws_model.problems(steps[name]["Type"], resolved[name]) == []


@pytest.mark.parametrize(
    ("name", "path", "value", "problem"),
    [
        ("Train", ("HyperParameters", "seed"), 0, "Invalid type for parameter HyperParameters"),
        ("Train", ("ResourceConfig", "InstanceType"), "ml.m5.xlargee", "is none of"),
        ("Preprocess", ("AppSpecification", "ImageUri"), "x" * 256, "at most 255"),
        ("Register", ("CustomerMetadataProperties", "Note"), '{"a": 1}', "does not match"),
        ("Register", ("CustomerMetadataProperties", "Note"), "a" * 257, "at most 256"),
        ("Register", ("ModelApprovalStatus",), "Aproved", "is none of"),
        ("Register", ("Approved",), True, 'Unknown parameter in input: "Approved"'),
    ],
)
def test_the_check_of_arguments_finds_what_the_api_refuses(
    name: str, path: tuple[str, ...], value: Any, problem: str, resolved: dict[str, Any]
) -> None:
    arguments = copy.deepcopy(resolved[name])
    place = arguments
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    step_type = compiled.steps(compiled.definition())[name]["Type"]
    assert problem in "\n".join(aws_model.problems(step_type, arguments))


def test_hyperparameters_reach_training_as_text_under_their_own_parameter(
    definition: dict[str, Any], resolved: dict[str, Any]
) -> None:
    given = resolved["Train"]["HyperParameters"]
    assert {each.name: given[each.name] for each in HYPERPARAMETERS} == {
        each.name: str(each.default) for each in HYPERPARAMETERS
    }
    kinds = {each["Name"]: each["Type"] for each in definition["Parameters"]}
    for each in HYPERPARAMETERS:
        assert kinds[each.parameter] == {int: "Integer", float: "Float"}[type(each.default)]


def test_every_parameter_has_a_default_and_is_used(definition: dict[str, Any]) -> None:
    used = set(variables(definition["Steps"]))
    for parameter in definition["Parameters"]:
        assert f"Parameters.{parameter['Name']}" in used
        assert "DefaultValue" in parameter


def test_a_step_takes_the_outputs_of_another_only_by_its_properties(
    steps: dict[str, Any],
) -> None:
    for step in steps.values():
        arguments = copy.deepcopy(step["Arguments"])
        for destination in ("ProcessingOutputConfig", "OutputDataConfig"):
            arguments.pop(destination, None)
        arguments.pop("IfSteps", None)
        assert "Execution.PipelineExecutionId" not in variables(arguments), step["Name"]


def test_every_execution_writes_below_its_own_id(resolved: dict[str, Any]) -> None:
    start = compiled.SETTINGS.uri("executions", aws_model.EXECUTION)
    for name in ("Preprocess", "Evaluate"):
        for output in resolved[name]["ProcessingOutputConfig"]["Outputs"]:
            assert output["S3Output"]["S3Uri"] == f"{start}/{name}/{output['OutputName']}"
            assert output["S3Output"]["LocalPath"].endswith(f"/{output['OutputName']}")
    assert resolved["Train"]["OutputDataConfig"]["S3OutputPath"] == f"{start}/Train/model"


def test_what_a_cached_step_depends_on_holds_no_execution_and_no_commit(
    steps: dict[str, Any],
) -> None:
    for name in ("Preprocess", "Train", "Evaluate"):
        assert steps[name]["CacheConfig"] == {"Enabled": True, "ExpireAfter": "P30D"}
        assert "Parameters.GitCommit" not in variables(steps[name])
    assert "CacheConfig" not in steps["Register"]


def test_jobs_are_tried_again_after_throttling_and_for_want_of_capacity(
    steps: dict[str, Any],
) -> None:
    def retried(name: str) -> set[str]:
        return {kind for each in steps[name]["RetryPolicies"] for kind in each["ExceptionType"]}

    for name in ("Preprocess", "Train", "Evaluate"):
        assert {"Step.THROTTLING", "SageMaker.CAPACITY_ERROR"} < retried(name)
    # The service takes the job policies for jobs only.
    assert retried("Register") == {"Step.SERVICE_FAULT", "Step.THROTTLING"}


def test_the_metric_regexes_read_what_training_prints(steps: dict[str, Any]) -> None:
    log = "validation:average_precision=0.914000\ntrain:logloss=0.000030\n"
    found = {
        each["Name"]: match[1]
        for each in steps["Train"]["Arguments"]["AlgorithmSpecification"]["MetricDefinitions"]
        if (match := re.search(each["Regex"], log))
    }
    assert found == {"validation:average_precision": "0.914000", "train:logloss": "0.000030"}


def test_the_gate_compares_metrics_of_evaluate_with_parameters(steps: dict[str, Any]) -> None:
    (file,) = steps["Evaluate"]["PropertyFiles"]
    assert file == {
        "PropertyFileName": "metrics",
        "OutputName": "evaluation",
        "FilePath": "metrics.json",
    }
    rules = [
        (each["LeftValue"]["Std:JsonGet"]["Path"], each["Type"], each["RightValue"]["Get"])
        for each in steps["CheckQuality"]["Arguments"]["Conditions"]
    ]
    assert rules == [
        ("average_precision", "GreaterThanOrEqualTo", "Parameters.MinAveragePrecision"),
        ("recall", "GreaterThanOrEqualTo", "Parameters.MinRecall"),
        ("precision", "GreaterThanOrEqualTo", "Parameters.MinPrecision"),
    ]


def test_the_failure_says_what_was_asked_for_and_fits(
    steps: dict[str, Any], resolved: dict[str, Any]
) -> None:
    message = resolved["QualityTooLow"]["ErrorMessage"]
    assert "average_precision >= 0.8, recall >= 0.7, precision >= 0.9. " in message
    assert len(message) <= 3072
    used = variables(steps["QualityTooLow"])
    assert all(each.startswith("Parameters.") for each in used)


def test_two_containers_carry_all_they_need_to_serve_without_a_package_index(
    steps: dict[str, Any],
) -> None:
    specification = steps["Register"]["Arguments"]["InferenceSpecification"]
    featurizer, classifier = specification["Containers"]
    for container in (featurizer, classifier):
        environment = container["Environment"]
        assert environment["SAGEMAKER_PROGRAM"] == "inference.py"
        assert environment["SAGEMAKER_SUBMIT_DIRECTORY"] == "/opt/ml/model/code"
        assert environment["PIP_NO_BUILD_ISOLATION"] == "0"
    assert "scikit-learn:1.9-0" in featurizer["Image"]
    assert variables(featurizer["ModelDataUrl"]) == [
        "Steps.Preprocess.ProcessingOutputConfig.Outputs['featurizer'].S3Output.S3Uri"
    ]
    assert "xgboost:3.2-0" in classifier["Image"]
    assert classifier["ModelDataUrl"] == {"Get": "Steps.Train.ModelArtifacts.S3ModelArtifacts"}
    assert steps["Train"]["Arguments"]["Environment"] == {"PIP_NO_BUILD_ISOLATION": "0"}


def test_the_package_leads_to_everything_about_the_model(
    steps: dict[str, Any], resolved: dict[str, Any]
) -> None:
    arguments, package = steps["Register"]["Arguments"], resolved["Register"]
    metadata = arguments["CustomerMetadataProperties"]
    assert metadata["ContractVersion"] == "1"
    assert metadata["GitCommit"] == {"Get": "Parameters.GitCommit"}
    assert metadata["DeploymentUri"]["Std:Join"]["Values"] == [EVALUATION, "deployment.json"]
    assert package["SamplePayloadUrl"].endswith("/evaluation/sample_payload.tar.gz")
    for source in ("ModelMetrics", "DriftCheckBaselines"):
        quality = package[source]["ModelQuality"]
        assert quality["Statistics"]["S3Uri"].endswith("/evaluation/evaluation.json")
        assert quality["Constraints"]["S3Uri"].endswith("/evaluation/constraints.json")


def test_the_package_is_accepted_with_the_longest_bucket_name_that_s3_allows() -> None:
    definition = json.loads(compiled.text().replace(compiled.SETTINGS.bucket, "b" * 63))
    steps = compiled.steps(definition)
    arguments = aws_model.Resolver(definition, steps).resolve(steps["Register"]["Arguments"])
    assert aws_model.problems("RegisterModel", arguments) == []


def test_nothing_of_the_services_closed_to_new_customers_is_asked_for(
    steps: dict[str, Any],
) -> None:
    arguments = steps["Train"]["Arguments"]
    assert arguments["ProfilerConfig"] == {"DisableProfiler": True}
    assert not {"DebugHookConfig", "DebugRuleConfigurations"} & arguments.keys()


def test_processing_has_no_network(steps: dict[str, Any]) -> None:
    for name in ("Preprocess", "Evaluate"):
        assert steps[name]["Arguments"]["NetworkConfig"] == {"EnableNetworkIsolation": True}


def test_the_definition_fits_into_the_call_that_creates_it() -> None:
    assert len(compiled.text().encode()) < 100 * 1024
