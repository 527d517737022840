"""The executions that run now, each in a thread of its own."""

from __future__ import annotations

import logging
import threading
from functools import partial
from typing import Any

from localcloud.protocol import Caller, Document
from localcloud.s3.objects import ObjectStore
from localcloud.sagemaker.arns import arn
from localcloud.sagemaker.execution_records import ExecutionRecords
from localcloud.sagemaker.locations import require_object
from localcloud.sagemaker.pipelines import KIND as PIPELINE
from localcloud.sagemaker.steps import StepExecutor, timestamp
from localcloud.sagemaker.workflow.definition import Definition, Step
from localcloud.sagemaker.workflow.run import MAX_PARALLEL_STEPS, Run
from localcloud.sagemaker.workflow.values import Values
from localcloud.store import Store

_log = logging.getLogger(__name__)


class ExecutionRuns:
    """Runs stored executions and keeps what they do, each with the times of one timeline.

    On a full disk an execution waits for room with all that it has to tell.
    """

    def __init__(
        self,
        store: Store,
        records: ExecutionRecords,
        objects: ObjectStore,
        steps: StepExecutor,
    ) -> None:
        self._store = store
        self._records = records
        self._objects = objects
        self._steps = steps
        self._runs: dict[str, Run] = {}
        self._lock = threading.Lock()
        self._closing = threading.Event()

    def start(self, caller: Caller, name: str, execution: Document, definition: Definition) -> None:
        """Run an execution from where its records stand; steps that succeeded stay."""
        pipeline_name, _, execution_id = name.partition("/execution/")
        values = Values(
            parameters=definition.values(execution["PipelineParameters"]),
            variables={
                "StartDateTime": timestamp(execution["CreationTime"]),
                "PipelineName": pipeline_name,
                "PipelineArn": execution["PipelineArn"],
                "PipelineExecutionId": execution_id,
                "PipelineExecutionArn": execution["PipelineExecutionArn"],
            },
            read=lambda uri: require_object(self._objects, uri, "property file").path.read_bytes(),
        )

        def record(_: Step, state: Document) -> None:
            put = partial(self._records.put_step, caller, name, state)
            self._store.insist(put, self._closing)

        config = execution.get("SelectiveExecutionConfig")
        timeline = self._store.clock.timeline(self._records.latest(caller, name))
        run = Run(
            definition,
            values,
            self._steps.bind(caller, execution, timeline),
            record,
            parallel=parallelism(execution),
            finished=self._records.finished(caller, name),
            only=frozenset(s["StepName"] for s in config["SelectedSteps"]) if config else None,
            clock=self._store.clock,
            timeline=timeline,
        )
        with self._lock:
            self._runs[execution["PipelineExecutionArn"]] = run
        threading.Thread(
            target=self._run,
            args=(caller, name, run),
            name=f"execution {execution_id}",
            daemon=True,
        ).start()

    def find(self, execution: Document) -> Run | None:
        """The run of an execution that has not ended."""
        with self._lock:
            return self._runs.get(execution["PipelineExecutionArn"])

    def close(self) -> None:
        """Let running executions end their jobs; what cannot end is reported at the next start."""
        self._closing.set()
        with self._lock:
            runs = list(self._runs.values())
        for run in runs:
            run.stopping.set()

    def _run(self, caller: Caller, name: str, run: Run) -> None:
        try:
            status = run.run()
            failure = run.failure
        except Exception as error:  # noqa: BLE001 - an execution never stays "Executing" for ever
            _log.exception("%s", name)
            status, failure = "Failed", f"InternalError: {type(error).__name__}: {error}"
        changes: dict[str, Any] = {"PipelineExecutionStatus": status}
        if failure is not None:
            changes["FailureReason"] = failure[:1300]
        # The run goes first: whoever sees that the execution ended may retry it at once.
        with self._lock:
            self._runs.pop(arn(caller, PIPELINE, name), None)
        update = partial(self._records.update, caller, name, changes, run.timeline.now())
        self._store.insist(update, self._closing)


def parallelism(execution: Document) -> int:
    """How many steps of an execution may run at a time."""
    config: Document = execution.get("ParallelismConfiguration", {})
    return int(config.get("MaxParallelExecutionSteps", MAX_PARALLEL_STEPS))
