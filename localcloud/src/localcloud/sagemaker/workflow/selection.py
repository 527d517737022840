"""Selective execution: which steps run, and which results they need of an earlier execution.

Source: "Selective execution of pipeline steps" of the SageMaker Developer Guide.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from localcloud.errors import ValidationException
from localcloud.protocol import Document
from localcloud.sagemaker.workflow.definition import Definition


def needed_steps(definition: Definition, selected: Iterable[str]) -> frozenset[str]:
    """The steps whose results the selected ones need and that are not selected.

    Raises:
        ValidationException: a step is unknown, or one between two selected steps is left out.
    """
    chosen = list(dict.fromkeys(selected))
    parents = _parents(definition)
    for name in chosen:
        if name not in parents:
            raise ValidationException(f"The selected step [{name}] is no step of the pipeline.")
    needed = {parent for name in chosen for parent in parents[name]} - set(chosen)
    between = _between(parents, chosen)
    if between:
        raise ValidationException(
            f"The selected steps {_shown(chosen)} are not connected: the steps on the paths "
            f"between them must be selected too. Not selected: {_shown(between)}."
        )
    return frozenset(needed)


def check_source(
    definition: Definition,
    selected: Iterable[str],
    needed: Iterable[str],
    finished: Mapping[str, Document],
    source: str,
) -> None:
    """Raise ValidationException unless the source execution has what the selected steps need.

    `finished` are the properties that its successful steps left.
    """
    missing = sorted(set(needed) - set(finished))
    if missing:
        raise ValidationException(
            f"Invalid SourcePipelineExecutionArn: {source}. The selected steps "
            f"{_shown(selected)} have dependencies on {_shown(missing)}, "
            "which did not succeed in that execution."
        )
    for step in definition.everything():
        if step.type != "Condition" or step.name not in needed:
            continue
        taken = {inner.name for inner in step.branch(finished[step.name])}
        inside = {inner.name for inner in (*step.if_steps, *step.else_steps)}
        wrong = sorted(set(selected) & inside - taken)
        if wrong:
            raise ValidationException(
                f"Invalid SourcePipelineExecutionArn: {source}. The selected steps "
                f"{_shown(wrong)} are not in the branch that [{step.name}] took there."
            )


def refuse_dependencies(selected: Iterable[str], needed: Iterable[str]) -> None:
    """Raise ValidationException when steps need results and no execution is named."""
    if needed:
        raise ValidationException(
            f"Invalid SourcePipelineExecutionArn: null. The selected steps {_shown(selected)} "
            f"have dependencies on {_shown(sorted(needed))}"
        )


def _parents(definition: Definition) -> dict[str, set[str]]:
    """What each step waits for: what it refers to, depends on, and the condition it stands in."""
    parents = {step.name: set(step.after) for step in definition.everything()}
    for step in definition.everything():
        for inner in (*step.if_steps, *step.else_steps):
            parents[inner.name].add(step.name)
    return parents


def _upstream(parents: Mapping[str, set[str]], names: Iterable[str]) -> set[str]:
    """Steps and all that come before them."""
    found: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += parents[name]
    return found


def _between(parents: Mapping[str, set[str]], chosen: list[str]) -> list[str]:
    before = _upstream(parents, chosen) - set(chosen)
    return sorted(name for name in before if _upstream(parents, [name]) & set(chosen))


def _shown(names: Iterable[str]) -> str:
    return f"[{', '.join(names)}]"
