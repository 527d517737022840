"""The smoke test: a stage asked through its public API, and its live configuration looked at.

What the answers must be, the package itself says: its sample payload, in `deployment.json`.
"""

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from deploy_endpoint import configuration, junit, live, package, stack, stage
from deploy_endpoint.clients import Workspace
from deploy_endpoint.errors import DeployError, SmokeTestError, UsageError, translated
from deploy_endpoint.junit import Outcome
from deploy_endpoint.package import Package
from deploy_endpoint.stack import Stack
from deploy_endpoint.stage import Stage
from deploy_endpoint.terminal import seconds
from deploy_endpoint.web_client import Answer, WebClient

CSV: Final = "text/csv"
JSON: Final = "application/json"
_REQUESTS: Final = 20


class Failed(Exception):  # noqa: N818 - reads as the outcome of a check
    """A check found something else than what must be."""


@dataclass(frozen=True)
class Subject:
    """What is tested, and what must be."""

    workspace: Workspace
    stage: Stage
    stack: Stack
    package: Package
    contract: dict[str, Any]
    api: WebClient

    @property
    def sample(self) -> dict[str, Any]:
        """The package's sample: payloads by content type, expected answers, tolerance."""
        found: dict[str, Any] = self.contract["sample"]
        return found


def command(workspace: Workspace, *, stage_name: str, junit_file: Path | None) -> int:
    """Run every check and tell its outcome. Raises SmokeTestError if one failed."""
    found = stage.read(stage_name)
    made = stack.read(workspace, found.name)
    if made is None or not made.outputs:
        raise UsageError(f"There is no stage {found.name}; `deploy` makes it.")
    served = package.describe(workspace, made.outputs["ModelPackageArn"])
    contract = package.contract(workspace, served)
    api = WebClient(made.outputs["ApiUrl"], _token(workspace, made))
    subject = Subject(workspace, found, made, served, contract, api)
    terminal, outcomes = workspace.terminal, []
    for name, check in checks(subject):
        outcome = _run(name, check)
        outcomes.append(outcome)
        word = "FAILED" if outcome.failure else "ok"
        line = f"{word:<7} {name}  {seconds(outcome.seconds)}"
        terminal.write(terminal.paint(line, "bad" if outcome.failure else "good"))
        if outcome.failure:
            terminal.write(f"        {outcome.failure}")
    if junit_file is not None:
        junit.write(junit_file, f"smoke-test {found.name}", outcomes)
    failed = [each for each in outcomes if each.failure]
    if failed:
        raise SmokeTestError(f"{len(failed)} of {len(outcomes)} checks of {found.name} failed.")
    terminal.write(f"All {len(outcomes)} checks of {found.name} passed.")
    return 0


def checks(subject: Subject) -> Iterator[tuple[str, Callable[[], None]]]:
    """Yield every check by its name; one that fails raises Failed or DeployError."""
    yield "the endpoint serves the version that was asked for", lambda: _serves(subject)
    yield "the live configuration is the stage's file", lambda: _configuration(subject)
    yield "/health answers for this version", lambda: _health(subject)
    yield "/schema describes this version", lambda: _schema(subject)
    yield f"/predict answers the sample as expected, {CSV}", lambda: _predict(subject, CSV)
    yield f"/predict answers the sample as expected, {JSON}", lambda: _predict(subject, JSON)
    yield "/predict refuses a row that is none", lambda: _bad_row(subject)
    yield "the page is there", lambda: _page(subject)
    if subject.stage.api.authentication == "token":
        yield "a request without a token is refused", lambda: _refused(subject, None, 401)
        yield "a request with a wrong token is refused", lambda: _refused(subject, "wrong", 403)
    yield f"{_REQUESTS} requests are as fast as the alarm wants", lambda: _latency(subject)


def _serves(subject: Subject) -> None:
    found = live.read(subject.workspace, subject.stage.name)
    if found is None:
        raise Failed(f"there is no endpoint {subject.stage.name}")
    live.check(found, subject.stack.outputs["EndpointConfigName"], subject.package.arn)


