"""`build_pipeline.py serve`: an approved version behind an endpoint, and what it answers."""

import io
import json
import tarfile
from collections.abc import Iterator
from typing import Any

import pytest
from command_line import GROUP, Account, CommandLine
from runs import Finished

pytestmark = pytest.mark.integration

ENDPOINT = "predictive-maintenance-serve"
BROKEN = "def model_fn(folder):\n    raise RuntimeError('no model today')\n"


@pytest.fixture(autouse=True)
def nothing_left(command: CommandLine, account: Account) -> Iterator[None]:
    """After each test its endpoint is deleted, with all that `serve` made."""
    yield
    answer = command("serve", "--delete")
    assert answer.code == 0, answer.text
    client = account.client("sagemaker")
    assert client.list_endpoints()["Endpoints"] == []
    assert client.list_endpoint_configs()["EndpointConfigs"] == []
    assert client.list_models()["Models"] == []


def _version(account: Account, number: int) -> dict[str, Any]:
    found = account.registry().values()
    return next(each for each in found if each["ModelPackageVersion"] == number)


def _register(account: Account, like: dict[str, Any], handler: str) -> str:
    """A version whose last container has another handler; returns its number."""
    bucket, _, key = "/".join(
        like["InferenceSpecification"]["Containers"][1]["ModelDataUrl"].split("/")[2:]
    ).partition("/")
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        entry = tarfile.TarInfo("code/inference.py")
        entry.size = len(handler)
        tar.addfile(entry, io.BytesIO(handler.encode()))
    account.client("s3").put_object(Bucket=bucket, Key=f"{key}.other", Body=packed.getvalue())
    specification = json.loads(json.dumps(like["InferenceSpecification"]))
    for container in specification["Containers"]:
        for member in ("ImageDigest", "ModelDataETag"):
            container.pop(member, None)
    specification["Containers"][1]["ModelDataUrl"] = f"s3://{bucket}/{key}.other"
    answer = account.client("sagemaker").create_model_package(
        ModelPackageGroupName=GROUP,
        InferenceSpecification=specification,
        ModelApprovalStatus="Approved",
        CustomerMetadataProperties=like["CustomerMetadataProperties"],
    )
    return str(answer["ModelPackageArn"]).rpartition("/")[2]


def test_an_approved_version_answers_as_it_must(
    first: Finished, command: CommandLine, account: Account
) -> None:
    version = str(first.version)
    refused = command("serve", version)
    assert refused.code == 2
    assert f"Version {version} must be Approved to be served" in refused.err
    assert command("approve", version).code == 0
    answer = command("serve")
    assert answer.code == 0, answer.text
    assert f"serves version {version}" in answer.out
    assert "8 of 8" in answer.out
    described = account.client("sagemaker").describe_endpoint(EndpointName=ENDPOINT)
    assert described["EndpointStatus"] == "InService"
    reply = account.client("sagemaker-runtime").invoke_endpoint(
        EndpointName=ENDPOINT, ContentType="text/csv", Body=b"L,298.1,308.6,1551,42.8,0"
    )
    (prediction,) = json.loads(reply["Body"].read())["predictions"]
    assert set(prediction) == {"score", "predicted_label"}


def test_a_version_that_does_not_start_leaves_the_old_one_serving(
    first: Finished, command: CommandLine, account: Account
) -> None:
    command("approve", str(first.version))
    assert command("serve", str(first.version)).code == 0
    broken = _register(account, _version(account, first.version), BROKEN)
    answer = command("serve", broken)
    account.client("sagemaker").delete_model_package(
        ModelPackageName=_version(account, int(broken))["ModelPackageArn"]
    )
    assert answer.code == 4, answer.text
    assert "the update was rolled back" in answer.err
    assert "no model today" in answer.err
    assert "Traceback" not in answer.err
    described = account.client("sagemaker").describe_endpoint(EndpointName=ENDPOINT)
    assert described["EndpointConfigName"] == f"{ENDPOINT}-v{first.version}"
    assert command("serve", str(first.version)).code == 0


def test_an_endpoint_that_somebody_else_is_updating_is_updated_after_that(
    first: Finished, command: CommandLine, account: Account
) -> None:
    command("approve", str(first.version))
    assert command("serve", str(first.version)).code == 0
    client, mine, other = account.client("sagemaker"), f"{ENDPOINT}-v{first.version}", "elsewhere"
    variants = client.describe_endpoint_config(EndpointConfigName=mine)["ProductionVariants"]
    client.create_endpoint_config(EndpointConfigName=other, ProductionVariants=variants)
    slowly = {
        "TrafficRoutingConfiguration": {"Type": "ALL_AT_ONCE", "WaitIntervalInSeconds": 0},
        "TerminationWaitInSeconds": 2,
    }
    client.update_endpoint(
        EndpointName=ENDPOINT,
        EndpointConfigName=other,
        DeploymentConfig={"BlueGreenUpdatePolicy": slowly},
    )
    answer = command("serve", str(first.version))
    client.delete_endpoint_config(EndpointConfigName=other)
    assert answer.code == 0, answer.text
    found = client.describe_endpoint(EndpointName=ENDPOINT)
    assert (found["EndpointStatus"], found["EndpointConfigName"]) == ("InService", mine)


def test_a_version_that_answers_wrongly_is_told(
    first: Finished, command: CommandLine, account: Account
) -> None:
    wrong = """
def model_fn(folder):
    return None

def transform_fn(model, body, content_type, accept):
    one = '{"score": 0.25, "predicted_label": 0}'
    return '{"predictions": [%s]}' % ", ".join([one] * 8), "application/json"
"""
    version = _register(account, _version(account, first.version), wrong)
    answer = command("serve", version)
    account.client("sagemaker").delete_model_package(
        ModelPackageName=_version(account, int(version))["ModelPackageArn"]
    )
    assert answer.code == 4, answer.text
    assert "answers to the sample payload" in answer.err
