"""Pipeline executions: start, watch, stop, let go on."""

from __future__ import annotations

from localcloud.errors import ValidationException
from localcloud.protocol import Caller, Document, Operation
from localcloud.s3.objects import ObjectStore
from localcloud.sagemaker.arns import arn, random_id
from localcloud.sagemaker.execution_records import KIND as KIND  # noqa: PLC0414 - what others read
from localcloud.sagemaker.execution_records import RUNNING, ExecutionRecords
from localcloud.sagemaker.execution_records import STEP as STEP  # noqa: PLC0414 - the same
from localcloud.sagemaker.execution_runs import ExecutionRuns, parallelism
from localcloud.sagemaker.listing import Listing, choose, paged
from localcloud.sagemaker.pipelines import KIND as PIPELINE
from localcloud.sagemaker.pipelines import Pipelines
from localcloud.sagemaker.request_tokens import RequestTokens
from localcloud.sagemaker.steps import StepExecutor
from localcloud.sagemaker.workflow.definition import Definition, read_definition
from localcloud.sagemaker.workflow.selection import (
    check_source,
    needed_steps,
    refuse_dependencies,
)
from localcloud.store import Store

_EXECUTIONS = Listing(
    answer="PipelineExecutionSummaries",
    name="PipelineExecutionDisplayName",
    summary=lambda execution: (
        choose(
            execution | {"StartTime": execution["CreationTime"]},
            "PipelineExecutionArn",
            "StartTime",
            "PipelineExecutionStatus",
            "PipelineExecutionDescription",
            "PipelineExecutionDisplayName",
        )
        | (
            {"PipelineExecutionFailureReason": execution["FailureReason"]}
            if "FailureReason" in execution
            else {}
        )
    ),
    sort_fields={"CreationTime": "CreationTime", "PipelineExecutionArn": "PipelineExecutionArn"},
)
_NOT_EMULATED = ("PipelineVersionId", "PipelineVersionAlias", "MlflowExperimentName")


