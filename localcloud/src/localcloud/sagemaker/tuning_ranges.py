"""The search of a hyperparameter tuning job: its ranges, and the values that are tried.

Source: "Define Hyperparameter Ranges" of the SageMaker Developer Guide.
"""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Callable
from typing import Any

from localcloud.errors import ValidationException
from localcloud.protocol import Document

STRATEGIES = ("Random", "Grid")
_MAX_HYPERPARAMETERS = 30
_MAX_JOBS = 750


def refuse_unsupported(request: Document) -> None:
    """Raise ValidationException for what AWS would do and localcloud cannot.

    Values that are not known yet are passed over.
    """
    config, training = _part(request, "HyperParameterTuningJobConfig"), request
    strategy = config.get("Strategy")
    if isinstance(strategy, str) and strategy not in STRATEGIES:
        raise ValidationException(
            f"localcloud tunes with the strategies {' and '.join(STRATEGIES)}; "
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


def candidates(config: Document, ranges: Document) -> list[dict[str, str]]:
    """The hyperparameters to try, in order; the same ones for the same RandomSeed.

    Raises ValidationException for a range, or a number of jobs, that AWS would refuse.
    """
    for kind in ("IntegerParameterRanges", "ContinuousParameterRanges"):
        for item in ranges.get(kind, []):
            _bounds(item, kind)
    limits = config["ResourceLimits"]
    most = limits.get("MaxNumberOfTrainingJobs")
    names = [item["Name"] for items in ranges.values() for item in items]
    if not names or len(set(names)) < len(names) or len(names) > _MAX_HYPERPARAMETERS:
        raise ValidationException(
            f"A tuning job must have 1 to {_MAX_HYPERPARAMETERS} different hyperparameters "
            f"to tune, not {names}"
        )
    found = _grid(ranges, most) if config["Strategy"] == "Grid" else _random(config, ranges, most)
    if len(found) > _MAX_JOBS:
        raise ValidationException(
            f"A tuning job has at most {_MAX_JOBS} training jobs; this one would have {len(found)}"
        )
    return found


def _grid(ranges: Document, most: int | None) -> list[dict[str, str]]:
    if ranges.get("IntegerParameterRanges") or ranges.get("ContinuousParameterRanges"):
        raise ValidationException("The strategy Grid takes categorical hyperparameters only")
    items = ranges["CategoricalParameterRanges"]
    count = math.prod(len(item["Values"]) for item in items)
    if most is not None and most != count:
        raise ValidationException(
            f"With the strategy Grid, MaxNumberOfTrainingJobs must be the number of combinations, "
            f"{count}, or not be given; it is {most}"
        )
    if count > _MAX_JOBS:
        raise ValidationException(
            f"A tuning job has at most {_MAX_JOBS} training jobs; this one would have {count}"
        )
    names = [item["Name"] for item in items]
    combinations = itertools.product(*(item["Values"] for item in items))
    return [dict(zip(names, values, strict=True)) for values in combinations]


def _random(config: Document, ranges: Document, most: int | None) -> list[dict[str, str]]:
    if most is None:
        raise ValidationException(
            f"MaxNumberOfTrainingJobs must be given with the strategy {config['Strategy']}"
        )
    if most > _MAX_JOBS:
        raise ValidationException(
            f"A tuning job has at most {_MAX_JOBS} training jobs; this one would have {most}"
        )
    source = random.Random(config.get("RandomSeed"))  # noqa: S311 - a search keeps no secret
    draws = [
        *((item, _draw_integer) for item in ranges.get("IntegerParameterRanges", [])),
        *((item, _draw_continuous) for item in ranges.get("ContinuousParameterRanges", [])),
        *((item, _draw_category) for item in ranges.get("CategoricalParameterRanges", [])),
    ]
    return [{item["Name"]: draw(item, source) for item, draw in draws} for _ in range(most)]


def _draw_integer(item: Document, source: random.Random) -> str:
    low, high = int(item["MinValue"]), int(item["MaxValue"])
    if item.get("ScalingType") == "Logarithmic":
        # Half a step beyond both ends, or they would come up half as often as their neighbours.
        drawn = math.exp(source.uniform(math.log(low - 0.5), math.log(high + 0.5)))
        return str(min(high, max(low, round(drawn))))
    return str(source.randint(low, high))


def _draw_continuous(item: Document, source: random.Random) -> str:
    low, high = float(item["MinValue"]), float(item["MaxValue"])
    match item.get("ScalingType"):
        case "Logarithmic":
            drawn = math.exp(source.uniform(math.log(low), math.log(high)))
        case "ReverseLogarithmic":
            drawn = 1.0 - math.exp(source.uniform(math.log(1.0 - high), math.log(1.0 - low)))
        case _:
            drawn = source.uniform(low, high)
    return repr(min(high, max(low, drawn)))


def _draw_category(item: Document, source: random.Random) -> str:
    return str(source.choice(item["Values"]))


def _bounds(item: Document, kind: str) -> None:
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


def _part(document: Document, name: str) -> dict[str, Any]:
    value = document.get(name)
    return value if isinstance(value, dict) else {}
