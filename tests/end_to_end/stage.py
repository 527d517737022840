"""Endpoints for versions of the pipeline's own package, and for versions that were spoilt."""

import csv
import io
import json
import tarfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from command_line import GROUP
from load import Load, Payload, endpoint_caller, runtime_client
from runs import Project

from localcloud.testing import TestCloud
from pipelines.predictive_maintenance import schema
from pipelines.predictive_maintenance.data import FILE_NAME

VARIANT = "AllTraffic"
BUCKET = "sagemaker-mlops-000000000000-us-east-1"
ROLE = "arn:aws:iam::000000000000:role/sagemaker-mlops-pipeline"
SETTLED = ("InService", "Failed", "OutOfService", "UpdateRollbackFailed")
PERIOD = 10
_STATISTICS = ["Sum", "SampleCount", "Minimum", "Maximum"]


@dataclass
class Stage:
    """A localcloud after `bootstrap`, on which versions are served."""

    cloud: TestCloud
    project: Project

    def client(self, service: str) -> Any:
        return self.project.account.client(service)

    @property
    def sagemaker(self) -> Any:
        return self.client("sagemaker")

    @cached_property
    def runtime(self) -> Any:
        return runtime_client(self.cloud.address.data_url)

    def approved(self, *words: str) -> str:
        """Run the pipeline and approve what it registers; returns the version's ARN."""
        arn = str(self.project.run(*words).outcome["model_package_arn"])
        self.sagemaker.update_model_package(ModelPackageArn=arn, ModelApprovalStatus="Approved")
        return arn

    def spoilt(self, arn: str, name: str, code: str) -> str:
        """An approved version whose classifier's handler ends with this code; returns its ARN."""
        like = self.sagemaker.describe_model_package(ModelPackageName=arn)
        specification = like["InferenceSpecification"]
        for container in specification["Containers"]:
            for member in ("ImageDigest", "ModelDataETag"):
                container.pop(member, None)
        classifier = specification["Containers"][1]
        packed = repacked(self.project.account.read(classifier["ModelDataUrl"]), code)
        key = f"spoilt/{name}/model.tar.gz"
        self.client("s3").put_object(Bucket=BUCKET, Key=key, Body=packed)
        classifier["ModelDataUrl"] = f"s3://{BUCKET}/{key}"
        answer = self.sagemaker.create_model_package(
            ModelPackageGroupName=GROUP,
            InferenceSpecification=specification,
            ModelApprovalStatus="Approved",
            CustomerMetadataProperties=like["CustomerMetadataProperties"],
        )
        return str(answer["ModelPackageArn"])

    def config(
        self, name: str, arn: str, count: int = 1, capture: str | None = None, **variant: Any
    ) -> str:
        """An endpoint configuration for a version, perhaps with all requests captured."""
        self.sagemaker.create_model(
            ModelName=name,
            Containers=[{"ModelPackageName": arn}],
            ExecutionRoleArn=ROLE,
            EnableNetworkIsolation=True,
        )
        more: dict[str, Any] = {}
        if capture is not None:
            more["DataCaptureConfig"] = {
                "EnableCapture": True,
                "InitialSamplingPercentage": 100,
                "DestinationS3Uri": f"s3://{BUCKET}/{capture}",
                "CaptureOptions": [{"CaptureMode": "Input"}, {"CaptureMode": "Output"}],
                "CaptureContentTypeHeader": {
                    "CsvContentTypes": ["text/csv"],
                    "JsonContentTypes": ["application/json"],
                },
            }
        self.sagemaker.create_endpoint_config(
            EndpointConfigName=name,
            ProductionVariants=[
                {
                    "VariantName": VARIANT,
                    "ModelName": name,
                    "InstanceType": "ml.m5.large",
                    "InitialInstanceCount": count,
                    **variant,
                }
            ],
            **more,
        )
        return name

    def endpoint(self, name: str, config: str) -> str:
        """An endpoint in service."""
        self.sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=config)
        assert self.settled(name)["EndpointStatus"] == "InService"
        return name

    def update(self, endpoint: str, config: str, **more: Any) -> dict[str, Any]:
        """UpdateEndpoint; returns the endpoint's description when it is through."""
        self.sagemaker.update_endpoint(EndpointName=endpoint, EndpointConfigName=config, **more)
        return self.settled(endpoint)

    def settled(self, endpoint: str, seconds: float = 120.0) -> dict[str, Any]:
        """Wait until an endpoint is not in progress; returns its description."""
        deadline = time.monotonic() + seconds
        while (now := self.describe(endpoint))["EndpointStatus"] not in SETTLED:
            assert time.monotonic() < deadline, now
            time.sleep(0.1)
        return now

    def describe(self, endpoint: str) -> dict[str, Any]:
        found: dict[str, Any] = self.sagemaker.describe_endpoint(EndpointName=endpoint)
        return found

    def ask(self, endpoint: str, payload: Payload) -> bytes:
        """InvokeEndpoint; returns the answer's body."""
        reply = self.runtime.invoke_endpoint(
            EndpointName=endpoint, ContentType=payload.content_type, Body=payload.body
        )
        answer: bytes = reply["Body"].read()
        return answer

    def load(self, endpoint: str, payloads: list[Payload], **more: Any) -> Load:
        return Load(endpoint_caller(self.cloud.address.data_url, endpoint), payloads, **more)

    def contract(self, arn: str) -> dict[str, Any]:
        """The sample of a version's deployment.json."""
        package = self.sagemaker.describe_model_package(ModelPackageName=arn)
        uri = package["CustomerMetadataProperties"]["DeploymentUri"]
        sample: dict[str, Any] = json.loads(self.project.account.read(uri))["sample"]
        return sample

    def metric(self, endpoint: str, name: str, config: str = "") -> dict[str, float]:
        """Sum, SampleCount, Minimum and Maximum of all that CloudWatch has of a metric."""
        points = self._points(endpoint, name, config, Statistics=_STATISTICS)
        return {
            "Sum": sum(each["Sum"] for each in points),
            "SampleCount": sum(each["SampleCount"] for each in points),
            "Minimum": min((each["Minimum"] for each in points), default=0.0),
            "Maximum": max((each["Maximum"] for each in points), default=0.0),
        }

    def latency(self, endpoint: str, config: str) -> float:
        """The 90th percentile of ModelLatency in microseconds, of the worst hour."""
        asked = {"ExtendedStatistics": ["p90"]}
        points = self._points(endpoint, "ModelLatency", config, **asked)
        return max(float(each["ExtendedStatistics"]["p90"]) for each in points)

    def _points(self, endpoint: str, name: str, config: str, **asked: Any) -> list[dict[str, Any]]:
        now = time.time()
        found: list[dict[str, Any]] = self.client("cloudwatch").get_metric_statistics(
            Namespace="AWS/SageMaker",
            MetricName=name,
            Dimensions=_dimensions(endpoint, config),
            StartTime=now - 86400,
            EndTime=now + 3600,
            Period=3600,
            **asked,
        )["Datapoints"]
        return found

    def alarm(self, endpoint: str, config: str, metric: str, threshold: float, **what: Any) -> str:
        """An alarm over the fleet of a configuration, of ten seconds; returns its name."""
        name = f"{endpoint}-{config}-{metric}"
        self.client("cloudwatch").put_metric_alarm(
            AlarmName=name,
            Namespace="AWS/SageMaker",
            MetricName=metric,
            Dimensions=_dimensions(endpoint, config),
            Period=PERIOD,
            EvaluationPeriods=1,
            Threshold=threshold,
            ComparisonOperator="GreaterThanThreshold",
            TreatMissingData="notBreaching",
            **what,
        )
        return name


