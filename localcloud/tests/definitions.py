"""Small pipeline definitions, made as a client would send them."""

from __future__ import annotations

import json
from typing import Any

ROLE = "arn:aws:iam::000000000000:role/pipeline"
IMAGE = "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-scikit-learn:1.9-0-cpu-py3"
RESOURCES = {
    "ClusterConfig": {"InstanceCount": 1, "InstanceType": "ml.m5.large", "VolumeSizeInGB": 30}
}


def processing(name: str, script: str, **more: Any) -> dict[str, Any]:
    """A Processing step that runs a line of Python; `outputs` are folders below /opt/ml."""
    outputs = more.pop("outputs", {})
    arguments: dict[str, Any] = {
        "ProcessingResources": RESOURCES,
        "AppSpecification": {
            "ImageUri": IMAGE,
            "ContainerEntrypoint": ["python3", "-c", script],
            "ContainerArguments": more.pop("words", ["-"]),
        },
        "ProcessingInputs": more.pop("inputs", []),
        "ProcessingOutputConfig": {
            "Outputs": [
                {
                    "OutputName": output,
                    "S3Output": {
                        "S3Uri": uri,
                        "LocalPath": f"/opt/ml/processing/{output}",
                        "S3UploadMode": "EndOfJob",
                    },
                }
                for output, uri in outputs.items()
            ]
        },
    }
    return {"Name": name, "Type": "Processing", "Arguments": arguments, **more}


def training(name: str, script: str, **more: Any) -> dict[str, Any]:
    """A Training step that runs a line of Python; it leaves its model in `bucket`."""
    arguments: dict[str, Any] = {
        "AlgorithmSpecification": {
            "TrainingImage": IMAGE,
            "TrainingInputMode": "File",
            "ContainerEntrypoint": ["python3", "-c", script],
        },
        "OutputDataConfig": {"S3OutputPath": f"s3://{more.pop('bucket')}/models"},
        "ResourceConfig": {
            "InstanceCount": 1,
            "InstanceType": "ml.m5.large",
            "VolumeSizeInGB": 1,
        },
        "StoppingCondition": {"MaxRuntimeInSeconds": 60},
    }
    return {"Name": name, "Type": "Training", "Arguments": arguments, **more}


def condition(name: str, conditions: list[Any], yes: list[Any], no: list[Any]) -> dict[str, Any]:
    """A Condition step with its two branches."""
    arguments = {"Conditions": conditions, "IfSteps": yes, "ElseSteps": no}
    return {"Name": name, "Type": "Condition", "Arguments": arguments}


def fail(name: str, message: Any) -> dict[str, Any]:
    """A Fail step."""
    return {"Name": name, "Type": "Fail", "Arguments": {"ErrorMessage": message}}


def definition(*steps: dict[str, Any], parameters: list[Any] | None = None) -> str:
    """A whole definition as text."""
    return json.dumps(
        {"Version": "2020-12-01", "Parameters": parameters or [], "Steps": list(steps)}
    )
