"""A stage's file: what one stage is to be. Read strictly, and refused where it contradicts itself.

The limits are AWS's own: those of the APIs' shapes, and of "Deployment guardrails" in the SageMaker
Developer Guide.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from deploy_endpoint import strict
from deploy_endpoint.errors import UsageError
from deploy_endpoint.strict import StrictError

FOLDER: Final = Path(__file__).parent / "stages"
PRODUCTION: Final = "production"

_RETENTION = (1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 3653)
_NAME = re.compile(r"[a-z][a-z0-9]{0,11}")
_PROJECT = re.compile(r"(?=.{1,40}\Z)[a-z](-?[a-z0-9])*")
_INSTANCE = re.compile(r"ml\.[a-z0-9]+\.[a-z0-9]+")
_KEY = re.compile(r"arn:aws[a-z-]*:kms:[a-z0-9-]+:\d{12}:key/[A-Za-z0-9-]+")
_TAG_KEY = re.compile(r"[\w .:/=+@-]{1,128}")
_TAG_VALUE = re.compile(r"[\w .:/=+@-]{0,256}")
_OWN_TAGS: Final = ("Application", "Stage", "ManagedBy")


@dataclass(frozen=True, slots=True)
class Instances:
    """What the endpoint runs on: it starts with ``initial`` and scales within the bounds."""

    type: str
    minimum: int
    initial: int
    maximum: int

    def __post_init__(self) -> None:
        _match("type", self.type, _INSTANCE, "an instance type such as ml.m5.large")
        _between("minimum", self.minimum, 1, 100)
        _between("maximum", self.maximum, 1, 100)
        if not self.minimum <= self.initial <= self.maximum:
            raise StrictError(
                f"initial must be between minimum and maximum, {self.minimum} and {self.maximum}, "
                f"not {self.initial}"
            )


@dataclass(frozen=True, slots=True)
class Scaling:
    """Autoscaling's target, per instance and minute, and how long it waits after a step."""

    invocations_per_instance: int
    scale_in_seconds: int
    scale_out_seconds: int

    def __post_init__(self) -> None:
        _between("invocations_per_instance", self.invocations_per_instance, 1, 1_000_000)
        _between("scale_in_seconds", self.scale_in_seconds, 0, 3600)
        _between("scale_out_seconds", self.scale_out_seconds, 0, 3600)


@dataclass(frozen=True, slots=True)
class Rollout:
    """How a new version takes over.

    A canary gets ``canary_percent`` of the capacity first. ``bake_seconds`` pass after each shift
    of traffic, under the watch of the new fleet's alarms; 0 is none and no watch.
    """

    strategy: Literal["all-at-once", "canary"]
    canary_percent: int | None
    bake_seconds: int
    longest_seconds: int

    def __post_init__(self) -> None:
        _between("bake_seconds", self.bake_seconds, 0, 3600)
        _between("longest_seconds", self.longest_seconds, 600, 28_800)
        waits = self.bake_seconds * (2 if self.canary else 1)
        if self.longest_seconds <= waits:
            raise StrictError(
                f"longest_seconds must be more than all baking, {waits}, not {self.longest_seconds}"
            )
        if self.canary:
            if self.canary_percent is None:
                raise StrictError("canary_percent must be a whole number for a canary, not null")
            _between("canary_percent", self.canary_percent, 1, 50)
            if not self.bake_seconds:
                raise StrictError("bake_seconds must be more than 0 for a canary, not 0")
        elif self.canary_percent is not None:
            raise StrictError(
                f"canary_percent must be null without a canary, not {self.canary_percent}"
            )

    @property
    def canary(self) -> bool:
        """Whether a part of the capacity goes first."""
        return self.strategy == "canary"


@dataclass(frozen=True, slots=True)
class Capture:
    """The share of requests and answers that is kept in the bucket; 0 is none."""

    percent: int

    def __post_init__(self) -> None:
        _between("percent", self.percent, 0, 100)


@dataclass(frozen=True, slots=True)
class Api:
    """The HTTP API's front door. The limits are those of each route; the open page has its own."""

    authentication: Literal["token", "none"]
    requests_per_second: int
    burst: int
    token_cache_seconds: int

    def __post_init__(self) -> None:
        _between("requests_per_second", self.requests_per_second, 1, 10_000)
        _between("burst", self.burst, 1, 5_000)
        # A token that is taken back is accepted for as long as an answer about it is kept.
        _between("token_cache_seconds", self.token_cache_seconds, 0, 300)


@dataclass(frozen=True, slots=True)
class Alarms:
    """When somebody is told, and a roll-out rolled back: for so many periods in a row."""

    period_seconds: int
    evaluations: int
    server_errors: int
    latency_milliseconds: int

    def __post_init__(self) -> None:
        _between("period_seconds", self.period_seconds, 60, 3600)
        if self.period_seconds % 60:
            raise StrictError(
                f"period_seconds must be a multiple of 60, as the metrics come once a minute, "
                f"not {self.period_seconds}"
            )
        _between("evaluations", self.evaluations, 1, 24)
        _between("server_errors", self.server_errors, 1, 1_000_000)
        _between("latency_milliseconds", self.latency_milliseconds, 1, 60_000)

    @property
    def seconds(self) -> int:
        """How long something must be wrong before an alarm goes off."""
        return self.period_seconds * self.evaluations


