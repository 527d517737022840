"""The command line: up, down, status, reset, env, exec, and what happens after a crash."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import select
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import IO, Any

import pytest
from clients import client_of, not_started
from definitions import ROLE, definition, processing

from localcloud.addresses import HOST, SERVER_FILE
from localcloud.testing import TestCloud, free_port, localcloud

pytestmark = pytest.mark.integration


def other(cloud: TestCloud, **changes: str) -> TestCloud:
    return TestCloud(cloud.address, cloud.environment | changes)


def server_pid(cloud: TestCloud) -> int:
    return int(json.loads((cloud.address.state / SERVER_FILE).read_text())["pid"])


def hold_lock(state: Path) -> IO[str]:
    """Lock a state folder as its server does, until the file is closed."""
    state.mkdir(parents=True, exist_ok=True)
    lock = (state / "lock").open("a")
    fcntl.flock(lock, fcntl.LOCK_EX)
    return lock


def sentence(done: subprocess.CompletedProcess[str]) -> str:
    """What a refused command says: one line, no stack trace, exit code 1."""
    assert done.returncode == 1
    assert done.stderr.startswith("localcloud: ")
    assert done.stderr.count("\n") == 1
    return done.stderr


def test_up_twice_is_up_once_and_what_is_stored_survives_down(tmp_path: Path) -> None:
    with localcloud(tmp_path / "state") as cloud:
        pid = server_pid(cloud)
        assert cloud.command("up").returncode == 0
        assert server_pid(cloud) == pid
        client_of(cloud, "s3").create_bucket(Bucket="kept")
        client_of(cloud, "iam").create_role(RoleName="kept", AssumeRolePolicyDocument="{}")
        client_of(cloud, "sagemaker").create_model_package_group(ModelPackageGroupName="kept")
        assert "is down" in cloud.command("down").stdout
        assert cloud.command("status").returncode == 1
        assert cloud.command("up").returncode == 0
        names = [b["Name"] for b in client_of(cloud, "s3").list_buckets()["Buckets"]]
        assert names == ["kept"]
        assert client_of(cloud, "iam").get_role(RoleName="kept")
        assert client_of(cloud, "sagemaker").describe_model_package_group(
            ModelPackageGroupName="kept"
        )


@pytest.mark.slow
def test_up_after_a_kill_does_not_wait_for_a_data_plane_that_lives_on(tmp_path: Path) -> None:
    state = tmp_path / "state"
    with localcloud(state) as cloud:
        records = [json.loads(path.read_text()) for path in (state / "processes").glob("*.json")]
        (data_plane,) = [each["pid"] for each in records if each["name"] == "the data plane"]
        os.kill(data_plane, signal.SIGSTOP)
        try:
            os.kill(json.loads((state / "server.json").read_text())["pid"], signal.SIGKILL)
            up = cloud.command("up")
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.kill(data_plane, signal.SIGKILL)
        assert up.returncode == 0, up.stderr
        assert cloud.command("status").returncode == 0


@pytest.mark.slow
def test_a_killed_server_leaves_no_process_and_its_work_is_reported_failed(tmp_path: Path) -> None:
    mark = tmp_path / "alive"
    beat = f"(open({str(mark)!r}, 'w').close(), time.sleep(0.05))"
    script = f"import itertools, time; any({beat} is None for _ in itertools.count())"
    with localcloud(tmp_path / "state") as cloud:
        sagemaker = client_of(cloud, "sagemaker")
        text = definition(processing("Long", script))
        sagemaker.create_pipeline(PipelineName="long", PipelineDefinition=text, RoleArn=ROLE)
        sagemaker.create_model_package_group(ModelPackageGroupName="kept")
        arn = sagemaker.start_pipeline_execution(PipelineName="long")["PipelineExecutionArn"]
        deadline = time.monotonic() + 60
        while not mark.exists():
            assert time.monotonic() < deadline, "the job did not start"
            time.sleep(0.05)
        os.kill(server_pid(cloud), signal.SIGKILL)
        time.sleep(2)
        mark.unlink(missing_ok=True)
        time.sleep(0.3)
        assert not mark.exists(), "a process of the job outlived the server"
        assert cloud.command("up").returncode == 0
        execution = sagemaker.describe_pipeline_execution(PipelineExecutionArn=arn)
        steps = sagemaker.list_pipeline_execution_steps(PipelineExecutionArn=arn)
        jobs = sagemaker.list_processing_jobs()["ProcessingJobSummaries"]
        assert execution["PipelineExecutionStatus"] == "Failed"
        assert "localcloud ended" in execution["FailureReason"]
        assert steps["PipelineExecutionSteps"][0]["StepStatus"] == "Failed"
        assert [job["ProcessingJobStatus"] for job in jobs] == ["Failed"]
        assert sagemaker.describe_model_package_group(ModelPackageGroupName="kept")


def test_a_taken_port_is_named_and_nothing_else_is_touched(tmp_path: Path) -> None:
    with not_started(tmp_path / "state") as cloud, socket.socket() as taken:
        taken.bind((HOST, cloud.address.port))
        taken.listen()
        said = sentence(other(cloud).command("up"))
    assert str(cloud.address.port) in said
    assert "LOCALCLOUD_PORT" in said


def test_up_waits_for_a_killed_server_that_still_lets_callers_in(tmp_path: Path) -> None:
    def die(listener: socket.socket, lock: IO[str]) -> None:
        select.select([listener], [], [], 30)
        listener.close()
        time.sleep(0.7)
        lock.close()

    with not_started(tmp_path / "state") as cloud:
        listener = socket.create_server((HOST, cloud.address.port))
        lock = hold_lock(tmp_path / "state")
        dying = threading.Thread(target=die, args=(listener, lock))
        dying.start()
        up = other(cloud).command("up")
        dying.join()
        assert up.returncode == 0, up.stderr


def test_a_service_that_speaks_no_http_at_the_port_is_named(tmp_path: Path) -> None:
    def greet(listener: socket.socket) -> None:
        caller, _ = listener.accept()
        with caller:
            caller.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")
            caller.recv(65536)

    with not_started(tmp_path / "state") as cloud, socket.socket() as taken:
        taken.bind((HOST, cloud.address.port))
        taken.listen()
        greeting = threading.Thread(target=greet, args=(taken,))
        greeting.start()
        said = sentence(other(cloud).command("up"))
        greeting.join()
    assert f"port {cloud.address.port} is taken" in said


def test_another_localcloud_at_the_port_is_named_with_its_state(tmp_path: Path) -> None:
    with localcloud(tmp_path / "first") as first:
        second = other(first, LOCALCLOUD_HOME=str(tmp_path / "second"))
        for words in (["up"], ["exec", "--", "true"]):
            said = sentence(second.command(*words))
            assert str(tmp_path / "first") in said


def test_two_localclouds_cannot_share_a_state_folder(tmp_path: Path) -> None:
    with localcloud(tmp_path / "state") as first:
        second = other(first, LOCALCLOUD_PORT=str(free_port()))
        assert "Another localcloud uses the state folder" in sentence(second.command("up"))


@pytest.mark.parametrize("port", ["abc", "0", "65535", "-1", ""])
def test_a_port_that_is_none_is_refused(tmp_path: Path, port: str) -> None:
    with not_started(tmp_path / "state") as cloud:
        said = sentence(other(cloud, LOCALCLOUD_PORT=port).command("status"))
    assert f"LOCALCLOUD_PORT must be a port from 1 to 65534, not {port!r}" in said


def test_a_state_of_another_layout_is_refused_and_left_alone(tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.mkdir()
    with sqlite3.connect(state / "state.db") as database:
        database.execute("PRAGMA user_version = 999")
    with not_started(state) as cloud:
        assert "layout 999" in sentence(cloud.command("up"))


def test_a_snapshot_of_another_moto_is_refused_in_words(tmp_path: Path) -> None:
    records = tmp_path / "state" / "records"
    records.mkdir(parents=True)
    (records / "version.json").write_text('{"moto": "1.0.0"}')
    with not_started(tmp_path / "state") as cloud:
        assert "moto 1.0.0" in sentence(cloud.command("up"))


def test_reset_deletes_a_state_and_refuses_a_folder_that_is_none(tmp_path: Path) -> None:
    with localcloud(tmp_path / "state") as cloud:
        assert cloud.command("reset").returncode == 0
        assert not (tmp_path / "state").exists()
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "thesis.txt").write_text("years of work")
    with not_started(precious) as wrong:
        assert "no state folder" in sentence(wrong.command("reset"))
    assert (precious / "thesis.txt").exists()


def test_env_leads_a_client_to_it_and_away_from_a_real_account(tmp_path: Path) -> None:
    with localcloud(tmp_path / "state") as cloud:
        real = other(cloud, AWS_PROFILE="production", AWS_SESSION_TOKEN="secret")
        lines = real.command("env").stdout
        shell = f"{lines}\nenv"
        done = subprocess.run(
            ["sh", "-c", shell], env=real.environment, capture_output=True, text=True, check=True
        )
    seen = dict(line.partition("=")[::2] for line in done.stdout.splitlines())
    assert seen["AWS_ENDPOINT_URL"] == cloud.address.url
    assert seen["AWS_ACCESS_KEY_ID"] == "localcloud"
    assert "AWS_PROFILE" not in seen
    assert "AWS_SESSION_TOKEN" not in seen


def test_exec_starts_it_runs_the_command_and_gives_its_exit_code(tmp_path: Path) -> None:
    with not_started(tmp_path / "state") as cloud:
        code = "import os, sys; print(os.environ['AWS_ENDPOINT_URL']); sys.exit(7)"
        done = cloud.command("exec", "--", sys.executable, "-c", code)
        assert (done.stdout.strip(), done.returncode) == (cloud.address.url, 7)
        assert cloud.command("status").returncode == 0
        assert "no program 'no-such-program'" in sentence(
            cloud.command("exec", "--", "no-such-program")
        )


def test_the_plain_aws_command_line_works(tmp_path: Path) -> None:
    with localcloud(tmp_path / "state") as cloud:
        client_of(cloud, "sagemaker").create_model_package_group(ModelPackageGroupName="models")
        done = cloud.command("exec", "--", "aws", "sagemaker", "list-model-package-groups")
    groups: dict[str, Any] = json.loads(done.stdout)
    assert groups["ModelPackageGroupSummaryList"][0]["ModelPackageGroupName"] == "models"
