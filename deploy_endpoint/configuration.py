"""What runs, beside what the stage's file asks for: a change by hand is told."""

from collections.abc import Iterator
from typing import Any

from deploy_endpoint import live
from deploy_endpoint.clients import Workspace
from deploy_endpoint.stage import Stage


def differences(workspace: Workspace, stage: Stage, api_id: str) -> Iterator[str]:
    """Yield a sentence for everything live that is not as the stage's file says."""
    serving = live.read(workspace, stage.name)
    if serving is None:
        yield f"there is no endpoint {stage.name}"
        return
    (variant,) = serving.config["ProductionVariants"]
    bounds, count = stage.instances, serving.instances
    yield from _other("instance type", variant["InstanceType"], bounds.type)
    if not bounds.minimum <= count <= bounds.maximum:
        yield f"instances must be from {bounds.minimum} to {bounds.maximum}, not {count}"
    capture = serving.config.get("DataCaptureConfig", {})
    percent = capture.get("InitialSamplingPercentage", 0) if capture.get("EnableCapture") else 0
    yield from _other("captured percent", percent, stage.capture.percent)
    yield from _scaling(workspace, stage)
    default = workspace.client("apigatewayv2").get_stage(ApiId=api_id, StageName="$default")
    settings = default.get("DefaultRouteSettings", {})
    limits = (settings.get("ThrottlingRateLimit"), settings.get("ThrottlingBurstLimit"))
    wanted = (float(stage.api.requests_per_second), stage.api.burst)
    yield from _other("throttling, a second and at once,", limits, wanted)


def _scaling(workspace: Workspace, stage: Stage) -> Iterator[str]:
    resource = f"endpoint/{stage.name}/variant/main"
    client = workspace.client("application-autoscaling")
    found = client.describe_scalable_targets(ServiceNamespace="sagemaker", ResourceIds=[resource])[
        "ScalableTargets"
    ]
    bounds = [(each["MinCapacity"], each["MaxCapacity"]) for each in found]
    wanted = [(stage.instances.minimum, stage.instances.maximum)]
    yield from _other("autoscaling's bounds", bounds, wanted)


def _other(what: str, told: Any, wanted: Any) -> Iterator[str]:
    if told != wanted:
        yield f"{what} must be {wanted}, not {told}"
