"""What an execution came to: a version and its metrics, a refusal of the gate, or a failure."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipelines.build import executions, files, gate, reports
from pipelines.build.clients import Workspace
from pipelines.build.errors import ExecutionFailedError, QualityGateError, StoppedError
from pipelines.build.executions import Execution
from pipelines.build.gate import Check, Metrics


@dataclass(frozen=True, slots=True)
class Measured:
    """The gate of an execution, the metrics it was held against, the URI of the report on them."""

    checks: list[Check] = field(default_factory=list)
    metrics: Metrics = field(default_factory=dict)
    report: str | None = None


def measured(workspace: Workspace, execution: Execution) -> Measured:
    """Read the metrics where the gate reads them; none if it was not reached."""
    document = executions.definition_of(workspace, execution.arn)
    checks = gate.checks(document, executions.parameters(workspace, execution.arn))
    metrics: Metrics = {}
    page = None
    jobs = {step.name: step.job for step in execution.steps if step.status == "Succeeded"}
    for step, name in dict.fromkeys((check.step, check.property_file) for check in checks):
        job = jobs.get(step)
        if job is None:
            continue
        output, path = gate.file_of(document, step, name)
        answer = workspace.sagemaker.describe_processing_job(ProcessingJobName=job[1])
        folders = {
            each["OutputName"]: each["S3Output"]["S3Uri"]
            for each in answer["ProcessingOutputConfig"]["Outputs"]
        }
        folder = folders[output].rstrip("/")
        metrics |= gate.read_metrics(workspace.s3, f"{folder}/{path}")
        page = page or reports.find(workspace.s3, folder)
    return Measured(checks, metrics, page)


def report(workspace: Workspace, execution: Execution, output: Path | None = None) -> None:
    """Say what an ended execution came to, and write it to a file if one is named.

    Raises QualityGateError, ExecutionFailedError or StoppedError for what was no success.
    """
    found = measured(workspace, execution)
    if output is not None:
        files.merge(output, as_json(execution, found.metrics))
    terminal = workspace.terminal
    if found.metrics:
        terminal.write()
        terminal.write(gate.verdict(found.checks, found.metrics))
    if found.report:
        terminal.write()
        terminal.write(f"Report     {found.report}")
    if execution.status == "Stopped":
        raise StoppedError(f"Execution {execution.id} was stopped.")
    if execution.status != "Succeeded":
        raise _failure(execution, found)
    terminal.write()
    if execution.model_package_arn is None:
        terminal.write("No version was registered: no step that does so was run.")
        return
    version = execution.model_package_arn.rpartition("/")[2]
    terminal.write(f"Registered version {version}: {execution.model_package_arn}")
    if found.report:
        following = [f"report {version}", "compare", f"approve {version} --note 'why'"]
    else:
        following = ["compare", f"approve {version} --note 'why'"]
    for word, arguments in zip(("Next:", "", ""), following, strict=False):
        terminal.write(f"{word:<6} python build_pipeline.py {arguments}")


def as_json(execution: Execution, metrics: Metrics) -> dict[str, Any]:
    """Return what ``--output`` writes."""
    return {
        "execution_arn": execution.arn,
        "status": execution.status,
        "model_package_arn": execution.model_package_arn,
        "metrics": metrics,
        "steps": {
            step.name: {
                "status": step.status,
                "seconds": None if step.seconds is None else round(step.seconds, 3),
                "cached": step.cached,
            }
            for step in execution.steps
        },
    }


def _failure(execution: Execution, found: Measured) -> Exception:
    failed = [step for step in execution.steps if step.status == "Failed"]
    if any("Fail" in step.metadata for step in failed):
        missed = [
            f"{check.metric} {check.rule}"
            for check in found.checks
            if check.metric not in found.metrics or not check.holds(found.metrics[check.metric])
        ]
        return QualityGateError(
            f"The quality gate said no: {', '.join(missed)} does not hold; nothing was registered."
            if missed
            else f"The quality gate said no: {execution.failure}"
        )
    lines = [f"Execution {execution.id} failed."]
    for step in failed:
        lines.append(f"Step {step.name}: {step.failure}")
        if step.job is not None:
            command = f"logs {step.name} --execution {execution.id}"
            lines.append(f"Its log: python build_pipeline.py {command}")
    if not failed:
        lines.append(execution.failure or "AWS gives no reason.")
    return ExecutionFailedError("\n".join(lines))
