"""The deploy project's command line: from an approved model package to a stage.

Which AWS it talks to, boto3 decides: AWS_ENDPOINT_URL, AWS_REGION, AWS_PROFILE and the like.
"""

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from deploy_endpoint.clients import Workspace
from deploy_endpoint.errors import DeployError, translated
from deploy_endpoint.terminal import Terminal

_EPILOG = """\
exit codes:
  0    done
  1    status: the stage is not there
  2    bad input or a wrong setting; nothing was changed
  3    smoke-test: the stage does not do what it must
  4    the roll-out failed or was rolled back; or the stage does not serve what it must
  5    AWS cannot be reached, or does not accept the credentials
  130  interrupted; what was started goes on

settings, all from the environment:
  AWS_REGION           the region; needed
  PIPELINE_BUCKET      default sagemaker-mlops-ACCOUNT-REGION
  MODEL_PACKAGE_GROUP  default the stage's project
  NO_COLOR             no colour
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; what the user can mend is told in a sentence."""
    options = vars(parser().parse_args(arguments))
    module, function = options.pop("command").split(":")
    terminal = Terminal.standard()
    try:
        with translated():
            command = getattr(import_module(f"deploy_endpoint.{module}"), function)
            return int(command(Workspace(terminal), **options))
    except DeployError as error:
        terminal.complain(str(error))
        return error.exit_code
    except KeyboardInterrupt:
        terminal.complain("Interrupted.")
        return 130


def parser() -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    made = argparse.ArgumentParser(
        prog="python -m deploy_endpoint",
        description="Make a stage of an approved model package: endpoint, alarms, HTTP API, page.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    commands = made.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def add(name: str, command: str, text: str) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=text, description=text, allow_abbrev=False)
        added.set_defaults(command=command)
        added.add_argument(
            "--stage",
            required=True,
            metavar="STAGE",
            dest="stage_name",
            help="staging or production: the name of a file in stages/",
        )
        return added

    plan = add("plan", "commands:plan", "Say what `deploy` would change, and what it costs.")
    deploy = add("deploy", "commands:deploy", "Make or update the stage, and see that it serves.")
    for each in (plan, deploy):
        each.add_argument(
            "--package",
            metavar="VERSION",
            dest="version",
            help="a version's number or ARN; default the newest that is approved",
        )
    add("status", "status:command", "Show what the stage serves, and its alarms.")
    smoke = add(
        "smoke-test", "smoke_test:command", "Hold the stage's answers to what they must be."
    )
    smoke.add_argument(
        "--junit",
        type=Path,
        metavar="FILE",
        dest="junit_file",
        help="write the checks as JUnit XML",
    )
    back = add("rollback", "commands:roll_back", "Go back to the approved version before this one.")
    for each in (deploy, back):
        each.add_argument(
            "--output", type=Path, metavar="FILE", help="merge what came of it into a JSON file"
        )
    deploy.add_argument(
        "--with-token", action="store_true", help="write the API's token into FILE, too"
    )
    destroy = add("destroy", "destroy:command", "Delete the stage and what it leaves behind.")
    destroy.add_argument(
        "--captured-data", action="store_true", help="the captured requests and answers, too"
    )
    destroy.add_argument("--yes", action="store_true", help="do not ask about production")
    return made


if __name__ == "__main__":
    sys.exit(main())
