"""Hyperparameter tuning jobs: training jobs with different hyperparameters, and the best one."""

from __future__ import annotations

import threading

from localcloud.clock import Timeline
from localcloud.containers.images import find_image
from localcloud.errors import ResourceInUse, ValidationException
from localcloud.protocol import Caller, Document, Operation, check, service_model
from localcloud.sagemaker.arns import arn, random_id
from localcloud.sagemaker.job_kinds import TRAINING
from localcloud.sagemaker.jobs import Jobs
from localcloud.sagemaker.listing import Listing, choose, paged
from localcloud.sagemaker.tags import Tags
from localcloud.sagemaker.trials import Objective, best_first, counters, training_request
from localcloud.sagemaker.tuning_ranges import ranges_of, refuse_unsupported
from localcloud.sagemaker.tuning_records import KIND, NAME, STATUS, TuningRecords
from localcloud.sagemaker.tuning_runs import TuningRun, TuningRuns
from localcloud.sagemaker.tuning_search import search_of
from localcloud.store import Store

_TUNINGS = Listing(
    answer="HyperParameterTuningJobSummaries",
    name=NAME,
    summary=lambda tuning: (
        choose(
            tuning,
            NAME,
            "HyperParameterTuningJobArn",
            STATUS,
            "CreationTime",
            "HyperParameterTuningEndTime",
            "LastModifiedTime",
            "TrainingJobStatusCounters",
            "ObjectiveStatusCounters",
        )
        | choose(tuning["HyperParameterTuningJobConfig"], "Strategy", "ResourceLimits")
    ),
    sort_fields={"Name": NAME, "CreationTime": "CreationTime", "Status": STATUS},
    equal={"StatusEquals": STATUS},
)
_SORTED_BY = {
    "Name": "TrainingJobName",
    "CreationTime": "CreationTime",
    "Status": "TrainingJobStatus",
}


class Tunings:
    """The calls on tuning jobs, each of which runs beside them."""

    def __init__(self, store: Store, jobs: Jobs, tags: Tags) -> None:
        self._store = store
        self._records = TuningRecords(store)
        self._tags = tags
        self._runs = TuningRuns(store, self._records, jobs)

    def operations(self) -> dict[str, Operation]:
        """The calls by their AWS names."""
        return {
            "CreateHyperParameterTuningJob": self.create_tuning,
            "DescribeHyperParameterTuningJob": self.describe_tuning,
            "ListHyperParameterTuningJobs": self.list_tunings,
            "StopHyperParameterTuningJob": self.stop,
            "ListTrainingJobsForHyperParameterTuningJob": self.list_training_jobs,
        }

    def end_leftovers(self) -> None:
        """Report as failed what an earlier process left running; to be called at the start."""
        self._records.end_leftovers()

    def create_tuning(self, caller: Caller, request: Document) -> Document:
        """CreateHyperParameterTuningJob; strategies are Random, Grid and Bayesian."""
        return {"HyperParameterTuningJobArn": self.create(caller, request)}

    def describe_tuning(self, caller: Caller, request: Document) -> Document:
        """DescribeHyperParameterTuningJob: with how its training jobs stand, and the best one."""
        return self.describe(caller, request[NAME])

    def create(self, caller: Caller, request: Document, timeline: Timeline | None = None) -> str:
        """Start a tuning job and return its ARN; a bad first training job is refused.

        Its times go by `timeline`, where it is part of something larger.
        """
        name, tuning_arn = request[NAME], arn(caller, KIND, request[NAME])
        refuse_unsupported(request)
        objective = Objective.of(request)
        search = search_of(
            request["HyperParameterTuningJobConfig"],
            ranges_of(request),
            maximize=objective.type == "Maximize",
        )
        first = training_request(request, f"{name}-001-{random_id(8)}", search.ask(0), objective)
        check(service_model("sagemaker").operation_model("CreateTrainingJob").input_shape, first)
        TRAINING.check(first)
        find_image(TRAINING.image(first))
        timeline = timeline or self._store.clock.timeline()
        now = timeline.now()
        tuning = {key: value for key, value in request.items() if key != "Tags"} | {
            "HyperParameterTuningJobArn": tuning_arn,
            STATUS: "InProgress",
            "CreationTime": now,
            "LastModifiedTime": now,
            "Trials": [],
        }
        with self._store.transaction():
            if self._store.get(caller, KIND, name):
                raise ResourceInUse(
                    "Hyperparameter tuning job names must be unique within an AWS account and "
                    f"region, and a job with this name already exists ({tuning_arn})"
                )
            self._store.put(caller, KIND, name, tuning)
            self._tags.set(caller, tuning_arn, request.get("Tags"))
        self._runs.start(caller, name, TuningRun(request, search, timeline))
        return tuning_arn

    def describe(self, caller: Caller, name: str) -> Document:
        """A tuning job's description, with how its training jobs stand now."""
        tuning = self._records.find(caller, name)
        return self._described(tuning, self._runs.training_jobs(caller, name))

    def wait(self, caller: Caller, name: str, stopping: threading.Event) -> Document:
        """Wait until a tuning job has ended; stop it when `stopping` is set.

        Returns its description with TrainingJobSummaries, the best first.
        """
        run = self._runs.find(caller, name)
        while run is not None and not run.ended.wait(0.1):
            if stopping.is_set():
                run.stopping.set()
        tuning, jobs = self._records.find(caller, name), self._runs.training_jobs(caller, name)
        described = self._described(tuning, jobs)
        described["TrainingJobSummaries"] = best_first(jobs, Objective.of(tuning))
        return described

    def stop(self, caller: Caller, request: Document) -> Document:
        """StopHyperParameterTuningJob: running training jobs are stopped, no other starts."""
        name = request[NAME]
        with self._store.transaction():
            tuning = self._records.find(caller, name)
            run = self._runs.find(caller, name)
            if run is None or tuning[STATUS] not in ("InProgress", "Stopping"):
                raise ValidationException(
                    "The request was rejected because the hyperparameter tuning job is in status "
                    f"{tuning[STATUS]}."
                )
            now = self._store.clock.now()
            self._records.update(caller, name, {STATUS: "Stopping"}, now)
        run.stopping.set()
        return {}

    def list_tunings(self, caller: Caller, request: Document) -> Document:
        """ListHyperParameterTuningJobs: with how their training jobs stand."""
        found = [
            self._described(each, self._runs.training_jobs(caller, each[NAME]))
            for each in self._store.documents(caller, KIND)
        ]
        return _TUNINGS.page(request, found)

    def list_training_jobs(self, caller: Caller, request: Document) -> Document:
        """ListTrainingJobsForHyperParameterTuningJob: by name, time, status or objective."""
        tuning = self._records.find(caller, request[NAME])
        jobs = self._runs.training_jobs(caller, request[NAME])
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
        self._runs.close()

    def _described(self, tuning: Document, jobs: list[Document]) -> Document:
        ranked = best_first(
            [job for job in jobs if job["ObjectiveStatus"] == "Succeeded"], Objective.of(tuning)
        )
        described = tuning | counters(jobs)
        if ranked:
            described["BestTrainingJob"] = ranked[0]
        return described
