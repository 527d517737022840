"""A step's arguments, held against what its call would refuse, before anything runs.

What a function will give is not known yet, so it is taken to be right.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from localcloud.containers import processing, training
from localcloud.containers.images import find_image
from localcloud.containers.transform import settings
from localcloud.errors import ServiceError, ValidationException
from localcloud.protocol import check, service_model
from localcloud.sagemaker.models import check_model
from localcloud.sagemaker.registry import check_package
from localcloud.sagemaker.tuning_ranges import check_tuning
from localcloud.sagemaker.workflow.expressions import function_name

OPERATIONS = {
    "Processing": "CreateProcessingJob",
    "Training": "CreateTrainingJob",
    "Tuning": "CreateHyperParameterTuningJob",
    "Transform": "CreateTransformJob",
    "Model": "CreateModel",
    "RegisterModel": "CreateModelPackage",
}
# What the execution adds: the name of what is made, and the role.
_ADDED = {
    "Processing": "ProcessingJobName",
    "Training": "TrainingJobName",
    "Tuning": "HyperParameterTuningJobName",
    "Transform": "TransformJobName",
    "Model": "ModelName",
}
_IMAGES = {
    "Processing": ("AppSpecification", "ImageUri"),
    "Training": ("AlgorithmSpecification", "TrainingImage"),
    "Tuning": ("TrainingJobDefinition", "AlgorithmSpecification", "TrainingImage"),
}


def _check_transform(arguments: dict[str, Any]) -> None:
    known = _filled(arguments)
    for member, forms in (
        ("TransformInput", ("ContentType", "SplitType")),
        ("TransformOutput", ("Accept", "AssembleWith")),
    ):
        place = arguments[member]
        if place is None or None in [place.get(form, "") for form in forms]:
            # Whether records can be filtered and joined hangs on their forms.
            known.pop("DataProcessing", None)
    settings.check(known)


# What the calls themselves check; to them a member that is None is there and not known.
_CHECKS: Mapping[str, Callable[[dict[str, Any]], object]] = {
    "Processing": processing.check,
    "Training": training.check,
    "Tuning": check_tuning,
    "Transform": _check_transform,
    "Model": check_model,
    "RegisterModel": check_package,
}


def check_arguments(step: str, kind: str, arguments: dict[str, Any]) -> None:
    """Raise ValidationException for arguments that the step's call would refuse for sure."""
    if kind not in OPERATIONS:
        return
    shape = service_model("sagemaker").operation_model(OPERATIONS[kind]).input_shape
    findings = list(_violations(shape, arguments, "", _ADDED.get(kind)))
    if findings:
        raise ValidationException(f"Step [{step}]: {'; '.join(findings[:5])}")
    image: Any = arguments
    for part in _IMAGES.get(kind, ()):
        image = image.get(part) if isinstance(image, dict) else None
    try:
        if isinstance(image, str):
            find_image(image)
        if kind in _CHECKS:
            _CHECKS[kind](_known(arguments))
    except ValidationException as error:
        raise ValidationException(f"Step [{step}]: {error.message}") from error


def _known(value: Any) -> Any:
    """What is known of a value: None stands for what functions will give; nulls are left out."""
    if function_name(value) is not None:
        return None
    if isinstance(value, dict):
        return {key: _known(item) for key, item in value.items() if item is not None}
    return [_known(item) for item in value] if isinstance(value, list) else value


def _filled(value: Any) -> Any:
    """A value without the members that are None."""
    if isinstance(value, dict):
        return {key: _filled(item) for key, item in value.items() if item is not None}
    return value


def _violations(shape: Any, value: Any, path: str, added: str | None = None) -> Iterator[str]:
    if value is None or function_name(value) is not None:
        return
    match shape.type_name:
        case "structure" if isinstance(value, dict):
            yield from _members(shape, value, path, added)
        case "list" if isinstance(value, list):
            for number, item in enumerate(value):
                yield from _violations(shape.member, item, f"{path}[{number}]")
        case "map" if isinstance(value, dict):
            for key, item in value.items():
                yield from _violations(shape.value, item, f"{path}[{key!r}]")
        case _:
            try:
                check(shape, value)
            except ServiceError as error:
                yield f"{path}: {error.message}"


def _members(shape: Any, value: dict[str, Any], path: str, added: str | None) -> Iterator[str]:
    for name, item in value.items():
        if name in shape.members:
            yield from _violations(shape.members[name], item, _join(path, name))
        else:
            yield f"Unknown Argument member {_join(path, name)}"
    for name in shape.required_members:
        if value.get(name) is None and name not in (added, "RoleArn"):
            yield f"{_join(path, name)} must not be null"


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
