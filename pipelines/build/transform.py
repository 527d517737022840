"""Scoring a csv with an approved version: rows up, a transform job, scores beside the rows."""

import re
import tempfile
from collections.abc import Sequence
from pathlib import Path

from pipelines.build import registry, rows, transform_job
from pipelines.build.clients import Workspace
from pipelines.build.errors import ExecutionFailedError, UsageError
from pipelines.build.registry import Version
from pipelines.build.rows import Part, Table
from pipelines.build.terminal import seconds

# A text in quotes is a value of the user's own, whatever it says.
_ROW = re.compile(r"'[^']*'|\"[^\"]*\"|\b[Rr]ow (\d+)\b")


def command(
    workspace: Workspace,
    *,
    file: Path,
    version: str | None,
    output: Path | None,
    instance_type: str,
) -> int:
    """Write the rows of a csv with their scores and predicted labels, by an approved version."""
    output = output or file.with_name(f"{file.stem}.scored.csv")
    _check_output(file, output)
    terminal = workspace.terminal
    rows.open_table(file, ())  # an unreadable file is told before AWS is asked
    chosen = registry.find_approved(workspace, version, "used")
    table = rows.open_table(file, _columns(workspace, chosen))
    terminal.write(f"Version    {chosen.number}: {chosen.arn}")
    with tempfile.TemporaryDirectory(prefix="transform-") as folder:
        work = Path(folder)
        parts, digest = rows.cut(table, work)
        home = workspace.settings.uri("transform", digest)
        _upload(workspace, parts, f"{home}/rows")
        with transform_job.model_of(workspace, chosen) as model:
            name = transform_job.start(
                workspace, model, f"{home}/rows/", f"{home}/scores", instance_type
            )
            job = transform_job.follow(workspace, name)
        if job["TransformJobStatus"] != "Completed":
            raise _failure(workspace, job, table, parts)
        _download(workspace, parts, f"{home}/scores/{name}", work)
        total, positives = rows.join(table, parts, work, output)
    took = (job["TransformEndTime"] - job["CreationTime"]).total_seconds()
    terminal.write(
        f"Scored     {total} rows in {seconds(took)}; {positives} are predicted failures"
    )
    terminal.write(f"Written    {output}")
    return 0


def _check_output(file: Path, output: Path) -> None:
    if output.is_dir():
        raise UsageError(f"--output must name a file; {output} is a folder.")
    if output.resolve() == file.resolve():
        raise UsageError(f"--output must be another file than {file}.")


def _columns(workspace: Workspace, version: Version) -> list[str]:
    """Return the names of the columns that a version takes, in their order."""
    uri, document = registry.contract(workspace, version)
    try:
        return [str(column["name"]) for column in document["columns"]]
    except (KeyError, TypeError) as error:
        raise UsageError(f"{uri} must be a deployment.json with columns: {error}.") from error


def _upload(workspace: Workspace, parts: Sequence[Part], uri: str) -> None:
    """Store the parts that are not there yet; the folder's name is their content's hash."""
    bucket, prefix = _split(uri)
    pages = workspace.s3.get_paginator("list_objects_v2").paginate(
        Bucket=bucket, Prefix=f"{prefix}/"
    )
    there = {each["Key"] for page in pages for each in page.get("Contents", [])}
    missing = [part for part in parts if f"{prefix}/{part.path.name}" not in there]
    for part in missing:
        workspace.s3.upload_file(str(part.path), bucket, f"{prefix}/{part.path.name}")
    how = "uploaded" if missing else "there already"
    count = parts[-1].first + parts[-1].rows - 1
    workspace.terminal.write(f"Rows       {count} in {uri}/ ({how})")


def _download(workspace: Workspace, parts: Sequence[Part], uri: str, folder: Path) -> None:
    bucket, prefix = _split(uri)
    for part in parts:
        name = f"{part.path.name}.out"
        workspace.s3.download_file(bucket, f"{prefix}/{name}", str(folder / name))


def _failure(
    workspace: Workspace, job: transform_job.Job, table: Table, parts: Sequence[Part]
) -> ExecutionFailedError:
    """Say why a job failed, with the rows of the file in place of those of a request."""
    name, words = transform_job.complaint(workspace, job)
    part = next((each for each in parts if each.path.name == name), None)
    if part is not None:
        start = part.first - 1

        def placed(found: re.Match[str]) -> str:
            row = start + int(found[1] or 0)
            if not part.first <= row < part.first + part.rows:
                return found[0]
            return f"{found[0].split()[0]} {row} (line {table.line(row)})"

        words = f"{table.path}: {_ROW.sub(placed, words)}"
    return ExecutionFailedError(
        f"The job {job['TransformJobName']} failed; nothing was written.\n{words}\n"
        f"Its log: group {transform_job.LOG_GROUP}, streams {job['TransformJobName']}/..."
    )


def _split(uri: str) -> tuple[str, str]:
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    return bucket, key
