"""Retry policies: which errors of a step are worth another attempt, how often, and when.

Source: "Retry Policy for Pipeline Steps" of the SageMaker Developer Guide.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from localcloud.errors import ServiceError, ValidationException
from localcloud.sagemaker.workflow.expressions import check_members

SERVICE_FAULT = "Step.SERVICE_FAULT"
THROTTLING = "Step.THROTTLING"
JOB_INTERNAL_ERROR = "SageMaker.JOB_INTERNAL_ERROR"
CAPACITY_ERROR = "SageMaker.CAPACITY_ERROR"
RESOURCE_LIMIT = "SageMaker.RESOURCE_LIMIT"
_KINDS = (SERVICE_FAULT, THROTTLING, JOB_INTERNAL_ERROR, CAPACITY_ERROR, RESOURCE_LIMIT)
_REASONS = {
    "InternalServerError": JOB_INTERNAL_ERROR,
    "CapacityError": CAPACITY_ERROR,
    "InsufficientCapacityError": CAPACITY_ERROR,
    "ResourceLimitExceeded": RESOURCE_LIMIT,
}
_RETRIED_TYPES = ("Processing", "Training", "Tuning", "Transform", "Model", "RegisterModel")
_LIMITS: dict[str, tuple[tuple[type, ...], float]] = {
    "IntervalSeconds": ((int,), 43_200),
    "BackoffRate": ((int, float), sys.float_info.max),
    "MaxAttempts": ((int,), 20),
    "ExpireAfterMin": ((int,), 14_400),
}
_DEFAULT_ATTEMPTS = 5
LONGEST_PAUSE = 28 * 86_400.0
"""Seconds; AWS's own longest running time of a training job."""


@dataclass(frozen=True)
class RetryPolicy:
    """One policy: after an error of these kinds so many more attempts, or for so many minutes."""

    kinds: tuple[str, ...]
    interval: float = 1
    rate: float = 2.0
    attempts: int | None = _DEFAULT_ATTEMPTS
    minutes: float | None = None


# AWS retries these by itself, however often it does so; a policy of the step takes their place.
_AUTOMATIC = RetryPolicy((SERVICE_FAULT, THROTTLING))


class Attempts:
    """How often a step was tried, held against its policies; the first that fits decides.

    `elapsed` is a clock in seconds that nobody sets.
    """

    def __init__(self, policies: tuple[RetryPolicy, ...], elapsed: Callable[[], float]) -> None:
        self._policies = (*policies, _AUTOMATIC)
        self._counts = [0] * len(self._policies)
        self._elapsed = elapsed
        self._started = elapsed()
        self.count = 1

    def pause(self, kind: str | None) -> float | None:
        """Seconds to wait before the next attempt after an error of `kind`; None for no more."""
        for number, policy in enumerate(self._policies):
            if kind not in policy.kinds:
                continue
            done = self._counts[number]
            if policy.attempts is not None and done >= policy.attempts:
                return None
            expired = self._elapsed() - self._started
            if policy.minutes is not None and expired >= 60 * policy.minutes:
                return None
            self._counts[number] += 1
            self.count += 1
            return _pause(policy, done)
        return None


def _pause(policy: RetryPolicy, done: int) -> float:
    try:
        return min(LONGEST_PAUSE, policy.interval * float(policy.rate) ** done)
    except OverflowError:
        return LONGEST_PAUSE


def kind_of_error(error: Exception) -> str | None:
    """The kind of an error that a call of a step met."""
    if not isinstance(error, ServiceError):
        return SERVICE_FAULT
    if error.code.startswith("Throttling"):
        return THROTTLING
    if error.code == "ResourceLimitExceeded":
        return RESOURCE_LIMIT
    return SERVICE_FAULT if error.status >= 500 and error.status != 501 else None


def kind_of_failure(step_type: str, reason: str) -> str | None:
    """The kind of a job's FailureReason; a tuning job has retried internal errors by itself."""
    kind = _REASONS.get(reason.partition(":")[0].strip())
    return None if step_type == "Tuning" and kind == JOB_INTERNAL_ERROR else kind


def read_policies(step: str, step_type: str, items: Any) -> tuple[RetryPolicy, ...]:
    """A step's RetryPolicies. Raises ValidationException for what AWS would refuse."""
    if not items:
        return ()
    where = f"Step [{step}]: a retry policy"
    if step_type not in _RETRIED_TYPES:
        raise ValidationException(f"{where} cannot stand at a {step_type} step")
    if not isinstance(items, list):
        raise ValidationException(f"Step [{step}]: RetryPolicies must be a list, not {items!r}")
    return tuple(_read_policy(item, where) for item in items)


def _read_policy(item: Any, where: str) -> RetryPolicy:
    check_members(item, ("ExceptionType",), tuple(_LIMITS), where)
    kinds = item["ExceptionType"]
    if not isinstance(kinds, list) or not kinds or any(kind not in _KINDS for kind in kinds):
        raise ValidationException(
            f"{where} must have a list of {', '.join(_KINDS)} as ExceptionType, not {kinds!r}"
        )
    for name, (types, most) in _LIMITS.items():
        value: Any = item.get(name, 0)
        fits = isinstance(value, types) and not isinstance(value, bool)
        if not fits or not 0 <= value <= most:
            what = "a number" if float in types else "an integer"
            raise ValidationException(
                f"{where}: {name} must be {what} from 0 to {most:g}, not {value!r}"
            )
    if "MaxAttempts" in item and "ExpireAfterMin" in item:
        raise ValidationException(f"{where} can have only one of MaxAttempts and ExpireAfterMin")
    limited = "ExpireAfterMin" in item
    return RetryPolicy(
        kinds=tuple(kinds),
        interval=item.get("IntervalSeconds", 1),
        rate=item.get("BackoffRate", 2.0),
        attempts=None if limited else item.get("MaxAttempts", _DEFAULT_ATTEMPTS),
        minutes=item.get("ExpireAfterMin"),
    )
