"""Looking after it: what runs, what it takes, what can go, what is built beforehand."""

from __future__ import annotations

import argparse
import fcntl
import re
import sys
import time
from collections.abc import Mapping
from typing import Any

from localcloud.addresses import Address
from localcloud.cli import disk, process
from localcloud.cli.process import Refused

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}


def status(address: Address, _options: argparse.Namespace) -> int:
    """Say what runs and how much room it takes; the exit code is 1 if it is not up."""
    from localcloud.containers.environments import Images  # noqa: PLC0415 - not for other commands

    answer = process.ask(address)
    if answer is None:
        print(f"localcloud is not up at {address.url}. Start it with `localcloud up`.")
    else:
        details = process.order(address, "running")
        took = _duration(answer["seconds"])
        print(f"localcloud is up at {address.url} (process {answer['pid']}, for {took})")
        print(", ".join(f"{name} {version}" for name, version in details["versions"].items()))
        _show_running(details)
    if address.state.exists():
        print(f"\ndisk, {address.state}:")
        for name, size in disk.parts(address.state, Images().cache).items():
            print(f"  {name:<18}  {disk.shown(size):>10}")
    return 1 if answer is None else 0


def images(_address: Address, _options: argparse.Namespace) -> int:
    """Build the environments of all images that are not built yet, saying so."""
    from localcloud.containers.environments import Images  # noqa: PLC0415 - not for other commands
    from localcloud.containers.errors import ContainerError  # noqa: PLC0415
    from localcloud.containers.images import IMAGES  # noqa: PLC0415

    environments = Images()
    for image in IMAGES:
        name = image.uri
        try:
            built = environments.is_built(name)
            if not built:
                print(f"Building the environment of {name}, once (some 10 s)", flush=True)
            started = time.monotonic()
            own = str(environments.environment(name).python) == sys.executable
        except ContainerError as error:
            raise Refused(str(error)) from error
        took = "" if built else f" ({_duration(time.monotonic() - started)})"
        print(f"{name}: " + ("runs in localcloud's own environment" if own else f"ready{took}"))
    return 0


def debug(address: Address, options: argparse.Namespace) -> int:
    """Run a failed job again in this terminal, with a debugger if there is somebody to use it."""
    from localcloud.containers.errors import ContainerError  # noqa: PLC0415 - not for other commands
    from localcloud.containers.rerun import find_job, rerun  # noqa: PLC0415

    try:
        folder = find_job(address.state / "jobs", options.job)
        with (folder / "container.json").open() as held:
            fcntl.flock(held, fcntl.LOCK_SH)  # so that `prune` leaves the folder alone
            return rerun(folder, sys.stdin.isatty(), options.host)
    except ContainerError as error:
        raise Refused(str(error)) from error


def prune(address: Address, options: argparse.Namespace) -> int:
    """Have the server delete what nothing needs, or say with --dry-run what it would delete."""
    settings = {"older_than": _seconds(options.older_than), "dry_run": options.dry_run}
    found = process.order(address, "prune", settings)["found"]
    for part in found:
        print(f"{part['what']:<24}  {part['count']:>6}  {disk.shown(part['bytes']):>10}")
    freed = disk.shown(sum(part["bytes"] for part in found))
    print(f"It would free {freed}." if options.dry_run else f"Freed {freed}.")
    return 0


def _show_running(details: Mapping[str, Any]) -> None:
    print()
    for execution in details["executions"]:
        steps = ", ".join(execution["steps"]) or "between steps"
        took = _duration(execution["seconds"])
        print(f"running  {execution['pipeline']}  execution {execution['id']}  {took}: {steps}")
    for job in details["jobs"]:
        print(f"running  {job['kind']}  {job['name']}  {_duration(job['seconds'])}")
    for each in details["endpoints"]:
        print(
            f"endpoint {each['name']}  {each['status']}  {each['config']}  "
            f"{each['instances']} instance(s)"
        )
    for each in details["functions"]:
        print(f"function {each['name']}  {each['state']}")
    if not any(details[what] for what in ("executions", "jobs", "endpoints", "functions")):
        print("running  nothing")


def _seconds(text: str) -> float:
    found = re.fullmatch(r"(\d{1,6})([smhdw])", text)
    if text != "0" and found is None:
        raise Refused(
            f"--older-than must be a number with s, m, h, d or w after it, such as 7d, or 0, "
            f"not {text!r}"
        )
    return 0.0 if found is None else float(found[1]) * _SECONDS[found[2]]


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 120:
        return f"{minutes} min"
    hours, rest = divmod(minutes, 60)
    return f"{hours} h {rest} min"
