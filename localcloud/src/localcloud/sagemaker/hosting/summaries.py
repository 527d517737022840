"""What DescribeEndpoint tells of plans: variants in service, variants to come, data capture."""

from __future__ import annotations

from typing import Any

from localcloud.protocol import Document
from localcloud.sagemaker.hosting.plan import FleetPlan, Variant


def in_service(plan: FleetPlan, since: float) -> list[Document]:
    """ProductionVariants of a fleet whose images were looked up at `since`."""
    return [_summary(each, since, current=each, desired=each) for each in plan.variants]


def changing(before: FleetPlan, after: FleetPlan, now: float) -> list[Document]:
    """ProductionVariants while counts and weights are on their way from one plan to another."""
    found = []
    for current, desired in zip(before.variants, after.variants, strict=True):
        summary = _summary(current, now, current=current, desired=desired)
        if current.count != desired.count:
            way = "out" if desired.count > current.count else "in"
            message = f"Scaling {way} desired instance count to {desired.count}."
            summary["VariantStatus"] = [_status("Updating", message, now)]
        found.append(summary)
    return found


def pending(
    plan: FleetPlan, started: float, now: float, status: str, message: str, *, launched: bool
) -> Document:
    """PendingDeploymentSummary of a fleet to come; `message` has a place for a variant's count."""
    return {
        "EndpointConfigName": plan.config,
        "StartTime": started,
        "ProductionVariants": [
            _summary(each, started, current=each if launched else None, desired=each)
            | {
                "InstanceType": each.instance_type,
                "VariantStatus": [_status(status, message.format(count=each.count), now)],
            }
            for each in plan.variants
        ],
    }


def capture(plan: FleetPlan) -> Document | None:
    """DataCaptureConfig as the endpoint has it; None if its configuration has none."""
    if plan.capture is None:
        return None
    enabled = plan.capture["EnableCapture"]
    return {
        "EnableCapture": enabled,
        "CaptureStatus": "Started" if enabled else "Stopped",
        "CurrentSamplingPercentage": plan.capture["InitialSamplingPercentage"],
        "DestinationS3Uri": plan.capture["DestinationS3Uri"],
        "KmsKeyId": plan.capture.get("KmsKeyId", ""),
    }


def _summary(
    variant: Variant, since: float, *, current: Variant | None, desired: Variant
) -> dict[str, Any]:
    return {
        "VariantName": variant.name,
        "DeployedImages": [
            {
                "SpecifiedImage": container.image,
                "ResolvedImage": container.image,
                "ResolutionTime": since,
            }
            for container in variant.containers
        ],
        "CurrentWeight": 0.0 if current is None else current.weight,
        "DesiredWeight": desired.weight,
        "CurrentInstanceCount": 0 if current is None else current.count,
        "DesiredInstanceCount": desired.count,
    }


def _status(status: str, message: str, since: float) -> Document:
    return {"Status": status, "StatusMessage": message, "StartTime": since}
