"""What a CreateTransformJob request says of the way from objects to requests and back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from localcloud.containers.errors import JobNotSupported
from localcloud.containers.hosts import check_count
from localcloud.containers.inputs import Request, check_source, split_uri
from localcloud.containers.transform.association import Association
from localcloud.errors import ValidationException

_MB = 1 << 20
_DEFAULT_PAYLOAD, _LARGEST_PAYLOAD = 6, 100
_DEFAULT_TIMEOUT, _DEFAULT_RETRIES = 600, 3
_STRATEGIES = {"MultiRecord": "MULTI_RECORD", "SingleRecord": "SINGLE_RECORD"}


def check(request: Request) -> None:
    """Refuse by name what AWS would refuse, and what cannot be had here.

    Members that are not there, as in a step's arguments, are left alone.

    Raises:
        ValidationException: so that nothing of the job is begun.
    """
    check_count(request.get("TransformResources", {}))
    given, wanted = request.get("TransformInput", {}), request.get("TransformOutput", {})
    source = given.get("DataSource", {}).get("S3DataSource", {})
    if "S3Uri" in source:
        check_source(source, "TransformInput")
    if "S3OutputPath" in wanted:
        split_uri(wanted["S3OutputPath"])
    split = given.get("SplitType", "None")
    if split not in ("None", "Line"):
        raise JobNotSupported(f"SplitType must be None or Line here, not {split!r}")
    if "DataCaptureConfig" in request:
        raise JobNotSupported("DataCaptureConfig of a transform job is not emulated")
    payload = request.get("MaxPayloadInMB", _DEFAULT_PAYLOAD)
    concurrent = request.get("MaxConcurrentTransforms", 0)
    if payload > _LARGEST_PAYLOAD:
        raise ValidationException(
            f"MaxPayloadInMB must be at most {_LARGEST_PAYLOAD}, not {payload}"
        )
    if concurrent * max(payload, 1) > _LARGEST_PAYLOAD:
        raise ValidationException(
            f"MaxConcurrentTransforms * MaxPayloadInMB must be at most {_LARGEST_PAYLOAD}, "
            f"not {concurrent} * {payload}"
        )
    Association.of({"TransformInput": given, "TransformOutput": wanted, **request})


@dataclass(frozen=True)
class Settings:
    """How requests are made. `limit` is in bytes, `timeout` in seconds.

    `strategy` is MultiRecord or SingleRecord; `lines` says that a newline ends each answer.
    """

    split: bool
    strategy: str
    limit: int
    concurrent: int
    gzipped: bool
    content_type: str | None
    accept: str | None
    lines: bool
    timeout: float
    retries: int
    association: Association | None

    @classmethod
    def of(cls, request: Request, offered: bytes | None) -> Settings:
        """The settings of a job. `offered` are the container's execution parameters, as JSON.

        What the request leaves open the container decides, and AWS's defaults what that leaves.
        """
        own = _execution_parameters(offered)
        strategies = {value: name for name, value in _STRATEGIES.items()}
        given, wanted = request["TransformInput"], request["TransformOutput"]
        client = request.get("ModelClientConfig", {})
        payload = request.get("MaxPayloadInMB", own.get("MaxPayloadInMB", _DEFAULT_PAYLOAD))
        payload = min(payload or _LARGEST_PAYLOAD, _LARGEST_PAYLOAD)
        concurrent = request.get("MaxConcurrentTransforms") or own.get("MaxConcurrentTransforms")
        return cls(
            split=given.get("SplitType", "None") == "Line",
            strategy=request.get("BatchStrategy")
            or strategies.get(own.get("BatchStrategy", ""), "MultiRecord"),
            limit=payload * _MB,
            # What the request asks for was checked; a payload of any size is not yet among that.
            concurrent=max(1, min(concurrent or 1, _LARGEST_PAYLOAD // payload)),
            gzipped=given.get("CompressionType", "None") == "Gzip",
            content_type=given.get("ContentType") or None,
            accept=wanted.get("Accept") or None,
            lines=wanted.get("AssembleWith", "None") == "Line",
            timeout=client.get("InvocationsTimeoutInSeconds", _DEFAULT_TIMEOUT),
            retries=client.get("InvocationsMaxRetries", _DEFAULT_RETRIES),
            association=Association.of(request),
        )

    def __str__(self) -> str:
        """The first line of a job's data log, in AWS's words."""
        return (
            f"MaxConcurrentTransforms={self.concurrent}, MaxPayloadInMB={self.limit // _MB}, "
            f"BatchStrategy={_STRATEGIES[self.strategy]}"
        )


def environment(request: Request) -> dict[str, str]:
    """What a container of a transform job finds in its environment, the job's own last."""
    told = {
        "SAGEMAKER_BATCH": "true",
        "SAGEMAKER_MAX_PAYLOAD_IN_MB": request.get("MaxPayloadInMB"),
        "SAGEMAKER_BATCH_STRATEGY": _STRATEGIES.get(request.get("BatchStrategy", "")),
        "SAGEMAKER_MAX_CONCURRENT_TRANSFORMS": request.get("MaxConcurrentTransforms"),
    }
    known = {name: str(value) for name, value in told.items() if value is not None}
    return {**known, **request.get("Environment", {})}


def _execution_parameters(offered: bytes | None) -> Mapping[str, Any]:
    """A container's answer, as far as it is one: what is wrong in it does not count."""
    try:
        own = json.loads(offered or b"{}")
    except ValueError:
        return {}
    if not isinstance(own, dict):
        return {}
    numbers = ("MaxPayloadInMB", "MaxConcurrentTransforms")
    return {
        name: value
        for name, value in own.items()
        if (type(value) is int and 0 <= value <= _LARGEST_PAYLOAD)
        or (name not in numbers and isinstance(value, str))
    }
