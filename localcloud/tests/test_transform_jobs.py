"""Transform jobs through boto3: what becomes of objects, of errors, of jobs that are cut off."""

from __future__ import annotations

import gzip
import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from clients import client_of
from serving_fixtures import ECHO
from transform_fixtures import BUCKET, COUNTING, Batch, bodies

from localcloud.testing import localcloud

pytestmark = pytest.mark.integration
LINES = {"given": {"SplitType": "Line"}, "wanted": {"AssembleWith": "Line"}}


@pytest.fixture(scope="module")
def clients(client: Callable[[str], Any]) -> tuple[Any, Any, Any]:
    client("s3").create_bucket(Bucket=BUCKET)
    return client("sagemaker"), client("s3"), client("logs")


@pytest.fixture
def batch(clients: tuple[Any, Any, Any], request: pytest.FixtureRequest) -> Batch:
    name = request.node.name.replace("_", "-").split("[")[0].removeprefix("test-")[:40]
    return Batch(*clients, f"{name}-{os.urandom(2).hex()}")


def test_each_object_becomes_one_object_in_the_order_of_its_lines(batch: Batch) -> None:
    lines = [str(10**n) for n in range(9)]
    uri = batch.put({"a.csv": "\n".join(lines), "sub/b.csv": "xy\n", "sub/": ""})
    job = batch.run(batch.model(COUNTING), uri, BatchStrategy="SingleRecord", **LINES)
    assert job["TransformJobStatus"] == "Completed"
    assert job["CreationTime"] <= job["TransformStartTime"] <= job["TransformEndTime"]
    assert batch.outputs(job) == {
        "a.csv.out": "".join(f"{len(line)}\n" for line in lines),
        "sub/b.csv.out": "2\n",
    }


def test_one_key_as_the_prefix_gives_one_object_of_its_name(batch: Batch) -> None:
    uri = batch.put({"rows.csv": "abc\n"})
    job = batch.run(batch.model(COUNTING), f"{uri}rows.csv")
    assert batch.outputs(job) == {"rows.csv.out": "3\n"}


def test_a_manifest_names_the_objects(batch: Batch) -> None:
    uri = batch.put({"a.csv": "a\n", "b.csv": "bb\n", "c.csv": "ccc\n"})
    manifest = batch.put({"manifest": json.dumps([{"prefix": uri}, "c.csv", "a.csv"])})
    job = batch.run(batch.model(COUNTING), f"{manifest}manifest", kind="ManifestFile")
    assert batch.outputs(job) == {"a.csv.out": "1\n", "c.csv.out": "3\n"}


def test_a_gzip_object_is_decompressed(batch: Batch) -> None:
    uri = batch.put({"a.csv.gz": gzip.compress(b"abc\nde\n")})
    given = {"CompressionType": "Gzip", "SplitType": "Line"}
    job = batch.run(batch.model(COUNTING), uri, given=given)
    assert batch.outputs(job) == {"a.csv.gz.out": "3\n2\n"}


def test_an_object_that_is_no_gzip_fails_the_job_by_name(batch: Batch) -> None:
    uri = batch.put({"a.csv.gz": "abc\n"})
    job = batch.run(batch.model(COUNTING), uri, given={"CompressionType": "Gzip"})
    assert job["TransformJobStatus"] == "Failed"
    assert "a.csv.gz: CompressionType is Gzip, but it is no whole gzip" in job["FailureReason"]


@pytest.mark.parametrize(
    ("strategy", "split", "expected"),
    [
        ("MultiRecord", "Line", [(1048, 1048 * 1000), (952, 952 * 1000)]),
        ("SingleRecord", "Line", [(1, 999)] * 3),
    ],
)
def test_the_batch_strategy_decides_how_many_lines_a_request_carries(
    batch: Batch, strategy: str, split: str, expected: list[tuple[int, int]]
) -> None:
    count = 2000 if strategy == "MultiRecord" else 3
    uri = batch.put({"a.csv": ("x" * 999 + "\n") * count})
    job = batch.run(
        batch.model(COUNTING), uri, given={"SplitType": split}, BatchStrategy=strategy,
        MaxPayloadInMB=1,
    )  # fmt: skip
    assert bodies(batch.log(job["TransformJobName"])) == expected
    assert batch.outputs(job)["a.csv.out"] == "999\n" * count


