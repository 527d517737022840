"""One execution: steps run as soon as what they wait for is done, branches side by side.

A failed step starts no further step; what runs is allowed to end. A stop is passed on to the jobs.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import Any

from localcloud.clock import Clock, Timeline
from localcloud.errors import ServiceError, is_disk_full
from localcloud.protocol import Document
from localcloud.sagemaker.workflow.definition import Definition, Step
from localcloud.sagemaker.workflow.retries import SERVICE_FAULT, Attempts, kind_of_error
from localcloud.sagemaker.workflow.values import Unresolvable, Values

MAX_PARALLEL_STEPS = 50
_REASON_LIMIT = 1024


class StepFailed(Exception):  # noqa: N818 - reads as the sentence it makes
    """A step ended badly; the text is its failure reason, `kind` what a retry policy calls it."""

    def __init__(self, reason: str, kind: str | None = None) -> None:
        super().__init__(reason)
        self.kind = kind


class StepStopped(Exception):  # noqa: N818 - reads as the sentence it makes
    """A step ended because the execution was stopped."""


@dataclass
class Outcome:
    """What a step leaves: properties for other steps, metadata for the caller."""

    properties: Document = field(default_factory=dict)
    metadata: Document = field(default_factory=dict)
    cached_from: str | None = None


Executor = Callable[[Step, Values, threading.Event, Callable[[Document], None]], Outcome]
Recorder = Callable[[Step, Document], None]


class Run:
    """Runs a definition with an executor per step; every change of a step is recorded at once.

    `finished` are the properties of steps that are not run again, `only` the steps to run if not
    all are. `widen` changes `parallel` while it runs. `clock` measures the time between attempts,
    `timeline` gives the times that are recorded.
    """

    def __init__(
        self,
        definition: Definition,
        values: Values,
        execute: Executor,
        record: Recorder,
        *,
        parallel: int = MAX_PARALLEL_STEPS,
        finished: Mapping[str, Document] | None = None,
        only: frozenset[str] | None = None,
        clock: Clock | None = None,
        timeline: Timeline | None = None,
    ) -> None:
        self._values = values
        self._execute = execute
        self._record = record
        self._clock = clock or Clock()
        self.timeline = timeline or self._clock.timeline()
        self._only = only
        self._steps = {step.name: step for step in definition.everything()}
        self._waiting: dict[str, frozenset[str]] = {}
        self._done: set[str] = set(finished or {})
        self._parallel = parallel
        self._widened: Future[None] = Future()
        self._lock = threading.Lock()
        self.stopping = threading.Event()
        self.failure: str | None = None
        for step in definition.everything():
            values.property_files[step.name] = step.property_files
        values.properties.update(finished or {})
        self._await(definition.steps)
        for name, properties in (finished or {}).items():
            self._await(self._steps[name].branch(properties))

    def run(self) -> str:
        """Run to the end and return the execution's status."""
        running: dict[Future[Outcome], str] = {}
        most = min(MAX_PARALLEL_STEPS, max(1, len(self._steps)))
        with ThreadPoolExecutor(most, thread_name_prefix="step") as pool:
            while True:
                widened = self._widened
                for name in self._ready(min(most, self._parallel) - len(running)):
                    del self._waiting[name]
                    running[pool.submit(self._run_step, self._steps[name])] = name
                if not running:
                    break
                changes: list[Future[Any]] = [*running, widened]
                wait(changes, return_when=FIRST_COMPLETED)
                for future in [each for each in running if each.done()]:
                    self._finish(running.pop(future), future)
        if self.failure is not None:
            return "Failed"
        return "Stopped" if self.stopping.is_set() else "Succeeded"

    def widen(self, parallel: int) -> None:
        """Let so many steps run side by side from now on."""
        with self._lock:
            self._parallel = parallel
            widened, self._widened = self._widened, Future()
        widened.set_result(None)

    def _await(self, steps: tuple[Step, ...]) -> None:
        """Let steps run when what they wait for is done, but for those that need not run."""
        for step in steps:
            if step.name not in self._done and (self._only is None or step.name in self._only):
                self._waiting[step.name] = step.after

    def _ready(self, places: int) -> list[str]:
        if self.failure is not None or self.stopping.is_set():
            return []
        free = [name for name, after in self._waiting.items() if after <= self._done]
        return free[: max(0, places)]

    def _finish(self, name: str, future: Future[Outcome]) -> None:
        try:
            outcome = future.result()
        except StepStopped:
            return
        except StepFailed as failure:
            if self.failure is None:
                self.failure = f"Step failure: One or multiple steps failed. {name}: {failure}"
            return
        self._done.add(name)
        self._await(self._steps[name].branch(outcome.properties))

    def _run_step(self, step: Step) -> Outcome:
        state: Document = {
            "StepName": step.name,
            "StepStatus": "Executing",
            "StartTime": self.timeline.now(),
            "AttemptCount": 1,
        }
        if step.display_name:
            state["StepDisplayName"] = step.display_name
        if step.description:
            state["StepDescription"] = step.description
        self._record(step, state)

        def show(metadata: Document) -> None:
            state["Metadata"] = metadata
            self._record(step, state)

        try:
            outcome = self._attempt(step, state, show)
        except StepStopped:
            self._record(step, state | {"StepStatus": "Stopped", "EndTime": self.timeline.now()})
            raise
        except StepFailed as failure:
            state |= {"StepStatus": "Failed", "FailureReason": str(failure)[:_REASON_LIMIT]}
            self._record(step, state | {"EndTime": self.timeline.now()})
            raise
        self._values.properties[step.name] = outcome.properties
        state |= {
            "StepStatus": "Succeeded",
            "EndTime": self.timeline.now(),
            "Properties": outcome.properties,
        }
        if outcome.metadata:
            state["Metadata"] = outcome.metadata
        if outcome.cached_from:
            state["CacheHitResult"] = {"SourcePipelineExecutionArn": outcome.cached_from}
        self._record(step, state)
        return outcome

    def _attempt(self, step: Step, state: Document, show: Callable[[Document], None]) -> Outcome:
        """Run a step, and again where its retry policies say so."""
        attempts = Attempts(step.retries, self._clock.elapsed)
        while True:
            try:
                return self._execute(step, self._values, self.stopping, show)
            except StepStopped:
                raise
            except Unresolvable as error:
                raise StepFailed(str(error)) from error
            except Exception as error:  # whatever goes wrong in a step is the step's failure
                failure = error if isinstance(error, StepFailed) else _failure(error)
                pause = attempts.pause(failure.kind)
                if pause is None:
                    raise failure from (None if failure is error else error)
                if self._clock.wait(self.stopping, pause):
                    raise StepStopped from error
                state["AttemptCount"] = attempts.count
                self._record(step, state)


def _failure(error: Exception) -> StepFailed:
    if isinstance(error, ServiceError):
        return StepFailed(f"ClientError: {error.message}", kind_of_error(error))
    if is_disk_full(error):
        return StepFailed("InternalError: The disk of the state folder is full", SERVICE_FAULT)
    return StepFailed(f"InternalError: {type(error).__name__}: {error}", kind_of_error(error))
