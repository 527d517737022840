"""Checks a step's arguments against AWS's own model of the call that the step stands for.

The service fills in the pipeline variables and makes the call, so `Resolver` fills them in as it
would and `problems` says what the call would be refused for. botocore's validator knows types,
required and unknown members, and lower limits; enums, patterns and upper limits are added here.
"""

import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

import botocore.loaders
from botocore.model import ServiceModel, Shape
from botocore.validate import ParamValidator

EXECUTION = "abcdefghijkl"
# What the service names itself.
JOB_NAMES = {"Processing": "ProcessingJobName", "Training": "TrainingJobName"}
OPERATIONS = {
    "Processing": "CreateProcessingJob",
    "Training": "CreateTrainingJob",
    "RegisterModel": "CreateModelPackage",
}
# What Java understands and Python does not; classes of characters as far as ASCII goes.
_JAVA = {
    r"\p{L}": "a-zA-Z",
    r"\p{N}": "0-9",
    r"\p{Alnum}": "a-zA-Z0-9",
    r"\p{Z}": " ",
    r"\p{M}": "",
    r"\p{S}": "$+<=>^`|~",
    r"\p{P}": r"!\"#%&'()*,\-./:;?@\[\\\]_{}",
    r"\uD800\uDC00-\uDBFF\uDFFF": r"\U00010000-\U0010FFFF",
    # Written so in the model, a repeated end; the lengths stand beside the pattern anyhow.
    "${1,128}": "",
    "${1,256}": "",
}


class Resolver:
    """Fills in pipeline variables from the definition: parameters by their defaults."""

    def __init__(self, definition: Mapping[str, Any], steps: Mapping[str, Any]) -> None:
        self._steps = steps
        self._parameters = {each["Name"]: each["DefaultValue"] for each in definition["Parameters"]}

    def resolve(self, value: Any) -> Any:
        """Return ``value`` without variables; raise KeyError for one that leads nowhere."""
        if isinstance(value, list):
            return [self.resolve(item) for item in value]
        if not isinstance(value, dict):
            return value
        if value.keys() == {"Get"}:
            return self._get(value["Get"])
        if value.keys() == {"Std:Join"}:
            join = value["Std:Join"]
            return join["On"].join(str(self.resolve(item)) for item in join["Values"])
        return {key: self.resolve(item) for key, item in value.items()}

    def _get(self, path: str) -> Any:
        source, rest = path.split(".", 1)
        if source == "Parameters":
            return self._parameters[rest]
        if source == "Execution":
            arn = "arn:aws:sagemaker:us-east-1:000000000000:pipeline/predictive-maintenance"
            return {
                "PipelineExecutionId": EXECUTION,
                "PipelineExecutionArn": f"{arn}/execution/{EXECUTION}",
            }[rest]
        name, attribute = rest.split(".", 1)
        arguments = self._steps[name]["Arguments"]
        job = f"pipelines-{EXECUTION}-{name}-0123456789"
        if attribute == "TrainingJobName":
            return job
        if attribute == "ModelArtifacts.S3ModelArtifacts":
            path = self.resolve(arguments["OutputDataConfig"]["S3OutputPath"])
            return f"{path}/{job}/output/model.tar.gz"
        match = re.fullmatch(
            r"ProcessingOutputConfig\.Outputs\['(\w+)'\]\.S3Output\.S3Uri", attribute
        )
        outputs = arguments["ProcessingOutputConfig"]["Outputs"] if match else []
        uris = {each["OutputName"]: each["S3Output"]["S3Uri"] for each in outputs}
        return self.resolve(uris[match[1] if match else attribute])


def problems(step_type: str, arguments: Mapping[str, Any]) -> list[str]:
    """Say what the call of a step of this type would be refused for; arguments are resolved."""
    shape = _service().operation_model(OPERATIONS[step_type]).input_shape
    if step_type in JOB_NAMES:
        arguments = {JOB_NAMES[step_type]: f"pipelines-{EXECUTION}-Step-0123456789", **arguments}
    report = ParamValidator().validate(arguments, shape).generate_report()
    return [*report.splitlines(), *_breaches(shape, arguments, OPERATIONS[step_type])]


@cache
def _service() -> ServiceModel:
    model = botocore.loaders.Loader().load_service_model("sagemaker", "service-2")
    return ServiceModel(model, "sagemaker")


def _breaches(shape: Shape, value: Any, path: str) -> Iterator[str]:
    if shape.type_name == "structure" and isinstance(value, Mapping):
        for name, item in value.items():
            if name in shape.members:
                yield from _breaches(shape.members[name], item, f"{path}.{name}")
    elif shape.type_name == "list" and isinstance(value, list):
        yield from _too_much(shape, len(value), "items", path)
        for index, item in enumerate(value):
            yield from _breaches(shape.member, item, f"{path}[{index}]")
    elif shape.type_name == "map" and isinstance(value, Mapping):
        yield from _too_much(shape, len(value), "entries", path)
        for key, item in value.items():
            yield from _breaches(shape.key, key, f"{path} key {key}")
            yield from _breaches(shape.value, item, f"{path}.{key}")
    elif shape.type_name == "string" and isinstance(value, str):
        yield from _too_much(shape, len(value), "characters", path)
        allowed = shape.metadata.get("enum")
        if allowed and value not in allowed:
            yield f"{path}: {value!r} is none of {allowed}"
        pattern = shape.metadata.get("pattern")
        if pattern and not re.fullmatch(_translate(pattern), value):
            yield f"{path}: {value!r} does not match {pattern}"
    elif isinstance(value, int | float):
        yield from _too_much(shape, value, "as number", path)


def _too_much(shape: Shape, size: float, unit: str, path: str) -> Iterator[str]:
    limit = shape.metadata.get("max")
    if limit is not None and size > limit:
        yield f"{path}: {size} {unit}, at most {limit} allowed"


def _translate(pattern: str) -> str:
    for java, python in _JAVA.items():
        pattern = pattern.replace(java, python)
    return pattern
