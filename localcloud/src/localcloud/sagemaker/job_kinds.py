"""The kinds of job: their names in AWS's words, and the contract of their containers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from localcloud.containers import processing, training
from localcloud.containers.runtime import ContainerSpec
from localcloud.containers.transform import settings as transform_settings
from localcloud.protocol import Document
from localcloud.sagemaker.listing import Listing, choose


@dataclass(frozen=True)
class Kind:
    """What differs between the kinds of job."""

    name: str
    resource: str
    log_group: str
    check: Callable[[Document], None]
    listing: Listing

    @property
    def status(self) -> str:
        """The member that holds a job's status."""
        return f"{self.name}JobStatus"


@dataclass(frozen=True)
class ContainerKind(Kind):
    """A kind of job that runs one container of its own on each instance."""

    prepare: Callable[..., ContainerSpec]
    image: Callable[[Document], str]
    instances: Callable[[Document], int]


def _listing(name: str, *more: str) -> Listing:
    members = (
        *(f"{name}Job{member}" for member in ("Name", "Arn", "Status")),
        *("CreationTime", "LastModifiedTime", f"{name}EndTime", *more),
    )
    return Listing(
        answer=f"{name}JobSummaries",
        name=f"{name}JobName",
        summary=lambda job: choose(job, *members),
        sort_fields={
            "Name": f"{name}JobName",
            "CreationTime": "CreationTime",
            "Status": f"{name}JobStatus",
        },
        equal={"StatusEquals": f"{name}JobStatus"},
    )


PROCESSING = ContainerKind(
    name="Processing",
    resource="processing-job",
    log_group="/aws/sagemaker/ProcessingJobs",
    check=processing.check,
    prepare=processing.prepare,
    image=lambda request: str(request["AppSpecification"]["ImageUri"]),
    instances=lambda request: int(request["ProcessingResources"]["ClusterConfig"]["InstanceCount"]),
    listing=_listing("Processing", "FailureReason", "ExitMessage"),
)
TRAINING = ContainerKind(
    name="Training",
    resource="training-job",
    log_group="/aws/sagemaker/TrainingJobs",
    check=training.check,
    prepare=training.prepare,
    image=lambda request: str(request["AlgorithmSpecification"]["TrainingImage"]),
    instances=lambda request: int(request["ResourceConfig"].get("InstanceCount", 1)),
    listing=_listing("Training", "SecondaryStatus"),
)
TRANSFORM = Kind(
    name="Transform",
    resource="transform-job",
    log_group="/aws/sagemaker/TransformJobs",
    check=transform_settings.check,
    listing=_listing("Transform", "FailureReason"),
)
KINDS: Mapping[str, Kind] = {kind.name: kind for kind in (PROCESSING, TRAINING, TRANSFORM)}