def test_an_object_that_is_not_split_goes_in_one_request(batch: Batch) -> None:
    uri = batch.put({"a.csv": "a\nb\nc\n"})
    job = batch.run(batch.model(COUNTING), uri, BatchStrategy="SingleRecord")
    assert bodies(batch.log(job["TransformJobName"])) == [(3, 6)]


def test_without_a_limit_an_object_goes_in_one_request(batch: Batch) -> None:
    uri = batch.put({"a.csv": ("x" * 999 + "\n") * 7000})
    job = batch.run(
        batch.model(COUNTING), uri, given={"SplitType": "Line"}, MaxPayloadInMB=0,
        MaxConcurrentTransforms=9,
    )  # fmt: skip
    assert bodies(batch.log(job["TransformJobName"])) == [(7000, 7_000_000)]
    (line,) = batch.log(job["TransformJobName"], "/data-log")
    assert line.endswith(
        "MaxConcurrentTransforms=1, MaxPayloadInMB=100, BatchStrategy=MULTI_RECORD"
    )


@pytest.mark.parametrize("split", ["None", "Line"])
def test_a_payload_over_the_limit_fails_the_job_by_name(batch: Batch, split: str) -> None:
    uri = batch.put({"a.csv": "short\n" + "x" * 1_100_000})
    job = batch.run(batch.model(COUNTING), uri, given={"SplitType": split}, MaxPayloadInMB=1)
    what = {"None": "the object", "Line": "its line 2"}[split]
    assert f"{what} is longer than MaxPayloadInMB allows" in job["FailureReason"]
    assert job["FailureReason"].startswith("ClientError: ")


def test_answers_stay_in_order_when_many_requests_are_under_way(batch: Batch) -> None:
    slow = "import random, time\n" + ECHO.replace(
        "    return body", "    time.sleep(random.random() / 50)\n    return body"
    )
    lines = [f"{n}\n" for n in range(200)]
    job = batch.run(
        batch.model(slow, ECHO), batch.put({"a.csv": "".join(lines)}),
        BatchStrategy="SingleRecord", MaxConcurrentTransforms=8, **LINES,
    )  # fmt: skip
    assert batch.outputs(job)["a.csv.out"] == "".join(lines)


def test_requests_pass_all_containers_with_type_and_accept(batch: Batch) -> None:
    job = batch.run(
        batch.model(ECHO, COUNTING), batch.put({"a.csv": "abc\n"}),
        given={"ContentType": "text/csv; charset=utf-8"}, wanted={"Accept": "text/csv"},
    )  # fmt: skip
    assert "got 1 lines, 4 characters, text/csv, text/csv" in batch.log(
        job["TransformJobName"], "/container-2"
    )


def test_the_jobs_environment_goes_before_the_containers(batch: Batch) -> None:
    handler = ECHO.replace("    return body", "    import os\n    body = str({n: os.environ[n]"
                           " for n in ('WORD', 'OTHER', 'SAGEMAKER_BATCH',"
                           " 'SAGEMAKER_MAX_PAYLOAD_IN_MB')})\n    return body")  # fmt: skip
    model = batch.model(handler, WORD="container", OTHER="container")
    job = batch.run(model, batch.put({"a": "x"}), Environment={"WORD": "job"}, MaxPayloadInMB=2)
    assert batch.outputs(job)["a.out"] == str(
        {
            "WORD": "job",
            "OTHER": "container",
            "SAGEMAKER_BATCH": "true",
            "SAGEMAKER_MAX_PAYLOAD_IN_MB": "2",
        }
    )


