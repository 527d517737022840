"""Lambda steps: what their definition has, and what a function's answer gives to other steps.

Source: the JSON that the SageMaker Python SDK writes, and what the API reference says of
StopPipelineExecution.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from localcloud.errors import ValidationException
from localcloud.sagemaker.workflow.expressions import check_members, function_name

_TYPES: Mapping[str, tuple[type, ...]] = {
    "String": (str,),
    "Integer": (int,),
    "Float": (float, int),
    "Boolean": (bool,),
}


class WrongAnswer(Exception):  # noqa: N818 - reads as the sentence it makes
    """A function's answer fails its step; the text is the step's failure reason."""


def read_outputs(item: Mapping[str, Any], where: str) -> dict[str, str]:
    """The outputs that a step declares, with their types; checks the function's ARN, too."""
    if "FunctionArn" not in item:
        raise ValidationException(f"{where}: a Lambda step must have FunctionArn")
    arn = item["FunctionArn"]
    if not isinstance(arn, str) and function_name(arn) is None:
        raise ValidationException(
            f"{where}: FunctionArn must be a text or a function of the definition, not {arn!r}"
        )
    declared = item.get("OutputParameters") or []
    if not isinstance(declared, list):
        raise ValidationException(f"{where}: OutputParameters must be a list, not {declared!r}")
    outputs: dict[str, str] = {}
    for each in declared:
        check_members(each, ("OutputName", "OutputType"), (), f"{where}: an output parameter")
        name, kind = each["OutputName"], each["OutputType"]
        if not isinstance(name, str) or not name or name in outputs:
            raise ValidationException(
                f"{where}: OutputName must be a text that no other output has, not {name!r}"
            )
        if not isinstance(kind, str) or kind not in _TYPES:
            raise ValidationException(
                f"{where}: OutputType of {name!r} must be one of {', '.join(_TYPES)}, not {kind!r}"
            )
        outputs[name] = kind
    return outputs


def outputs_of(answer: bytes, declared: Mapping[str, str]) -> dict[str, Any]:
    """The declared outputs in what a function returned; raises WrongAnswer if one is not there."""
    document = json.loads(answer or b"null")
    outputs: dict[str, Any] = {}
    for name, kind in declared.items():
        if not isinstance(document, dict) or name not in document:
            raise WrongAnswer(
                f"ClientError: The function's answer must be an object that has the output {name!r}"
            )
        value = document[name]
        # True is an int to Python.
        right = isinstance(value, _TYPES[kind]) and isinstance(value, bool) == (kind == "Boolean")
        if not right:
            raise WrongAnswer(
                f"ClientError: The function's output {name!r} must be of type {kind}, "
                f"not {json.dumps(value)[:100]}"
            )
        outputs[name] = value
    return outputs


def failure(answer: bytes) -> str:
    """What a step says of a function that failed: the function's own error."""
    try:
        document = json.loads(answer)
        said = ": ".join(str(document[key]) for key in ("errorType", "errorMessage"))
    except (ValueError, KeyError, TypeError):
        said = answer[:500].decode("utf-8", "replace")
    return f"ClientError: The Lambda function failed: {said}"


def shown(arn: str, outputs: Mapping[str, Any]) -> dict[str, Any]:
    """The step's metadata; values are texts there."""
    listed = [
        {"Name": name, "Value": value if isinstance(value, str) else json.dumps(value)}
        for name, value in outputs.items()
    ]
    return {"Lambda": {"Arn": arn, **({"OutputParameters": listed} if listed else {})}}