def _configuration(subject: Subject) -> None:
    found = list(
        configuration.differences(subject.workspace, subject.stage, subject.stack.outputs["ApiId"])
    )
    if found:
        raise Failed("; ".join(found))


def _health(subject: Subject) -> None:
    answer = _json(subject.api.get("/health"))
    told = (answer.get("healthy"), answer.get("model_version"))
    _equal("healthy and model_version", told, (True, str(subject.package.version)))


def _schema(subject: Subject) -> None:
    answer = _json(subject.api.get("/schema"))
    _equal("model_version", answer.get("model_version"), str(subject.package.version))
    for key in ("label", "threshold"):
        _equal(key, answer.get(key), subject.contract[key])
    told = [each.get("name") for each in answer.get("columns", [])]
    _equal("columns", told, [each["name"] for each in subject.contract["columns"]])


def _predict(subject: Subject, kind: str) -> None:
    sample = subject.sample
    answer = _json(subject.api.post("/predict", sample["payloads"][kind], kind))
    _equal("model_version", answer.get("model_version"), str(subject.package.version))
    told, expected = answer.get("predictions", []), sample["expected"]
    _equal("number of answers", len(told), len(expected))
    for row, (one, other) in enumerate(zip(told, expected, strict=True), start=1):
        _equal(f"predicted_label of row {row}", one["predicted_label"], other["predicted_label"])
        if not abs(one["score"] - other["score"]) <= sample["tolerance"]:
            raise Failed(
                f"score of row {row} must be {other['score']} within {sample['tolerance']}, "
                f"not {one['score']}"
            )


def _bad_row(subject: Subject) -> None:
    _status(subject.api.post("/predict", "not,a,row\n", CSV), 400)


def _page(subject: Subject) -> None:
    answer = subject.api.get("/", token=None)
    _status(answer, 200)
    _equal("content type", answer.content_type.partition(";")[0], "text/html")


def _refused(subject: Subject, token: str | None, status: int) -> None:
    payload = subject.sample["payloads"][CSV]
    for path in ("/health", "/schema"):
        _status(subject.api.get(path, token=token), status)
    _status(subject.api.post("/predict", payload, CSV, token=token), status)


def _latency(subject: Subject) -> None:
    payload = subject.sample["payloads"][CSV]
    taken = []
    for _ in range(_REQUESTS):
        started = time.perf_counter()
        _status(subject.api.post("/predict", payload, CSV), 200)
        taken.append((time.perf_counter() - started) * 1000)
    middle, limit = sorted(taken)[_REQUESTS // 2], subject.stage.alarms.latency_milliseconds
    if middle > limit:
        raise Failed(f"the median must be at most {limit} ms, not {middle:.0f} ms")


def _run(name: str, check: Callable[[], None]) -> Outcome:
    started, failure = time.perf_counter(), None
    try:
        with translated():
            check()
    except (Failed, DeployError) as error:
        failure = str(error)
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        failure = f"the answer has not the form that it must have: {error!r}"
    return Outcome(name, time.perf_counter() - started, failure)


def _token(workspace: Workspace, made: Stack) -> str | None:
    secret = made.outputs.get("TokenSecretArn")
    return None if secret is None else workspace.secret(secret)


def _json(answer: Answer) -> dict[str, Any]:
    _status(answer, 200)
    try:
        found = json.loads(answer.body)
    except ValueError as error:
        raise Failed(f"the answer must be JSON: {error}") from error
    if not isinstance(found, dict):
        raise Failed(f"the answer must be an object, not a {type(found).__name__}")
    return found


def _status(answer: Answer, wanted: int) -> None:
    if answer.status != wanted:
        said = answer.body.decode(errors="replace")[:300]
        raise Failed(f"the status must be {wanted}, not {answer.status}: {said}")


def _equal(what: str, told: Any, wanted: Any) -> None:
    if told != wanted:
        raise Failed(f"{what} must be {wanted!r}, not {told!r}")
