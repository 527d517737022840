"""A stage as its callers meet it: over HTTP, with bad input, in a browser, while versions change.

Bad versions come last; each is taken back, so that the first good one serves from then on.
"""

import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
import urllib3
from bad_payloads import BAD, BadPayload
from command_line import ROOT, Answer
from handlers import EVERY_TENTH, HANGS, SLOWER
from load import Load, Payload, Request, api_caller, outage, tell
from runs import Project
from stage import some_rows
from stage_line import Stages

from deploy_endpoint.api import reading
from localcloud.testing import localcloud

pytestmark = [pytest.mark.alone, pytest.mark.integration]

STAGE = "trial"
CANARY = "canary"
ROWS = 30
SECONDS = 10
# The stage's own throttling would answer before what is looked at does.
OPEN = {"requests_per_second": 10_000, "burst": 5_000}
BROWSER_TESTS = (
    "test_the_token_is_asked_for_once_and_kept_in_this_tab_only",
    "test_an_example_gets_the_answer_that_it_must_get",
    "test_an_error_stands_at_the_field_that_caused_it",
    "test_a_csv_gets_a_table_and_a_file_with_scores",
    "test_copy_as_curl_gives_a_command_without_the_token",
)


@dataclass(frozen=True)
class Served:
    """A stage that `deploy` made: where its API is, and what opens it."""

    stages: Stages
    stage: str
    name: str
    url: str
    token: str
    payloads: list[Payload]

    @cached_property
    def pool(self) -> urllib3.PoolManager:
        return urllib3.PoolManager(maxsize=8, timeout=35, retries=False)

    def post(
        self, body: bytes, content_type: str, authorization: str | None = "", **headers: str
    ) -> urllib3.BaseHTTPResponse:
        """POST /predict with the token, or with another header, or with none."""
        sent = {"Content-Type": content_type, **headers}
        if authorization is not None:
            sent["Authorization"] = authorization or f"Bearer {self.token}"
        return self.pool.request("POST", f"{self.url}/predict", body=body, headers=sent)

    def load(self) -> Load:
        return Load(api_caller(self.url, self.token), self.payloads, clients=2, pause=0.03)

    def calm(self) -> list[Any]:
        """What each payload is answered when nothing else goes on."""
        answers = [self.post(each.body, each.content_type) for each in self.payloads]
        assert {each.status for each in answers} == {200}, answers[0].data
        return [predictions(each.data) for each in answers]

    def check_sample(self, version: int) -> None:
        """The API answers the sample of this version as its deployment.json says."""
        account = self.stages.account
        (package,) = [
            each for arn, each in account.registry().items() if arn.endswith(f"/{version}")
        ]
        uri = package["CustomerMetadataProperties"]["DeploymentUri"]
        sample = json.loads(account.read(uri))["sample"]
        wanted = [each["score"] for each in sample["expected"]]
        for content_type, text in sample["payloads"].items():
            answer = self.post(text.encode(), content_type)
            assert answer.status == 200, answer.data
            scores = [each["score"] for each in predictions(answer.data)]
            assert scores == pytest.approx(wanted, abs=sample["tolerance"])


def predictions(body: bytes) -> Any:
    return json.loads(body)["predictions"]


@pytest.fixture(scope="module")
def stages(data_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stages]:
    with localcloud(tmp_path_factory.mktemp("cloud") / "state") as cloud:
        project = Project(cloud, data_folder, tmp_path_factory.mktemp("outcomes"))
        assert project.command("bootstrap").code == 0
        yield Stages(project, tmp_path_factory.mktemp("stages"))


@pytest.fixture(scope="module")
def versions(stages: Stages) -> tuple[int, int]:
    """Two approved versions, of two real runs, that score differently."""
    runs = [
        stages.project.run(),
        stages.project.run("--parameter", "MaxDepth=3", "--parameter", "Eta=0.3"),
    ]
    for each in runs:
        stages.approve(each.version)
    return runs[0].version, runs[1].version


@pytest.fixture(scope="module")
def served(stages: Stages, versions: tuple[int, int], data_folder: Path) -> Served:
    """A stage with the first version."""
    stages.write(STAGE, api=OPEN)
    return deployed(stages, STAGE, versions[0], data_folder)


