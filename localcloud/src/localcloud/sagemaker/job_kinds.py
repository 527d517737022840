"""The two kinds of job: their names in AWS's words, and the contract of their containers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from localcloud.containers import processing, training
from localcloud.containers.runtime import ContainerSpec
from localcloud.protocol import Document
from localcloud.sagemaker.listing import Listing, choose


@dataclass(frozen=True)
class Kind:
    """What differs between the kinds of job."""

    name: str
    resource: str
    log_group: str
    check: Callable[[Document], None]
    prepare: Callable[..., ContainerSpec]
    image: Callable[[Document], str]
    instances: Callable[[Document], int]
    listing: Listing

    @property
    def status(self) -> str:
        """The member that holds a job's status."""
        return f"{self.name}JobStatus"


def _listing(name: str) -> Listing:
    members = (
        *(f"{name}Job{member}" for member in ("Name", "Arn", "Status")),
        *("CreationTime", "LastModifiedTime", f"{name}EndTime"),
        *(("FailureReason", "ExitMessage") if name == "Processing" else ("SecondaryStatus",)),
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


PROCESSING = Kind(
    name="Processing",
    resource="processing-job",
    log_group="/aws/sagemaker/ProcessingJobs",
    check=processing.check,
    prepare=processing.prepare,
    image=lambda request: str(request["AppSpecification"]["ImageUri"]),
    instances=lambda request: int(request["ProcessingResources"]["ClusterConfig"]["InstanceCount"]),
    listing=_listing("Processing"),
)
TRAINING = Kind(
    name="Training",
    resource="training-job",
    log_group="/aws/sagemaker/TrainingJobs",
    check=training.check,
    prepare=training.prepare,
    image=lambda request: str(request["AlgorithmSpecification"]["TrainingImage"]),
    instances=lambda request: int(request["ResourceConfig"].get("InstanceCount", 1)),
    listing=_listing("Training"),
)
KINDS = {kind.name: kind for kind in (PROCESSING, TRAINING)}
