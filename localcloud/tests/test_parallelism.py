"""As many steps run side by side as the ParallelismConfiguration that was given last says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from definitions import ROLE, definition, processing
from waiting import finish, wait_until

Client = Callable[[str], Any]
pytestmark = pytest.mark.integration


def at_most(steps: int) -> dict[str, int]:
    return {"MaxParallelExecutionSteps": steps}


def crowd(folder: Path, beside: int, **more: Any) -> list[dict[str, Any]]:
    """Four steps, each of which ends well once `beside` of them have begun, and else fails."""
    folder.mkdir(exist_ok=True)
    job = folder.with_name("job.py")  # an entrypoint may not be this long
    job.write_text(
        "import os, sys, time\n"
        "folder, name, beside = sys.argv[1:]\n"
        "open(os.path.join(folder, name), 'w').close()\n"
        "end = time.monotonic() + 30\n"
        "while len(os.listdir(folder)) < int(beside):\n"
        "    assert time.monotonic() < end, 'it runs alone'\n"
        "    time.sleep(0.02)\n"
    )
    return [
        processing(
            name, f"exec(open({str(job)!r}).read())", words=[str(folder), name, str(beside)], **more
        )
        for name in ("A", "B", "C", "D")
    ]


def waits_for(name: str, mark: Path) -> dict[str, Any]:
    script = f"import os, time\nwhile not os.path.exists({str(mark)!r}): time.sleep(0.05)"
    return processing(name, script)


def beside_each_other(execution: dict[str, Any]) -> int:
    """The most steps that ran at one moment, by what is told of their times."""
    assert execution["PipelineExecutionStatus"] == "Succeeded", execution
    steps = [step for name, step in execution["Steps"].items() if len(name) == 1]
    assert len(steps) == 4
    return max(
        sum(other["StartTime"] <= step["StartTime"] < other["EndTime"] for other in steps)
        for step in steps
    )


@pytest.mark.parametrize(
    ("created", "started", "wanted"), [(1, None, 1), (2, None, 2), (4, 1, 1), (1, 3, 3)]
)
def test_the_starts_own_parallelism_counts_and_else_the_pipelines(
    client: Client, tmp_path: Path, created: int, started: int | None, wanted: int
) -> None:
    sagemaker = client("sagemaker")
    name = f"parallel-{created}-{started}"
    sagemaker.create_pipeline(
        PipelineName=name,
        PipelineDefinition=definition(*crowd(tmp_path / "there", wanted)),
        RoleArn=ROLE,
        ParallelismConfiguration=at_most(created),
    )
    more = {"ParallelismConfiguration": at_most(started)} if started else {}
    start = sagemaker.start_pipeline_execution(PipelineName=name, **more)
    assert beside_each_other(finish(sagemaker, start["PipelineExecutionArn"])) == wanted


@pytest.mark.parametrize(("given", "wanted"), [(2, 2), (None, 1)])
def test_a_retry_brings_its_own_parallelism_or_keeps_that_of_the_start(
    client: Client, tmp_path: Path, given: int | None, wanted: int
) -> None:
    sagemaker = client("sagemaker")
    mark, name = tmp_path / "mended", f"parallel-retry-{given}"
    first = processing("First", f"import os; assert os.path.exists({str(mark)!r})")
    text = definition(first, *crowd(tmp_path / "there", wanted, DependsOn=["First"]))
    sagemaker.create_pipeline(PipelineName=name, PipelineDefinition=text, RoleArn=ROLE)
    arn = sagemaker.start_pipeline_execution(
        PipelineName=name, ParallelismConfiguration=at_most(1)
    )["PipelineExecutionArn"]
    assert finish(sagemaker, arn)["PipelineExecutionStatus"] == "Failed"
    mark.touch()
    more = {"ParallelismConfiguration": at_most(given)} if given else {}
    sagemaker.retry_pipeline_execution(PipelineExecutionArn=arn, **more)
    assert beside_each_other(finish(sagemaker, arn)) == wanted


def test_an_update_holds_for_the_steps_that_start_after_it(client: Client, tmp_path: Path) -> None:
    sagemaker = client("sagemaker")
    mark = tmp_path / "go"
    text = definition(waits_for("First", mark), *crowd(tmp_path / "there", 3, DependsOn=["First"]))
    sagemaker.create_pipeline(PipelineName="parallel-wider", PipelineDefinition=text, RoleArn=ROLE)
    arn = sagemaker.start_pipeline_execution(
        PipelineName="parallel-wider", ParallelismConfiguration=at_most(1)
    )["PipelineExecutionArn"]
    wait_until(
        lambda: sagemaker.list_pipeline_execution_steps(PipelineExecutionArn=arn)[
            "PipelineExecutionSteps"
        ]
    )
    sagemaker.update_pipeline_execution(
        PipelineExecutionArn=arn, ParallelismConfiguration=at_most(3)
    )
    mark.touch()
    assert beside_each_other(finish(sagemaker, arn)) == 3
