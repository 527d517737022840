"""Step caching: a step that ran before with the same arguments is not run again.

What counts as the same follows AWS's list of cache key attributes: a job's resources, role, name,
stopping condition and where its output goes do not count; inputs count by URI, not by content.
Source: "Default cache key attributes by pipeline step type" of the SageMaker Developer Guide.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from localcloud.errors import ValidationException
from localcloud.protocol import Caller, Document
from localcloud.sagemaker.workflow.durations import seconds
from localcloud.sagemaker.workflow.expressions import check_members
from localcloud.store import Store

KIND = "step-cache"
# A dictionary takes the place of an attribute of which only some members count.
_KEY_ATTRIBUTES: dict[str, dict[str, Any]] = {
    "Processing": dict.fromkeys(("AppSpecification", "Environment", "ProcessingInputs")),
    "Training": dict.fromkeys(
        (
            "AlgorithmSpecification",
            "CheckpointConfig",
            "DebugHookConfig",
            "DebugRuleConfigurations",
            "Environment",
            "HyperParameters",
            "InputDataConfig",
        )
    ),
    "Tuning": {
        "HyperParameterTuningJobConfig": None,
        "TrainingJobDefinition": dict.fromkeys(
            (
                "AlgorithmSpecification",
                "HyperParameterRanges",
                "InputDataConfig",
                "StaticHyperParameters",
                "TuningObjective",
            )
        ),
        "TrainingJobDefinitions": None,
    },
    "Transform": dict.fromkeys(("DataProcessing", "Environment", "ModelName", "TransformInput")),
}


def check_cache(kind: str, config: Any, where: str) -> dict[str, Any]:
    """A step's CacheConfig. Raises ValidationException for one that AWS would refuse."""
    if not config:
        return {}
    check_members(config, ("Enabled",), ("ExpireAfter",), f"{where}: CacheConfig")
    if not isinstance(config["Enabled"], bool):
        raise ValidationException(f"{where}: CacheConfig.Enabled must be true or false")
    # AWS lists no attributes of Lambda steps, though the SDK has the setting: they always run.
    if config["Enabled"] and kind not in (*_KEY_ATTRIBUTES, "Lambda"):
        raise ValidationException(
            f"{where}: a {kind} step cannot be cached; {', '.join(_KEY_ATTRIBUTES)} steps can"
        )
    expiry = config.get("ExpireAfter")
    if expiry is not None:
        if not isinstance(expiry, str):
            raise ValidationException(f"{where}: ExpireAfter must be a text, not {expiry!r}")
        seconds(expiry)
    return dict(config)


def cache_key(pipeline: str, step: str, kind: str, arguments: Document) -> str:
    """The name under which a finished step is remembered, from its resolved arguments."""
    attributes = _chosen(arguments, _KEY_ATTRIBUTES[kind])
    text = json.dumps(attributes, sort_keys=True)
    return f"{pipeline}/{step}/{hashlib.sha256(text.encode()).hexdigest()}"


def remembered(store: Store, caller: Caller, config: Document, key: str) -> Document | None:
    """The earlier run under this key, if there is one and it is not too old.

    How old one of the future is, nobody knows: the clock was set back. It counts as too old.
    """
    entry = store.get(caller, KIND, key)
    if entry is None:
        return None
    expiry = config.get("ExpireAfter")
    if expiry and not 0 <= store.clock.now() - entry["EndTime"] <= seconds(expiry):
        return None
    return entry


def remember(store: Store, caller: Caller, key: str, entry: Document) -> None:
    """Keep a finished step: its execution, its metadata, its properties, when it ended."""
    store.put(caller, KIND, key, entry)


def _chosen(arguments: Document, wanted: dict[str, Any]) -> Document:
    return {
        name: arguments.get(name) if inner is None else _chosen(arguments.get(name) or {}, inner)
        for name, inner in wanted.items()
    }
