"""How traffic is shifted to a new fleet: a DeploymentConfig, checked and read.

Sources: "Deployment guardrails" of the SageMaker Developer Guide, and the API reference.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from localcloud.errors import ValidationException
from localcloud.protocol import Document
from localcloud.sagemaker.hosting.plan import FleetPlan, Variant

_SIZES = {"CANARY": ("CanarySize", 1), "LINEAR": ("LinearStepSize", 10)}
_MOST_PERCENT = 50


@dataclass(frozen=True)
class Deployment:
    """One way from a blue fleet to a green one; durations in seconds.

    `shares` are those of the requests that the green fleet gets, step by step, the last one 1.
    Between two steps `interval` passes, after the last one `termination`; meanwhile none of the
    `alarms` may go off. All of it may take `limit`.
    """

    shares: tuple[float, ...] = (1.0,)
    interval: float = 0.0
    termination: float = 0.0
    limit: float | None = None
    alarms: tuple[str, ...] = ()


def read_deployment(config: Document, plan: FleetPlan) -> Deployment:
    """What a DeploymentConfig asks for of the fleet to come.

    Raises ValidationException for what AWS refuses and for what is not emulated.
    """
    if "RollingUpdatePolicy" in config:
        raise ValidationException(
            "localcloud does not emulate RollingUpdatePolicy; use a BlueGreenUpdatePolicy"
        )
    alarms = tuple(
        alarm["AlarmName"]
        for alarm in config.get("AutoRollbackConfiguration", {}).get("Alarms", [])
        if "AlarmName" in alarm
    )
    policy = config.get("BlueGreenUpdatePolicy")
    if policy is None:
        return Deployment(alarms=alarms)
    routing = policy["TrafficRoutingConfiguration"]
    kind = routing["Type"]
    for other, (member, _) in _SIZES.items():
        if (member in routing) != (other == kind):
            verb = "must" if other == kind else "cannot"
            raise ValidationException(f"A traffic routing of type {kind} {verb} have a {member}")
    interval = routing["WaitIntervalInSeconds"]
    termination = policy.get("TerminationWaitInSeconds", 0)
    limit = policy.get("MaximumExecutionTimeoutInSeconds")
    shares: tuple[float, ...] = (1.0,)
    if kind in _SIZES:
        member, lowest = _SIZES[kind]
        size = min(_share(each, routing[member], member, lowest) for each in plan.variants)
        shares = (size, 1.0) if kind == "CANARY" else _steps(size)
    waiting = interval * (len(shares) - 1) + termination
    if limit is not None and limit <= waiting:
        raise ValidationException(
            f"MaximumExecutionTimeoutInSeconds must be more than the deployment waits in all, "
            f"{waiting} seconds; it is {limit}"
        )
    return Deployment(shares, interval, termination, limit, alarms)


def check_alarms(names: Iterable[str], state: Callable[[str], str | None]) -> None:
    """Raise ValidationException that names the alarms that are not there."""
    missing = [name for name in names if state(name) is None]
    if missing:
        raise ValidationException(f"Could not find the CloudWatch alarms {', '.join(missing)}")


def check_names(deployment: Deployment, blue: FleetPlan, green: FleetPlan) -> None:
    """Only between variants of equal names can traffic be shifted in steps, or under alarms."""
    before, after = ({each.name for each in plan.variants} for plan in (blue, green))
    if before != after and deployment != Deployment():
        raise ValidationException(
            "With a DeploymentConfig the new endpoint configuration must have the same variants "
            f"as the old one: {sorted(before)}, not {sorted(after)}"
        )


def _share(variant: Variant, size: Document, member: str, lowest: int) -> float:
    """The part of a variant's instances that a CapacitySize means."""
    value: int = size["Value"]
    count = variant.count
    if size["Type"] == "INSTANCE_COUNT":
        percent, shown = 100 * value / count, f"{value} of {count} instances"
    else:
        percent, shown = float(value), f"{value} %"
    if count < 2 or not lowest <= percent <= _MOST_PERCENT:
        raise ValidationException(
            f"{member} must be {lowest} to {_MOST_PERCENT} % of the capacity of the variant "
            f"{variant.name}, which has {count} instance(s), and at least one instance; "
            f"it is {shown}"
        )
    return percent / 100


def _steps(size: float) -> tuple[float, ...]:
    shares = [size]
    while shares[-1] + size < 1 - 1e-9:
        shares.append(shares[-1] + size)
    return (*shares, 1.0)
