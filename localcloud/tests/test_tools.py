"""`images`, `status`, `prune`, `debug`, and `build_pipeline.py logs --follow` on a running job."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from clients import client_of
from definitions import ROLE, definition, processing

from localcloud.testing import TestCloud, localcloud

pytestmark = pytest.mark.integration
ROOT = Path(__file__).resolve().parents[2]
WEEK = 7 * 86_400


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestCloud]:
    """A localcloud that this module's tests clean up in."""
    with localcloud(tmp_path_factory.mktemp("tools") / "state") as running:
        yield running


def until(mark: Path) -> str:
    """One line of Python that waits for a file."""
    there = f"iter(lambda: os.path.exists({str(mark)!r}), True)"
    return f"import os, sys, time; [time.sleep(0.05) for _ in {there}]"


def wait_for(holds: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + 60
    while not (found := holds()):
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.05)
    return found


def start(cloud: TestCloud, name: str, script: str) -> str:
    """Start a pipeline of one Processing step and return the execution's ARN."""
    sagemaker = client_of(cloud, "sagemaker")
    text = definition(processing("Work", script))
    sagemaker.create_pipeline(PipelineName=name, PipelineDefinition=text, RoleArn=ROLE)
    return str(sagemaker.start_pipeline_execution(PipelineName=name)["PipelineExecutionArn"])


def ended(cloud: TestCloud, arn: str) -> str:
    """Wait for an execution's end and return the name of its job."""
    sagemaker = client_of(cloud, "sagemaker")
    running = ("Executing", "Stopping")
    describe = sagemaker.describe_pipeline_execution
    wait_for(lambda: describe(PipelineExecutionArn=arn)["PipelineExecutionStatus"] not in running)
    return job_name(cloud, arn)


def job_name(cloud: TestCloud, arn: str) -> str:
    sagemaker = client_of(cloud, "sagemaker")

    def job() -> str:
        (step,) = sagemaker.list_pipeline_execution_steps(PipelineExecutionArn=arn)[
            "PipelineExecutionSteps"
        ] or [{}]
        found: str = step.get("Metadata", {}).get("ProcessingJob", {}).get("Arn", "")
        return found.rpartition("/")[2]

    return str(wait_for(job))


def folder_of(cloud: TestCloud, job: str) -> Path:
    return cloud.address.state / "jobs" / "processing-job" / job


def refused(done: subprocess.CompletedProcess[str]) -> str:
    """What a refused command says: one line, no stack trace, exit code 1."""
    assert done.returncode == 1
    assert done.stderr.startswith("localcloud: ")
    assert done.stderr.count("\n") == 1
    return done.stderr


def test_status_tells_what_runs_what_it_takes_and_what_it_is(own: TestCloud) -> None:
    assert "running  nothing" in own.command("status").stdout
    arn = start(own, "long", "import time; time.sleep(60)")
    job = job_name(own, arn)
    said = own.command("status")
    assert said.returncode == 0
    identifier = arn.rpartition("/")[2]
    assert re.search(rf"running  long  execution {identifier}  \d+ s: Work\n", said.stdout)
    assert re.search(rf"running  processing-job  {job}  \d+ s\n", said.stdout)
    for part in ("objects", "job folders", "logs", "records", "image environments"):
        assert re.search(rf"\n  {part} +[\d.]+ k?[BMG]", said.stdout), said.stdout
    assert re.search(
        r"\nlocalcloud [\d.]+, moto [\d.]+, botocore [\d.]+, Python [\d.]+", said.stdout
    )
    client_of(own, "sagemaker").stop_pipeline_execution(
        PipelineExecutionArn=arn, ClientRequestToken="x" * 32
    )
    ended(own, arn)
    assert "running  nothing" in own.command("status").stdout


def test_status_of_one_that_is_down_tells_what_it_takes(tmp_path: Path) -> None:
    with localcloud(tmp_path / "state") as cloud:
        cloud.command("down")
        said = cloud.command("status")
    assert said.returncode == 1
    assert "not up" in said.stdout
    assert "objects" in said.stdout


