"""How many instances an endpoint has, raised to what its stage asks for at least."""

from deploy_endpoint import live
from deploy_endpoint.clients import Workspace
from deploy_endpoint.errors import NotDeployedError, error_message
from deploy_endpoint.live import Live
from deploy_endpoint.stage import Stage


def raised(workspace: Workspace, stage: Stage, serving: Live) -> Live:
    """Give an endpoint in service the stage's minimum of instances if it has fewer, and wait.

    Nothing else would: an update keeps the count, for what autoscaling has added, and autoscaling
    acts on load. Returns what serves then. Raises NotDeployedError if there are still too few.
    """
    from botocore.exceptions import ClientError  # noqa: PLC0415

    name, wanted, before = stage.name, stage.instances.minimum, serving.instances
    if before >= wanted or serving.status != "InService":
        return serving
    workspace.terminal.write(f"Instances  from {before} to {wanted}, the stage's minimum")
    too_few = f"Endpoint {name} must have at least {wanted} instances"
    try:
        workspace.sagemaker.update_endpoint_weights_and_capacities(
            EndpointName=name,
            DesiredWeightsAndCapacities=[
                {"VariantName": serving.variant["VariantName"], "DesiredInstanceCount": wanted}
            ],
        )
    except ClientError as error:
        raise NotDeployedError(f"{too_few}; SageMaker refused: {error_message(error)}") from error
    found = live.settled(workspace, name)
    if found is None or not found.settled or found.instances < wanted:
        why = (found.failure or found.status) if found else "it is gone"
        raise NotDeployedError(f"{too_few}; it still has {before}: {why or 'no reason is told'}")
    return found
