"""Application Auto Scaling as the front door knows it."""

from __future__ import annotations

from localcloud.autoscaling.policies import ScalingPolicies
from localcloud.autoscaling.targets import HasVariant, ScalableTargets
from localcloud.protocol import Service
from localcloud.store import Store


class Autoscaling:
    """Targets and policies. `has_variant` says whether an endpoint has a variant of a name."""

    def __init__(self, store: Store, has_variant: HasVariant) -> None:
        self.targets = ScalableTargets(store, has_variant)
        policies = ScalingPolicies(store, self.targets)
        self.service = Service(
            "application-autoscaling", self.targets.operations() | policies.operations()
        )
