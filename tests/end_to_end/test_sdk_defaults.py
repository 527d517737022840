"""What the SDK makes of a data scientist's sources by default runs as it does on AWS.

That is `runproc.sh` for a FrameworkProcessor, the drivers in a channel of their own for a
ModelTrainer, both with a requirements.txt that pip installs in the job.
"""

import io
import subprocess
import sys
import tarfile
import time
import zipfile
from pathlib import Path

import pytest
from command_line import Account

from localcloud.testing import localcloud

pytestmark = [pytest.mark.slow, pytest.mark.integration]
WHEEL = "shared-1.0-py3-none-any.whl"
SHARED = {
    "shared.py": "def rows(count):\n    return list(range(count))\n",
    "shared-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: shared\nVersion: 1.0\n",
    "shared-1.0.dist-info/WHEEL": (
        "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    ),
    "shared-1.0.dist-info/RECORD": "",
}
SOURCES = {
    "requirements.txt": f"./{WHEEL}\n",
    "prepare.py": (
        "import argparse, shared\n"
        "parser = argparse.ArgumentParser()\n"
        "parser.add_argument('--count', type=int)\n"
        "with open('/opt/ml/processing/rows/rows.txt', 'w') as file:\n"
        "    file.write(repr(shared.rows(parser.parse_args().count)))\n"
    ),
    "fit.py": (
        "import argparse, os, pathlib, shared\n"
        "parser = argparse.ArgumentParser()\n"
        "parser.add_argument('--rounds', type=int)\n"
        "rows = pathlib.Path(os.environ['SM_CHANNEL_ROWS'], 'rows.txt').read_text()\n"
        "rounds = parser.parse_args().rounds\n"
        "pathlib.Path(os.environ['SM_MODEL_DIR'], 'model').write_text(f'{rounds} of {rows}')\n"
    ),
}


def test_a_framework_processor_and_a_model_trainer_run_in_their_default_shapes(
    tmp_path: Path,
) -> None:
    sources = tmp_path / "sources"
    sources.mkdir()
    for name, text in SOURCES.items():
        (sources / name).write_text(text)
    with zipfile.ZipFile(sources / WHEEL, "w") as package:
        for name, text in SHARED.items():
            package.writestr(name, text)
    with localcloud(tmp_path / "state") as cloud:
        done = subprocess.run(
            [sys.executable, Path(__file__).with_name("sdk_defaults.py"), sources, "sdk-defaults"],
            env=cloud.environment | {"SAGEMAKER_VALIDATE_ROLE": "false"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-2000:]
        arn = done.stdout.split()[-1]
        account = Account(cloud.address.url)
        sagemaker, s3 = account.client("sagemaker"), account.client("s3")
        deadline = time.monotonic() + 120
        while True:
            execution = sagemaker.describe_pipeline_execution(PipelineExecutionArn=arn)
            if execution["PipelineExecutionStatus"] != "Executing":
                break
            assert time.monotonic() < deadline
            time.sleep(0.2)
        assert execution["PipelineExecutionStatus"] == "Succeeded", execution["FailureReason"]
        (job,) = sagemaker.list_training_jobs()["TrainingJobSummaries"]
        found = sagemaker.describe_training_job(TrainingJobName=job["TrainingJobName"])
        bucket, _, key = (
            found["ModelArtifacts"]["S3ModelArtifacts"].removeprefix("s3://").partition("/")
        )
        archive = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        model = tar.extractfile("model")
        assert model is not None
        assert model.read() == b"3 of [0, 1, 2]"
