"""The model package: found, approved, and with a contract that this side understands."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from deploy_endpoint.clients import Workspace
from deploy_endpoint.errors import UsageError, error_code, error_message, is_missing
from deploy_endpoint.stage import Stage

APPROVED: Final = "Approved"
CONTRACT_VERSION: Final = "1"
SCHEMA: Final = Path(__file__).parent / "deployment.schema.json"
_DOCUMENT: Final = "deployment.json"
_ARCHIVE: Final = "model.tar.gz"


@dataclass(frozen=True)
class Package:
    """A version of the model package group, as the registry describes it."""

    description: Mapping[str, Any]

    @property
    def arn(self) -> str:
        """The exact, versioned ARN."""
        return str(self.description["ModelPackageArn"])

    @property
    def version(self) -> int:
        """The version's number."""
        return int(self.arn.rpartition("/")[2])

    @property
    def approval(self) -> str:
        """Whether it may be deployed: Approved, Rejected or PendingManualApproval."""
        return str(self.description.get("ModelApprovalStatus", ""))

    @property
    def deployment_uri(self) -> str:
        """Where deployment.json is. Raises UsageError if the metadata names none."""
        found = self._metadata.get("DeploymentUri")
        if not found:
            raise UsageError(
                f"Version {self.version} must name its contract: its metadata has no DeploymentUri."
            )
        return found

    @property
    def images(self) -> list[str]:
        """The images of its containers."""
        return [str(each["Image"]) for each in self._containers]

    @property
    def archives(self) -> list[str]:
        """The URIs of its containers' models."""
        return [str(each["ModelDataUrl"]) for each in self._containers if "ModelDataUrl" in each]

    @cached_property
    def _metadata(self) -> dict[str, str]:
        return dict(self.description.get("CustomerMetadataProperties", {}))

    @property
    def _containers(self) -> list[Mapping[str, Any]]:
        found: list[Mapping[str, Any]] = self.description["InferenceSpecification"]["Containers"]
        return found

    def check(self, stage: Stage, bucket: str) -> None:
        """Raise UsageError unless the stage may serve it.

        It must be complete and approved, speak this contract, and lie where the stage's roles may
        read: below the project's name in the project's bucket.
        """
        status = self.description["ModelPackageStatus"]
        if status != "Completed":
            raise UsageError(f"Version {self.version} must be Completed, not {status}.")
        if self.approval != APPROVED:
            raise UsageError(
                f"Version {self.version} must be {APPROVED} to be deployed; it is {self.approval}."
            )
        spoken = self._metadata.get("ContractVersion")
        if spoken != CONTRACT_VERSION:
            raise UsageError(
                f"Version {self.version} must have ContractVersion {CONTRACT_VERSION}, "
                f"not {spoken!r}."
            )
        readable = f"s3://{bucket}/{stage.project}/"
        for uri, name in [
            (self.deployment_uri, _DOCUMENT),
            *((uri, _ARCHIVE) for uri in self.archives),
        ]:
            if not (uri.startswith(readable) and uri.endswith(f"/{name}")):
                raise UsageError(
                    f"Version {self.version} must have its files where the stage's roles may read: "
                    f"{readable}.../{name}, not {uri}."
                )


def find(workspace: Workspace, group: str, name: str | None) -> Package:
    """Return a version by its number or ARN; without a name the newest that is approved.

    Raises UsageError for one that is not there, or of another group.
    """
    if name is None:
        newest = next(approved(workspace, group), None)
        if newest is None:
            raise UsageError(f"Group {group} has no {APPROVED} version; approve one.")
        return describe(workspace, newest)
    if name.isdecimal():
        return describe(workspace, f"{_prefix(workspace, group)}{int(name)}")
    prefix, _, number = name.rpartition("/")
    if f"{prefix}/" != _prefix(workspace, group) or not number.isdecimal():
        raise UsageError(
            f"--package must be a version's number or its ARN in group {group}, "
            f"{_prefix(workspace, group)}N, not {name!r}."
        )
    return describe(workspace, name)


def describe(workspace: Workspace, arn: str) -> Package:
    """Return the version of an ARN. Raises UsageError if there is none."""
    from botocore.exceptions import ClientError  # noqa: PLC0415

    try:
        return Package(workspace.sagemaker.describe_model_package(ModelPackageName=arn))
    except ClientError as error:
        if is_missing(error):
            raise UsageError(f"There is no model package {arn}.") from error
        raise


def approved(workspace: Workspace, group: str) -> Iterator[str]:
    """Yield the ARNs of the approved versions, the newest first. Raises UsageError."""
    from botocore.exceptions import ClientError  # noqa: PLC0415

    pages = workspace.sagemaker.get_paginator("list_model_packages").paginate(
        ModelPackageGroupName=group, ModelApprovalStatus=APPROVED
    )
    try:
        found = [each for page in pages for each in page["ModelPackageSummaryList"]]
    except ClientError as error:
        if is_missing(error):
            raise UsageError(
                f"There is no model package group {group}; name yours with MODEL_PACKAGE_GROUP."
            ) from error
        raise
    arns = [str(each["ModelPackageArn"]) for each in found]
    yield from sorted(arns, key=lambda arn: int(arn.rpartition("/")[2]), reverse=True)


def contract(workspace: Workspace, package: Package) -> dict[str, Any]:
    """Read the package's deployment.json and hold it against the schema. Raises UsageError."""
    from botocore.exceptions import ClientError  # noqa: PLC0415
    from jsonschema import Draft202012Validator  # noqa: PLC0415 - only these commands need it
    from jsonschema.exceptions import best_match  # noqa: PLC0415

    uri = package.deployment_uri
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    try:
        body = workspace.s3.get_object(Bucket=bucket, Key=key)["Body"].read()
        document: dict[str, Any] = json.loads(body)
    except ClientError as error:
        raise UsageError(
            f"{uri} cannot be read ({error_code(error)}: {error_message(error)})."
        ) from error
    except ValueError as error:
        raise UsageError(f"{uri} must be JSON: {error}.") from error
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    found = best_match(Draft202012Validator(schema).iter_errors(document))
    if found is not None:
        raise UsageError(
            f"{uri} must be what {SCHEMA.name} describes: at {found.json_path}, {found.message}."
        )
    return document


def _prefix(workspace: Workspace, group: str) -> str:
    # SageMaker writes names in ARNs in small letters.
    return (
        f"arn:{workspace.partition}:sagemaker:{workspace.region}:{workspace.account}:"
        f"model-package/{group.lower()}/"
    )
