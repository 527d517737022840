"""What each type of step does when an execution reaches it."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial

from localcloud.clock import Timeline
from localcloud.protocol import Caller, Document, check, service_model
from localcloud.sagemaker.arns import random_id
from localcloud.sagemaker.job_records import STOP_REASON
from localcloud.sagemaker.jobs import Jobs
from localcloud.sagemaker.models import Models
from localcloud.sagemaker.registry import Registry
from localcloud.sagemaker.tunings import Tunings
from localcloud.sagemaker.workflow import lambda_steps
from localcloud.sagemaker.workflow.arguments import OPERATIONS
from localcloud.sagemaker.workflow.cache import cache_key, remember, remembered
from localcloud.sagemaker.workflow.conditions import holds
from localcloud.sagemaker.workflow.definition import Step
from localcloud.sagemaker.workflow.retries import kind_of_failure
from localcloud.sagemaker.workflow.run import Executor, Outcome, StepFailed, StepStopped
from localcloud.sagemaker.workflow.values import Values
from localcloud.store import Store

Show = Callable[[Document], None]
# The member that names what a step makes, and how long AWS lets the name be.
_NAMES = {
    "Processing": ("ProcessingJobName", 63),
    "Training": ("TrainingJobName", 63),
    "Tuning": ("HyperParameterTuningJobName", 32),
    "Transform": ("TransformJobName", 63),
    "Model": ("ModelName", 63),
}
_STATUS = {
    "Processing": "ProcessingJobStatus",
    "Training": "TrainingJobStatus",
    "Tuning": "HyperParameterTuningJobStatus",
    "Transform": "TransformJobStatus",
}


class StepExecutor:
    """Runs one step of an execution through the same calls that a client would make."""

    def __init__(
        self,
        store: Store,
        jobs: Jobs,
        tunings: Tunings,
        models: Models,
        registry: Registry,
        invoke: Callable[[Caller, Document], Document],
    ) -> None:
        """`invoke` is Lambda's Invoke."""
        self._store = store
        self._jobs = jobs
        self._tunings = tunings
        self._models = models
        self._registry = registry
        self._invoke = invoke

    def bind(self, caller: Caller, execution: Document, timeline: Timeline) -> Executor:
        """The executor of one execution's steps; all they start goes by its timeline."""

        def execute(step: Step, values: Values, stopping: threading.Event, show: Show) -> Outcome:
            values = values.knowing({"CurrentDateTime": timestamp(timeline.now())})
            match step.type:
                case "Condition":
                    return _condition(step, values)
                case "RegisterModel":
                    return self._register(caller, execution, step, values)
                case "Model":
                    return self._model(caller, execution, step, values)
                case "Lambda":
                    return self._lambda(caller, step, values, show)
                case "Fail":
                    message = str(values.resolve(step.arguments.get("ErrorMessage", "")))
                    show({"Fail": {"ErrorMessage": message[:3072]}})
                    raise StepFailed(message)
                case _:
                    return self._job(caller, execution, timeline, step, values, stopping, show)

        return execute

    def _job(
        self,
        caller: Caller,
        execution: Document,
        timeline: Timeline,
        step: Step,
        values: Values,
        stopping: threading.Event,
        show: Show,
    ) -> Outcome:
        request = _request(execution, step, values)
        pipeline = _pipeline_and_id(execution)[0]
        key = None
        if step.cache.get("Enabled"):
            key = cache_key(pipeline, step.name, step.type, request)
            entry = remembered(self._store, caller, step.cache, key)
            if entry is not None:
                return Outcome(entry["Properties"], entry["Metadata"], entry["ExecutionArn"])
        name = request[_NAMES[step.type][0]]
        if stopping.is_set():
            raise StepStopped
        if step.type == "Tuning":
            job_arn = self._tunings.create(caller, request, timeline)
        else:
            job_arn = self._jobs.create(caller, step.type, request, timeline)
        metadata = {f"{step.type}Job": {"Arn": job_arn}}
        show(metadata)
        if step.type == "Tuning":
            job = self._tunings.wait(caller, name, stopping)
        else:
            job = self._jobs.wait(caller, step.type, name, stopping)
        status = job[_STATUS[step.type]]
        if status == "Stopped" and stopping.is_set():
            raise StepStopped
        if status != "Completed":
            stopped = job.get(STOP_REASON, f"The job {name} was stopped")
            reason = str(job.get("FailureReason", stopped))
            raise StepFailed(reason, kind_of_failure(step.type, reason))
        if key is not None:
            entry = {
                "Properties": job,
                "Metadata": metadata,
                "ExecutionArn": execution["PipelineExecutionArn"],
                "EndTime": self._store.clock.now(),
            }
            self._store.insist(partial(remember, self._store, caller, key, entry), stopping)
        return Outcome(job, metadata)

    def _register(self, caller: Caller, execution: Document, step: Step, values: Values) -> Outcome:
        request: Document = values.resolve(step.arguments)
        _check("CreateModelPackage", request)
        # A step that was cut off after its package was made does not make another one.
        name = f"{execution['PipelineExecutionArn']}/{step.name}"
        answer = self._registry.create_package(caller, request, step=name)
        package_arn = answer["ModelPackageArn"]
        package = self._registry.describe_package(caller, {"ModelPackageName": package_arn})
        return Outcome(package, {"RegisterModel": {"Arn": package_arn}})

    def _lambda(self, caller: Caller, step: Step, values: Values, show: Show) -> Outcome:
        """Have a function answer; a stop waits for it, as on AWS."""
        arn = str(values.resolve(step.arguments["FunctionArn"]))
        payload = json.dumps(values.resolve(step.arguments["Payload"], nulls=True)).encode()
        show(lambda_steps.shown(arn, {}))
        request = {"FunctionName": arn, "Payload": base64.b64encode(payload).decode()}
        answer = self._invoke(caller, request)
        if answer["FunctionError"] is not None:
            raise StepFailed(lambda_steps.failure(answer["Payload"]))
        try:
            outputs = lambda_steps.outputs_of(answer["Payload"], step.outputs)
        except lambda_steps.WrongAnswer as error:
            raise StepFailed(str(error)) from error
        return Outcome({"OutputParameters": outputs}, lambda_steps.shown(arn, outputs))

    def _model(self, caller: Caller, execution: Document, step: Step, values: Values) -> Outcome:
        request = _request(execution, step, values)
        model_arn = self._models.create(caller, request)["ModelArn"]
        model = self._models.describe(caller, request)
        return Outcome(model, {"Model": {"Arn": model_arn}})


