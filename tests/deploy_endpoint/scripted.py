"""An endpoint as SageMaker tells of it, one status after the other, and a terminal to read."""

import io
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

from deploy_endpoint.terminal import Terminal

NAME, CONFIG, PACKAGE = "model-staging", "config-2", "arn:aws:sagemaker:x:1:model-package/group/2"


class SageMaker:
    """Tells one status after the other, and the last one for ever."""

    def __init__(self, statuses: Sequence[str], **more: Any) -> None:
        self.statuses = list(statuses)
        self.more = more

    def describe_endpoint(self, EndpointName: str) -> dict[str, Any]:  # noqa: N803
        status = self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]
        return {
            "EndpointName": EndpointName,
            "EndpointConfigName": CONFIG,
            "EndpointStatus": status,
            "ProductionVariants": [{"CurrentInstanceCount": 1, "DesiredInstanceCount": 2}],
            **self.more,
        }

    def describe_endpoint_config(self, **_: str) -> dict[str, Any]:
        return {"ProductionVariants": [{"ModelName": "model"}]}

    def describe_model(self, **_: str) -> dict[str, Any]:
        return {"Containers": [{"ModelPackageName": PACKAGE}]}


def workspace(*statuses: str, **more: Any) -> Any:
    out = io.StringIO()
    terminal = Terminal(out, out, live=False, colour=False)
    return SimpleNamespace(sagemaker=SageMaker(statuses, **more), terminal=terminal)