def deployed(stages: Stages, stage: str, version: int, rows: Path) -> Served:
    output = stages.folder / f"{stage}.out"
    answer = stages("deploy", "--stage", stage, "--package", str(version), "--output", str(output))
    assert answer.code == 0, answer.text
    told = json.loads(output.read_text())
    secret = stages.account.client("secretsmanager").get_secret_value(
        SecretId=told["token_secret_arn"]
    )
    return Served(
        stages,
        stage,
        f"predictive-maintenance-{stage}",
        told["api_url"],
        secret["SecretString"],
        some_rows(rows, ROWS),
    )


def test_no_bad_input_gets_a_score_or_a_server_error(
    served: Served, versions: tuple[int, int]
) -> None:
    """Each is answered with the status that says what is wrong, in words, and soon."""

    def send(bad: BadPayload) -> tuple[int, float, str]:
        began = time.monotonic()
        answer = served.post(bad.body, bad.content_type, Accept=bad.accept)
        seconds = time.monotonic() - began
        wanted = 413 if len(bad.body) > reading.MAX_BYTES else bad.status
        document = json.loads(answer.data)
        words = document.get("error", document)["message"]
        rightly = answer.status == wanted and words and "predictions" not in document
        return answer.status, seconds, "" if rightly else f"{bad.name}: {answer.data[:300]!r}"

    assert len(BAD) >= 200
    with ThreadPoolExecutor(4) as pool:
        cold = time.monotonic()  # the functions' processes start with their first events
        list(pool.map(lambda each: served.post(each.body, each.content_type), served.payloads))
        began = time.monotonic()
        answers = list(pool.map(send, BAD))
    tell(
        "bad input over HTTP",
        {
            "first good ones s": began - cold,
            "sent": len(BAD),
            "s": time.monotonic() - began,
            "slowest s": max(seconds for _, seconds, _ in answers),
            "answers": dict(Counter(status for status, _, _ in answers)),
        },
    )
    assert [wrong for *_, wrong in answers if wrong] == []
    assert max(seconds for _, seconds, _ in answers) < SECONDS
    served.check_sample(versions[0])


def test_a_body_that_is_too_large_for_the_gateway_is_told(served: Served) -> None:
    answer = served.post(b"0" * (10 * 1024 * 1024 + 1), "text/csv")
    assert (answer.status, json.loads(answer.data)) == (
        413,
        {"message": "Request Entity Too Large"},
    )


def test_only_the_token_opens_the_stage(served: Served, versions: tuple[int, int]) -> None:
    token, payload = served.token, served.payloads[1]
    for header, status in {
        None: 401,
        "Bearer": 403,
        token: 403,
        f"Basic {token}": 403,
        f"Bearer {token[:-1]}": 403,
        f"Bearer {token[:8]}": 403,
        f"Bearer {token}x": 403,
        f"Bearer {token.swapcase()}": 403,
        f"Bearer {token}, Bearer {token}": 403,
        f"Bearer {'a' * 5000}": 403,
        "Bearer null": 403,
        f"Bearer {token}": 200,
    }.items():
        answer = served.post(payload.body, payload.content_type, header)
        shown = header and header.replace(token, "TOKEN")
        assert answer.status == status, (shown, answer.data)
        assert ("predictions" in json.loads(answer.data)) == (status == 200)
        assert status == 200 or json.loads(answer.data)["message"]
    served.check_sample(versions[0])


def led_to(served: Served, module: str, names: Sequence[str], report: Path) -> ET.Element:
    """Run tests of a module on this stage; gives what they tell."""
    words = [f"tests/deploy_endpoint/{module}::{name}" for name in names]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", f"--junitxml={report}", *words],
        cwd=ROOT,
        env={**os.environ, "STAGE_URL": served.url, "STAGE_TOKEN": served.token},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr
    (suite,) = ET.parse(report).getroot().iter("testsuite")  # noqa: S314 - we wrote it
    assert int(suite.attrib["tests"]) == len(names)
    return suite


def test_the_specification_is_true_of_a_stage(served: Served, tmp_path: Path) -> None:
    """Schemathesis, through the HTTP API with its authorizer and its limits."""
    name = "test_schemathesis_finds_nothing_untrue"
    suite = led_to(served, "test_api_openapi.py", [name], tmp_path / "specification.xml")
    tell("schemathesis on a stage", {"s": float(suite.attrib["time"])})


