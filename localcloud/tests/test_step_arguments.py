"""A step's arguments are refused with the definition, as its call would refuse them later."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from functools import reduce
from pathlib import Path
from typing import Any

import pytest
from definitions import IMAGE, definition, processing, training

from localcloud.errors import ValidationException
from localcloud.sagemaker.workflow.arguments import check_arguments
from localcloud.sagemaker.workflow.definition import read_definition

Document = dict[str, Any]
FOLDER = Path(__file__).parent / "definitions"
GOLDEN = Path(__file__).parents[2] / "tests/pipelines/golden/definition.json"
UNKNOWN = {"Get": "Parameters.P"}
GONE = object()
SOURCE = {"S3DataType": "S3Prefix", "S3Uri": "s3://b/rows"}
CHANNEL = {"ChannelName": "train", "DataSource": {"S3DataSource": SOURCE}}
READ = {
    "InputName": "rows",
    "S3Input": {**SOURCE, "LocalPath": "/opt/ml/processing/rows", "S3InputMode": "File"},
}
ATHENA = {
    "Catalog": "c", "Database": "d", "QueryString": "SELECT 1", "OutputS3Uri": "s3://b/q",
    "OutputFormat": "PARQUET",
}  # fmt: skip
FEATURES = {"OutputName": "out", "FeatureStoreOutput": {"FeatureGroupName": "g"}}
RANGES = {
    "CategoricalParameterRanges": [{"Name": "kind", "Values": ["a", "b"]}],
    "ContinuousParameterRanges": [{"Name": "rate", "MinValue": "0", "MaxValue": "1"}],
}


def tuning() -> Document:
    resources = {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1}
    arguments = {
        "HyperParameterTuningJobConfig": {
            "Strategy": "Random",
            "HyperParameterTuningJobObjective": {"Type": "Maximize", "MetricName": "score"},
            "ResourceLimits": {"MaxNumberOfTrainingJobs": 2, "MaxParallelTrainingJobs": 1},
            "ParameterRanges": RANGES,
        },
        "TrainingJobDefinition": {
            "StaticHyperParameters": {"sagemaker_program": "train.py"},
            "AlgorithmSpecification": {
                "TrainingImage": IMAGE,
                "TrainingInputMode": "File",
                "MetricDefinitions": [{"Name": "score", "Regex": "(.*)"}],
            },
            "InputDataConfig": [CHANNEL],
            "OutputDataConfig": {"S3OutputPath": "s3://b/out"},
            "ResourceConfig": resources,
            "StoppingCondition": {"MaxRuntimeInSeconds": 60},
        },
    }
    return {"Name": "S", "Type": "Tuning", "Arguments": arguments}


def step(kind: str) -> Document:
    """A step of this type with all that is checked; it can be run."""
    match kind:
        case "Processing":
            return processing("S", "1", inputs=[READ], outputs={"out": "s3://b/out"})
        case "Training":
            more = {"InputDataConfig": [CHANNEL], "CheckpointConfig": {"S3Uri": "s3://b/c"}}
            made = training("S", "1", bucket="b")
            return made | {"Arguments": made["Arguments"] | more}
        case "Tuning":
            return tuning()
        case "RegisterModel":
            return {"Name": "S", "Type": kind, "Arguments": {"ModelPackageGroupName": "models"}}
    container = {"Image": IMAGE, "ModelDataUrl": "s3://b/model.tar.gz"}
    return {"Name": "S", "Type": "Model", "Arguments": {"PrimaryContainer": container}}


def put(document: Document, where: tuple[str | int, ...], value: Any) -> Document:
    """A copy with another value at a place, or without it."""
    made = copy.deepcopy(document)
    inner: Any = reduce(lambda current, part: current[part], where[:-1], made)
    if value is GONE:
        del inner[where[-1]]
    else:
        inner[where[-1]] = value
    return made


def path(text: str) -> tuple[str | int, ...]:
    return tuple(int(part) if part.isdigit() else part for part in text.split("."))


def places(value: Any, start: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Where everything inside a value stands."""
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, item in items:
        yield (*start, key)
        if isinstance(item, dict | list) and item:
            yield from places(item, (*start, key))


JOB = "TrainingJobDefinition"
CONFIG = "HyperParameterTuningJobConfig"
LIMITS = f"{CONFIG}.ResourceLimits"
ALGORITHM = "AlgorithmSpecification"
CLUSTER = "ProcessingResources.ClusterConfig"


