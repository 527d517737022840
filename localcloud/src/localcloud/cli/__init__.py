"""The command line: up, down, status, images, debug, prune, reset, env, exec."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable

from localcloud.addresses import Address, BadSetting
from localcloud.cli import care, run
from localcloud.cli.process import Refused

_Command = Callable[[Address, argparse.Namespace], int]


def main(arguments: list[str] | None = None) -> int:
    """Run one command; the result is the exit code."""
    options = _parser().parse_args(arguments)
    command: _Command = options.command
    try:
        return command(Address.from_environment(os.environ), options)
    except (Refused, BadSetting) as error:
        print(f"localcloud: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("localcloud: interrupted", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="localcloud",
        description="A small AWS on this machine: the same API, really run, no Docker, no account.",
        epilog="LOCALCLOUD_PORT (4566) and LOCALCLOUD_HOME (.localcloud) say where it is.",
        allow_abbrev=False,
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def add(name: str, command: _Command, text: str) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=text, description=text, allow_abbrev=False)
        added.set_defaults(command=command)
        return added

    add("up", run.up, "start it, if it is not up")
    add("down", run.down, "stop it and the jobs it runs; what it stored stays")
    add("status", care.status, "say whether it is up, what runs, how much it stores")
    add("images", care.images, "build the environments of the images that are not built yet")
    debug = add("debug", care.debug, "run a job that failed again, here, and stop where it fails")
    debug.add_argument("job", metavar="JOB", help="the job's name, as its failure reason gives it")
    debug.add_argument(
        "--host", default="algo-1", metavar="HOST", help="of several hosts; default algo-1"
    )
    prune = add("prune", care.prune, "delete folders of failed jobs, and what nothing refers to")
    prune.add_argument(
        "--older-than", default="7d", metavar="AGE", help="such as 12h or 30d; default 7d"
    )
    prune.add_argument("--dry-run", action="store_true", help="delete nothing, say what would be")
    add("reset", run.reset, "stop it and delete all it stored")
    add("env", run.env, "print the variables that lead AWS clients to it, for eval")
    words = add("exec", run.execute, "see that it is up, then run a command against it")
    words.add_argument("words", nargs=argparse.REMAINDER, metavar="-- COMMAND")
    return parser