@dataclass(frozen=True, slots=True)
class Logs:
    """How long lines are kept."""

    retention_days: int

    def __post_init__(self) -> None:
        if self.retention_days not in _RETENTION:
            known = ", ".join(map(str, _RETENTION))
            raise StrictError(f"retention_days must be one of {known}, not {self.retention_days}")


@dataclass(frozen=True, slots=True)
class Encryption:
    """The customer's own key for all that can have one; null leaves it to AWS's keys."""

    kms_key_arn: str | None

    def __post_init__(self) -> None:
        if self.kms_key_arn is not None:
            _match("kms_key_arn", self.kms_key_arn, _KEY, "the ARN of a KMS key, or null")


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage; ``project`` is the start of all names and of all keys in the bucket."""

    stage: str
    project: str
    instances: Instances
    scaling: Scaling
    rollout: Rollout
    capture: Capture
    api: Api
    alarms: Alarms
    logs: Logs
    encryption: Encryption
    tags: Mapping[str, str]

    def __post_init__(self) -> None:
        # The longest name, a function's, may have 64 characters: PROJECT-STAGE-authorizer.
        _match("stage", self.stage, _NAME, "1 to 12 small letters and digits, a letter first")
        _match(
            "project",
            self.project,
            _PROJECT,
            "at most 40 small letters, digits and single hyphens, a letter first and none last",
        )
        self._check_rollout()
        if self.stage == PRODUCTION and self.api.authentication == "none":
            raise StrictError(f"api.authentication must be token in {PRODUCTION}, not none")
        self._check_tags()

    @property
    def name(self) -> str:
        """The stack's name, and the endpoint's, the API's and the dashboard's."""
        return f"{self.project}-{self.stage}"

    @property
    def prefix(self) -> str:
        """Where in the bucket the stage keeps what it writes; the project's code is beside it."""
        return f"{self.project}/stages/{self.stage}"

    @property
    def all_tags(self) -> dict[str, str]:
        """The tags of everything in the stage's stack."""
        own = (self.project, self.stage, "deploy_endpoint")
        return {**dict(zip(_OWN_TAGS, own, strict=True)), **self.tags}

    def _check_rollout(self) -> None:
        rollout, count = self.rollout, self.instances.minimum
        if rollout.canary:
            if count < 2:
                raise StrictError(
                    f"instances.minimum must be at least 2 for a canary, which is at most half of "
                    f"the capacity, not {count}"
                )
            if (rollout.canary_percent or 0) * count < 100:
                raise StrictError(
                    f"rollout.canary_percent must be at least one of {count} instances, "
                    f"{-(-100 // count)}, not {rollout.canary_percent}"
                )
        if rollout.bake_seconds and rollout.bake_seconds <= self.alarms.seconds:
            raise StrictError(
                f"rollout.bake_seconds must be more than an alarm takes to go off, "
                f"{self.alarms.seconds}, not {rollout.bake_seconds}"
            )

    def _check_tags(self) -> None:
        for key, value in self.tags.items():
            _match("tags", key, _TAG_KEY, "1 to 128 letters, digits, spaces and _.:/=+@-")
            _match(f"tags.{key}", value, _TAG_VALUE, "at most 256 of the same characters")
            if key in _OWN_TAGS or key.lower().startswith("aws:"):
                raise StrictError(f"tags must not have {key}, which is set already")
        if len(self.all_tags) > 50:
            raise StrictError(f"tags must be at most {50 - len(_OWN_TAGS)}, not {len(self.tags)}")


def read(name: str, folder: Path | None = None) -> Stage:
    """Read the stage's file. Raises UsageError that names file, key, rule and value.

    A stage is what its file is called: a copied file that still says another stage is refused.
    """
    folder = FOLDER if folder is None else folder
    known = sorted(path.stem for path in folder.glob("*.json"))
    if name not in known:
        raise UsageError(f"--stage must be one of {', '.join(known)}, not {name!r}.")
    path = folder / f"{name}.json"
    try:
        stage = strict.parse(Stage, path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be read: {error}.") from error
    except StrictError as error:
        raise UsageError(f"{path}: {error}.") from error
    if stage.stage != name:
        raise UsageError(f"{path}: stage must be {name}, as the file is called, not {stage.stage}.")
    return stage


def _between(name: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise StrictError(f"{name} must be from {low} to {high}, not {value}")


def _match(name: str, value: str, pattern: re.Pattern[str], rule: str) -> None:
    if not pattern.fullmatch(value):
        raise StrictError(f"{name} must be {rule}, not {value!r}")
