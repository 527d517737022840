"""Rollouts: how a new version takes over an endpoint, and how a bad one does not."""

from __future__ import annotations

import itertools
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast
from unittest.mock import Mock, patch

import pytest
from botocore.exceptions import ClientError
from cheroot.wsgi import Server
from clients import client_of
from hosting_fixtures import (
    CRASHES,
    DIES,
    ERRORS,
    HANGS,
    NOT_READY,
    SLOW,
    VARIANT,
    House,
    canary,
    says,
    shifting,
)

from localcloud.addresses import HOST, Address
from localcloud.clock import Clock
from localcloud.cloud import Cloud
from localcloud.sagemaker.hosting.deployment import Deployment
from localcloud.sagemaker.hosting.fleet import Fleet, FleetFailed
from localcloud.sagemaker.hosting.rollout import RolledBack, Rollout
from localcloud.testing import TestCloud, free_port

pytestmark = pytest.mark.integration
HALF = {"Type": "CAPACITY_PERCENT", "Value": 50}
ONE = {"Type": "INSTANCE_COUNT", "Value": 1}


@pytest.fixture(scope="module")
def house(cloud: TestCloud) -> House:
    made = House(cloud)
    for name in ("blue", "green"):
        made.config(name, says(name), count=2)
    return made


@pytest.fixture
def endpoint(house: House, request: pytest.FixtureRequest) -> Iterator[str]:
    """An endpoint of the test's own, with the configuration `blue`."""
    name = request.node.name.replace("_", "-").split("[")[0][:60].strip("-")
    house.endpoint(name, "blue")
    yield name
    house.settled(name)
    house.drop(name)


def folders(house: House) -> set[str]:
    """The folders of all fleets that there are."""
    return {path.name for path in (house.cloud.address.state / "endpoints").glob("*")}


def test_all_requests_go_over_at_once_and_none_is_lost(house: House, endpoint: str) -> None:
    before = folders(house)
    with house.load(endpoint) as answers:
        house.wait(lambda: len(answers) > 5)
        found = house.update(endpoint, "green")
        house.wait(lambda: answers[-1] == "green")
    assert set(answers) == {"blue", "green"}
    changes = sum(one != other for one, other in itertools.pairwise(answers))
    assert changes < 10  # of several clients: they change over within a request or two
    assert found["EndpointConfigName"] == "green"
    assert "FailureReason" not in found
    house.wait(lambda: len(folders(house)) == len(before))  # the old fleet is gone
    assert folders(house) != before


def test_the_old_fleet_finishes_what_it_is_at(house: House, endpoint: str) -> None:
    house.config("slowly", SLOW.replace("0.1", "1.0"))
    house.update(endpoint, "slowly")
    answers: list[str] = []
    asking = threading.Thread(target=lambda: answers.append(house.ask(endpoint)))
    asking.start()
    house.update(endpoint, "green")
    assert house.ask(endpoint) == "green"
    assert answers == []  # it is still at it
    asking.join()
    assert answers == ["slow"]


def test_a_canary_gets_its_part_of_the_requests_before_all(house: House, endpoint: str) -> None:
    house.sagemaker.update_endpoint(
        EndpointName=endpoint, EndpointConfigName="green", DeploymentConfig=canary(wait=1, end=1)
    )
    with house.load(endpoint) as answers:
        house.wait(lambda: "green" in answers)
        start = len(answers)
        house.wait(lambda: len(answers) > start + 40)
        part = answers[start:]
        baking = house.describe(endpoint)
        found = house.settled(endpoint)
        house.wait(lambda: answers[-1] == "green")
    assert set(answers) == {"blue", "green"}
    assert 0.1 < part.count("green") / len(part) < 0.9
    assert baking["EndpointStatus"] == "Updating"
    assert baking["EndpointConfigName"] == "blue"
    pending = baking["PendingDeploymentSummary"]
    assert pending["EndpointConfigName"] == "green"
    assert pending["ProductionVariants"][0]["InstanceType"] == "ml.m5.large"
    assert "Baking" in house.stages()
    assert found["EndpointConfigName"] == "green"
    assert found["LastDeploymentConfig"] == canary(wait=1, end=1)


