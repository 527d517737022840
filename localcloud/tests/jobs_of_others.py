"""Jobs as another team would send them: requests, sources, and what became of them."""

from __future__ import annotations

import io
import secrets
import tarfile
import time
from collections.abc import Callable, Mapping
from typing import Any

from definitions import IMAGE, RESOURCES, ROLE

Client = Callable[[str], Any]
Document = dict[str, Any]
TRAINING_ENDED = PROCESSING_ENDED = ("Completed", "Failed", "Stopped")


def training_request(name: str, code: str, **more: Any) -> Document:
    """A script mode training job whose sources are at the URI `code`."""
    return {
        "TrainingJobName": name,
        "RoleArn": ROLE,
        "AlgorithmSpecification": {"TrainingImage": IMAGE, "TrainingInputMode": "File"},
        "HyperParameters": {
            "sagemaker_program": more.pop("program", "train.py"),
            "sagemaker_submit_directory": code,
            **more.pop("hyperparameters", {}),
        },
        "OutputDataConfig": {"S3OutputPath": f"{code.rsplit('/', 1)[0]}/models"},
        "ResourceConfig": {
            "InstanceCount": more.pop("count", 1),
            "InstanceType": "ml.m5.large",
            "VolumeSizeInGB": 1,
        },
        "StoppingCondition": {"MaxRuntimeInSeconds": more.pop("seconds", 60)},
        **more,
    }


def processing_request(name: str, code: str, **more: Any) -> Document:
    """A processing job that runs the script job.py of a URI; `outputs` maps folders to URIs."""
    resources = {
        "ClusterConfig": RESOURCES["ClusterConfig"] | {"InstanceCount": more.pop("count", 1)}
    }
    return {
        "ProcessingJobName": name,
        "RoleArn": ROLE,
        "ProcessingResources": resources,
        "AppSpecification": {
            "ImageUri": IMAGE,
            "ContainerEntrypoint": ["python3", "/opt/ml/processing/input/code/job.py"],
        },
        "ProcessingInputs": [
            {
                "InputName": "code",
                "S3Input": {
                    "S3Uri": code,
                    "LocalPath": "/opt/ml/processing/input/code",
                    "S3DataType": "S3Prefix",
                    "S3InputMode": "File",
                },
            }
        ],
        "ProcessingOutputConfig": {
            "Outputs": [
                {
                    "OutputName": folder,
                    "S3Output": {
                        "S3Uri": uri,
                        "LocalPath": f"/opt/ml/processing/{folder}",
                        "S3UploadMode": more.pop("mode", "EndOfJob"),
                    },
                }
                for folder, uri in more.pop("outputs", {}).items()
            ]
        },
        **more,
    }


class Jobs:
    """Runs jobs of a localcloud, each under a name of its own."""

    def __init__(self, client: Client, bucket: str, name: str) -> None:
        self.sagemaker = client("sagemaker")
        self.s3 = client("s3")
        self.logs = client("logs")
        self.bucket = bucket
        self.name = f"{name[:40].strip('-')}-{secrets.token_hex(3)}"
        self._count = 0

    def new_name(self) -> str:
        """A name that no job has had."""
        self._count += 1
        return f"{self.name}-{self._count}"

    def put_sources(self, files: Mapping[str, str | bytes]) -> str:
        """Upload a sourcedir.tar.gz; returns its URI."""
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
            for name, text in files.items():
                content = text.encode() if isinstance(text, str) else text
                info = tarfile.TarInfo(name)
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
        key = f"{self.new_name()}/sourcedir.tar.gz"
        self.s3.put_object(Bucket=self.bucket, Key=key, Body=buffer.getvalue())
        return f"s3://{self.bucket}/{key}"

    def start_training(self, files: Mapping[str, str | bytes], **more: Any) -> str:
        """Start a training job of these sources; returns its name."""
        name = self.new_name()
        self.sagemaker.create_training_job(
            **training_request(name, self.put_sources(files), **more)
        )
        return name

    def start_processing(self, script: str, **more: Any) -> str:
        """Start a processing job of this script; returns its name."""
        name = self.new_name()
        self.s3.put_object(Bucket=self.bucket, Key=f"{name}/code/job.py", Body=script.encode())
        code = f"s3://{self.bucket}/{name}/code/"
        self.sagemaker.create_processing_job(**processing_request(name, code, **more))
        return name

    def train(self, files: Mapping[str, str | bytes], **more: Any) -> Document:
        """Run a training job to its end; returns its description."""
        return self.wait(self.start_training(files, **more))

    def process(self, script: str, **more: Any) -> Document:
        """Run a processing job to its end; returns its description."""
        return self.wait(self.start_processing(script, **more), "Processing")

    def describe(self, name: str, kind: str = "Training") -> Document:
        """A job's description."""
        call = getattr(self.sagemaker, f"describe_{kind.lower()}_job")
        found: Document = call(**{f"{kind}JobName": name})
        return found

    def wait(self, name: str, kind: str = "Training", seconds: float = 60) -> Document:
        """Wait for a job's end; returns its description."""
        end = time.monotonic() + seconds
        while (job := self.describe(name, kind))[f"{kind}JobStatus"] not in TRAINING_ENDED:
            assert time.monotonic() < end, f"{name} did not end"
            time.sleep(0.03)
        return job

    def log(self, name: str, host: str = "algo-1", kind: str = "Training") -> list[str]:
        """The lines of one host's log stream."""
        group = f"/aws/sagemaker/{kind}Jobs"
        (stream,) = self.logs.describe_log_streams(
            logGroupName=group, logStreamNamePrefix=f"{name}/{host}"
        )["logStreams"]
        events = self.logs.get_log_events(
            logGroupName=group, logStreamName=stream["logStreamName"], startFromHead=True
        )
        return [event["message"] for event in events["events"]]

    def keys(self, prefix: str) -> list[str]:
        """The keys of a prefix."""
        found = self.s3.list_objects_v2(Bucket=self.bucket, Prefix=prefix)
        return [each["Key"] for each in found.get("Contents", [])]

    def read(self, key: str) -> bytes:
        """An object's bytes."""
        return bytes(self.s3.get_object(Bucket=self.bucket, Key=key)["Body"].read())

    def model(self, job: Document) -> dict[str, bytes]:
        """The files of a training job's model.tar.gz."""
        key = job["ModelArtifacts"]["S3ModelArtifacts"].removeprefix(f"s3://{self.bucket}/")
        with tarfile.open(fileobj=io.BytesIO(self.read(key))) as tar:
            return {
                member.name: file.read()
                for member in tar.getmembers()
                if (file := tar.extractfile(member)) is not None
            }
