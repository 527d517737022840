"""The job contract: what lies under /opt/ml before a job, and what becomes of it afterwards."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest

from localcloud.containers import inputs, outputs, processing, training
from localcloud.containers.errors import DeliveryFailed, JobNotSupported, NoObjects
from localcloud.containers.hosts import Host, Instance, hosts
from localcloud.containers.outcome import failure_reason, final_metrics
from localcloud.s3.objects import ObjectStore

ROLE = "arn:aws:iam::000000000000:role/jobs"
IMAGE = "1.dkr.ecr.eu-central-1.amazonaws.com/sagemaker-xgboost:3.2-0"
Request = dict[str, Any]


@pytest.fixture
def objects(tmp_path: Path) -> ObjectStore:
    store = ObjectStore(tmp_path / "s3")
    store.create_bucket("000000000000", "eu-central-1", "bucket")
    return store


def put(objects: ObjectStore, key: str, content: bytes = b"x") -> None:
    objects.put_stream("bucket", key, io.BytesIO(content))


def files(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def processing_request(*sources: Request, **more: Any) -> Request:
    return {
        "ProcessingJobName": "job",
        "RoleArn": ROLE,
        "AppSpecification": {
            "ImageUri": IMAGE,
            "ContainerEntrypoint": ["python3", "/opt/ml/processing/input/code/p.py"],
            "ContainerArguments": ["--n", "1"],
        },
        "ProcessingResources": {
            "ClusterConfig": {
                "InstanceCount": 1,
                "InstanceType": "ml.m5.large",
                "VolumeSizeInGB": 1,
            }
        },
        "ProcessingInputs": [
            {
                "InputName": f"i{n}",
                "S3Input": {"LocalPath": f"/opt/ml/processing/input/{n}", **source},
            }
            for n, source in enumerate(sources)
        ],
        **more,
    }


def alone(root: Path) -> Instance:
    return Instance(Host(), root, root / "log")


def prepare(
    module: Any, request: Request, root: Path, objects: ObjectStore, host: Host | None = None
) -> Any:
    module.check(request)
    return module.prepare(
        request, Instance(host or Host(), root, root / "log"), objects, cpus=2,
        region="eu-central-1", arn="arn:aws:sagemaker:eu-central-1:000000000000:job/job",
        environment={"AWS_REGION": "r"},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("uri", "names"),
    [
        ("s3://bucket/data/", {"a.csv", "deep/b.csv"}),
        ("s3://bucket/data", {"a.csv", "deep/b.csv", "data2/c.csv"}),
        ("s3://bucket/data/a.csv", {"a.csv"}),
        ("s3://bucket", {"data/a.csv", "data/deep/b.csv", "data2/c.csv"}),
    ],
)
def test_a_prefix_is_laid_out_under_the_names_that_aws_gives(
    uri: str, names: set[str], objects: ObjectStore, tmp_path: Path
) -> None:
    for key in ("data/", "data/a.csv", "data/deep/b.csv", "data2/c.csv"):
        put(objects, key)
    prepare(processing, processing_request({"S3Uri": uri}), tmp_path / "ml", objects)
    assert set(files(tmp_path / "ml/processing/input/0")) == names


def test_a_manifest_names_its_files_below_its_prefix(objects: ObjectStore, tmp_path: Path) -> None:
    put(objects, "data/deep/b.csv", b"b")
    put(objects, "data/left.csv")
    manifest = [{"prefix": "s3://bucket/data/"}, "deep/b.csv"]
    put(objects, "m.json", json.dumps(manifest).encode())
    source = {"S3Uri": "s3://bucket/m.json", "S3DataType": "ManifestFile"}
    prepare(processing, processing_request(source), tmp_path / "ml", objects)
    assert files(tmp_path / "ml/processing/input/0") == {"deep/b.csv": b"b"}


@pytest.mark.parametrize("uri", ["s3://bucket/none/", "s3://no-bucket/data"])
def test_an_input_with_nothing_behind_it_is_told_in_the_words_of_aws(
    uri: str, objects: ObjectStore, tmp_path: Path
) -> None:
    with pytest.raises(NoObjects, match=f'No S3 objects found under S3 URL "{uri}"') as caught:
        prepare(processing, processing_request({"S3Uri": uri}), tmp_path / "ml", objects)
    assert ROLE in str(caught.value)
    assert caught.value.code == "ValidationException"


def test_a_small_input_may_be_changed_and_its_object_stays(
    objects: ObjectStore, tmp_path: Path
) -> None:
    put(objects, "data/a.csv", b"before")
    prepare(processing, processing_request({"S3Uri": "s3://bucket/data"}), tmp_path / "ml", objects)
    (tmp_path / "ml/processing/input/0/a.csv").write_bytes(b"after")
    assert objects.get("bucket", "data/a.csv").path.read_bytes() == b"before"


def test_a_big_input_is_the_objects_own_file_and_is_marked_read_only(
    objects: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inputs, "COPIED_BELOW", 4)
    monkeypatch.setattr(inputs, "may_link", lambda: True)
    put(objects, "data/big", b"12345")
    request = processing_request({"S3Uri": "s3://bucket/data"})
    spec = prepare(processing, request, tmp_path / "ml", objects)
    laid = tmp_path / "ml/processing/input/0/big"
    assert laid.stat().st_ino == objects.get("bucket", "data/big").path.stat().st_ino
    assert spec.read_only == ("/opt/ml/processing/input/0/big",)


@pytest.mark.parametrize(
    "change",
    [
        {"S3Uri": "s3://bucket/up"},
        {"S3Uri": "s3://bucket/data", "LocalPath": "/etc/passwd"},
        {"S3Uri": "s3://bucket/data", "LocalPath": "/opt/ml/../../etc"},
        {"S3Uri": "s3://bucket/data", "S3InputMode": "Pipe"},
        {"S3Uri": "s3://bucket/data", "S3DataType": "Other"},
        {"S3Uri": "s3://bucket/clash"},
        {"S3Uri": "http://bucket/data"},
    ],
)
def test_an_input_that_cannot_be_laid_out_is_refused(
    change: Request, objects: ObjectStore, tmp_path: Path
) -> None:
    for key in ("data/a", "up/../x", "clash/a", "clash/a/b"):
        put(objects, key)
    with pytest.raises(JobNotSupported):
        prepare(processing, processing_request(change), tmp_path / "ml", objects)


def test_a_processing_job_finds_its_configuration_and_delivers_its_outputs(
    objects: ObjectStore, tmp_path: Path
) -> None:
    root = tmp_path / "ml"
    outputs = [
        {"OutputName": name, "S3Output": {
            "LocalPath": f"/opt/ml/processing/{name}", "S3Uri": f"s3://bucket/out/{name}",
            "S3UploadMode": "EndOfJob"}}
        for name in ("full", "empty")
    ]  # fmt: skip
    request = processing_request(
        ProcessingOutputConfig={"Outputs": outputs}, Environment={"MODE": "fast"}
    )
    spec = prepare(processing, request, root, objects)
    assert spec.command == ("python3", "/opt/ml/processing/input/code/p.py", "--n", "1")
    assert spec.environment == {"AWS_REGION": "r", "MODE": "fast"}
    config = json.loads((root / "config/processingjobconfig.json").read_text())
    assert config["ProcessingJobArn"].endswith("job/job")
    assert config["ProcessingOutputConfig"] == {"Outputs": outputs}
    hosts = json.loads((root / "config/resourceconfig.json").read_text())
    assert (hosts["current_host"], hosts["hosts"]) == ("algo-1", ["algo-1"])

    (root / "processing/full/deep").mkdir()
    (root / "processing/full/deep/a.txt").write_text("hello")
    (root / "output/message").write_text("all is well\n")
    processing.finish(request, [alone(root)], objects)
    assert processing.exit_message([alone(root)]) == "all is well"
    stored = {each.key: each.path.read_bytes() for each in objects.list("bucket")}
    assert stored == {"out/full/deep/a.txt": b"hello"}


def test_more_than_sixteen_instances_are_refused() -> None:
    request = processing_request()
    request["ProcessingResources"]["ClusterConfig"]["InstanceCount"] = 17
    with pytest.raises(JobNotSupported, match=r"at most 16 here.* it is 17"):
        processing.check(request)
    request = training_request({})
    request["ResourceConfig"]["InstanceCount"] = 100
    with pytest.raises(JobNotSupported, match=r"at most 16 here.* it is 100"):
        training.check(request)
    request["ResourceConfig"] = {"InstanceGroups": []}
    with pytest.raises(JobNotSupported, match="InstanceGroups"):
        training.check(request)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"InputMode": "Pipe"}, "'train' must have InputMode File or FastFile here, not 'Pipe'"),
        ({"CompressionType": "Gzip"}, "CompressionType None here, not 'Gzip'"),
        ({"RecordWrapperType": "RecordIO"}, "RecordWrapperType None here, not 'RecordIO'"),
        ({"DataSource": {"FileSystemDataSource": {}}}, "must have an S3DataSource"),
        (
            {"DataSource": {"S3DataSource": {
                "S3DataType": "AugmentedManifestFile", "S3Uri": "s3://bucket/m"}}},
            "S3Prefix or ManifestFile here, not 'AugmentedManifestFile'",
        ),
    ],
)  # fmt: skip
def test_a_channel_that_cannot_be_had_is_refused_by_name(change: Request, said: str) -> None:
    request = training_request({})
    request["InputDataConfig"][0] |= change
    with pytest.raises(JobNotSupported, match=said):
        training.check(request)


def test_the_input_mode_of_the_algorithm_counts_for_channels_without_one() -> None:
    request = training_request({})
    request["AlgorithmSpecification"]["TrainingInputMode"] = "Pipe"
    with pytest.raises(JobNotSupported, match="not 'Pipe'"):
        training.check(request)


@pytest.mark.parametrize("side", ["ProcessingInputs", "Outputs"])
def test_what_is_managed_by_an_application_is_refused_by_name(side: str) -> None:
    source = {"S3Uri": "s3://bucket/data"}
    request = processing_request(source)
    request["ProcessingOutputConfig"] = {"Outputs": [{"OutputName": "o", "AppManaged": True}]}
    if side == "ProcessingInputs":
        request["ProcessingInputs"][0]["AppManaged"] = True
    named = {"ProcessingInputs": "the input 'i0'", "Outputs": "the output 'o'"}[side]
    with pytest.raises(JobNotSupported, match=f"{named} must not be AppManaged"):
        processing.check(request)


@pytest.mark.parametrize("kind", ["S3Prefix", "ManifestFile"])
def test_a_sharded_input_is_parted_among_the_hosts_and_a_host_may_have_none(
    kind: str, objects: ObjectStore, tmp_path: Path
) -> None:
    names = ["a", "b", "c"]
    for name in names:
        put(objects, f"data/{name}")
    put(objects, "m.json", json.dumps([{"prefix": "s3://bucket/data/"}, *names]).encode())
    uri = "s3://bucket/data/" if kind == "S3Prefix" else "s3://bucket/m.json"
    source = {"S3Uri": uri, "S3DataType": kind}
    request = processing_request(
        {**source, "S3DataDistributionType": "ShardedByS3Key"},
        {**source, "S3DataDistributionType": "FullyReplicated"},
    )
    got = []
    for host in hosts(4):
        root = tmp_path / host.name
        prepare(processing, request, root, objects, host)
        folder = root / "processing/input"
        got.append(sorted(files(folder / "0")))
        assert sorted(files(folder / "1")) == names
        told = json.loads((root / "config/resourceconfig.json").read_text())
        assert told["current_host"] == host.name
        assert told["hosts"] == ["algo-1", "algo-2", "algo-3", "algo-4"]
    assert got == [["a"], ["b"], ["c"], []]


def test_the_archives_hold_what_all_hosts_wrote_and_the_log_tells_of_a_clash(
    fitted: ObjectStore, tmp_path: Path
) -> None:
    request = training_request({})
    instances = [Instance(h, tmp_path / h.name, tmp_path / f"{h.name}.log") for h in hosts(2)]
    for instance in instances:
        prepare(training, request, instance.root, fitted, instance.host)
        (instance.root / "model/parts").mkdir()
        (instance.root / f"model/parts/{instance.host.name}").write_text("part")
        (instance.root / "model/same").write_text(instance.host.name)
    training.finish(request, instances, fitted)
    with tarfile.open(fitted.get("bucket", "models/fit/output/model.tar.gz").path) as tar:
        assert tar.getnames() == ["parts", "parts/algo-1", "parts/algo-2", "same"]
        member = tar.extractfile("same")
        assert member is not None
        assert member.read() == b"algo-2"
    assert not instances[0].log.exists()
    assert "same in /opt/ml/model was also written by another host" in instances[1].log.read_text()


def test_links_in_an_output_are_followed_as_the_job_would_and_nothing_outside_changes(
    objects: ObjectStore, tmp_path: Path
) -> None:
    root, outside = tmp_path / "ml", tmp_path / "outside"
    outside.write_text("outside")
    outside.chmod(0o644)
    output = {"LocalPath": "/opt/ml/processing/out", "S3Uri": "s3://bucket/out",
              "S3UploadMode": "EndOfJob"}  # fmt: skip
    request = processing_request(
        ProcessingOutputConfig={"Outputs": [{"OutputName": "out", "S3Output": output}]}
    )
    prepare(processing, request, root, objects)
    folder = root / "processing/out"
    (root / "processing/kept").write_text("inside")
    (folder / "absolute").symlink_to("/opt/ml/processing/kept")
    (folder / "relative").symlink_to("../kept")
    (folder / "outside").symlink_to(outside)
    os.mkfifo(folder / "pipe")
    processing.finish(request, [alone(root)], objects)
    assert {each.key: each.path.read_text() for each in objects.list("bucket")} == {
        "out/absolute": "inside", "out/relative": "inside", "out/outside": "outside",
    }  # fmt: skip
    assert outside.stat().st_mode & 0o777 == 0o644
    (folder / "broken").symlink_to("/opt/ml/none")
    with pytest.raises(DeliveryFailed, match=r"No such file or directory: .*/none"):
        processing.finish(request, [alone(root)], objects)


def test_a_continuous_output_goes_up_while_it_is_written_and_again_when_it_grows(
    objects: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outputs, "_STILL_SECONDS", 0.0)
    root = tmp_path / "ml"
    output = {"LocalPath": "/opt/ml/processing/out", "S3Uri": "s3://bucket/out",
              "S3UploadMode": "Continuous"}  # fmt: skip
    request = processing_request(
        ProcessingOutputConfig={"Outputs": [{"OutputName": "out", "S3Output": output}]}
    )
    prepare(processing, request, root, objects)
    (upload,) = processing.continuous(request, [alone(root)], objects)
    path = root / "processing/out/a"
    for text in ("one", "one two"):
        path.write_text(text)
        upload.look()  # sees that it has changed
        upload.look()  # sees that it has not
        assert objects.get("bucket", "out/a").path.read_text() == text
    path.write_text("the end")
    processing.finish_early(request, [alone(root)], objects)
    assert objects.get("bucket", "out/a").path.read_text() == "the end"


def put_code(objects: ObjectStore, **sources: str) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, text in sources.items():
            info = tarfile.TarInfo(f"{name}.py")
            info.size = len(text)
            tar.addfile(info, io.BytesIO(text.encode()))
    put(objects, "code/sourcedir.tar.gz", buffer.getvalue())


def training_request(hyperparameters: dict[str, str], **more: Any) -> Request:
    return {
        "TrainingJobName": "fit",
        "RoleArn": ROLE,
        "AlgorithmSpecification": {"TrainingImage": IMAGE, "TrainingInputMode": "File"},
        "HyperParameters": {
            "sagemaker_program": '"train.py"',
            "sagemaker_submit_directory": "s3://bucket/code/sourcedir.tar.gz",
            **hyperparameters,
        },
        "InputDataConfig": [
            {
                "ChannelName": "train",
                "ContentType": "text/csv",
                "DataSource": {"S3DataSource": {
                    "S3DataType": "S3Prefix", "S3Uri": "s3://bucket/data/",
                    "S3DataDistributionType": "FullyReplicated"}},
            }
        ],
        "OutputDataConfig": {"S3OutputPath": "s3://bucket/models/"},
        "ResourceConfig": {
            "InstanceCount": 1, "InstanceType": "ml.m5.xlarge", "VolumeSizeInGB": 1
        },
        "StoppingCondition": {"MaxRuntimeInSeconds": 60},
        **more,
    }  # fmt: skip


@pytest.fixture
def fitted(objects: ObjectStore) -> ObjectStore:
    put(objects, "data/a.csv", b"1,2")
    put_code(objects, train="print('hello')")
    return objects


def test_script_mode_sets_the_variables_that_the_images_starter_sets(
    fitted: ObjectStore, tmp_path: Path
) -> None:
    """Names and forms are those of sagemaker-training's environment.py and mapping.py."""
    root = tmp_path / "ml"
    given = {
        "max_depth": "5", "eta": "0.10", "name": "plain text", "quoted": '"text"', "flag": "true",
        "k": "1", "nested": '{"b": 2, "a": 1}', "sagemaker_region": '"eu-central-1"',
        "sagemaker_own": "7",
    }  # fmt: skip
    spec = prepare(training, training_request(given), root, fitted)
    env = spec.environment
    assert spec.directory == "/opt/ml/code"
    assert spec.command == (
        "python3", "/opt/ml/code/train.py", "--eta", "0.1", "--flag", "True", "-k", "1",
        "--max_depth", "5", "--name", "plain text", "--nested", "a=1,b=2", "--quoted", "text",
    )  # fmt: skip
    assert {name: env[name] for name in env if name.startswith("SM_HP_")} == {
        "SM_HP_MAX_DEPTH": "5", "SM_HP_ETA": "0.1", "SM_HP_NAME": "plain text",
        "SM_HP_QUOTED": "text", "SM_HP_FLAG": "true", "SM_HP_K": "1",
        "SM_HP_NESTED": '{"a":1,"b":2}',
    }  # fmt: skip
    assert json.loads(env["SM_HPS"]) == {
        "max_depth": 5, "eta": 0.1, "name": "plain text", "quoted": "text", "flag": True, "k": 1,
        "nested": {"a": 1, "b": 2},
    }  # fmt: skip
    expected = {
        "SM_CHANNELS": '["train"]', "SM_CHANNEL_TRAIN": "/opt/ml/input/data/train",
        "SM_MODEL_DIR": "/opt/ml/model", "SM_OUTPUT_DIR": "/opt/ml/output",
        "SM_OUTPUT_DATA_DIR": "/opt/ml/output/data", "SM_INPUT_DIR": "/opt/ml/input",
        "SM_INPUT_CONFIG_DIR": "/opt/ml/input/config", "SM_HOSTS": '["algo-1"]',
        "SM_CURRENT_HOST": "algo-1", "SM_NUM_CPUS": "2", "SM_NUM_GPUS": "0",
        "SM_USER_ENTRY_POINT": "train.py", "SM_MODULE_NAME": "train",
        "SM_MODULE_DIR": "s3://bucket/code/sourcedir.tar.gz", "SM_LOG_LEVEL": "20",
        "SM_FRAMEWORK_PARAMS": '{"sagemaker_own":7}', "SM_FRAMEWORK_MODULE": "",
        "SM_NETWORK_INTERFACE_NAME": "eth0", "SM_CURRENT_INSTANCE_TYPE": "ml.m5.xlarge",
        "SAGEMAKER_REGION": "eu-central-1", "TRAINING_JOB_NAME": "fit", "CURRENT_HOST": "algo-1",
    }  # fmt: skip
    assert {name: env[name] for name in expected} == expected
    assert json.loads(env["SM_USER_ARGS"]) == list(spec.command[2:])
    assert json.loads(env["SM_TRAINING_ENV"])["channel_input_dirs"] == {
        "train": "/opt/ml/input/data/train"
    }
    assert files(root / "code") == {"train.py": b"print('hello')"}
    assert files(root / "input/data") == {"train/a.csv": b"1,2"}
    config = json.loads((root / "input/config/hyperparameters.json").read_text())
    assert config["max_depth"] == "5"
    assert json.loads((root / "input/config/inputdataconfig.json").read_text()) == {
        "train": {
            "ContentType": "text/csv", "TrainingInputMode": "File",
            "S3DistributionType": "FullyReplicated", "RecordWrapperType": "None",
        }
    }  # fmt: skip


