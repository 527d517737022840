"""An endpoint gets its stage's minimum of instances, or it is told why not."""

from typing import Any

import pytest
from botocore.exceptions import ClientError
from scripted import workspace

from deploy_endpoint import capacity, live, pauses, stage
from deploy_endpoint.errors import NotDeployedError

PRODUCTION = stage.read("production")
VARIANT = {"VariantName": "main", "CurrentInstanceCount": 1, "DesiredInstanceCount": 1}


def raised(*statuses: str, refused: bool = False, **more: Any) -> list[Any]:
    """What SageMaker is asked for."""
    asked: list[Any] = []

    def scale(**words: Any) -> None:
        asked.append(words)
        if refused:
            error = {"Error": {"Code": "ResourceLimitExceeded", "Message": "a limit of 1"}}
            raise ClientError(error, "UpdateEndpointWeightsAndCapacities")

    found = workspace(*statuses, ProductionVariants=[VARIANT], **more)
    found.sagemaker.update_endpoint_weights_and_capacities = scale
    serving = live.read(found, PRODUCTION.name)
    assert serving is not None
    capacity.raised(found, PRODUCTION, serving)
    return asked


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pauses, "_SHORTEST", 0.01)


def test_instances_that_sagemaker_refuses_are_told() -> None:
    with pytest.raises(NotDeployedError, match="2 instances; SageMaker refused: a limit"):
        raised("InService", refused=True)


def test_instances_that_do_not_come_are_told() -> None:
    """SageMaker gives up, and the endpoint is InService with as many as before."""
    with pytest.raises(NotDeployedError, match="still has 1: no capacity"):
        raised("InService", "Updating", "RollingBack", "InService", FailureReason="no capacity")


def test_an_endpoint_that_does_not_serve_gets_none() -> None:
    assert raised("Failed") == []
