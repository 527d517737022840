"""One stage for all tests: a trained model, its package's document, the token, the endpoint."""

import io
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import boto3
import pytest
import requests
import served_model
from moto.server import ThreadedMotoServer

from deploy_endpoint.api import app, authorizer, settings

REGION = "us-east-1"
ENDPOINT = "predictive-maintenance-test"
PACKAGE = f"arn:aws:sagemaker:{REGION}:123456789012:model-package/predictive-maintenance/7"
TOKEN = "a-token.of_32~characters-0123456"


@dataclass
class Stage:
    """What stands behind the API."""

    document: dict[str, Any]
    runtime: served_model.Runtime
    secret: str

    @property
    def payload(self) -> str:
        payload: str = self.document["sample"]["payloads"]["application/json"]
        return payload

    @property
    def rows(self) -> str:
        rows: str = self.document["sample"]["payloads"]["text/csv"]
        return rows

    def rotate(self, token: str) -> None:
        boto3.client("secretsmanager").put_secret_value(SecretId=self.secret, SecretString=token)


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], Any]:
    """A model's deployment.json, and the model."""
    return served_model.train(tmp_path_factory.mktemp("stage"))


@pytest.fixture(scope="module")
def account(trained: tuple[dict[str, Any], Any]) -> Iterator[Stage]:
    """A stage's resources, reached by the environment alone, as the functions reach them.

    moto's backends are the process's: other modules' tests use, and empty, the same ones.
    """
    document, model = trained
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    requests.post(f"http://{host}:{port}/moto-api/reset", timeout=10)
    with served_model.serve(model) as runtime, pytest.MonkeyPatch.context() as patch:
        for name in ("AWS_PROFILE", "AWS_DEFAULT_REGION", "AWS_SESSION_TOKEN"):
            patch.delenv(name, raising=False)
        for name, value in {
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_ENDPOINT_URL": f"http://{host}:{port}",
            "AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME": runtime.url,
            "ENDPOINT_NAME": ENDPOINT,
            "DEPLOYMENT_URI": "s3://models/evaluation/deployment.json",
            "MODEL_PACKAGE_ARN": PACKAGE,
            "POWERTOOLS_SERVICE_NAME": ENDPOINT,
        }.items():
            patch.setenv(name, value)
        s3 = boto3.client("s3")
        s3.create_bucket(Bucket="models")
        key = "evaluation/deployment.json"
        s3.put_object(Bucket="models", Key=key, Body=json.dumps(document).encode())
        _deploy()
        secrets = boto3.client("secretsmanager")
        secret = secrets.create_secret(Name="token", SecretString=TOKEN)["ARN"]
        patch.setenv("TOKEN_SECRET_ARN", secret)
        yield Stage(document, runtime, secret)
    server.stop()


@pytest.fixture
def stage(account: Stage, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    """The stage as new functions find it; the endpoint serves the model."""
    settings.client.cache_clear()
    monkeypatch.setattr(app, "stage", app.Stage())
    monkeypatch.setattr(authorizer, "token", authorizer.Token(authorizer._fetch))
    account.runtime.answer = account.runtime.model
    account.runtime.seen.clear()
    yield account
    settings.client.cache_clear()


@pytest.fixture
def written(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[[], str]:
    """What the functions write, as CloudWatch Logs would have it."""
    stream = io.StringIO()
    for logger in (app.logger, authorizer.logger):
        monkeypatch.setattr(logger.registered_handler, "stream", stream)
    return lambda: stream.getvalue() + capsys.readouterr().out


def _deploy() -> None:
    sagemaker = boto3.client("sagemaker")
    role = "arn:aws:iam::123456789012:role/execution"
    sagemaker.create_model(
        ModelName="model", Containers=[{"ModelPackageName": PACKAGE}], ExecutionRoleArn=role
    )
    variant = {
        "VariantName": "AllTraffic",
        "ModelName": "model",
        "InitialInstanceCount": 1,
        "InstanceType": "ml.m5.large",
    }
    sagemaker.create_endpoint_config(
        EndpointConfigName="configuration", ProductionVariants=[variant]
    )
    sagemaker.create_endpoint(EndpointName=ENDPOINT, EndpointConfigName="configuration")
