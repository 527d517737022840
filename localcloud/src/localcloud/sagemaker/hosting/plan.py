"""What a fleet runs: an endpoint configuration with its models looked up."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from localcloud.containers.serving import ModelContainer
from localcloud.errors import ValidationException
from localcloud.protocol import Document

MOST_INSTANCES = 8
START_SECONDS = 60.0
"""How long a container may take to answer /ping where its variant does not say; AWS gives more."""


@dataclass(frozen=True)
class Variant:
    """One production variant: what its instances run, how many there are, and its weight.

    `timeout` is for how many seconds a container may fail to answer /ping after its start.
    """

    name: str
    instance_type: str
    count: int
    weight: float
    timeout: float
    containers: tuple[ModelContainer, ...]

    @classmethod
    def read(cls, document: Mapping[str, Any]) -> Variant:
        """A variant as it was kept."""
        containers = tuple(ModelContainer(**each) for each in document["containers"])
        return cls(**{**document, "containers": containers})


@dataclass(frozen=True)
class FleetPlan:
    """What a fleet runs and captures.

    It is kept with the endpoint: once deployed, an endpoint needs neither its configuration nor
    its models any more.
    """

    config: str
    variants: tuple[Variant, ...]
    capture: Document | None

    @classmethod
    def of(
        cls, config: Document, containers: Callable[[str], tuple[ModelContainer, ...]]
    ) -> FleetPlan:
        """The plan of an endpoint configuration; `containers` gives those of a model by name."""
        return cls(
            config["EndpointConfigName"],
            tuple(
                Variant(
                    name=each["VariantName"],
                    instance_type=each["InstanceType"],
                    count=each["InitialInstanceCount"],
                    weight=each["InitialVariantWeight"],
                    timeout=each.get("ContainerStartupHealthCheckTimeoutInSeconds", START_SECONDS),
                    containers=containers(each["ModelName"]),
                )
                for each in config["ProductionVariants"]
            ),
            config.get("DataCaptureConfig"),
        )

    @classmethod
    def read(cls, document: Document) -> FleetPlan:
        """A plan as `document` gave it."""
        variants = tuple(Variant.read(each) for each in document["variants"])
        return cls(document["config"], variants, document["capture"])

    def document(self) -> Document:
        """The plan as a document to keep."""
        return asdict(self)

    def retaining(self, other: FleetPlan, *, counts: bool, weights: bool) -> FleetPlan:
        """This plan with the instance counts and weights that variants have in another one."""
        known = {each.name: each for each in other.variants}
        return self.changed(
            counts={name: each.count for name, each in known.items()} if counts else {},
            weights={name: each.weight for name, each in known.items()} if weights else {},
        )

    def changed(self, counts: Mapping[str, int], weights: Mapping[str, float]) -> FleetPlan:
        """This plan with other instance counts and weights, by variant."""
        return replace(
            self,
            variants=tuple(
                replace(
                    each,
                    count=counts.get(each.name, each.count),
                    weight=weights.get(each.name, each.weight),
                )
                for each in self.variants
            ),
        )


def check_count(variant: str, count: int) -> None:
    """Raise ValidationException for a number of instances that no laptop would bear."""
    if not 1 <= count <= MOST_INSTANCES:
        raise ValidationException(
            f"The variant {variant} must have 1 to {MOST_INSTANCES} instances here, not {count}: "
            "each is a process of this machine for every container of its model"
        )
