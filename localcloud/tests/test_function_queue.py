"""Events that nobody waits for: tried three times, and kept when the process ends."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from function_fixtures import ROLE, zipped

from localcloud.containers.environments import Images
from localcloud.containers.records import end_leftovers
from localcloud.containers.runtime import Runtime
from localcloud.functions.packages import Packages
from localcloud.functions.server import Ground
from localcloud.functions.service import Lambda
from localcloud.logs import Logs
from localcloud.protocol import Caller
from localcloud.s3.objects import ObjectStore
from localcloud.store import Store
from localcloud.traffic import Traffic

CALLER = Caller("000000000000", "us-east-1")
Call = Callable[..., dict[str, Any]]


@contextmanager
def functions(state: Path, pauses: tuple[float, float]) -> Iterator[Call]:
    """Lambda over a state folder, with pauses of its own between attempts."""
    store, runtime = Store(state / "state.db"), Runtime(state, Images())
    objects = ObjectStore(state / "s3")
    packages = Packages(objects, "http://127.0.0.1:1")
    ground = Ground(runtime, packages, state / "functions", lambda region: {"AWS_REGION": region})
    traffic = Traffic(state, "000000000000", objects, {})
    running = Lambda(store, ground, Logs(store), traffic, pauses)
    running.restore()
    try:
        yield lambda name, **request: running.service.call(CALLER, name, request)
    finally:
        running.close()
        runtime.close()
        store.close()
        end_leftovers(state)


def make(call: Call, name: str, code: str) -> None:
    call(
        "CreateFunction", FunctionName=name, Runtime="python3.12", Handler="app.handler",
        Role=ROLE, Code={"ZipFile": base64.b64encode(zipped({"app.py": code})).decode()},
    )  # fmt: skip
    wait_until(lambda: call("GetFunctionConfiguration", FunctionName=name)["State"] == "Active", 90)


def wait_until(holds: Callable[[], Any], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def attempts(path: Path) -> list[list[str]]:
    return [line.split() for line in path.read_text().splitlines()] if path.exists() else []


FAILING = """
    import time
    def handler(event, context):
        with open({path!r}, "a") as file:
            file.write(f"{{time.time()}} {{context.aws_request_id}}\\n")
        raise ValueError("never")
"""


def test_a_failing_event_is_tried_three_times_with_pauses_and_one_id(tmp_path: Path) -> None:
    with functions(tmp_path / "state", (0.3, 0.6)) as call:
        make(call, "failing", FAILING.format(path=str(tmp_path / "tried")))
        call("Invoke", FunctionName="failing", InvocationType="Event")
        wait_until(lambda: len(attempts(tmp_path / "tried")) == 3)
        time.sleep(1.0)
        times, ids = zip(*attempts(tmp_path / "tried"), strict=True)
    assert len(times) == 3
    assert len(set(ids)) == 1
    assert float(times[1]) - float(times[0]) >= 0.3
    assert float(times[2]) - float(times[1]) >= 0.6


@pytest.mark.slow
def test_an_attempt_that_is_due_later_is_made_after_a_restart(tmp_path: Path) -> None:
    tried = tmp_path / "tried"
    with functions(tmp_path / "state", (1.0, 600.0)) as call:
        make(call, "failing", FAILING.format(path=str(tried)))
        call("Invoke", FunctionName="failing", InvocationType="Event")
        wait_until(lambda: len(attempts(tried)) == 1)
        time.sleep(0.2)
    with functions(tmp_path / "state", (1.0, 600.0)):
        wait_until(lambda: len(attempts(tried)) == 2)
    assert attempts(tried)[0][1] == attempts(tried)[1][1]


def test_events_of_a_function_that_may_run_none_wait_until_it_may(tmp_path: Path) -> None:
    with functions(tmp_path / "state", (60.0, 120.0)) as call:
        path = tmp_path / "tried"
        make(call, "throttled", f"def handler(e, c): open({str(path)!r}, 'w').write('1 1')")
        call("PutFunctionConcurrency", FunctionName="throttled", ReservedConcurrentExecutions=0)
        call("Invoke", FunctionName="throttled", InvocationType="Event")
        time.sleep(0.5)
        assert not path.exists()
        call("DeleteFunctionConcurrency", FunctionName="throttled")
        wait_until(path.exists)
