"""Jobs through boto3: several instances, their ends, and what stays of those that fail."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from clients import client_of
from definitions import IMAGE
from jobs_of_others import Jobs
from waiting import wait_until

from localcloud.containers.errors import NothingKept
from localcloud.containers.rerun import find_job, rerun
from localcloud.testing import TestCloud, localcloud

Client = Callable[[str], Any]
LINUX = sys.platform == "linux"
pytestmark = pytest.mark.integration


@pytest.fixture
def jobs(client: Client, workshop: str, request: pytest.FixtureRequest) -> Jobs:
    return Jobs(client, workshop, request.node.name.replace("_", "-").split("[")[0][5:])


HOSTS = """
import json, os, socket, sys, threading
config = json.load(open('/opt/ml/input/config/resourceconfig.json'))
me, hosts = os.environ['SM_CURRENT_HOST'], json.loads(os.environ['SM_HOSTS'])
assert (me, hosts) == (config['current_host'], config['hosts'])
if me == 'algo-1':
    server = socket.create_server((me, 23456))
    heard = [server.accept()[0].recv(100).decode() for _ in hosts[1:]]
    open(os.environ['SM_MODEL_DIR'] + '/heard', 'w').write(' '.join(sorted(heard)))
else:
    import time
    for _ in range(200):
        try:
            socket.create_connection(('algo-1', 23456)).sendall(me.encode())
            break
        except ConnectionRefusedError:
            time.sleep(0.02)
