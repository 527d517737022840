"""What is stored of pipeline executions and of their steps."""

from __future__ import annotations

from localcloud.errors import ResourceNotFound
from localcloud.protocol import Caller, Document
from localcloud.sagemaker.arns import resource_name
from localcloud.sagemaker.pipelines import KIND as PIPELINE
from localcloud.store import Store

KIND = "pipeline-execution"
STEP = "pipeline-execution-step"
RUNNING = ("Executing", "Stopping")


class ExecutionRecords:
    """Executions by name (`PIPELINE/execution/ID`), their steps by `NAME/STEP`.

    A step's document is what ListPipelineExecutionSteps tells, and the Properties it left.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._clock = store.clock

    def end_leftovers(self) -> None:
        """Report as failed what an earlier process left running; to be called at the start."""
        reason = "localcloud ended while this ran"
        with self._store.transaction():
            for caller, name, step in self._store.everywhere(STEP):
                if step["StepStatus"] == "Executing":
                    now = self._clock.after(step["StartTime"])
                    step |= {"StepStatus": "Failed", "FailureReason": reason, "EndTime": now}
                    self._store.put(caller, STEP, name, step)
            for caller, name, execution in self._store.everywhere(KIND):
                if execution["PipelineExecutionStatus"] in RUNNING:
                    changes = {"PipelineExecutionStatus": "Failed", "FailureReason": reason}
                    now = self._clock.after(self.latest(caller, name))
                    self.update(caller, name, changes, now)

    def find(self, caller: Caller, execution_arn: str) -> tuple[str, Document]:
        """An execution's name and document by its ARN. Raises ResourceNotFound."""
        name = resource_name(caller, PIPELINE, execution_arn)
        execution = self._store.get(caller, KIND, name)
        if execution is None:
            raise ResourceNotFound(f"Pipeline execution with ARN {execution_arn} does not exist.")
        return name, execution

    def put(self, caller: Caller, name: str, execution: Document) -> None:
        """Store an execution's document."""
        self._store.put(caller, KIND, name, execution)

    def update(
        self, caller: Caller, name: str, changes: Document, now: float | None = None
    ) -> Document:
        """Change an execution; a member that becomes None is dropped. Returns it as it is then."""
        with self._store.transaction():
            execution = self._store.get(caller, KIND, name)
            if execution is None:
                raise KeyError(name)
            now = self._clock.now() if now is None else now
            last = max(now, execution["LastModifiedTime"])
            execution |= changes | {"LastModifiedTime": last}
            execution = {key: value for key, value in execution.items() if value is not None}
            self._store.put(caller, KIND, name, execution)
        return execution

    def of_pipeline(self, caller: Caller, pipeline: str) -> list[Document]:
        """A pipeline's executions, oldest first."""
        return self._store.documents(caller, KIND, f"{pipeline}/execution/")

    def put_step(self, caller: Caller, name: str, step: Document) -> None:
        """Store how a step of an execution stands."""
        self._store.put(caller, STEP, f"{name}/{step['StepName']}", step)

    def steps(self, caller: Caller, name: str) -> list[Document]:
        """The steps that were started, in the order of their start."""
        found = self._store.documents(caller, STEP, f"{name}/")
        return sorted(found, key=lambda step: step["StartTime"])

    def latest(self, caller: Caller, name: str) -> float:
        """The latest time that an execution and its steps have; what follows is not before it."""
        execution = self._store.get(caller, KIND, name) or {"LastModifiedTime": 0.0}
        ended = [step.get("EndTime") or step["StartTime"] for step in self.steps(caller, name)]
        return float(max([execution["LastModifiedTime"], *ended]))

    def finished(self, caller: Caller, name: str) -> dict[str, Document]:
        """The properties that the successful steps of an execution left."""
        return {
            step["StepName"]: step.get("Properties", {})
            for step in self.steps(caller, name)
            if step["StepStatus"] == "Succeeded"
        }

    def forget_unfinished(self, caller: Caller, name: str) -> None:
        """Drop the steps that did not succeed: they run again."""
        for step in self.steps(caller, name):
            if step["StepStatus"] != "Succeeded":
                self._store.delete(caller, STEP, f"{name}/{step['StepName']}")
