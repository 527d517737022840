"""The template's parameters: what a stage's file, a package and the code come to."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from deploy_endpoint.errors import UsageError
from deploy_endpoint.package import Package
from deploy_endpoint.stage import Stage

TEMPLATE: Final = Path(__file__).parent / "stacks" / "endpoint.yaml"
LARGEST_BODY: Final = 51_200
_IMAGE = re.compile(
    r"(?P<account>\d{12})\.dkr\.ecr\.(?P<region>[a-z0-9-]+)\.amazonaws\.com(?:\.cn)?/(?P<name>[^:@]+).*"
)
# Any number does where there is no canary; this one is the template's default.
_NO_CANARY: Final = 50


def values(
    stage: Stage, package: Package, *, bucket: str, code_key: str, repositories: Iterable[str]
) -> dict[str, str]:
    """Return the value of every parameter.

    From the ``repositories`` the endpoint's role may fetch images: the package's own, and those of
    the version that it replaces, which may have to scale or to come back until the end.
    """
    found: dict[str, str | int] = {
        "Project": stage.project,
        "Stage": stage.stage,
        "BucketName": bucket,
        "ModelPackageArn": package.arn,
        "DeploymentUri": package.deployment_uri,
        "ImageRepositoryArns": ",".join(sorted(set(repositories))),
        "CodeKey": code_key,
        "InstanceType": stage.instances.type,
        "InitialInstances": stage.instances.initial,
        "MinimumInstances": stage.instances.minimum,
        "MaximumInstances": stage.instances.maximum,
        "Autoscaling": "on",
        "InvocationsPerInstance": stage.scaling.invocations_per_instance,
        "ScaleInSeconds": stage.scaling.scale_in_seconds,
        "ScaleOutSeconds": stage.scaling.scale_out_seconds,
        "RolloutStrategy": stage.rollout.strategy,
        "CanaryPercent": stage.rollout.canary_percent or _NO_CANARY,
        "BakeSeconds": stage.rollout.bake_seconds,
        "LongestRolloutSeconds": stage.rollout.longest_seconds,
        "CapturePercent": stage.capture.percent,
        "Authentication": stage.api.authentication,
        "RequestsPerSecond": stage.api.requests_per_second,
        "Burst": stage.api.burst,
        "TokenCacheSeconds": stage.api.token_cache_seconds,
        "AlarmPeriodSeconds": stage.alarms.period_seconds,
        "AlarmEvaluations": stage.alarms.evaluations,
        "ServerErrors": stage.alarms.server_errors,
        "LatencyMicroseconds": stage.alarms.latency_milliseconds * 1000,
        "LogRetentionDays": stage.logs.retention_days,
        "KmsKeyArn": stage.encryption.kms_key_arn or "",
    }
    return {name: str(value) for name, value in found.items()}


def repositories(package: Package) -> set[str]:
    """Return the ARNs of the repositories of a package's images. Raises UsageError."""
    partition = package.arn.split(":")[1]
    return {_repository(partition, image) for image in package.images}


def _repository(partition: str, image: str) -> str:
    found = _IMAGE.fullmatch(image)
    if found is None:
        raise UsageError(
            f"Image {image!r} must be one of ECR, for the endpoint's role to fetch it."
        )
    return f"arn:{partition}:ecr:{found['region']}:{found['account']}:repository/{found['name']}"
