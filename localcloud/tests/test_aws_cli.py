"""The AWS CLI drives pipelines: what it prints, and what its exit code says."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from definitions import ROLE, definition, processing

from localcloud.testing import TestCloud

pytestmark = [pytest.mark.integration, pytest.mark.slow]
NOBODY = "arn:aws:sagemaker:us-east-1:000000000000:pipeline/nobody"
REFUSED = {1: 255, 2: 254}
"""What the AWS CLI returns when the service answers with an error, by its version."""


def aws(cloud: TestCloud, *words: str) -> subprocess.CompletedProcess[str]:
    quiet = TestCloud(cloud.address, cloud.environment | {"AWS_PAGER": ""})
    return quiet.command("exec", "--", "aws", *words)


def told(cloud: TestCloud, operation: str, *words: str) -> dict[str, Any]:
    """What a call of SageMaker prints, as JSON."""
    done = aws(cloud, "sagemaker", operation, *words)
    assert (done.returncode, done.stderr) == (0, ""), done
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def steps(cloud: TestCloud, arn: str) -> dict[str, str]:
    listed = told(cloud, "list-pipeline-execution-steps", "--pipeline-execution-arn", arn)
    return {each["StepName"]: each["StepStatus"] for each in listed["PipelineExecutionSteps"]}


def ended(cloud: TestCloud, arn: str) -> str:
    """The status of an execution when it has ended."""
    end = time.monotonic() + 120
    while True:
        told_of = told(cloud, "describe-pipeline-execution", "--pipeline-execution-arn", arn)
        status = str(told_of["PipelineExecutionStatus"])
        if status not in ("Executing", "Stopping"):
            return status
        assert time.monotonic() < end, "the execution did not end"


def test_a_pipeline_is_created_started_stopped_and_goes_on(
    cloud: TestCloud, tmp_path: Path
) -> None:
    go = tmp_path / "go"
    wait = f"import os, time\nwhile not os.path.exists({str(go)!r}): time.sleep(0.05)"
    text = tmp_path / "definition.json"
    text.write_text(
        definition(processing("First", "print(1)"), processing("Wait", wait, DependsOn=["First"]))
    )
    made = told(
        cloud, "create-pipeline", "--pipeline-name", "by-cli", "--role-arn", ROLE,
        "--pipeline-definition", f"file://{text}",
        "--client-request-token", "c" * 32,
    )  # fmt: skip
    assert made["PipelineArn"].endswith(":pipeline/by-cli")
    arn = told(cloud, "start-pipeline-execution", "--pipeline-name", "by-cli")[
        "PipelineExecutionArn"
    ]
    end = time.monotonic() + 120
    while "Wait" not in (found := steps(cloud, arn)):
        assert time.monotonic() < end, found
    assert found == {"First": "Succeeded", "Wait": "Executing"}
    told(cloud, "stop-pipeline-execution", "--pipeline-execution-arn", arn)
    assert ended(cloud, arn) == "Stopped"
    assert steps(cloud, arn) == {"First": "Succeeded", "Wait": "Stopped"}
    go.touch()
    told(cloud, "retry-pipeline-execution", "--pipeline-execution-arn", arn)
    assert ended(cloud, arn) == "Succeeded"
    assert steps(cloud, arn) == {"First": "Succeeded", "Wait": "Succeeded"}


WRONG = '{"Version": "2020-12-01", "Steps": [], "Parametrs": []}'


@pytest.mark.parametrize(
    ("operation", "words", "said"),
    [
        (
            "create-pipeline",
            ["--pipeline-name", "wrong", "--role-arn", ROLE, "--pipeline-definition", WRONG],
            [
                "An error occurred (ValidationException) when calling the CreatePipeline",
                "operation: Unable to parse pipeline definition.",
                "Cannot parse object, unknown property 'Parametrs'.",
            ],
        ),
        (
            "start-pipeline-execution",
            ["--pipeline-name", "nobody"],
            [
                "An error occurred (ResourceNotFound) when calling the StartPipelineExecution",
                f"operation: Pipeline '{NOBODY}' does not exist.",
            ],
        ),
        (
            "list-auto-ml-jobs",
            [],
            [
                "when calling the ListAutoMLJobs operation: localcloud does not emulate",
                "sagemaker:ListAutoMLJobs.",
            ],
        ),
    ],
    ids=["a wrong definition", "a missing pipeline", "a call that is not emulated"],
)
def test_a_refusal_has_the_error_of_aws_and_its_exit_code(
    cloud: TestCloud, operation: str, words: list[str], said: list[str]
) -> None:
    done = aws(cloud, "sagemaker", operation, *words)
    assert done.stdout == ""
    assert " ".join(said) in done.stderr
    version = aws(cloud, "--version").stdout.removeprefix("aws-cli/")
    assert done.returncode == REFUSED[int(version.partition(".")[0])]


def test_a_call_that_is_not_emulated_is_answered_once_with_501(cloud: TestCloud) -> None:
    said = aws(cloud, "sagemaker", "list-auto-ml-jobs", "--debug").stderr
    assert said.count('"POST / HTTP/1.1" 501') == 1
