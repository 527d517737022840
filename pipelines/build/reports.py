"""The page that the evaluation wrote about a model, beside its metrics in S3."""

import webbrowser
from typing import Any, Final

from pipelines.build import files, registry
from pipelines.build.clients import WORK, Workspace
from pipelines.build.errors import UsageError, is_missing

_NAME: Final = "report.html"


def find(s3: Any, folder: str) -> str | None:
    """Return the URI of the report in a folder of S3, or None if there is none."""
    from botocore.exceptions import ClientError  # noqa: PLC0415

    uri = f"{folder}/{_NAME}"
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    try:
        s3.head_object(Bucket=bucket, Key=key)
    except ClientError as error:
        if is_missing(error):
            return None
        raise
    return uri


def command(workspace: Workspace, *, version: str, show: bool) -> int:
    """Download the report of a version, print where it is, and with ``show`` open it."""
    found = registry.find(workspace, version)
    folder = registry.evaluation_folder(registry.describe(workspace, found))
    uri = find(workspace.s3, folder) if folder else None
    if uri is None:
        place = f" in {folder}" if folder else ": it was registered without metrics"
        raise UsageError(f"Version {found.number} has no {_NAME}{place}.")
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    path = WORK / f"report-{found.number}.html"
    body = workspace.s3.get_object(Bucket=bucket, Key=key)["Body"].read()
    files.write(path, body.decode())
    workspace.terminal.write(str(path))
    if show and not webbrowser.open(path.as_uri()):
        workspace.terminal.complain(f"There is no browser to open {path} with.")
    return 0