def test_a_model_and_other_output_become_archives_if_there_is_any(
    fitted: ObjectStore, tmp_path: Path
) -> None:
    root, request = tmp_path / "ml", training_request({})
    prepare(training, request, root, fitted)
    assert training.finish(request, [alone(root)], fitted) is None
    assert not list(fitted.list("bucket", "models/"))
    (root / "model/code").mkdir()
    (root / "model/code/inference.py").write_text("code")
    (root / "model/model.bin").write_text("model")
    uri = training.finish(request, [alone(root)], fitted)
    assert uri == "s3://bucket/models/fit/output/model.tar.gz"
    assert [each.key for each in fitted.list("bucket", "models/")] == [
        "models/fit/output/model.tar.gz"
    ]
    with tarfile.open(fitted.get("bucket", "models/fit/output/model.tar.gz").path) as tar:
        assert sorted(tar.getnames()) == ["code", "code/inference.py", "model.bin"]


def test_checkpoints_of_an_earlier_job_are_there_and_new_ones_are_kept(
    fitted: ObjectStore, tmp_path: Path
) -> None:
    root = tmp_path / "ml"
    request = training_request({}, CheckpointConfig={"S3Uri": "s3://bucket/check"})
    prepare(training, request, root, fitted)
    (root / "checkpoints/1.bin").write_text("one")
    training.save_checkpoints(request, [alone(root)], fitted)
    prepare(training, request, tmp_path / "second", fitted)
    assert files(tmp_path / "second/checkpoints") == {"1.bin": b"one"}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"sagemaker_program": "other.py"}, "other.py"),
        ({"sagemaker_submit_directory": "s3://bucket/data/a.csv"}, "tar.gz"),
    ],
)
def test_code_that_is_not_there_is_told_before_the_job_starts(
    change: dict[str, str], said: str, fitted: ObjectStore, tmp_path: Path
) -> None:
    with pytest.raises(JobNotSupported, match=said):
        prepare(training, training_request(change), tmp_path / "ml", fitted)
    with pytest.raises(NoObjects, match=r"s3://bucket/none\.tar\.gz"):
        prepare(
            training,
            training_request({"sagemaker_submit_directory": "s3://bucket/none.tar.gz"}),
            tmp_path / "ml2",
            fitted,
        )


