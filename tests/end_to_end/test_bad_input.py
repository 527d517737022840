"""Everything a user may get wrong: one sentence, an exit code, and nothing changed."""

import http.server
import json
import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from command_line import PIPELINE, QUICK, Account, Answer, CommandLine
from runs import Finished

from localcloud.testing import TestCloud, free_port, localcloud
from pipelines.predictive_maintenance import schema
from pipelines.predictive_maintenance.data import FILE_NAME

pytestmark = pytest.mark.integration

BUCKET = "sagemaker-mlops-000000000000-us-east-1"
TORQUE = "Torque [Nm]"
DEAD = "http://127.0.0.1:1"
NO_CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": None,
    "AWS_SECRET_ACCESS_KEY": None,
    "AWS_CONFIG_FILE": "/nowhere/config",
    "AWS_SHARED_CREDENTIALS_FILE": "/nowhere/credentials",
}


def parameter(*assignments: str) -> tuple[str, ...]:
    return ("run", *(word for text in assignments for word in ("--parameter", text)))


@pytest.fixture(autouse=True)
def unchanged_registry(first: Finished, account: Account) -> Iterator[None]:
    """Whatever a test here does, the registry holds afterwards what it held before."""
    before = account.registry()
    assert before
    yield
    assert account.registry() == before


@pytest.fixture
def nothing_starts(account: Account) -> Iterator[None]:
    before = account.executions()
    yield
    assert account.executions() == before


def check(answer: Answer, code: int, says: tuple[str, ...]) -> None:
    """One line on standard error that holds all of the words, and no stack trace anywhere."""
    assert "Traceback" not in answer.text, answer.text
    assert answer.code == code, answer.text
    assert answer.err.count("\n") == 1, answer.err
    for word in says:
        assert word in answer.err


REFUSED = {
    "no such parameter": (parameter("MaxDepht=3"), ("MaxDepht", "did you mean MaxDepth?")),
    "no assignment": (parameter("MaxDepth"), ("--parameter", "Name=Value", "'MaxDepth'")),
    "given twice": (parameter("Eta=0.1", "Eta=0.2"), ("Eta", "twice", "'0.1'", "'0.2'")),
    "a text for an integer": (parameter("MaxDepth=deep"), ("MaxDepth", "whole number", "'deep'")),
    "a fraction for an integer": (parameter("MaxDepth=3.5"), ("MaxDepth", "whole", "'3.5'")),
    "a text for a number": (parameter("TestRatio=half"), ("TestRatio", "a number", "'half'")),
    "not a number": (parameter("TestRatio=nan"), ("TestRatio", "a number", "'nan'")),
    "no value": (parameter("NumRound="), ("NumRound", "whole number", "''")),
    "out of the enum": (
        parameter("ModelApprovalStatus=Maybe"),
        ("ModelApprovalStatus", "PendingManualApproval, Approved, Rejected", "'Maybe'"),
    ),
    "depth 0": (parameter("MaxDepth=0"), ("MaxDepth", "from 1 to 16", "'0'")),
    "eta 5": (parameter("Eta=5"), ("Eta", "from 0.001 to 1.0", "'5'")),
    "subsample 0": (parameter("Subsample=0"), ("Subsample", "from 0.1 to 1.0", "'0'")),
    "negative seed": (parameter("Seed=-1"), ("Seed", "from 0 to", "'-1'")),
    "no such instance": (
        parameter("TrainingInstanceType=ml.m5.huge"),
        ("TrainingInstanceType", "instance type", "'ml.m5.huge'"),
    ),
    "no instance": (parameter("TrainingInstanceCount=0"), ("TrainingInstanceCount", "1", "0")),
    "nothing to train on": (
        parameter("TestRatio=0.6", "ValidationRatio=0.4"),
        ("TestRatio and ValidationRatio", "less than 1", "0.6 and 0.4"),
    ),
    "nothing to test on": (
        parameter("TestRatio=0"),
        ("TestRatio and ValidationRatio", "more than 0", "0 and 0.2"),
    ),
    "impossible threshold": (
        parameter("MinAveragePrecision=1.5"),
        ("MinAveragePrecision", "from 0 to 1", "1.5"),
    ),
    "no such object": (
        parameter(f"InputDataUri=s3://{BUCKET}/nothing/here.csv"),
        (f"InputDataUri s3://{BUCKET}/nothing/here.csv", "no object"),
    ),
    "no such bucket": (
        parameter("InputDataUri=s3://no-such-bucket/ai4i2020.csv"),
        ("InputDataUri s3://no-such-bucket/ai4i2020.csv", "no bucket no-such-bucket"),
    ),
    "no URI": (parameter("InputDataUri=data.csv"), ("InputDataUri", "s3://", "'data.csv'")),
    "no version of this number": (("approve", "99"), ("'99'", "it has ")),
    "no version of this name": (("reject", "best", "--note", "x"), ("'best'", "it has ")),
    "nothing to compare with": (("compare", "1", "99"), ("'99'", "it has ")),
    "three to compare": (("compare", "1", "2", "3"), ("compare", "two", "3")),
    "too long a note": (
        ("approve", "1", "--note", "x" * 1100),
        ("--note", "at most 1024 characters", "1100"),
    ),
    "no such step": (("logs", "train"), ("train", "did you mean Train?")),
    "a step without a log": (("logs", "CheckQuality"), ("CheckQuality", "no log")),
    "an ended execution": (("stop",), ("does not run", "Succeeded")),
    "no such execution": (("status", "abcdefghijkl"), ("no execution", "abcdefghijkl")),
}