def test_prune_frees_what_failed_and_leaves_what_runs_and_every_object(
    own: TestCloud, tmp_path: Path
) -> None:
    """Folders of failed jobs go; objects, packages, logs and the folder of a running job stay."""
    mark = tmp_path / "go"
    s3 = client_of(own, "s3")
    s3.create_bucket(Bucket="kept")
    s3.put_object(Bucket="kept", Key="a", Body=b"a" * 100_000)
    script = "open('/opt/ml/big', 'wb').write(bytes(3_000_000)); exit(1)"
    failed = ended(own, start(own, "failing", f"print('a line'); {script}"))
    running = start(own, "running", until(mark))
    busy = job_name(own, running)
    assert "Freed 0 B." in own.command("prune").stdout  # a week is the default
    assert "Freed 0 B." in own.command("prune", "--older-than", "1h").stdout
    counted = own.command("prune", "--older-than", "0", "--dry-run").stdout
    assert re.search(r"folders of ended jobs +\d+ +3\.\d MB", counted), counted
    assert "It would free 3." in counted
    assert folder_of(own, failed).exists()
    assert "Freed 3." in own.command("prune", "--older-than", "0").stdout
    assert not folder_of(own, failed).exists()
    assert folder_of(own, busy).exists()
    mark.touch()
    ended(own, running)
    sagemaker = client_of(own, "sagemaker")
    job = sagemaker.describe_processing_job(ProcessingJobName=busy)
    assert job["ProcessingJobStatus"] == "Completed"
    assert s3.get_object(Bucket="kept", Key="a")["Body"].read() == b"a" * 100_000
    lines = client_of(own, "logs").filter_log_events(
        logGroupName="/aws/sagemaker/ProcessingJobs", logStreamNamePrefix=f"{failed}/"
    )["events"]
    assert "a line" in [line["message"] for line in lines]


def test_prune_frees_what_nothing_refers_to(own: TestCloud) -> None:
    """A log without a job and an old file without an object go; a young one may become one."""
    state = own.address.state
    log = state / "jobs" / "logs" / "processing-job" / "gone.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_text("a line")
    os.utime(log, (time.time() - 2 * WEEK,) * 2)
    young = state / "s3" / "objects" / "00" / ("0" * 32)
    young.write_bytes(b"being written")
    said = own.command("prune").stdout
    assert re.search(r"logs of what is gone +1 ", said)
    assert not log.exists()
    own.command("prune", "--older-than", "0")
    assert young.exists()
    young.unlink()


@pytest.mark.parametrize("age", ["abc", "-1d", "7", "1y", "", "1.5d", "9999999d"])
def test_an_age_that_is_none_is_refused(own: TestCloud, age: str) -> None:
    said = refused(own.command("prune", f"--older-than={age}"))
    assert "--older-than must be a number with s, m, h, d or w after it, such as 7d" in said
    assert repr(age) in said


def test_prune_of_one_that_is_down_says_how_to_start_it(tmp_path: Path) -> None:
    with localcloud(tmp_path / "state") as cloud:
        cloud.command("down")
        assert "localcloud up" in refused(cloud.command("prune"))


def test_a_link_in_a_page_prunes_nothing(own: TestCloud) -> None:
    """Only POST may change anything: a page of another origin can make a browser GET."""
    with pytest.raises(urllib.error.HTTPError) as raised:
        urllib.request.urlopen(f"{own.address.url}/_localcloud/prune", timeout=5)
    assert raised.value.code == 400
    request = urllib.request.Request(
        f"{own.address.url}/_localcloud/prune",
        json.dumps({"older_than": 0, "dry_run": False}).encode(),
        {"Origin": "https://example.com"},
    )
    with pytest.raises(urllib.error.HTTPError) as raised:
        urllib.request.urlopen(request, timeout=5)
    assert raised.value.code == 403


