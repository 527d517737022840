"""Accounts to work in: moto's for what it does well, a scripted SageMaker for executions."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
import requests
from build_aws import ACCOUNT, BUCKET, HEADER, REGION, Result, Scripted
from moto.server import ThreadedMotoServer

import build_pipeline
from pipelines.build import definition, inputs
from pipelines.settings import Settings


@pytest.fixture(scope="session")
def moto_url() -> Iterator[str]:
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(scope="session")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A build folder for all tests: the definition is compiled once."""
    return tmp_path_factory.mktemp("build")


@pytest.fixture
def aws(
    moto_url: str, work: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[str]:
    """An empty account; the command line reaches it by its environment alone."""
    for name in ("AWS_PROFILE", "AWS_DEFAULT_REGION", "AWS_SESSION_TOKEN", "PIPELINE_BUCKET"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ENDPOINT_URL", moto_url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_REGION", REGION)
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setattr(definition, "WORK", work)
    monkeypatch.setattr(inputs, "WORK", work)
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "ai4i2020.csv").write_text(HEADER + "1,L1,L,298.1,308.6,1551,42.8,0,0,0,0,0,0,0\n")
    monkeypatch.setenv("AI4I_DATA", str(folder))
    yield moto_url
    requests.post(f"{moto_url}/moto-api/reset", timeout=10)


@pytest.fixture
def bucket(aws: str) -> Any:
    """The pipeline's bucket as an S3 client sees it; without the policy, as moto speaks no TLS."""
    client = boto3.client("s3", region_name=REGION)
    client.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
    return client


@pytest.fixture
def document(aws: str) -> dict[str, Any]:
    """The definition that these sources compile to for the account."""
    return definition.compiled(Settings.from_environment(os.environ, ACCOUNT))


@pytest.fixture
def sagemaker(
    bucket: Any, document: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Scripted]:
    """A scripted SageMaker with the pipeline deployed; S3 and STS are moto's."""
    scripted = Scripted()
    scripted.deploy(document)
    monkeypatch.setenv("AWS_ENDPOINT_URL_SAGEMAKER", scripted.url)
    yield scripted
    scripted.server.shutdown()


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Callable[..., Result]:
    """Run the command line in this process."""

    def run(*arguments: str) -> Result:
        capsys.readouterr()
        try:
            code = build_pipeline.main(arguments)
        except SystemExit as leaving:
            code = int(leaving.code or 0)
        out, err = capsys.readouterr()
        assert "Traceback" not in out + err
        return Result(code, out, err)

    return run
