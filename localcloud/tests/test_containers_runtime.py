"""The runtime: what a job sees, what it leaves, and that nothing outlives what started it."""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from localcloud.containers import processing, training
from localcloud.containers.environments import Images
from localcloud.containers.errors import ImageNotSupported, JobNotSupported
from localcloud.containers.hosts import Host, Instance
from localcloud.containers.outcome import failure_reason, final_metrics
from localcloud.containers.records import end_leftovers, record_process
from localcloud.containers.runtime import Container, ContainerSpec, Runtime
from localcloud.s3.objects import ObjectStore

REGISTRY = "492215442770.dkr.ecr.eu-central-1.amazonaws.com"
SKLEARN = f"{REGISTRY}/sagemaker-scikit-learn:1.9-0-cpu-py3"
XGBOOST = f"{REGISTRY}/sagemaker-xgboost:3.2-0"
LINUX = sys.platform == "linux"
TRAIN = """
import numpy, xgboost
rows = numpy.random.rand(2000, 10)
label = (rows[:, 0] > 0.5).astype(int)
print(xgboost.XGBClassifier(n_estimators=20).fit(rows, label).score(rows, label))
numpy.linalg.svd(numpy.random.rand(300, 300))
"""


class Jobs:
    """Runs scripts as jobs, each with a root of its own."""

    def __init__(self, runtime: Runtime, folder: Path) -> None:
        self.runtime = runtime
        self.folder = folder
        self.count = 0
        self.lock = threading.Lock()

    def start(self, script: str, *command: str, **more: Any) -> tuple[Container, Path, Path]:
        with self.lock:
            self.count += 1
            name = f"job-{self.count}"
        root, log = self.folder / name, self.folder / f"{name}.log"
        root.mkdir(parents=True)
        (root / "job.py").write_text(script)
        settings = {"image": SKLEARN, "environment": {}, "cpus": 1, **more}
        spec = ContainerSpec(
            name=name, command=command or ("python3", "/opt/ml/job.py"), root=root, log=log,
            **settings,
        )  # fmt: skip
        return self.runtime.start(spec, lambda _: None), root, log

    def run(self, script: str, *command: str, **more: Any) -> tuple[int | None, str, Path]:
        container, root, log = self.start(script, *command, **more)
        return container.wait(30), log.read_text(), root


@pytest.fixture(scope="session")
def jobs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Jobs]:
    folder = tmp_path_factory.mktemp("containers")
    runtime = Runtime(folder / "state", Images())
    runtime.prestart(XGBOOST)
    yield Jobs(runtime, folder / "jobs")
    runtime.close()


def wait_until(condition: Any, seconds: float = 5.0) -> bool:
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


