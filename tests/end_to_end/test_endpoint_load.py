"""Endpoints of the template's own package under steady load: what users see when things change.

The cases that wait for something run beside each other; those that kill come last.
"""

import collections
import contextlib
import dataclasses
import http.client
import json
import os
import signal
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from bad_payloads import BAD, BadPayload
from botocore.exceptions import ClientError
from command_line import Answer
from handlers import EVERY_TENTH, HANGS, SLOWER
from load import Load, Payload, Request, outage, tell, wait_until
from runs import Project
from stage import BUCKET, Stage, canary, some_rows
from test_survival import field

from localcloud.addresses import HOST
from localcloud.testing import localcloud

pytestmark = [pytest.mark.alone, pytest.mark.integration]

ROWS = 60
SERVED = "predictive-maintenance-serve"
CRASHES = "raise RuntimeError('no model today')\n"


@pytest.fixture(scope="module")
def stage(data_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with localcloud(tmp_path_factory.mktemp("load") / "state") as cloud:
        project = Project(cloud, data_folder, tmp_path_factory.mktemp("outcomes"))
        answer = project.command.process("bootstrap")
        assert answer.code == 0, answer.text
        yield Stage(cloud, project)


@dataclass(frozen=True)
class Versions:
    """Two good versions, and what each answers to the payloads when nothing else goes on."""

    old: str
    new: str
    payloads: list[Payload]
    answers: Mapping[str, list[bytes]]

    def of(self, request: Request) -> str:
        """The version that gave an answer, which must be one of the two, bit for bit."""
        found = [
            name
            for name, answers in self.answers.items()
            if answers[request.payload] == request.answer
        ]
        assert len(found) == 1, request
        return found[0]

    def seen(self, requests: Sequence[Request]) -> list[str]:
        """The versions that gave the answers among these, in their order."""
        return [self.of(each) for each in requests if each.answer is not None]


@pytest.fixture(scope="module")
def versions(stage: Stage, data_folder: Path) -> Versions:
    """Registered by two real runs. Their configurations, of two instances, are `old` and `new`."""
    old = stage.approved()
    new = stage.approved("--parameter", "MaxDepth=3", "--parameter", "Eta=0.3")
    payloads = some_rows(data_folder, ROWS)
    answers = {}
    for name, arn in (("old", old), ("new", new)):
        stage.config(name, arn, count=2)
        stage.endpoint(f"calm-{name}", name)
        answers[name] = [stage.ask(f"calm-{name}", each) for each in payloads]
        _check_sample(stage, f"calm-{name}", arn)
        stage.sagemaker.delete_endpoint(EndpointName=f"calm-{name}")
    differing = [
        number
        for number, (one, other) in enumerate(zip(*answers.values(), strict=True))
        if one != other
    ]
    assert len(differing) > ROWS / 2
    return Versions(
        old,
        new,
        [payloads[number] for number in differing],
        {name: [texts[number] for number in differing] for name, texts in answers.items()},
    )


def _check_sample(stage: Stage, endpoint: str, arn: str) -> None:
    """The endpoint answers the version's sample payload as its deployment.json says."""
    sample = stage.contract(arn)
    for content_type, text in sample["payloads"].items():
        answer = json.loads(stage.ask(endpoint, Payload(content_type, text.encode())))
        scores = [each["score"] for each in answer["predictions"]]
        wanted = [each["score"] for each in sample["expected"]]
        assert scores == pytest.approx(wanted, abs=sample["tolerance"])


@dataclass(frozen=True)
class Outcome:
    """A bad version's update: what clients saw, how the endpoint ended, after how many seconds."""

    load: Load
    described: Mapping[str, Any]
    seconds: float
    answer: Answer | None = None

    def told(self) -> dict[str, object]:
        requests = self.load.requests
        errors = collections.Counter(each.error for each in self.load.lost)
        slowest = max(each.ended - each.began for each in requests)
        return {
            "requests": len(requests),
            "lost": dict(errors),
            "slowest s": slowest,
            "settled after s": self.seconds,
        }


@pytest.fixture(scope="module")
def updates(stage: Stage, versions: Versions) -> Iterator[Mapping[str, Future[Outcome]]]:
    """Updates to bad versions that all go on at once, each under load on its own endpoint."""

    def load(endpoint: str, pause: float) -> Load:
        return stage.load(endpoint, versions.payloads, pause=pause)

    def crashes() -> Outcome:
        version = stage.spoilt(versions.old, "crashes", CRASHES).rpartition("/")[2]
        good = stage.project.command.process("serve", versions.old.rpartition("/")[2])
        assert good.code == 0, good.text
        with load(SERVED, 0.05) as running:
            running.await_answers(50)
            began = time.monotonic()
            answer = stage.project.command.process("serve", version)
            seconds = time.monotonic() - began
            running.await_answers(50)
        return Outcome(running, stage.describe(SERVED), seconds, answer)

    def hangs() -> Outcome:
        arn = stage.spoilt(versions.old, "hangs", HANGS)
        stage.config("hangs", arn, ContainerStartupHealthCheckTimeoutInSeconds=60)
        return update("hangs", 0.4)

    def fails() -> Outcome:
        arn = stage.spoilt(versions.old, "fails", EVERY_TENTH)
        stage.config("fails", arn, count=2)
        alarm = stage.alarm("fails", "fails", "Invocation5XXErrors", 0.02, Statistic="Average")
        return update("fails", 0.05, DeploymentConfig=canary(60, alarm))

    def slows() -> Outcome:
        stage.endpoint("measured", "old")
        with load("measured", 0.05) as running:
            running.await_answers(300)
        wait_until(lambda: stage.metric("measured", "Invocations")["Sum"] >= 300)
        usual = stage.latency("measured", "old")
        stage.sagemaker.delete_endpoint(EndpointName="measured")
        arn = stage.spoilt(versions.old, "slows", SLOWER.format(seconds=9 * usual / 1e6))
        stage.config("slows", arn, count=2)
        tell("ModelLatency of the old version", {"p90 ms": usual / 1e3})
        alarms = [
            stage.alarm("slows", "slows", "ModelLatency", 5 * usual, ExtendedStatistic="p90"),
            stage.alarm("slows", "slows", "Invocation5XXErrors", 0.02, Statistic="Average"),
        ]
        return update("slows", 0.05, DeploymentConfig=canary(60, *alarms))

    def update(name: str, pause: float, **more: Any) -> Outcome:
        stage.endpoint(name, "old")
        with load(name, pause) as running:
            running.await_answers(50)
            began = time.monotonic()
            described = stage.update(name, name, **more)
            seconds = time.monotonic() - began
            running.await_answers(50)
        return Outcome(running, described, seconds)

    cases = {"crashes": crashes, "hangs": hangs, "fails": fails, "slows": slows}
    with ThreadPoolExecutor(len(cases)) as pool:
        yield {name: pool.submit(case) for name, case in cases.items()}


def test_a_version_that_crashes_at_its_start_is_told_and_noticed_by_nobody(
    updates: Mapping[str, Future[Outcome]], versions: Versions
) -> None:
    outcome = updates["crashes"].result()
    tell("crashes at its start, by `serve`", outcome.told())
    assert outcome.load.lost == []
    assert set(versions.seen(outcome.load.requests)) == {"old"}
    assert outcome.answer is not None
    assert outcome.answer.code == 4, outcome.answer.text
    assert "the update was rolled back" in outcome.answer.err
    assert "no model today" in outcome.answer.err
    assert outcome.described["EndpointStatus"] == "InService"
    number = versions.old.rpartition("/")[2]
    assert outcome.described["EndpointConfigName"] == f"{SERVED}-v{number}"
    assert "no model today" in outcome.described["FailureReason"]


def test_a_version_that_fails_on_a_tenth_is_rolled_back_by_its_alarm(
    updates: Mapping[str, Future[Outcome]], stage: Stage, versions: Versions
) -> None:
    outcome = updates["fails"].result()
    tell("fails on a tenth of the requests", outcome.told())
    _check_rolled_back(outcome, "fails-fails-Invocation5XXErrors is ALARM")
    lost = outcome.load.lost
    assert {each.error for each in lost} == {"ModelError 500"}
    assert set(versions.seen(outcome.load.requests)) == {"old"}  # it scores as the old one does
    wait_until(lambda: stage.metric("fails", "Invocations")["Sum"] == len(outcome.load.requests))
    new = stage.metric("fails", "Invocations", "fails")["Sum"]
    assert stage.metric("fails", "Invocation5XXErrors", "fails")["Sum"] == len(lost)
    assert len(lost) == pytest.approx(new / 10, abs=2)
    assert stage.metric("fails", "Invocation5XXErrors", "old")["Sum"] == 0
    after = [each for each in outcome.load.requests if each.began > lost[-1].ended]
    assert len(after) >= 50
    tell("of the requests", {"to the bad version": int(new), "after its last": len(after)})


def test_a_version_that_is_ten_times_slower_is_rolled_back_by_its_alarm(
    updates: Mapping[str, Future[Outcome]], stage: Stage, versions: Versions
) -> None:
    outcome = updates["slows"].result()
    tell("is ten times slower", outcome.told())
    _check_rolled_back(outcome, "slows-slows-ModelLatency is ALARM")
    tell(
        "ModelLatency, p90 in ms",
        {name: stage.latency("slows", name) / 1e3 for name in ("old", "slows")},
    )
    assert outcome.load.lost == []
    assert set(versions.seen(outcome.load.requests)) == {"old"}


def _check_rolled_back(outcome: Outcome, reason: str) -> None:
    """What asked for the update can learn that it failed, and why."""
    described = outcome.described
    assert (described["EndpointStatus"], described["EndpointConfigName"]) == ("InService", "old")
    assert described["FailureReason"].endswith(f"alarms: {reason}.")
    assert "PendingDeploymentSummary" not in described
    # Long before the canary's wait is over: the alarm needs a whole period, and its evaluation.
    assert outcome.seconds < 50


def test_updates_under_load_lose_no_request(stage: Stage, versions: Versions) -> None:
    """At once, then back by a canary under alarms that have no reason to ring."""
    endpoint = stage.endpoint("steady", "old")
    alarms = [stage.alarm(endpoint, "old", "Invocation5XXErrors", 0.02, Statistic="Average")]
    began = time.monotonic()
    with stage.load(endpoint, versions.payloads) as running:
        time.sleep(2)
        there = stage.update(endpoint, "new")
        running.await_answers(200)
        middle = time.monotonic()
        back = stage.update(endpoint, "old", DeploymentConfig=canary(13, *alarms))
        settled = time.monotonic()
        time.sleep(max(1.0, began + 20 - settled))
    requests = running.requests
    tell(
        "updates under load",
        {
            "requests": len(requests),
            "lost": len(running.lost),
            "at once s": middle - began - 2,
            "canary s": settled - middle,
            "longest gap ms": 1000 * outage(requests),
            "slowest ms": 1000 * max(each.ended - each.began for each in requests),
        },
    )
    assert running.lost == []
    assert (there["EndpointConfigName"], back["EndpointConfigName"]) == ("new", "old")
    assert "FailureReason" not in back
    for client in running.by_client:
        first = versions.seen([each for each in client if each.began < middle])
        assert first == sorted(first, key=("old", "new").index)
        assert set(first) == {"old", "new"}
        assert set(versions.seen([each for each in client if each.began > settled])) == {"old"}
    mixed = versions.seen([each for each in requests if middle < each.began < settled])
    assert 0.15 < mixed.count("old") / len(mixed) < 0.7
    wait_until(lambda: stage.metric(endpoint, "Invocations")["Sum"] == len(requests))
    by_config = [stage.metric(endpoint, "Invocations", config)["Sum"] for config in ("old", "new")]
    assert sum(by_config) == len(requests)
    assert stage.metric(endpoint, "InvocationModelErrors")["Sum"] == 0


def test_cloudwatch_counts_exactly_what_was_sent(stage: Stage, versions: Versions) -> None:
    config = stage.config("counted", stage.spoilt(versions.old, "counted", EVERY_TENTH))
    endpoint = stage.endpoint("counted", config)
    bad = [Payload("text/csv", b"X"), Payload("text/html", b"X")]
    began = time.monotonic()
    sent = [_status(stage, endpoint, each) for each in [*versions.payloads, *bad, *bad][-40:]]
    whole = 1e6 * (time.monotonic() - began)
    with pytest.raises(ClientError, match="was not found for endpoint"):  # the platform's own
        stage.runtime.invoke_endpoint(EndpointName=endpoint, Body=b"1", TargetVariant="other")
    assert collections.Counter(sent) == {200: 33, 500: 3, 400: 2, 415: 2}
    wait_until(lambda: stage.metric(endpoint, "Invocations")["Sum"] == 40)
    time.sleep(1.5)  # the second after the last one may bring nothing more
    for dimension in ("", config):
        for name, count in {
            "Invocations": 40,
            "Invocation4XXErrors": 4,
            "Invocation5XXErrors": 3,
            "InvocationModelErrors": 7,
        }.items():
            found = stage.metric(endpoint, name, dimension)
            assert (found["Sum"], found["SampleCount"]) == (count, 40), name
        model = stage.metric(endpoint, "ModelLatency", dimension)
        overhead = stage.metric(endpoint, "OverheadLatency", dimension)
        assert model["SampleCount"] == overhead["SampleCount"] == 40
        assert 40 * model["Minimum"] <= model["Sum"] <= 40 * model["Maximum"]
        assert model["Minimum"] > 0
        assert model["Sum"] + overhead["Sum"] < whole
        tell(
            "latencies",
            {
                "model ms": model["Sum"] / 40e3,
                "overhead ms": overhead["Sum"] / 40e3,
                "client ms": whole / 40e3,
            },
        )


def _status(stage: Stage, endpoint: str, payload: Payload) -> int:
    try:
        stage.ask(endpoint, payload)
    except ClientError as refusal:
        return int(refusal.response["OriginalStatusCode"])
    return 200


def test_no_bad_payload_gets_a_score_or_keeps_others_waiting(
    stage: Stage, versions: Versions
) -> None:
    """Each is the model's 4xx with its words, while others are answered rightly."""
    endpoint = stage.endpoint("picky", "old")

    def send(bad: BadPayload) -> tuple[str, object]:
        try:
            stage.runtime.invoke_endpoint(
                EndpointName=endpoint,
                ContentType=bad.content_type,
                Accept=bad.accept,
                Body=bad.body,
            )
        except ClientError as refusal:
            found = refusal.response
            told = (found["Error"]["Code"], found.get("OriginalStatusCode"))
            rightly = told == ("ModelError", bad.status) and bad.words in _reason(found)
            return bad.name, None if rightly else found
        return bad.name, "it has an answer"

    began = time.monotonic()
    with stage.load(endpoint, versions.payloads, clients=2, pause=0.02) as running:
        with ThreadPoolExecutor(4) as pool:
            wrongly = {name: why for name, why in pool.map(send, BAD) if why is not None}
        running.await_answers(20)
    tell(
        "bad payloads",
        {
            "sent": len(BAD),
            "answered wrongly": len(wrongly),
            "s": time.monotonic() - began,
            "good ones meanwhile": len(running.requests),
            "lost": len(running.lost),
            "slowest of these s": max(each.ended - each.began for each in running.requests),
        },
    )
    assert wrongly == {}
    assert running.lost == []
    assert set(versions.seen(running.requests)) == {"old"}
    _check_sample(stage, endpoint, versions.old)


def _reason(refusal: Mapping[str, Any]) -> str:
    return str(json.loads(refusal["OriginalMessage"])["error"])


@pytest.mark.parametrize("given", [{}, {"Content-Type": ""}, {"Accept": "text/csv"}])
def test_a_request_of_no_type_is_read_as_json_and_refused(
    stage: Stage, versions: Versions, given: dict[str, str]
) -> None:
    """It is csv, and the containers' own default is JSON; boto3 would always name a type."""
    endpoint = "picky"
    scope = "Credential=localcloud/20260101/us-east-1/sagemaker/aws4_request"
    body = versions.payloads[1].body
    connection = http.client.HTTPConnection(HOST, stage.cloud.address.data_port, timeout=30)
    with contextlib.closing(connection):
        connection.request(
            "POST",
            f"/endpoints/{endpoint}/invocations",
            body,
            {"Authorization": f"AWS4-HMAC-SHA256 {scope}", **given},
        )
        answer = connection.getresponse()
        refusal = json.loads(answer.read())
    assert (answer.status, refusal["OriginalStatusCode"]) == (424, 400)
    assert "must be JSON" in _reason(refusal)


def test_a_version_that_hangs_at_its_start_is_told_and_noticed_by_nobody(
    updates: Mapping[str, Future[Outcome]], versions: Versions
) -> None:
    outcome = updates["hangs"].result()
    tell("hangs at its start", outcome.told())
    assert outcome.load.lost == []
    assert set(versions.seen(outcome.load.requests)) == {"old"}
    described = outcome.described
    assert (described["EndpointStatus"], described["EndpointConfigName"]) == ("InService", "old")
    assert "did not answer GET /ping with 200 within 60 seconds" in described["FailureReason"]
    assert 60 < outcome.seconds < 75


@dataclass
class Captured:
    """An endpoint that captures all.

    `answered` is what its clients were answered so far; `killed` is when its data plane was.
    """

    stage: Stage
    versions: Versions
    endpoint: str
    answered: list[Request] = dataclasses.field(default_factory=list)
    killed: list[float] = dataclasses.field(default_factory=list)

    def load(self) -> Load:
        return self.stage.load(self.endpoint, self.versions.payloads)

    def keep(self, load: Load) -> None:
        """Its answers are to be found among the records."""
        self.answered += [each for each in load.requests if each.answer is not None]

    def missing(self) -> list[Request]:
        """The answered requests of which there is no record; the others' must be right."""
        records = list(self._records())
        by_id = {each["eventMetadata"]["inferenceId"]: each["captureData"] for each in records}
        assert len(by_id) == len(records), "a request is there twice"
        missing = []
        for request in self.answered:
            found = by_id.get(request.id)
            if found is None:
                missing.append(request)
                continue
            assert request.answer is not None
            sent = self.versions.payloads[request.payload].body
            assert found["endpointInput"]["data"].encode() == sent
            assert found["endpointOutput"]["data"].encode() == request.answer
        tell(
            "captured",
            {"answered": len(self.answered), "records": len(records), "missing": len(missing)},
        )
        return missing

    def _records(self) -> Iterator[dict[str, Any]]:
        """All records that are in S3, line by line."""
        pages = (
            self.stage.client("s3")
            .get_paginator("list_objects_v2")
            .paginate(Bucket=BUCKET, Prefix=f"captured/{self.endpoint}/")
        )
        for key in [each["Key"] for page in pages for each in page.get("Contents", [])]:
            text = self.stage.project.account.read(f"s3://{BUCKET}/{key}").decode()
            assert text.endswith("\n")
            yield from map(json.loads, text.splitlines())


@pytest.fixture(scope="module")
def captured(stage: Stage, versions: Versions, updates: Mapping[str, Future[Outcome]]) -> Captured:
    """Of one instance; nothing else goes on by the time that something is killed."""
    for update in updates.values():
        update.result()
    for name in [each["EndpointName"] for each in stage.sagemaker.list_endpoints()["Endpoints"]]:
        stage.sagemaker.delete_endpoint(EndpointName=name)
    stage.config("captured", versions.old, capture="captured")
    return Captured(stage, versions, stage.endpoint("mortal", "captured"))


def _process(stage: Stage, name: str) -> int:
    """The process that localcloud keeps a record of by this end of its name."""
    folder = stage.cloud.address.state / "processes"
    records = [json.loads(path.read_text()) for path in folder.glob("*.json")]
    (found,) = (int(each["pid"]) for each in records if each["name"].endswith(name))
    return found


def _fork_server(stage: Stage) -> int:
    return int(field(_process(stage, "classifier"), 4))


@pytest.mark.skipif(sys.platform != "linux", reason="processes are looked up in /proc")
@pytest.mark.parametrize(
    ("victim", "in_hands"),
    [
        ("featurizer", 1),  # it has one request at a time
        ("classifier", 1),
        ("fork server", 1),
        ("data plane", 8),  # one of each client
    ],
)
def test_what_is_killed_is_back_and_loses_what_it_had_in_its_hands(
    stage: Stage, captured: Captured, victim: str, in_hands: int
) -> None:
    def look_up() -> int:
        return _fork_server(stage) if victim == "fork server" else _process(stage, victim)

    pid = look_up()
    with captured.load() as running:
        running.await_answers(300)
        killed = time.monotonic()
        os.kill(pid, signal.SIGKILL)
        running.await_answers(300)
    captured.keep(running)
    if victim == "data plane":
        captured.killed.append(killed)
    requests, lost = running.requests, running.lost
    tell(
        f"kill -9 of the {victim}",
        {
            "requests": len(requests),
            "lost": [each.error for each in lost],
            "outage s": outage(requests),
        },
    )
    assert len(lost) <= in_hands
    assert all(each.began < killed + 1 for each in lost)
    assert set(captured.versions.seen(requests)) == {"old"}
    assert outage(requests) < 20
    assert stage.describe(captured.endpoint)["EndpointStatus"] == "InService"
    assert look_up() != pid


def test_what_was_captured_before_and_after_kills_is_whole(captured: Captured) -> None:
    """No answered request is there twice, and few are missing: those not yet written down."""
    time.sleep(6)  # a file is handed over when it is five seconds old
    missing = captured.missing()
    # What is captured is written four times a second.
    assert all(
        any(killed - 1 < each.ended < killed + 0.5 for killed in captured.killed)
        for each in missing
    )
    assert len(missing) < len(captured.answered) / 5


def test_down_under_load_keeps_every_record_and_up_serves_again(
    stage: Stage, captured: Captured
) -> None:
    with captured.load() as running:
        running.await_answers(300)
        began = time.monotonic()
        assert stage.cloud.command("down").returncode == 0
        down = time.monotonic()
    assert stage.cloud.command("up").returncode == 0
    described, up = stage.describe(captured.endpoint), time.monotonic()
    captured.answered.clear()
    captured.keep(running)
    _check_sample(stage, captured.endpoint, captured.versions.old)  # it waits for the containers
    answered = captured.answered
    tell(
        "down under load",
        {
            "answered": len(answered),
            "answered after it was asked for": sum(each.began > began for each in answered),
            "down s": down - began,
            "up s": up - down,
            "first answers after s": time.monotonic() - up,
        },
    )
    assert described["EndpointStatus"] == "InService"
    assert set(captured.versions.seen(answered)) == {"old"}
    assert captured.missing() == []
