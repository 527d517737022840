"""Executions as SageMaker tells of them: found, read step by step, stopped."""

import json
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Self

from pipelines.build.clients import Workspace
from pipelines.build.errors import UsageError, is_missing
from pipelines.build.gate import defaults

RUNNING: Final = ("Executing", "Stopping")
_JOBS: Final[Mapping[str, str]] = {
    "ProcessingJob": "/aws/sagemaker/ProcessingJobs",
    "TrainingJob": "/aws/sagemaker/TrainingJobs",
    "TransformJob": "/aws/sagemaker/TransformJobs",
}


@dataclass(frozen=True, slots=True)
class Step:
    """A step that was started. ``seconds`` grows while it runs; it is 0 for a cached step.

    ``reused`` says that it did not run: its results are an earlier execution's.
    """

    name: str
    status: str
    started: datetime | None
    ended: datetime | None
    cached: bool
    reused: bool
    failure: str
    metadata: Mapping[str, Any]

    @classmethod
    def read(cls, answer: Mapping[str, Any]) -> Self:
        """Read a member of ListPipelineExecutionSteps' answer."""
        return cls(
            name=answer["StepName"],
            status=answer["StepStatus"],
            started=answer.get("StartTime"),
            ended=answer.get("EndTime"),
            cached=bool(answer.get("CacheHitResult")),
            reused=bool(answer.get("SelectiveExecutionResult")),
            failure=answer.get("FailureReason", ""),
            metadata=answer.get("Metadata", {}),
        )

    @property
    def seconds(self) -> float | None:
        """Seconds from start to end, or until now."""
        if self.started is None:
            return None
        return max(0.0, ((self.ended or datetime.now(UTC)) - self.started).total_seconds())

    @property
    def job(self) -> tuple[str, str] | None:
        """The log group and the name of the step's job; None for a step without one."""
        for kind, group in _JOBS.items():
            if kind in self.metadata:
                return group, str(self.metadata[kind]["Arn"]).rpartition("/")[2]
        return None

    @property
    def model_package_arn(self) -> str | None:
        """The version that this step registered."""
        arn = self.metadata.get("RegisterModel", {}).get("Arn")
        return None if arn is None else str(arn)


@dataclass(frozen=True, slots=True)
class Execution:
    """An execution at one moment; steps in the order in which they started."""

    arn: str
    status: str
    failure: str
    started: datetime
    changed: datetime
    steps: tuple[Step, ...]

    @property
    def id(self) -> str:
        """The last part of the ARN."""
        return self.arn.rpartition("/")[2]

    @property
    def running(self) -> bool:
        """Whether it goes on."""
        return self.status in RUNNING

    @property
    def seconds(self) -> float:
        """Seconds from start to end, or until now."""
        end = datetime.now(UTC) if self.running else self.changed
        return max(0.0, (end - self.started).total_seconds())

    @property
    def model_package_arn(self) -> str | None:
        """The version that was registered, if one was."""
        return next((s.model_package_arn for s in self.steps if s.model_package_arn), None)


def read(workspace: Workspace, arn: str) -> Execution:
    """Ask for an execution and its steps. Raises UsageError if there is none of this ARN."""
    from botocore.exceptions import ClientError  # noqa: PLC0415

    try:
        answer = workspace.sagemaker.describe_pipeline_execution(PipelineExecutionArn=arn)
        pages = workspace.sagemaker.get_paginator("list_pipeline_execution_steps").paginate(
            PipelineExecutionArn=arn, SortOrder="Ascending"
        )
        steps = [Step.read(each) for page in pages for each in page["PipelineExecutionSteps"]]
    except ClientError as error:
        if is_missing(error):
            raise UsageError(f"There is no execution {arn}.") from error
        raise
    return Execution(
        arn=arn,
        status=answer["PipelineExecutionStatus"],
        failure=answer.get("FailureReason", ""),
        started=answer["CreationTime"],
        changed=answer.get("LastModifiedTime", answer["CreationTime"]),
        steps=tuple(steps),
    )


def find_arn(workspace: Workspace, execution: str | None) -> str:
    """Return the ARN of an execution by its ARN or id; of the latest without one.

    Raises UsageError when the pipeline has no execution or is not deployed.
    """
    if not execution:
        return latest(workspace, 1)[0]
    if execution.startswith("arn:"):
        return execution
    name = workspace.settings.pipeline_name
    with _deployed(name):
        pipeline = workspace.sagemaker.describe_pipeline(PipelineName=name)["PipelineArn"]
    return f"{pipeline}/execution/{execution}"


def latest(workspace: Workspace, count: int) -> list[str]:
    """Return the ARNs of the newest executions, ``count`` at most, the newest first.

    Raises UsageError when the pipeline has no execution or is not deployed.
    """
    name = workspace.settings.pipeline_name
    with _deployed(name):
        found = workspace.sagemaker.list_pipeline_executions(
            PipelineName=name, SortBy="CreationTime", SortOrder="Descending", MaxResults=count
        )["PipelineExecutionSummaries"]
    if not found:
        raise UsageError(
            f"Pipeline {name} has no execution yet; `python build_pipeline.py run` starts one."
        )
    return [str(each["PipelineExecutionArn"]) for each in found]


def parameters(workspace: Workspace, arn: str) -> dict[str, Any]:
    """Return an execution's parameters, those left at their defaults included."""
    return defaults(definition_of(workspace, arn)) | given_parameters(workspace, arn)


def given_parameters(workspace: Workspace, arn: str) -> dict[str, str]:
    """Return the parameters that an execution was started with."""
    pages = workspace.sagemaker.get_paginator("list_pipeline_parameters_for_execution").paginate(
        PipelineExecutionArn=arn
    )
    return {each["Name"]: each["Value"] for page in pages for each in page["PipelineParameters"]}


def definition_of(workspace: Workspace, arn: str) -> dict[str, Any]:
    """Return the definition that an execution runs."""
    answer = workspace.sagemaker.describe_pipeline_definition_for_execution(
        PipelineExecutionArn=arn
    )
    document: dict[str, Any] = json.loads(answer["PipelineDefinition"])
    return document


def stop(workspace: Workspace, *, execution: str | None) -> int:
    """Stop an execution, the latest without a name; its jobs get their time to end."""
    found = read(workspace, find_arn(workspace, execution))
    if not found.running:
        raise UsageError(f"Execution {found.id} does not run: it is {found.status}.")
    workspace.sagemaker.stop_pipeline_execution(
        PipelineExecutionArn=found.arn, ClientRequestToken=uuid.uuid4().hex
    )
    workspace.terminal.write(
        f"Stopping execution {found.id}; `python build_pipeline.py status` shows when it has ended."
    )
    return 0


@contextmanager
def _deployed(name: str) -> Iterator[None]:
    """Say of a pipeline that AWS does not know how to deploy it."""
    from botocore.exceptions import ClientError  # noqa: PLC0415

    try:
        yield
    except ClientError as error:
        if not is_missing(error):
            raise
        raise UsageError(
            f"Pipeline {name} is not deployed; `python build_pipeline.py run` deploys and "
            "starts it."
        ) from error
