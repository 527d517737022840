"""The life of serving containers: how they start, why they do not, and what brings them back."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from serving_fixtures import (
    BUCKET,
    ECHO,
    PID_HANDLER,
    SKLEARN,
    XGBOOST,
    UnixConnection,
    Workshop,
    archive,
    ask,
)

from localcloud.containers.environments import Images
from localcloud.containers.records import end_leftovers
from localcloud.containers.runtime import Runtime
from localcloud.containers.serving import ModelContainer, StartFailed

LINUX = sys.platform == "linux"
SLOW = "import time\n" + ECHO.replace(
    "    return body", "    time.sleep(float(body))\n    return body"
)


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workshop]:
    folder = tmp_path_factory.mktemp("serving")
    runtime = Runtime(folder / "state", Images())
    runtime.prestart(XGBOOST)
    made = Workshop(runtime, folder)
    yield made
    made.close()
    runtime.close()


def wait_until(condition: Callable[[], Any], seconds: float = 10.0) -> bool:
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


def alive(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    return False


def answers(path: Path) -> bool:
    with contextlib.suppress(OSError):
        return ask(path, url="/ping", method="GET", timeout=2).status == 200
    return False


def pid_of(path: Path) -> int:
    return int(ask(path, "").body.split()[0])


def start_failure(workshop: Workshop, container: ModelContainer, timeout: float = 20.0) -> str:
    """Why an instance of this container does not start; nothing of it may be left."""
    folder = workshop.folder / "fails"
    instance = workshop.instance(container, folder=folder)
    with pytest.raises(StartFailed) as caught:
        instance.start(timeout)
    assert not folder.exists()
    assert not any(path.exists() for path in instance.sockets)
    records = [
        json.loads(path.read_text())["name"]
        for path in (workshop.folder / "state/processes").glob("*.json")
    ]
    assert f"{instance.name}/container-1" not in records
    return str(caught.value)


@pytest.mark.parametrize(
    ("handler", "said"),
    [
        ("raise ValueError('no weights')", "(exit code 1): ValueError: no weights"),
        ("import nowhere", "ModuleNotFoundError: No module named 'nowhere'"),
        ("x = (", "SyntaxError: '(' was never closed"),
        ("", "NotImplementedError: Please provide a model_fn implementation in inference"),
        (
            ECHO + "def predict_fn(data, model):\n    pass\n",
            "ValueError: Cannot use transform_fn implementation with input_fn, predict_fn, and/or",
        ),
        ("def model_fn(folder):\n    open(folder + '/none')", "FileNotFoundError: [Errno 2]"),
        ("def model_fn(folder):\n    import os\n    os.abort()", "killed by SIGABRT"),
        ("def model_fn(folder):\n    raise SystemExit('enough')", "(exit code 1): enough"),
    ],
)
def test_a_container_that_dies_at_its_start_says_why(
    handler: str, said: str, workshop: Workshop
) -> None:
    text = start_failure(workshop, workshop.container(handler))
    assert text.startswith("container-1 of instance-")
    assert " ended while it started " in text
    assert said in text


def test_a_model_fn_that_hangs_is_ended_at_the_time_out(workshop: Workshop) -> None:
    handler = "import time\nprint('loading')\ndef model_fn(folder):\n    time.sleep(60)\n"
    began = time.monotonic()
    text = start_failure(workshop, workshop.container(handler), timeout=1.0)
    assert "did not answer GET /ping with 200 within 1 seconds: loading" in text
    assert time.monotonic() - began < 3


def test_a_start_can_be_called_off(workshop: Workshop) -> None:
    handler = "import time\ndef model_fn(folder):\n    time.sleep(60)\n"
    instance, stopping = workshop.instance(workshop.container(handler)), threading.Event()
    threading.Timer(0.5, stopping.set).start()
    with pytest.raises(StartFailed, match="was stopped while it started"):
        instance.start(30, stopping)
    other = workshop.instance(workshop.container(handler))
    threading.Timer(0.5, other.stop).start()
    with pytest.raises(StartFailed, match="was stopped while it started"):
        other.start(30)


@pytest.mark.parametrize(
    ("files", "environment", "said"),
    [
        ({"code/inference.py": ECHO}, {"SAGEMAKER_PROGRAM": ""}, "SAGEMAKER_PROGRAM is not set"),
        (
            {"code/other.py": ECHO}, {},
            "/opt/ml/model/code has no 'inference.py', its SAGEMAKER_PROGRAM",
        ),
        (
            {"code/inference.py": ECHO}, {"SAGEMAKER_MODEL_SERVER_TIMEOUT": "long"},
            "SAGEMAKER_MODEL_SERVER_TIMEOUT must be a whole number of seconds, not 'long'",
        ),
        ({"inference.py": ECHO}, {"SAGEMAKER_SUBMIT_DIRECTORY": "/home/me"}, "must be under"),
        (
            {"code/inference.py": ECHO, "code/requirements.txt": "no-such-package-at-all==9\n"},
            {"PIP_NO_INDEX": "1"}, "no-such-package-at-all==9 could not be installed",
        ),
        (
            {"weights": "1"}, {"SAGEMAKER_SUBMIT_DIRECTORY": "s3://models/none.tar.gz"},
            "its SAGEMAKER_SUBMIT_DIRECTORY s3://models/none.tar.gz cannot be had",
        ),
    ],
)  # fmt: skip
def test_a_model_that_cannot_be_laid_out_is_told(
    files: dict[str, str], environment: dict[str, str], said: str, workshop: Workshop
) -> None:
    assert said in start_failure(workshop, workshop.container(files, **environment))


def broken_archives() -> dict[str, bytes]:
    good = archive({"code/inference.py": ECHO, "weights": os.urandom(100_000)})
    return {"cut": good[: len(good) // 2], "text": b"no archive", "empty": b""}


@pytest.mark.parametrize("kind", ["cut", "text", "empty"])
def test_model_data_that_is_no_whole_archive_is_told(kind: str, workshop: Workshop) -> None:
    uri = workshop.put(broken_archives()[kind])
    container = ModelContainer("container-1", SKLEARN, uri, {"SAGEMAKER_PROGRAM": "inference.py"})
    text = start_failure(workshop, container)
    assert text.startswith("container-1 of instance-")
    assert f"its model data {uri} must be a whole tar.gz archive" in text


def test_model_data_that_is_not_there_is_told(workshop: Workshop) -> None:
    container = ModelContainer(
        "container-1", SKLEARN, f"s3://{BUCKET}/none", {"SAGEMAKER_PROGRAM": "inference.py"}
    )
    assert f"its model data s3://{BUCKET}/none cannot be had" in start_failure(workshop, container)


@pytest.mark.parametrize("evil", ["../outside", "/outside", "link"])
def test_an_archive_cannot_write_outside_the_models_folder(
    evil: str, workshop: Workshop, tmp_path: Path
) -> None:
    path = tmp_path / "evil.tar.gz"
    with tarfile.open(path, "w:gz") as tar:
        member = tarfile.TarInfo(evil)
        if evil == "link":
            member.type, member.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(member)
    container = ModelContainer(
        "container-1", SKLEARN, workshop.put(path.read_bytes()),
        {"SAGEMAKER_PROGRAM": "inference.py"},
    )  # fmt: skip
    start_failure(workshop, container)
    assert not (workshop.folder / "fails/0/outside").exists()
    assert not Path("/outside").exists()


def test_an_image_that_is_not_known_is_named(workshop: Workshop) -> None:
    container = workshop.container(ECHO, image="nobody/knows:1")
    assert "nobody/knows:1" in start_failure(workshop, container)


def test_the_first_container_that_fails_ends_the_start_of_all(workshop: Workshop) -> None:
    hangs = "import time\ndef model_fn(folder):\n    time.sleep(60)\n"
    instance = workshop.instance(
        workshop.container(hangs, hostname="patient"),
        workshop.container("raise ValueError('quick')", hostname="hasty"),
    )
    began = time.monotonic()
    with pytest.raises(StartFailed, match=r"hasty of instance-.*: ValueError: quick"):
        instance.start(30)
    assert time.monotonic() - began < 10


@pytest.mark.skipif(not LINUX, reason="forks")
def test_a_killed_container_is_back_behind_the_same_socket_in_half_a_second(
    workshop: Workshop,
) -> None:
    instance = workshop.instance(workshop.container(PID_HANDLER))
    instance.start(30)
    (path,) = instance.sockets
    before = pid_of(path)
    os.kill(before, signal.SIGKILL)
    began = time.monotonic()
    assert wait_until(lambda: not alive(before) and answers(path))
    assert time.monotonic() - began < 0.5
    assert pid_of(path) != before
    assert instance.restarts == 1
    assert instance.sockets == (path,)


def test_a_handler_that_ends_its_process_is_a_broken_connection_and_a_restart(
    workshop: Workshop,
) -> None:
    handler = PID_HANDLER.replace(
        "    return f", "    if body == 'die':\n        os._exit(3)\n    return f"
    )
    instance = workshop.instance(workshop.container(handler))
    instance.start(30)
    (path,) = instance.sockets
    with pytest.raises(OSError, match=r"without response|reset by peer"):
        ask(path, "die")
    assert wait_until(lambda: answers(path))
    (log,) = workshop.logs(instance.name, [1])
    assert "localcloud: container-1 of " in log.read_text()
    assert " ended (exit code 3); it is started again\n" in log.read_text()


def test_a_container_that_cannot_come_back_is_tried_with_growing_pauses(
    workshop: Workshop,
) -> None:
    handler = (
        "import os\n"
        "def model_fn(folder):\n"
        "    with open(folder + '/starts', 'a') as file:\n        file.write('x')\n"
        "    if len(open(folder + '/starts').read()) in (2, 3):\n"
        "        raise ValueError('not yet')\n"
    ) + PID_HANDLER[PID_HANDLER.index("def transform_fn") :]
    instance = workshop.instance(workshop.container(handler))
    instance.start(30)
    (path,) = instance.sockets
    began = time.monotonic()
    os.kill(pid_of(path), signal.SIGKILL)
    assert wait_until(lambda: instance.restarts == 3 and answers(path))
    assert 0.7 < time.monotonic() - began < 5
    (log,) = workshop.logs(instance.name, [1])
    assert log.read_text().count("ValueError: not yet; it is started again") == 2


@pytest.mark.slow
@pytest.mark.skipif(not LINUX, reason="stops a process")
def test_an_idle_container_that_stops_answering_is_started_again(workshop: Workshop) -> None:
    instance = workshop.instance(workshop.container(PID_HANDLER))
    instance.start(30)
    (path,) = instance.sockets
    before = pid_of(path)
    os.kill(before, signal.SIGSTOP)
    assert wait_until(lambda: instance.restarts == 1 and answers(path), 20)
    assert not alive(before)


@pytest.mark.slow
def test_a_busy_container_is_left_alone_until_its_model_servers_time_out(
    workshop: Workshop,
) -> None:
    slow = workshop.container(SLOW, SAGEMAKER_MODEL_SERVER_TIMEOUT="3")
    instance = workshop.instance(slow)
    instance.start(30)
    (path,) = instance.sockets
    assert ask(path, "2.5").body == b"2.5"
    assert instance.restarts == 0
    with pytest.raises(OSError, match=r"without response|reset by peer"):
        ask(path, "40", timeout=40)
    assert wait_until(lambda: instance.restarts == 1 and answers(path))


def test_stop_lets_a_request_end_and_leaves_nothing(workshop: Workshop) -> None:
    folder = workshop.folder / "stopped"
    instance = workshop.instance(workshop.container(SLOW), folder=folder)
    instance.start(30)
    (path,) = instance.sockets
    got: list[bytes] = []
    client = threading.Thread(target=lambda: got.append(ask(path, "0.5").body))
    client.start()
    time.sleep(0.2)
    instance.stop()
    client.join()
    assert got == [b"0.5"]
    assert not folder.exists()
    assert not path.exists()
    instance.stop()


def test_stop_kills_what_does_not_end_and_ends_what_is_idle_at_once(workshop: Workshop) -> None:
    instance = workshop.instance(
        workshop.container(SLOW), workshop.container(ECHO, hostname="container-2")
    )
    instance.start(30)
    slow, _ = instance.sockets
    connection = UnixConnection(slow)
    connection.request("POST", "/invocations", "30", {"Content-Type": "text/csv"})
    time.sleep(0.2)
    began = time.monotonic()
    instance.stop(grace=0.5)
    assert 0.4 < time.monotonic() - began < 2
    connection.close()


def test_a_long_folder_gets_short_socket_names(workshop: Workshop) -> None:
    folder = workshop.folder / ("long-" * 20) / "instance"
    instance = workshop.instance(workshop.container(ECHO), folder=folder)
    (path,) = instance.sockets
    assert len(os.fsencode(path)) <= 100
    assert workshop.instance(workshop.container(ECHO), folder=folder).sockets == (path,)
    instance.start(30)
    assert ask(path, "1").body == b"1"
    assert path.parent.stat().st_mode & 0o777 == 0o700
    instance.stop()
    assert not path.parent.exists()


def test_short_socket_names_of_folders_that_are_gone_are_swept(workshop: Workshop) -> None:
    """What a killed process leaves outside its state folder."""
    folder = workshop.folder / ("deep-" * 20) / "instance"
    instance = workshop.instance(workshop.container(ECHO), folder=folder)
    left = instance.sockets[0].parent.with_name("left-by-a-killed-process")
    left.mkdir(parents=True, mode=0o700)
    (left / "00.sock").touch()
    (left / "of").write_text(str(workshop.folder / "gone"))
    instance.start(30)
    assert not left.exists()
    instance.stop()


def test_without_namespaces_and_forks_a_container_serves_as_well(tmp_path: Path) -> None:
    """What happens outside Linux: /opt/ml is replaced in the environment."""
    runtime = Runtime(tmp_path / "state", Images(), fork=False)
    workshop = Workshop(runtime, tmp_path)
    try:
        path, _ = workshop.serve(ECHO)
        assert ask(path, "1").body == b"1"
    finally:
        workshop.close()
        runtime.close()


PARENT = """
import sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from serving_fixtures import PID_HANDLER, Workshop
from localcloud.containers.environments import Images
from localcloud.containers.runtime import Runtime
folder = Path(sys.argv[1])
workshop = Workshop(Runtime(folder / "state", Images()), folder)
path, _ = workshop.serve(PID_HANDLER)
print(path, flush=True)
time.sleep(60)
"""


@pytest.mark.slow
@pytest.mark.skipif(not LINUX, reason="reads /proc")
@pytest.mark.parametrize("together", [False, True])
def test_nothing_survives_the_kill_of_what_started_it(tmp_path: Path, *, together: bool) -> None:
    """Killed alone its fork server ends all; killed with it, the next run's clean-up does."""
    source = str(Path(sys.modules[Runtime.__module__].__file__ or "").parents[2])
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, str(tmp_path), str(Path(__file__).parent)],
        env={**os.environ, "PYTHONPATH": source}, stdout=subprocess.PIPE, text=True,
    ) as parent:  # fmt: skip
        assert parent.stdout is not None
        path = Path(parent.stdout.readline().strip())
        pid, server = map(int, ask(path, "").body.split())
        victims = [parent.pid, server] if together else [parent.pid]
        for victim in victims:
            os.kill(victim, signal.SIGSTOP)
        for victim in victims:
            os.kill(victim, signal.SIGKILL)
    assert wait_until(lambda: not alive(pid), 2)
    end_leftovers(tmp_path / "state")
    again = Workshop(Runtime(tmp_path / "state", Images()), tmp_path)
    try:
        taken, _ = again.serve(ECHO)
        assert taken == path
        assert ask(path, "1").body == b"1"
    finally:
        again.close()
        again.runtime.close()
    assert not path.exists()
