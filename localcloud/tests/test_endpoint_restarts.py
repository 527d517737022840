"""Endpoints over `down` and `up`, and over `kill -9`: what served serves again, nothing is left."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from botocore.exceptions import BotoCoreError, ClientError
from clients import client_of
from hosting_fixtures import BUCKET, CRASHES, LATE, SLOW, VARIANT, House, canary, says
from test_kills import family, start_time

from localcloud.addresses import SERVER_FILE
from localcloud.testing import localcloud

pytestmark = [
    pytest.mark.slow,
    pytest.mark.integration,
    pytest.mark.skipif(sys.platform != "linux", reason="processes are looked up in /proc"),
]


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with localcloud(tmp_path_factory.mktemp("restarts") / "state") as cloud:
        made = House(cloud)
        made.config("one", says("one"))
        made.config("two", says("two"), count=2)
        yield made


def up(house: House) -> None:
    started = house.cloud.command("up")
    assert started.returncode == 0, started.stderr


def kill(house: House) -> None:
    """`kill -9` the gateway and all below it, start it again, and see that nobody is left."""
    pid = int(json.loads((house.cloud.address.state / SERVER_FILE).read_text())["pid"])
    processes = family(pid)
    assert len(processes) > 1
    for each in processes:
        with contextlib.suppress(ProcessLookupError):
            os.kill(each, signal.SIGKILL)
    up(house)
    assert [each for each, start in processes.items() if start_time(each) == start] == []


def fleets(house: House) -> list[Path]:
    endpoints = house.cloud.address.state / "endpoints"
    return [path for path in endpoints.glob("*") if path.name != "logs"]


def test_what_served_serves_again_and_requests_wait_for_it(house: House) -> None:
    house.endpoint("kept", "one")
    house.sagemaker.update_endpoint_weights_and_capacities(
        EndpointName="kept",
        DesiredWeightsAndCapacities=[{"VariantName": VARIANT, "DesiredInstanceCount": 2}],
    )
    house.settled("kept")
    for again in (lambda: house.cloud.command("down") and up(house), lambda: kill(house)):
        again()
        found = house.describe("kept")
        assert (found["EndpointStatus"], found["EndpointConfigName"]) == ("InService", "one")
        assert found["ProductionVariants"][0]["CurrentInstanceCount"] == 2
        assert "FailureReason" not in found
        assert house.ask("kept") == "one"  # although its containers have just begun to start
        assert len(fleets(house)) == 1
    house.drop("kept")


def test_what_was_being_created_is_created_anew(house: House) -> None:
    house.config("late", LATE)
    house.sagemaker.create_endpoint(EndpointName="anew", EndpointConfigName="late")
    assert house.describe("anew")["EndpointStatus"] == "Creating"
    kill(house)
    assert house.describe("anew")["EndpointStatus"] == "Creating"
    assert house.settled("anew")["EndpointStatus"] == "InService"
    assert house.ask("anew") == "late"
    house.drop("anew")


@pytest.mark.parametrize("how", ["kill", "down"])
def test_an_update_that_is_cut_off_leaves_the_old_version_and_says_so(
    house: House, how: str
) -> None:
    house.endpoint("cut", "one")
    house.sagemaker.update_endpoint(
        EndpointName="cut", EndpointConfigName="two", DeploymentConfig=canary(wait=60)
    )
    house.wait(lambda: house.ask("cut") == "two")  # both versions answer by now
    if how == "kill":
        kill(house)
    else:
        house.cloud.command("down")
        up(house)
    found = house.describe("cut")
    assert (found["EndpointStatus"], found["EndpointConfigName"]) == ("InService", "one")
    assert "PendingDeploymentSummary" not in found
    assert "localcloud ended while the endpoint was being updated" in found["FailureReason"]
    assert "to the configuration two; it has one again" in found["FailureReason"]
    assert {house.ask("cut") for _ in range(10)} == {"one"}
    assert len(fleets(house)) == 1
    assert house.update("cut", "two")["EndpointConfigName"] == "two"
    house.drop("cut")


def test_what_was_being_deleted_is_gone(house: House) -> None:
    house.config("slowly", SLOW.replace("0.1", "30"))
    house.endpoint("goes", "slowly")

    def ask_in_vain() -> None:
        with contextlib.suppress(BotoCoreError, ClientError):
            house.ask("goes")

    asking = threading.Thread(target=ask_in_vain)
    asking.start()
    time.sleep(0.5)  # until the container has the request, which keeps the endpoint from its end
    house.sagemaker.delete_endpoint(EndpointName="goes")
    assert house.describe("goes")["EndpointStatus"] == "Deleting"
    kill(house)
    asking.join()
    assert not house.exists("goes")
    assert fleets(house) == []


def test_what_had_failed_stays_so_and_runs_nothing(house: House) -> None:
    house.config("broken", CRASHES)
    reason = house.endpoint("failed", "broken")["FailureReason"]
    kill(house)
    found = house.describe("failed")
    assert (found["EndpointStatus"], found["FailureReason"]) == ("Failed", reason)
    assert fleets(house) == []
    house.drop("failed")


def test_what_cannot_come_up_again_is_out_of_service_until_it_is_put_right(house: House) -> None:
    house.config("needs-data", says("data"))
    house.endpoint("needs-data", "needs-data")
    s3 = client_of(house.cloud, "s3")
    place = {"Bucket": BUCKET, "Key": "needs-data/0/model.tar.gz"}
    archive = s3.get_object(**place)["Body"].read()
    s3.delete_object(**place)
    kill(house)
    house.wait(lambda: house.describe("needs-data")["EndpointStatus"] == "OutOfService")
    assert "did not come up again" in house.describe("needs-data")["FailureReason"]
    s3.put_object(**place, Body=archive)
    kill(house)
    house.wait(lambda: house.describe("needs-data")["EndpointStatus"] == "InService")
    assert "FailureReason" not in house.describe("needs-data")
    assert house.ask("needs-data") == "data"
    s3.delete_object(**place)
    kill(house)
    house.wait(lambda: house.describe("needs-data")["EndpointStatus"] == "OutOfService")
    found = house.update("needs-data", "one")  # or another version is deployed
    assert found["EndpointStatus"] == "InService"
    assert house.ask("needs-data") == "one"
    house.drop("needs-data")