print(me, 'sees', sorted(os.listdir(os.environ['SM_CHANNEL_DATA'])))
open(os.environ['SM_OUTPUT_DATA_DIR'] + '/' + me, 'w').write(me)
"""


def test_three_hosts_find_each_other_share_the_data_and_leave_one_model(jobs: Jobs) -> None:
    for letter in "abcd":
        jobs.s3.put_object(Bucket=jobs.bucket, Key=f"shards/{letter}", Body=b"x")
    source = {"S3DataType": "S3Prefix", "S3Uri": f"s3://{jobs.bucket}/shards/",
              "S3DataDistributionType": "ShardedByS3Key"}  # fmt: skip
    channel = {"ChannelName": "data", "DataSource": {"S3DataSource": source}}
    job = jobs.train({"train.py": HOSTS}, count=3, InputDataConfig=[channel])
    assert job["TrainingJobStatus"] == "Completed", job["FailureReason"]
    assert jobs.model(job) == {"heard": b"algo-2 algo-3"}
    said = [jobs.log(job["TrainingJobName"], f"algo-{n}") for n in (1, 2, 3)]
    assert said == [
        ["algo-1 sees ['a', 'd']"], ["algo-2 sees ['b']"], ["algo-3 sees ['c']"]
    ]  # fmt: skip


def test_the_failure_of_one_host_ends_the_others_and_is_the_jobs(jobs: Jobs) -> None:
    script = (
        "import os, time\n"
        "if os.environ['SM_CURRENT_HOST'] == 'algo-2':\n    raise ValueError('no share for me')\n"
        "time.sleep(60)"
    )
    started = time.monotonic()
    job = jobs.train({"train.py": script}, count=2)
    assert time.monotonic() - started < 10
    assert job["TrainingJobStatus"] == "Failed"
    assert job["FailureReason"] == (
        "AlgorithmError: ValueError: no share for me, exit code: 1\n"
        f"Run it again under a debugger: localcloud debug {job['TrainingJobName']} --host algo-2"
    )


def test_outputs_of_all_hosts_come_under_one_uri(jobs: Jobs) -> None:
    script = (
        "import json\n"
        "me = json.load(open('/opt/ml/config/resourceconfig.json'))['current_host']\n"
        "open(f'/opt/ml/processing/out/{me}.txt', 'w').write(me)"
    )
    job = jobs.process(script, count=2, outputs={"out": f"s3://{jobs.bucket}/merged"})
    assert job["ProcessingJobStatus"] == "Completed"
    assert jobs.keys("merged/") == ["merged/algo-1.txt", "merged/algo-2.txt"]


def test_stopping_a_job_stops_all_its_hosts(jobs: Jobs) -> None:
    name = jobs.start_training(
        {"train.py": "import os, time\nprint(os.environ['SM_CURRENT_HOST'])\ntime.sleep(60)"},
        count=2,
    )
    wait_until(lambda: all(jobs.log(name, f"algo-{n}") for n in (1, 2)))
    jobs.sagemaker.stop_training_job(TrainingJobName=name)
    assert jobs.wait(name)["TrainingJobStatus"] == "Stopped"


def test_too_many_instances_are_refused_before_anything_is_begun(jobs: Jobs) -> None:
    with pytest.raises(ClientError, match="at most 16 here") as refused:
        jobs.train({"train.py": ""}, count=17)
    assert refused.value.response["Error"]["Code"] == "ValidationException"
    with pytest.raises(ClientError, match="not found"):
        jobs.describe(f"{jobs.name}-1")


@pytest.mark.parametrize("kind", ["Training", "Processing"])
def test_a_job_that_takes_too_long_is_stopped_and_its_log_says_why(kind: str, jobs: Jobs) -> None:
    script = "import time\nopen('/opt/ml/model/half', 'w').close()\ntime.sleep(60)"
    if kind == "Training":
        name = jobs.start_training({"train.py": script}, seconds=1)
    else:
        name = jobs.start_processing(
            "import time; time.sleep(60)", StoppingCondition={"MaxRuntimeInSeconds": 1}
        )
    job = jobs.wait(name, kind)
    assert job[f"{kind}JobStatus"] == "Stopped"
    assert jobs.log(name, kind=kind)[-1] == "localcloud: stopped after MaxRuntimeInSeconds=1"
    if kind == "Training":
        assert job["SecondaryStatus"] == "MaxRuntimeExceeded"
        assert jobs.model(job) == {"half": b""}


def test_a_continuous_output_is_there_while_the_job_runs_and_after_it_failed(jobs: Jobs) -> None:
    script = (
        "import time\n"
        "open('/opt/ml/processing/live/first', 'w').write('1')\n"
        "time.sleep(4)\n"
        "open('/opt/ml/processing/live/last', 'w').write('2')\n"
        "raise SystemExit('enough')"
    )
    name = jobs.start_processing(
        script, mode="Continuous", outputs={"live": f"s3://{jobs.bucket}/live"}
    )
    wait_until(lambda: jobs.keys("live/") == ["live/first"])
    assert jobs.describe(name, "Processing")["ProcessingJobStatus"] == "InProgress"
    assert jobs.wait(name, "Processing")["ProcessingJobStatus"] == "Failed"
    assert jobs.keys("live/") == ["live/first", "live/last"]


# --- what stays ---------------------------------------------------------------------------------


def folders(cloud: TestCloud) -> set[str]:
    jobs = cloud.address.state / "jobs"
    return {path.name for path in (*jobs.glob("*-job/*"),)} - {
        path.name for path in (jobs / "logs").glob("*")
    }


def overrun(jobs: Jobs) -> str:
    """A job that was stopped because it took too long."""
    name = jobs.start_processing(
        "import time; time.sleep(60)", StoppingCondition={"MaxRuntimeInSeconds": 1}
    )
    jobs.wait(name, "Processing")
    return name


def test_only_jobs_that_failed_or_took_too_long_leave_their_folder(
    jobs: Jobs, cloud: TestCloud
) -> None:
    good = jobs.process("pass")["ProcessingJobName"]
    bad = jobs.process("raise ValueError('x')")["ProcessingJobName"]
    late = overrun(jobs)
    wait_until(lambda: good not in folders(cloud))
    assert {bad, late} <= folders(cloud)


FAILING = """
import os, sys
def divide(rows):
    total = sum(rows)
    return total / (rows[0] - rows[0])
def main():
    path = os.environ['SM_CHANNEL_DATA'] + '/rows'
    rows = [int(word) for word in open(path).read().split()]
    open(path, 'w').write('spoilt')
    divide(rows)
