"""Two versions side by side: metrics with their good direction, and what they were made with."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from pipelines.build import executions, gate, registry
from pipelines.build.clients import Workspace
from pipelines.build.errors import UsageError, is_missing
from pipelines.build.gate import Check, Metrics
from pipelines.build.registry import APPROVED, Version
from pipelines.build.terminal import number, table

_LOWER_IS_BETTER: Final = ("logloss", "loss", "error", "rmse", "mae")
_NEITHER: Final = ("threshold",)
_METADATA: Final = ("InputDataUri", "GitCommit")


@dataclass(frozen=True, slots=True)
class Side:
    """What is known of one version."""

    version: Version
    metrics: Metrics
    parameters: Mapping[str, Any]
    checks: list[Check]


def command(workspace: Workspace, *, versions: list[str]) -> int:
    """Print two versions side by side.

    Without names the latest is held against the newest approved one, or else the one before it;
    with one name that one is held against it.
    """
    if len(versions) > 2:
        raise UsageError(f"compare takes two versions at most, not {len(versions)}.")
    known = registry.versions(workspace)
    old, new = (_read(workspace, version) for version in _choose(workspace, versions, known))
    terminal = workspace.terminal
    headers = ("", *(_title(side.version) for side in (old, new)))
    terminal.write(table(_metric_rows(old, new), (*headers, "change", "", "threshold"), "lrrrll"))
    terminal.write()
    names = sorted({*old.parameters, *new.parameters})
    rows = [
        [name, _text(old.parameters.get(name)), _text(new.parameters.get(name))]
        for name in names
        if _text(old.parameters.get(name)) != _text(new.parameters.get(name))
    ]
    if rows:
        terminal.write(table(rows, headers))
    if names:
        terminal.write(f"{len(names) - len(rows)} of {len(names)} parameters are the same.")
    for side in (old, new):
        if not side.checks:
            terminal.write(
                f"The execution that made version {side.version.number} is not known any more: "
                "only what the registry keeps is compared."
            )
    return 0


def _choose(
    workspace: Workspace, names: list[str], known: list[Version]
) -> tuple[Version, Version]:
    if len(names) == 2:
        return registry.find(workspace, names[0], known), registry.find(workspace, names[1], known)
    new = registry.find(workspace, names[0] if names else "latest", known)
    others = [version for version in known if version.number != new.number]
    approved = [version for version in others if version.approval == APPROVED]
    before = [version for version in others if version.number < new.number]
    old = next(iter([*approved, *before, *others]), None)
    if old is None:
        raise UsageError(
            f"Version {new.number} is the only one: there is nothing to compare it with."
        )
    return old, new


def _read(workspace: Workspace, version: Version) -> Side:
    description = registry.describe(workspace, version)
    metadata = description.get("CustomerMetadataProperties", {})
    metrics = registry.metrics(workspace, description)
    parameters: dict[str, Any] = {n: metadata[n] for n in _METADATA if n in metadata}
    checks: list[Check] = []
    arn = metadata.get("PipelineExecutionArn")
    if arn:
        from botocore.exceptions import ClientError  # noqa: PLC0415

        try:
            parameters |= executions.parameters(workspace, arn)
            checks = gate.checks(executions.definition_of(workspace, arn), parameters)
        except ClientError as error:
            if not is_missing(error):
                raise
    return Side(version, metrics, parameters, checks)


def _metric_rows(old: Side, new: Side) -> list[list[str]]:
    checks = {check.metric: check for check in new.checks or old.checks}
    rows = []
    for name in dict.fromkeys([*checks, *new.metrics, *old.metrics]):
        a, b = old.metrics.get(name), new.metrics.get(name)
        change, word = "", ""
        if a is not None and b is not None:
            change = "0" if a == b else f"{'+' if b > a else '-'}{number(abs(b - a))}"
            word = _verdict(name, a, b, checks.get(name))
        rule = ""
        if name in checks and b is not None:
            rule = f"{checks[name].rule} {'passed' if checks[name].holds(b) else 'failed'}"
        rows.append([name, _figure(a), _figure(b), change, word, rule])
    return rows


def _verdict(name: str, old: float, new: float, check: Check | None) -> str:
    """Return better, worse or the same; nothing for a count or a setting."""
    if (isinstance(old, int) and isinstance(new, int)) or name in _NEITHER:
        return ""
    if old == new:
        return "same"
    higher = check.higher_is_better if check else not name.endswith(_LOWER_IS_BETTER)
    return "better" if (new > old) == higher else "worse"


def _title(version: Version) -> str:
    return f"{version.number} ({version.approval})"


def _figure(value: float | None) -> str:
    return "-" if value is None else number(value)


def _text(value: Any) -> str:
    """Return a parameter's value as text; 0.30 and 0.3 are the same number."""
    if value is None:
        return "-"
    try:
        return f"{float(value):.12g}"
    except ValueError:
        return str(value)
