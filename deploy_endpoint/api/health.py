"""What serves now: the endpoint's status and the version of the model behind it."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from botocore.exceptions import BotoCoreError, ClientError

# An endpoint answers while it is updated, and when an update stays half done.
ANSWERING: Final = {
    "InService", "Updating", "SystemUpdating", "RollingBack", "UpdateRollbackFailed",
}  # fmt: skip
MISSING: Final = "Missing"
UNKNOWN: Final = "Unknown"
SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True)
class State:
    """The status as SageMaker has it, or Missing, or Unknown while SageMaker cannot be asked."""

    status: str
    model_package_arn: str | None = None

    @property
    def model_version(self) -> str | None:
        """The version that serves; None when it is not known."""
        return self.model_package_arn.rpartition("/")[2] if self.model_package_arn else None

    @property
    def answers(self) -> bool:
        """Whether the endpoint takes requests."""
        return self.status in ANSWERING


class Health:
    """Looks at the endpoint, at most once in five seconds."""

    def __init__(
        self,
        endpoint_name: str,
        sagemaker: Callable[[], Any],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._name = endpoint_name
        self._sagemaker = sagemaker
        self._clock = clock
        self._seen: tuple[float, State] | None = None
        # Neither changes under its name.
        self._packages: dict[str, str | None] = {}

    def state(self) -> State:
        """Give the state, at most five seconds old."""
        now = self._clock()
        if self._seen is None or now - self._seen[0] >= SECONDS:
            self._seen = (now, self._look())
        return self._seen[1]

    def _look(self) -> State:
        try:
            described = self._sagemaker().describe_endpoint(EndpointName=self._name)
            configuration = described["EndpointConfigName"]
            if configuration not in self._packages:
                self._packages = {configuration: self._find_package(configuration)}
            return State(described["EndpointStatus"], self._packages[configuration])
        except ClientError as error:
            missing = error.response["Error"]["Code"] == "ValidationException"
            return State(MISSING if missing else UNKNOWN)
        except BotoCoreError:
            return State(UNKNOWN)

    def _find_package(self, configuration: str) -> str | None:
        sagemaker = self._sagemaker()
        described = sagemaker.describe_endpoint_config(EndpointConfigName=configuration)
        model = sagemaker.describe_model(ModelName=described["ProductionVariants"][0]["ModelName"])
        containers = model.get("Containers") or [model.get("PrimaryContainer", {})]
        package: str | None = containers[0].get("ModelPackageName")
        return package
