"""How a stage is: what it serves, its alarms, and where everything is."""

from deploy_endpoint import live, package, stack, stage
from deploy_endpoint.clients import Workspace
from deploy_endpoint.errors import DeployError, NotDeployedError, UsageError
from deploy_endpoint.terminal import table


def command(workspace: Workspace, *, stage_name: str) -> int:
    """Show the stage; while its stack is being changed nothing is judged.

    Raises DeployError if it is not there, NotDeployedError if it serves something else.
    """
    found = stage.read(stage_name)
    made = stack.read(workspace, found.name)
    if made is None:
        raise DeployError(f"There is no stage {found.name}; `deploy` makes it.")
    rows = [["Stack", f"{made.name}: {made.status}"]]
    serving = live.read(workspace, found.name)
    if serving is not None:
        count = serving.variant.get("CurrentInstanceCount", 0)
        kind = serving.config["ProductionVariants"][0]["InstanceType"]
        why = f" ({serving.failure})" if serving.failure else ""
        rows.append(["Endpoint", f"{found.name}: {serving.status}{why}, {count} x {kind}"])
        if serving.package_arn is not None:
            try:
                approval = package.describe(workspace, serving.package_arn).approval
            except UsageError:
                approval = "not in the registry any more"
            rows.append(["Version", f"{serving.version} ({approval}), {serving.package_arn}"])
    alarms = workspace.client("cloudwatch").get_paginator("describe_alarms")
    rows += [
        ["Alarm", f"{alarm['AlarmName']}: {alarm['StateValue']}"]
        for page in alarms.paginate(AlarmNamePrefix=f"{found.name}-")
        for alarm in page["MetricAlarms"]
    ]
    rows += [[name, value] for name, value in sorted(made.outputs.items())]
    workspace.terminal.write(table(rows))
    if made.busy:  # what it says and what serves may differ until it is through
        return 0
    if serving is None:
        raise DeployError(f"There is no endpoint {found.name}.")
    if not made.exists:
        raise NotDeployedError(f"Stack {made.name} is {made.status}: `deploy` makes it anew.")
    live.check(
        serving,
        made.outputs["EndpointConfigName"],
        made.outputs["ModelPackageArn"],
        int(made.parameters["MinimumInstances"]),
    )
    return 0