def test_the_page_works_in_a_browser(served: Served, tmp_path: Path) -> None:
    """The page's own tests, led to this stage."""
    suite = led_to(served, "test_page.py", BROWSER_TESTS, tmp_path / "page.xml")
    skipped = [each.attrib["message"] for each in suite.iter("skipped")]
    if skipped:
        pytest.skip(skipped[0])
    tell("in a browser", {"tests": len(BROWSER_TESTS), "s": float(suite.attrib["time"])})


@dataclass(frozen=True)
class Outcome:
    """A roll-out under load: what the command said, after how long, what callers were answered."""

    answer: Answer
    seconds: float
    load: Load

    def told(self) -> dict[str, object]:
        requests = self.load.requests
        return {
            "requests": len(requests),
            "not answered": dict(Counter(each.error for each in self.load.lost)),
            "command s": self.seconds,
            "longest gap ms": 1000 * outage(requests),
            "slowest ms": 1000 * max(each.ended - each.began for each in requests),
        }


def roll_out(served: Served, *words: str, beside: bool = False) -> Outcome:
    """Run the command while callers go on asking, before, meanwhile and afterwards."""
    run = served.stages.process if beside else served.stages
    with served.load() as running:
        running.await_answers(20)
        began = time.monotonic()
        answer = run(*words, "--stage", served.stage)
        seconds = time.monotonic() - began
        running.await_answers(20)
    return Outcome(answer, seconds, running)


def not_of(answers: Sequence[Any], requests: Sequence[Request]) -> list[Request]:
    """The requests with an answer other than this version's."""
    return [
        each
        for each in requests
        if each.answer is not None and predictions(each.answer) != answers[each.payload]
    ]


def test_a_good_update_and_the_way_back_lose_no_request(
    served: Served, versions: tuple[int, int]
) -> None:
    """Each caller has the old version's answers, then the new one's; the same on the way back."""
    old, new = versions
    before = served.calm()
    there = roll_out(served, "deploy", "--package", str(new))
    after = served.calm()
    back = roll_out(served, "rollback")
    tell("a good update under load", there.told())
    tell("the way back under load", back.told())
    for outcome, start, end in ((there, before, after), (back, after, before)):
        assert outcome.answer.code == 0, outcome.answer.text
        assert outcome.load.lost == []
        for client in outcome.load.by_client:
            differing = [each for each in client if start[each.payload] != end[each.payload]]
            arrived = [not_of(start, [each]) != [] for each in differing]
            assert arrived == sorted(arrived)
            assert set(arrived) == {False, True}
            assert not_of(end, [each for each in differing if not_of(start, [each])]) == []
    assert sum(one != other for one, other in zip(before, after, strict=True)) > ROWS / 2
    assert served.stages.live(served.name) == ("InService", old)
    served.check_sample(old)


def test_a_version_that_crashes_at_its_start_is_noticed_by_no_caller(
    served: Served, versions: tuple[int, int]
) -> None:
    answers = served.calm()
    bad = served.stages.crashing_version(versions[0])
    try:
        outcome = roll_out(served, "deploy", "--package", str(bad))
    finally:
        served.stages.project.command("reject", str(bad), "--note", "broken")
    tell("crashes at its start", outcome.told())
    check_taken_back(served, outcome, versions[0])
    assert "Endpoint UPDATE_FAILED" in outcome.answer.err
    assert "the model is broken on purpose" in outcome.answer.err
    assert outcome.load.lost == []
    assert not_of(answers, outcome.load.requests) == []


def test_a_stage_of_one_instance_becomes_one_with_canaries_and_loses_no_request(
    served: Served, versions: tuple[int, int]
) -> None:
    """For a while both versions answer, then the new one only. Production is made like this."""
    stages, new = served.stages, versions[1]
    before = served.calm()
    stages.write(
        STAGE,
        "production",
        rollout={"bake_seconds": 61},
        alarms={"evaluations": 1},
        api=OPEN,
    )
    outcome = roll_out(served, "deploy", "--package", str(new))
    after = served.calm()
    tell("a good canary from one instance under load", outcome.told())
    assert outcome.answer.code == 0, outcome.answer.text
    assert "Instances  from 1 to 2, the stage's minimum" in outcome.answer.out
    assert outcome.load.lost == []
    assert stages.live(served.name) == ("InService", new)
    met = [
        predictions(each.answer) == after[each.payload]
        for each in outcome.load.requests
        if before[each.payload] != after[each.payload]
    ]
    assert set(met) == {False, True}
    mixed = met[met.index(True) : len(met) - met[::-1].index(False)]
    assert 0.3 < sum(mixed) / len(mixed) < 0.7
    served.check_sample(new)
    answer = stages("smoke-test", "--stage", STAGE)
    assert answer.code == 0, answer.text


