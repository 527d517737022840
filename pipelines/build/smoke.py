"""The sample payload of a version, sent to an endpoint: every answer must be the expected one."""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from pipelines.build import registry
from pipelines.build.clients import Workspace
from pipelines.build.errors import ExecutionFailedError, UsageError
from pipelines.build.registry import Version
from pipelines.build.terminal import table

_JSON: Final = "application/json"


@dataclass(frozen=True, slots=True)
class Contract:
    """What deployment.json says of a version's answers."""

    payloads: Mapping[str, str]
    expected: tuple[Mapping[str, float], ...]
    tolerance: float


@dataclass(frozen=True, slots=True)
class Compared:
    """What an endpoint answered to one payload, beside what it had to."""

    content_type: str
    milliseconds: float
    farthest: float
    wrong: int
    rows: int


@dataclass(frozen=True, slots=True)
class Answers:
    """What came of all payloads."""

    compared: tuple[Compared, ...]
    tolerance: float

    def table(self) -> str:
        """The payloads as a table."""
        rows = [
            [
                each.content_type,
                f"{each.rows - each.wrong} of {each.rows}",
                f"{each.farthest:.1e}",
                f"{each.milliseconds:.1f} ms",
            ]
            for each in self.compared
        ]
        return table(rows, ("payload", "as expected", "farthest off", "latency"), "lrrr")

    def as_json(self) -> list[dict[str, Any]]:
        """What ``--output`` writes."""
        return [
            {
                "content_type": each.content_type,
                "rows": each.rows,
                "wrong": each.wrong,
                "milliseconds": round(each.milliseconds, 2),
            }
            for each in self.compared
        ]

    def require(self) -> None:
        """Raise ExecutionFailedError if an answer is not the expected one."""
        for each in self.compared:
            if each.wrong:
                raise ExecutionFailedError(
                    f"{each.wrong} of {each.rows} answers to the sample payload as "
                    f"{each.content_type} must be within {self.tolerance:g} of the expected ones; "
                    f"the farthest is off by {each.farthest:g}."
                )


def read_contract(workspace: Workspace, version: Version) -> Contract:
    """Read the sample of a version from its deployment.json. Raises UsageError without one."""
    uri, document = registry.contract(workspace, version)
    try:
        sample = document["sample"]
        return Contract(sample["payloads"], tuple(sample["expected"]), sample["tolerance"])
    except (KeyError, TypeError) as error:
        raise UsageError(f"{uri} must be a deployment.json with a sample: {error}.") from error


def compare(runtime: Any, endpoint: str, contract: Contract) -> Answers:
    """Send every payload and hold each answer against the expected one."""
    compared = []
    for content_type, body in contract.payloads.items():
        began = time.perf_counter()
        answer = runtime.invoke_endpoint(
            EndpointName=endpoint, ContentType=content_type, Accept=_JSON, Body=body.encode()
        )
        content = answer["Body"].read()
        milliseconds = (time.perf_counter() - began) * 1000
        predictions = json.loads(content)["predictions"]
        if len(predictions) != len(contract.expected):
            raise ExecutionFailedError(
                f"The endpoint must answer {len(contract.expected)} rows of {content_type} with as "
                f"many predictions, not {len(predictions)}."
            )
        differences = [
            abs(found["score"] - wanted["score"])
            for found, wanted in zip(predictions, contract.expected, strict=True)
        ]
        wrong = sum(
            difference > contract.tolerance or found["predicted_label"] != wanted["predicted_label"]
            for difference, found, wanted in zip(
                differences, predictions, contract.expected, strict=True
            )
        )
        compared.append(
            Compared(content_type, milliseconds, max(differences), wrong, len(predictions))
        )
    return Answers(tuple(compared), contract.tolerance)
