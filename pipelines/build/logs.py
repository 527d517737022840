"""A step's log: what its job's containers wrote, from CloudWatch."""

import time
from collections.abc import Callable, Iterator
from typing import Any

from pipelines.build import definition, executions
from pipelines.build.clients import Workspace
from pipelines.build.errors import UsageError, is_missing
from pipelines.build.executions import Step
from pipelines.build.parameters import suggestion

_PAUSE = 1.0
_OVERLAP = 10_000  # milliseconds that are asked for again: CloudWatch may show a line late


def command(
    workspace: Workspace,
    *,
    step: str,
    execution: str | None,
    follow: bool,
    sleep: Callable[[float], None] = time.sleep,
) -> int:
    """Print a step's log; with ``follow`` go on until the step ends; say why a step failed."""
    arn = executions.find_arn(workspace, execution)
    while (found := _find(workspace, arn, step, wait=follow)) is None:
        sleep(_PAUSE)
    if found.job is None and found.reused:
        raise UsageError(f"Step {step} was not run by this execution: its result was reused.")
    if found.job is None:
        reason = found.failure or "it runs no job."
        raise UsageError(f"Step {step} has no log: {reason}")
    group, job = found.job
    terminal = workspace.terminal
    if found.cached:
        terminal.complain(f"Step {step} is cached: this is the log of the earlier job {job}.")
    reader = _Reader(workspace.client("logs"), group, job)
    while True:
        # Asked before the lines are read, so that the last lines are read after the end.
        ended = found.ended is not None
        for line in reader.lines():
            terminal.write(line)
        if ended or not follow:
            break
        sleep(_PAUSE)
        found = _find(workspace, arn, step, wait=True) or found
        if found.job is not None and found.job != (group, job):  # the step is tried once more
            group, job = found.job
            terminal.complain(f"Step {step} is tried again, as job {job}.")
            reader = _Reader(workspace.client("logs"), group, job)
    if not reader.found:
        terminal.complain(f"Job {job} has written nothing to {group} yet.")
    if found.failure:
        terminal.complain(f"Step {step} {found.status.lower()}: {found.failure}")
    return 0


def _find(workspace: Workspace, arn: str, name: str, *, wait: bool) -> Step | None:
    """Return the step; None when it may still come and ``wait`` allows it. Raises UsageError."""
    execution = executions.read(workspace, arn)
    for step in execution.steps:
        if step.name == name and (step.job or step.ended or not wait):
            return step
    document = executions.definition_of(workspace, arn)
    known = [each["Name"] for each in definition.steps(document)]
    if name not in known:
        raise UsageError(
            f"The pipeline has no step {name}{suggestion(name, known)} It has {', '.join(known)}."
        )
    if wait and execution.running:
        return None
    raise UsageError(f"Step {name} of execution {execution.id} was not started.")


class _Reader:
    """Reads each line of a job's streams once; a stream's name starts with the job's."""

    def __init__(self, client: Any, group: str, job: str) -> None:
        self._client = client
        self._request: dict[str, Any] = {"logGroupName": group, "logStreamNamePrefix": f"{job}/"}
        self._seen: dict[str, int] = {}
        self._last = 0
        self.found = False

    def lines(self) -> Iterator[str]:
        """Go through the lines that are new since the last call; empty without a log yet."""
        if self._last:
            since = max(0, self._last - _OVERLAP)
            self._request["startTime"] = since
            self._seen = {event: time for event, time in self._seen.items() if time >= since}
        pages = self._client.get_paginator("filter_log_events").paginate(**self._request)
        try:
            for page in pages:
                for event in page["events"]:
                    if event["eventId"] not in self._seen:
                        self._seen[event["eventId"]] = event["timestamp"]
                        self._last = max(self._last, event["timestamp"])
                        self.found = True
                        yield _line(event)
        except self._client.exceptions.ClientError as error:
            if not is_missing(error):
                raise


def _line(event: dict[str, Any]) -> str:
    """Return an event's message, with the host before it for any but the first."""
    host = str(event["logStreamName"]).rpartition("/")[2].split("-")[:2]
    prefix = "" if host == ["algo", "1"] else f"[{'-'.join(host)}] "
    return prefix + str(event["message"]).rstrip("\n")
