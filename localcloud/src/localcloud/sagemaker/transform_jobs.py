"""Transform jobs: what is looked up for one before it runs."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from localcloud.clock import Timeline
from localcloud.containers.serving import ModelContainer
from localcloud.containers.transform.settings import environment
from localcloud.logs import Logs
from localcloud.protocol import Caller, Document
from localcloud.sagemaker.job_kinds import TRANSFORM
from localcloud.sagemaker.models import Models
from localcloud.sagemaker.transform_run import TransformInstance, TransformRun


class TransformJobs:
    """Makes runs of transform jobs. `where` gives what containers of a region hear of AWS."""

    def __init__(
        self, models: Models, logs: Logs, where: Callable[[str], Mapping[str, str]]
    ) -> None:
        self._models = models
        self._logs = logs
        self._where = where

    def check(self, caller: Caller, request: Document) -> None:
        """Raise ValidationException unless the job's model is there and can be served."""
        self._models.containers(caller, request["ModelName"])

    def prepare(
        self,
        caller: Caller,
        job: Document,
        folder: Path,
        logs: Path,
        timeline: Timeline,
        update: Callable[[Document], None],
    ) -> TransformRun:
        """The run of a job: its model's containers as they are now, its instances, its logs."""
        name = job["ModelName"]
        own = environment(job)
        containers = tuple(
            replace(each, environment={**each.environment, **own})
            for each in self._models.containers(caller, name)
        )
        count = job["TransformResources"]["InstanceCount"]
        return TransformRun(
            kind=TRANSFORM,
            request=job,
            folder=folder,
            containers=containers,
            instances=tuple(
                self._instance(caller, job, containers, number, logs) for number in range(count)
            ),
            role=self._models.describe(caller, {"ModelName": name}).get("ExecutionRoleArn", ""),
            region=caller.region,
            environment=self._where(caller.region),
            update=update,
            timeline=timeline,
        )

    def _instance(
        self,
        caller: Caller,
        job: Document,
        containers: tuple[ModelContainer, ...],
        number: int,
        logs: Path,
    ) -> TransformInstance:
        """One instance with its logs; those of the first are named like the job alone."""
        name = job["TransformJobName"]
        instance = f"i-{secrets.token_hex(9)[:17]}"
        stream = f"{name}/{instance}-{int(job['CreationTime'])}"
        own = name if number == 0 else f"{name}.{number + 1}"
        data_log = logs / f"{own}.data-log.log"
        # Where a model has one container AWS leaves its name out.
        suffixes = [f"/{each.hostname}" for each in containers] if len(containers) > 1 else [""]
        files = [logs / f"{own}.{n}.log" for n, _ in enumerate(containers)]
        paired = [*zip(suffixes, files, strict=True), ("/data-log", data_log)]
        return TransformInstance(
            id=instance,
            logs=tuple(files),
            data_log=data_log,
            streams=tuple(
                self._logs.open(caller, TRANSFORM.log_group, f"{stream}{suffix}", path)
                for suffix, path in paired
            ),
        )