def timestamp(seconds: float) -> str:
    """A time as execution variables give it, in UTC."""
    moment = datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
    return moment.replace("+00:00", "Z")


def _condition(step: Step, values: Values) -> Outcome:
    # Every condition is evaluated by `all`, lazily: the first that is false decides.
    outcome = str(all(holds(condition, values) for condition in step.arguments["Conditions"]))
    return Outcome({"Outcome": outcome}, {"Condition": {"Outcome": outcome}})


def _request(execution: Document, step: Step, values: Values) -> Document:
    """The request of a step that makes something: its arguments, a new name and the role."""
    member, longest = _NAMES[step.type]
    prefix = values.resolve(step.arguments.get(member))
    name = _name(execution, step, prefix, longest)
    request: Document = values.knowing({member: name}).resolve(step.arguments)
    request[member] = name
    match step.type:
        case "Model":
            request.setdefault("ExecutionRoleArn", execution["RoleArn"])
        case "Transform":
            pass  # its model has a role
        case "Tuning":
            request.get("TrainingJobDefinition", {}).setdefault("RoleArn", execution["RoleArn"])
        case _:
            request.setdefault("RoleArn", execution["RoleArn"])
    _check(OPERATIONS[step.type], request)
    return request


def _name(execution: Document, step: Step, prefix: str | None, longest: int) -> str:
    """A name that nothing had: with a prefix of the definition, or in AWS's own form."""
    execution_id = _pipeline_and_id(execution)[1]
    end = f"-{random_id(10)}"
    if prefix is None and longest >= 63:
        prefix = f"pipelines-{execution_id}-{step.name}"
    elif prefix is None:
        prefix = f"{execution_id}-{step.name}"
    return prefix.replace("_", "-")[: longest - len(end)].rstrip("-") + end


def _pipeline_and_id(execution: Document) -> tuple[str, str]:
    resource = execution["PipelineExecutionArn"].split("/", 1)[1]
    pipeline, _, execution_id = resource.partition("/execution/")
    return pipeline, execution_id


def _check(operation: str, request: Document) -> None:
    shape = service_model("sagemaker").operation_model(operation).input_shape
    if shape is not None:
        check(shape, request)
