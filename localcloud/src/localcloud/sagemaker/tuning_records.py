"""What is stored of hyperparameter tuning jobs."""

from __future__ import annotations

from localcloud.containers.outcome import REASON_LIMIT, shortened
from localcloud.errors import ResourceNotFound
from localcloud.protocol import Caller, Document
from localcloud.store import Store

KIND = "hyper-parameter-tuning-job"
NAME = "HyperParameterTuningJobName"
STATUS = "HyperParameterTuningJobStatus"


class TuningRecords:
    """Tuning jobs by name: their description, and in `Trials` the training jobs they made."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def end_leftovers(self) -> None:
        """Report as failed what an earlier process left running; to be called at the start."""
        reason = "InternalServerError: localcloud ended while this job ran"
        for caller, name, tuning in self._store.everywhere(KIND):
            if tuning[STATUS] in ("InProgress", "Stopping"):
                now = self._store.clock.after(tuning["LastModifiedTime"])
                self.end(caller, name, "Failed", reason, now)

    def find(self, caller: Caller, name: str) -> Document:
        """A tuning job by its name. Raises ResourceNotFound."""
        tuning = self._store.get(caller, KIND, name)
        if tuning is None:
            raise ResourceNotFound(
                f"Amazon SageMaker can't find a hyperparameter tuning job with name {name}"
            )
        return tuning

    def add_trial(self, caller: Caller, name: str, trial: Document, now: float) -> None:
        """Note a training job that a tuning job has made."""
        with self._store.transaction():
            trials = self.find(caller, name)["Trials"]
            self.update(caller, name, {"Trials": [*trials, trial]}, now)

    def end(self, caller: Caller, name: str, status: str, reason: str | None, now: float) -> None:
        """Store how a tuning job ended, and when."""
        changes: Document = {STATUS: status, "HyperParameterTuningEndTime": now}
        if reason is not None:
            changes["FailureReason"] = shortened(reason, REASON_LIMIT)
        self.update(caller, name, changes, now)

    def update(self, caller: Caller, name: str, changes: Document, now: float) -> None:
        """Change a tuning job's description."""
        with self._store.transaction():
            tuning = self.find(caller, name)
            last = max(now, tuning["LastModifiedTime"])
            tuning |= changes | {"LastModifiedTime": last}
            self._store.put(caller, KIND, name, tuning)
