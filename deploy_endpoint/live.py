"""What an endpoint really serves, whatever was asked for."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from deploy_endpoint.clients import Workspace
from deploy_endpoint.errors import NotDeployedError, is_missing


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
    def variant(self) -> Mapping[str, Any]:
        """Its only variant, with the instances that run now."""
        found: Mapping[str, Any] = self.endpoint["ProductionVariants"][0]
        return found

    @property
    def failure(self) -> str:
        """Why it failed, or why it was rolled back; empty if it says nothing."""
        return str(self.endpoint.get("FailureReason", ""))


def read(workspace: Workspace, name: str) -> Live | None:
    """Return what the endpoint of a name serves; None if there is none."""
    from botocore.exceptions import ClientError  # noqa: PLC0415

    client = workspace.sagemaker
    try:
        endpoint = client.describe_endpoint(EndpointName=name)
    except ClientError as error:
        if is_missing(error):
            return None
        raise
    config = client.describe_endpoint_config(EndpointConfigName=endpoint["EndpointConfigName"])
    model = client.describe_model(ModelName=config["ProductionVariants"][0]["ModelName"])
    return Live(endpoint, config, model)


def verify(workspace: Workspace, name: str, config: str, package_arn: str) -> Live:
    """Return what the endpoint serves if it is what was asked for.

    An automatic rollback leaves the endpoint InService, on the configuration from before: only this
    comparison tells it from a success. Raises NotDeployedError with what is there instead.
    """
    found = read(workspace, name)
    if found is None:
        raise NotDeployedError(f"There is no endpoint {name}: somebody deleted it.")
    wanted = (config, package_arn, "InService")
    if (found.config_name, found.package_arn, found.status) == wanted:
        return found
    reason = f" ({found.failure})" if found.failure else ""
    raise NotDeployedError(
        f"Endpoint {name} must be InService on {config} with {package_arn}; it is "
        f"{found.status} on {found.config_name} with {found.package_arn}{reason}."
    )


def progress(workspace: Workspace, name: str) -> str | None:
    """Return a line about a roll-out that is under way; None if none is."""
    from botocore.exceptions import ClientError  # noqa: PLC0415

    try:
        endpoint = workspace.sagemaker.describe_endpoint(EndpointName=name)
    except ClientError as error:
        if is_missing(error):
            return None
        raise
    status = endpoint["EndpointStatus"]
    if status == "InService":
        return None
    pending = endpoint.get("PendingDeploymentSummary", {}).get("ProductionVariants", [])
    steps = [
        text
        for variant in pending
        for each in variant.get("VariantStatus", [])
        for text in (each["Status"], each.get("StatusMessage"))
        if text
    ]
    return f"{'Endpoint':<20}  {status}{': ' if steps else ''}{', '.join(steps)}"
