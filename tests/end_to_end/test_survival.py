"""What is left when localcloud ends, in order or not."""

import json
import os
import signal
import sys
from pathlib import Path

import pytest
from command_line import Account, CommandLine
from runs import Finished, Project

from localcloud.addresses import SERVER_FILE
from localcloud.testing import TestCloud

pytestmark = pytest.mark.integration

BUCKET = "sagemaker-mlops-000000000000-us-east-1"
# Trees that hardly learn: minutes of training, unless somebody ends it.
ENDLESS = ("NumRound=100000", "Eta=0.001", "EarlyStoppingRounds=1000", "MaxBin=8192")


def test_registry_data_and_executions_survive_down_and_up(
    first: Finished, account: Account, cloud: TestCloud, command: CommandLine
) -> None:
    before = account.registry(), account.objects(BUCKET), account.executions()
    assert all(before)
    assert cloud.command("down").returncode == 0
    assert command("list").code == 5
    assert cloud.command("up").returncode == 0
    assert (account.registry(), account.objects(BUCKET), account.executions()) == before
    assert command("doctor").code == 0


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="processes are looked up in /proc")
def test_a_killed_gateway_costs_the_running_step_and_nothing_else(
    first: Finished, project: Project, cloud: TestCloud
) -> None:
    """It is Failed with a reason, no process survives, and the finished step is in the cache."""
    account, command = project.account, project.command
    before = account.registry()
    seed = ("--parameter", "Seed=7")
    endless = [word for text in ENDLESS for word in ("--parameter", text)]
    earlier = set(account.executions())
    started = command("run", *seed, *endless)
    assert started.code == 0, started.text
    (arn,) = set(account.executions()) - earlier
    account.await_step(arn, "Train")

    gateway = int(json.loads((cloud.address.state / SERVER_FILE).read_text())["pid"])
    processes = family(gateway)
    assert len(processes) > 1, "no job runs"
    os.kill(gateway, signal.SIGKILL)
    assert cloud.command("up").returncode == 0

    survivors = [pid for pid, start in processes.items() if start_time(pid) == start]
    assert [Path(f"/proc/{pid}/cmdline").read_bytes() for pid in survivors] == []
    assert account.executions()[arn] == "Failed"
    steps = account.steps(arn)
    assert {name: step["StepStatus"] for name, step in steps.items()} == {
        "Preprocess": "Succeeded",
        "Train": "Failed",
    }
    status = command("status", arn.rpartition("/")[2])
    assert status.code == 4
    assert "Step Train: localcloud ended while this ran" in status.err
    assert account.registry() == before

    again = project.run(*seed)
    assert again.cached == {"Preprocess"}
    assert again.version > max(each["ModelPackageVersion"] for each in before.values())


def family(pid: int) -> dict[int, str]:
    """A process and all below it: number and start time, which tells it from a later one."""
    parents = {
        int(folder.name): parent
        for folder in Path("/proc").iterdir()
        if folder.name.isdigit() and (parent := field(int(folder.name), 4))
    }
    found = {pid}
    while more := {child for child, parent in parents.items() if int(parent) in found} - found:
        found |= more
    return {each: start for each in found if (start := start_time(each))}


def start_time(pid: int) -> str:
    """Clock ticks since the boot; empty for no process, or a dead one that waits for its parent."""
    return "" if field(pid, 3) in {"", "Z", "X"} else field(pid, 22)


def field(pid: int, number: int) -> str:
    """A field of /proc/PID/stat as proc(5) counts them; empty for no process."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return ""
    return text.rpartition(")")[2].split()[number - 3]
