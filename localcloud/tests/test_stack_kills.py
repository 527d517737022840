"""Killed in the middle of a stack's operation: the next start ends it, and leaves no orphans."""

from __future__ import annotations

import json
import os
import random
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from stack_fixtures import (
    POLICY,
    Builder,
    alarm,
    changed,
    get,
    group,
    ref,
    resource,
    role,
    template,
    topic,
)

from localcloud.addresses import SERVER_FILE
from localcloud.testing import TestCloud, localcloud

pytestmark = [pytest.mark.slow, pytest.mark.integration]
SEED = 20260214
KILLS = 15
NAME = "victim"
ENDED = "localcloud ended while this ran"
FIRST = template(
    {
        "Role": role(Policies=[{"PolicyName": "one", "PolicyDocument": POLICY}]),
        "Topic": resource("SNS::Topic", {"DisplayName": get("Role", "Arn")}),
        "Secret": resource("SecretsManager::Secret", {"GenerateSecretString": {}}),
        "Group": group("/victim/one"),
        "Alarm": alarm("victim-alarm", DependsOn="Group"),
        "Board": resource("CloudWatch::Dashboard", {"DashboardBody": '{"widgets":[]}'}),
        "Last": resource("SNS::Topic", {"DisplayName": ref("Secret")}, DependsOn="Alarm"),
    }
)


def second(document: dict[str, Any]) -> None:
    """Everything is changed: in place, by replacement, added and removed."""
    resources = document["Resources"]
    resources["Role"]["Properties"] |= {
        "Path": "/other/",
        "Policies": [{"PolicyName": "two", "PolicyDocument": POLICY}],
    }
    resources["Group"] = group("/victim/two", days=30)
    resources["Alarm"]["Properties"]["Threshold"] = 7
    resources["Board"]["Properties"]["DashboardBody"] = '{"widgets":[],"start":"-PT1H"}'
    resources["Added"] = topic(DependsOn="Alarm")
    del resources["Last"]


SECOND = changed(FIRST, second)


@dataclass
class Victim:
    """A localcloud whose gateway is killed."""

    cloud: TestCloud

    @property
    def stacks(self) -> Builder:
        return Builder(self.cloud)

    def killed(self, begin: Callable[..., Any], moment: float, **more: Any) -> None:
        """Begin something, `kill -9` the gateway so many seconds later, and bring it up again."""
        if more:
            more |= {"Capabilities": ["CAPABILITY_IAM"]}
        begin(StackName=NAME, **more)
        time.sleep(moment)
        text = (self.cloud.address.state / SERVER_FILE).read_text(encoding="utf-8")
        os.kill(int(json.loads(text)["pid"]), signal.SIGKILL)
        up = self.cloud.command("up")
        assert up.returncode == 0, up.stderr

    def things(self) -> set[str]:
        """Everything that there is of the types of the templates."""
        client = self.stacks.client
        secrets = client("secretsmanager").list_secrets()["SecretList"]
        alarms = client("cloudwatch").describe_alarms()["MetricAlarms"]
        boards = client("cloudwatch").list_dashboards()["DashboardEntries"]
        groups = client("logs").describe_log_groups(logGroupNamePrefix="/victim")["logGroups"]
        return {
            *(each["TopicArn"] for each in client("sns").list_topics()["Topics"]),
            *(each["RoleName"] for each in client("iam").list_roles()["Roles"]),
            *(each["ARN"] for each in secrets),
            *(each["AlarmName"] for each in alarms),
            *(each["DashboardName"] for each in boards),
            *(each["logGroupName"] for each in groups),
        }

    def holds(self, body: str) -> None:
        """The stack has what a template says, and nothing else is there."""
        wanted = json.loads(body)["Resources"]
        physical = self.stacks.physical(NAME)
        assert set(physical) == set(wanted)
        assert set(physical.values()) == self.things()
        client = self.stacks.client
        (found,) = client("cloudwatch").describe_alarms()["MetricAlarms"]
        assert found["Threshold"] == wanted["Alarm"]["Properties"]["Threshold"]
        policies = client("iam").list_role_policies(RoleName=physical["Role"])["PolicyNames"]
        assert policies == [wanted["Role"]["Properties"]["Policies"][0]["PolicyName"]]
        shown = client("sns").get_topic_attributes(TopicArn=physical["Topic"])["Attributes"]
        arn = client("iam").get_role(RoleName=physical["Role"])["Role"]["Arn"]
        assert shown["DisplayName"] == arn


def interrupted(victim: Victim, stack_id: str) -> bool:
    return any(ENDED in reason for _, _, reason in victim.stacks.story(stack_id))


def test_a_kill_at_any_moment_ends_in_a_whole_stack_or_none(tmp_path: Path) -> None:
    """Created or rolled back, updated or as before, deleted: never in between, never an orphan."""
    draw = random.Random(SEED)
    with localcloud(tmp_path / "state") as cloud:
        victim = Victim(cloud)
        lengths = measured(victim)
        assert victim.things() == set()
        outcomes: list[str] = []
        for number in range(KILLS):
            share = ((number + draw.random()) / KILLS) ** 3  # most is done soon
            stacks = victim.stacks
            victim.killed(stacks.api.create_stack, share * lengths[0], TemplateBody=FIRST)
            outcomes.append(status := stacks.settled(NAME))
            if status == "ROLLBACK_COMPLETE":
                assert interrupted(victim, NAME)
                assert victim.things() == set()
                stacks.delete(NAME)
                assert stacks.create(NAME, FIRST) == "CREATE_COMPLETE"
            assert stacks.status(NAME) == "CREATE_COMPLETE"
            victim.holds(FIRST)
            victim.killed(stacks.api.update_stack, share * lengths[1], TemplateBody=SECOND)
            outcomes.append(status := stacks.settled(NAME))
            assert status in ("UPDATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE"), stacks.story(NAME)
            victim.holds(SECOND if status == "UPDATE_COMPLETE" else FIRST)
            stack_id = stacks.describe(NAME)["StackId"]
            victim.killed(stacks.api.delete_stack, share * lengths[2])
            assert stacks.settled(stack_id) == "DELETE_COMPLETE", stacks.story(stack_id)
            assert victim.things() == set()
        assert {"ROLLBACK_COMPLETE", "UPDATE_ROLLBACK_COMPLETE"} <= set(outcomes)
        assert {"CREATE_COMPLETE", "UPDATE_COMPLETE"} & set(outcomes)


def measured(victim: Victim) -> list[float]:
    """How long creation, update and deletion take just after a start, when nobody is killed."""
    stacks, lengths = victim.stacks, []
    for action in (
        lambda: stacks.create(NAME, FIRST),
        lambda: stacks.update(NAME, SECOND),
        lambda: stacks.delete(NAME),
    ):
        for command in ("down", "up"):
            assert victim.cloud.command(command).returncode == 0
        began = time.monotonic()
        action()
        lengths.append(time.monotonic() - began)
    return lengths


def test_a_stop_in_the_middle_is_resumed_as_after_a_kill(tmp_path: Path) -> None:
    with localcloud(tmp_path / "state") as cloud:
        stacks = Builder(cloud)
        stacks.api.create_stack(StackName=NAME, TemplateBody=FIRST, Capabilities=["CAPABILITY_IAM"])
        stacks.wait(lambda: stacks.statuses(NAME, "Role"))
        assert cloud.command("down").returncode == 0
        assert cloud.command("up").returncode == 0
        assert stacks.settled(NAME) == "ROLLBACK_COMPLETE"
        assert Victim(cloud).things() == set()