@pytest.mark.parametrize(
    ("kind", "where", "value", "said"),
    [
        ("Processing", "AppSpecification.ContainerEntrypoint", GONE, "have a ContainerEntrypoint"),
        ("Processing", "AppSpecification.ImageUri", "mine:1", "cannot run the image 'mine:1'"),
        ("Processing", f"{CLUSTER}.InstanceCount", 50, "at most 16 here"),
        ("Processing", f"{CLUSTER}.InstanceType", GONE, "must have an InstanceType"),
        ("Processing", "ProcessingInputs.0.S3Input.S3InputMode", "Pipe", "S3InputMode File here"),
        ("Processing", "ProcessingInputs.0.S3Input.S3CompressionType", "Gzip", "not 'Gzip'"),
        ("Processing", "ProcessingInputs.0.S3Input.LocalPath", "/data", "must be under /opt/ml"),
        ("Processing", "ProcessingInputs.0.S3Input.LocalPath", GONE, "must be under /opt/ml"),
        ("Processing", "ProcessingInputs.0.S3Input.S3Uri", "https://b/x", "must look like s3://"),
        ("Processing", "ProcessingInputs.0.AppManaged", True, "must not be AppManaged"),
        (
            "Processing",
            "ProcessingInputs.0",
            {"InputName": "q", "DatasetDefinition": {"AthenaDatasetDefinition": ATHENA}},
            "the input 'q' must be an S3Input",
        ),
        ("Processing", "ProcessingOutputConfig.Outputs.0", FEATURES, "must be an S3Output"),
        (
            "Processing",
            "ProcessingOutputConfig.Outputs.0.S3Output.LocalPath",
            GONE,
            "must be under /opt/ml",
        ),
        (
            "Processing",
            "ProcessingOutputConfig.Outputs.0.S3Output.S3Uri",
            "https://b/x",
            "must look like s3://",
        ),
        ("Training", f"{ALGORITHM}.TrainingInputMode", "Pipe", "File or FastFile here, not 'Pipe'"),
        ("Training", f"{ALGORITHM}.ContainerEntrypoint", GONE, "built-in algorithm"),
        ("Training", f"{ALGORITHM}.TrainingImage", GONE, "must have a TrainingImage"),
        ("Training", "InputDataConfig.0.CompressionType", "Gzip", "not 'Gzip'"),
        (
            "Training",
            "InputDataConfig.0.DataSource",
            {
                "FileSystemDataSource": {
                    "FileSystemId": "fs-12345678901",
                    "FileSystemAccessMode": "ro",
                    "FileSystemType": "EFS",
                    "DirectoryPath": "/x",
                }
            },
            "must have an S3DataSource",
        ),
        (
            "Training",
            "InputDataConfig.0.DataSource.S3DataSource.S3DataType",
            "AugmentedManifestFile",
            "S3Prefix or ManifestFile",
        ),
        ("Training", "ResourceConfig.InstanceCount", 17, "at most 16 here"),
        ("Training", "ResourceConfig", GONE, "must have an InstanceType"),
        ("Training", ALGORITHM, GONE, "must have a TrainingImage"),
        ("Training", "CheckpointConfig.LocalPath", "/checkpoints", "must be under /opt/ml"),
        ("Tuning", f"{CONFIG}.Strategy", "Grid", "categorical hyperparameters only"),
        ("Tuning", f"{CONFIG}.Strategy", "Hyperband", "'Hyperband' is not emulated"),
        ("Tuning", f"{CONFIG}.ParameterRanges.ContinuousParameterRanges.0.MinValue", "2", "go up"),
        ("Tuning", f"{CONFIG}.ParameterRanges", GONE, "1 to 30 different hyperparameters"),
        ("Tuning", f"{CONFIG}.HyperParameterTuningJobObjective", GONE, "TuningJobObjective"),
        (
            "Tuning",
            f"{CONFIG}.HyperParameterTuningJobObjective.MetricName",
            "loss",
            "[loss], isn't valid",
        ),
        ("Tuning", f"{LIMITS}.MaxNumberOfTrainingJobs", GONE, "MaxNumberOfTrainingJobs must be"),
        ("Tuning", f"{LIMITS}.MaxNumberOfTrainingJobs", 751, "at most 750"),
        ("Tuning", JOB, GONE, "must have a TrainingJobDefinition"),
        ("Tuning", f"{JOB}.StaticHyperParameters.rate", "1", "['rate'] are both static and tuned"),
        ("Tuning", f"{JOB}.StaticHyperParameters", {"a": "b"}, "built-in algorithm"),
        ("Tuning", f"{JOB}.ResourceConfig", GONE, "Exactly one of ResourceConfig"),
        ("Tuning", f"{JOB}.InputDataConfig.0.InputMode", "Pipe", "not 'Pipe'"),
        ("Model", "PrimaryContainer.Image", "mine:1", "cannot run the image 'mine:1'"),
        ("Model", "PrimaryContainer.Image", GONE, "one of Image and ModelPackageName"),
        ("Model", "PrimaryContainer.ModelPackageName", "p", "cannot have Image, ModelDataUrl"),
        ("Model", "Containers", [{"Image": IMAGE}], "Exactly one of PrimaryContainer and"),
        ("RegisterModel", "ModelPackageGroupName", GONE, "Exactly one of ModelPackageGroupName"),
        ("RegisterModel", "Tags", [{"Key": "k", "Value": "v"}], "it has the group's"),
    ],
)
def test_what_the_call_of_a_step_would_refuse_is_refused_with_the_definition(
    kind: str, where: str, value: Any, said: str
) -> None:
    made = step(kind)
    read_definition(definition(made))
    wrong = made | {"Arguments": put(made["Arguments"], path(where), value)}
    with pytest.raises(ValidationException) as refused:
        read_definition(definition(wrong))
    assert refused.value.message.startswith("Step [S]: ")
    assert said in refused.value.message


