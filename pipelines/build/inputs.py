"""The data of an execution: uploaded under its content's hash, or where the user says it is."""

from urllib.parse import urlsplit

from pipelines.build.clients import WORK, Workspace
from pipelines.build.errors import UsageError, error_code
from pipelines.predictive_maintenance import data


def fetch() -> data.Dataset:
    """Get the csv onto this machine. Raises UsageError."""
    try:
        return data.fetch(WORK / "data")
    except data.DataUnavailableError as error:
        raise UsageError(f"{error}.") from error


def upload(workspace: Workspace, found: data.Dataset) -> str:
    """Store the csv under its hash, once, and return its URI."""
    uri = workspace.settings.uri("data", found.sha256, data.FILE_NAME)
    bucket, key = _split(uri)
    if _has(workspace, bucket, key):
        workspace.terminal.write(f"Data       {uri} (there already; {found.note})")
    else:
        workspace.s3.upload_file(str(found.path), bucket, key)
        workspace.terminal.write(f"Data       {uri} (uploaded; {found.note})")
    return uri


def check(workspace: Workspace, uri: str) -> None:
    """Raise UsageError if nothing stands behind a URI that the user gave."""
    bucket, key = _split(uri)
    try:
        there = _has(workspace, bucket, key)
    except workspace.s3.exceptions.ClientError as error:
        if error_code(error) != "NoSuchBucket":
            raise
        raise UsageError(f"InputDataUri {uri}: there is no bucket {bucket}.") from error
    if not there:
        raise UsageError(
            f"InputDataUri {uri}: there is no object with this key and none below it. Look with "
            f"`aws s3 ls {uri.rpartition('/')[0]}/`, or leave the parameter out."
        )


def _has(workspace: Workspace, bucket: str, key: str) -> bool:
    """Tell whether there is an object of this key, or one in the folder of this name."""
    exact = workspace.s3.list_objects_v2(Bucket=bucket, Prefix=key, MaxKeys=1).get("Contents", [])
    if not exact or exact[0]["Key"] == key or not key or key.endswith("/"):
        return bool(exact)
    # The first key that starts so may be a neighbour, such as data.csv.old beside data.csv/.
    folder = f"{key}/"
    return bool(workspace.s3.list_objects_v2(Bucket=bucket, Prefix=folder, MaxKeys=1)["KeyCount"])


def _split(uri: str) -> tuple[str, str]:
    parts = urlsplit(uri)
    if parts.scheme != "s3" or not parts.netloc or parts.query or parts.fragment:
        raise UsageError(f"InputDataUri must be s3://bucket/key, not {uri!r}.")
    return parts.netloc, parts.path.removeprefix("/")
