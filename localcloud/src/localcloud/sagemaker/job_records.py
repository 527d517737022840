"""What is stored of processing and training jobs."""

from __future__ import annotations

from localcloud.errors import ResourceNotFound, ValidationException
from localcloud.protocol import Caller, Document
from localcloud.sagemaker.job_kinds import TRAINING, Kind
from localcloud.store import Store

ENDED = ("Completed", "Failed", "Stopped")
STOP_REASON = "StopReason"
"""Why a job was stopped that ran too long: AWS has no member for it, so no description shows it."""


class JobRecords:
    """Jobs by kind and name: their descriptions. A change never gets an older time than the last.

    `now` is the time of a change, in seconds since 1970.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    def find(self, caller: Caller, kind: Kind, name: str) -> Document:
        """A job's description. What is not there is refused in the words of its kind."""
        job = self._store.get(caller, kind.resource, name)
        if job is None:
            if kind is TRAINING:
                raise ValidationException("Requested resource not found.")
            raise ResourceNotFound(f"Could not find requested job with name: {name}")
        return job

    def enter(self, caller: Caller, kind: Kind, name: str, status: str, now: float) -> None:
        """Note a step of a training job's way; other jobs tell of none."""
        if kind is TRAINING:
            with self._store.transaction():
                changes = secondary(self.find(caller, kind, name), status, now)
                self.update(caller, kind, name, changes, now)

    def end(
        self, caller: Caller, kind: Kind, name: str, status: str, changes: Document, now: float
    ) -> None:
        """Store how a job ended."""
        with self._store.transaction():
            job = self.find(caller, kind, name)
            now = max(now, job["LastModifiedTime"])
            final = {kind.status: status, f"{kind.name}EndTime": now, **changes}
            if kind is TRAINING:
                final |= secondary(job, final.get("SecondaryStatus", status), now)
            self.update(caller, kind, name, final, now)

    def update(self, caller: Caller, kind: Kind, name: str, changes: Document, now: float) -> None:
        """Change a job's description."""
        with self._store.transaction():
            job = self.find(caller, kind, name)
            job |= changes | {"LastModifiedTime": max(now, job["LastModifiedTime"])}
            self._store.put(caller, kind.resource, name, job)


def secondary(job: Document, status: str, now: float) -> Document:
    """SecondaryStatus and its transitions after a training job enters `status`."""
    transitions = [dict(item) for item in job.get("SecondaryStatusTransitions", [])]
    if transitions:
        transitions[-1]["EndTime"] = now
    transitions.append({"Status": status, "StartTime": now, "StatusMessage": status})
    return {"SecondaryStatus": status, "SecondaryStatusTransitions": transitions}
