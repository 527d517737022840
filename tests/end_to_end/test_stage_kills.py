"""localcloud killed while a whole stage is made, updated or deleted."""

import json
import os
import random
import signal
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest
from command_line import Answer
from runs import Project
from stage_line import Stages

from localcloud.addresses import SERVER_FILE
from localcloud.testing import TestCloud, localcloud

pytestmark = [pytest.mark.slow, pytest.mark.integration]
STAGE = "victim"
SEED = 20260311
KILLS = 5
# The codes that the command line's help tells; 1 would be a fault of its own.
TOLD = {0, 2, 4, 5}
WHOLE = {"CREATE_COMPLETE", "UPDATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE"}


@dataclass
class Victim:
    """A stage of two versions on a localcloud whose gateway is killed."""

    cloud: TestCloud
    stages: Stages
    name: str

    def killed(self, moment: float, *words: str) -> Answer:
        """Run a command, `kill -9` the gateway so many seconds later, and bring it up again."""
        with ThreadPoolExecutor(1) as beside:
            running = beside.submit(self.stages, *words, "--stage", STAGE)
            time.sleep(moment)
            text = (self.cloud.address.state / SERVER_FILE).read_text(encoding="utf-8")
            os.kill(int(json.loads(text)["pid"]), signal.SIGKILL)
            up = self.cloud.command("up")
            assert up.returncode == 0, up.stderr
            answer = running.result(timeout=120)
        assert answer.code in TOLD, answer.text
        assert "Traceback" not in answer.text
        return answer

    def again(self, *words: str) -> Answer:
        """The same command ends what the kill broke off."""
        answer = self.stages(*words, "--stage", STAGE)
        assert answer.code == 0, answer.text
        return answer

    def settled(self) -> str | None:
        """Where the stack comes to rest by itself; None if there is none."""
        cloudformation = self.stages.account.client("cloudformation")
        until = time.monotonic() + 90
        while time.monotonic() < until:
            stacks = cloudformation.describe_stacks()["Stacks"]
            found = [each["StackStatus"] for each in stacks if each["StackName"] == self.name]
            if not found or not found[0].endswith("_IN_PROGRESS") or found[0].startswith("REVIEW"):
                return found[0] if found else None
            time.sleep(0.1)
        raise AssertionError(f"{self.name} is {found[0]} after 90 s")

    def serves(self, output: Path, *versions: int) -> None:
        """The endpoint is in service with one of these versions, and the API says the same."""
        status, version = self.stages.live(self.name)
        assert status == "InService"
        assert version in versions
        told = json.loads(output.read_text())
        request = urllib.request.Request(
            f"{told['api_url']}/health", headers={"Authorization": f"Bearer {told['api_token']}"}
        )
        with urllib.request.urlopen(request, timeout=30) as health:
            assert json.load(health)["model_version"] == str(version)


@pytest.fixture(scope="module")
def victim(data_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Victim]:
    with localcloud(tmp_path_factory.mktemp("cloud") / "state") as cloud:
        project = Project(cloud, data_folder, tmp_path_factory.mktemp("outcomes"))
        assert project.command("bootstrap").code == 0
        stages = Stages(project, tmp_path_factory.mktemp("stages"))
        for each in (project.run(), project.run("--parameter", "Seed=1")):
            stages.approve(each.version)
        yield Victim(cloud, stages, stages.write(STAGE))


def test_a_stage_is_whole_or_gone_whenever_localcloud_is_killed(
    victim: Victim, tmp_path: Path
) -> None:
    output, draw = tmp_path / "out.json", random.Random(SEED)
    told = ("--output", str(output), "--with-token")
    commands = [
        ("deploy", "--package", "1", *told),
        ("deploy", "--package", "2", *told),
        ("destroy", "--captured-data"),
    ]
    lengths = []
    for words in commands:
        began = time.monotonic()
        victim.again(*words)
        lengths.append(time.monotonic() - began)
    assert victim.stages.left(victim.name) == {}
    created, updated = [], []
    for number in range(KILLS):
        share = (number + draw.random()) / KILLS
        victim.killed(share * lengths[0], *commands[0])
        created.append(victim.settled())
        if created[-1] in WHOLE:
            assert victim.stages.live(victim.name) == ("InService", 1)
        else:
            left = victim.stages.left(victim.name)
            assert set(left) <= {"stacks"}, left
        victim.again(*commands[0])
        victim.serves(output, 1)

        victim.killed(share * lengths[1], *commands[1])
        updated.append(victim.settled())
        assert updated[-1] in WHOLE
        victim.serves(output, 1, 2)
        victim.again(*commands[1])
        victim.serves(output, 2)

        victim.killed(share * lengths[2], *commands[2])
        victim.settled()
        if victim.stages.left(victim.name):
            victim.again(*commands[2])
        assert victim.stages.left(victim.name) == {}
    assert "ROLLBACK_COMPLETE" in created, created
    assert "UPDATE_ROLLBACK_COMPLETE" in updated, updated
