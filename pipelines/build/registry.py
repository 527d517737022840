"""The model registry: the group's versions, found, listed, approved and rejected."""

import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from pipelines.build import gate
from pipelines.build.clients import Workspace
from pipelines.build.errors import UsageError, is_missing
from pipelines.build.gate import Metrics
from pipelines.build.terminal import number, table

APPROVED: Final = "Approved"
REJECTED: Final = "Rejected"
_CONTRACT: Final = "DeploymentUri"
_SHOWN: Final = 20
_LONGEST_NOTE: Final = 1024
_HEADLINE: Final = ("average_precision", "f1")


@dataclass(frozen=True, slots=True)
class Version:
    """A version of the model package group, as the list of versions has it."""

    number: int
    arn: str
    status: str
    approval: str
    created: datetime


def versions(workspace: Workspace) -> list[Version]:
    """Return all versions of the group, the newest first. Raises UsageError without a group."""
    from botocore.exceptions import ClientError  # noqa: PLC0415

    group = workspace.settings.model_package_group_name
    pages = workspace.sagemaker.get_paginator("list_model_packages").paginate(
        ModelPackageGroupName=group
    )
    try:
        found = [_read(each) for page in pages for each in page["ModelPackageSummaryList"]]
    except ClientError as error:
        if is_missing(error):
            raise UsageError(_no_group(group)) from error
        raise
    return sorted(found, key=lambda version: version.number, reverse=True)


def find(workspace: Workspace, name: str, among: list[Version] | None = None) -> Version:
    """Return a version by its number, its ARN or ``latest``. Raises UsageError."""
    known = versions(workspace) if among is None else among
    group = workspace.settings.model_package_group_name
    if not known:
        raise UsageError(
            f"Group {group} has no version yet; `python build_pipeline.py run --wait` makes one."
        )
    if name == "latest":
        return known[0]
    for version in known:
        if name in {version.arn, str(version.number)}:
            return version
    numbers = ", ".join(str(version.number) for version in known[:_SHOWN])
    raise UsageError(
        f"Version must be a number, an ARN or `latest` of group {group}, not {name!r}; "
        f"it has {numbers}."
    )


def find_approved(workspace: Workspace, name: str | None, use: str) -> Version:
    """Return the version of a name, which must be approved; without a name the newest that is.

    ``use`` is what it is to be, such as ``served``. Raises UsageError.
    """
    known = versions(workspace)
    if name is None:
        approved = [version for version in known if version.approval == APPROVED]
        if not approved:
            raise UsageError(
                "No version is approved; `python build_pipeline.py approve latest` approves one."
            )
        return approved[0]
    found = find(workspace, name, known)
    if found.approval != APPROVED:
        raise UsageError(
            f"Version {found.number} must be Approved to be {use}; it is {found.approval}. "
            f"`python build_pipeline.py approve {found.number}` approves it."
        )
    return found


def describe(workspace: Workspace, version: Version) -> dict[str, Any]:
    """Return all that the registry knows about a version."""
    answer: dict[str, Any] = workspace.sagemaker.describe_model_package(
        ModelPackageName=version.arn
    )
    return answer


def contract(workspace: Workspace, version: Version) -> tuple[str, Any]:
    """Read a version's deployment.json; returns its URI and what it holds. Raises UsageError."""
    from botocore.exceptions import ClientError  # noqa: PLC0415

    uri = describe(workspace, version).get("CustomerMetadataProperties", {}).get(_CONTRACT)
    if uri is None:
        raise UsageError(f"Version {version.number} must name its {_CONTRACT} in its metadata.")
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    try:
        return uri, json.loads(workspace.s3.get_object(Bucket=bucket, Key=key)["Body"].read())
    except ClientError as error:
        if is_missing(error):
            raise UsageError(f"{uri} of version {version.number} is not there.") from error
        raise
    except ValueError as error:
        raise UsageError(f"{uri} must be a deployment.json: {error}.") from error


def metrics(workspace: Workspace, description: Mapping[str, Any]) -> Metrics:
    """Read the metrics of a version: ``metrics.json`` beside its model quality statistics."""
    folder = evaluation_folder(description)
    return gate.read_metrics(workspace.s3, f"{folder}/metrics.json") if folder else {}


def evaluation_folder(description: Mapping[str, Any]) -> str | None:
    """Return the URI of the folder with a version's model quality statistics; None without any."""
    quality = description.get("ModelMetrics", {}).get("ModelQuality", {})
    uri = quality.get("Statistics", {}).get("S3Uri")
    return None if uri is None else str(uri).rpartition("/")[0]


def show(workspace: Workspace) -> int:
    """Print the newest versions with their approval and headline metrics."""
    found = versions(workspace)
    if not found:
        workspace.terminal.write("No version is registered yet.")
        return 0
    _ = workspace.s3, workspace.sagemaker  # made here: threads share them, but may not make them

    def measure(version: Version) -> tuple[Metrics, str]:
        description = describe(workspace, version)
        return metrics(workspace, description), description.get("ApprovalDescription", "")

    with ThreadPoolExecutor(8) as pool:
        measured = list(pool.map(measure, found[:_SHOWN]))
    rows = [
        [
            str(version.number),
            version.status,
            version.approval,
            *(number(values[name]) if name in values else "-" for name in _HEADLINE),
            f"{version.created.astimezone():%Y-%m-%d %H:%M}",
            note,
        ]
        for version, (values, note) in zip(found, measured, strict=False)
    ]
    headers = ("version", "status", "approval", *_HEADLINE, "created", "note")
    workspace.terminal.write(table(rows, headers, "rllrrll"))
    if len(found) > _SHOWN:
        workspace.terminal.write(f"and {len(found) - _SHOWN} older ones")
    return 0


def approve(workspace: Workspace, *, version: str, note: str | None) -> int:
    """Approve a version; the approval is the event that rolls it out."""
    return _decide(workspace, version, APPROVED, note)


def reject(workspace: Workspace, *, version: str, note: str) -> int:
    """Reject a version, or take its approval back."""
    return _decide(workspace, version, REJECTED, note)


def _decide(workspace: Workspace, name: str, approval: str, note: str | None) -> int:
    if note is not None and len(note) > _LONGEST_NOTE:
        raise UsageError(f"--note must have at most {_LONGEST_NOTE} characters, not {len(note)}.")
    version = find(workspace, name)
    terminal = workspace.terminal
    if version.status != "Completed":
        raise UsageError(
            f"Version {version.number} must be Completed to be decided on; it is {version.status}."
        )
    # The same decision again would be an event, and perhaps a roll-out, for nothing.
    if version.approval == approval and note is None:
        terminal.write(f"Version {version.number} is {approval} already.")
        return 0
    extra = {} if note is None else {"ApprovalDescription": note}
    workspace.sagemaker.update_model_package(
        ModelPackageArn=version.arn, ModelApprovalStatus=approval, **extra
    )
    terminal.write(f"Version {version.number}: {version.approval} -> {approval}")
    return 0


def _read(answer: Mapping[str, Any]) -> Version:
    return Version(
        number=int(answer.get("ModelPackageVersion") or answer["ModelPackageArn"].split("/")[-1]),
        arn=answer["ModelPackageArn"],
        status=answer["ModelPackageStatus"],
        approval=answer.get("ModelApprovalStatus", ""),
        created=answer["CreationTime"],
    )


def _no_group(group: str) -> str:
    return (
        f"There is no model package group {group}: make it with "
        "`python build_pipeline.py bootstrap`, or name yours with MODEL_PACKAGE_GROUP."
    )
