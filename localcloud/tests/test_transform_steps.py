"""The Transform step: definitions of both SDKs really run, are cached, retried and stopped."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from definitions import ROLE, definition
from serving_fixtures import ECHO, archive
from test_executions import finish
from transform_fixtures import BUCKET, Batch

pytestmark = pytest.mark.integration
FOLDER = Path(__file__).parent / "definitions"
SCORER = ECHO.replace(
    "    return body",
    "    import os\n"
    "    lines = body.strip().split('\\n')\n"
    "    body = ''.join(f\"{os.environ['WORD']} {line.count(',') + 1}\\n\" for line in lines)\n"
    "    return body",
)
"""Answers each row with a word of the environment and the number of its fields."""
COUNT = """
import os
rows = [line for name in os.listdir("/opt/ml/processing/scored")
        for line in open(f"/opt/ml/processing/scored/{name}")]
open("/opt/ml/processing/counted/rows", "w").write("".join(rows))
"""


@pytest.fixture(scope="module")
def batch(client: Callable[[str], Any]) -> Batch:
    s3 = client("s3")
    if BUCKET not in [each["Name"] for each in s3.list_buckets()["Buckets"]]:
        s3.create_bucket(Bucket=BUCKET)
    made = Batch(client("sagemaker"), s3, client("logs"), "steps")
    s3.put_object(Bucket=BUCKET, Key="rows/a.csv", Body=b"x,1,2\ny,3,4\n")
    content = archive({"code/inference.py": SCORER})
    s3.put_object(Bucket=BUCKET, Key="model/model.tar.gz", Body=content)
    s3.put_object(Bucket=BUCKET, Key="code/count.py", Body=COUNT.encode())
    made.shared = made.model(SCORER, WORD="model")
    return made


def run(batch: Batch, name: str, text: str, **parameters: str) -> dict[str, Any]:
    """Run a definition to its end under a pipeline's name."""
    given = {"PipelineName": name, "PipelineDefinition": text, "RoleArn": ROLE}
    try:
        batch.sagemaker.create_pipeline(**given)
    except ClientError:
        batch.sagemaker.update_pipeline(**given)
    started = batch.sagemaker.start_pipeline_execution(
        PipelineName=name,
        PipelineParameters=[{"Name": key, "Value": value} for key, value in parameters.items()],
    )
    return finish(batch.sagemaker, started["PipelineExecutionArn"])


def of_file(name: str) -> str:
    return (FOLDER / f"{name}.json").read_text().replace("s3://definitions/", f"s3://{BUCKET}/")


def transform(model: Any, **more: Any) -> dict[str, Any]:
    """A Transform step over the rows."""
    source = {"S3DataType": "S3Prefix", "S3Uri": f"s3://{BUCKET}/rows/"}
    arguments = {
        "ModelName": model,
        "TransformInput": {"DataSource": {"S3DataSource": source}, "ContentType": "text/csv"},
        "TransformOutput": {"S3OutputPath": f"s3://{BUCKET}/scored/steps"},
        "TransformResources": {"InstanceType": "ml.m5.large", "InstanceCount": 1},
        **more.pop("arguments", {}),
    }
    return {"Name": "Score", "Type": "Transform", "Arguments": arguments, **more}


def job_of(batch: Batch, execution: dict[str, Any]) -> dict[str, Any]:
    job_arn = execution["Steps"]["Score"]["Metadata"]["TransformJob"]["Arn"]
    name = job_arn.rpartition("/")[2]
    described: dict[str, Any] = batch.sagemaker.describe_transform_job(TransformJobName=name)
    return described


def test_a_definition_of_the_second_sdk_makes_a_model_and_hands_the_output_on(
    batch: Batch,
) -> None:
    execution = run(batch, "transform-v2", of_file("sdk_v2_transform"))
    assert "FailureReason" not in execution
    assert set(execution["Steps"]) == {"Made-CreateModel", "Score", "Count"}
    execution_id = execution["PipelineExecutionArn"].rpartition("/")[2]
    body = batch.s3.get_object(Bucket=BUCKET, Key=f"counted/{execution_id}/rows")["Body"].read()
    assert body == b"x,1,2,second 3\ny,3,4,second 3\n"
    job = job_of(batch, execution)
    assert job["TransformJobName"].startswith(f"pipelines-{execution_id}-Score-")
    model = execution["Steps"]["Made-CreateModel"]["Metadata"]["Model"]["Arn"]
    assert job["ModelName"] == model.rpartition("/")[2]