def alive(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    return False


@pytest.mark.parametrize(
    ("script", "code", "said"),
    [
        ("import sys; sys.exit(3)", 3, ""),
        ("import sys; sys.exit('told why')", 1, "told why\n"),
        ("import os; os.abort()", -signal.SIGABRT, ""),
        ("import os; os._exit(7)", 7, ""),
        ("print('done')", 0, "done\n"),
        ("import atexit; atexit.register(print, 'last')", 0, "last\n"),
        ("import threading as t; t.Timer(0.1, print, ['late']).start()", 0, "late\n"),
    ],
)
def test_exit_codes_are_those_of_the_script(script: str, code: int, said: str, jobs: Jobs) -> None:
    assert jobs.run(script)[:2] == (code, said)


def test_an_exception_leaves_the_traceback_that_python_prints(jobs: Jobs) -> None:
    code, log, _ = jobs.run("def f():\n    raise ValueError('bad row 3')\n\nf()\n")
    assert code == 1
    assert [line for line in log.splitlines() if line.strip("~^ ")] == [
        "Traceback (most recent call last):",
        '  File "/opt/ml/job.py", line 4, in <module>',
        "    f()",
        '  File "/opt/ml/job.py", line 2, in f',
        "    raise ValueError('bad row 3')",
        "ValueError: bad row 3",
    ]
    assert "SyntaxError" in jobs.run("x = (")[1]


@pytest.mark.parametrize(
    ("command", "code", "said"),
    [
        (("bash", "-c", "echo $WHO; exit 4"), 4, "me\n"),
        (("bash", "-c", "kill -9 $$"), -9, ""),
        (("no-such-program",), 127, "localcloud: 'no-such-program' is not in the image\n"),
        (("python3", "-m", "calendar", "1752", "9"), 0, "September 1752"),
        (("python3", "-c", "import sys; print(sys.argv)", "a"), 0, "['-c', 'a']\n"),
        (("python3", "-u", "/opt/ml/job.py", "--a", "/opt/ml/b"), 0, "--a /opt/ml/b me"),
        (("python3", "/opt/ml/none.py"), 2, "can't open file '/opt/ml/none.py'"),
    ],
)
def test_every_command_runs_as_in_the_container(
    command: tuple[str, ...], code: int, said: str, jobs: Jobs
) -> None:
    script = "import sys, os; print(*sys.argv[1:], os.environ['WHO'])"
    found, log, _ = jobs.run(script, *command, environment={"WHO": "me"})
    assert found == code
    assert said in log


def test_the_environment_is_the_containers_and_not_the_users(
    jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_OF_THE_USER", "secret")
    show = "import os, json; print(json.dumps(dict(os.environ)))"
    script = json.loads(jobs.run(show, environment={"GIVEN": "1"})[1])
    inside = json.loads(jobs.run("", "python3", "-c", show, environment={"GIVEN": "1"})[1])
    for environment in (script, inside):
        assert environment["GIVEN"] == "1"
        assert "SECRET_OF_THE_USER" not in environment
        assert environment["HOME"] != str(Path.home())
        assert not {name for name in environment if name.startswith(("AWS_", "UV_"))}


def test_files_left_open_are_written(jobs: Jobs) -> None:
    _, _, root = jobs.run("kept = open('/opt/ml/kept.txt', 'w'); kept.write('all of it')")
    assert (root / "kept.txt").read_text() == "all of it"


def test_modules_of_the_job_win_over_those_already_imported(jobs: Jobs) -> None:
    """The server has imported joblib; a job that brings a joblib.py of its own must get it."""
    write = "open('/opt/ml/own/joblib.py', 'w').write('print(\"mine\")')"
    _, _, root = jobs.run(f"import os; os.mkdir('/opt/ml/own'); {write}")
    (root / "own" / "main.py").write_text("import joblib")
    spec = ContainerSpec(
        "own", SKLEARN, ("python3", "/opt/ml/own/main.py"), {}, root, root / "own.log", 1
    )
    assert jobs.runtime.start(spec, lambda _: None).wait(30) == 0
    assert (root / "own.log").read_text() == "mine\n"


def test_a_job_after_a_job_that_trained_does_not_hang(jobs: Jobs) -> None:
    for _ in range(3):
        code, log, _ = jobs.run(TRAIN, image=XGBOOST, cpus=2)
        assert (code, float(log) > 0.9) == (0, True)


def test_two_jobs_draw_different_numbers_unless_they_seed(jobs: Jobs) -> None:
    for draw in (
        "import numpy; print(numpy.random.rand())",
        "import random; print(random.random())",
    ):
        assert jobs.run(draw)[1] != jobs.run(draw)[1]
    seeded = "import numpy; numpy.random.seed(1); print(numpy.random.rand())"
    assert jobs.run(seeded)[1] == jobs.run(seeded)[1]


@pytest.mark.parametrize("cpus", [1, 2])
@pytest.mark.parametrize("image", [SKLEARN, XGBOOST])
def test_threads_are_what_was_asked(cpus: int, image: str, jobs: Jobs) -> None:
    show = (
        "import numpy, pyarrow, sklearn.ensemble, threadpoolctl\n"
        "print({pool['num_threads'] for pool in threadpoolctl.threadpool_info()})\n"
        "print(pyarrow.cpu_count())"
    )
    assert jobs.run(show, image=image, cpus=cpus)[1] == f"{{{cpus}}}\n{cpus}\n"
    limited = jobs.run(show, image=image, cpus=2, environment={"OMP_NUM_THREADS": "1"})
    assert limited[1] == "{1}\n1\n"


def test_an_idle_server_has_one_thread(jobs: Jobs) -> None:
    """A fork copies only the thread that calls it: locks of any other would stay locked."""
    count = "import os; print(len(os.listdir(f'/proc/{os.getppid()}/task')))"
    assert jobs.run(count, image=SKLEARN)[1] == "1\n"
    assert jobs.run(count, image=XGBOOST)[1] == "1\n"


def test_log_lines_arrive_while_the_job_runs(jobs: Jobs) -> None:
    script = "import sys, time\nprint('first')\nprint('second', file=sys.stderr)\ntime.sleep(60)"
    container, _, log = jobs.start(script)
    assert wait_until(lambda: log.exists() and log.read_text() == "first\nsecond\n")
    assert container.wait(0) is None
    container.stop(grace=5)
    assert container.wait(0) == -signal.SIGTERM


def test_stop_kills_a_job_that_ignores_the_signal_and_what_it_started(jobs: Jobs) -> None:
    script = (
        "import signal, subprocess, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "for session in (False, True):\n"
        "    child = subprocess.Popen(['sleep', '60'], start_new_session=session)\n"
        "    print(child.pid)\n"
        "time.sleep(60)"
    )
    container, _, log = jobs.start(script)
    assert wait_until(lambda: log.exists() and log.read_text().count("\n") == 2)
    container.stop(grace=0.2)
    assert container.wait(0) == -signal.SIGKILL
    assert not [pid for pid in map(int, log.read_text().split()) if alive(pid)]


def test_processes_that_a_job_leaves_end_with_it(jobs: Jobs) -> None:
    script = (
        "import subprocess\n"
        "for own in (False, True):\n"
        "    print(subprocess.Popen(['sleep', '60'], start_new_session=own).pid)"
    )
    code, log, _ = jobs.run(script)
    assert code == 0
    assert not [pid for pid in map(int, log.split()) if alive(pid)]


def test_two_jobs_at_once_see_their_own_opt_ml(jobs: Jobs) -> None:
    script = (
        "import os, time\n"
        "open('/opt/ml/mine', 'w').write(os.environ['WHO'])\n"
        "time.sleep(0.3)\n"
        "print(open('/opt/ml/mine').read(), sorted(os.listdir('/opt/ml')))"
    )
    started = [jobs.start(script, environment={"WHO": who}) for who in ("one", "two")]
    assert [container.wait(30) for container, _, _ in started] == [0, 0]
    said = [log.read_text() for _, _, log in started]
    assert said == [f"{who} ['job.py', 'mine']\n" for who in ("one", "two")]
    assert [(root / "mine").read_text() for _, root, _ in started] == ["one", "two"]


def test_many_threads_start_jobs(jobs: Jobs) -> None:
    codes: list[int | None] = []
    threads = [
        threading.Thread(target=lambda n=n: codes.append(jobs.run(f"import sys; sys.exit({n})")[0]))
        for n in range(12)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(code for code in codes if code is not None) == list(range(12))


@pytest.mark.skipif(not LINUX, reason="a file system view of one's own is Linux's")
def test_a_read_only_file_cannot_be_written(jobs: Jobs) -> None:
    script = (
        "import os\n"
        "try:\n    open('/opt/ml/job.py', 'r+')\n"
        "except OSError as error:\n    print('refused')\n"
        "try:\n    os.chmod('/opt/ml/job.py', 0o777)\n"
        "except OSError as error:\n    print('refused')"
    )
    assert jobs.run(script, read_only=("/opt/ml/job.py",))[1] == "refused\nrefused\n"


def test_an_unknown_image_is_refused_by_name(jobs: Jobs) -> None:
    with pytest.raises(ImageNotSupported, match="nobody/knows:1"):
        jobs.run("", image="nobody/knows:1")


def test_the_callback_comes_before_the_jobs_code_and_may_refuse_it(jobs: Jobs) -> None:
    root, seen = jobs.folder / "refused", []

    def refuse(pid: int) -> None:
        time.sleep(0.1)
        seen.append(json.loads((jobs.folder.parent / f"state/processes/{pid}.json").read_text()))
        raise RuntimeError("no")

    root.mkdir(parents=True)
    (root / "job.py").write_text("open('/opt/ml/ran', 'w')")
    command = ("python3", "/opt/ml/job.py")
    spec = ContainerSpec("refused", SKLEARN, command, {}, root, root / "log", 1)
    with pytest.raises(RuntimeError, match="no"):
        jobs.runtime.start(spec, refuse)
    assert seen[0]["name"] == "refused"
    assert wait_until(lambda: not alive(seen[0]["pid"]))
    assert not (root / "ran").exists()


def test_a_servers_death_fails_its_jobs_and_the_next_job_gets_a_new_one(tmp_path: Path) -> None:
    runtime = Runtime(tmp_path / "state", Images())
    jobs = Jobs(runtime, tmp_path / "jobs")
    script = (
        "import os, subprocess, time\n"
        "print(os.getppid(), subprocess.Popen(['sleep', '60']).pid)\ntime.sleep(60)"
    )
    try:
        container, _, log = jobs.start(script)
        assert wait_until(lambda: log.exists() and log.read_text().endswith("\n"))
        server, grandchild = map(int, log.read_text().split())
        os.kill(server, signal.SIGKILL)
        assert container.wait(5) == -9
        assert not alive(container.pid)
        assert not alive(grandchild)
        assert jobs.run("print('again')")[:2] == (0, "again\n")
    finally:
        runtime.close()
    assert not list((tmp_path / "state" / "processes").glob("*.json"))


PARENT = """
import sys, time
from pathlib import Path
from localcloud.containers.environments import Images
from localcloud.containers.runtime import ContainerSpec, Runtime
folder = Path(sys.argv[1])
runtime = Runtime(folder / "state", Images())
spec = ContainerSpec("left", sys.argv[2], ("python3", "/opt/ml/job.py"), {}, folder / "root",
                     folder / "log", 1)
runtime.start(spec, lambda pid: None)
time.sleep(60)
"""
LEFT = (
    "import multiprocessing, os, subprocess, time\n"
    "forked = multiprocessing.get_context('fork').Process(target=time.sleep, args=(60,))\n"
    "forked.start()\n"
    "others = [subprocess.Popen(['sleep', '60'], start_new_session=own) for own in (False, True)]\n"
    "print(os.getpid(), os.getppid(), forked.pid, *(other.pid for other in others))\n"
    "time.sleep(60)"
)


def start_parent(folder: Path) -> tuple[subprocess.Popen[bytes], list[int]]:
    """A process with a runtime and a job; returns it and the numbers of all below it."""
    (folder / "root").mkdir()
    (folder / "root/job.py").write_text(LEFT)
    source = str(Path(sys.modules[Runtime.__module__].__file__ or "").parents[2])
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(folder), SKLEARN],
        env={**os.environ, "PYTHONPATH": source},
    )
    log = folder / "log"
    assert wait_until(lambda: log.exists() and log.read_text().endswith("\n"), 20)
    return parent, [int(pid) for pid in log.read_text().split()]


@pytest.mark.skipif(not LINUX, reason="reads /proc")
def test_nothing_survives_the_kill_of_what_started_it(tmp_path: Path) -> None:
    parent, below = start_parent(tmp_path)
    assert all(map(alive, below))
    parent.kill()
    parent.wait()
    assert wait_until(lambda: not any(map(alive, below)), 2), [pid for pid in below if alive(pid)]


@pytest.mark.skipif(not LINUX, reason="reads /proc")
def test_leftovers_of_a_killed_run_end_at_the_next_and_no_foreign_process_is_hit(
    tmp_path: Path,
) -> None:
    """Killed together with its server a runtime can end nothing; the next start must."""
    state = tmp_path / "state"
    parent, (job, server, forked, *others) = start_parent(tmp_path)
    foreign = subprocess.Popen(["sleep", "60"])
    try:
        record_process(state, foreign.pid, "reused", "a mark that nobody bears")
        path = state / "processes" / f"{foreign.pid}.json"
        written = json.loads(path.read_text())
        path.write_text(json.dumps({**written, "start": written["start"] - 1}))
        for pid in (parent.pid, server):
            os.kill(pid, signal.SIGSTOP)
        for pid in (parent.pid, server):
            os.kill(pid, signal.SIGKILL)
        parent.wait()
        assert wait_until(lambda: not alive(job), 2)
        assert all(map(alive, others))
        assert end_leftovers(state) == ["left"]
        assert not any(map(alive, [forked, *others]))
        assert alive(foreign.pid)
        assert end_leftovers(state) == []
    finally:
        foreign.kill()
        foreign.wait()


def test_without_namespaces_paths_are_replaced_and_jobs_run_in_fresh_interpreters(
    tmp_path: Path,
) -> None:
    """What happens outside Linux: literal paths in arguments and environment lead to the root."""
    runtime = Runtime(tmp_path / "state", Images(), fork=False)
    jobs = Jobs(runtime, tmp_path / "jobs")
    script = "import os, sys, numpy\nopen(sys.argv[1], 'w').write(os.environ['WHERE'])\nsys.exit(5)"
    command = ("python3", "/opt/ml/job.py", "/opt/ml/out")
    try:
        code, _, root = jobs.run(
            script, *command, environment={"WHERE": "/opt/ml/x:/opt/mlx:/a/opt/ml"}
        )
    finally:
        runtime.close()
    assert code == 5
    written = (root / "out").read_text()
    assert written.endswith("/x:/opt/mlx:/a/opt/ml")


def test_hosts_that_would_not_find_each_other_are_refused_with_what_helps(
    jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a job cannot have its own /etc/hosts; there, names of the machine's do."""
    jobs.run("pass")
    for server in jobs.runtime._servers.values():
        monkeypatch.setattr(server, "mounts", False)
    jobs.runtime.find_hosts(SKLEARN, ["localhost"])
    with pytest.raises(JobNotSupported, match=r"add to /etc/hosts: 127\.0\.0\.1 algo-1 algo-2"):
        jobs.runtime.find_hosts(SKLEARN, ["algo-1", "algo-2"])


@pytest.fixture
def objects(tmp_path: Path) -> ObjectStore:
    store = ObjectStore(tmp_path / "s3")
    store.create_bucket("000000000000", "eu-central-1", "bucket")
    return store


CONTEXT: dict[str, Any] = {
        "cpus": 1, "region": "eu-central-1",
        "arn": "arn:aws:sagemaker:eu-central-1:000000000000:job/job", "environment": {},
}  # fmt: skip


def alone(root: Path) -> Instance:
    return Instance(Host(), root, root.with_suffix(".log"))


def test_a_training_job_from_its_request_to_its_model(
    objects: ObjectStore, tmp_path: Path, jobs: Jobs
) -> None:
    script = (
        "import argparse, os, shutil\n"
        "import helper\n"
        "parser = argparse.ArgumentParser()\n"
        "parser.add_argument('--max_depth', type=int)\n"
        "depth = parser.parse_args().max_depth\n"
        "print(f'validation:f1={depth / 10}')\n"
        "source = os.path.join(os.environ['SM_CHANNEL_TRAIN'], 'a.csv')\n"
        "if depth > 8:\n    raise ValueError(f'max_depth must be at most 8: {depth}')\n"
        "shutil.copy(source, os.environ['SM_MODEL_DIR'])\n"
        "open(os.environ['SM_OUTPUT_DATA_DIR'] + '/plot', 'w').write(helper.TEXT)\n"
    )
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, text in (("train.py", script), ("helper.py", "TEXT = 'text'")):
            info = tarfile.TarInfo(name)
            info.size = len(text)
            tar.addfile(info, io.BytesIO(text.encode()))
    objects.put_stream("bucket", "code.tar.gz", io.BytesIO(buffer.getvalue()))
    objects.put_stream("bucket", "data/a.csv", io.BytesIO(b"1,2"))
    request = {
        "TrainingJobName": "fit",
        "AlgorithmSpecification": {"TrainingImage": SKLEARN},
        "HyperParameters": {
            "sagemaker_program": "train.py", "sagemaker_submit_directory": "s3://bucket/code.tar.gz",
            "max_depth": "5",
        },
        "InputDataConfig": [{"ChannelName": "train", "DataSource": {"S3DataSource": {
            "S3DataType": "S3Prefix", "S3Uri": "s3://bucket/data"}}}],
        "OutputDataConfig": {"S3OutputPath": "s3://bucket/models"},
        "ResourceConfig": {"InstanceCount": 1, "InstanceType": "ml.m5.large"},
    }  # fmt: skip
    root = tmp_path / "fit"
    spec = training.prepare(request, alone(root), objects, **CONTEXT)
    assert jobs.runtime.start(spec, lambda _: None).wait(30) == 0, spec.log.read_text()
    assert (
        training.finish(request, [alone(root)], objects)
        == "s3://bucket/models/fit/output/model.tar.gz"
    )
    with tarfile.open(objects.get("bucket", "models/fit/output/output.tar.gz").path) as tar:
        assert tar.getnames() == ["plot"]
    metric = [{"Name": "f1", "Regex": "validation:f1=([0-9.]+)"}]
    assert [each["Value"] for each in final_metrics(metric, spec.log)] == [0.5]

    request["HyperParameters"]["max_depth"] = "9"  # type: ignore[index]
    root = tmp_path / "bad"
    spec = training.prepare(request, alone(root), objects, **CONTEXT)
    code = jobs.runtime.start(spec, lambda _: None).wait(30)
    assert failure_reason(root, spec.log, code or 0) == (
        "AlgorithmError: ValueError: max_depth must be at most 8: 9, exit code: 1"
    )


def test_a_processing_job_from_its_request_to_its_output(
    objects: ObjectStore, tmp_path: Path, jobs: Jobs
) -> None:
    script = (
        "import shutil\n"
        "shutil.copy('/opt/ml/processing/input/data/a.csv', '/opt/ml/processing/out/b.csv')\n"
        "open('/opt/ml/output/message', 'w').write('copied')\n"
    )
    objects.put_stream("bucket", "code/p.py", io.BytesIO(script.encode()))
    objects.put_stream("bucket", "data/a.csv", io.BytesIO(b"1,2"))
    request = {
        "ProcessingJobName": "copy",
        "AppSpecification": {
            "ImageUri": SKLEARN,
            "ContainerEntrypoint": ["python3", "/opt/ml/processing/input/code/p.py"],
        },
        "ProcessingResources": {
            "ClusterConfig": {"InstanceCount": 1, "InstanceType": "ml.m5.large"}
        },
        "ProcessingInputs": [
            {"InputName": name, "S3Input": {
                "S3Uri": f"s3://bucket/{name}", "LocalPath": f"/opt/ml/processing/input/{name}"}}
            for name in ("code", "data")
        ],
        "ProcessingOutputConfig": {"Outputs": [{"OutputName": "out", "S3Output": {
            "S3Uri": "s3://bucket/out", "LocalPath": "/opt/ml/processing/out",
            "S3UploadMode": "EndOfJob"}}]},
    }  # fmt: skip
    root = tmp_path / "copy"
    spec = processing.prepare(request, alone(root), objects, **CONTEXT)
    assert jobs.runtime.start(spec, lambda _: None).wait(30) == 0, spec.log.read_text()
    processing.finish(request, [alone(root)], objects)
    assert processing.exit_message([alone(root)]) == "copied"
    assert objects.get("bucket", "out/b.csv").path.read_bytes() == b"1,2"
