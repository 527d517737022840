"""Hyperparameter tuning jobs, through boto3; their training jobs really run."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError
from jobs_of_others import Jobs, training_request

from localcloud.errors import ValidationException
from localcloud.sagemaker.tuning_search import search_of

Client = Callable[[str], Any]
Document = dict[str, Any]
METRIC = {"Name": "score", "Regex": "score=(-?[0-9.]+)"}
SCRIPT = """
import argparse
parser = argparse.ArgumentParser()
parser.add_argument("--rate", type=float)
parser.add_argument("--kind", default="a")
parser.add_argument("--{}")
given = parser.parse_args()
{}
print(f"score={{given.rate - (given.kind == 'b')}}")
"""
_COUNT = itertools.count()


def real(value: str, low: str, high: str, **more: str) -> Document:
    return {"Name": value, "MinValue": low, "MaxValue": high, **more}


def config(strategy: str, ranges: Document, count: int | None = 3, **more: Any) -> Document:
    limits: Document = {"MaxParallelTrainingJobs": 2}
    if count is not None:
        limits["MaxNumberOfTrainingJobs"] = count
    return {
        "Strategy": strategy,
        "HyperParameterTuningJobObjective": {
            "Type": more.pop("type", "Maximize"),
            "MetricName": more.pop("metric", "score"),
        },
        "ResourceLimits": limits,
        "ParameterRanges": ranges,
        **more,
    }


GRID = {
    "CategoricalParameterRanges": [
        {"Name": "rate", "Values": ["1", "2"]},
        {"Name": "kind", "Values": ["a", "b"]},
    ]
}
ONE = {"ContinuousParameterRanges": [real("rate", "0", "1")]}


@pytest.fixture
def jobs(client: Client, workshop: str) -> Jobs:
    return Jobs(client, workshop, "tuning")


def start(jobs: Jobs, settings: Document, body: str = "", **more: Any) -> str:
    """Start a tuning job of the script; returns its name."""
    code = jobs.put_sources({"train.py": SCRIPT.format("static", body)})
    training = training_request("none", code, hyperparameters={"static": "1"})
    definition = {k: v for k, v in training.items() if k != "TrainingJobName"}
    definition["StaticHyperParameters"] = definition.pop("HyperParameters")
    definition["AlgorithmSpecification"] |= {"MetricDefinitions": [METRIC]}
    name = f"tuning-{next(_COUNT)}"
    jobs.sagemaker.create_hyper_parameter_tuning_job(
        HyperParameterTuningJobName=name,
        HyperParameterTuningJobConfig=settings,
        TrainingJobDefinition=definition | more,
    )
    return name


def end(jobs: Jobs, name: str) -> Document:
    deadline = time.monotonic() + 60
    while True:
        found: Document = jobs.sagemaker.describe_hyper_parameter_tuning_job(
            HyperParameterTuningJobName=name
        )
        if found["HyperParameterTuningJobStatus"] not in ("InProgress", "Stopping"):
            return found
        assert time.monotonic() < deadline, f"{name} did not end"
        time.sleep(0.05)


def trials(jobs: Jobs, name: str, **more: Any) -> list[Document]:
    answer = jobs.sagemaker.list_training_jobs_for_hyper_parameter_tuning_job(
        HyperParameterTuningJobName=name, **more
    )
    return list(answer["TrainingJobSummaries"])


@pytest.mark.integration
def test_a_grid_tries_every_combination_and_knows_the_best(jobs: Jobs) -> None:
    name = start(jobs, config("Grid", GRID, None))
    done = end(jobs, name)
    assert done["HyperParameterTuningJobStatus"] == "Completed"
    assert done["TrainingJobStatusCounters"]["Completed"] == 4
    assert done["ObjectiveStatusCounters"]["Succeeded"] == 4
    best = done["BestTrainingJob"]
    assert best["TunedHyperParameters"] == {"rate": "2", "kind": "a"}
    assert best["FinalHyperParameterTuningJobObjectiveMetric"]["Value"] == 2.0
    found = trials(jobs, name, SortBy="FinalObjectiveMetricValue", SortOrder="Descending")
    values = [each["FinalHyperParameterTuningJobObjectiveMetric"]["Value"] for each in found]
    assert values == [2.0, 1.0, 1.0, 0.0]
    job = jobs.describe(best["TrainingJobName"])
    assert job["TuningJobArn"] == done["HyperParameterTuningJobArn"]
    assert job["HyperParameters"]["_tuning_objective_metric"] == "score"
    listed = jobs.sagemaker.list_hyper_parameter_tuning_jobs(NameContains=name)
    (summary,) = listed["HyperParameterTuningJobSummaries"]
    assert (summary["Strategy"], summary["HyperParameterTuningJobStatus"]) == ("Grid", "Completed")


@pytest.mark.integration
def test_the_least_value_is_the_best_when_it_is_minimized(jobs: Jobs) -> None:
    done = end(jobs, start(jobs, config("Grid", GRID, 4, type="Minimize")))
    assert done["BestTrainingJob"]["TunedHyperParameters"] == {"rate": "1", "kind": "b"}


@pytest.mark.integration
def test_a_failed_training_job_does_not_spoil_the_others(jobs: Jobs) -> None:
    done = end(jobs, start(jobs, config("Grid", GRID, 4), "assert given.kind == 'b'"))
    assert done["HyperParameterTuningJobStatus"] == "Completed"
    assert done["TrainingJobStatusCounters"]["NonRetryableError"] == 2
    assert done["BestTrainingJob"]["TunedHyperParameters"] == {"rate": "2", "kind": "b"}


@pytest.mark.integration
def test_a_tuning_job_fails_when_nothing_succeeds_or_nothing_is_measured(jobs: Jobs) -> None:
    broken = end(jobs, start(jobs, config("Random", ONE, 2), "raise ValueError('no wheels')"))
    assert broken["HyperParameterTuningJobStatus"] == "Failed"
    assert "All training jobs failed" in broken["FailureReason"]
    assert "no wheels" in broken["FailureReason"]
    silent = end(jobs, start(jobs, config("Random", ONE, 1), "raise SystemExit(0)"))
    assert silent["HyperParameterTuningJobStatus"] == "Failed"
    assert "No objective metrics found" in silent["FailureReason"]


@pytest.mark.integration
def test_a_stopped_tuning_job_stops_its_training_jobs_and_starts_no_other(jobs: Jobs) -> None:
    name = start(jobs, config("Random", ONE, 9), "import time; time.sleep(60)")
    while len(trials(jobs, name)) < 2:
        time.sleep(0.05)
    jobs.sagemaker.stop_hyper_parameter_tuning_job(HyperParameterTuningJobName=name)
    done = end(jobs, name)
    assert done["HyperParameterTuningJobStatus"] == "Stopped"
    assert done["TrainingJobStatusCounters"]["Stopped"] == 2
    assert len(trials(jobs, name)) == 2
    with pytest.raises(ClientError, match="in status Stopped"):
        jobs.sagemaker.stop_hyper_parameter_tuning_job(HyperParameterTuningJobName=name)


@pytest.mark.integration
@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (config("Bayesian", ONE, None), "MaxNumberOfTrainingJobs must be given"),
        (config("Hyperband", ONE), "'Hyperband' is not emulated"),
        (config("Grid", ONE), "categorical hyperparameters only"),
        (config("Grid", GRID, 3), "must be the number of combinations, 4"),
        (config("Random", ONE, None), "MaxNumberOfTrainingJobs must be given"),
        (config("Random", ONE, metric="other"), "[other], isn't valid"),
        (
            config("Random", {"ContinuousParameterRanges": [real("static", "0", "1")]}),
            "both static",
        ),
        (config("Random", ONE, TrainingJobEarlyStoppingType="Auto"), "EarlyStoppingType"),
    ],
)
def test_a_tuning_job_that_cannot_be_run_is_refused(
    jobs: Jobs, settings: Document, said: str
) -> None:
    with pytest.raises(ClientError, match="ValidationException") as refused:
        start(jobs, settings)
    assert said in str(refused.value)


def drawn(item: Document, kind: str = "Continuous", count: int = 400) -> list[float]:
    ranges = {f"{kind}ParameterRanges": [item]}
    found = tried(config("Random", ranges, count, RandomSeed=1), ranges)
    return [float(each[item["Name"]]) for each in found]


def tried(settings: Document, ranges: Document) -> list[dict[str, str]]:
    search = search_of(settings, ranges, maximize=True)
    return [search.ask(number) for number in range(search.count)]


def test_the_same_seed_tries_the_same_values() -> None:
    ranges = ONE | {"IntegerParameterRanges": [real("n", "1", "9")]} | GRID
    ranges = {**ranges, "CategoricalParameterRanges": [{"Name": "c", "Values": ["a", "b"]}]}
    first, again, other = (
        tried(config("Random", ranges, 20, RandomSeed=seed), ranges) for seed in (1, 1, 2)
    )
    assert first == again
    assert first != other


@pytest.mark.parametrize(
    ("scaling", "low", "high", "middle"),
    [
        ("Linear", "1", "9", 5.0),
        ("Auto", "1", "9", 5.0),
        ("Logarithmic", "0.0001", "1", 0.01),
        ("ReverseLogarithmic", "0", "0.9999", 0.99),
    ],
)
def test_half_of_the_values_are_below_the_middle_of_their_scale(
    scaling: str, low: str, high: str, middle: float
) -> None:
    values = drawn(real("rate", low, high, ScalingType=scaling))
    assert all(float(low) <= value <= float(high) for value in values)
    below = sum(value < middle for value in values) / len(values)
    assert math.isclose(below, 0.5, abs_tol=0.1)


@pytest.mark.parametrize("scaling", ["Linear", "Logarithmic"])
def test_whole_numbers_come_from_the_whole_range(scaling: str) -> None:
    values = drawn(real("n", "1", "4", ScalingType=scaling), "Integer")
    assert set(values) == {1.0, 2.0, 3.0, 4.0}


MIXED = {
    "ContinuousParameterRanges": [real("rate", "0.001", "1", ScalingType="Logarithmic")],
    "IntegerParameterRanges": [real("depth", "1", "10")],
    "CategoricalParameterRanges": [{"Name": "kind", "Values": ["a", "b"]}],
}


def loss(tuned: dict[str, str]) -> float:
    """Least, 0, at a rate of 0.03, a depth of 7 and the kind b."""
    rate, depth = math.log(float(tuned["rate"]) / 0.03), int(tuned["depth"]) - 7
    return rate**2 / 10 + depth**2 / 30 + (tuned["kind"] == "a")


def losses(strategy: str, seed: int, beside: int = 1) -> list[float]:
    """What 24 trials come to, some of them beside each other."""
    settings = config(strategy, MIXED, 24, RandomSeed=seed)
    search = search_of(settings, MIXED, maximize=False)
    found = []
    for start_of in range(0, 24, beside):
        numbers = range(start_of, start_of + beside)
        values = [loss(search.ask(number)) for number in numbers]
        assert [loss(search.ask(number)) for number in numbers] == values
        for number, value in zip(numbers, values, strict=True):
            search.tell(number, value)
        found += values
    return found


@pytest.mark.parametrize("beside", [1, 3])
def test_a_bayesian_search_comes_closer_than_chance(beside: int) -> None:
    seeds = range(8)
    chosen = [losses("Bayesian", seed, beside) for seed in seeds]
    chance = [losses("Random", seed) for seed in seeds]
    assert sum(map(min, chosen)) < sum(map(min, chance)) / 2
    # The later half goes by what the first ones showed.
    later = [sum(sum(each[12:]) for each in side) for side in (chosen, chance)]
    assert later[0] < 0.75 * later[1]


def test_a_bayesian_search_repeats_itself_and_outlives_trials_without_a_result() -> None:
    assert losses("Bayesian", 5) == losses("Bayesian", 5)
    search = search_of(config("Bayesian", MIXED, 8, RandomSeed=1), MIXED, maximize=True)
    for number in range(8):
        tuned = search.ask(number)
        assert 0.001 <= float(tuned["rate"]) <= 1
        assert tuned["kind"] in ("a", "b")
        search.tell(number, None if number % 2 else loss(tuned))


@pytest.mark.integration
def test_a_bayesian_tuning_job_runs_to_its_best(jobs: Jobs) -> None:
    ranges = {"ContinuousParameterRanges": [real("rate", "0", "1")]}
    done = end(jobs, start(jobs, config("Bayesian", ranges, 8, RandomSeed=1)))
    assert done["HyperParameterTuningJobStatus"] == "Completed"
    assert done["TrainingJobStatusCounters"]["Completed"] == 8
    # The score is the rate itself, so the best is at the end of the range.
    assert float(done["BestTrainingJob"]["TunedHyperParameters"]["rate"]) > 0.95


@pytest.mark.parametrize(
    ("kind", "item"),
    [
        ("Continuous", real("rate", "2", "1")),
        ("Continuous", real("rate", "low", "1")),
        ("Continuous", real("rate", "0", "nan")),
        ("Integer", real("rate", "0.5", "1")),
        ("Continuous", real("rate", "0", "1", ScalingType="Logarithmic")),
        ("Continuous", real("rate", "0", "1", ScalingType="ReverseLogarithmic")),
        ("Integer", real("rate", "0", "0", ScalingType="ReverseLogarithmic")),
    ],
)
def test_a_range_that_is_none_is_refused(kind: str, item: Document) -> None:
    with pytest.raises(ValidationException, match="The range of rate must"):
        drawn(item, kind)
