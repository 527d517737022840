"""What an endpoint really serves, whatever was asked for."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from deploy_endpoint.clients import Workspace
from deploy_endpoint.errors import NotDeployedError, is_missing
from deploy_endpoint.pauses import pauses

# Autoscaling and AWS's own maintenance change an endpoint as well; it answers meanwhile.
_CHANGING: Final = ("Updating", "SystemUpdating", "RollingBack")
_UNDER_WAY: Final = ("Creating", "Deleting", *_CHANGING)
_ANSWERING: Final = ("InService", *_CHANGING)
SETTLING_SECONDS: Final = 1800.0


@dataclass(frozen=True)
class Live:
    """An endpoint with the configuration that it is on, and that one's model."""

    endpoint: Mapping[str, Any]
    config: Mapping[str, Any]
    model: Mapping[str, Any]

    @property
    def status(self) -> str:
        """The endpoint's status, such as InService."""
        return str(self.endpoint["EndpointStatus"])

    @property
    def config_name(self) -> str:
        """The name of the configuration."""
        return str(self.endpoint["EndpointConfigName"])

    @property
    def package_arn(self) -> str | None:
        """The model package behind it; None if its model was made of something else."""
        containers = self.model.get("Containers") or [self.model.get("PrimaryContainer", {})]
        found = containers[0].get("ModelPackageName")
        return None if found is None else str(found)

    @property
    def version(self) -> int | None:
        """The number of the model package's version."""
        return None if self.package_arn is None else int(self.package_arn.rpartition("/")[2])

    @property
    def answers(self) -> bool:
        """Whether it takes requests, as it does while it is changed."""
        return self.status in _ANSWERING

    @property
    def settled(self) -> bool:
        """Whether nothing is under way on it, so that it may be updated."""
        return self.status not in _UNDER_WAY

    @property
    def variant(self) -> Mapping[str, Any]:
        """Its only variant, with the instances that run now; empty where none ever ran."""
        found: list[Mapping[str, Any]] = self.endpoint.get("ProductionVariants", [])
        return found[0] if found else {}

    @property
    def instances(self) -> int:
        """How many instances it has, or will have when what is under way is through."""
        count = "CurrentInstanceCount" if self.settled else "DesiredInstanceCount"
        return int(self.variant.get(count, 0))

    @property
    def failure(self) -> str:
        """Why it failed, or why it was rolled back; empty if it says nothing."""
        return str(self.endpoint.get("FailureReason", ""))


def read(workspace: Workspace, name: str) -> Live | None:
    """Return what the endpoint of a name serves; None if there is none."""
    client, endpoint = workspace.sagemaker, _describe(workspace, name)
    if endpoint is None:
        return None
    config = client.describe_endpoint_config(EndpointConfigName=endpoint["EndpointConfigName"])
    model = client.describe_model(ModelName=config["ProductionVariants"][0]["ModelName"])
    return Live(endpoint, config, model)


def settle(workspace: Workspace, name: str) -> None:
    """Wait, for half an hour at most, until nothing is under way on the endpoint; tell of it."""
    seen = None
    for pause in pauses(SETTLING_SECONDS):
        endpoint = _describe(workspace, name)
        if endpoint is None or endpoint["EndpointStatus"] not in _UNDER_WAY:
            return
        line = _line(endpoint)
        if line != seen:
            workspace.terminal.write(f"Waiting    until endpoint {name} is settled: {line}")
        seen = line
        time.sleep(pause)


def settled(workspace: Workspace, name: str) -> Live | None:
    """Return what the endpoint serves as soon as nothing is under way on it; None if there is none.

    After half an hour it is returned as it is.
    """
    settle(workspace, name)
    return read(workspace, name)


def verify(workspace: Workspace, name: str, config: str, package_arn: str) -> Live:
    """Return what the endpoint serves, once it is settled, if it is what was asked for.

    An automatic rollback leaves the endpoint InService, on the configuration from before: only this
    comparison tells it from a success. Raises NotDeployedError with what is there instead.
    """
    found = settled(workspace, name)
    if found is None:
        raise NotDeployedError(f"There is no endpoint {name}: somebody deleted it.")
    check(found, config, package_arn)
    return found


def check(found: Live, config: str, package_arn: str, minimum: int = 1) -> None:
    """Raise NotDeployedError unless an endpoint serves what was asked for, on enough instances.

    Configuration and package decide; an endpoint that is being scaled or patched serves them, too.
    """
    name, reason = found.endpoint["EndpointName"], f" ({found.failure})" if found.failure else ""
    if (found.config_name, found.package_arn) != (config, package_arn) or not found.answers:
        raise NotDeployedError(
            f"Endpoint {name} must be InService on {config} with {package_arn}; it is "
            f"{found.status} on {found.config_name} with {found.package_arn}{reason}."
        )
    if found.instances < minimum:
        raise NotDeployedError(
            f"Endpoint {name} must have at least {minimum} instances, not "
            f"{found.instances}{reason}."
        )


def progress(workspace: Workspace, name: str) -> str | None:
    """Return a line about a roll-out that is under way; None if none is."""
    endpoint = _describe(workspace, name)
    if endpoint is None or endpoint["EndpointStatus"] == "InService":
        return None
    return f"{'Endpoint':<20}  {_line(endpoint)}"


def _describe(workspace: Workspace, name: str) -> Mapping[str, Any] | None:
    from botocore.exceptions import ClientError  # noqa: PLC0415

    try:
        endpoint: Mapping[str, Any] = workspace.sagemaker.describe_endpoint(EndpointName=name)
    except ClientError as error:
        if is_missing(error):
            return None
        raise
    return endpoint


def _line(endpoint: Mapping[str, Any]) -> str:
    pending = endpoint.get("PendingDeploymentSummary", {}).get("ProductionVariants", [])
    steps = [
        text
        for variant in pending or endpoint.get("ProductionVariants", [])
        for each in variant.get("VariantStatus", [])
        for text in (each["Status"], each.get("StatusMessage"))
        if text
    ]
    return f"{endpoint['EndpointStatus']}{': ' if steps else ''}{', '.join(steps)}"
