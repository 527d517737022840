"""Waiting for what a localcloud does by itself."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from botocore.exceptions import ClientError


def wait_until(condition: Callable[[], object], seconds: float = 15) -> None:
    """Wait until something holds; a call that is refused or finds too little counts as not yet."""
    end = time.monotonic() + seconds
    while True:
        try:
            if condition():
                return
        except (ClientError, ValueError):
            pass
        assert time.monotonic() < end
        time.sleep(0.03)


def finish(sagemaker: Any, execution_arn: str, seconds: float = 90) -> dict[str, Any]:
    """Wait for an execution's end; its description, and its steps by name, the newest first."""
    deadline = time.monotonic() + seconds
    while True:
        execution: dict[str, Any] = sagemaker.describe_pipeline_execution(
            PipelineExecutionArn=execution_arn
        )
        if execution["PipelineExecutionStatus"] not in ("Executing", "Stopping"):
            break
        assert time.monotonic() < deadline, "the execution did not end"
        time.sleep(0.05)
    steps = sagemaker.list_pipeline_execution_steps(PipelineExecutionArn=execution_arn)
    execution["Steps"] = {step["StepName"]: step for step in steps["PipelineExecutionSteps"]}
    return execution
