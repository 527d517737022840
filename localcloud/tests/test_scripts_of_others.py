"""Script mode as other teams use it: what the images' starter does, done the same."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import subprocess
import time
import zipfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from definitions import IMAGE
from jobs_of_others import Jobs

from localcloud.containers import warm
from localcloud.containers.environments import Images
from localcloud.containers.toolkit import ScriptMode
from localcloud.testing import TestCloud

Client = Callable[[str], Any]
RECORDED = json.loads(Path(__file__).with_name("sagemaker_training_5_1_4.json").read_text())
cloudy = pytest.mark.integration


@pytest.fixture
def jobs(client: Client, workshop: str, request: pytest.FixtureRequest) -> Jobs:
    return Jobs(client, workshop, request.node.name.replace("_", "-").split("[")[0][5:])


def test_variables_and_arguments_are_those_that_sagemaker_training_sets() -> None:
    """Recorded from the package itself, for every form of hyperparameter."""
    environment = RECORDED["training_env"]
    script = ScriptMode(
        RECORDED["hyperparameters"],
        environment["resource_config"],
        environment["input_data_config"],
        {"TRAINING_JOB_NAME": "fit", "AWS_REGION": "eu-central-1"},
        cpus=3,
    )
    variables = {"TRAINING_JOB_NAME": "fit", **script.variables()}
    assert json.loads(variables.pop("SM_TRAINING_ENV")) == {**environment, "num_cpus": 3}
    assert (variables.pop("SM_NUM_CPUS"), variables.pop("PYTHONPATH")) == ("3", "/opt/ml/code")
    assert variables == RECORDED["variables"]
    assert list(script.arguments) == RECORDED["arguments"]


@cloudy
@pytest.mark.parametrize("own", [True, False], ids=["channel", "algorithm"])
def test_a_channel_in_fast_file_mode_is_a_folder_and_is_told_by_its_mode(
    jobs: Jobs, own: bool
) -> None:
    """The mode comes from the channel, or from the algorithm for a channel without one."""
    for name in ("a.csv", "deep/b.csv"):
        jobs.s3.put_object(Bucket=jobs.bucket, Key=f"{jobs.name}/rows/{name}", Body=b"1\n2\n")
    script = (
        "import glob, json, os, sys\n"
        "folder = os.environ['SM_CHANNEL_TRAIN']\n"
        "paths = sorted(glob.glob(folder + '/**/*.csv', recursive=True))\n"
        "rows = [line for path in paths for line in open(path)]\n"
        "mode = json.load(open('/opt/ml/input/config/inputdataconfig.json'))['train']\n"
        "print(len(paths), len(rows), mode['TrainingInputMode'])\n"
    )
    source = {"S3DataType": "S3Prefix", "S3Uri": f"s3://{jobs.bucket}/{jobs.name}/rows/"}
    channel = {"ChannelName": "train", "DataSource": {"S3DataSource": source}}
    mode = {"TrainingImage": IMAGE, "TrainingInputMode": "File" if own else "FastFile"}
    job = jobs.train(
        {"train.py": script},
        AlgorithmSpecification=mode,
        InputDataConfig=[channel | ({"InputMode": "FastFile"} if own else {})],
    )
    assert job["TrainingJobStatus"] == "Completed", job.get("FailureReason")
    assert "2 4 FastFile" in jobs.log(job["TrainingJobName"])


@cloudy
def test_a_shell_script_runs_by_its_own_first_line_with_its_words_whole(jobs: Jobs) -> None:
    script = (
        '#!/bin/bash\nset -euo pipefail\nwords=("$@")\n'
        'echo "$PWD ${#words[@]} ${words[1]}"\n'
        "python -c 'import sklearn; print(sklearn.__name__)'\n"
        'cp helper.txt "$SM_MODEL_DIR"\n'
    )
    job = jobs.train(
        {"bin/run.sh": script, "helper.txt": "help", "requirements.txt": "nobody-installs-this"},
        program="bin/run.sh",
        hyperparameters={"text": "two words; $(exit 1)"},
    )
    assert jobs.log(job["TrainingJobName"]) == [
        "/opt/ml/code 2 two words; $(exit 1)", "sklearn"
    ]  # fmt: skip
    assert jobs.model(job) == {"helper.txt": b"help"}


CHILDREN = """
import multiprocessing, os, subprocess, sys
def square(n):
    return n * n