def test_what_the_request_leaves_open_the_container_decides(batch: Batch) -> None:
    own = {"MaxConcurrentTransforms": 2, "BatchStrategy": "SINGLE_RECORD", "MaxPayloadInMB": 3}
    handler = f"import json\ndef execution_parameters_fn():\n    return {json.dumps(own)}\n"
    job = batch.run(batch.model(handler + COUNTING), batch.put({"a": "x\ny\n"}), **LINES)
    name = job["TransformJobName"]
    assert bodies(batch.log(name)) == [(1, 1), (1, 1)]
    (line,) = batch.log(name, "/data-log")
    assert line.endswith("MaxConcurrentTransforms=2, MaxPayloadInMB=3, BatchStrategy=SINGLE_RECORD")


def test_several_instances_share_the_objects(batch: Batch) -> None:
    uri = batch.put({f"{n:02}.csv": "x" * n for n in range(1, 13)})
    slow = COUNTING.replace(
        "    lines = text", "    import time; time.sleep(0.1)\n    lines = text"
    )
    job = batch.run(batch.model(slow), uri, resources={"InstanceCount": 3})
    assert batch.outputs(job) == {f"{n:02}.csv.out": f"{n}\n" for n in range(1, 13)}
    streams = batch.logs.describe_log_streams(
        logGroupName="/aws/sagemaker/TransformJobs",
        logStreamNamePrefix=f"{job['TransformJobName']}/",
    )["logStreams"]
    counts = [
        len(bodies(batch.log(job["TransformJobName"], each["logStreamName"])))
        for each in streams
        if not each["logStreamName"].endswith("/data-log")
    ]
    assert sum(counts) == 12
    assert min(counts) >= 2


REFUSING = """
from werkzeug.wrappers import Response

def model_fn(model_dir):
    return None

def transform_fn(model, body, content_type, accept):
    print("asked", flush=True)
    if "bad" in body:
        return Response('{"error": "Row 2 is bad"}', status=400, content_type="application/json")
    if "worse" in body:
        raise ValueError("the model broke")
    return body, content_type
"""


def test_a_refusal_fails_the_job_in_the_models_own_words_and_is_not_repeated(batch: Batch) -> None:
    uri = batch.put({"a.csv": "good\n", "b.csv": "fine\nbad\n", "c.csv": "good too\n"})
    job = batch.run(batch.model(ECHO, REFUSING), uri)
    name = job["TransformJobName"]
    assert job["TransformJobStatus"] == "Failed"
    assert job["FailureReason"] == (
        f"ClientError: {uri.removeprefix('s3://')}b.csv: container-2 answered 400: "
        '{"error": "Row 2 is bad"} See the log group /aws/sagemaker/TransformJobs for more '
        "information."
    )
    assert batch.log(name, "/container-2").count("asked") == 3
    assert batch.outputs(job) == {"a.csv.out": "good\n", "c.csv.out": "good too\n"}
    told = [line.partition("b.csv: ")[2] for line in batch.log(name, "/data-log")[1:]]
    assert told == ["ClientError: 400", "", "Message:", '{"error": "Row 2 is bad"}']


@pytest.mark.parametrize(("retries", "asked"), [(0, 1), (2, 3)])
def test_a_server_error_is_asked_again_as_often_as_the_job_says(
    batch: Batch, retries: int, asked: int
) -> None:
    job = batch.run(
        batch.model(REFUSING), batch.put({"a.csv": "worse"}),
        ModelClientConfig={"InvocationsMaxRetries": retries},
    )  # fmt: skip
    assert job["FailureReason"].startswith("AlgorithmError: ")
    assert "primary answered 500: " in job["FailureReason"]
    log = batch.log(job["TransformJobName"])
    assert log.count("asked") == asked
    assert "ValueError: the model broke" in log


DYING = """
import os
from pathlib import Path

def model_fn(model_dir):
    return Path(model_dir) / "died"

def transform_fn(model, body, content_type, accept):
    if "always" in body or ("once" in body and not model.exists()):
        model.write_text("")
        os._exit(3)
    return body, content_type
"""


def test_a_container_that_dies_is_back_for_the_next_attempt(batch: Batch) -> None:
    job = batch.run(
        batch.model(DYING), batch.put({"a.csv": "1\n2\nonce\n4\n"}), BatchStrategy="SingleRecord",
        **LINES,
    )  # fmt: skip
    assert job["TransformJobStatus"] == "Completed"
    assert batch.outputs(job) == {"a.csv.out": "1\n2\nonce\n4\n"}