def test_a_failure_reason_is_the_jobs_own_last_error(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text(
        "starting\nTraceback (most recent call last):\n  File 'a', line 1\nKeyError: 'x'\n\n"
        "During handling of the above exception, another exception occurred:\n\n"
        "Traceback (most recent call last):\n  File 'b', line 2\n    f()\n"
        "schema.BadRow: row 3 is bad\nTorque: 900\n"
    )
    reason = failure_reason(tmp_path, log, 1)
    assert reason == "AlgorithmError: schema.BadRow: row 3 is bad\nTorque: 900, exit code: 1"
    log.write_text("step 1\nmax_depth must be positive\n\n")
    assert failure_reason(tmp_path, log, 2) == (
        "AlgorithmError: max_depth must be positive, exit code: 2"
    )
    assert failure_reason(tmp_path, tmp_path / "none", -9) == (
        "AlgorithmError: killed by SIGKILL, exit code: 137"
    )
    (tmp_path / "output").mkdir()
    (tmp_path / "output/failure").write_text("own words " * 200)
    reason = failure_reason(tmp_path, log, 1)
    assert len(reason) == 1024
    assert reason.startswith("AlgorithmError: own words own")
    assert reason.endswith(", exit code: 1")


def test_of_a_group_of_exceptions_each_is_told_and_no_frame(tmp_path: Path) -> None:
    program = (
        "import asyncio\n"
        "async def fetch(): raise ValueError('row 3 is bad')\n"
        "async def main():\n"
        "    async with asyncio.TaskGroup() as group: group.create_task(fetch())\n"
        "asyncio.run(main())"
    )
    log = tmp_path / "log"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)
    log.write_bytes(b"before\n" + done.stderr)
    assert failure_reason(tmp_path, log, 1) == (
        "AlgorithmError: ExceptionGroup: unhandled errors in a TaskGroup (1 sub-exception)\n"
        "ValueError: row 3 is bad, exit code: 1"
    )