if __name__ == '__main__':
    for way in ('fork', 'spawn', 'forkserver'):
        with multiprocessing.get_context(way).Pool(2) as pool:
            print(way, pool.map(square, range(4)))
    config = open('/opt/ml/input/config/resourceconfig.json').read()
    open('/opt/ml/model/literal', 'w').write(config)
    code = 'import os; print(os.environ["SM_CURRENT_HOST"], os.listdir("/opt/ml/model"))'
    print(subprocess.check_output([sys.executable, '-c', code], text=True).strip())
    subprocess.Popen(['sleep', '60'])
"""


@cloudy
def test_children_pools_and_literal_paths_work_as_in_the_container(jobs: Jobs) -> None:
    job = jobs.train({"train.py": CHILDREN})
    assert job["TrainingJobStatus"] == "Completed", job.get("FailureReason")
    assert jobs.log(job["TrainingJobName"]) == [
        "fork [0, 1, 4, 9]", "spawn [0, 1, 4, 9]", "forkserver [0, 1, 4, 9]",
        "algo-1 ['literal']",
    ]  # fmt: skip


@cloudy
@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("import sys; sys.exit(42)", "See job logs for more information, exit code: 42"),
        ("import sys; sys.exit('na\u00efve \u2603')", "na\u00efve \u2603, exit code: 1"),
        ("import os; os.kill(os.getpid(), 11)", "killed by SIGSEGV, exit code: 139"),
        ("raise ValueError('\u00fc' * 3000)", "\u00fc\u00fc\u00fc, exit code: 1"),
        ("import sys; sys.stdout.buffer.write(b'\\xff\\xfe'); sys.exit(3)", "exit code: 3"),
    ],
    ids=["code", "unicode", "signal", "long", "bytes"],
)
def test_every_end_is_told_in_the_failure_reason(script: str, said: str, jobs: Jobs) -> None:
    reason = jobs.train({"train.py": script})["FailureReason"]
    assert reason.startswith("AlgorithmError: ")
    assert said in reason
    assert len(reason) <= 1024


@cloudy
@pytest.mark.slow
def test_a_log_of_fifty_megabytes_is_no_trouble(jobs: Jobs, cloud: TestCloud) -> None:
    script = (
        "import sys\nline = 'x' * 99 + '\\n'\n"
        "for _ in range(512):\n    sys.stdout.write(line * 1024)\n"
        "print('validation:f1=0.5')\nraise ValueError('after all that')"
    )
    metric = [{"Name": "f1", "Regex": "validation:f1=([0-9.]+)"}]
    started = time.monotonic()
    name = jobs.start_training(
        {"train.py": script},
        AlgorithmSpecification={
            "TrainingImage": IMAGE, "TrainingInputMode": "File",
            "MetricDefinitions": metric,
        },
    )  # fmt: skip
    job = jobs.wait(name)
    assert time.monotonic() - started < 20
    assert "ValueError: after all that" in job["FailureReason"]
    assert [each["Value"] for each in job["FinalMetricDataList"]] == [0.5]
    log = cloud.address.state / f"jobs/logs/training-job/{name}.log"
    assert log.stat().st_size > 50_000_000
    log.unlink()


@cloudy
@pytest.mark.slow
def test_a_script_that_ignores_sigterm_is_stopped_all_the_same(jobs: Jobs) -> None:
    script = (
        "import signal, time\nsignal.signal(signal.SIGTERM, lambda *_: print('not me'))\n"
        "print('ready')\nend = time.time() + 60\n"
        "while time.time() < end:\n    time.sleep(0.1)"
    )
    name = jobs.start_training({"train.py": script})
    while not jobs.describe(name).get("TrainingStartTime") or jobs.log(name) != ["ready"]:
        time.sleep(0.05)
    jobs.sagemaker.stop_training_job(TrainingJobName=name)
    assert jobs.wait(name)["TrainingJobStatus"] == "Stopped"
    assert jobs.log(name) == ["ready", "not me"]


# --- what sources ask for -----------------------------------------------------------------------


def wheel(name: str, version: str, text: str, requires: str = "") -> bytes:
    """A pure Python wheel of one module."""
    info = f"{name}-{version}.dist-info"
    files = {
        f"{name}.py": text,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        + (f"Requires-Dist: {requires}\n" if requires else ""),
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(
        f"{path},sha256={base64.urlsafe_b64encode(hashlib.sha256(content.encode()).digest()).decode().rstrip('=')},{len(content)}\n"
        for path, content in files.items()
    )
    files[f"{info}/RECORD"] = record + f"{info}/RECORD,,\n"
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for path, content in files.items():
            archive.writestr(path, content)
    return buffer.getvalue()


OFFLINE = {"PIP_NO_INDEX": "1", "PIP_NO_BUILD_ISOLATION": "0"}
WHO = "import wanted, sklearn; print(wanted.WHO, sklearn.__version__.split('.')[0])"


@cloudy
def test_requirements_are_installed_beside_the_image_once(jobs: Jobs) -> None:
    """What the image has already stays: the wheel needs scikit-learn, which is not installed."""
    unique = os.urandom(4).hex()
    files = {
        "train.py": WHO,
        "requirements.txt": "--find-links wheels\nwanted==1.0  # ours\n",
        "wheels/wanted-1.0-py3-none-any.whl": wheel(
            "wanted", "1.0", f"WHO = 'installed {unique}'", "scikit-learn>=1"
        ),
        "unique": unique,
    }
    first = jobs.train({**files, "requirements.txt": f"# {unique}\n{files['requirements.txt']}"},
                       Environment=OFFLINE)  # fmt: skip
    assert first["TrainingJobStatus"] == "Completed", first.get("FailureReason")
    assert jobs.log(first["TrainingJobName"]) == [
        "localcloud: installing wanted==1.0", f"installed {unique} 1"
    ]  # fmt: skip
    again = jobs.train({"train.py": WHO,
                        "requirements.txt": f"# {unique}\n{files['requirements.txt']}"},
                       Environment=OFFLINE)  # fmt: skip
    assert jobs.log(again["TrainingJobName"]) == [f"installed {unique} 1"]


INSTALLS = """
import glob, os, subprocess, sys
mounts = [line.split()[1:3] for line in open('/proc/mounts')]
layered = [sys.prefix + '/lib', 'overlay'] in mounts
def pip(*words):
    return subprocess.run([sys.executable, '-m', 'pip', '-q', *words], capture_output=True)
