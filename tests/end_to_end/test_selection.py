"""Some steps only, a stop, and an execution that goes on: `run --only`, `stop` and `retry`."""

import time
from collections.abc import Iterator

import pytest
from command_line import LENIENT, Account, CommandLine
from runs import Finished, Project

from localcloud.testing import localcloud
from pipelines.predictive_maintenance import data, generator

pytestmark = [pytest.mark.integration, pytest.mark.slow]
# Some seconds of training: enough to be stopped in, not too long to be waited for.
SECONDS = [
    word
    for text in ("NumRound=2500", "Eta=0.001", "EarlyStoppingRounds=1000", "MaxBin=2048")
    for word in ("--parameter", text)
]


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """The project in a localcloud of its own, with few rows."""
    folder = tmp_path_factory.mktemp("rows")
    generator.write_csv(folder / data.FILE_NAME, rows=3000, seed=2020)
    with localcloud(tmp_path_factory.mktemp("cloud") / "state") as cloud:
        made = Project(cloud, folder, tmp_path_factory.mktemp("outcomes"))
        answer = made.command("bootstrap")
        assert answer.code == 0, answer.text
        yield made


@pytest.fixture
def whole(small: Project) -> Finished:
    """A whole run on whose results others stand."""
    return small.run()


@pytest.fixture
def command(small: Project) -> CommandLine:
    return small.command


@pytest.fixture
def account(small: Project) -> Account:
    return small.account


def newest(account: Account, earlier: set[str]) -> str:
    (arn,) = set(account.executions()) - earlier
    return arn


def test_a_step_alone_stands_on_an_earlier_executions_results(
    whole: Finished, command: CommandLine, account: Account
) -> None:
    """Those before it are taken over, those after it do not run, and nothing is registered."""
    before, earlier = account.registry(), set(account.executions())
    answer = command.process("run", "--only", "Evaluate", "--wait")
    assert answer.code == 0, answer.text
    assert "No version was registered" in answer.out
    steps = account.steps(newest(account, earlier))
    assert set(steps) == {"Preprocess", "Train", "Evaluate"}
    source = {"SourcePipelineExecutionArn": whole.outcome["execution_arn"]}
    assert steps["Train"]["SelectiveExecutionResult"] == source
    assert steps["Preprocess"]["SelectiveExecutionResult"] == source
    assert "SelectiveExecutionResult" not in steps["Evaluate"]
    assert account.registry() == before


def test_the_gate_and_the_registration_alone_make_a_version(
    whole: Finished, command: CommandLine, account: Account
) -> None:
    before, earlier = account.registry(), set(account.executions())
    answer = command.process("run", "--only", "CheckQuality", "--only", "Register", "--wait")
    assert answer.code == 0, answer.text
    steps = account.steps(newest(account, earlier))
    ran = {name for name, step in steps.items() if "SelectiveExecutionResult" not in step}
    assert ran == {"CheckQuality", "Register"}
    (arn,) = set(account.registry()) - set(before)
    assert f"Registered version {arn.rpartition('/')[2]}" in answer.out


def test_a_step_that_is_none_is_refused_and_nothing_starts(
    whole: Finished, command: CommandLine, account: Account
) -> None:
    earlier = account.executions()
    answer = command.process("run", "--only", "Trian")
    assert answer.code == 2
    assert "did you mean Train?" in answer.err
    assert account.executions() == earlier


def test_a_stopped_execution_goes_on_with_a_retry_and_keeps_what_was_done(
    whole: Finished, command: CommandLine, account: Account
) -> None:
    """`stop` ends the training job; `retry --wait` trains again and registers."""
    earlier, versions = set(account.executions()), set(account.registry())
    started = command("run", "--parameter", "Seed=11", *SECONDS, *LENIENT)
    assert started.code == 0, started.text
    arn = newest(account, earlier)
    account.await_step(arn, "Train")
    stopped = command("stop")
    assert stopped.code == 0, stopped.text
    deadline = time.monotonic() + 60
    while "Stopping" in (followed := command.process("status")).text:
        assert time.monotonic() < deadline, followed.text
    assert followed.code == 6, followed.text
    before = account.steps(arn)
    assert {name: step["StepStatus"] for name, step in before.items()} == {
        "Preprocess": "Succeeded",
        "Train": "Stopped",
    }
    assert command.process("stop").code == 2

    retried = command.process("retry", arn.rpartition("/")[2], "--wait")
    assert retried.code == 0, retried.text
    assert f"Execution  {arn} goes on" in retried.out
    after = account.steps(arn)
    assert after["Preprocess"] == before["Preprocess"]
    assert after["Train"]["StepStatus"] == after["Register"]["StepStatus"] == "Succeeded"
    assert after["Train"]["Metadata"] != before["Train"]["Metadata"]
    assert len(set(account.registry()) - versions) == 1
    again = command.process("retry", arn.rpartition("/")[2])
    assert (again.code, "is Succeeded" in again.err) == (2, True), again.text
