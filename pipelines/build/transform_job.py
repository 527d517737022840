"""A transform job of a registered version: its model made, followed, stopped, cleaned up."""

import json
import re
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from pipelines.build import policies
from pipelines.build.clients import Workspace
from pipelines.build.errors import BuildError, StoppedError, translated
from pipelines.build.registry import Version
from pipelines.build.terminal import seconds

LOG_GROUP: Final = "/aws/sagemaker/TransformJobs"
_RUNNING: Final = ("InProgress", "Stopping")
_SHORTEST_PAUSE = 0.2
_LONGEST_PAUSE = 5.0
_STOP_SECONDS = 120.0
_LONGEST_PREFIX = 40
# A line of the data log: the object that it is about, and what is said of it.
_TOLD = re.compile(r"\[sagemaker logs\]: (?P<name>\S+): ?(?P<text>.*)")

Job = dict[str, Any]


class Interrupted(BuildError):  # noqa: N818 - nothing went wrong
    """The user stopped the job."""

    exit_code = 130


@contextmanager
def model_of(workspace: Workspace, version: Version) -> Iterator[str]:
    """A model of a version, there while the block runs, however it ends."""
    name = _new_name(workspace)
    workspace.sagemaker.create_model(
        ModelName=name,
        Containers=[{"ModelPackageName": version.arn}],
        ExecutionRoleArn=workspace.settings.role_arn,
        EnableNetworkIsolation=True,
        Tags=policies.tags(workspace.settings),
    )
    try:
        yield name
    finally:
        try:
            with translated():
                workspace.sagemaker.delete_model(ModelName=name)
        except BuildError as error:
            workspace.terminal.complain(f"The model {name} could not be deleted: {error}")


def start(workspace: Workspace, model: str, rows: str, scores: str, instance_type: str) -> str:
    """Start a job that sends each object below ``rows`` in one request; returns its name."""
    name = model
    answer = workspace.sagemaker.create_transform_job(
        TransformJobName=name,
        ModelName=model,
        MaxPayloadInMB=6,
        MaxConcurrentTransforms=2,
        TransformInput={
            "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": rows}},
            "ContentType": "text/csv",
            "SplitType": "None",
        },
        TransformOutput={"S3OutputPath": f"{scores}/{name}", "Accept": "text/csv"},
        TransformResources={"InstanceType": instance_type, "InstanceCount": 1},
        Tags=policies.tags(workspace.settings),
    )
    workspace.terminal.write(f"Job        {answer['TransformJobArn']}")
    return name


def follow(workspace: Workspace, name: str, sleep: Callable[[float], None] = time.sleep) -> Job:
    """Show a job until it ends and return its description.

    Ctrl-C stops the job and raises Interrupted when it has ended. Raises StoppedError for a job
    that somebody else stopped.
    """
    terminal = workspace.terminal
    began = time.monotonic()
    seen = ""
    try:
        while True:
            job = _describe(workspace, name)
            status, took = job["TransformJobStatus"], time.monotonic() - began
            if terminal.live:
                terminal.draw([(f"Transform  {status}  {seconds(took)}", _kind(status))])
            elif status != seen:
                ended = "" if status in _RUNNING else seconds(took)
                terminal.write(
                    f"{time.strftime('%H:%M:%S')}  Transform  {status}  {ended}".rstrip()
                )
            seen = status
            if status not in _RUNNING:
                break
            sleep(min(_LONGEST_PAUSE, max(_SHORTEST_PAUSE, took / 25)))
    except KeyboardInterrupt:
        _stop(workspace, name, sleep)
        raise Interrupted(
            f"Interrupted: the job {name} was stopped; nothing was written."
        ) from None
    if job["TransformJobStatus"] == "Stopped":
        raise StoppedError(f"The job {name} was stopped; nothing was written.")
    return job


def complaint(workspace: Workspace, job: Job) -> tuple[str | None, str]:
    """Return which object a job failed at and the model's own words; None and AWS's reason else.

    AWS has the model's words in the job's data log only.
    """
    reason = str(job.get("FailureReason", "AWS gives no reason."))
    said: dict[str, list[str]] = {}
    for message in _log(workspace, job["TransformJobName"]):
        told = _TOLD.search(message)
        if told is not None and told["name"].endswith(".csv"):
            said.setdefault(told["name"], []).append(told["text"])
    if not said:
        return None, reason
    name = min(said)
    _, found, words = "\n".join(said[name]).partition("Message:\n")
    return name.rpartition("/")[2], _error(words.strip()) if found else " ".join(said[name])


def _error(words: str) -> str:
    """Return the text of a JSON error as the handlers write it; other words as they are."""
    try:
        return str(json.loads(words)["error"])
    except (ValueError, KeyError, TypeError):
        return words


def _log(workspace: Workspace, name: str) -> list[str]:
    """Return the lines of a job's data log; none if there is no log, or none that may be read."""
    client = workspace.client("logs")
    pages = client.get_paginator("filter_log_events").paginate(
        logGroupName=LOG_GROUP,
        logStreamNamePrefix=f"{name}/",
        filterPattern='"[sagemaker logs]"',
    )
    try:
        return [str(event["message"]) for page in pages for event in page["events"]]
    except client.exceptions.ClientError:
        return []


def _describe(workspace: Workspace, name: str) -> Job:
    with translated():
        job: Job = workspace.sagemaker.describe_transform_job(TransformJobName=name)
    return job


def _stop(workspace: Workspace, name: str, sleep: Callable[[float], None]) -> None:
    """Stop a job and wait until it has ended; one that ends just now needs no stop."""
    workspace.terminal.complain(f"Stopping the job {name} ...")
    client = workspace.sagemaker
    end = time.monotonic() + _STOP_SECONDS
    try:
        client.stop_transform_job(TransformJobName=name)
    except client.exceptions.ClientError:
        if _describe(workspace, name)["TransformJobStatus"] in _RUNNING:
            raise
    while _describe(workspace, name)["TransformJobStatus"] in _RUNNING and time.monotonic() < end:
        sleep(_SHORTEST_PAUSE)


def _new_name(workspace: Workspace) -> str:
    """Return a name that nothing has; the model and its job share it."""
    prefix = workspace.settings.pipeline_name[:_LONGEST_PREFIX].rstrip("-")
    return f"{prefix}-transform-{uuid.uuid4().hex[:12]}"


def _kind(status: str) -> str:
    return {"Completed": "good", "Failed": "bad", "Stopped": "bad"}.get(status, "")