class Executions:
    """The calls on executions, each of which runs beside them."""

    def __init__(
        self, store: Store, objects: ObjectStore, pipelines: Pipelines, steps: StepExecutor
    ) -> None:
        self._store = store
        self._records = ExecutionRecords(store)
        self._tokens = RequestTokens(store)
        self._pipelines = pipelines
        self._runs = ExecutionRuns(store, self._records, objects, steps)

    def operations(self) -> dict[str, Operation]:
        """The calls by their AWS names."""
        return {
            "StartPipelineExecution": self.start,
            "RetryPipelineExecution": self.retry,
            "StopPipelineExecution": self.stop,
            "UpdatePipelineExecution": self.update,
            "DescribePipelineExecution": self.describe,
            "DescribePipelineDefinitionForExecution": self.describe_definition,
            "ListPipelineExecutions": self.list_executions,
            "ListPipelineExecutionSteps": self.list_steps,
            "ListPipelineParametersForExecution": self.list_parameters,
        }

    def end_leftovers(self) -> None:
        """Report as failed what an earlier process left running; to be called at the start."""
        self._records.end_leftovers()

    def start(self, caller: Caller, request: Document) -> Document:
        """StartPipelineExecution; wrong parameters are refused before anything runs."""
        for member in _NOT_EMULATED:
            if member in request:
                raise ValidationException(f"localcloud does not run executions with {member} yet")
        known = self._tokens.answer(caller, "StartPipelineExecution", request)
        if known is not None:
            return known
        pipeline = self._pipelines.find(caller, request["PipelineName"])
        definition = read_definition(pipeline["PipelineDefinition"])
        given = request.get("PipelineParameters", [])
        definition.values(given)
        reused = self._reused(caller, pipeline, definition, request)
        name = f"{pipeline['PipelineName']}/execution/{random_id()}"
        now = self._store.clock.now()
        execution = {
            **choose(pipeline, "PipelineArn", "RoleArn", "ParallelismConfiguration"),
            **choose(
                request,
                "PipelineExecutionDescription",
                "ParallelismConfiguration",
                "SelectiveExecutionConfig",
                "RoleArn",
            ),
            "PipelineExecutionDisplayName": request.get(
                "PipelineExecutionDisplayName", f"execution-{int(now * 1000)}"
            ),
            "PipelineExecutionArn": arn(caller, PIPELINE, name),
            "PipelineExecutionStatus": "Executing",
            "CreationTime": now,
            "LastModifiedTime": now,
            "CreatedBy": {},
            "LastModifiedBy": {},
            "PipelineDefinition": pipeline["PipelineDefinition"],
            "PipelineParameters": given,
        }
        answer = {"PipelineExecutionArn": execution["PipelineExecutionArn"]}
        with self._store.transaction():
            self._records.put(caller, name, execution)
            for step in reused:
                self._records.put_step(caller, name, step | {"StartTime": now, "EndTime": now})
            self._pipelines.mark_executed(caller, pipeline["PipelineName"], now)
            self._tokens.keep(caller, "StartPipelineExecution", request, answer)
        self._runs.start(caller, name, execution, definition)
        return answer

    def retry(self, caller: Caller, request: Document) -> Document:
        """RetryPipelineExecution: what succeeded stays, what failed or was stopped runs again."""
        known = self._tokens.answer(caller, "RetryPipelineExecution", request)
        if known is not None:
            return known
        with self._store.transaction():
            name, execution = self._records.find(caller, request["PipelineExecutionArn"])
            status = execution["PipelineExecutionStatus"]
            if status not in ("Failed", "Stopped"):
                raise ValidationException(
                    f"Pipeline execution with ARN {execution['PipelineExecutionArn']} is in status "
                    f"{status}. Only executions in status Failed or Stopped can be retried."
                )
            # What an earlier localcloud stored may be refused now; nothing has changed then.
            definition = read_definition(execution["PipelineDefinition"])
            changes = choose(request, "ParallelismConfiguration")
            changes |= {"PipelineExecutionStatus": "Executing", "FailureReason": None}
            execution = self._records.update(caller, name, changes)
            self._records.forget_unfinished(caller, name)
            answer = {"PipelineExecutionArn": execution["PipelineExecutionArn"]}
            self._tokens.keep(caller, "RetryPipelineExecution", request, answer)
        self._runs.start(caller, name, execution, definition)
        return answer

    def stop(self, caller: Caller, request: Document) -> Document:
        """StopPipelineExecution: running jobs are stopped, no further step starts."""
        with self._store.transaction():
            name, execution = self._records.find(caller, request["PipelineExecutionArn"])
            run = self._runs.find(execution)
            if run is None or execution["PipelineExecutionStatus"] not in RUNNING:
                raise ValidationException(
                    f"Pipeline execution with ARN {execution['PipelineExecutionArn']} is in status "
                    f"{execution['PipelineExecutionStatus']} and cannot be stopped."
                )
            self._records.update(caller, name, {"PipelineExecutionStatus": "Stopping"})
        run.stopping.set()
        return {"PipelineExecutionArn": execution["PipelineExecutionArn"]}

    def update(self, caller: Caller, request: Document) -> Document:
        """UpdatePipelineExecution; a new parallelism holds for the steps that start from now on."""
        name, execution = self._records.find(caller, request["PipelineExecutionArn"])
        changes = choose(
            request,
            "PipelineExecutionDisplayName",
            "PipelineExecutionDescription",
            "ParallelismConfiguration",
        )
        execution = self._records.update(caller, name, changes)
        run = self._runs.find(execution)
        if run is not None:
            run.widen(parallelism(execution))
        return {"PipelineExecutionArn": execution["PipelineExecutionArn"]}

    def describe(self, caller: Caller, request: Document) -> Document:
        """DescribePipelineExecution: how it stands, and why it failed."""
        return self._records.find(caller, request["PipelineExecutionArn"])[1]

    def describe_definition(self, caller: Caller, request: Document) -> Document:
        """DescribePipelineDefinitionForExecution: the definition that this execution runs."""
        execution = self._records.find(caller, request["PipelineExecutionArn"])[1]
        return choose(execution, "PipelineDefinition", "CreationTime")

    def list_executions(self, caller: Caller, request: Document) -> Document:
        """ListPipelineExecutions: those of one pipeline, in pages."""
        pipeline = self._pipelines.find(caller, request["PipelineName"])
        found = self._records.of_pipeline(caller, pipeline["PipelineName"])
        return _EXECUTIONS.page(request, found)

    def list_steps(self, caller: Caller, request: Document) -> Document:
        """ListPipelineExecutionSteps: the steps that were started."""
        if "PipelineExecutionArn" not in request:
            raise ValidationException("PipelineExecutionArn must be given")
        name, _ = self._records.find(caller, request["PipelineExecutionArn"])
        steps = [
            {key: value for key, value in step.items() if key != "Properties"}
            for step in self._records.steps(caller, name)
        ]
        if request.get("SortOrder", "Descending") == "Descending":
            steps.reverse()
        return paged("PipelineExecutionSteps", request, steps)

    def list_parameters(self, caller: Caller, request: Document) -> Document:
        """ListPipelineParametersForExecution: what the execution was given."""
        execution = self._records.find(caller, request["PipelineExecutionArn"])[1]
        return paged("PipelineParameters", request, execution["PipelineParameters"])

    def close(self) -> None:
        """Let running executions end their jobs; what cannot end is reported at the next start."""
        self._runs.close()

    def _reused(
        self, caller: Caller, pipeline: Document, definition: Definition, request: Document
    ) -> list[Document]:
        """The steps of an earlier execution whose results a selective execution takes over."""
        config = request.get("SelectiveExecutionConfig")
        if config is None:
            return []
        selected = [item["StepName"] for item in config["SelectedSteps"]]
        needed = needed_steps(definition, selected)
        source_arn = config.get("SourcePipelineExecutionArn")
        if source_arn is None:
            refuse_dependencies(selected, needed)
            return []
        name, source = self._records.find(caller, source_arn)
        if source["PipelineArn"] != pipeline["PipelineArn"]:
            raise ValidationException(
                f"Invalid SourcePipelineExecutionArn: {source_arn} is no execution of the pipeline "
                f"{pipeline['PipelineName']}."
            )
        if source["PipelineExecutionStatus"] not in ("Succeeded", "Failed"):
            raise ValidationException(
                f"Invalid SourcePipelineExecutionArn: {source_arn} is in status "
                f"{source['PipelineExecutionStatus']}; it must be Succeeded or Failed."
            )
        finished = self._records.finished(caller, name)
        check_source(definition, selected, needed, finished, source_arn)
        return [
            choose(step, "StepName", "StepDisplayName", "StepDescription", "StepStatus", "Metadata")
            | {
                "Properties": finished[step["StepName"]],
                "SelectiveExecutionResult": {"SourcePipelineExecutionArn": source_arn},
            }
            for step in self._records.steps(caller, name)
            if step["StepName"] in needed
        ]
