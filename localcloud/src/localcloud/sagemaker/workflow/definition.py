"""A pipeline definition, read and checked before anything runs."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from localcloud.errors import ValidationException
from localcloud.sagemaker.workflow.arguments import check_arguments
from localcloud.sagemaker.workflow.cache import check_cache
from localcloud.sagemaker.workflow.conditions import check_condition
from localcloud.sagemaker.workflow.expressions import (
    check_functions,
    check_members,
    check_operand,
    references,
)
from localcloud.sagemaker.workflow.lambda_steps import read_outputs
from localcloud.sagemaker.workflow.parameters import (
    Parameter,
    check_parameter,
    given_values,
    read_parameters,
)
from localcloud.sagemaker.workflow.properties import check_property
from localcloud.sagemaker.workflow.retries import RetryPolicy, read_policies

VERSION = "2020-12-01"
STEP_TYPES = (
    "Processing", "Training", "Tuning", "Transform", "Lambda", "Condition", "Model",
    "RegisterModel", "Fail",
)  # fmt: skip
_NOT_YET = ("QualityCheck",)
VARIABLES = (
    "StartDateTime",
    "CurrentDateTime",
    "PipelineName",
    "PipelineArn",
    "PipelineExecutionId",
    "PipelineExecutionArn",
)
# Known inside the steps of one type only: the name of the job that the step creates.
_JOB_NAMES = {"TrainingJobName": "Training", "ProcessingJobName": "Processing"}
# What the SDKs write at the top and at a step; what is left out counts as null.
_MEMBERS = ("Metadata", "Parameters", "PipelineExperimentConfig", "MlflowConfig")
_STEP_MEMBERS = (
    "Arguments", "DependsOn", "DisplayName", "Description", "CacheConfig", "RetryPolicies",
    "PropertyFiles",
)  # fmt: skip
_LAMBDA_MEMBERS = ("FunctionArn", "OutputParameters")
_NAME = re.compile(r"[A-Za-z0-9\-_]{1,64}")
_MAX_MESSAGE = 3072


@dataclass(frozen=True)
class Step:
    """One step; `after` are the steps that it waits for, beside the condition it stands in."""

    name: str
    type: str
    arguments: dict[str, Any]
    after: frozenset[str]
    cache: dict[str, Any]
    retries: tuple[RetryPolicy, ...]
    property_files: dict[str, dict[str, str]]
    outputs: dict[str, str]
    """A function's outputs by name, with their types."""
    display_name: str | None
    description: str | None
    if_steps: tuple[Step, ...] = ()
    else_steps: tuple[Step, ...] = ()

    def everything(self) -> Iterator[Step]:
        """This step and the steps of its branches."""
        yield self
        for inner in (*self.if_steps, *self.else_steps):
            yield from inner.everything()

    def branch(self, properties: dict[str, Any]) -> tuple[Step, ...]:
        """The steps that a condition chose, from the properties it left."""
        return self.if_steps if properties.get("Outcome") == "True" else self.else_steps


@dataclass(frozen=True)
class Definition:
    """A definition that localcloud can run to its end."""

    parameters: dict[str, Parameter]
    steps: tuple[Step, ...]

    def everything(self) -> Iterator[Step]:
        """All steps, those of the branches too."""
        for step in self.steps:
            yield from step.everything()

    def values(self, given: list[dict[str, str]]) -> dict[str, Any]:
        """Every parameter's value, from what an execution was given and from the defaults."""
        return given_values(self.parameters, given)


def read_definition(text: str) -> Definition:
    """Read a definition; whatever localcloud could not run is refused here, by name."""
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValidationException(f"The pipeline definition is not JSON: {error}") from error
    if not isinstance(document, dict) or document.get("Version") != VERSION:
        raise ValidationException(f"The pipeline definition's Version must be {VERSION!r}")
    check_members(document, ("Version", "Steps"), _MEMBERS, "The definition")
    parameters = dict(read_parameters(document.get("Parameters") or []))
    _check_top(document, parameters)
    definition = Definition(parameters, tuple(_steps(document.get("Steps"), "Steps")))
    _check_names(definition)
    for step in definition.everything():
        _check_references(definition, step)
    _check_cycles(definition)
    return definition


