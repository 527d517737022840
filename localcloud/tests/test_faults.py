"""Faults of the machine: each ends in one sentence, and what was stored stays."""

from __future__ import annotations

import io
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from clients import client_of, not_started
from definitions import ROLE, definition, processing, training
from waiting import finish, wait_until

from localcloud.addresses import SERVER_FILE
from localcloud.protocol import Caller
from localcloud.sagemaker.listing import Listing, choose
from localcloud.store import Store
from localcloud.testing import localcloud

pytestmark = [pytest.mark.slow, pytest.mark.integration]
CALLER = Caller("000000000000", "us-east-1")


@contextmanager
def mounted(folder: Path, options: str) -> Iterator[Path]:
    """A small file system of its own, where this machine lets us mount one."""
    folder.mkdir(exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    done = subprocess.run(command, capture_output=True, check=False)
    if done.returncode != 0:
        pytest.skip("mounting a small file system needs root")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def sentence(done: subprocess.CompletedProcess[str]) -> str:
    """What a refused command says: one line, no stack trace, exit code 1."""
    assert done.returncode == 1, done
    assert done.stderr.startswith("localcloud: "), done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
    return done.stderr


def refusal(call: Callable[..., Any], **words: Any) -> tuple[int, str]:
    with pytest.raises(ClientError) as refused:
        call(**words)
    return refused.value.response["ResponseMetadata"]["HTTPStatusCode"], str(refused.value)


def fill(folder: Path) -> Path:
    """Leave no room on a file system; deleting the file gives it back."""
    ballast = folder / "ballast"
    with ballast.open("wb", buffering=0) as file:
        for block in (1 << 16, 1 << 12, 1):
            try:
                while True:
                    file.write(b"x" * block)
            except OSError:
                continue
    return ballast


def test_a_full_disk_refuses_what_writes_and_loses_nothing(tmp_path: Path) -> None:
    """PutObject, SQLite, moto's records; when there is room again, the same calls work."""
    with mounted(tmp_path / "small", "size=24m") as small, localcloud(small / "state") as cloud:
        s3, sagemaker, iam = (client_of(cloud, name) for name in ("s3", "sagemaker", "iam"))
        s3.create_bucket(Bucket="kept")
        s3.put_object(Bucket="kept", Key="a", Body=b"before")
        iam.create_role(RoleName="kept", AssumeRolePolicyDocument="{}")
        sagemaker.create_model_package_group(ModelPackageGroupName="kept")
        big = io.BytesIO(b"x" * (30 << 20))
        assert refusal(s3.put_object, Bucket="kept", Key="a", Body=big)[0] == 500
        ballast = fill(small)
        big.seek(0)
        status, said = refusal(s3.put_object, Bucket="kept", Key="a", Body=big)
        assert (status, "disk of the state folder is full" in said) == (500, True), said
        refused = 0
        for number in range(300):
            try:
                sagemaker.create_model_package_group(
                    ModelPackageGroupName=f"more-{number}", ModelPackageGroupDescription="x" * 1000
                )
            except ClientError as error:
                refused += 1
                assert "disk of the state folder is full" in str(error)  # noqa: PT017
                break
        assert refused
        status, said = refusal(iam.create_role, RoleName="more", AssumeRolePolicyDocument="{}")
        assert (status, "disk of the state folder is full" in said) == (500, True), said
        assert s3.get_object(Bucket="kept", Key="a")["Body"].read() == b"before"
        assert sagemaker.describe_model_package_group(ModelPackageGroupName="kept")
        ballast.unlink()
        s3.put_object(Bucket="kept", Key="b", Body=b"after")
        sagemaker.create_model_package_group(ModelPackageGroupName="after")
        iam.create_role(RoleName="after", AssumeRolePolicyDocument="{}")
        assert cloud.command("down").returncode == 0
        assert cloud.command("up").returncode == 0
        assert s3.get_object(Bucket="kept", Key="b")["Body"].read() == b"after"
        assert sagemaker.describe_model_package_group(ModelPackageGroupName="after")
        assert {role["RoleName"] for role in iam.list_roles()["Roles"]} >= {"kept", "after"}


FILL = (
    "import itertools, os\n"
    "if os.path.exists({room!r}): raise SystemExit\n"
    "for number in itertools.count():\n"
    "    with open('/opt/ml/{folder}/%d' % number, 'wb', buffering=0) as file:\n"
    "        file.write(b'x' * 4096)"
)


def chain(small: Path, kind: str) -> str:
    """First -> Big, which fills the disk until there is a file `room` -> Last."""
    folder = {"Processing": "processing/out", "Training": "model"}[kind]
    job = small.with_name("job.py")  # an entrypoint may not be this long
    job.write_text(FILL.format(room=str(small.with_name("room")), folder=folder))
    script = f"exec(open({str(job)!r}).read())"
    if kind == "Processing":
        big = processing("Big", script, outputs={"out": "s3://kept/big"}, DependsOn=["First"])
    else:
        big = training("Big", script, bucket="kept", DependsOn=["First"])
    write = "open('/opt/ml/processing/out/a', 'w').write('first')"
    first = processing("First", write, outputs={"out": "s3://kept/first"})
    return definition(first, big, processing("Last", "print(1)", DependsOn=["Big"]))


@pytest.mark.parametrize("kind", ["Processing", "Training"])
def test_an_execution_whose_job_fills_the_disk_fails_in_a_sentence_and_can_be_retried(
    tmp_path: Path, kind: str
) -> None:
    """The job's folder goes, so that its end can be stored; all else stays."""
    with mounted(tmp_path / "small", "size=24m") as small, localcloud(small / "state") as cloud:
        s3, sagemaker = (client_of(cloud, name) for name in ("s3", "sagemaker"))
        s3.create_bucket(Bucket="kept")
        sagemaker.create_model_package_group(ModelPackageGroupName="kept")
        sagemaker.create_pipeline(
            PipelineName="full", PipelineDefinition=chain(small, kind), RoleArn=ROLE
        )
        arn = sagemaker.start_pipeline_execution(PipelineName="full")["PipelineExecutionArn"]
        failed = finish(sagemaker, arn)
        assert failed["PipelineExecutionStatus"] == "Failed"
        assert "Big: AlgorithmError: " in failed["FailureReason"]
        assert "No space left on device" in failed["FailureReason"]
        assert "deleted to make room" in failed["FailureReason"]
        assert list(failed["Steps"]) == ["Big", "First"]
        assert failed["Steps"]["Big"]["StepStatus"] == "Failed"
        assert s3.get_object(Bucket="kept", Key="first/a")["Body"].read() == b"first"
        assert sagemaker.describe_model_package_group(ModelPackageGroupName="kept")
        small.with_name("room").touch()
        sagemaker.retry_pipeline_execution(PipelineExecutionArn=arn)
        retried = finish(sagemaker, arn)
        assert retried["PipelineExecutionStatus"] == "Succeeded", retried
        assert retried["Steps"]["First"] == failed["Steps"]["First"]
        assert cloud.command("status").returncode == 0


def test_an_execution_goes_on_when_others_have_left_room_again(tmp_path: Path) -> None:
    """Another program fills the disk while a job runs: what the job leads to waits for room."""
    go = tmp_path / "go"
    wait = f"import os, time\nwhile not os.path.exists({str(go)!r}): time.sleep(0.05)"
    text = definition(
        processing("Wait", wait, CacheConfig={"Enabled": True}),
        processing("Next", "print(1)", DependsOn=["Wait"]),
    )
    with mounted(tmp_path / "small", "size=24m") as small, localcloud(small / "state") as cloud:
        sagemaker = client_of(cloud, "sagemaker")
        sagemaker.create_pipeline(PipelineName="waits", PipelineDefinition=text, RoleArn=ROLE)
        arn = sagemaker.start_pipeline_execution(PipelineName="waits")["PipelineExecutionArn"]

        def runs() -> bool:
            (job,) = sagemaker.list_processing_jobs()["ProcessingJobSummaries"]
            return "ProcessingStartTime" in sagemaker.describe_processing_job(
                ProcessingJobName=job["ProcessingJobName"]
            )

        wait_until(runs)
        ballast = fill(small)
        go.touch()
        time.sleep(3)
        execution = sagemaker.describe_pipeline_execution(PipelineExecutionArn=arn)
        assert execution["PipelineExecutionStatus"] == "Executing"
        ballast.unlink()
        done = finish(sagemaker, arn)
        assert done["PipelineExecutionStatus"] == "Succeeded", done
        assert done["Steps"]["Next"]["AttemptCount"] == 1


def test_up_on_a_full_disk_says_so(tmp_path: Path) -> None:
    with mounted(tmp_path / "small", "size=1m") as small:
        fill(small)
        with not_started(small / "state") as cloud:
            said = sentence(cloud.command("up"))
    assert "full" in said or "No space left" in said


def test_a_read_only_state_folder_is_named(tmp_path: Path) -> None:
    with (
        mounted(tmp_path / "read-only", "ro,size=1m") as folder,
        not_started(folder / "state") as cloud,
    ):
        said = sentence(cloud.command("up"))
    assert str(folder / "state") in said
    assert "Read-only" in said


@pytest.mark.parametrize(
    "file", ["state.db", "metrics.db", "s3/index.db", "records/version.json", "processes/1.json"]
)
def test_a_broken_file_is_named_and_nothing_is_deleted(tmp_path: Path, file: str) -> None:
    state = tmp_path / "state"
    with localcloud(state) as cloud:
        client_of(cloud, "iam").create_role(RoleName="kept", AssumeRolePolicyDocument="{}")
    for path in [*state.glob(f"{file}-*")]:
        path.unlink()
    (state / file).parent.mkdir(exist_ok=True)
    (state / file).write_bytes(b"this is not what it was " * 500)
    with not_started(state) as cloud:
        done = cloud.command("up")
        if file.startswith("processes"):
            assert done.returncode == 0 or sentence(done)
        else:
            said = sentence(done)
            assert str(state / file) in said
            assert "Nothing was deleted" in said
            assert (state / file).read_bytes().startswith(b"this is not")


def test_a_broken_snapshot_refuses_the_calls_of_its_service_only(tmp_path: Path) -> None:
    state = tmp_path / "state"
    with localcloud(state) as cloud:
        client_of(cloud, "iam").create_role(RoleName="kept", AssumeRolePolicyDocument="{}")
    (state / "records" / "iam.pickle").write_bytes(b"\x80\x05broken")
    with localcloud(state) as cloud:
        status, said = refusal(client_of(cloud, "iam").list_roles)
        assert status == 500
        assert str(state / "records" / "iam.pickle") in said
        assert "Nothing was deleted" in said
        assert client_of(cloud, "sts").get_caller_identity()["Account"] == "000000000000"
    assert (state / "records" / "iam.pickle").read_bytes() == b"\x80\x05broken"


@pytest.mark.parametrize("text", ["", "{", "[]", "5", '{"pid": null}', '{"pid": "x"}'])
def test_a_broken_server_file_stops_nobody(tmp_path: Path, text: str) -> None:
    with localcloud(tmp_path / "state") as cloud:
        pid = int(json.loads((cloud.address.state / SERVER_FILE).read_text())["pid"])
        (cloud.address.state / SERVER_FILE).write_text(text)
        for command in ("up", "status", "down"):
            done = cloud.command(command)
            assert "Traceback" not in done.stderr, done.stderr
        os.kill(pid, signal.SIGTERM) if Path(f"/proc/{pid}").exists() else None


def test_two_ups_at_the_same_moment_make_one_server(tmp_path: Path) -> None:
    with not_started(tmp_path / "state") as cloud:
        both = [
            subprocess.Popen(
                [sys.executable, "-m", "localcloud", "up"],
                env=cloud.environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            for _ in range(2)
        ]
        said = [process.communicate(timeout=60) for process in both]
        assert 0 in [process.returncode for process in both], said
        for process, (out, err) in zip(both, said, strict=True):
            told = "is up at" in out or "Another localcloud uses the state folder" in err
            assert told, (process.returncode, out, err)
            assert "Traceback" not in err
        assert cloud.command("status").returncode == 0


@pytest.mark.parametrize("name", ["with space", "größe-数据 'x'", "deep/" * 40 + "state"])
def test_any_path_can_hold_a_state(tmp_path: Path, name: str) -> None:
    with localcloud(tmp_path / name) as cloud:
        client_of(cloud, "s3").create_bucket(Bucket="kept")
        client_of(cloud, "s3").put_object(Bucket="kept", Key="ö b", Body=b"x")
        client_of(cloud, "iam").create_role(RoleName="kept", AssumeRolePolicyDocument="{}")
        assert cloud.command("status").returncode == 0


def test_a_path_longer_than_the_system_takes_is_named(tmp_path: Path) -> None:
    with not_started(tmp_path / ("x" * 300)) as cloud:
        assert "too long" in sentence(cloud.command("up"))


@pytest.mark.parametrize("layout", [-1, 2, 999])
def test_another_layout_is_refused_and_left_alone(tmp_path: Path, layout: int) -> None:
    state = tmp_path / "state"
    state.mkdir()
    with sqlite3.connect(state / "state.db") as database:
        database.execute(f"PRAGMA user_version = {layout}")
        database.execute("CREATE TABLE theirs (a)")
    with not_started(state) as cloud:
        assert f"layout {layout}" in sentence(cloud.command("up"))
    with sqlite3.connect(state / "state.db") as database:
        names = database.execute("SELECT name FROM sqlite_master").fetchall()
    assert names == [("theirs",)]


def test_a_failed_commit_leaves_the_store_usable(tmp_path: Path) -> None:
    """What a full disk does inside SQLite, on any machine."""
    store = Store(tmp_path / "state.db")
    limit = store._database.execute("PRAGMA page_count").fetchone()[0] + 2
    store._database.execute(f"PRAGMA max_page_count = {limit}")

    def put_both() -> None:
        with store.transaction():
            store.put(CALLER, "thing", "first", {})
            store.put(CALLER, "thing", "big", {"text": "x" * 100_000})

    with pytest.raises(sqlite3.OperationalError, match="full"):
        put_both()
    store._database.execute("PRAGMA max_page_count = 100000")
    assert store.documents(CALLER, "thing") == []
    store.put(CALLER, "thing", "big", {"text": "x" * 100_000})
    assert len(store.documents(CALLER, "thing")) == 1


def test_a_clock_that_jumps_leaves_pages_whole(tmp_path: Path) -> None:
    """Things made while the clock goes back and forth are all listed once, page by page."""
    store = Store(tmp_path / "state.db")
    moments = [1e9, 1e9 + 7200, 1e9 - 7200, 1e9 - 7200, 1e9 + 1]
    for number, moment in enumerate(moments):
        store.put(CALLER, "thing", f"n{number}", {"Name": f"n{number}", "CreationTime": moment})
    by_time = {"CreationTime": "CreationTime"}
    listing = Listing("Things", "Name", lambda item: choose(item, "Name"), by_time)
    request: dict[str, Any] = {"MaxResults": 2, "SortOrder": "Ascending"}
    page = listing.page(request, store.documents(CALLER, "thing"))
    seen = [item["Name"] for item in page["Things"]]
    while token := page.get("NextToken"):
        page = listing.page(request | {"NextToken": token}, store.documents(CALLER, "thing"))
        seen += [item["Name"] for item in page["Things"]]
    assert seen == ["n2", "n3", "n0", "n4", "n1"]