def test_a_canary_that_fails_is_taken_back_by_its_alarm(
    served: Served, versions: tuple[int, int], data_folder: Path
) -> None:
    """Half of the requests meet the new fleet; its errors are an alarm, and the alarm ends it."""
    stages = served.stages
    assert stages("destroy", "--stage", STAGE, "--captured-data").code == 0
    assert stages.left(served.name) == {}
    stages.write(
        CANARY,
        "production",
        rollout={"bake_seconds": 150},
        alarms={"evaluations": 1, "server_errors": 1},
        api=OPEN,
    )
    canary = deployed(stages, CANARY, versions[0], data_folder)
    answers = canary.calm()
    bad = stages.failing_version(versions[0])
    try:
        outcome = roll_out(canary, "deploy", "--package", str(bad))
    finally:
        stages.project.command("reject", str(bad), "--note", "fails")
    requests, lost = outcome.load.requests, outcome.load.lost
    tell("a canary that answers 5xx", outcome.told())
    check_taken_back(canary, outcome, versions[0])
    assert "fleet-errors" in outcome.answer.err
    assert {each.error for each in lost} == {"502 The model failed on this request."}
    met = [each for each in requests if lost[0].began <= each.began <= lost[-1].began]
    assert 0.3 < len(lost) / len(met) < 0.7
    assert not_of(answers, requests) == []
    assert outage(requests) < 5
    assert [each for each in requests if each.began > lost[-1].ended][20:]
    canary.check_sample(versions[0])
    assert stages("destroy", "--stage", CANARY, "--captured-data").code == 0
    assert stages.left(canary.name) == {}


# What ends the handler of a bad version, what the command says of it, what its alarm allows.
SPOILT = {
    "hangs": (HANGS, "did not answer GET /ping with 200 within", 5000),
    "tenth": (EVERY_TENTH, "fleet-errors", 5000),
    "slows": (SLOWER.format(seconds=0.1), "fleet-latency", 50),
}


def test_versions_that_hang_or_slow_down_or_fail_at_times_are_taken_back(
    stages: Stages, versions: tuple[int, int], data_folder: Path
) -> None:
    """Three stages at the same time, each under load."""
    served, bad = {}, {}
    for what, (code, _, milliseconds) in SPOILT.items():
        stages.write(
            what,
            "production",
            rollout={"bake_seconds": 150},
            alarms={"evaluations": 1, "server_errors": 1, "latency_milliseconds": milliseconds},
            api=OPEN,
        )
        served[what] = deployed(stages, what, versions[0], data_folder)
        bad[what] = stages.spoilt_version(versions[0], what, code)
    answers = {what: each.calm() for what, each in served.items()}
    with ThreadPoolExecutor(len(SPOILT)) as pool:
        waiting = {
            what: pool.submit(roll_out, each, "deploy", "--package", str(bad[what]), beside=True)
            for what, each in served.items()
        }
        outcomes = {what: each.result() for what, each in waiting.items()}
    for what, outcome in outcomes.items():
        tell(f"a version that {what}", outcome.told())
        check_taken_back(served[what], outcome, versions[0])
        assert SPOILT[what][1] in outcome.answer.err
        assert not_of(answers[what], outcome.load.requests) == []
        errors = {each.error for each in outcome.load.lost}
        assert errors == ({"502 The model failed on this request."} if what == "tenth" else set())
    for what, each in served.items():
        stages.project.command("reject", str(bad[what]), "--note", what)
        assert stages("destroy", "--stage", what, "--captured-data").code == 0
        assert stages.left(each.name) == {}


def check_taken_back(served: Served, outcome: Outcome, version: int) -> None:
    """The command is no success and says what serves; the API describes what serves."""
    assert outcome.answer.code == 4, outcome.answer.text
    assert f"InService with version {version}" in outcome.answer.err
    assert served.stages.live(served.name) == ("InService", version)
    answered = [json.loads(each.answer) for each in outcome.load.requests if each.answer]
    assert {str(each["model_version"]) for each in answered} == {str(version)}
