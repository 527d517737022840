"""The training jobs of a tuning job, seen from the tuning job: their objective and their order."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace

from localcloud.errors import ValidationException
from localcloud.protocol import Document
from localcloud.sagemaker.listing import choose

_METRIC = "FinalHyperParameterTuningJobObjectiveMetric"
_MEMBERS = (
    "TrainingJobName",
    "TrainingJobArn",
    "CreationTime",
    "TrainingStartTime",
    "TrainingEndTime",
    "TrainingJobStatus",
    "FailureReason",
)


@dataclass(frozen=True)
class Objective:
    """What a tuning job makes as great, or as small, as it can."""

    type: str
    metric: str

    @classmethod
    def of(cls, request: Document) -> Objective:
        """The objective of a CreateHyperParameterTuningJob request.

        Raises ValidationException if there is none, or no definition of its metric.
        """
        definition = request.get("TrainingJobDefinition")
        if definition is None:
            raise ValidationException("A tuning job must have a TrainingJobDefinition here")
        config = request["HyperParameterTuningJobConfig"]
        given = config.get("HyperParameterTuningJobObjective", definition.get("TuningObjective"))
        if given is None:
            raise ValidationException("A tuning job must have a HyperParameterTuningJobObjective")
        defined = definition["AlgorithmSpecification"].get("MetricDefinitions", [])
        names = [item["Name"] for item in defined]
        if given["MetricName"] not in names:
            raise ValidationException(
                f"Objective metric for the hyperparameter tuning job, [{given['MetricName']}], "
                f"isn't valid: the MetricDefinitions define {names}"
            )
        return cls(given["Type"], given["MetricName"])

    def minimized(self) -> Objective:
        """The same metric, with the smallest first."""
        return replace(self, type="Minimize")


def training_request(
    request: Document, name: str, tuned: dict[str, str], objective: Objective
) -> Document:
    """The CreateTrainingJob request of one trial, by the tuning job's own request.

    Raises ValidationException for hyperparameters and resources that contradict each other.
    """
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


def summary(job: Document, tuned: dict[str, str], objective: Objective) -> Document:
    """A HyperParameterTrainingJobSummary of a training job's description."""
    shown = choose(job, *_MEMBERS) | {"TunedHyperParameters": tuned}
    value = measured(job, objective)
    if value is not None:
        named = {"Type": objective.type, "MetricName": objective.metric, "Value": value}
        return shown | {_METRIC: named, "ObjectiveStatus": "Succeeded"}
    running = job["TrainingJobStatus"] in ("InProgress", "Stopping")
    return shown | {"ObjectiveStatus": "Pending" if running else "Failed"}


def measured(job: Document, objective: Objective) -> float | None:
    """The objective's last value of a training job that ended well; None without one."""
    if job["TrainingJobStatus"] not in ("Completed", "Stopped"):
        return None
    values = [
        float(metric["Value"])
        for metric in job.get("FinalMetricDataList", [])
        if metric["MetricName"] == objective.metric
    ]
    return values[0] if values else None


def best_first(jobs: list[Document], objective: Objective) -> list[Document]:
    """Summaries by their objective, those without a value last."""
    sign = -1.0 if objective.type == "Maximize" else 1.0
    worst = float("inf")
    return sorted(jobs, key=lambda job: sign * job[_METRIC]["Value"] if _METRIC in job else worst)


def counters(jobs: list[Document]) -> Document:
    """TrainingJobStatusCounters and ObjectiveStatusCounters."""
    statuses = Counter(job["TrainingJobStatus"] for job in jobs)
    objectives = Counter(job["ObjectiveStatus"] for job in jobs)
    return {
        "TrainingJobStatusCounters": {
            "Completed": statuses["Completed"],
            "InProgress": statuses["InProgress"] + statuses["Stopping"],
            "RetryableError": 0,
            "NonRetryableError": statuses["Failed"],
            "Stopped": statuses["Stopped"],
        },
        "ObjectiveStatusCounters": {
            name: objectives[name] for name in ("Succeeded", "Pending", "Failed")
        },
    }
