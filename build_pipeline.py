"""The build side's command line: deploy the pipeline, run it, judge its versions, score rows.

Which AWS it talks to, boto3 decides: AWS_ENDPOINT_URL, AWS_REGION, AWS_PROFILE and the like.
"""

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from pipelines.build.clients import Workspace
from pipelines.build.errors import BuildError, translated
from pipelines.build.terminal import Terminal

_EPILOG = """\
exit codes:
  0    done
  1    doctor: something is missing; diff: the definitions differ
  2    bad input or a wrong setting; nothing was started
  3    the quality gate said no
  4    the execution or the transform job failed; serve: the endpoint did, or a sample answer
       is wrong
  5    AWS cannot be reached, or does not accept the credentials
  6    the execution or the transform job was stopped
  130  interrupted; an execution that was started goes on, a transform job is stopped

settings, all from the environment:
  AWS_REGION           the region; needed
  PIPELINE_NAME        default predictive-maintenance
  PIPELINE_BUCKET      default sagemaker-mlops-ACCOUNT-REGION
  PIPELINE_ROLE_ARN    default the role sagemaker-mlops-pipeline of the account
  MODEL_PACKAGE_GROUP  default predictive-maintenance
  AI4I_DATA            a folder that holds ai4i2020.csv; default a download
  NO_COLOR             no colour
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; what the user can mend is told in a sentence."""
    options = vars(_parser().parse_args(arguments))
    module, function = options.pop("command").split(":")
    terminal = Terminal.standard()
    try:
        with translated():
            command = getattr(import_module(f"pipelines.build.{module}"), function)
            return int(command(Workspace(terminal), **options))
    except BuildError as error:
        terminal.complain(str(error))
        return error.exit_code
    except KeyboardInterrupt:
        terminal.complain("Interrupted.")
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="build_pipeline.py",
        description="Deploy the pipeline, run it, and judge the versions it registers.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def add(name: str, command: str, text: str) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=text, description=text, allow_abbrev=False)
        added.set_defaults(command=command)
        return added

    add("doctor", "doctor:command", "Check what a run needs, and say how to get what is missing.")
    add("bootstrap", "bootstrap:command", "Make the bucket, the role and the model package group.")

    definition = add("definition", "definition:show", "Print the compiled definition; offline.")
    definition.add_argument("--output", type=Path, metavar="FILE", help="write it to a file")
    add("diff", "definition:compare", "Compare these sources with what is deployed.")
    add("upsert", "upsert:command", "Upload the sources and create or update the pipeline.")

    run = add("run", "run:command", "Deploy these sources and start an execution.")
    run.add_argument(
        "--parameter",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a parameter of the pipeline; may be repeated",
    )
    run.add_argument(
        "--only",
        action="append",
        default=[],
        metavar="STEP",
        help="run this step only, on an earlier execution's results; may be repeated",
    )
    run.add_argument("--wait", action="store_true", help="follow the execution to its end")
    run.add_argument(
        "--output", type=Path, metavar="FILE", help="merge what came of it into a JSON file"
    )

    execution = "an execution's id or ARN; default the latest"
    status = add("status", "progress:show", "Show an execution and its steps.")
    status.add_argument("execution", nargs="?", metavar="EXECUTION", help=execution)
    logs = add("logs", "logs:command", "Print the log of a step's job.")
    logs.add_argument("step", metavar="STEP", help="the step's name, such as Train")
    logs.add_argument("--execution", metavar="EXECUTION", help=execution)
    logs.add_argument("--follow", action="store_true", help="go on until the step ends")
    retry = add("retry", "run:retry", "Let a failed execution go on at the step that failed.")
    retry.add_argument("execution", nargs="?", metavar="EXECUTION", help=execution)
    retry.add_argument("--wait", action="store_true", help="follow the execution to its end")
    stop = add("stop", "executions:stop", "Stop an execution.")
    stop.add_argument("execution", nargs="?", metavar="EXECUTION", help=execution)

    version = "a version: its number, its ARN or `latest`"
    add("list", "registry:show", "List the registered versions.")
    compare = add("compare", "compare:command", "Compare two versions.")
    compare.add_argument(
        "versions",
        nargs="*",
        metavar="VERSION",
        help=f"{version}; default the newest approved, or previous, one and the latest",
    )
    report = add("report", "reports:command", "Download the report of a version.")
    report.add_argument("version", nargs="?", default="latest", metavar="VERSION", help=version)
    report.add_argument("--open", action="store_true", dest="show", help="open it in a browser")
    approve = add("approve", "registry:approve", "Approve a version: it may be deployed.")
    reject = add("reject", "registry:reject", "Reject a version, or take its approval back.")
    for each, needed in ((approve, False), (reject, True)):
        each.add_argument("version", metavar="VERSION", help=version)
        each.add_argument("--note", required=needed, help="why, for those who come after")
    serve = add(
        "serve",
        "serve:command",
        "Put an approved version on an endpoint of its own and compare sample answers.",
    )
    serve.add_argument(
        "version", nargs="?", metavar="VERSION", help=f"{version}; default the newest approved"
    )
    serve.add_argument("--delete", action="store_true", help="delete the endpoint instead")
    serve.add_argument(
        "--output", type=Path, metavar="FILE", help="merge what came of it into a JSON file"
    )

    transform = add("transform", "transform:command", "Score a csv with an approved version.")
    transform.add_argument("file", type=Path, metavar="FILE", help="the csv")
    transform.add_argument(
        "--version", metavar="VERSION", help=f"{version}; default the newest approved one"
    )
    transform.add_argument(
        "--output", type=Path, metavar="FILE", help="default beside it: NAME.scored.csv"
    )
    transform.add_argument(
        "--instance-type", default="ml.m5.large", metavar="TYPE", help="default %(default)s"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