def _check_top(document: dict[str, Any], parameters: dict[str, Parameter]) -> None:
    """Experiments have no effect here, but what names one is checked as AWS checks it."""
    if document.get("MlflowConfig") is not None:
        raise ValidationException("MlflowConfig of a pipeline definition is not emulated")
    config, where = document.get("PipelineExperimentConfig"), "PipelineExperimentConfig"
    if config is None:
        return
    check_members(config, (), ("ExperimentName", "TrialName"), where)
    for name, value in config.items():
        check_operand(value, f"{where}: {name}")
    for root, *path in references(config):
        if root == "Parameters":
            check_parameter(parameters, path, where)
        elif root != "Execution" or len(path) > 1 or path[0] not in VARIABLES:
            raise ValidationException(
                f"{where} can name parameters and the execution variables "
                f"{', '.join(VARIABLES)}, not {'.'.join((root, *path))!r}"
            )


def _steps(items: Any, where: str) -> Iterator[Step]:
    if not isinstance(items, list):
        raise ValidationException(f"{where} must be a list of steps, not {items!r}")
    for item in items:
        if not isinstance(item, dict):
            raise ValidationException(f"{where}: a step must be an object, not {item!r}")
        name, kind = item.get("Name", ""), item.get("Type", "")
        if kind in _NOT_YET:
            raise ValidationException(
                f"Step [{name}] has type {kind!r}, which is not emulated yet; "
                f"it runs {', '.join(STEP_TYPES)}"
            )
        if kind not in STEP_TYPES:
            raise ValidationException(
                f"Step [{name}] has type {kind!r}, which localcloud does not run; "
                f"it runs {', '.join(STEP_TYPES)}"
            )
        yield _step(name, kind, item)


def _step(name: str, kind: str, item: dict[str, Any]) -> Step:
    where = f"Step [{name}]"
    more = _LAMBDA_MEMBERS if kind == "Lambda" else ()
    check_members(item, ("Name", "Type"), (*_STEP_MEMBERS, *more), where)
    if not isinstance(item.get("Arguments", {}), dict):
        raise ValidationException(f"{where}: Arguments must be an object")
    arguments = dict(item.get("Arguments", {}))
    branches: dict[str, tuple[Step, ...]] = {"if_steps": (), "else_steps": ()}
    if kind == "Condition":
        branches["if_steps"] = tuple(_steps(arguments.pop("IfSteps", None) or [], where))
        branches["else_steps"] = tuple(_steps(arguments.pop("ElseSteps", None) or [], where))
        check_members(arguments, ("Conditions",), (), where)
        if not isinstance(arguments["Conditions"], list):
            raise ValidationException(f"{where}: Conditions must be a list")
        for condition in arguments["Conditions"]:
            check_condition(condition, where)
    elif kind == "Fail":
        check_members(arguments, (), ("ErrorMessage",), where)
        message = arguments.get("ErrorMessage", "")
        check_operand(message, f"{where}: ErrorMessage")
        if isinstance(message, str) and len(message) > _MAX_MESSAGE:
            raise ValidationException(
                f"{where}: ErrorMessage must have at most {_MAX_MESSAGE} characters, "
                f"not {len(message)}"
            )
    outputs: dict[str, str] = {}
    if kind == "Lambda":
        outputs = read_outputs(item, where)
        arguments = {"FunctionArn": item["FunctionArn"], "Payload": arguments}
    check_functions(arguments, where)
    check_arguments(name, kind, arguments)
    used = {path[1] for path in references(arguments) if path[0] == "Steps"}
    return Step(
        name=name,
        type=kind,
        arguments=arguments,
        after=frozenset(used | set(_depends_on(item.get("DependsOn") or [], where))),
        cache=check_cache(kind, item.get("CacheConfig") or {}, where),
        retries=read_policies(name, kind, item.get("RetryPolicies")),
        property_files=_property_files(item.get("PropertyFiles") or [], arguments, where),
        outputs=outputs,
        display_name=item.get("DisplayName"),
        description=item.get("Description"),
        **branches,
    )


