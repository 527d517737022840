"""Models: the containers that an endpoint would run, named or taken from an approved package."""

from __future__ import annotations

from localcloud.containers.images import find_image
from localcloud.errors import ValidationException
from localcloud.protocol import Caller, Document, Operation
from localcloud.s3.objects import ObjectStore
from localcloud.sagemaker.arns import arn
from localcloud.sagemaker.listing import Listing, choose
from localcloud.sagemaker.locations import require_object
from localcloud.sagemaker.registry import Registry
from localcloud.sagemaker.tags import Tags
from localcloud.store import Store

KIND = "model"
_MODELS = Listing(
    answer="Models",
    name="ModelName",
    summary=lambda model: choose(model, "ModelName", "ModelArn", "CreationTime"),
    sort_fields={"Name": "ModelName", "CreationTime": "CreationTime"},
)
_OWN = ("Image", "ModelDataUrl", "ModelDataSource", "Environment")


class Models:
    """Create, describe, list and delete models."""

    def __init__(self, store: Store, objects: ObjectStore, registry: Registry, tags: Tags) -> None:
        self._store = store
        self._objects = objects
        self._registry = registry
        self._tags = tags

    def operations(self) -> dict[str, Operation]:
        """The calls by their AWS names."""
        return {
            "CreateModel": self.create,
            "DescribeModel": self.describe,
            "ListModels": self.list_models,
            "DeleteModel": self.delete,
        }

    def create(self, caller: Caller, request: Document) -> Document:
        """CreateModel; its data must be there and its package approved."""
        name, model_arn = request["ModelName"], arn(caller, KIND, request["ModelName"])
        containers = request.get("Containers", [])
        if ("PrimaryContainer" in request) == bool(containers):
            raise ValidationException(
                "Exactly one of PrimaryContainer and Containers must be given"
            )
        for container in containers or [request["PrimaryContainer"]]:
            self._check(caller, container)
        model = {key: value for key, value in request.items() if key != "Tags"}
        model |= {"ModelArn": model_arn, "CreationTime": self._store.clock.now()}
        model.setdefault("EnableNetworkIsolation", False)
        with self._store.transaction():
            if self._store.get(caller, KIND, name):
                raise ValidationException(f'Cannot create already existing model "{model_arn}".')
            self._store.put(caller, KIND, name, model)
            self._tags.set(caller, model_arn, request.get("Tags"))
        return {"ModelArn": model_arn}

    def describe(self, caller: Caller, request: Document) -> Document:
        """DescribeModel: as it was created."""
        name = request["ModelName"]
        model = self._store.get(caller, KIND, name)
        if model is None:
            raise ValidationException(f'Could not find model "{arn(caller, KIND, name)}".')
        return model

    def list_models(self, caller: Caller, request: Document) -> Document:
        """ListModels: by name or time, in pages."""
        return _MODELS.page(request, self._store.documents(caller, KIND))

    def delete(self, caller: Caller, request: Document) -> Document:
        """DeleteModel; the model's data stays."""
        with self._store.transaction():
            model = self.describe(caller, request)
            self._store.delete(caller, KIND, model["ModelName"])
            self._tags.forget(caller, model["ModelArn"])
        return {}

    def _check(self, caller: Caller, container: Document) -> None:
        package_name = container.get("ModelPackageName")
        if package_name is None:
            if "Image" not in container:
                raise ValidationException("A container must have one of Image and ModelPackageName")
            find_image(container["Image"])
            if "ModelDataUrl" in container:
                require_object(self._objects, container["ModelDataUrl"], "model data")
            return
        own = [member for member in _OWN if member in container]
        if own:
            raise ValidationException(
                f"A container with a ModelPackageName cannot have {', '.join(own)} of its own"
            )
        package = self._registry.describe_package(caller, {"ModelPackageName": package_name})
        status = package.get("ModelApprovalStatus", "Approved")
        if status != "Approved":
            raise ValidationException(
                f"Model package {package['ModelPackageArn']} is not Approved, but {status}; "
                "an approved one is needed to create a model."
            )