def test_a_definition_of_the_third_sdk_runs_and_is_taken_from_the_cache(batch: Batch) -> None:
    text = of_file("sdk_v3_transform")
    first = run(batch, "transform-v3", text, Model=batch.shared)
    assert "FailureReason" not in first
    assert batch.outputs(job_of(batch, first)) == {"a.csv.out": "x,third 2\ny,third 2\n"}
    again = run(batch, "transform-v3", text, Model=batch.shared)
    hit = again["Steps"]["Score"]["CacheHitResult"]["SourcePipelineExecutionArn"]
    assert hit == first["PipelineExecutionArn"]
    assert again["Steps"]["Score"]["Metadata"] == first["Steps"]["Score"]["Metadata"]
    other = run(batch, "transform-v3", text, Model=batch.model(SCORER, WORD="other"))
    assert "CacheHitResult" not in other["Steps"]["Score"]


def test_where_the_output_goes_and_on_how_much_is_not_part_of_the_cache_key(batch: Batch) -> None:
    cache = {"Enabled": True}

    def execute(**arguments: Any) -> bool:
        text = definition(transform(batch.shared, arguments=arguments, CacheConfig=cache))
        return "CacheHitResult" in run(batch, "transform-cached", text)["Steps"]["Score"]

    resources = {"InstanceType": "ml.m5.xlarge", "InstanceCount": 2}
    assert not execute()
    assert execute(TransformResources=resources, MaxPayloadInMB=1)
    assert execute(TransformOutput={"S3OutputPath": f"s3://{BUCKET}/elsewhere"})
    assert not execute(Environment={"WORD": "other"})


def test_a_failed_job_fails_the_step_in_its_own_words(batch: Batch) -> None:
    broken = batch.model(ECHO.replace("return body", "return 1 / 0"))
    none = {"ModelClientConfig": {"InvocationsMaxRetries": 0}}
    execution = run(batch, "transform-fails", definition(transform(broken, arguments=none)))
    assert execution["PipelineExecutionStatus"] == "Failed"
    reason = execution["Steps"]["Score"]["FailureReason"]
    assert reason.startswith(f"AlgorithmError: {BUCKET}/rows/a.csv: primary answered 500")


def test_a_missing_model_fails_the_step(batch: Batch) -> None:
    execution = run(batch, "transform-no-model", definition(transform("nobody")))
    assert "Could not find model" in execution["Steps"]["Score"]["FailureReason"]


def test_stopping_an_execution_stops_its_job(batch: Batch) -> None:
    slow = batch.model(
        "import time\n" + ECHO.replace("    return body", "    time.sleep(60)\n    return body")
    )
    sagemaker = batch.sagemaker
    sagemaker.create_pipeline(
        PipelineName="transform-stop", PipelineDefinition=definition(transform(slow)), RoleArn=ROLE
    )
    started = sagemaker.start_pipeline_execution(PipelineName="transform-stop")
    end = time.monotonic() + 20
    while not any(
        "TransformStartTime" in sagemaker.describe_transform_job(
            TransformJobName=each["TransformJobName"]
        )
        for each in sagemaker.list_transform_jobs(
            NameContains="Score", StatusEquals="InProgress"
        )["TransformJobSummaries"]
    ):  # fmt: skip
        assert time.monotonic() < end
        time.sleep(0.05)
    sagemaker.stop_pipeline_execution(PipelineExecutionArn=started["PipelineExecutionArn"])
    execution = finish(sagemaker, started["PipelineExecutionArn"], seconds=20)
    assert execution["PipelineExecutionStatus"] == "Stopped"
    assert job_of(batch, execution)["TransformJobStatus"] == "Stopped"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            {"TransformInput": {"SplitType": "RecordIO", "DataSource": {"S3DataSource": {
                "S3DataType": "S3Prefix", "S3Uri": {"Get": "Parameters.Data"}}}}},
            "Step [Score]: SplitType must be None or Line here",
        ),
        ({"MaxPayloadInMB": 200}, "Step [Score]: MaxPayloadInMB must be at most 100"),
        ({"RoleArn": ROLE}, "Unknown Argument member RoleArn"),
        ({"ModelName": None}, "ModelName must not be null"),
        ({"ModelName": {"Get": "Steps.Score.Nothing"}}, "has no property 'Nothing'"),
    ],
)  # fmt: skip
def test_a_step_that_cannot_run_is_refused_with_its_definition(
    batch: Batch, arguments: dict[str, Any], said: str
) -> None:
    parameters = [{"Name": "Data", "Type": "String", "DefaultValue": "s3://b/c"}]
    text = definition(transform("some", arguments=arguments), parameters=parameters)
    with pytest.raises(ClientError) as refused:
        batch.sagemaker.create_pipeline(
            PipelineName="transform-never", PipelineDefinition=text, RoleArn=ROLE
        )
    assert said in refused.value.response["Error"]["Message"]
