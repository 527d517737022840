"""Starting an execution: data, sources and definition first, and every value checked before."""

import subprocess
import uuid
from collections.abc import Sequence
from pathlib import Path

from pipelines.build import (
    definition,
    executions,
    files,
    inputs,
    outcome,
    parameters,
    progress,
    selection,
)
from pipelines.build.clients import ROOT, Workspace
from pipelines.build.errors import UsageError
from pipelines.build.selection import Selection
from pipelines.build.upsert import upsert

_DATA = "InputDataUri"
_COMMIT = "GitCommit"
_RETRIED = ("Failed", "Stopped")


def command(
    workspace: Workspace,
    *,
    parameter: Sequence[str],
    only: Sequence[str],
    wait: bool,
    output: Path | None,
) -> int:
    """Start an execution, of ``only`` these steps if any, and with ``wait`` follow it to its end.

    Steps that need results of others take them, and the parameters, from an earlier execution.
    """
    values = parameters.parse(parameter)
    if output is not None:
        files.read_object(output)  # an unusable file is told before hours of training
    document = definition.compiled(workspace.settings)
    chosen = selection.choose(workspace, document, only) if only else None
    source = chosen.source if chosen else None
    if source is not None:
        given = selection.given_parameters(workspace, source, document)
        given.pop(_COMMIT, None)
        values = given | values
    parameters.check(values, document)
    names = {each["Name"] for each in document["Parameters"]}
    found = None
    if _DATA in values:
        inputs.check(workspace, values[_DATA])
    elif _DATA in names and source is None:
        found = inputs.fetch()
    upsert(workspace)
    if found is not None:
        values[_DATA] = inputs.upload(workspace, found)
    commit = git_commit(ROOT)
    if _COMMIT in names and commit:
        values.setdefault(_COMMIT, commit)
    terminal = workspace.terminal
    if chosen is not None and source is not None:
        terminal.write(f"Reused     {', '.join(chosen.needed)} of execution {source.id}")
    arn = start(workspace, values, chosen)
    terminal.write(f"Execution  {arn}")
    if not wait:
        if output is not None:
            files.merge(output, {"execution_arn": arn})
        terminal.write("Look at it with `python build_pipeline.py status`.")
        return 0
    steps = chosen.steps if chosen else [step["Name"] for step in document["Steps"]]
    outcome.report(workspace, progress.follow(workspace, arn, steps), output)
    return 0


def retry(workspace: Workspace, *, execution: str | None, wait: bool) -> int:
    """Let a failed or stopped execution, the latest without a name, go on where it ended."""
    found = executions.read(workspace, executions.find_arn(workspace, execution))
    if found.status not in _RETRIED:
        raise UsageError(
            f"Execution {found.id} cannot be retried: it must be {' or '.join(_RETRIED)}, "
            f"and is {found.status}."
        )
    workspace.sagemaker.retry_pipeline_execution(
        PipelineExecutionArn=found.arn, ClientRequestToken=uuid.uuid4().hex
    )
    workspace.terminal.write(f"Execution  {found.arn} goes on")
    if wait:
        outcome.report(workspace, progress.follow(workspace, found.arn))
    return 0


def start(workspace: Workspace, values: dict[str, str], chosen: Selection | None) -> str:
    """Start an execution of the deployed pipeline, or of chosen steps, and return its ARN."""
    answer = workspace.sagemaker.start_pipeline_execution(
        PipelineName=workspace.settings.pipeline_name,
        ClientRequestToken=uuid.uuid4().hex,
        PipelineParameters=[{"Name": name, "Value": value} for name, value in values.items()],
        **({"SelectiveExecutionConfig": chosen.config} if chosen else {}),
    )
    return str(answer["PipelineExecutionArn"])


def git_commit(folder: Path) -> str | None:
    """Return the commit of a work tree, with ``-dirty`` after it if files differ; None without."""
    try:
        answer = subprocess.run(
            [
                "git",
                "--no-optional-locks",
                "describe",
                "--always",
                "--dirty",
                "--abbrev=40",
                "--exclude=*",
            ],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return answer.stdout.strip() or None
