"""Scalable targets: between how many instances a variant may scale."""

from __future__ import annotations

import secrets
from collections.abc import Callable

from localcloud.autoscaling.errors import ObjectNotFound
from localcloud.autoscaling.pages import paged
from localcloud.autoscaling.places import DIMENSION, Place, check_namespace, place_of
from localcloud.errors import ResourceNotFoundException, ValidationException
from localcloud.protocol import Caller, Document, Operation
from localcloud.store import Store

KIND = "scalable-target"
POLICY = "scaling-policy"
MAX_TAGS = 50
HasVariant = Callable[[Caller, str, str], bool]


class ScalableTargets:
    """The calls on targets, and on their tags. `has_variant` says whether an endpoint has one."""

    def __init__(self, store: Store, has_variant: HasVariant) -> None:
        self._store = store
        self._has_variant = has_variant

    def operations(self) -> dict[str, Operation]:
        """The calls by their AWS names."""
        return {
            "RegisterScalableTarget": self.register,
            "DescribeScalableTargets": self.describe,
            "DeregisterScalableTarget": self.deregister,
            "TagResource": self.tag,
            "UntagResource": self.untag,
            "ListTagsForResource": self.list_tags,
        }

    def register(self, caller: Caller, request: Document) -> Document:
        """RegisterScalableTarget: a new target, or new limits of one; nothing scales by itself."""
        place = place_of(request)
        with self._store.transaction():
            there = self._store.get(caller, KIND, place.resource_id)
            target = there or self._new(caller, place, request)
            for member in ("MinCapacity", "MaxCapacity", "RoleARN", "SuspendedState"):
                if member in request:
                    target[member] = request[member]
            lowest, highest = target["MinCapacity"], target["MaxCapacity"]
            if lowest < 0 or highest < lowest:
                raise ValidationException(
                    f"Maximum capacity cannot be less than minimum capacity: {highest} is less "
                    f"than {max(lowest, 0)}"
                )
            if there is not None and "Tags" in request:
                raise ValidationException(
                    "You cannot specify tags when you update a scalable target; use TagResource"
                )
            _check_tags(target["Tags"])
            self._store.put(caller, KIND, place.resource_id, target)
        return {"ScalableTargetARN": target["ScalableTargetARN"]}

    def _new(self, caller: Caller, place: Place, request: Document) -> Document:
        if "MinCapacity" not in request or "MaxCapacity" not in request:
            raise ValidationException(
                "MinCapacity and MaxCapacity must be given to register a new scalable target"
            )
        if not self._has_variant(caller, place.endpoint, place.variant):
            raise ValidationException(
                f"SageMaker endpoint variant does not exist: {place.resource_id}"
            )
        return place.document() | {
            "ScalableTargetARN": (
                f"arn:aws:application-autoscaling:{caller.region}:{caller.account}:"
                f"scalable-target/{secrets.token_hex(8)}"
            ),
            "RoleARN": (
                f"arn:aws:iam::{caller.account}:role/aws-service-role/"
                "sagemaker.application-autoscaling.amazonaws.com/"
                "AWSServiceRoleForApplicationAutoScaling_SageMakerEndpoint"
            ),
            "SuspendedState": {
                "DynamicScalingInSuspended": False,
                "DynamicScalingOutSuspended": False,
                "ScheduledScalingSuspended": False,
            },
            "CreationTime": self._store.clock.now(),
            "Tags": request.get("Tags", {}),
        }

    def describe(self, caller: Caller, request: Document) -> Document:
        """DescribeScalableTargets: all of SageMaker, or of some variants."""
        check_namespace(request)
        wanted = request.get("ResourceIds")
        found = [
            {name: value for name, value in target.items() if name != "Tags"}
            for target in self._store.documents(caller, KIND)
            if (not wanted or target["ResourceId"] in wanted)
            and request.get("ScalableDimension", DIMENSION) == DIMENSION
        ]
        return paged("ScalableTargets", request, found)

    def deregister(self, caller: Caller, request: Document) -> Document:
        """DeregisterScalableTarget: its policies go with it."""
        place = place_of(request)
        with self._store.transaction():
            self.find(caller, place)
            self._store.delete(caller, KIND, place.resource_id)
            for policy in self._store.documents(caller, POLICY, f"{place.resource_id}/"):
                name = f"{place.resource_id}/{policy['PolicyName']}"
                self._store.delete(caller, POLICY, name)
        return {}

    def find(self, caller: Caller, place: Place) -> Document:
        """A registered target. Raises ObjectNotFound."""
        found = self._store.get(caller, KIND, place.resource_id)
        if found is None:
            raise ObjectNotFound(f"No scalable target registered for {place.words()}")
        return found

    def is_registered(self, caller: Caller, endpoint: str, variant: str) -> bool:
        """Whether a variant is a scalable target."""
        place = Place(endpoint, variant)
        return self._store.get(caller, KIND, place.resource_id) is not None

    def tag(self, caller: Caller, request: Document) -> Document:
        """TagResource: of a target, by its ARN."""
        with self._store.transaction():
            target = self._by_arn(caller, request["ResourceARN"])
            target["Tags"] |= request["Tags"]
            _check_tags(target["Tags"])
            self._store.put(caller, KIND, target["ResourceId"], target)
        return {}

    def untag(self, caller: Caller, request: Document) -> Document:
        """UntagResource: tags that are not there are no error."""
        with self._store.transaction():
            target = self._by_arn(caller, request["ResourceARN"])
            for key in request["TagKeys"]:
                target["Tags"].pop(key, None)
            self._store.put(caller, KIND, target["ResourceId"], target)
        return {}

    def list_tags(self, caller: Caller, request: Document) -> Document:
        """ListTagsForResource: of a target, by its ARN."""
        return {"Tags": self._by_arn(caller, request["ResourceARN"])["Tags"]}

    def _by_arn(self, caller: Caller, arn: str) -> Document:
        for target in self._store.documents(caller, KIND):
            if target["ScalableTargetARN"] == arn:
                return target
        raise ResourceNotFoundException(f"The resource {arn} was not found")


def _check_tags(tags: Document) -> None:
    if len(tags) > MAX_TAGS:
        raise ValidationException(f"A target has at most {MAX_TAGS} tags, not {len(tags)}")
