"""Hyperparameter tuning jobs: training jobs with different hyperparameters, and the best one."""

from __future__ import annotations

import logging
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from localcloud.containers.images import find_image
from localcloud.errors import ResourceInUse, ResourceNotFound, ServiceError, ValidationException
from localcloud.protocol import Caller, Document, Operation, check, service_model
from localcloud.sagemaker.arns import arn, random_id
from localcloud.sagemaker.job_kinds import TRAINING
from localcloud.sagemaker.jobs import Jobs
from localcloud.sagemaker.listing import Listing, choose, paged
from localcloud.sagemaker.tags import Tags
from localcloud.sagemaker.trials import Objective, best_first, counters, summary
from localcloud.sagemaker.tuning_ranges import candidates, refuse_unsupported
from localcloud.store import Store

_log = logging.getLogger(__name__)
KIND = "hyper-parameter-tuning-job"
_NAME = "HyperParameterTuningJobName"
_STATUS = "HyperParameterTuningJobStatus"
_MOST_PARALLEL = 100
_TUNINGS = Listing(
    answer="HyperParameterTuningJobSummaries",
    name=_NAME,
    summary=lambda tuning: (
        choose(
            tuning,
            _NAME,
            "HyperParameterTuningJobArn",
            _STATUS,
            "CreationTime",
            "HyperParameterTuningEndTime",
            "LastModifiedTime",
            "TrainingJobStatusCounters",
            "ObjectiveStatusCounters",
        )
        | choose(tuning["HyperParameterTuningJobConfig"], "Strategy", "ResourceLimits")
    ),
    sort_fields={"Name": _NAME, "CreationTime": "CreationTime", "Status": _STATUS},
    equal={"StatusEquals": _STATUS},
)
_SORTED_BY = {
    "Name": "TrainingJobName",
    "CreationTime": "CreationTime",
    "Status": "TrainingJobStatus",
}


@dataclass
class _Run:
    """A tuning job that has not ended."""

    request: Document
    candidates: list[dict[str, str]]
    stopping: threading.Event = field(default_factory=threading.Event)
    ended: threading.Event = field(default_factory=threading.Event)


