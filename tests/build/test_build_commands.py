"""The command line as a whole: what it loads, and how it fails."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
COMMANDS = (
    *("doctor", "bootstrap", "definition", "diff", "upsert", "run", "status", "logs", "retry"),
    *("stop", "list", "compare", "report", "approve", "reject"),
)


def start(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the script in a process of its own, with nothing of AWS's but what is given."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    plain |= {"AWS_EC2_METADATA_DISABLED": "true", "AWS_CONFIG_FILE": os.devnull}
    plain |= {"AWS_SHARED_CREDENTIALS_FILE": os.devnull}
    return subprocess.run(
        [sys.executable, "build_pipeline.py", *arguments],
        cwd=ROOT,
        env=plain | environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("arguments", [["--help"], *([name, "--help"] for name in COMMANDS)])
def test_help_loads_nothing_heavy(arguments: list[str]) -> None:
    """--help must stay quick: neither an SDK nor numpy may be loaded for it."""
    program = (
        "import sys, build_pipeline\n"
        "try: build_pipeline.main(sys.argv[1:])\n"
        "except SystemExit as leaving: assert leaving.code == 0\n"
        "heavy = {'sagemaker', 'boto3', 'botocore', 'numpy', 'sklearn', 'xgboost'}\n"
        "print('heavy:', sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.startswith("usage: build_pipeline.py")
    assert done.stdout.endswith("heavy: []\n")


def test_help_names_every_command_and_exit_code() -> None:
    text = start("--help").stdout
    for name in COMMANDS:
        assert f"\n    {name}" in text
    for code in (0, 1, 2, 3, 4, 5, 6, 130):
        assert f"\n  {code} " in text


@pytest.mark.parametrize("arguments", [[], ["deploy"], ["reject", "1"], ["run", "--param", "a=b"]])
def test_a_wrong_command_line_is_usage(arguments: list[str]) -> None:
    """An unknown command, a missing or an abbreviated option must end with code 2."""
    done = start(*arguments)
    assert done.returncode == 2
    assert "usage: build_pipeline.py" in done.stderr


def test_nothing_at_the_endpoint() -> None:
    """When nothing answers, one sentence must name the address, the variable and the way out."""
    url = "http://127.0.0.1:9"
    done = start(
        "list",
        AWS_ENDPOINT_URL=url,
        AWS_REGION="eu-west-1",
        AWS_ACCESS_KEY_ID="test",
        AWS_SECRET_ACCESS_KEY="test",
    )
    assert done.returncode == 5
    assert done.stderr == (
        f"Nothing answers at {url} (AWS_ENDPOINT_URL). Start it with `localcloud up`, "
        "or unset the variable to use AWS.\n"
    )


def test_the_endpoint_of_one_service_is_named() -> None:
    """The variable that leads to the silent address must be named, not just any."""
    done = start(
        "list",
        AWS_ENDPOINT_URL="http://127.0.0.1:99",
        AWS_ENDPOINT_URL_STS="http://127.0.0.1:9",
        AWS_REGION="eu-west-1",
        AWS_ACCESS_KEY_ID="test",
        AWS_SECRET_ACCESS_KEY="test",
    )
    assert "(AWS_ENDPOINT_URL_STS)" in done.stderr


def test_no_region() -> None:
    done = start("list")
    assert (done.returncode, "AWS_REGION" in done.stderr) == (2, True)
    assert "Traceback" not in done.stderr


def test_no_credentials() -> None:
    done = start("list", AWS_REGION="eu-west-1")
    assert done.returncode == 5
    assert done.stderr.startswith("AWS credentials are missing")
    assert done.stderr.count("\n") == 1


def test_doctor_without_anybody_to_ask() -> None:
    """Doctor must still say what it can, and mark the rest as not checked."""
    done = start("doctor", AWS_REGION="eu-west-1")
    assert done.returncode == 1
    assert "not checked  bucket" in done.stdout
    assert "missing      credentials" in done.stdout
