"""Following an execution: lines in place on a terminal, one line for each change elsewhere."""

import time
from collections.abc import Callable, Sequence
from datetime import datetime

from pipelines.build import executions
from pipelines.build.clients import Workspace
from pipelines.build.errors import BuildError, UnreachableError, translated
from pipelines.build.executions import Execution, Step
from pipelines.build.terminal import Terminal, seconds, table

_SHORTEST_PAUSE = 0.2
_LONGEST_PAUSE = 5.0
_GOOD = ("Succeeded",)
_BAD = ("Failed", "Stopped")


class Interrupted(BuildError):  # noqa: N818 - nothing went wrong
    """The user stopped looking; the execution goes on."""

    exit_code = 130


def follow(
    workspace: Workspace,
    arn: str,
    names: Sequence[str] = (),
    sleep: Callable[[float], None] = time.sleep,
) -> Execution:
    """Show an execution until it ends and return it; ``names`` are the steps to come.

    Asks five times a second at first, and every five seconds when it takes minutes. Raises
    Interrupted on Ctrl-C and UnreachableError when nothing answers any more.
    """
    terminal = workspace.terminal
    seen: dict[str, str] = {}
    try:
        while True:
            with translated():
                execution = executions.read(workspace, arn)
            if terminal.live:
                terminal.draw(_lines(execution, names))
            else:
                _report_changes(terminal, execution, seen)
            if not execution.running:
                return execution
            sleep(min(_LONGEST_PAUSE, max(_SHORTEST_PAUSE, execution.seconds / 25)))
    except KeyboardInterrupt:
        raise Interrupted(_goes_on(arn)) from None
    except UnreachableError as error:
        raise UnreachableError(f"{error}\n{_goes_on(arn)}") from error


def show(workspace: Workspace, *, execution: str | None) -> int:
    """Print an execution's steps as they are now; the exit code is that of its outcome."""
    from pipelines.build import outcome  # noqa: PLC0415 - only a command of its own needs it

    found = executions.read(workspace, executions.find_arn(workspace, execution))
    terminal = workspace.terminal
    for line, kind in _lines(found, ()):
        terminal.write(terminal.paint(line, kind))
    if not found.running:
        outcome.report(workspace, found)
    return 0


def _lines(execution: Execution, names: Sequence[str]) -> list[tuple[str, str]]:
    """Return the lines that show an execution, each with how to paint it."""
    started = {step.name for step in execution.steps}
    waiting = [name for name in names if name not in started] if execution.running else []
    rows = [[s.name, _word(s), _took(s)] for s in execution.steps]
    rows += [[name, "waiting", ""] for name in waiting]
    kinds = [_kind(step.status) for step in execution.steps] + ["dim"] * len(waiting)
    head = f"Execution {execution.id}: {execution.status} ({seconds(execution.seconds)})"
    text = table(rows, right="llr").splitlines() if rows else []
    return [(head, "bold"), *((f"  {line}", kind) for line, kind in zip(text, kinds, strict=True))]


def _report_changes(terminal: Terminal, execution: Execution, seen: dict[str, str]) -> None:
    for step in execution.steps:
        word = _word(step)
        if seen.get(step.name) == word:
            continue
        seen[step.name] = word
        moment = (step.ended or step.started or datetime.now().astimezone()).astimezone()
        took = _took(step) if step.ended else ""
        terminal.write(f"{moment:%H:%M:%S}  {step.name:<14}  {word}  {took}".rstrip())


def _word(step: Step) -> str:
    if step.reused:
        return f"{step.status} (reused)"
    return f"{step.status} (cached)" if step.cached else step.status


def _took(step: Step) -> str:
    return "" if step.cached or step.reused else seconds(step.seconds)


def _kind(status: str) -> str:
    return "good" if status in _GOOD else "bad" if status in _BAD else ""


def _goes_on(arn: str) -> str:
    identifier = arn.rpartition("/")[2]
    return (
        f"The execution {identifier} goes on without you. Look at it with "
        f"`python build_pipeline.py status {identifier}`, end it with "
        f"`python build_pipeline.py stop {identifier}`."
    )
