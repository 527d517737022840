"""The ranges of a hyperparameter tuning job, and what of one cannot be run here.

Source: "Define Hyperparameter Ranges" of the SageMaker Developer Guide.
"""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from localcloud.containers import training
from localcloud.errors import ValidationException
from localcloud.protocol import Document
from localcloud.sagemaker.trials import Objective, training_request

STRATEGIES = ("Random", "Grid", "Bayesian")
_MAX_HYPERPARAMETERS = 30
_MAX_JOBS = 750
# What stands for parts of the training job's definition that are not known.
_ASSUMED: dict[str, Document] = {
    "StaticHyperParameters": {"sagemaker_program": None},
    "HyperParameterTuningResourceConfig": {"InstanceType": None},
}


def check_tuning(request: Document) -> None:
    """Refuse what the creation of a tuning job would refuse, before all of it is known.

    A member that is None is there, but not known yet: it is taken to be right.

    Raises:
        ValidationException: AWS would refuse it, or it cannot be had here.
    """
    refuse_unsupported(request)
    definition = request.get("TrainingJobDefinition", {})
    config = request["HyperParameterTuningJobConfig"]
    if None in (definition, config) or definition.get("AlgorithmSpecification", {}) is None:
        return
    if not definition or all(
        _is_known(holder.get(member, {}))
        for holder, member in (
            (config, "HyperParameterTuningJobObjective"),
            (definition, "TuningObjective"),
            (definition["AlgorithmSpecification"], "MetricDefinitions"),
        )
    ):
        Objective.of(request)
    ranges = ranges_of(request)
    if ranges is not None:
        _check_ranges(config, ranges)
    names = [
        item["Name"]
        for items in (ranges or {}).values()
        for item in items or ()
        if isinstance(item, dict) and item["Name"] is not None
    ]
    assumed = {name: part for name, part in _ASSUMED.items() if definition.get(name, {}) is None}
    request = {"TrainingJobDefinition": definition | assumed}
    training.check(training_request(request, "", dict.fromkeys(names, ""), Objective("", "")))


def ranges_of(request: Document) -> Document:
    """The ranges of a request, which stand in one of two places."""
    inner: Document = request["TrainingJobDefinition"].get("HyperParameterRanges", {})
    ranges: Document = request["HyperParameterTuningJobConfig"].get("ParameterRanges", inner)
    return ranges


def refuse_unsupported(request: Document) -> None:
    """Raise ValidationException for what AWS would do and localcloud cannot.

    Values that are not known yet are passed over.
    """
    config, training = _part(request, "HyperParameterTuningJobConfig"), request
    strategy = config.get("Strategy")
    if isinstance(strategy, str) and strategy not in STRATEGIES:
        raise ValidationException(
            f"localcloud tunes with the strategies {', '.join(STRATEGIES)}; "
            f"{strategy!r} is not emulated"
        )
    ranges = _part(config, "ParameterRanges")
    definition = _part(training, "TrainingJobDefinition")
    for holder, member in (
        (request, "TrainingJobDefinitions"),
        (request, "WarmStartConfig"),
        (request, "Autotune"),
        (config, "TuningJobCompletionCriteria"),
        (_part(config, "ResourceLimits"), "MaxRuntimeInSeconds"),
        (ranges, "AutoParameters"),
        (_part(definition, "HyperParameterTuningResourceConfig"), "InstanceConfigs"),
    ):
        if holder.get(member):
            raise ValidationException(f"localcloud does not emulate {member} of a tuning job")
    if config.get("TrainingJobEarlyStoppingType") == "Auto":
        raise ValidationException(
            "localcloud does not emulate TrainingJobEarlyStoppingType 'Auto' of a tuning job"
        )


@dataclass(frozen=True)
class Range:
    """One hyperparameter to tune: numbers on a scale, or `values` to choose from."""

    name: str
    values: tuple[str, ...] = ()
    low: float = 0.0
    high: float = 0.0
    whole: bool = False
    scaling: str = "Auto"

    def draw(self, source: random.Random) -> str:
        """A value at random, each stretch of the scale as likely as another."""
        return self.at(source.choice(self.values) if self.values else source.random())

    def at(self, place: Any) -> str:
        """The value at a place from 0 to 1 of the scale; one of `values` is itself."""
        if self.values:
            return str(place)
        low, high = self.low, self.high
        if self.whole:
            # Half a step beyond both ends, or they would come up half as often as their neighbours.
            low, high = low - 0.5, high + 0.5
        match self.scaling:
            case "Logarithmic":
                value = low * (high / low) ** place
            case "ReverseLogarithmic":
                value = 1.0 - (1.0 - low) * ((1.0 - high) / (1.0 - low)) ** place
            case _:
                value = low + place * (high - low)
        value = min(self.high, max(self.low, round(value) if self.whole else value))
        return str(int(value)) if self.whole else repr(float(value))


