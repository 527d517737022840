"""AWS::ApplicationAutoScaling::ScalableTarget and ScalingPolicy."""

from __future__ import annotations

from typing import Any

from localcloud.cloudformation.errors import ResourceFailed
from localcloud.cloudformation.resources.kind import Key, Kind
from localcloud.cloudformation.resources.services import Calls
from localcloud.protocol import Document

_PLACE = ("ResourceId", "ScalableDimension", "ServiceNamespace")


class ScalableTargetKind(Kind):
    """Its Ref is `ResourceId|ScalableDimension|ServiceNamespace`."""

    def find(self, calls: Calls, key: Key) -> Document | None:
        """The one target of this place."""
        found: list[Any] = calls(
            self.service,
            self.find_call,
            ServiceNamespace=key["ServiceNamespace"],
            ResourceIds=[key["ResourceId"]],
            ScalableDimension=key["ScalableDimension"],
        )["ScalableTargets"]
        if not found:
            return None
        target: Document = found[0]
        return target | {"Id": "|".join(key[name] for name in _PLACE)}


class ScalingPolicyKind(Kind):
    """A policy names its target by place, or by the target's Ref."""

    def identify(self, calls: Calls, properties: Document) -> Key | None:
        """The place out of ScalingTargetId, if that is given."""
        return super().identify(calls, _placed(properties))

    def create(self, calls: Calls, properties: Document) -> Key:
        """PutScalingPolicy."""
        return super().create(calls, _placed(properties))

    def change(self, calls: Calls, key: Key, before: Document, after: Document) -> None:
        """PutScalingPolicy again: it says all anew."""
        super().change(calls, key, _placed(before), _placed(after))

    def find(self, calls: Calls, key: Key) -> Document | None:
        """The one policy of this name and place."""
        asked = {name: key[name] for name in _PLACE} | {"PolicyNames": [key["PolicyName"]]}
        found: list[Any] = calls(self.service, self.find_call, **asked)["ScalingPolicies"]
        policy: Document | None = found[0] if found else None
        return policy


def _placed(properties: Document) -> Document:
    target = properties.get("ScalingTargetId")
    if target is None:
        return properties
    parts = target.split("|")
    if len(parts) != 3:
        raise ResourceFailed(f"ScalingTargetId must be the Ref of a ScalableTarget, not {target!r}")
    return properties | dict(zip(_PLACE, parts, strict=True))
