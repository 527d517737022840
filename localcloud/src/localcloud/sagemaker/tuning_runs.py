"""The tuning jobs that run now, each in a thread of its own."""

from __future__ import annotations

import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial

from localcloud.clock import Timeline
from localcloud.errors import ServiceError
from localcloud.protocol import Caller, Document
from localcloud.sagemaker.arns import arn, random_id
from localcloud.sagemaker.job_kinds import TRAINING
from localcloud.sagemaker.jobs import Jobs
from localcloud.sagemaker.trials import Objective, measured, summary, training_request
from localcloud.sagemaker.tuning_records import KIND, TuningRecords
from localcloud.sagemaker.tuning_search import Search
from localcloud.store import Store

_log = logging.getLogger(__name__)
_MOST_PARALLEL = 100


@dataclass
class TuningRun:
    """A tuning job that has not ended: `stopping` asks it to end, `ended` is set when it has.

    Its times and those of its training jobs are of one timeline.
    """

    request: Document
    search: Search
    timeline: Timeline
    stopping: threading.Event = field(default_factory=threading.Event)
    ended: threading.Event = field(default_factory=threading.Event)


class TuningRuns:
    """Runs stored tuning jobs; their training jobs are ordinary ones."""

    def __init__(self, store: Store, records: TuningRecords, jobs: Jobs) -> None:
        self._store = store
        self._records = records
        self._jobs = jobs
        self._runs: dict[str, TuningRun] = {}
        self._lock = threading.Lock()
        self._closing = threading.Event()

    def start(self, caller: Caller, name: str, run: TuningRun) -> None:
        """Run a tuning job whose description is stored."""
        with self._lock:
            self._runs[arn(caller, KIND, name)] = run
        threading.Thread(target=self._run, args=(caller, name, run), name=name, daemon=True).start()

    def find(self, caller: Caller, name: str) -> TuningRun | None:
        """The run of a tuning job that has not ended."""
        with self._lock:
            return self._runs.get(arn(caller, KIND, name))

    def training_jobs(self, caller: Caller, name: str) -> list[Document]:
        """The summaries of a tuning job's training jobs, in the order of their creation."""
        tuning = self._records.find(caller, name)
        objective = Objective.of(tuning)
        return [
            summary(
                self._jobs.describe(caller, TRAINING.name, trial["TrainingJobName"]),
                trial["TunedHyperParameters"],
                objective,
            )
            for trial in tuning["Trials"]
        ]

    def close(self) -> None:
        """Start no further training job; those that run are ended by Jobs."""
        self._closing.set()
        with self._lock:
            for run in self._runs.values():
                run.stopping.set()

    def _run(self, caller: Caller, name: str, run: TuningRun) -> None:
        limits = run.request["HyperParameterTuningJobConfig"]["ResourceLimits"]
        most = min(_MOST_PARALLEL, limits["MaxParallelTrainingJobs"], run.search.count)
        stopped = False
        try:
            with ThreadPoolExecutor(most, thread_name_prefix=name) as pool:
                trials = [
                    pool.submit(self._try, caller, name, run, number)
                    for number in range(run.search.count)
                ]
                for trial in trials:
                    trial.result()
            stopped = run.stopping.is_set()
            status, reason = _ending(self.training_jobs(caller, name), stopped=stopped)
        except ServiceError as error:
            status, reason = "Failed", f"ClientError: {error.message}"
        except Exception as error:  # noqa: BLE001 - a tuning job never stays "InProgress" for ever
            _log.exception("%s", name)
            status, reason = "Failed", f"InternalServerError: {type(error).__name__}: {error}"
        try:
            end = partial(self._records.end, caller, name, status, reason, run.timeline.now())
            self._store.insist(end, self._closing)
        finally:
            with self._lock:
                self._runs.pop(arn(caller, KIND, name), None)
            run.ended.set()

    def _try(self, caller: Caller, name: str, run: TuningRun, number: int) -> None:
        """Run one training job to its end; the first error keeps the others from starting."""
        if run.stopping.is_set():
            return
        tuned = run.search.ask(number)
        training = f"{name}-{number + 1:03d}-{random_id(8)}"
        objective = Objective.of(run.request)
        request = training_request(run.request, training, tuned, objective)
        request["TuningJobArn"] = arn(caller, KIND, name)
        try:
            self._jobs.create(caller, TRAINING.name, request, run.timeline)
        except ServiceError:
            run.stopping.set()
            raise
        trial = {"TrainingJobName": training, "TunedHyperParameters": tuned}
        self._records.add_trial(caller, name, trial, run.timeline.now())
        job = self._jobs.wait(caller, TRAINING.name, training, run.stopping)
        run.search.tell(number, measured(job, objective))


def _ending(jobs: list[Document], *, stopped: bool) -> tuple[str, str | None]:
    """The status of a tuning job whose training jobs have ended, and why it failed."""
    if stopped:
        return "Stopped", None
    completed = [job for job in jobs if job["TrainingJobStatus"] == "Completed"]
    if not completed:
        return "Failed", (
            "All training jobs failed. Please take a look at the training jobs failures to get "
            f"more details. {jobs[0].get('FailureReason', '')}".strip()
        )
    if all(job["ObjectiveStatus"] != "Succeeded" for job in completed):
        return "Failed", (
            f"No objective metrics found after running {len(completed)} training jobs. Please "
            "ensure that the custom algorithm is emitting the objective metric as defined by the "
            "regular expression provided."
        )
    return "Completed", None
