"""A version on an endpoint of one's own, to see what it answers before others depend on it.

The endpoint costs money on AWS until `serve --delete` takes it away.
"""

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pipelines.build import files, registry, smoke
from pipelines.build.clients import WORK, Workspace
from pipelines.build.errors import ExecutionFailedError, is_missing, translated
from pipelines.build.policies import tags
from pipelines.build.progress import Interrupted
from pipelines.build.registry import Version
from pipelines.build.terminal import seconds

_VARIANT = "AllTraffic"
_INSTANCE = "ml.m5.large"
_SETTLED = ("InService", "Failed", "OutOfService", "UpdateRollbackFailed")
_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.2, 10.0
_LONGEST_NAME = 63


def command(workspace: Workspace, *, version: str | None, delete: bool, output: Path | None) -> int:
    """Put an approved version on the endpoint, or delete it, and compare sample answers."""
    name = endpoint_name(workspace)
    if delete:
        return _delete(workspace, name)
    if output is not None:
        files.read_object(output)
    chosen = registry.find_approved(workspace, version, "served")
    contract = smoke.read_contract(workspace, chosen)
    config = _configure(workspace, name, chosen)
    before = _find(workspace.sagemaker.describe_endpoint, EndpointName=name)
    if before is not None and before["EndpointStatus"] == "Deleting":
        _await_gone(workspace, name)
    elif before is not None and before["EndpointStatus"] not in _SETTLED:
        _follow(workspace, name)  # it takes no update before
    _put(workspace, name, config)
    took = _follow(workspace, name)
    _check_live(workspace, name, config)
    workspace.terminal.write(f"Endpoint   {name} serves version {chosen.number} ({seconds(took)})")
    answers = smoke.compare(workspace.client("sagemaker-runtime"), name, contract)
    workspace.terminal.write(answers.table())
    _sweep(workspace, name, keep=config)
    if output is not None:
        found = {"endpoint": name, "version": chosen.number, "smoke_test": answers.as_json()}
        files.merge(output, found)
    answers.require()
    sample = WORK / "sample.csv"
    files.write(sample, contract.payloads["text/csv"])
    workspace.terminal.write(
        f"Ask it:    aws sagemaker-runtime invoke-endpoint --endpoint-name {name} "
        f"--content-type text/csv --accept text/csv --body fileb://{sample} /dev/stdout"
    )
    workspace.terminal.write("Delete it: python build_pipeline.py serve --delete")
    return 0


def endpoint_name(workspace: Workspace) -> str:
    """Return the name of the endpoint, which its configurations' and models' names begin with."""
    return f"{workspace.settings.pipeline_name[: _LONGEST_NAME - 20]}-serve"


def _configure(workspace: Workspace, endpoint: str, version: Version) -> str:
    """Make the model and the endpoint configuration of a version, if they are not there."""
    name = f"{endpoint}-v{version.number}"
    client, settings = workspace.sagemaker, workspace.settings
    if _find(client.describe_model, ModelName=name) is None:
        client.create_model(
            ModelName=name,
            Containers=[{"ModelPackageName": version.arn}],
            ExecutionRoleArn=settings.role_arn,
            EnableNetworkIsolation=True,
            Tags=tags(settings),
        )
    if _find(client.describe_endpoint_config, EndpointConfigName=name) is None:
        client.create_endpoint_config(
            EndpointConfigName=name,
            ProductionVariants=[
                {
                    "VariantName": _VARIANT,
                    "ModelName": name,
                    "InitialInstanceCount": 1,
                    "InstanceType": _INSTANCE,
                }
            ],
            Tags=tags(settings),
        )
    return name


def _put(workspace: Workspace, endpoint: str, config: str) -> None:
    client = workspace.sagemaker
    found = _find(client.describe_endpoint, EndpointName=endpoint)
    if found is not None and found["EndpointStatus"] == "Failed":
        # Nothing can be done to one that failed but this.
        client.delete_endpoint(EndpointName=endpoint)
        _await_gone(workspace, endpoint)
        found = None
    if found is None:
        client.create_endpoint(
            EndpointName=endpoint, EndpointConfigName=config, Tags=tags(workspace.settings)
        )
    elif found["EndpointConfigName"] != config:
        client.update_endpoint(EndpointName=endpoint, EndpointConfigName=config)


def _follow(workspace: Workspace, endpoint: str) -> float:
    """Wait until the endpoint has settled; returns the seconds that took."""
    terminal, began, shown = workspace.terminal, time.monotonic(), ""
    try:
        while True:
            with translated():
                found = workspace.sagemaker.describe_endpoint(EndpointName=endpoint)
            status, took = found["EndpointStatus"], time.monotonic() - began
            if terminal.live:
                terminal.draw([(f"Endpoint   {endpoint}: {status} ({seconds(took)})", "")])
            elif status != shown:
                terminal.write(f"Endpoint   {endpoint}: {status}")
            shown = status
            if status in _SETTLED:
                return took
            time.sleep(min(_LONGEST_PAUSE, max(_SHORTEST_PAUSE, took / 25)))
    except KeyboardInterrupt:
        raise Interrupted(
            f"The endpoint {endpoint} goes on without you, and costs money on AWS; "
            "`python build_pipeline.py serve --delete` deletes it."
        ) from None


def _check_live(workspace: Workspace, endpoint: str, config: str) -> None:
    """Raise ExecutionFailedError unless the endpoint serves what was asked for.

    One whose update failed is in service again, with what it served before.
    """
    found = workspace.sagemaker.describe_endpoint(EndpointName=endpoint)
    reason = found.get("FailureReason", "AWS gives no reason; look at the endpoint's log")
    if found["EndpointStatus"] != "InService":
        raise ExecutionFailedError(f"Endpoint {endpoint} is {found['EndpointStatus']}: {reason}")
    if found["EndpointConfigName"] != config:
        raise ExecutionFailedError(
            f"Endpoint {endpoint} must serve {config}, and serves {found['EndpointConfigName']}: "
            f"the update was rolled back. {reason}"
        )


def _delete(workspace: Workspace, endpoint: str) -> int:
    client = workspace.sagemaker
    if _find(client.describe_endpoint, EndpointName=endpoint) is not None:
        client.delete_endpoint(EndpointName=endpoint)
        _await_gone(workspace, endpoint)
        workspace.terminal.write(f"Endpoint   {endpoint} is deleted")
    else:
        workspace.terminal.write(f"Endpoint   {endpoint} is not there")
    _sweep(workspace, endpoint, keep=None)
    return 0


def _await_gone(workspace: Workspace, endpoint: str) -> None:
    while _find(workspace.sagemaker.describe_endpoint, EndpointName=endpoint) is not None:
        time.sleep(_SHORTEST_PAUSE)


def _sweep(workspace: Workspace, endpoint: str, keep: str | None) -> None:
    """Delete the configurations and models of versions that are not served any more."""
    client, start = workspace.sagemaker, f"{endpoint}-v"
    for operation, answer, member, delete in (
        ("list_endpoint_configs", "EndpointConfigs", "EndpointConfigName", "endpoint_config"),
        ("list_models", "Models", "ModelName", "model"),
    ):
        for page in client.get_paginator(operation).paginate(NameContains=start):
            for each in page[answer]:
                name = each[member]
                if name.startswith(start) and name != keep:
                    getattr(client, f"delete_{delete}")(**{member: name})


def _find(describe: Callable[..., Mapping[str, Any]], **words: str) -> Mapping[str, Any] | None:
    from botocore.exceptions import ClientError  # noqa: PLC0415

    try:
        return describe(**words)
    except ClientError as error:
        if is_missing(error):
            return None
        raise