@pytest.mark.parametrize("size", [HALF, ONE], ids=["percent", "count"])
def test_in_linear_steps_the_new_version_gets_more_and_more(
    house: House, endpoint: str, size: dict[str, Any]
) -> None:
    config = shifting("LINEAR", 1, 0, LinearStepSize=size)
    with house.load(endpoint) as answers:
        found = house.update(endpoint, "green", DeploymentConfig=config)
    assert set(answers) == {"blue", "green"}
    assert found["EndpointConfigName"] == "green"
    messages = [
        variant["VariantStatus"][0]["StatusMessage"]
        for each in house.seen
        for variant in each.get("PendingDeploymentSummary", {}).get("ProductionVariants", [])
    ]
    assert any("50% of the traffic" in message for message in messages)
    assert {house.ask(endpoint) for _ in range(10)} == {"green"}


@pytest.mark.parametrize(
    ("handler", "said"),
    [(CRASHES, "weights.bin"), (NOT_READY, "cannot be loaded"), (DIES, "started again")],
    ids=["crashes", "ping-fails", "dies"],
)
def test_a_version_that_does_not_run_is_rolled_back_and_the_reason_told(
    house: House, endpoint: str, handler: str, said: str, request: pytest.FixtureRequest
) -> None:
    config = f"bad-{request.node.callspec.id}"
    house.config(config, handler, count=2)
    before = folders(house)
    found = house.update(endpoint, config, DeploymentConfig=canary(wait=20))
    assert (found["EndpointStatus"], found["EndpointConfigName"]) == ("InService", "blue")
    assert said in found["FailureReason"]
    assert "PendingDeploymentSummary" not in found
    assert {house.ask(endpoint) for _ in range(10)} == {"blue"}
    assert folders(house) == before
    found = house.update(endpoint, "green")
    assert "FailureReason" not in found  # of a later success nothing bad is told


def test_nobody_notices_a_bad_version_while_it_is_tried_and_rolled_back(
    house: House, endpoint: str
) -> None:
    house.config("unnoticed", NOT_READY, count=2)
    with house.load(endpoint) as answers:
        house.update(endpoint, "unnoticed")
        enough = len(answers) + 5
        house.wait(lambda: len(answers) > enough)
    assert set(answers) == {"blue"}


@pytest.mark.slow
def test_a_version_that_hangs_at_its_start_is_rolled_back(house: House, endpoint: str) -> None:
    timeout = {"ContainerStartupHealthCheckTimeoutInSeconds": 60}
    house.config("hangs", HANGS, variant=timeout)
    house.sagemaker.update_endpoint(EndpointName=endpoint, EndpointConfigName="hangs")
    assert house.ask(endpoint) == "blue"
    found = house.settled(endpoint, seconds=90)
    assert found["EndpointConfigName"] == "blue"
    assert "did not answer GET /ping with 200 within 60 seconds" in found["FailureReason"]


def test_an_endpoint_in_progress_is_left_alone(house: House, endpoint: str) -> None:
    house.sagemaker.update_endpoint(
        EndpointName=endpoint, EndpointConfigName="green", DeploymentConfig=canary(wait=1)
    )
    weights = [{"VariantName": VARIANT, "DesiredWeight": 1.0}]
    for call, more in (
        ("update_endpoint", {"EndpointConfigName": "green"}),
        ("update_endpoint_weights_and_capacities", {"DesiredWeightsAndCapacities": weights}),
        ("delete_endpoint", {}),
    ):
        with pytest.raises(ClientError, match='Cannot update in-progress endpoint "arn:aws'):
            getattr(house.sagemaker, call)(EndpointName=endpoint, **more)


def test_what_was_scaled_stays_so_if_that_is_asked_for(house: House, endpoint: str) -> None:
    house.sagemaker.update_endpoint_weights_and_capacities(
        EndpointName=endpoint,
        DesiredWeightsAndCapacities=[
            {"VariantName": VARIANT, "DesiredInstanceCount": 3, "DesiredWeight": 2.0}
        ],
    )
    house.settled(endpoint)

    def now(found: dict[str, Any]) -> tuple[int, float]:
        (variant,) = found["ProductionVariants"]
        return variant["CurrentInstanceCount"], variant["CurrentWeight"]

    own = [{"VariantPropertyType": "DesiredWeight"}]
    kept = house.update(
        endpoint, "green", RetainAllVariantProperties=True, ExcludeRetainedVariantProperties=own
    )
    assert now(kept) == (3, 1.0)
    assert now(house.update(endpoint, "blue")) == (2, 1.0)


