"""The model registry: model package groups and the versions in them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from localcloud.errors import ConflictException, ValidationException
from localcloud.protocol import Caller, Document, Operation
from localcloud.s3.objects import ObjectStore
from localcloud.sagemaker.arns import arn, resource_name
from localcloud.sagemaker.listing import Listing, choose
from localcloud.sagemaker.locations import require_object
from localcloud.sagemaker.request_tokens import RequestTokens
from localcloud.sagemaker.state_changes import state_change
from localcloud.sagemaker.tags import Tags
from localcloud.store import Store

GROUP = "model-package-group"
PACKAGE = "model-package"
_CHANGEABLE = (
    "ModelApprovalStatus",
    "ApprovalDescription",
    "InferenceSpecification",
    "AdditionalInferenceSpecifications",
    "SourceUri",
    "ModelCard",
    "ModelLifeCycle",
)
_GROUPS = Listing(
    answer="ModelPackageGroupSummaryList",
    name="ModelPackageGroupName",
    summary=lambda group: choose(
        group,
        "ModelPackageGroupName",
        "ModelPackageGroupArn",
        "ModelPackageGroupDescription",
        "CreationTime",
        "ModelPackageGroupStatus",
    ),
    sort_fields={"Name": "ModelPackageGroupName", "CreationTime": "CreationTime"},
)
_PACKAGES = Listing(
    answer="ModelPackageSummaryList",
    name="ModelPackageName",
    summary=lambda package: choose(
        package,
        *(() if "ModelPackageVersion" in package else ("ModelPackageName",)),
        "ModelPackageGroupName",
        "ModelPackageVersion",
        "ModelPackageArn",
        "ModelPackageDescription",
        "CreationTime",
        "ModelPackageStatus",
        "ModelApprovalStatus",
        "ModelLifeCycle",
    ),
    sort_fields={"Name": "ModelPackageName", "CreationTime": "CreationTime"},
    equal={"ModelApprovalStatus": "ModelApprovalStatus"},
)


def check_package(request: Document) -> None:
    """Raise ValidationException for a CreateModelPackage request that contradicts itself."""
    if ("ModelPackageGroupName" in request) == ("ModelPackageName" in request):
        raise ValidationException(
            "Exactly one of ModelPackageGroupName and ModelPackageName must be given"
        )
    if "ModelPackageGroupName" in request and "Tags" in request:
        raise ValidationException(
            "Tags cannot be given to a version of a model package group; it has the group's"
        )


class Registry:
    """Model package groups and model packages; every change of a package becomes an event."""

    def __init__(self, store: Store, objects: ObjectStore, tags: Tags) -> None:
        self._store = store
        self._objects = objects
        self._tags = tags
        self._tokens = RequestTokens(store, "ClientToken")

    def operations(self) -> dict[str, Operation]:
        """The calls by their AWS names."""
        return {
            "CreateModelPackageGroup": self.create_group,
            "DescribeModelPackageGroup": self.describe_group,
            "ListModelPackageGroups": self.list_groups,
            "DeleteModelPackageGroup": self.delete_group,
            "CreateModelPackage": self.create_package,
            "DescribeModelPackage": self.describe_package,
            "UpdateModelPackage": self.update_package,
            "ListModelPackages": self.list_packages,
            "DeleteModelPackage": self.delete_package,
        }

    def create_group(self, caller: Caller, request: Document) -> Document:
        """CreateModelPackageGroup: a name for the versions of one model."""
        name = request["ModelPackageGroupName"]
        group_arn = arn(caller, GROUP, name)
        with self._store.transaction():
            if self._store.get(caller, GROUP, name):
                raise ValidationException(f"Model Package Group already exists: {group_arn}")
            group = {
                **choose(request, "ModelPackageGroupName", "ModelPackageGroupDescription"),
                "ModelPackageGroupArn": group_arn,
                "CreationTime": self._store.clock.now(),
                "CreatedBy": {},
                "ModelPackageGroupStatus": "Completed",
                "LastVersion": 0,
            }
            self._store.put(caller, GROUP, name, group)
            self._tags.set(caller, group_arn, request.get("Tags"))
        return {"ModelPackageGroupArn": group_arn}

    def describe_group(self, caller: Caller, request: Document) -> Document:
        """DescribeModelPackageGroup: its description, as it was created."""
        return self._group(caller, request["ModelPackageGroupName"])

    def list_groups(self, caller: Caller, request: Document) -> Document:
        """ListModelPackageGroups: by name or time, in pages."""
        return _GROUPS.page(request, self._store.documents(caller, GROUP))

    def delete_group(self, caller: Caller, request: Document) -> Document:
        """DeleteModelPackageGroup; a group with versions in it is refused."""
        with self._store.transaction():
            group = self._group(caller, request["ModelPackageGroupName"])
            name = group["ModelPackageGroupName"]
            count = len(self._store.documents(caller, PACKAGE, f"{name}/"))
            if count:
                raise ConflictException(
                    f"Model Package Group {group['ModelPackageGroupArn']} has {count} model "
                    "package(s); delete them first"
                )
            self._store.delete(caller, GROUP, name)
            self._tags.forget(caller, group["ModelPackageGroupArn"])
        return {}

    def create_package(
        self, caller: Caller, request: Document, step: str | None = None
    ) -> Document:
        """CreateModelPackage: the next version of a group, or a package with a name of its own.

        One that is asked for again with its ClientToken is made once. So is that of the `step` of
        an execution, though what it asks for may have the time in it.
        """
        check_package(request)
        for container in _containers(request):
            if "ModelDataUrl" in container:
                require_object(self._objects, container["ModelDataUrl"], "model data")
        with self._store.transaction():
            asked = ("CreateModelPackage", request) if step is None else _of_step(step)
            known = self._tokens.answer(caller, *asked)
            if known is not None:
                return known
            package = {
                key: value for key, value in request.items() if key not in ("Tags", "ClientToken")
            }
            name = self._claim_name(caller, package)
            package |= {
                "ModelPackageArn": arn(caller, PACKAGE, name),
                # A version has no name of its own, but DescribeModelPackage must give one.
                "ModelPackageName": name.partition("/")[0],
                "CreationTime": self._store.clock.now(),
                "CreatedBy": {},
                "ModelPackageStatus": "Completed",
                "ModelPackageStatusDetails": {"ValidationStatuses": [], "ImageScanStatuses": []},
            }
            self._store.put(caller, PACKAGE, name, package)
            self._tags.set(caller, package["ModelPackageArn"], request.get("Tags"))
            self._emit(caller, package, [])
            answer = {"ModelPackageArn": package["ModelPackageArn"]}
            self._tokens.keep(caller, *asked, answer)
        return answer

    def describe_package(self, caller: Caller, request: Document) -> Document:
        """DescribeModelPackage: a version, by its ARN."""
        return self._package(caller, request["ModelPackageName"])[1]

    def update_package(self, caller: Caller, request: Document) -> Document:
        """UpdateModelPackage: approval, its description, metadata, additional specifications."""
        with self._store.transaction():
            name, package = self._package(caller, request["ModelPackageArn"])
            changes = choose(request, *_CHANGEABLE)
            if "AdditionalInferenceSpecificationsToAdd" in request:
                changes["AdditionalInferenceSpecifications"] = [
                    *package.get("AdditionalInferenceSpecifications", []),
                    *request["AdditionalInferenceSpecificationsToAdd"],
                ]
            metadata = dict(package.get("CustomerMetadataProperties", {}))
            metadata |= request.get("CustomerMetadataProperties", {})
            for key in request.get("CustomerMetadataPropertiesToRemove", []):
                metadata.pop(key, None)
            if metadata != package.get("CustomerMetadataProperties", {}):
                changes["CustomerMetadataProperties"] = metadata
            now = self._store.clock.after(
                package.get("LastModifiedTime") or package["CreationTime"]
            )
            package |= changes | {"LastModifiedTime": now, "LastModifiedBy": {}}
            self._store.put(caller, PACKAGE, name, package)
            self._emit(caller, package, sorted(changes))
        return {"ModelPackageArn": package["ModelPackageArn"]}

    def list_packages(self, caller: Caller, request: Document) -> Document:
        """ListModelPackages: the versions of a group, or packages outside groups."""
        kind = request.get("ModelPackageType")
        group = request.get("ModelPackageGroupName")
        if group is not None:
            found = self._group(caller, group)
            items = self._store.documents(caller, PACKAGE, f"{found['ModelPackageGroupName']}/")
        else:
            items = self._store.documents(caller, PACKAGE)
            if kind != "Both":
                versioned = kind == "Versioned"
                items = [item for item in items if ("ModelPackageVersion" in item) == versioned]
        return _PACKAGES.page(request, items)

    def delete_package(self, caller: Caller, request: Document) -> Document:
        """DeleteModelPackage; its version number is not given again."""
        with self._store.transaction():
            name, package = self._package(caller, request["ModelPackageName"])
            self._store.delete(caller, PACKAGE, name)
            self._tags.forget(caller, package["ModelPackageArn"])
        return {}

    def _claim_name(self, caller: Caller, package: Document) -> str:
        if "ModelPackageName" in package:
            name: str = package["ModelPackageName"]
            if self._store.get(caller, PACKAGE, name):
                raise ValidationException(
                    f"ModelPackage already exists: {arn(caller, PACKAGE, name)}"
                )
            return name
        group = self._group(caller, package["ModelPackageGroupName"])
        group["LastVersion"] += 1
        self._store.put(caller, GROUP, group["ModelPackageGroupName"], group)
        package["ModelPackageGroupName"] = group["ModelPackageGroupName"]
        package["ModelPackageVersion"] = group["LastVersion"]
        package.setdefault("ModelApprovalStatus", "PendingManualApproval")
        return f"{group['ModelPackageGroupName']}/{group['LastVersion']}"

    def _group(self, caller: Caller, name_or_arn: str) -> Document:
        name = resource_name(caller, GROUP, name_or_arn)
        group = self._store.get(caller, GROUP, name)
        if group is None:
            raise ValidationException(
                f"Model Package Group does not exist: {arn(caller, GROUP, name)}"
            )
        return group

    def _package(self, caller: Caller, name_or_arn: str) -> tuple[str, Document]:
        name = resource_name(caller, PACKAGE, name_or_arn)
        package = self._store.get(caller, PACKAGE, name)
        if package is None:
            raise ValidationException(f"Model Package does not exist: {arn(caller, PACKAGE, name)}")
        return name, package

    def _emit(self, caller: Caller, package: Document, changed: list[str]) -> None:
        detail: dict[str, Any] = choose(
            package,
            "ModelPackageGroupName",
            "ModelPackageName",
            "ModelPackageArn",
            "ModelPackageVersion",
            "ModelPackageStatus",
            "ModelApprovalStatus",
            "CreationTime",
        )
        if changed:
            detail["UpdatedModelPackageFields"] = changed
        moment = self._store.clock.date()
        event = state_change(caller, "Model Package", package["ModelPackageArn"], detail, moment)
        self._store.emit(caller, event)


def _of_step(step: str) -> tuple[str, Document]:
    return "RegisterModel", {"ClientToken": step}


def _containers(request: Document) -> Iterator[Document]:
    for specification in (
        request.get("InferenceSpecification"),
        *request.get("AdditionalInferenceSpecifications", []),
    ):
        if specification:
            yield from specification.get("Containers", [])
