"""Our chain as the deploy project's staging: a stage that its own command made, not a copy of one.

A package with our archives is registered and approved, then `python -m deploy_endpoint deploy`
makes endpoint, functions, authorizer and HTTP API. Only the throttling is changed afterwards, to
the most that an account has, as not the limits are to be measured.
"""

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from benchmarks.support.executions import BenchmarkError, Clients
from benchmarks.support.hosting import BUCKET, ENVIRONMENT
from benchmarks.support.models import CSV, NAMES, Models
from localcloud.testing import TestCloud

_PROJECT: Final = "predictive-maintenance"  # as the file of the stage says
_STAGE: Final = "staging"
_CONTRACT: Final = "deployment.json"
_UNTHROTTLED: Final = {"ThrottlingRateLimit": 10_000.0, "ThrottlingBurstLimit": 5_000}
_REPOSITORY: Final = Path(__file__).resolve().parents[2]
_HEAD: Final = (
    "POST {path}/predict HTTP/1.1\r\n"
    "Host: 127.0.0.1\r\n"
    "Accept: application/json\r\n"
    "Content-Type: application/json\r\n"
    "User-Agent: serving-benchmark\r\n"
    "Authorization: Bearer {token}\r\n"
    "Content-Length: {length}\r\n\r\n"
)


@dataclass(frozen=True, slots=True)
class Staging:
    """A stage that serves: where its API is, its token, its endpoint and the model's columns."""

    path: str
    token: str
    endpoint: str
    columns: Sequence[Mapping[str, Any]]

    def request(self, row: str, token: str | None = None) -> bytes:
        """A POST of one row, a csv line, to `/predict` as it goes over the wire."""
        instance = {
            column["name"]: value if column["kind"] == "category" else json.loads(value)
            for column, value in zip(self.columns, row.split(","), strict=True)
        }
        body = json.dumps({"instances": [instance]}).encode()
        token = self.token if token is None else token
        head = _HEAD.format(path=self.path, token=token, length=len(body))
        return head.encode() + body


def read_scores(answer: bytes) -> list[tuple[float, int]]:
    """The scores and labels in an answer of the endpoint."""
    lines = (line.split(",") for line in answer.decode().splitlines())
    return [(float(score), int(label)) for score, label in lines]


def read_predictions(answer: bytes) -> list[tuple[float, int]]:
    """The same of an answer of the API."""
    return [(each["score"], each["predicted_label"]) for each in json.loads(answer)["predictions"]]


def find_request_id(answer: bytes) -> range:
    """Where an answer of the API has the request's id, which no other answer has."""
    text = json.loads(answer)["request_id"].encode()
    start = answer.index(text)
    return range(start, start + len(text))


def stage(cloud: TestCloud, made: Models, images: Mapping[str, str], folder: Path) -> Staging:
    """Register and deploy our archives on a cloud that has the benchmark's bucket.

    Raises:
        BenchmarkError: the command failed.
    """
    clients = Clients(cloud)
    version = _register(clients, made, images)
    output = folder / "stage.json"
    words = ["deploy", "--stage", _STAGE, "--package", version, "--output", str(output)]
    done = subprocess.run(
        [sys.executable, "-m", "deploy_endpoint", *words],
        cwd=_REPOSITORY,
        env=cloud.environment | {"PIPELINE_BUCKET": BUCKET, "MODEL_PACKAGE_GROUP": _PROJECT},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise BenchmarkError(f"the stage must be deployed: {done.stdout}{done.stderr}")
    found = json.loads(output.read_text())
    path = found["api_url"].removeprefix(cloud.address.data_url)
    clients.client("apigatewayv2").update_stage(
        ApiId=path.rpartition("/")[2],
        StageName="$default",
        DefaultRouteSettings=_UNTHROTTLED | {"DetailedMetricsEnabled": True},
    )
    secrets = clients.client("secretsmanager")
    token = secrets.get_secret_value(SecretId=found["token_secret_arn"])["SecretString"]
    columns = json.loads((made.evaluation / _CONTRACT).read_text())["columns"]
    return Staging(path, token, found["endpoint_name"], columns)


def _register(clients: Clients, made: Models, images: Mapping[str, str]) -> str:
    """Register the package as the pipeline does, and return its ARN."""
    folder = f"{_PROJECT}/benchmark"
    containers = []
    for name in NAMES:
        key = f"{folder}/{name}/model.tar.gz"
        clients.s3.upload_file(str(made.ours.archives[name]), BUCKET, key)
        uri = f"s3://{BUCKET}/{key}"
        containers.append({"Image": images[name], "ModelDataUrl": uri, "Environment": ENVIRONMENT})
    contract = f"{folder}/evaluation/{_CONTRACT}"
    clients.s3.upload_file(str(made.evaluation / _CONTRACT), BUCKET, contract)
    clients.sagemaker.create_model_package_group(ModelPackageGroupName=_PROJECT)
    answer = clients.sagemaker.create_model_package(
        ModelPackageGroupName=_PROJECT,
        ModelApprovalStatus="Approved",
        InferenceSpecification={
            "Containers": containers,
            "SupportedContentTypes": [CSV],
            "SupportedResponseMIMETypes": [CSV],
        },
        CustomerMetadataProperties={
            "ContractVersion": "1",
            "DeploymentUri": f"s3://{BUCKET}/{contract}",
        },
    )
    return str(answer["ModelPackageArn"])