def test_a_deployment_configuration_can_be_used_again(house: House) -> None:
    house.endpoint("again", "blue", DeploymentConfig=canary(wait=1))
    assert house.describe("again")["LastDeploymentConfig"] == canary(wait=1)
    house.update("again", "green", RetainDeploymentConfig=True)
    assert "Baking" in house.stages()
    house.update("again", "blue")
    assert "Baking" not in house.stages()
    house.drop("again")


@pytest.fixture(scope="module")
def watched(house: House) -> House:
    """A house with an endpoint `watched`, which has the configuration `blue`."""
    house.config("errors", ERRORS, count=2)
    house.config("late", says("late"), count=2)
    house.endpoint("watched", "blue")
    return house


def alarm(house: House, name: str, state: str = "OK", config: str = "errors") -> str:
    """An alarm over the errors of a configuration's fleet, in this state for now."""
    cloudwatch = client_of(house.cloud, "cloudwatch")
    dimensions = {
        "EndpointName": "watched", "VariantName": VARIANT, "EndpointConfigName": config,
    }  # fmt: skip
    cloudwatch.put_metric_alarm(
        AlarmName=name,
        Namespace="AWS/SageMaker",
        MetricName="Invocation5XXErrors",
        Dimensions=[{"Name": key, "Value": value} for key, value in dimensions.items()],
        Statistic="Sum",
        Period=10,
        EvaluationPeriods=1,
        Threshold=0,
        ComparisonOperator="GreaterThanThreshold",
        TreatMissingData="ignore",
    )
    cloudwatch.set_alarm_state(AlarmName=name, StateValue=state, StateReason="for a test")
    return name


def test_errors_of_the_new_version_set_an_alarm_off_that_gives_all_requests_back(
    watched: House,
) -> None:
    config = canary(wait=60, alarms=[alarm(watched, "real")])
    watched.sagemaker.update_endpoint(
        EndpointName="watched", EndpointConfigName="errors", DeploymentConfig=config
    )
    with watched.load("watched") as answers:
        found = watched.settled("watched")
        later = len(answers) + 3  # those that were under way
        watched.wait(lambda: len(answers) > later + 20)
    assert any("bad model" in each or "500" in each for each in answers)
    assert (found["EndpointStatus"], found["EndpointConfigName"]) == ("InService", "blue")
    assert set(answers[later:]) == {"blue"}
    assert "RollingBack" in [each["EndpointStatus"] for each in watched.seen]
    assert found["FailureReason"].endswith("alarms: real is ALARM.")


@pytest.mark.slow
def test_a_version_that_hangs_in_its_requests_times_out_and_is_rolled_back(watched: House) -> None:
    """It passes its health check; what hangs is counted when the platform's 60 seconds are over."""
    hangs = says("").replace("return ''", "import time; time.sleep(3600)")
    watched.model("stuck", hangs, SAGEMAKER_MODEL_SERVER_TIMEOUT="600")
    watched.config("stuck", count=2)
    name = alarm(watched, "times-out", config="stuck")
    watched.sagemaker.update_endpoint(
        EndpointName="watched",
        EndpointConfigName="stuck",
        DeploymentConfig=canary(wait=150, alarms=[name]),
    )
    watched.wait(lambda: "Baking" in str(watched.describe("watched")), 60)
    client = watched.patient
    late: dict[str, Any] = {}
    answered: list[bytes] = []
    ending = threading.Event()

    def ask() -> None:
        while not ending.is_set():
            began = time.monotonic()
            try:
                answer = client.invoke_endpoint(EndpointName="watched", Body=b"1")
                answered.append(answer["Body"].read())
            except ClientError as error:
                late.update(error.response, seconds=time.monotonic() - began)
                ending.set()
            time.sleep(0.01)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    found = watched.settled("watched", seconds=200)
    ending.set()
    for thread in threads:
        thread.join()
    assert found["EndpointConfigName"] == "blue"
    assert found["FailureReason"].endswith("alarms: times-out is ALARM.")
    assert set(answered) <= {b"blue"}  # none, if chance sent each client to the new version at once
    assert 59 < late["seconds"] < 90
    assert (late["Error"]["Code"], late["OriginalStatusCode"]) == ("ModelError", 0)
    assert late["OriginalMessage"].startswith(
        "Your invocation timed out while waiting for a response from container primary."
    )
    assert watched.ask("watched") == "blue"