@pytest.mark.parametrize("kind", ["Processing", "Training", "Tuning", "Model", "RegisterModel"])
def test_whatever_a_function_will_give_is_taken_to_be_right(kind: str) -> None:
    arguments = step(kind)["Arguments"]
    for where in places(arguments):
        check_arguments("S", kind, put(arguments, where, UNKNOWN))


@pytest.mark.parametrize("kind", ["Processing", "Training", "Tuning", "Model", "RegisterModel"])
def test_arguments_that_lack_something_are_right_or_refused(kind: str) -> None:
    """A missing member beside one that is not known is never a stumbling block."""
    arguments = step(kind)["Arguments"]
    for missing in places(arguments):
        left = put(arguments, missing, GONE)
        for where in (None, *places(left)):
            try:
                check_arguments("S", kind, put(left, where, UNKNOWN) if where else left)
            except ValidationException as refused:
                assert refused.message.startswith("Step [S]: ")  # noqa: PT017


def test_a_program_that_comes_with_the_environment_is_code_of_its_own() -> None:
    arguments = put(step("Training")["Arguments"], path(f"{ALGORITHM}.ContainerEntrypoint"), GONE)
    for environment in ({"SAGEMAKER_PROGRAM": "train.py"}, {"SAGEMAKER_PROGRAM": UNKNOWN}, UNKNOWN):
        check_arguments("S", "Training", arguments | {"Environment": environment})


def test_what_is_known_is_checked_beside_what_is_not() -> None:
    arguments = put(tuning()["Arguments"], path(f"{CONFIG}.Strategy"), "Grid")
    least = path(f"{CONFIG}.ParameterRanges.ContinuousParameterRanges.0.MinValue")
    with pytest.raises(ValidationException, match="categorical hyperparameters only"):
        check_arguments("S", "Tuning", put(arguments, least, UNKNOWN))
    arguments = put(tuning()["Arguments"], path(f"{CONFIG}.ParameterRanges"), UNKNOWN)
    with pytest.raises(ValidationException, match="not 'Pipe'"):
        check_arguments(
            "S", "Tuning", put(arguments, path(f"{JOB}.InputDataConfig.0.InputMode"), "Pipe")
        )
    made = put(step("Processing")["Arguments"], path("AppSpecification.ImageUri"), UNKNOWN)
    with pytest.raises(ValidationException, match="at most 16"):
        check_arguments("S", "Processing", put(made, path(f"{CLUSTER}.InstanceCount"), 50))


@pytest.mark.parametrize("file", [*sorted(FOLDER.glob("*.json")), GOLDEN], ids=lambda f: f.stem)
def test_a_definition_of_an_sdk_is_accepted_whatever_a_function_gives(file: Path) -> None:
    text = file.read_text()
    for made in read_definition(text).everything():
        assert made.name
    for made in json.loads(text)["Steps"]:
        for where in places(made["Arguments"]):
            check_arguments("S", made["Type"], put(made["Arguments"], where, UNKNOWN))
