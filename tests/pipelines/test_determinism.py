import json
import os
import subprocess
import sys
from pathlib import Path

import compiled
import pytest

OTHER_PYTHON = os.environ.get("PIPELINE_TEST_PYTHON", "")

# Runs in a process of its own. Whoever reaches for the network is noted, not only refused: the SDK
# swallows the errors of its telemetry.
PROGRAM = """
import socket, sys, traceback

calls = []

def refuse(*arguments, **_):
    calls.append("".join(traceback.format_stack()))
    raise OSError(f"no network here: {arguments}")

socket.socket.connect = socket.socket.connect_ex = refuse
socket.getaddrinfo = socket.gethostbyname = socket.create_connection = refuse

from pipelines.predictive_maintenance import pipeline
from pipelines.settings import Settings

settings = Settings.from_environment({"AWS_REGION": "us-east-1"})
definition = pipeline.compile_definition(settings)
import threading
for thread in threading.enumerate():
    if thread is not threading.current_thread():
        thread.join(10)
if calls:
    sys.exit("the compiler called out:\\n" + calls[0])
sys.stdout.write(definition)
"""

# What a user may have configured and what must not get into a definition.
SDK_CONFIG = """
SchemaVersion: '1.0'
SageMaker:
  TrainingJob:
    EnableNetworkIsolation: true
    Tags: [{Key: owner, Value: private}]
  ProcessingJob:
    Environment: {PRIVATE: private}
"""


def compile_elsewhere(python: str, folder: Path, **environment: str) -> str:
    """Compile a copy of the sources with another interpreter, home and hash seed."""
    root = compiled.copy_sources(folder / "repository")
    home = folder / "home"
    home.mkdir()
    done = subprocess.run(
        [python, "-c", PROGRAM],
        cwd=home,
        env={"HOME": str(home), "PATH": os.defpath, "PYTHONPATH": str(root), **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


def test_another_folder_a_users_configuration_and_no_network_change_no_byte(tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(SDK_CONFIG, encoding="utf-8")
    definition = compile_elsewhere(
        sys.executable,
        tmp_path,
        PYTHONHASHSEED="12345",
        SAGEMAKER_USER_CONFIG_OVERRIDE=str(config),
        AWS_PROFILE="private",
    )
    assert definition == compiled.text()


@pytest.mark.skipif(not OTHER_PYTHON, reason="PIPELINE_TEST_PYTHON names no other interpreter")
def test_another_version_of_python_compiles_the_same_bytes(tmp_path: Path) -> None:
    assert compile_elsewhere(OTHER_PYTHON, tmp_path) == compiled.text()


def test_a_change_of_evaluate_changes_the_code_of_evaluate_and_nothing_else(tmp_path: Path) -> None:
    root = compiled.copy_sources(tmp_path)
    script = root / "pipelines" / "predictive_maintenance" / "evaluate" / "evaluate.py"
    script.write_text(script.read_text(encoding="utf-8") + "# changed\n", encoding="utf-8")
    changed = compiled.compile_at(root)

    def code(text: str) -> str:
        inputs = compiled.steps(json.loads(text))["Evaluate"]["Arguments"]["ProcessingInputs"]
        uris: dict[str, str] = {each["InputName"]: each["S3Input"].get("S3Uri") for each in inputs}
        return uris["code"]

    assert code(changed) != code(compiled.text())
    assert changed.replace(code(changed), code(compiled.text())) == compiled.text()
