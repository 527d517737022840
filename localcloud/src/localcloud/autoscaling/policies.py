"""Scaling policies: by what a target would scale."""

from __future__ import annotations

import uuid

from localcloud.autoscaling.errors import ObjectNotFound
from localcloud.autoscaling.pages import paged
from localcloud.autoscaling.places import DIMENSION, NAMESPACE, check_namespace, place_of
from localcloud.autoscaling.targets import POLICY, ScalableTargets
from localcloud.errors import ValidationException
from localcloud.protocol import Caller, Document, Operation
from localcloud.store import Store

_CONFIGURATIONS = {
    "TargetTrackingScaling": "TargetTrackingScalingPolicyConfiguration",
    "StepScaling": "StepScalingPolicyConfiguration",
}
_METRICS = ("PredefinedMetricSpecification", "CustomizedMetricSpecification")
_PREDEFINED = (
    "SageMakerVariantInvocationsPerInstance",
    "SageMakerVariantConcurrentRequestsPerModelHighResolution",
)


class ScalingPolicies:
    """The calls on policies. They make no alarms, and nothing scales by them."""

    def __init__(self, store: Store, targets: ScalableTargets) -> None:
        self._store = store
        self._targets = targets

    def operations(self) -> dict[str, Operation]:
        """The calls by their AWS names."""
        return {
            "PutScalingPolicy": self.put,
            "DescribeScalingPolicies": self.describe,
            "DeleteScalingPolicy": self.delete,
        }

    def put(self, caller: Caller, request: Document) -> Document:
        """PutScalingPolicy: of target tracking or of steps; a record, no alarm is made for it."""
        place = place_of(request)
        name = f"{place.resource_id}/{request['PolicyName']}"
        with self._store.transaction():
            self._targets.find(caller, place)
            there = self._store.get(caller, POLICY, name)
            kind: str = request.get("PolicyType") or (there or {}).get("PolicyType", "StepScaling")
            _check(kind, request)
            member = _CONFIGURATIONS[kind]
            arn = (
                f"arn:aws:autoscaling:{caller.region}:{caller.account}:scalingPolicy:{uuid.uuid4()}:"
                f"resource/{NAMESPACE}/{place.resource_id}:policyName/{request['PolicyName']}"
            )
            policy = place.document() | {
                "PolicyARN": there["PolicyARN"] if there else arn,
                "PolicyName": request["PolicyName"],
                "PolicyType": kind,
                member: request[member],
                "Alarms": [],
                "CreationTime": there["CreationTime"] if there else self._store.clock.now(),
            }
            self._store.put(caller, POLICY, name, policy)
        return {"PolicyARN": policy["PolicyARN"], "Alarms": []}

    def describe(self, caller: Caller, request: Document) -> Document:
        """DescribeScalingPolicies: all of SageMaker, or some of them."""
        check_namespace(request)
        names, resource_id = request.get("PolicyNames"), request.get("ResourceId")
        found = [
            policy
            for policy in self._store.documents(caller, POLICY)
            if (not names or policy["PolicyName"] in names or policy["PolicyARN"] in names)
            and resource_id in (None, policy["ResourceId"])
            and request.get("ScalableDimension", DIMENSION) == DIMENSION
        ]
        return paged("ScalingPolicies", request, found)

    def delete(self, caller: Caller, request: Document) -> Document:
        """DeleteScalingPolicy: the target stays."""
        place = place_of(request)
        name = f"{place.resource_id}/{request['PolicyName']}"
        with self._store.transaction():
            if self._store.get(caller, POLICY, name) is None:
                raise ObjectNotFound(
                    f"No scaling policy found for {place.words()}, policy name: "
                    f"{request['PolicyName']}"
                )
            self._store.delete(caller, POLICY, name)
        return {}


def _check(kind: str, request: Document) -> None:
    """Raise ValidationException for a policy that is none of its type."""
    member = _CONFIGURATIONS.get(kind)
    if member is None:
        raise ValidationException(f"localcloud does not emulate policies of the type {kind}")
    others = [name for name in _CONFIGURATIONS.values() if name != member and name in request]
    if member not in request or others:
        raise ValidationException(f"A policy of the type {kind} must have a {member}, and no other")
    if kind != "TargetTrackingScaling":
        return
    given = [name for name in _METRICS if name in request[member]]
    if len(given) != 1:
        raise ValidationException(
            f"Exactly one of {' and '.join(_METRICS)} must be given for target tracking"
        )
    predefined = request[member].get(_METRICS[0])
    if predefined and predefined["PredefinedMetricType"] not in _PREDEFINED:
        raise ValidationException(
            f"Unsupported metric type {predefined['PredefinedMetricType']} for service namespace "
            f"{NAMESPACE} and scalable dimension {DIMENSION}"
        )