def _depends_on(items: Any, where: str) -> Iterator[str]:
    if not isinstance(items, list):
        raise ValidationException(f"{where}: DependsOn must be a list, not {items!r}")
    for item in items:
        if not isinstance(item, str):
            raise ValidationException(
                f"{where}: DependsOn takes names of steps; {item!r} (a dependency with a "
                "trigger) is not emulated yet"
            )
        yield item


def _property_files(items: Any, arguments: dict[str, Any], where: str) -> dict[str, dict[str, str]]:
    files: dict[str, dict[str, str]] = {}
    outputs = (arguments.get("ProcessingOutputConfig") or {}).get("Outputs") or []
    names = [output.get("OutputName") for output in outputs if isinstance(output, dict)]
    if not isinstance(items, list):
        raise ValidationException(f"{where}: PropertyFiles must be a list, not {items!r}")
    for item in items:
        check_members(
            item, ("PropertyFileName", "OutputName", "FilePath"), (), f"{where}: a property file"
        )
        if not isinstance(item["PropertyFileName"], str):
            raise ValidationException(f"{where}: PropertyFileName must be a text")
        if item["OutputName"] not in names:
            raise ValidationException(
                f"{where}: the property file {item['PropertyFileName']!r} is in the output "
                f"{item['OutputName']!r}, and the step's outputs are {names}"
            )
        files[item["PropertyFileName"]] = item
    return files


def _check_names(definition: Definition) -> None:
    names = [step.name for step in definition.everything()]
    for name in names:
        if not name or names.count(name) > 1:
            raise ValidationException(f"Step names must be present and unique: {name!r}")
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise ValidationException(
                f"A step's name has 1 to 64 letters, digits, - and _, not {name!r}"
            )
    for step in definition.everything():
        for missing in sorted(step.after - set(names)):
            raise ValidationException(
                f"Step [{step.name}] depends on [{missing}], which is no step"
            )


def _check_references(definition: Definition, step: Step) -> None:
    where = f"Step [{step.name}]"
    steps = {each.name: each for each in definition.everything()}
    for root, first, *rest in references(step.arguments):
        match root:
            case "Parameters":
                check_parameter(definition.parameters, [first, *rest], where)
            case "Execution":
                _check_variable(".".join((first, *rest)), step)
            case "Steps" if rest[:1] == ["PropertyFiles"]:
                if rest[1:] and rest[1] not in steps[first].property_files:
                    raise ValidationException(
                        f"{where}: step [{first}] declares no property file {rest[1]!r}"
                    )
            case "Steps" if steps[first].type == "Lambda":
                if rest[:1] != ["OutputParameters"] or rest[1:] not in [
                    [name] for name in steps[first].outputs
                ]:
                    raise ValidationException(
                        f"{where}: step [{first}] has the outputs "
                        f"{list(steps[first].outputs)}, not {'.'.join(rest)!r}"
                    )
            case "Steps":
                check_property(steps[first].type, rest, f"{where}, Steps.{first}")
            case _:
                raise ValidationException(f"{where} refers to {root!r}, which is not known")


def _check_variable(name: str, step: Step) -> None:
    if name in VARIABLES or _JOB_NAMES.get(name) == step.type:
        return
    if name in _JOB_NAMES:
        raise ValidationException(
            f"Step [{step.name}] of type {step.type}: the execution variable {name!r} is known "
            f"in {_JOB_NAMES[name]} steps only"
        )
    raise ValidationException(
        f"localcloud knows no execution variable {name!r}; "
        f"it knows {', '.join((*VARIABLES, *_JOB_NAMES))}"
    )


def _check_cycles(definition: Definition) -> None:
    waiting = {step.name: set(step.after) for step in definition.everything()}
    for step in definition.everything():
        for inner in (*step.if_steps, *step.else_steps):
            waiting[inner.name].add(step.name)
    while waiting:
        free = [name for name, after in waiting.items() if not after & set(waiting)]
        if not free:
            raise ValidationException(f"The steps {sorted(waiting)} wait for each other")
        for name in free:
            del waiting[name]