def canary(wait: int, *alarms: str) -> dict[str, Any]:
    """A DeploymentConfig: half of the requests for so many seconds, then all."""
    return {
        "BlueGreenUpdatePolicy": {
            "TrafficRoutingConfiguration": {
                "Type": "CANARY",
                "CanarySize": {"Type": "CAPACITY_PERCENT", "Value": 50},
                "WaitIntervalInSeconds": wait,
            },
            "TerminationWaitInSeconds": 0,
        },
        "AutoRollbackConfiguration": {"Alarms": [{"AlarmName": name} for name in alarms]},
    }


def some_rows(folder: Path, count: int) -> list[Payload]:
    """Rows of the data set: most alone as csv, every third one as JSON with the one before."""
    with (folder / FILE_NAME).open(encoding="utf-8-sig", newline="") as file:
        rows = [
            [row[name] for name in schema.COLUMN_NAMES]
            for row, _ in zip(csv.DictReader(file), range(count), strict=False)
        ]
    payloads = []
    for number, row in enumerate(rows):
        if number % 3:
            payloads.append(Payload("text/csv", ",".join(row).encode()))
        else:
            both = [_instance(rows[number - 1]), _instance(row)]
            body = json.dumps({"instances": both}).encode()
            payloads.append(Payload("application/json", body))
    return payloads


def _instance(row: list[str]) -> dict[str, object]:
    kinds: Mapping[str, type] = {"category": str, "integer": int, "number": float}
    return {
        column.name: kinds[column.kind](text)
        for column, text in zip(schema.COLUMNS, row, strict=True)
    }


def _dimensions(endpoint: str, config: str) -> list[dict[str, str]]:
    named = {"EndpointName": endpoint, "VariantName": VARIANT, "EndpointConfigName": config}
    return [{"Name": name, "Value": value} for name, value in named.items() if value]


def repacked(archive: bytes, code: str) -> bytes:
    """The archive of a model with something more at the end of its code/inference.py."""
    written = io.BytesIO()
    with (
        tarfile.open(fileobj=io.BytesIO(archive)) as old,
        tarfile.open(fileobj=written, mode="w:gz") as new,
    ):
        for entry in old:
            content = old.extractfile(entry)
            if content is None:
                new.addfile(entry)
                continue
            data = content.read()
            if entry.name.removeprefix("./") == "code/inference.py":
                data += b"\n" + code.encode()
                entry.size = len(data)
            new.addfile(entry, io.BytesIO(data))
    return written.getvalue()
