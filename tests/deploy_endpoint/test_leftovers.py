"""What a roll-out leaves is deleted, but what serves and what was good before."""

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

from deploy_endpoint import leftovers, stage

STAGING = stage.read("staging")
SINCE = datetime(2026, 1, 1, tzinfo=UTC)


class SageMaker:
    """Has configurations, the newest first, each with a model of its own."""

    def __init__(self, *numbers: int) -> None:
        self.numbers = list(numbers)
        self.deleted: list[str] = []

    def get_paginator(self, operation: str) -> Any:
        kind = "EndpointConfig" if operation == "list_endpoint_configs" else "Model"
        found = [
            {f"{kind}Name": f"{kind}-{number}", f"{kind}Arn": "arn"} for number in self.numbers
        ]
        return SimpleNamespace(paginate=lambda **_: [{f"{kind}s": found}])

    def list_tags(self, **_: str) -> Any:
        tags = STAGING.all_tags
        return {"Tags": [{"Key": key, "Value": value} for key, value in tags.items()]}

    def describe_endpoint_config(self, EndpointConfigName: str) -> Any:  # noqa: N803
        model = EndpointConfigName.replace("EndpointConfig", "Model")
        return {"ProductionVariants": [{"ModelName": model}]}

    def delete_endpoint_config(self, EndpointConfigName: str) -> None:  # noqa: N803
        self.deleted.append(EndpointConfigName)

    def delete_model(self, ModelName: str) -> None:  # noqa: N803
        self.deleted.append(ModelName)


def deleted(sagemaker: SageMaker, in_use: int, before: int | None) -> list[str]:
    workspace: Any = SimpleNamespace(sagemaker=sagemaker)
    good = None if before is None else f"EndpointConfig-{before}"
    leftovers.tidy(workspace, STAGING, f"EndpointConfig-{in_use}", good, SINCE)
    return sagemaker.deleted


def test_what_a_failed_roll_out_left_goes_and_the_last_good_one_stays() -> None:
    """3 failed and could not be deleted then; 4 serves, and 2 did before."""
    found = deleted(SageMaker(4, 3, 2, 1), in_use=4, before=2)
    assert found == ["EndpointConfig-3", "EndpointConfig-1", "Model-3", "Model-1"]


def test_a_roll_out_without_a_new_configuration_deletes_nothing() -> None:
    assert deleted(SageMaker(3, 2, 1), in_use=2, before=2) == []


def test_what_is_newer_than_what_serves_is_somebodys_and_stays_with_its_model() -> None:
    assert deleted(SageMaker(9, 4, 2, 1), in_use=4, before=2) == ["EndpointConfig-1", "Model-1"]


def test_where_what_serves_is_not_in_the_list_nothing_is_touched() -> None:
    assert deleted(SageMaker(3, 2, 1), in_use=7, before=2) == []