def test_images_says_what_is_ready(own: TestCloud) -> None:
    done = own.command("images")
    assert done.returncode == 0
    for name in ("sagemaker-scikit-learn:1.9-0-cpu-py3", "sagemaker-xgboost:3.2-0"):
        assert re.search(rf"^{re.escape(name)}: (ready|runs in)", done.stdout, re.MULTILINE)


def test_images_with_a_python_that_is_none_is_refused(own: TestCloud) -> None:
    wrong = TestCloud(own.address, own.environment | {"LOCALCLOUD_PYTHON312": "/no/python"})
    assert "LOCALCLOUD_PYTHON312" in refused(wrong.command("images"))


def test_debug_runs_a_failed_job_again(own: TestCloud) -> None:
    """Its output comes here, its exit code is the command's, and it can be done again."""
    script = "import sys; print('again'); sys.exit(7)"
    failed = ended(own, start(own, "wrong", script))
    for _ in range(2):
        done = own.command("debug", failed)
        assert (done.returncode, done.stdout) == (7, "again\n"), done.stderr
    assert "no job 'no-such-job'" in refused(own.command("debug", "no-such-job"))


def test_prune_leaves_a_job_that_is_debugged(own: TestCloud, tmp_path: Path) -> None:
    mark = tmp_path / "go"
    mark.touch()
    script = f"print('begins', flush=True); {until(mark)}; sys.exit(3)"
    failed = ended(own, start(own, "debugged", script))
    mark.unlink()
    with subprocess.Popen(
        [sys.executable, "-m", "localcloud", "debug", failed],
        env=own.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "begins\n"
        own.command("prune", "--older-than", "0")
        assert folder_of(own, failed).exists()
        mark.touch()
        assert process.wait(60) == 3
    own.command("prune", "--older-than", "0")
    assert not folder_of(own, failed).exists()


def follower(cloud: TestCloud, step: str, execution: str) -> subprocess.Popen[str]:
    words = ["logs", step, "--execution", execution, "--follow"]
    return subprocess.Popen(
        [sys.executable, "-u", str(ROOT / "build_pipeline.py"), *words],
        cwd=ROOT,
        env=cloud.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_following_a_job_that_runs(own: TestCloud, tmp_path: Path) -> None:
    """A line must be there while the job runs; the last one and the reason when it has ended."""
    mark = tmp_path / "go"
    script = f"print('begins'); {until(mark)}; print('last words'); sys.exit('went wrong')"
    arn = start(own, "followed", script)
    with follower(own, "Work", arn) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "begins\n"
        mark.touch()
        out, err = process.communicate(timeout=60)
    assert process.returncode == 0
    assert out.splitlines() == ["last words", "went wrong"]
    assert err.startswith("Step Work failed: AlgorithmError: ")
    assert "went wrong" in err


def test_interrupting_a_follower_is_clean(own: TestCloud, tmp_path: Path) -> None:
    """Ctrl-C must end the looking with one sentence, and not the job."""
    mark = tmp_path / "go"
    arn = start(own, "interrupted", f"print('begins'); {until(mark)}")
    with follower(own, "Work", arn) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "begins\n"
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (130, "", "Interrupted.\n")
    mark.touch()
    ended(own, arn)
    status = client_of(own, "sagemaker").describe_pipeline_execution(PipelineExecutionArn=arn)
    assert status["PipelineExecutionStatus"] == "Succeeded"


def test_a_pipeline_makes_its_images_ready_before_it_runs(tmp_path: Path) -> None:
    """A fresh localcloud holds no libraries; one whose pipeline is known starts its server."""
    with localcloud(tmp_path / "state") as cloud:
        log = cloud.address.state / "processes" / "sklearn-1.9-0.log"
        sagemaker = client_of(cloud, "sagemaker")
        sagemaker.list_pipelines()
        assert not log.exists()
        text = definition(processing("Work", "pass"))
        sagemaker.create_pipeline(PipelineName="p", PipelineDefinition=text, RoleArn=ROLE)
        if "sklearn: runs in" not in cloud.command("images").stdout:
            wait_for(log.exists)
        assert not log.with_name("xgboost-3.2-0.log").exists()