def read_ranges(ranges: Document) -> list[Range]:
    """The ranges of a tuning job; raises ValidationException for one that AWS would refuse."""
    found = [
        *(_numbers(item, whole=True) for item in ranges.get("IntegerParameterRanges", [])),
        *(_numbers(item, whole=False) for item in ranges.get("ContinuousParameterRanges", [])),
        *(
            Range(item["Name"], tuple(item["Values"]))
            for item in ranges.get("CategoricalParameterRanges", [])
        ),
    ]
    names = [each.name for each in found]
    if not names or len(set(names)) < len(names) or len(names) > _MAX_HYPERPARAMETERS:
        raise ValidationException(
            f"A tuning job must have 1 to {_MAX_HYPERPARAMETERS} different hyperparameters "
            f"to tune, not {names}"
        )
    return found


def number_of_jobs(config: Document) -> int:
    """MaxNumberOfTrainingJobs of a strategy that needs it."""
    most: int | None = config["ResourceLimits"].get("MaxNumberOfTrainingJobs")
    if most is None:
        raise ValidationException(
            f"MaxNumberOfTrainingJobs must be given with the strategy {config['Strategy']}"
        )
    _check_number(most)
    return most


def grid(ranges: Document, config: Document) -> list[dict[str, str]]:
    """Every combination of the values."""
    _refuse_numbers(ranges)
    most = config["ResourceLimits"].get("MaxNumberOfTrainingJobs")
    items = ranges["CategoricalParameterRanges"]
    count = math.prod(len(item["Values"]) for item in items)
    if most is not None and most != count:
        raise ValidationException(
            f"With the strategy Grid, MaxNumberOfTrainingJobs must be the number of combinations, "
            f"{count}, or not be given; it is {most}"
        )
    _check_number(count)
    names = [item["Name"] for item in items]
    combinations = itertools.product(*(item["Values"] for item in items))
    return [dict(zip(names, values, strict=True)) for values in combinations]


def _refuse_numbers(ranges: Document) -> None:
    if ranges.get("IntegerParameterRanges") or ranges.get("ContinuousParameterRanges"):
        raise ValidationException("The strategy Grid takes categorical hyperparameters only")


def _check_ranges(config: Document, ranges: Document) -> None:
    """The ranges, and the number of training jobs, as far as they are known."""
    strategy, limits = config["Strategy"], config["ResourceLimits"]
    if strategy == "Grid":
        _refuse_numbers(ranges)
    for member, whole in (("IntegerParameterRanges", True), ("ContinuousParameterRanges", False)):
        for item in filter(_is_known, ranges.get(member) or ()):
            _numbers(item, whole=whole)
    if _is_known(ranges):
        read_ranges(ranges)
    if strategy is None or limits is None or limits.get("MaxNumberOfTrainingJobs", 0) is None:
        return
    if strategy != "Grid":
        number_of_jobs(config)
    elif _is_known(ranges):
        grid(ranges, config)


def _is_known(value: Any) -> bool:
    """Whether nothing in a value is None."""
    if isinstance(value, dict):
        return all(map(_is_known, value.values()))
    return all(map(_is_known, value)) if isinstance(value, list) else value is not None


def _check_number(count: int) -> None:
    if count > _MAX_JOBS:
        raise ValidationException(
            f"A tuning job has at most {_MAX_JOBS} training jobs; this one would have {count}"
        )


def _numbers(item: Document, *, whole: bool) -> Range:
    low, high = _bounds(item, "IntegerParameterRanges" if whole else "ContinuousParameterRanges")
    scaling = item.get("ScalingType", "Auto")
    return Range(item["Name"], low=low, high=high, whole=whole, scaling=scaling)


def _bounds(item: Document, kind: str) -> tuple[float, float]:
    name, scaling = item["Name"], item.get("ScalingType", "Auto")
    read: Callable[[str], float] = int if kind == "IntegerParameterRanges" else float
    try:
        low, high = read(item["MinValue"]), read(item["MaxValue"])
    except ValueError as error:
        raise ValidationException(
            f"The range of {name} must be of {read.__name__} numbers, not "
            f"{item['MinValue']!r} to {item['MaxValue']!r}"
        ) from error
    if not (math.isfinite(low) and math.isfinite(high) and low <= high):
        raise ValidationException(f"The range of {name} must go up, not from {low} to {high}")
    if scaling == "Logarithmic" and low <= 0:
        raise ValidationException(
            f"The range of {name} must be greater than 0 for Logarithmic scaling, not from {low}"
        )
    if scaling == "ReverseLogarithmic" and (read is int or low < 0 or high >= 1):
        raise ValidationException(
            f"The range of {name} must be continuous and within 0 <= x < 1 for "
            f"ReverseLogarithmic scaling, not from {low} to {high}"
        )
    return low, high


def _part(document: Document, name: str) -> dict[str, Any]:
    value = document.get(name)
    return value if isinstance(value, dict) else {}