class Tunings:
    """Runs each tuning job in a thread of its own; its training jobs are ordinary ones."""

    def __init__(self, store: Store, jobs: Jobs, tags: Tags) -> None:
        self._store = store
        self._jobs = jobs
        self._tags = tags
        self._runs: dict[str, _Run] = {}
        self._lock = threading.Lock()

    def operations(self) -> dict[str, Operation]:
        """The calls by their AWS names."""
        return {
            "CreateHyperParameterTuningJob": lambda caller, request: {
                "HyperParameterTuningJobArn": self.create(caller, request)
            },
            "DescribeHyperParameterTuningJob": lambda caller, request: self.describe(
                caller, request[_NAME]
            ),
            "ListHyperParameterTuningJobs": self.list_tunings,
            "StopHyperParameterTuningJob": self.stop,
            "ListTrainingJobsForHyperParameterTuningJob": self.list_training_jobs,
        }

    def end_leftovers(self) -> None:
        """Report as failed what an earlier process left running; to be called at the start."""
        reason = "InternalServerError: localcloud ended while this job ran"
        for caller, name, tuning in self._store.everywhere(KIND):
            if tuning[_STATUS] in ("InProgress", "Stopping"):
                self._end(caller, name, "Failed", reason)

    def create(self, caller: Caller, request: Document) -> str:
        """Start a tuning job and return its ARN; a bad first training job is refused."""
        name, tuning_arn = request[_NAME], arn(caller, KIND, request[_NAME])
        refuse_unsupported(request)
        objective = Objective.of(request)
        tried = candidates(request["HyperParameterTuningJobConfig"], _ranges(request))
        first = _training_request(request, f"{name}-001-{random_id(8)}", tried[0], objective)
        check(service_model("sagemaker").operation_model("CreateTrainingJob").input_shape, first)
        TRAINING.check(first)
        find_image(TRAINING.image(first))
        now = time.time()
        tuning = {key: value for key, value in request.items() if key != "Tags"} | {
            "HyperParameterTuningJobArn": tuning_arn,
            _STATUS: "InProgress",
            "CreationTime": now,
            "LastModifiedTime": now,
            "Trials": [],
        }
        run = _Run(request, tried)
        with self._store.transaction():
            if self._store.get(caller, KIND, name):
                raise ResourceInUse(
                    "Hyperparameter tuning job names must be unique within an AWS account and "
                    f"region, and a job with this name already exists ({tuning_arn})"
                )
            self._store.put(caller, KIND, name, tuning)
            self._tags.set(caller, tuning_arn, request.get("Tags"))
        with self._lock:
            self._runs[tuning_arn] = run
        threading.Thread(target=self._run, args=(caller, name, run), name=name, daemon=True).start()
        return tuning_arn

    def describe(self, caller: Caller, name: str) -> Document:
        """A tuning job's description, with how its training jobs stand now."""
        tuning = self._find(caller, name)
        return self._described(tuning, self.training_jobs(caller, name))

    def training_jobs(self, caller: Caller, name: str) -> list[Document]:
        """The summaries of a tuning job's training jobs, in the order of their creation."""
        tuning = self._find(caller, name)
        objective = Objective.of(tuning)
        return [
            summary(
                self._jobs.describe(caller, TRAINING.name, trial["TrainingJobName"]),
                trial["TunedHyperParameters"],
                objective,
            )
            for trial in tuning["Trials"]
        ]

    def wait(self, caller: Caller, name: str, stopping: threading.Event) -> Document:
        """Wait until a tuning job has ended; stop it when `stopping` is set.

        Returns its description with TrainingJobSummaries, the best first.
        """
        run = self._runs.get(arn(caller, KIND, name))
        while run is not None and not run.ended.wait(0.1):
            if stopping.is_set():
                run.stopping.set()
        tuning, jobs = self._find(caller, name), self.training_jobs(caller, name)
        described = self._described(tuning, jobs)
        described["TrainingJobSummaries"] = best_first(jobs, Objective.of(tuning))
        return described

    def stop(self, caller: Caller, request: Document) -> Document:
        """StopHyperParameterTuningJob: running training jobs are stopped, no other starts."""
        name = request[_NAME]
        with self._store.transaction():
            tuning = self._find(caller, name)
            run = self._runs.get(tuning["HyperParameterTuningJobArn"])
            if run is None or tuning[_STATUS] not in ("InProgress", "Stopping"):
                raise ValidationException(
                    "The request was rejected because the hyperparameter tuning job is in status "
                    f"{tuning[_STATUS]}."
                )
            self._update(caller, name, {_STATUS: "Stopping"})
        run.stopping.set()
        return {}

    def list_tunings(self, caller: Caller, request: Document) -> Document:
        """ListHyperParameterTuningJobs."""
        found = [
            self._described(each, self.training_jobs(caller, each[_NAME]))
            for each in self._store.documents(caller, KIND)
        ]
        return _TUNINGS.page(request, found)

    def list_training_jobs(self, caller: Caller, request: Document) -> Document:
        """ListTrainingJobsForHyperParameterTuningJob."""
        tuning = self._find(caller, request[_NAME])
        jobs = self.training_jobs(caller, request[_NAME])
        wanted = request.get("StatusEquals")
        jobs = [job for job in jobs if wanted in (None, job["TrainingJobStatus"])]
        by = request.get("SortBy", "Name")
        if by == "FinalObjectiveMetricValue":
            # AWS leaves out the jobs that have no value.
            jobs = [job for job in jobs if job["ObjectiveStatus"] == "Succeeded"]
            jobs = best_first(jobs, Objective.of(tuning).minimized())
        else:
            jobs.sort(key=lambda job: job[_SORTED_BY[by]])
        if request.get("SortOrder", "Ascending") == "Descending":
            jobs.reverse()
        return paged("TrainingJobSummaries", request, jobs)

    def close(self) -> None:
        """Start no further training job; those that run are ended by Jobs."""
        with self._lock:
            for run in self._runs.values():
                run.stopping.set()

    def _run(self, caller: Caller, name: str, run: _Run) -> None:
        limits = run.request["HyperParameterTuningJobConfig"]["ResourceLimits"]
        most = min(_MOST_PARALLEL, limits["MaxParallelTrainingJobs"], len(run.candidates))
        stopped = False
        try:
            with ThreadPoolExecutor(most, thread_name_prefix=name) as pool:
                trials = [
                    pool.submit(self._try, caller, name, run, number)
                    for number in range(len(run.candidates))
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
            self._end(caller, name, status, reason)
        finally:
            with self._lock:
                self._runs.pop(arn(caller, KIND, name), None)
            run.ended.set()

    def _try(self, caller: Caller, name: str, run: _Run, number: int) -> None:
        """Run one training job to its end; the first error keeps the others from starting."""
        if run.stopping.is_set():
            return
        tuned = run.candidates[number]
        training = f"{name}-{number + 1:03d}-{random_id(8)}"
        request = _training_request(run.request, training, tuned, Objective.of(run.request))
        request["TuningJobArn"] = arn(caller, KIND, name)
        try:
            self._jobs.create(caller, TRAINING.name, request)
        except ServiceError:
            run.stopping.set()
            raise
        with self._store.transaction():
            trials = self._find(caller, name)["Trials"]
            trials.append({"TrainingJobName": training, "TunedHyperParameters": tuned})
            self._update(caller, name, {"Trials": trials})
        self._jobs.wait(caller, TRAINING.name, training, run.stopping)

    def _described(self, tuning: Document, jobs: list[Document]) -> Document:
        ranked = best_first(
            [job for job in jobs if job["ObjectiveStatus"] == "Succeeded"], Objective.of(tuning)
        )
        described = tuning | counters(jobs)
        if ranked:
            described["BestTrainingJob"] = ranked[0]
        return described

    def _find(self, caller: Caller, name: str) -> Document:
        tuning = self._store.get(caller, KIND, name)
        if tuning is None:
            raise ResourceNotFound(
                f"Amazon SageMaker can't find a hyperparameter tuning job with name {name}"
            )
        return tuning

    def _end(self, caller: Caller, name: str, status: str, reason: str | None) -> None:
        changes: Document = {_STATUS: status, "HyperParameterTuningEndTime": time.time()}
        if reason is not None:
            changes["FailureReason"] = reason[:1024]
        self._update(caller, name, changes)

    def _update(self, caller: Caller, name: str, changes: Document) -> None:
        with self._store.transaction():
            tuning = self._find(caller, name) | changes | {"LastModifiedTime": time.time()}
            self._store.put(caller, KIND, name, tuning)


def _ranges(request: Document) -> Document:
    inner: Document = request["TrainingJobDefinition"].get("HyperParameterRanges", {})
    ranges: Document = request["HyperParameterTuningJobConfig"].get("ParameterRanges", inner)
    return ranges


def _training_request(
    request: Document, name: str, tuned: dict[str, str], objective: Objective
) -> Document:
    definition = request["TrainingJobDefinition"]
    left_out = ("DefinitionName", "TuningObjective", "HyperParameterRanges")
    training = {key: value for key, value in definition.items() if key not in left_out}
    static = training.pop("StaticHyperParameters", {})
    both = sorted(set(static) & set(tuned))
    if both:
        raise ValidationException(f"The hyperparameters {both} are both static and tuned")
    resources = training.pop("HyperParameterTuningResourceConfig", None)
    if (resources is None) == ("ResourceConfig" not in training):
        raise ValidationException(
            "Exactly one of ResourceConfig and HyperParameterTuningResourceConfig must be given"
        )
    if resources is not None:
        # Which of several instance configurations comes first: there is one.
        training["ResourceConfig"] = {
            key: value for key, value in resources.items() if key != "AllocationStrategy"
        }
    training["TrainingJobName"] = name
    # AWS tells the training job so what it is measured by.
    training["HyperParameters"] = static | tuned | {"_tuning_objective_metric": objective.metric}
    if "Tags" in request:
        training["Tags"] = request["Tags"]
    return training


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
