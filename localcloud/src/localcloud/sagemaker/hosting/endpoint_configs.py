"""Endpoint configurations: models, on how many instances, and what is captured."""

from __future__ import annotations

from collections.abc import Iterable

from localcloud.errors import ValidationException
from localcloud.protocol import Caller, Document, Operation
from localcloud.sagemaker.arns import arn
from localcloud.sagemaker.hosting.plan import FleetPlan, check_count
from localcloud.sagemaker.listing import Listing, choose
from localcloud.sagemaker.locations import split_uri
from localcloud.sagemaker.models import Models
from localcloud.sagemaker.state_changes import state_change
from localcloud.sagemaker.tags import Tags
from localcloud.store import Store

KIND = "endpoint-config"
_CONFIGS = Listing(
    answer="EndpointConfigs",
    name="EndpointConfigName",
    summary=lambda config: choose(
        config, "EndpointConfigName", "EndpointConfigArn", "CreationTime"
    ),
    sort_fields={"Name": "EndpointConfigName", "CreationTime": "CreationTime"},
)
_MEMBERS = ("EndpointConfigName", "ProductionVariants", "DataCaptureConfig", "KmsKeyId", "Tags")
_VARIANT_MEMBERS = (
    "VariantName",
    "ModelName",
    "InitialInstanceCount",
    "InstanceType",
    "InitialVariantWeight",
    "VolumeSizeInGB",
    "ModelDataDownloadTimeoutInSeconds",
    "ContainerStartupHealthCheckTimeoutInSeconds",
    "RoutingConfig",
)
_NEEDED = ("ModelName", "InstanceType", "InitialInstanceCount")
_ROUTING = ("LEAST_OUTSTANDING_REQUESTS", "RANDOM")


class EndpointConfigs:
    """Create, describe, list and delete endpoint configurations; none is ever changed.

    One that an endpoint uses may be deleted, as on AWS: the endpoint goes on.
    """

    def __init__(self, store: Store, models: Models, tags: Tags) -> None:
        self._store = store
        self._models = models
        self._tags = tags

    def operations(self) -> dict[str, Operation]:
        """The calls by their AWS names."""
        return {
            "CreateEndpointConfig": self.create,
            "DescribeEndpointConfig": self.describe,
            "ListEndpointConfigs": self.list_configs,
            "DeleteEndpointConfig": self.delete,
        }

    def create(self, caller: Caller, request: Document) -> Document:
        """CreateEndpointConfig; its models must be there and be such as can be run here."""
        name, config_arn = (
            request["EndpointConfigName"],
            arn(caller, KIND, request["EndpointConfigName"]),
        )
        _refuse_others(request, _MEMBERS, "an endpoint configuration")
        variants = [_variant(each) for each in request["ProductionVariants"]]
        names = [each["VariantName"] for each in variants]
        if len(set(names)) < len(names):
            raise ValidationException(f"The variants must have different names, not {names}")
        config = {key: value for key, value in request.items() if key != "Tags"} | {
            "EndpointConfigArn": config_arn,
            "ProductionVariants": variants,
            "CreationTime": self._store.clock.now(),
        }
        if "DataCaptureConfig" in request:
            config["DataCaptureConfig"] = _capture(request["DataCaptureConfig"])
        with self._store.transaction():
            if self._store.get(caller, KIND, name):
                raise ValidationException(
                    f'Cannot create already existing endpoint configuration "{config_arn}".'
                )
            self._plan(caller, config)
            self._store.put(caller, KIND, name, config)
            self._tags.set(caller, config_arn, request.get("Tags"))
            self._emit(caller, config)
        return {"EndpointConfigArn": config_arn}

    def describe(self, caller: Caller, request: Document) -> Document:
        """DescribeEndpointConfig: as it was created, with its defaults."""
        return self.find(caller, request["EndpointConfigName"])

    def list_configs(self, caller: Caller, request: Document) -> Document:
        """ListEndpointConfigs: filtered by name and time."""
        return _CONFIGS.page(request, self._store.documents(caller, KIND))

    def delete(self, caller: Caller, request: Document) -> Document:
        """DeleteEndpointConfig, also of one that is in use."""
        with self._store.transaction():
            config = self.find(caller, request["EndpointConfigName"])
            self._store.delete(caller, KIND, config["EndpointConfigName"])
            self._emit(caller, config)
            self._tags.forget(caller, config["EndpointConfigArn"])
        return {}

    def find(self, caller: Caller, name: str) -> Document:
        """A configuration; ValidationException if there is none of this name."""
        config = self._store.get(caller, KIND, name)
        if config is None:
            raise ValidationException(
                f'Could not find endpoint configuration "{arn(caller, KIND, name)}".'
            )
        return config

    def plan(self, caller: Caller, name: str) -> FleetPlan:
        """What a fleet of a configuration runs, by the models as they are now."""
        return self._plan(caller, self.find(caller, name))

    def _plan(self, caller: Caller, config: Document) -> FleetPlan:
        return FleetPlan.of(config, lambda model: self._models.containers(caller, model))

    def _emit(self, caller: Caller, config: Document) -> None:
        detail = choose(
            config, "EndpointConfigName", "EndpointConfigArn", "ProductionVariants",
            "DataCaptureConfig", "KmsKeyId",
        )  # fmt: skip
        detail |= {
            "CreationTime": int(config["CreationTime"] * 1000),
            "Tags": self._tags.of(caller, config["EndpointConfigArn"]),
        }
        event = state_change(
            caller, "Endpoint Config", config["EndpointConfigArn"], detail, self._store.clock.date()
        )
        self._store.emit(caller, event)


def _variant(variant: Document) -> Document:
    """A production variant with its default weight; ValidationException for what cannot be run."""
    name = variant["VariantName"]
    _refuse_others(variant, _VARIANT_MEMBERS, f"the variant {name}")
    missing = [member for member in _NEEDED if member not in variant]
    if missing:
        raise ValidationException(f"The variant {name} must have {', '.join(missing)}")
    check_count(name, variant["InitialInstanceCount"])
    strategy = variant.get("RoutingConfig", {}).get("RoutingStrategy", _ROUTING[0])
    if strategy not in _ROUTING:
        raise ValidationException(
            f"localcloud does not emulate the RoutingStrategy {strategy} of the variant {name}"
        )
    return {"InitialVariantWeight": 1.0, **variant}


def _capture(capture: Document) -> Document:
    """A DataCaptureConfig with its default; ValidationException if it names no place in S3."""
    split_uri(capture["DestinationS3Uri"])
    return {"EnableCapture": True, **capture}


def _refuse_others(given: Document, known: Iterable[str], what: str) -> None:
    """Raise ValidationException that names what AWS would do and localcloud does not."""
    others = sorted(name for name in given if name not in known and given[name] is not False)
    if others:
        raise ValidationException(f"localcloud does not emulate {', '.join(others)} of {what}")
