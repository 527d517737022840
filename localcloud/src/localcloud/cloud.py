"""All parts of a localcloud, put together over one state folder."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
from collections.abc import Mapping
from functools import wraps
from typing import Any

from localcloud.addresses import Address
from localcloud.autoscaling.service import Autoscaling
from localcloud.aws_records import AwsRecords
from localcloud.clock import Clock
from localcloud.cloudformation.service import CloudFormation
from localcloud.cloudwatch import endpoint_metrics, http_api_metrics
from localcloud.cloudwatch.counted import CountedMetrics
from localcloud.cloudwatch.service import CloudWatch
from localcloud.containers.environments import Images
from localcloud.containers.errors import ContainerError
from localcloud.containers.images import SAGEMAKER
from localcloud.containers.records import end_leftovers
from localcloud.containers.runtime import Runtime
from localcloud.errors import InvalidParameterException, ResourceNotFound
from localcloud.forward import forward_to
from localcloud.functions.packages import Packages
from localcloud.functions.server import Ground as FunctionGround
from localcloud.functions.service import Lambda
from localcloud.gateway import Gateway
from localcloud.housekeeping import Housekeeping, versions
from localcloud.http_api.service import HttpApis
from localcloud.logs import Logs
from localcloud.protocol import Caller, Document, Operation, Service
from localcloud.s3.app import S3Application
from localcloud.s3.objects import ObjectStore
from localcloud.sagemaker.executions import Executions
from localcloud.sagemaker.hosting.fleet import Ground
from localcloud.sagemaker.hosting.service import Hosting
from localcloud.sagemaker.jobs import Jobs
from localcloud.sagemaker.models import Models
from localcloud.sagemaker.pipelines import Pipelines
from localcloud.sagemaker.registry import Registry
from localcloud.sagemaker.steps import StepExecutor
from localcloud.sagemaker.tags import Tags
from localcloud.sagemaker.transform_jobs import TransformJobs
from localcloud.sagemaker.tunings import Tunings
from localcloud.store import Store
from localcloud.traffic import Traffic

ACCOUNT = "000000000000"
_BEFORE_JOBS = ("CreatePipeline", "UpdatePipeline", "DescribePipeline", "StartPipelineExecution")


class Cloud:
    """The services of one address; `gateway` is their WSGI application.

    Opening a folder ends what an earlier process left running and reports it as failed.
    """

    def __init__(self, address: Address, clock: Clock | None = None) -> None:
        state = address.state
        self.state = state
        self._clock = clock = clock or Clock()
        self._began = clock.elapsed()
        self.store = Store(state / "state.db", clock)
        records = AwsRecords(state / "records", ACCOUNT)
        objects = ObjectStore(state / "s3", clock.date)
        self.cloudwatch = CloudWatch(self.store, state / "metrics.db", records.publish, clock.now)
        tags = Tags(self.store)

        def job_environment(region: str) -> Mapping[str, str]:
            return address.variables({"AWS_REGION": region})

        logs = Logs(self.store)
        end_leftovers(state)
        self._images = Images()
        self._warmed: set[str] = set()
        self.runtime = Runtime(state, self._images)
        registry = Registry(self.store, objects, tags)
        models = Models(self.store, objects, registry, tags)
        self.jobs = Jobs(
            self.store,
            objects,
            tags,
            logs,
            self.runtime,
            state / "jobs",
            job_environment,
            TransformJobs(models, logs, job_environment),
        )
        self.jobs.end_leftovers()
        counts = {
            kind: CountedMetrics(
                self.cloudwatch.metrics, ACCOUNT, metrics.NAMESPACE, metrics.data
            ).record
            for kind, metrics in (("endpoints", endpoint_metrics), ("http_apis", http_api_metrics))
        }
        self.traffic = Traffic(state, ACCOUNT, objects, counts)
        self.functions = Lambda(
            self.store,
            FunctionGround(
                self.runtime, Packages(objects, address.url), state / "functions", job_environment
            ),
            logs,
            self.traffic,
        )
        self.http_apis = HttpApis(
            self.store, self.traffic, logs, address.data_url, state / "http-apis"
        )
        self._pipelines = pipelines = Pipelines(self.store, objects, tags)
        self.tunings = Tunings(self.store, self.jobs, tags)
        self.tunings.end_leftovers()
        autoscaling = Autoscaling(self.store, self._has_variant)
        self.hosting = Hosting(
            self.store,
            models,
            tags,
            Ground(self.runtime, objects, logs, state / "endpoints", job_environment),
            self.traffic,
            self.cloudwatch.alarms.state,
            autoscaling.targets.is_registered,
        )
        self.cloudformation = CloudFormation(self.store, objects, address)
        steps = StepExecutor(
            self.store, self.jobs, self.tunings, models, registry, self.functions.invoke
        )
        self.executions = Executions(self.store, objects, pipelines, steps)
        self.executions.end_leftovers()
        sagemaker: dict[str, Operation] = {}
        parts = (
            *(registry, models, self.jobs, self.tunings, pipelines, self.executions, tags),
            self.hosting,
        )
        for part in parts:
            sagemaker |= part.operations()
        sagemaker |= {name: self._warming(sagemaker[name]) for name in _BEFORE_JOBS}
        self._housekeeping = Housekeeping(state, self.store, objects)
        self.gateway = Gateway(
            account=ACCOUNT,
            services={
                "sagemaker": Service("sagemaker", sagemaker),
                "logs": Service("logs", logs.operations(), InvalidParameterException),
                "monitoring": self.cloudwatch.service,
                "application-autoscaling": autoscaling.service,
                "cloudformation": self.cloudformation.service,
                "lambda": self.functions.service,
                "apigateway": self.http_apis.service,
            },
            s3=S3Application(objects, ACCOUNT),
            others=records.applications(),
            runtime=forward_to(address.data_port),
            control=self.control,
        )
        self.cloudwatch.start()

    def open(self, listener: socket.socket) -> None:
        """Serve endpoints on a listening socket, those of an earlier process at once."""
        self.hosting.restore()
        self.functions.restore()
        self.http_apis.restore()
        self.traffic.open(listener)
        self.cloudformation.start()

    def control(self, method: str, question: str, body: bytes) -> Mapping[str, Any]:
        """Answers for the command line; what changes something is a POST, which no link makes."""
        match method, question:
            case "GET", "status":
                return {
                    "pid": os.getpid(),
                    "state": str(self.state.absolute()),
                    "seconds": self._clock.elapsed() - self._began,
                }
            case "GET", "running":
                return {"versions": versions(), **self._housekeeping.running()}
            case "POST", "prune":
                settings = json.loads(body)
                age, dry_run = float(settings["older_than"]), bool(settings["dry_run"])
                return {"found": self._housekeeping.prune(age, dry_run=dry_run)}
            case _:
                raise ResourceNotFound(
                    f"There is no {method} {question!r}; known: GET status, GET running, POST prune"
                )

    def _has_variant(self, caller: Caller, endpoint: str, variant: str) -> bool:
        return self.hosting.has_variant(caller, endpoint, variant)

    def _warming(self, operation: Operation) -> Operation:
        """A call on a pipeline, after which the images of its jobs are made ready.

        Not before: the libraries that the images hold loaded take some 300 MB.
        """

        @wraps(operation)
        def call(caller: Caller, request: Document) -> Document | None:
            answer = operation(caller, request)
            text = self._pipelines.find(caller, request["PipelineName"])["PipelineDefinition"]
            names = {f"{image.repository}:{image.tag}" for image in SAGEMAKER}
            wanted = {name for name in names - self._warmed if name in text}
            self._warmed |= wanted
            for name in wanted:
                threading.Thread(target=self._warm, args=(name,), daemon=True).start()
            return answer

        return call

    def _warm(self, image: str) -> None:
        with contextlib.suppress(ContainerError):  # the job that needs it will tell
            if self._images.is_built(image):
                self.runtime.prestart(image)

    def close(self) -> None:
        """Stop executions, jobs and endpoints, and let go of the files."""
        self.cloudformation.close()
        self.hosting.stop()
        self.traffic.close()
        self.functions.close()
        self.executions.close()
        self.tunings.close()
        self.jobs.close()
        self.hosting.close()
        self.runtime.close()
        self.cloudwatch.close()
        self.store.close()