def test_what_a_script_said_last_is_told_after_an_error_that_it_had_handled(tmp_path: Path) -> None:
    log = tmp_path / "log"
    epochs = "".join(f"epoch {number} of a long training\n" for number in range(50))
    log.write_text(
        "Traceback (most recent call last):\n  File 'a', line 1\nKeyError: 'x'\n"
        f"{epochs}no data for March\n"
    )
    reason = failure_reason(tmp_path, log, 1)
    assert reason.startswith("AlgorithmError: KeyError: 'x'\nepoch 0 of")
    assert reason.endswith("...\nepoch 48 of a long training\nepoch 49 of a long training\n"
                           "no data for March, exit code: 1")  # fmt: skip


def test_the_last_value_of_each_metric_counts(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("validation:f1=0.5\ntrain:loss=nope\nvalidation:f1=8.5e-1\n")
    definitions = [
        {"Name": "validation:f1", "Regex": r"validation:f1=(\S+)"},
        {"Name": "train:loss", "Regex": r"train:loss=(\S+)"},
        {"Name": "none", "Regex": "none=(.*)"},
    ]
    found = final_metrics(definitions, log)
    assert [(each["MetricName"], each["Value"]) for each in found] == [("validation:f1", 0.85)]
    assert abs(found[0]["Timestamp"].timestamp() - log.stat().st_mtime) < 1