def ask(line):
    return subprocess.run(['python3', '-c', line], capture_output=True, text=True).stdout.strip()
own, newer = sorted(glob.glob('/opt/ml/code/*.whl'), key=lambda path: 'joblib' in path)
assert pip('install', '--no-index', own).returncode == 0
import own
print(own.WHO, ask('import own; print(own.WHO)'))
code = pip('install', '--no-index', newer).returncode
print(layered, code == 0, ask('import joblib; print(joblib.__version__)') == '99.0')
"""
TRIES = """
import importlib.util, joblib
print(importlib.util.find_spec('own'), joblib.__version__ != '99.0')
"""


def takes_layers(folder: Path) -> bool:
    """Whether a folder's file system can be laid over another, by the machine's own programs."""
    for name in ("lower", "upper", "work"):
        (folder / name).mkdir()
    options = "lowerdir=lower,upperdir=upper,workdir=work,userxattr"
    mount = ["mount", "-t", "overlay", "overlay", "-o", options, "lower"]
    try:
        done = subprocess.run(
            ["unshare", "--mount", "--map-root-user", *mount],
            cwd=folder, capture_output=True, check=False,
        )  # fmt: skip
    except FileNotFoundError:
        return False
    return done.returncode == 0


@cloudy
def test_what_a_script_installs_itself_is_its_own_and_the_image_stays_as_it_was(
    jobs: Jobs, tmp_path: Path
) -> None:
    """It may replace packages of the image, too, where files can be laid over files."""
    files = {
        "train.py": INSTALLS,
        "own-1.0-py3-none-any.whl": wheel("own", "1.0", "WHO = 'mine'"),
        "joblib-99.0-py3-none-any.whl": wheel("joblib", "99.0", "__version__ = '99.0'"),
    }
    job = jobs.train(files)
    assert job["TrainingJobStatus"] == "Completed", job.get("FailureReason")
    mine, replaced = jobs.log(job["TrainingJobName"])
    assert mine == "mine mine"
    assert replaced == ("True True True" if takes_layers(tmp_path) else "False False False")
    after = jobs.train({"train.py": TRIES})
    assert after["TrainingJobStatus"] == "Completed", after.get("FailureReason")
    assert jobs.log(after["TrainingJobName"]) == ["None True"]


BESIDE = """
import importlib.util, json, os, subprocess, sys
spec = importlib.util.spec_from_file_location('warm', sys.argv[1])
warm = importlib.util.module_from_spec(spec)
spec.loader.exec_module(warm)
job = {'command': [], 'directory': '/', 'environment': dict(os.environ), 'root': sys.argv[2],
       'shared': [sys.prefix + '/lib'], 'packages': sys.argv[2] + '.packages'}