@pytest.mark.usefixtures("nothing_starts")
@pytest.mark.parametrize(("words", "says"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_is_refused_before_anything_starts(
    command: CommandLine, words: tuple[str, ...], says: tuple[str, ...]
) -> None:
    answer = command(*words)
    check(answer, 2, says)
    assert answer.out == ""


ENVIRONMENTS = [
    pytest.param(
        {"AWS_REGION": None, "AWS_DEFAULT_REGION": None},
        2,
        ("AWS_REGION", "not set"),
        id="no region",
    ),
    pytest.param(
        {"AWS_REGION": "nowhere", "AWS_DEFAULT_REGION": None},
        2,
        ("region", "'nowhere'"),
        id="no such region",
    ),
    pytest.param(
        {"AWS_DEFAULT_REGION": "eu-west-1"},
        2,
        ("one region", "eu-west-1 and us-east-1"),
        id="two regions",
    ),
    pytest.param(
        NO_CREDENTIALS, 5, ("credentials are missing", "AWS_ACCESS_KEY_ID"), id="no credentials"
    ),
    pytest.param(
        {"AWS_SECRET_ACCESS_KEY": None},
        5,
        ("incomplete", "AWS_SECRET_ACCESS_KEY"),
        id="half of the credentials",
    ),
    pytest.param({"AWS_PROFILE": "nobody"}, 5, ("AWS_PROFILE", "nobody"), id="no such profile"),
    pytest.param(
        {"AWS_ENDPOINT_URL": DEAD},
        5,
        (DEAD, "AWS_ENDPOINT_URL", "`localcloud up`"),
        id="nothing answers",
    ),
    pytest.param(
        {"AWS_ENDPOINT_URL": "nonsense"},
        2,
        ("AWS_ENDPOINT_URL", "nonsense"),
        id="no URL",
    ),
    pytest.param(
        {"AI4I_DATA": "/no/such/folder"},
        2,
        ("AI4I_DATA", FILE_NAME, "/no/such/folder is no folder"),
        id="no such data folder",
    ),
    pytest.param({"PIPELINE_BUCKET": "NO"}, 2, ("bucket", "'NO'"), id="no bucket name"),
    pytest.param(
        {"MODEL_PACKAGE_GROUP": ""}, 2, ("MODEL_PACKAGE_GROUP", "must not be empty"), id="empty"
    ),
]


@pytest.mark.usefixtures("nothing_starts")
@pytest.mark.parametrize(("changes", "code", "says"), ENVIRONMENTS)
def test_a_wrong_environment_is_told_by_the_variable_s_name(
    command: CommandLine, changes: dict[str, str | None], code: int, says: tuple[str, ...]
) -> None:
    answer = command("run", **changes)
    check(answer, code, says)
    assert answer.out == ""


@pytest.mark.usefixtures("nothing_starts")
def test_a_folder_without_the_csv_is_named(command: CommandLine, tmp_path: Path) -> None:
    answer = command("run", AI4I_DATA=str(tmp_path))
    check(answer, 2, ("AI4I_DATA", str(tmp_path), f"has no file {FILE_NAME}"))
    assert answer.out == ""


def test_before_bootstrap_a_run_says_to_bootstrap(command: CommandLine, tmp_path: Path) -> None:
    with localcloud(tmp_path / "state") as empty:
        environment = {"AWS_ENDPOINT_URL": empty.address.url}
        check(command("run", **environment), 2, (BUCKET, "build_pipeline.py bootstrap"))
        check(command("list", **environment), 2, ("predictive-maintenance", "bootstrap"))
        doctor = command("doctor", **environment)
        assert doctor.code == 1
        assert "Missing: role, bucket, model packages." in doctor.out
        executions = Account(empty.address.url).client("sagemaker")
        assert executions.list_pipelines()["PipelineSummaries"] == []


def set_torque(value: str) -> Callable[[list[list[str]]], list[list[str]]]:
    def change(rows: list[list[str]]) -> list[list[str]]:
        place = rows[0].index(TORQUE)
        seventh = [value if i == place else each for i, each in enumerate(rows[7])]
        return [*rows[:7], seventh, *rows[8:]]

    return change


def without_torque(rows: list[list[str]]) -> list[list[str]]:
    place = rows[0].index(TORQUE)
    return [row[:place] + row[place + 1 :] for row in rows]


def torque_twice(rows: list[list[str]]) -> list[list[str]]:
    return [[*row, TORQUE if row is rows[0] else "1"] for row in rows]


def one_class(rows: list[list[str]]) -> list[list[str]]:
    place = rows[0].index(schema.LABEL)
    return [row for row in rows if row[place] != "1"]


def one_failure(rows: list[list[str]]) -> list[list[str]]:
    place = rows[0].index(schema.LABEL)
    failure = next(row for row in rows[1:] if row[place] == "1")
    return [*one_class(rows), failure]


ROW_7 = ("row 7 (line 8)", f"'{TORQUE}'", "must be a number from 0 to 500 Nm")
BAD_DATA = {
    "a column is missing": (without_torque, ",", ("the header must name", f"'{TORQUE}'")),
    "a column stands twice": (torque_twice, ",", (f"'{TORQUE}'", "stands twice")),
    "a text in a number": (set_torque("heavy"), ",", (*ROW_7, "'heavy'")),
    "not a number": (set_torque("nan"), ",", (*ROW_7, "'nan'")),
    "a hole": (set_torque(""), ",", (*ROW_7, "''")),
    "an impossible value": (set_torque("-5"), ",", (*ROW_7, "'-5'")),
    "an empty file": (lambda _rows: [], ",", ("must have a header and rows", "empty")),
    "only a header": (lambda rows: rows[:1], ",", ("must have rows", "only a header")),
    "one class": (one_class, ",", (f"'{schema.LABEL}'", "both 0 and 1", "have 0")),
    "one failure": (one_failure, ",", ("part must hold rows with and without", "1 with a failure")),
    "semicolons": (list, ";", ("commas must separate", "semicolons")),
}


@pytest.fixture(scope="module")
def good_rows(data_folder: Path) -> list[list[str]]:
    text = (data_folder / FILE_NAME).read_text(encoding="utf-8-sig")
    return [line.split(",") for line in text.splitlines()[:2000]]


@pytest.mark.parametrize(("spoil", "delimiter", "says"), BAD_DATA.values(), ids=BAD_DATA)
def test_bad_data_ends_the_first_step_with_what_is_wrong_and_where(
    command: CommandLine,
    account: Account,
    good_rows: list[list[str]],
    tmp_path: Path,
    spoil: Callable[[list[list[str]]], list[list[str]]],
    delimiter: str,
    says: tuple[str, ...],
) -> None:
    lines = [delimiter.join(row) + "\n" for row in spoil(good_rows)]
    (tmp_path / FILE_NAME).write_text("".join(lines))
    output = tmp_path / "outcome.json"
    answer = command("run", "--wait", "--output", str(output), AI4I_DATA=str(tmp_path))
    check_preprocess_failed(answer, says)
    outcome = json.loads(output.read_text())
    assert outcome["model_package_arn"] is None
    steps = account.steps(outcome["execution_arn"])
    assert {name: step["StepStatus"] for name, step in steps.items()} == {"Preprocess": "Failed"}
    reason = steps["Preprocess"]["FailureReason"]
    assert reason in answer.err


def check_preprocess_failed(answer: Answer, says: tuple[str, ...]) -> None:
    assert "Traceback" not in answer.text, answer.text
    assert answer.code == 4, answer.text
    head, message, again, log = answer.err.splitlines()
    assert "localcloud debug" in again, again
    assert re.fullmatch(r"Execution \w+ failed\.", head)
    assert message.startswith("Step Preprocess: ")
    for word in says:
        assert word in message
    assert "build_pipeline.py logs Preprocess" in log


def test_data_that_stands_in_s3_already_is_checked_the_same_way(
    command: CommandLine, account: Account, good_rows: list[list[str]]
) -> None:
    lines = [",".join(row) + "\n" for row in set_torque("900")(good_rows)]
    key = "elsewhere/torque.csv"
    account.client("s3").put_object(Bucket=BUCKET, Key=key, Body="".join(lines).encode())
    answer = command(*parameter(f"InputDataUri=s3://{BUCKET}/{key}"), "--wait")
    check_preprocess_failed(answer, ("torque.csv", *ROW_7, "'900'"))


def test_a_threshold_that_the_model_does_not_reach_registers_nothing_and_says_by_how_much(
    command: CommandLine, first: Finished
) -> None:
    answer = command(*parameter("MinAveragePrecision=1.0"), *QUICK, "--wait")
    check(answer, 3, ("quality gate", "average_precision >= 1.0000", "nothing was registered"))
    measured = first.outcome["metrics"]["average_precision"]
    rule = rf"average_precision +{measured:.4f} +>= 1\.0000 +failed by {1 - measured:.4f}"
    assert re.search(rule, answer.out), answer.out


def _say_nothing(*_: object) -> None:
    """Keep the web server's own log out of what a command says."""


@pytest.fixture
def web_server() -> Iterator[int]:
    """The port of a server that is no AWS."""
    handler = type("Quiet", (http.server.SimpleHTTPRequestHandler,), {"log_message": _say_nothing})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield server.server_port
    server.shutdown()
    server.server_close()


@pytest.mark.usefixtures("nothing_starts")
def test_an_endpoint_that_is_no_aws_is_named(command: CommandLine, web_server: int) -> None:
    url = f"http://127.0.0.1:{web_server}"
    check(command("run", AWS_ENDPOINT_URL=url), 5, (url, "AWS_ENDPOINT_URL"))


def refused(cloud: TestCloud, says: tuple[str, ...], **changes: str) -> None:
    """`localcloud up` says one sentence and exits with 1."""
    done = TestCloud(cloud.address, cloud.environment | changes).command("up")
    check(Answer(done.returncode, done.stdout, done.stderr), 1, says)


def test_up_names_a_port_that_another_server_has(
    cloud: TestCloud, web_server: int, tmp_path: Path
) -> None:
    state = tmp_path / "state"
    says = (f"port {web_server} is taken", "LOCALCLOUD_PORT")
    refused(cloud, says, LOCALCLOUD_PORT=str(web_server), LOCALCLOUD_HOME=str(state))
    assert not state.exists()


def test_up_names_the_localcloud_that_has_the_port(cloud: TestCloud, tmp_path: Path) -> None:
    says = (f"port {cloud.address.port} is taken", str(cloud.address.state), "LOCALCLOUD_PORT")
    refused(cloud, says, LOCALCLOUD_HOME=str(tmp_path / "state"))
    assert cloud.command("status").returncode == 0


def test_up_says_that_a_state_folder_is_in_use(cloud: TestCloud) -> None:
    refused(cloud, (str(cloud.address.state),), LOCALCLOUD_PORT=str(free_port()))
    assert cloud.command("status").returncode == 0


@pytest.mark.parametrize(
    "port",
    [
        "abc",
        "",
        "0",
        "70000",
        "²",
    ],
)
def test_up_names_a_port_that_is_none(cloud: TestCloud, port: str) -> None:
    refused(cloud, ("LOCALCLOUD_PORT", "from 1 to 65534", repr(port)), LOCALCLOUD_PORT=port)


def test_up_names_a_state_folder_that_is_a_file(cloud: TestCloud, tmp_path: Path) -> None:
    file = tmp_path / "state"
    file.touch()
    changes = {"LOCALCLOUD_HOME": str(file), "LOCALCLOUD_PORT": str(free_port())}
    refused(cloud, (str(file),), **changes)


def test_the_deployed_pipeline_runs_after_all_of_this(command: CommandLine) -> None:
    answer = command("diff")
    assert (answer.code, answer.err) == (0, "")
    assert f"Pipeline {PIPELINE} is deployed as these sources have it." in answer.out