def test_a_request_that_kills_its_container_each_time_fails_the_job(batch: Batch) -> None:
    job = batch.run(
        batch.model(DYING), batch.put({"a.csv": "always", "b.csv": "fine"}),
        ModelClientConfig={"InvocationsMaxRetries": 1},
    )  # fmt: skip
    assert job["TransformJobStatus"] == "Failed"
    assert "a.csv: primary ended while it handled the request" in job["FailureReason"]
    assert batch.outputs(job) == {"b.csv.out": "fine"}


def test_an_answer_that_comes_too_late_fails_the_job(batch: Batch) -> None:
    slow = ECHO.replace("    return body", "    import time; time.sleep(5)\n    return body")
    config = {"InvocationsTimeoutInSeconds": 1, "InvocationsMaxRetries": 0}
    job = batch.run(batch.model(slow), batch.put({"a": "x"}), ModelClientConfig=config)
    assert "primary did not answer in time" in job["FailureReason"]


def test_a_model_that_does_not_start_fails_the_job_with_its_own_words(batch: Batch) -> None:
    job = batch.run(batch.model(ECHO, "raise ValueError('no weights')"), batch.put({"a": "x"}))
    assert job["TransformJobStatus"] == "Failed"
    assert job["FailureReason"].startswith("AlgorithmError: container-2 of ")
    assert "ValueError: no weights" in job["FailureReason"]
    assert "TransformStartTime" not in job


def test_an_input_without_objects_and_an_output_without_a_bucket_fail_the_job(
    batch: Batch,
) -> None:
    model = batch.model(ECHO)
    job = batch.run(model, f"s3://{BUCKET}/nothing/here/")
    assert 'No S3 objects found under S3 URL "s3://batch/nothing/here/"' in job["FailureReason"]
    wanted = {"S3OutputPath": "s3://no-such-bucket-here/out"}
    job = batch.run(model, batch.put({"a": "x"}), wanted=wanted)
    assert job["FailureReason"].startswith("ClientError: ")
    assert "bucket" in job["FailureReason"]


def test_a_stopped_job_leaves_no_output(batch: Batch) -> None:
    slow = ECHO.replace("    return body",
                        "    import time\n    print('at', body, flush=True)\n"
                        "    time.sleep(30 if 'wait' in body else 0)\n    return body")  # fmt: skip
    name = batch.start(batch.model(slow), batch.put({"a.csv": "x", "b.csv": "wait"}))
    batch.wait_for_line(name, "at wait")
    began = time.monotonic()
    batch.sagemaker.stop_transform_job(TransformJobName=name)
    job = batch.finish(name)
    assert time.monotonic() - began < 10
    assert job["TransformJobStatus"] == "Stopped"
    assert "FailureReason" not in job
    assert batch.outputs(job) == {}
    with pytest.raises(ClientError, match="in status Stopped"):
        batch.sagemaker.stop_transform_job(TransformJobName=name)


def test_a_job_that_is_stopped_while_its_model_starts_ends_at_once(batch: Batch) -> None:
    name = batch.start(
        batch.model("import time\nprint('loading', flush=True)\ntime.sleep(60)"),
        batch.put({"a": "x"}),
    )
    batch.wait_for_line(name, "loading")
    batch.sagemaker.stop_transform_job(TransformJobName=name)
    assert batch.finish(name)["TransformJobStatus"] == "Stopped"


