"""The properties that a step of each type has for other steps: those of AWS's descriptions."""

from __future__ import annotations

from typing import Any

from localcloud.errors import ValidationException
from localcloud.protocol import service_model

_DESCRIPTIONS = {
    "Processing": ("DescribeProcessingJob",),
    "Training": ("DescribeTrainingJob",),
    "Tuning": ("DescribeHyperParameterTuningJob", "ListTrainingJobsForHyperParameterTuningJob"),
    "Transform": ("DescribeTransformJob",),
    "Model": ("DescribeModel",),
    "RegisterModel": ("DescribeModelPackage",),
}


def check_property(kind: str, path: list[str], where: str) -> None:
    """Raise ValidationException unless a step of this type has a property at `path`."""
    if kind == "Condition" and path == ["Outcome"]:
        return
    shapes: list[Any] = [
        service_model("sagemaker").operation_model(name).output_shape
        for name in _DESCRIPTIONS.get(kind, ())
    ]
    for part in path:
        inner = [member for shape in shapes if (member := _member(shape, part)) is not None]
        if not inner:
            break
        shapes = inner
    else:
        if path:
            return
    raise ValidationException(
        f"{where}: a {kind} step has no property {'.'.join(path) or 'without a name'!r}"
    )


def _member(shape: Any, part: str) -> Any:
    match shape.type_name:
        case "structure":
            return shape.members.get(part)
        case "list":
            return shape.member
        case "map":
            return shape.value
    return None
