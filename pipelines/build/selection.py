"""Some steps only, by AWS's selective execution: what they need is an earlier execution's."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pipelines.build import definition, executions
from pipelines.build.clients import Workspace
from pipelines.build.definition import Document
from pipelines.build.errors import UsageError
from pipelines.build.executions import Execution, Step
from pipelines.build.parameters import suggestion

_ENDED: Final = ("Succeeded", "Failed")  # AWS reuses results of no other
_LOOKED_AT: Final = 20


@dataclass(frozen=True, slots=True)
class Selection:
    """The steps to run, the steps whose results they need, and the execution that has those."""

    steps: tuple[str, ...]
    needed: tuple[str, ...]
    source: Execution | None

    @property
    def config(self) -> dict[str, Any]:
        """What StartPipelineExecution takes as SelectiveExecutionConfig."""
        config: dict[str, Any] = {"SelectedSteps": [{"StepName": name} for name in self.steps]}
        if self.source is not None:
            config["SourcePipelineExecutionArn"] = self.source.arn
        return config


def choose(workspace: Workspace, document: Document, names: Sequence[str]) -> Selection:
    """Choose steps of a definition and the newest execution in which all they need succeeded.

    Raises UsageError for an unknown step, and when no execution has what is needed.
    """
    known = [step["Name"] for step in definition.steps(document)]
    for name in names:
        if name not in known:
            raise UsageError(
                f"The pipeline has no step {name}{suggestion(name, known)} "
                f"It has {', '.join(known)}."
            )
    chosen = tuple(name for name in known if name in names)
    needed = tuple(name for name in known if name in _needed(document, chosen))
    if not needed:
        return Selection(chosen, needed, None)
    outcomes = {
        condition: outcome
        for step, (condition, outcome) in _branches(document).items()
        if step in chosen and condition in needed
    }
    return Selection(chosen, needed, _source(workspace, chosen, needed, outcomes))


def given_parameters(workspace: Workspace, source: Execution, document: Document) -> dict[str, str]:
    """Return what an execution was given of the parameters that the definition has now."""
    known = {each["Name"] for each in document.get("Parameters", [])}
    given = executions.given_parameters(workspace, source.arn)
    return {name: value for name, value in given.items() if name in known}


def _source(
    workspace: Workspace,
    chosen: Sequence[str],
    needed: Sequence[str],
    outcomes: Mapping[str, str],
) -> Execution:
    """Find the newest execution that has what is needed, its conditions with these outcomes."""
    never = set(needed)
    for arn in executions.latest(workspace, _LOOKED_AT):
        execution = executions.read(workspace, arn)
        succeeded = {
            step.name
            for step in execution.steps
            if step.status == "Succeeded" and _took(step, outcomes.get(step.name))
        }
        if execution.status in _ENDED and succeeded.issuperset(needed):
            return execution
        never -= succeeded
    missing = [name for name in needed if name in never] or needed
    options = " ".join(f"--only {name}" for name in dict.fromkeys([*missing, *chosen]))
    results = [
        f"{name} (outcome {outcomes[name]})" if name in outcomes else name for name in missing
    ]
    raise UsageError(
        f"{' and '.join(chosen)} cannot run without a result of {' and '.join(results)}, and no "
        f"execution that ended has one. Run: `python build_pipeline.py run {options}`."
    )


def _took(step: Step, outcome: str | None) -> bool:
    """Whether a condition had this outcome; any step had none."""
    return outcome in (None, step.metadata.get("Condition", {}).get("Outcome"))


def _needed(document: Document, chosen: Sequence[str]) -> set[str]:
    needed: set[str] = set()
    branches = _branches(document)
    for step in definition.steps(document):
        if step["Name"] in chosen:
            needed.update(step.get("DependsOn") or [])
            needed.update(_referred(_without_branches(step)))
            needed.update([branches[step["Name"]][0]] if step["Name"] in branches else [])
    return needed - set(chosen)


def _branches(document: Document) -> dict[str, tuple[str, str]]:
    """Return by the steps of branches the condition they stand in, and its outcome for them."""
    return {
        inner["Name"]: (step["Name"], outcome)
        for step in definition.steps(document)
        if step["Type"] == "Condition"
        for branch, outcome in (("IfSteps", "True"), ("ElseSteps", "False"))
        for inner in step["Arguments"].get(branch) or []
    }


def _without_branches(step: Document) -> Any:
    """Return a step's arguments; a condition's branches are steps of their own."""
    arguments = step.get("Arguments", {})
    if step["Type"] != "Condition":
        return arguments
    return {name: arguments[name] for name in arguments if name not in {"IfSteps", "ElseSteps"}}


def _referred(value: Any) -> Iterator[str]:
    """Go through the names of the steps that a value refers to: ``{"Get": "Steps.Train...."}``."""
    if isinstance(value, dict):
        get = value.get("Get")
        if isinstance(get, str) and get.startswith("Steps."):
            yield get.split(".")[1]
        value = list(value.values())
    if isinstance(value, list):
        for member in value:
            yield from _referred(member)
