"""The smoke test finds what is not as the package says, and tells it as a failed check."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from botocore.exceptions import ClientError
from scripted import CONFIG, workspace

from deploy_endpoint import configuration, live, package, smoke_test, stack
from deploy_endpoint.errors import SmokeTestError
from deploy_endpoint.web_client import Answer

GOOD: dict[str, Any] = {
    "/health": {"healthy": True, "model_version": "2"},
    "/schema": {"model_version": "2", "label": "failure", "threshold": 0.5, "columns": []},
    "/predict": {"model_version": "2", "predictions": [{"score": 0.25, "predicted_label": 0}]},
}
CONTRACT: dict[str, Any] = {
    "label": "failure",
    "threshold": 0.5,
    "columns": [],
    "sample": {
        "payloads": {"text/csv": "1\n", "application/json": "{}"},
        "expected": [{"score": 0.25, "predicted_label": 0}],
        "tolerance": 0.01,
    },
}
SERVES = "the endpoint serves the version that was asked for"
CONFIGURED = "the live configuration is the stage's file"
HEALTH = "/health answers for this version"
SCHEMA = "/schema describes this version"
PREDICTS = {
    f"/predict answers the sample as expected, {kind}" for kind in ("text/csv", "application/json")
}


class Api:
    """Answers as a stage does."""

    def __init__(self, answers: dict[str, Any]) -> None:
        self.answers = answers

    def get(self, path: str, token: object = "right") -> Answer:  # noqa: S107
        if path == "/":
            return Answer(200, b"", "text/html")
        return self._answer(path, token)

    def post(self, path: str, body: str, content_type: str, token: object = "right") -> Answer:  # noqa: S107
        if body.startswith("not"):
            return Answer(400, b"{}", "application/json")
        return self._answer(path, token)

    def _answer(self, path: str, token: object) -> Answer:
        status = {"right": 200, None: 401}.get(token, 403)  # type: ignore[call-overload]
        return Answer(status, json.dumps(self.answers[path]).encode(), "application/json")


@pytest.fixture
def failed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., dict[str, str]]:
    """Run the smoke test; gives why each check failed that did, as its JUnit file has it."""
    arn = "arn:aws:sagemaker:x:1:model-package/group/2"
    outputs = {
        "ModelPackageArn": arn,
        "ApiId": "api",
        "ApiUrl": "http://api",
        "EndpointConfigName": CONFIG,
    }
    made = stack.Stack(
        {
            "StackName": "s",
            "Outputs": [{"OutputKey": k, "OutputValue": v} for k, v in outputs.items()],
        }
    )
    monkeypatch.setattr(stack, "read", lambda *_: made)
    monkeypatch.setattr(package, "describe", lambda *_: package.Package({"ModelPackageArn": arn}))
    monkeypatch.setattr(package, "contract", lambda *_: CONTRACT)
    monkeypatch.setattr(configuration, "differences", lambda *_: iter(()))

    def run(path: str = "", **changes: Any) -> dict[str, str]:
        answers = {
            name: {**each, **changes} if name == path else each for name, each in GOOD.items()
        }
        monkeypatch.setattr(smoke_test, "WebClient", lambda *_: Api(answers))
        report = tmp_path / "smoke.xml"
        code = 0
        try:
            smoke_test.command(workspace("InService"), stage_name="staging", junit_file=report)
        except SmokeTestError as error:
            code = error.exit_code
        suite = ET.parse(report).getroot()  # noqa: S314 - we wrote it
        found = {
            case.attrib["name"]: each.attrib["message"]
            for case in suite.iter("testcase")
            for each in case.iter("failure")
        }
        assert code == (3 if found else 0)
        return found

    return run


def test_a_stage_as_it_must_be_passes(failed: Any) -> None:
    assert failed() == {}


def test_another_score_or_label_fails(failed: Any) -> None:
    for score, label, told in (
        (0.27, 0, "score of row 1 must be 0.25 within 0.01, not 0.27"),
        (float("nan"), 0, "score of row 1 must be 0.25 within 0.01, not nan"),
        (0.25, 1, "predicted_label of row 1 must be 0, not 1"),
    ):
        found = failed("/predict", predictions=[{"score": score, "predicted_label": label}])
        assert found == dict.fromkeys(PREDICTS, told)


@pytest.mark.parametrize(
    ("path", "names"), [("/health", {HEALTH}), ("/schema", {SCHEMA}), ("/predict", PREDICTS)]
)
def test_another_version_fails_wherever_it_is_told(failed: Any, path: str, names: set[str]) -> None:
    found = failed(path, model_version="1")
    assert set(found) == names
    assert all("'1'" in told for told in found.values())


@pytest.mark.parametrize(
    "answer", [{"predictions": [7]}, {"predictions": None}, {"predictions": {}}]
)
def test_an_answer_of_another_form_fails(failed: Any, answer: dict[str, Any]) -> None:
    assert set(failed("/predict", **answer)) == PREDICTS


def test_an_error_of_aws_inside_a_check_is_a_failed_check(
    failed: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> Any:
        raise ClientError({"Error": {"Code": "AccessDeniedException", "Message": "no"}}, "GetStage")

    monkeypatch.setattr(configuration, "differences", refused)
    assert "AWS did not accept GetStage" in failed()[CONFIGURED]
    monkeypatch.setattr(live, "read", refused)
    assert set(failed()) == {SERVES, CONFIGURED}