try:
    main()
except ZeroDivisionError as error:
    if '--quiet' in sys.argv:
        sys.exit(f'cannot divide: {error}')
    raise
"""


@pytest.mark.parametrize("hyperparameters", [{}, {"quiet": "yes"}], ids=["raised", "caught"])
def test_a_failed_job_runs_again_under_a_debugger_as_it_was(
    hyperparameters: dict[str, str], jobs: Jobs, cloud: TestCloud
) -> None:
    """Its input is the one it had, though the job spoilt its file and S3 has another by now."""
    jobs.s3.put_object(Bucket=jobs.bucket, Key="failing/rows", Body=b"3 4")
    source = {"S3DataType": "S3Prefix", "S3Uri": f"s3://{jobs.bucket}/failing/"}
    job = jobs.train(
        {"train.py": FAILING},
        hyperparameters=hyperparameters,
        InputDataConfig=[{"ChannelName": "data", "DataSource": {"S3DataSource": source}}],
    )
    name = job["TrainingJobName"]
    assert job["FailureReason"].endswith(
        f", exit code: 1\nRun it again under a debugger: localcloud debug {name}"
    )
    assert len(job["FailureReason"]) <= 1024
    jobs.s3.delete_object(Bucket=jobs.bucket, Key="failing/rows")
    folder = find_job(cloud.address.state / "jobs", name)
    for _ in range(2):
        code, said = debug(folder, "w\np 'the total is', total\np rows\nq\n")
        assert code == 1
        assert "ZeroDivisionError" in said
        assert "('the total is', 7)" in said
        assert "[3, 4]" in said
        assert "/opt/ml/code/train.py(5)divide()" in said
    assert debug(folder, "", debugger=False)[0] == 1


def debug(folder: Path, typed: str, *, debugger: bool = True) -> tuple[int, str]:
    """What a person sees in a terminal of his own."""
    program = (
        "import sys; from pathlib import Path; from localcloud.containers.rerun import rerun\n"
        f"sys.exit(rerun(Path({str(folder)!r}), {debugger}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], input=typed, capture_output=True, text=True,
        timeout=30, check=False, env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


def test_a_processing_job_of_one_line_can_be_debugged_too(jobs: Jobs, cloud: TestCloud) -> None:
    line = "import os; word = os.getcwd(); raise KeyError(word)"
    entry = {"ImageUri": IMAGE, "ContainerEntrypoint": ["python3", "-c", line]}
    job = jobs.process("", count=2, AppSpecification=entry)
    folder = find_job(cloud.address.state / "jobs", job["ProcessingJobName"])
    code, said = debug(folder, "p word * 2\nl\nq\n")
    assert code == 1
    assert "'/opt/ml/opt/ml'" in said
    assert f"1  ->\t{line}" in said


def test_a_job_that_left_nothing_cannot_be_run_again(jobs: Jobs, cloud: TestCloud) -> None:
    with pytest.raises(NothingKept, match="no job 'unheard-of' has left its folder"):
        find_job(cloud.address.state / "jobs", "unheard-of")
    with pytest.raises(NothingKept, match="not the folder of a job"):
        rerun(cloud.address.state, debugger=True)


# --- what goes wrong around a job ---------------------------------------------------------------


def test_a_folder_that_cannot_be_made_fails_the_job_and_names_it(
    jobs: Jobs, cloud: TestCloud
) -> None:
    name = jobs.name + "-1"
    place = cloud.address.state / "jobs" / "processing-job" / name
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text("in the way")
    job = jobs.process("pass")
    place.unlink()
    assert job["ProcessingJobStatus"] == "Failed"
    assert job["FailureReason"].startswith(
        f"InternalServerError: The job's folder {place} cannot be made"
    )


@pytest.mark.skipif(not LINUX or os.geteuid() != 0, reason="mounts a small disk")
@pytest.mark.parametrize("kind", ["Training", pytest.param("Processing", marks=pytest.mark.slow)])
def test_a_full_disk_while_delivering_is_told_and_leaves_no_half_model(
    kind: str, tmp_path: Path
) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=20m", "tmpfs", disk], check=True)
    try:
        with localcloud(disk / "state") as cloud:
            client_of(cloud, "s3").create_bucket(Bucket="small")
            jobs = Jobs(lambda service: client_of(cloud, service), "small", "full")
            fill = "import os; open('%s', 'wb').write(os.urandom(12_000_000))"
            if kind == "Training":
                job = jobs.train({"train.py": fill % "/opt/ml/model/m"})
            else:
                # A file of another file system cannot be linked and is copied.
                script = f"{fill % '/opt/ml/processing/m'}; os.symlink('../m', %r)"
                job = jobs.process(
                    script % "/opt/ml/processing/out/m", outputs={"out": "s3://small/out"}
                )
            assert job[f"{kind}JobStatus"] == "Failed"
            assert "No space left on device: " in job["FailureReason"]
            assert str(disk / "state/jobs") in job["FailureReason"]
            assert not [
                key for key in jobs.keys("") if not key.endswith(("sourcedir.tar.gz", "job.py"))
            ]
    finally:
        subprocess.run(["umount", "-l", disk], check=True)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


SLOW = (
    "import os, subprocess, time\n"
    "child = subprocess.Popen(['sleep', '60'], start_new_session=True)\n"
    "open('/opt/ml/model/half', 'w').write('half')\n"
    "print(os.getpid(), os.getppid(), child.pid)\n"
    "time.sleep(60)"
)


@pytest.mark.slow
@pytest.mark.skipif(not LINUX, reason="reads /proc")
@pytest.mark.parametrize("victim", ["gateway", "server", "job"])
def test_a_kill_leaves_no_process_and_no_half_model(victim: str, tmp_path: Path) -> None:
    state = tmp_path / "state"
    with localcloud(state) as cloud:
        client_of(cloud, "s3").create_bucket(Bucket="kill")
        jobs = Jobs(lambda service: client_of(cloud, service), "kill", "killed")
        name = jobs.start_training({"train.py": SLOW}, count=2)
        wait_until(lambda: all(jobs.log(name, host) for host in ("algo-1", "algo-2")))
        pids = [[int(p) for p in jobs.log(name, f"algo-{n}")[0].split()] for n in (1, 2)]
        gateway = json.loads((state / "server.json").read_text())["pid"]
        os.kill({"gateway": gateway, "server": pids[0][1], "job": pids[1][0]}[victim], 9)
        if victim == "gateway":
            wait_until(lambda: not alive(gateway))
            assert cloud.command("up").returncode == 0
        job = jobs.wait(name)
        assert job["TrainingJobStatus"] == "Failed"
        assert {
            "gateway": "localcloud ended while this job ran",
            "server": "InternalServerError: the process that had started",
            "job": f"killed by {signal.Signals(9).name}",
        }[victim] in job["FailureReason"]
        wait_until(lambda: not any(alive(pid) for job, _, child in pids for pid in (job, child)))
        assert not [key for key in jobs.keys("") if not key.endswith("sourcedir.tar.gz")]
        assert jobs.process("pass")["ProcessingJobStatus"] == "Completed"


@pytest.mark.slow
def test_the_next_start_removes_folders_of_jobs_that_ended_well(tmp_path: Path) -> None:
    """A kill between a job's end and the removal of its folder leaves the folder."""
    state = tmp_path / "state"
    with localcloud(state) as cloud:
        client_of(cloud, "s3").create_bucket(Bucket="sweep")
        jobs = Jobs(lambda service: client_of(cloud, service), "sweep", "swept")
        good = jobs.process("pass")["ProcessingJobName"]
        bad = jobs.process("1 / 0")["ProcessingJobName"]
        late = overrun(jobs)
        for name in (good, "unknown"):
            (state / "jobs/processing-job" / name / "algo-1").mkdir(parents=True, exist_ok=True)
        cloud.command("down")
        assert cloud.command("up").returncode == 0
        assert folders(cloud) == {bad, late}