def test_jobs_are_listed_tagged_and_unique(batch: Batch) -> None:
    model, uri = batch.model(ECHO), batch.put({"a": "x"})
    request = batch.request(model, uri, Tags=[{"Key": "team", "Value": "a"}])
    arn = batch.sagemaker.create_transform_job(**request)["TransformJobArn"]
    with pytest.raises(ClientError, match="already exists") as caught:
        batch.sagemaker.create_transform_job(**request)
    assert caught.value.response["Error"]["Code"] == "ResourceInUse"
    batch.finish(request["TransformJobName"])
    listed = batch.sagemaker.list_transform_jobs(NameContains=batch.name, StatusEquals="Completed")
    (summary,) = listed["TransformJobSummaries"]
    assert summary["TransformJobArn"] == arn
    assert batch.sagemaker.list_tags(ResourceArn=arn)["Tags"] == [{"Key": "team", "Value": "a"}]
    with pytest.raises(ClientError, match="Could not find requested job with name: nobody"):
        batch.sagemaker.describe_transform_job(TransformJobName="nobody")


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"ModelName": "nobody"}, "Could not find model"),
        ({"given": {"SplitType": "RecordIO"}}, "SplitType must be None or Line here"),
        ({"given": {"SplitType": "TFRecord"}}, "SplitType must be None or Line here"),
        ({"kind": "AugmentedManifestFile"}, "S3DataType S3Prefix or ManifestFile here"),
        ({"MaxPayloadInMB": 101}, "MaxPayloadInMB must be at most 100, not 101"),
        (
            {"MaxPayloadInMB": 20, "MaxConcurrentTransforms": 6},
            r"MaxConcurrentTransforms \* MaxPayloadInMB must be at most 100, not 6 \* 20",
        ),
        ({"resources": {"InstanceCount": 17}}, "InstanceCount must be at most 16 here"),
        ({"DataCaptureConfig": {"DestinationS3Uri": "s3://b/c"}}, "DataCaptureConfig"),
        ({"ModelClientConfig": {"InvocationsMaxRetries": 4}}, "less than or equal to 3"),
        ({"BatchStrategy": "Some"}, "enum"),
    ],
)  # fmt: skip
def test_what_cannot_be_run_is_refused_before_anything_starts(
    batch: Batch, more: dict[str, Any], said: str
) -> None:
    model = more.pop("ModelName", None) or batch.model(ECHO)
    with pytest.raises(ClientError, match=said) as caught:
        batch.start(model, f"s3://{BUCKET}/any/", **more)
    assert caught.value.response["Error"]["Code"] == "ValidationException"


def test_an_object_that_is_replaced_meanwhile_is_transformed_as_it_was(batch: Batch) -> None:
    slow = ECHO.replace("    return body", "    import time\n    print('at', body, flush=True)\n"
                        "    time.sleep(1)\n    return body")  # fmt: skip
    uri = batch.put({"a.csv": "first", "b.csv": "second"})
    name = batch.start(batch.model(slow), uri)
    batch.wait_for_line(name, "at first")
    key = f"{uri.removeprefix(f's3://{BUCKET}/')}b.csv"
    batch.s3.put_object(Bucket=BUCKET, Key=key, Body="changed")
    job = batch.finish(name)
    assert batch.outputs(job) == {"a.csv.out": "first", "b.csv.out": "second"}


@pytest.mark.slow
def test_what_a_killed_localcloud_left_is_failed_at_the_next_start(tmp_path: Path) -> None:
    slow = ECHO.replace("    return body", "    import time\n    print('at work', flush=True)\n"
                        "    time.sleep(60)\n    return body")  # fmt: skip
    with localcloud(tmp_path / "state") as cloud:
        clients = [client_of(cloud, service) for service in ("sagemaker", "s3", "logs")]
        clients[1].create_bucket(Bucket=BUCKET)
        batch = Batch(*clients, "killed")
        name = batch.start(batch.model(slow), batch.put({"a": "x"}))
        batch.wait_for_line(name, "at work")
        server = json.loads((tmp_path / "state/server.json").read_text())["pid"]
        os.kill(server, signal.SIGKILL)
        assert cloud.command("up").returncode == 0
        job = batch.finish(name)
        assert job["TransformJobStatus"] == "Failed"
        assert "localcloud ended while this job ran" in job["FailureReason"]
        assert not list((tmp_path / "state/jobs/transform-job").glob("*/*"))
        assert batch.run(batch.model(ECHO), batch.put({"a": "y"}))["TransformJobStatus"] == (
            "Completed"
        )
