"""Models: the containers that an endpoint would run, named or taken from an approved package."""

from __future__ import annotations

from collections.abc import Iterator

from localcloud.containers.images import find_image
from localcloud.containers.serving import ModelContainer
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
        for container in check_model(request):
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

    def containers(self, caller: Caller, name: str) -> tuple[ModelContainer, ...]:
        """What an instance of a model runs, in the order in which a request passes it.

        A container that is a model package stands for those of the package, as it is now.

        Raises:
            ValidationException: there is no such model or package, or it asks for what localcloud
                cannot run.
        """
        model = self.describe(caller, {"ModelName": name})
        mode = model.get("InferenceExecutionConfig", {}).get("Mode", "Serial")
        if mode != "Serial":
            raise ValidationException(
                f"localcloud does not emulate the InferenceExecutionConfig mode {mode} of the "
                f"model {name}"
            )
        given = [
            expanded
            for container in model.get("Containers") or [model["PrimaryContainer"]]
            for expanded in self._expand(caller, container)
        ]
        # AWS numbers the containers of a model that has several.
        default = "container-{}" if len(given) > 1 else "primary"
        hostnames = [
            each.get("ContainerHostname", default.format(number))
            for number, each in enumerate(given, 1)
        ]
        if len(set(hostnames)) < len(hostnames):
            raise ValidationException(
                f"The containers of the model {name} must have different hostnames, not {hostnames}"
            )
        return tuple(
            _model_container(hostname, each)
            for hostname, each in zip(hostnames, given, strict=True)
        )

    def _expand(self, caller: Caller, container: Document) -> Iterator[Document]:
        """A container itself, or those of the package that it stands for."""
        if "ModelPackageName" not in container:
            yield container
            return
        package = self._registry.describe_package(
            caller, {"ModelPackageName": container["ModelPackageName"]}
        )
        wanted = container.get("InferenceSpecificationName")
        if wanted is None:
            specification = package.get("InferenceSpecification")
        else:
            specification = next(
                (
                    each
                    for each in package.get("AdditionalInferenceSpecifications", [])
                    if each["Name"] == wanted
                ),
                None,
            )
        if specification is None:
            raise ValidationException(
                f"Model package {package['ModelPackageArn']} has no inference specification"
                + (f" {wanted!r}" if wanted else "")
            )
        yield from specification["Containers"]

    def _check(self, caller: Caller, container: Document) -> None:
        package_name = container.get("ModelPackageName")
        if package_name is None:
            if "ModelDataUrl" in container:
                require_object(self._objects, container["ModelDataUrl"], "model data")
            return
        package = self._registry.describe_package(caller, {"ModelPackageName": package_name})
        status = package.get("ModelApprovalStatus", "Approved")
        if status != "Approved":
            raise ValidationException(
                f"Model package {package['ModelPackageArn']} is not Approved, but {status}; "
                "an approved one is needed to create a model."
            )


def check_model(request: Document) -> list[Document]:
    """The containers of a CreateModel request, which must fit together and have an image that runs.

    A member that is None is there, but not known yet, as in a step's arguments: it is taken to be
    right.

    Raises:
        ValidationException: AWS would refuse it, or it could not be served here.
    """
    several = request.get("Containers", [])
    if ("PrimaryContainer" in request) == (several is None or bool(several)):
        raise ValidationException("Exactly one of PrimaryContainer and Containers must be given")
    containers = [each for each in several or [request.get("PrimaryContainer")] if each is not None]
    for container in containers:
        _check_container(container)
    return containers


def _check_container(container: Document) -> None:
    if "ModelPackageName" in container:
        own = [member for member in _OWN if member in container]
        if own:
            raise ValidationException(
                f"A container with a ModelPackageName cannot have {', '.join(own)} of its own"
            )
        return
    if "Image" not in container:
        raise ValidationException("A container must have one of Image and ModelPackageName")
    if container["Image"] is not None:
        find_image(container["Image"])


def _model_container(hostname: str, container: Document) -> ModelContainer:
    if container.get("Mode", "SingleModel") != "SingleModel":
        raise ValidationException(
            f"localcloud does not emulate the mode {container['Mode']} of the container {hostname}"
        )
    for member in ("ModelDataSource", "AdditionalModelDataSources"):
        if member in container:
            raise ValidationException(
                f"localcloud does not emulate {member} of the container {hostname}; it serves "
                "models from a ModelDataUrl"
            )
    find_image(container["Image"])
    return ModelContainer(
        hostname=hostname,
        image=container["Image"],
        model_data=container.get("ModelDataUrl"),
        environment=dict(container.get("Environment", {})),
    )
