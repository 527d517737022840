"""Starting and stopping it, and leading other programs to it."""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import sys
from pathlib import Path

from localcloud.addresses import UNSET, Address
from localcloud.cli import process
from localcloud.cli.process import Refused


def up(address: Address, _options: argparse.Namespace) -> int:
    """Start it, if it is not up."""
    started = process.ensure_up(address)
    print(f"localcloud is up at {address.url}, state in {address.state}")
    if started:
        print("Stop it with `localcloud down`.")
    return 0


def down(address: Address, _options: argparse.Namespace) -> int:
    """Stop it and the jobs it runs."""
    if process.stop(address):
        print("localcloud is down; what it stored stays.")
    else:
        print("localcloud is not up.")
    return 0


def reset(address: Address, _options: argparse.Namespace) -> int:
    """Stop it and delete its state folder. Raises Refused for a folder that is none."""
    process.stop(address)
    if address.state.exists():
        if not (address.state / "lock").exists():
            raise Refused(f"{address.state} is no state folder of localcloud; nothing was deleted")
        shutil.rmtree(address.state)
    print(f"{address.state} is deleted.")
    return 0


def env(address: Address, _options: argparse.Namespace) -> int:
    """Print what a shell evaluates to lead its AWS clients here."""
    for name in UNSET:
        print(f"unset {name}")
    for name, value in address.variables(os.environ).items():
        print(f"export {name}={shlex.quote(value)}")
    return 0


def execute(address: Address, options: argparse.Namespace) -> int:
    """Become a command whose AWS clients are led here; it is up then."""
    words: list[str] = options.words
    command = words[1:] if words[:1] == ["--"] else words
    if not command:
        raise Refused("exec needs a command: localcloud exec -- aws s3 ls")
    process.ensure_up(address)
    environment = address.apply()
    # Programs that were installed beside localcloud are found, as `aws` is.
    beside = str(Path(sys.executable).parent)
    environment["PATH"] = os.pathsep.join([environment.get("PATH", os.defpath), beside])
    program = shutil.which(command[0], path=environment["PATH"])
    if program is None:
        raise Refused(f"there is no program {command[0]!r} on the PATH")
    sys.stdout.flush()
    os.execve(program, command, environment)  # noqa: S606 - this is what exec means
