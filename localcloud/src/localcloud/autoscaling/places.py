"""Where something scales: the variant of an endpoint."""

from __future__ import annotations

import re
from dataclasses import dataclass

from localcloud.errors import ValidationException
from localcloud.protocol import Document

NAMESPACE = "sagemaker"
DIMENSION = "sagemaker:variant:DesiredInstanceCount"
_RESOURCE = re.compile(r"endpoint/([^/]+)/variant/([^/]+)")


@dataclass(frozen=True)
class Place:
    """A variant of an endpoint."""

    endpoint: str
    variant: str

    @property
    def resource_id(self) -> str:
        """As the calls name it."""
        return f"endpoint/{self.endpoint}/variant/{self.variant}"

    def document(self) -> Document:
        """The three members that every record has."""
        return {
            "ServiceNamespace": NAMESPACE,
            "ResourceId": self.resource_id,
            "ScalableDimension": DIMENSION,
        }

    def words(self) -> str:
        """The place as AWS's errors say it."""
        return (
            f"service namespace: {NAMESPACE}, resource ID: {self.resource_id}, scalable dimension: "
            f"{DIMENSION}"
        )


def place_of(request: Document) -> Place:
    """The place that a request names. Raises ValidationException for what is none here."""
    check_namespace(request)
    dimension = request.get("ScalableDimension", DIMENSION)
    if dimension != DIMENSION:
        raise ValidationException(
            f"localcloud does not emulate the scalable dimension {dimension}, only {DIMENSION}"
        )
    return variant(request["ResourceId"])


def variant(resource_id: str) -> Place:
    """The variant behind a resource id."""
    found = _RESOURCE.fullmatch(resource_id)
    if found is None:
        raise ValidationException(
            f"Unsupported service namespace, resource type or scalable dimension: {resource_id!r} "
            "is not endpoint/NAME/variant/NAME"
        )
    return Place(found[1], found[2])


def check_namespace(request: Document) -> None:
    """Raise ValidationException for another service than SageMaker."""
    if request["ServiceNamespace"] != NAMESPACE:
        raise ValidationException(
            "localcloud does not emulate the service namespace "
            f"{request['ServiceNamespace']}, only {NAMESPACE}"
        )
