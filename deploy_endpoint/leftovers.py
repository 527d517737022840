"""What stays behind: replaced models and configurations, logs, captured data."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from deploy_endpoint.clients import Workspace
from deploy_endpoint.errors import is_missing
from deploy_endpoint.stage import Stage

_DELETED_AT_ONCE = 1000


@dataclass(frozen=True)
class Retained:
    """Models and configurations that were made for a stage, the newest configuration first."""

    configs: tuple[str, ...]
    models: tuple[str, ...]


def retained(workspace: Workspace, stage: Stage, since: datetime | None = None) -> Retained:
    """Find what the stage's stacks made, by its tags, as CloudFormation makes up the names."""
    client = workspace.sagemaker
    after = {} if since is None else {"CreationTimeAfter": since}
    configs = client.get_paginator("list_endpoint_configs").paginate(
        SortBy="CreationTime", SortOrder="Descending", **after
    )
    models = client.get_paginator("list_models").paginate(
        SortBy="CreationTime", SortOrder="Descending", **after
    )
    return Retained(
        tuple(
            each["EndpointConfigName"]
            for page in configs
            for each in page["EndpointConfigs"]
            if _belongs(workspace, stage, each["EndpointConfigArn"])
        ),
        tuple(
            each["ModelName"]
            for page in models
            for each in page["Models"]
            if _belongs(workspace, stage, each["ModelArn"])
        ),
    )


def tidy(
    workspace: Workspace, stage: Stage, in_use: str, before: str | None, since: datetime
) -> Retained:
    """Delete what earlier versions left, but what is in use and what was before this roll-out.

    ``before`` is the configuration that served when it began. It stays, so that a person can take
    the endpoint back to it by hand, whatever state the stack is in; the newest one before the one
    in use may be that of a roll-out that failed. Returns what was deleted: nothing if the roll-out
    brought no new configuration.
    """
    if in_use == before:
        return Retained((), ())
    found = retained(workspace, stage, since)
    if in_use not in found.configs:  # then the list is not what it should be: touch nothing
        return Retained((), ())
    older = found.configs[found.configs.index(in_use) + 1 :]
    old = [name for name in older if name != before]
    models = {
        variant["ModelName"]
        for name in found.configs
        if name not in old
        for variant in workspace.sagemaker.describe_endpoint_config(EndpointConfigName=name)[
            "ProductionVariants"
        ]
    }
    gone = Retained(tuple(old), tuple(name for name in found.models if name not in models))
    delete(workspace, gone)
    return gone


def delete(workspace: Workspace, found: Retained) -> None:
    """Delete configurations, then models."""
    for name in found.configs:
        workspace.sagemaker.delete_endpoint_config(EndpointConfigName=name)
    for name in found.models:
        workspace.sagemaker.delete_model(ModelName=name)


def log_groups(workspace: Workspace, stage: Stage) -> list[str]:
    """Return the stage's log groups that are there, whoever made them."""
    names = [
        f"/aws/sagemaker/Endpoints/{stage.name}",
        f"/aws/lambda/{stage.name}-api",
        f"/aws/lambda/{stage.name}-authorizer",
        f"/aws/vendedlogs/http-api/{stage.name}",
    ]
    found = []
    for name in names:
        answer = workspace.logs.describe_log_groups(logGroupNamePrefix=name)
        found += [name for each in answer["logGroups"] if each["logGroupName"] == name]
    return found


def captured(workspace: Workspace, stage: Stage) -> Iterator[dict[str, str]]:
    """Yield key and version of every captured object; none in a bucket that is not there."""
    from botocore.exceptions import ClientError  # noqa: PLC0415

    pages = workspace.s3.get_paginator("list_object_versions").paginate(
        Bucket=workspace.bucket, Prefix=f"{stage.prefix}/capture/"
    )
    try:
        for page in pages:
            for each in [*page.get("Versions", []), *page.get("DeleteMarkers", [])]:
                yield {"Key": each["Key"], "VersionId": each["VersionId"]}
    except ClientError as error:
        if not is_missing(error):
            raise


def delete_captured(workspace: Workspace, objects: list[dict[str, str]]) -> None:
    """Delete objects for good, with all their versions."""
    for start in range(0, len(objects), _DELETED_AT_ONCE):
        batch = objects[start : start + _DELETED_AT_ONCE]
        workspace.s3.delete_objects(
            Bucket=workspace.bucket, Delete={"Objects": batch, "Quiet": True}
        )


def _belongs(workspace: Workspace, stage: Stage, arn: str) -> bool:
    from botocore.exceptions import ClientError  # noqa: PLC0415

    try:
        answer: dict[str, Any] = workspace.sagemaker.list_tags(ResourceArn=arn)
    except ClientError as error:
        if is_missing(error):  # somebody deleted it just now
            return False
        raise
    tags = {each["Key"]: each["Value"] for each in answer["Tags"]}
    own = ("Application", "Stage")
    return all(tags.get(key) == stage.all_tags[key] for key in own)
