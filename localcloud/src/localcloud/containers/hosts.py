"""The instances of a job: their names, and who gets what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from localcloud.containers.errors import JobNotSupported

MOST = 16
"""Instances of one job: each is a process on this machine."""
_GROUP = "homogeneousCluster"
_T = TypeVar("_T")


@dataclass(frozen=True)
class Host:
    """One of a job's instances, counted from 1."""

    number: int = 1
    count: int = 1

    @property
    def name(self) -> str:
        """What the job calls it: algo-1."""
        return f"algo-{self.number}"

    @property
    def names(self) -> tuple[str, ...]:
        """All instances of the job, sorted as text, as AWS sorts them."""
        return tuple(sorted(f"algo-{number}" for number in range(1, self.count + 1)))

    def share(self, everything: Sequence[_T]) -> Sequence[_T]:
        """This instance's part of objects that are sharded by key; perhaps none."""
        return everything[self.number - 1 :: self.count]

    def resources(self, instance_type: str) -> dict[str, Any]:
        """What both kinds of job find in resourceconfig.json."""
        return {
            "current_host": self.name,
            "current_instance_type": instance_type,
            "current_group_name": _GROUP,
            "hosts": list(self.names),
            "network_interface_name": "eth0",
        }

    def groups(self, instance_type: str) -> dict[str, Any]:
        """What a training job finds there beside it."""
        group = {
            "instance_group_name": _GROUP,
            "instance_type": instance_type,
            "hosts": list(self.names),
        }
        return {"instance_groups": [group]}


@dataclass(frozen=True)
class Instance:
    """What one host of a job has on this machine: the folder seen as /opt/ml, and its log."""

    host: Host
    root: Path
    log: Path

    def note(self, text: str) -> None:
        """Tell the job's user something, in its log."""
        with self.log.open("a") as log:
            log.write(f"localcloud: {text}\n")


def hosts(count: int) -> tuple[Host, ...]:
    """The hosts of a job with that many instances."""
    return tuple(Host(number, count) for number in range(1, count + 1))


def check_count(config: Mapping[str, Any]) -> None:
    """Refuse what a laptop cannot run; raises JobNotSupported."""
    if "InstanceGroups" in config:
        raise JobNotSupported(
            "InstanceGroups are not supported here: give InstanceCount and InstanceType"
        )
    count = config.get("InstanceCount", 1)
    if count > MOST:
        raise JobNotSupported(
            f"InstanceCount must be at most {MOST} here, where each instance is a process of this "
            f"machine; it is {count}"
        )


def hosts_file(machine: str) -> str:
    """An /etc/hosts in which all hosts of a job are found on this machine's loopback."""
    own = (f"127.0.0.{number} algo-{number}\n" for number in range(1, MOST + 1))
    return "".join((machine if machine.endswith("\n") or not machine else f"{machine}\n", *own))