def test_an_alarm_that_is_off_before_the_rollout_ends_it(watched: House) -> None:
    name = alarm(watched, "noisy", "ALARM", config="nobody")
    deployment = {"AutoRollbackConfiguration": {"Alarms": [{"AlarmName": name}]}}
    found = watched.update("watched", "late", DeploymentConfig=deployment)
    assert found["EndpointConfigName"] == "blue"
    assert "noisy is ALARM" in found["FailureReason"]


@pytest.mark.parametrize("how", ["goes-off", "is-deleted"])
def test_an_alarm_is_watched_while_the_old_fleet_waits_for_its_end(
    watched: House, how: str
) -> None:
    name = alarm(watched, how, config="nobody")  # only this test changes its state
    cloudwatch = client_of(watched.cloud, "cloudwatch")
    watched.sagemaker.update_endpoint(
        EndpointName="watched",
        EndpointConfigName="late",
        DeploymentConfig=shifting("ALL_AT_ONCE", 0, 30, alarms=[name]),
    )
    watched.wait(lambda: watched.ask("watched") == "late")
    if how == "goes-off":
        cloudwatch.set_alarm_state(AlarmName=name, StateValue="ALARM", StateReason="for a test")
    else:
        cloudwatch.delete_alarms(AlarmNames=[name])
    assert watched.settled("watched")["EndpointConfigName"] == "blue"
    assert watched.ask("watched") == "blue"


def test_a_quiet_alarm_lets_a_good_version_through(watched: House) -> None:
    deployment = canary(wait=1, alarms=[alarm(watched, "quiet", config="late")])
    found = watched.update("watched", "late", DeploymentConfig=deployment)
    assert found["EndpointConfigName"] == "late"
    assert "FailureReason" not in found


def test_an_alarm_that_is_not_there_is_refused(watched: House) -> None:
    names = [alarm(watched, "there"), "nobody"]
    with pytest.raises(ClientError, match="Could not find the CloudWatch alarms nobody"):
        watched.update("watched", "blue", DeploymentConfig=canary(alarms=names))
    assert watched.describe("watched")["EndpointStatus"] == "InService"


@pytest.fixture
def inside(tmp_path: Path) -> Iterator[House]:
    """A localcloud in this process, into which a test can reach."""
    address = Address(tmp_path / "state", free_port())
    server = Server((HOST, address.port), None)
    server.prepare()
    cloud = Cloud(address)
    cloud.open(socket.create_server((HOST, address.data_port)))
    server.wsgi_app = cloud.gateway
    serving = threading.Thread(target=server.serve, daemon=True)
    serving.start()
    yield House(TestCloud(address, address.apply()))
    cloud.close()
    server.stop()
    serving.join()


def test_a_failure_of_localclouds_own_leaves_the_old_version_and_is_told(inside: House) -> None:
    inside.config("blue", says("blue"))
    inside.endpoint("unlucky", "blue")
    before = folders(inside)
    with patch.object(Rollout, "run", side_effect=RuntimeError("out of luck")):
        found = inside.update("unlucky", "blue")
    assert (found["EndpointStatus"], found["EndpointConfigName"]) == ("InService", "blue")
    assert "out of luck" in found["FailureReason"]
    assert folders(inside) == before
    assert inside.ask("unlucky") == "blue"


class Idle:
    """A fleet that starts at once, or not before nobody waits for it any more."""

    id, restarts = "idle", 0

    def __init__(self, *, starts: bool) -> None:
        self.starts = starts

    def start(self, stopping: Callable[[], bool]) -> None:
        while not self.starts and not stopping():
            time.sleep(0.01)
        if not self.starts:
            raise FleetFailed("it was stopped")

    def route(self, share: float) -> float:
        return share


@pytest.mark.parametrize("starts", [True, False])
def test_a_rollout_that_takes_too_long_is_rolled_back(starts: bool) -> None:
    """AWS's least limit is 10 minutes; here it is shorter."""
    unused: Any = None
    rollout = Rollout(
        caller=unused,
        endpoint="any",
        blue=unused,
        green=cast("Fleet", Idle(starts=starts)),
        deployment=Deployment((0.5, 1.0), interval=60, limit=0.2),
        traffic=Mock(),
        alarm=unused,
        show=lambda _status, _message: None,
        stopping=threading.Event(),
        clock=Clock(),
    )
    with pytest.raises(RolledBack, match="longer than MaximumExecutionTimeoutInSeconds"):
        rollout.run()