warm.lay_out(job, mounts=False)
pip = [sys.executable, '-m', 'pip', '-q', 'install', '--no-index', sys.argv[3]]
subprocess.run(pip, env=job['environment'], check=True)
ask = 'import own; print(own.WHO, own.__file__)'
subprocess.run([sys.executable, '-c', ask], env=job['environment'], check=True)
"""


def test_without_a_view_of_its_own_a_job_has_what_it_installs_beside_its_root(
    tmp_path: Path,
) -> None:
    """As on macOS."""
    package = tmp_path / "own-1.0-py3-none-any.whl"
    package.write_bytes(wheel("own", "1.0", "WHO = 'mine'"))
    python, root = Images().environment(IMAGE).python, tmp_path / "algo-1"
    done = subprocess.run(
        [python, "-c", BESIDE, warm.__file__, root, package],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    who, where = done.stdout.split()
    assert who == "mine"
    assert Path(where).is_relative_to(f"{root}.packages")


@cloudy
def test_a_requirement_that_cannot_be_had_is_named(jobs: Jobs) -> None:
    job = jobs.train(
        {"train.py": "", "requirements.txt": "no-such-thing-anywhere>=3\n"}, Environment=OFFLINE
    )
    assert job["TrainingJobStatus"] == "Failed"
    assert job["FailureReason"].startswith(
        "AlgorithmError: InstallRequirementsError: no-such-thing-anywhere>=3 could not be installed"
    )


@cloudy
def test_sources_that_are_a_package_are_installed_and_run_as_a_module(jobs: Jobs) -> None:
    setup = (
        "from setuptools import setup, find_packages\n"
        "setup(name='theirs', version='1', package_dir={'': 'src'},\n"
        "      packages=find_packages('src'), py_modules=['train'])\n"
    )
    job = jobs.train(
        {
            "setup.py": setup,
            "src/theirs/__init__.py": f"WORD = {os.urandom(4).hex()!r}",
            "src/train.py": "import theirs, sys; print(len(theirs.WORD), __name__, sys.argv[1:])",
            "train.py": "import theirs, sys; print(len(theirs.WORD), __name__, sys.argv[1:])",
        },
        hyperparameters={"depth": "3"},
        Environment=OFFLINE,
    )
    assert job["TrainingJobStatus"] == "Completed", job.get("FailureReason")
    assert jobs.log(job["TrainingJobName"])[1:] == ["8 __main__ ['--depth', '3']"]


@cloudy
def test_a_pyproject_alone_makes_no_package_as_with_the_images_starter(jobs: Jobs) -> None:
    job = jobs.train({"train.py": "print(__file__)", "pyproject.toml": "[project]\nname = 'p'\n"})
    assert jobs.log(job["TrainingJobName"]) == ["/opt/ml/code/train.py"]
