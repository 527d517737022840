"""Endpoints on a localcloud of the benchmark's own, asked with requests signed in form only."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from benchmarks.support.executions import BenchmarkError, Clients
from benchmarks.support.models import CSV

BUCKET: Final = "serving"
_ROLE: Final = "arn:aws:iam::000000000000:role/serving"
ENVIRONMENT: Final = {
    "SAGEMAKER_PROGRAM": "inference.py",
    "SAGEMAKER_SUBMIT_DIRECTORY": "/opt/ml/model/code",
}
_POLL_SECONDS: Final = 0.1
_LIMIT_SECONDS: Final = 120.0
# What boto3 sends, but for the signature: the data plane reads the region in it and nothing else.
_HEAD: Final = (
    "POST /endpoints/{name}/invocations HTTP/1.1\r\n"
    "Host: 127.0.0.1\r\n"
    "Accept: {accept}\r\n"
    "Content-Type: {content_type}\r\n"
    "User-Agent: serving-benchmark\r\n"
    "X-Amz-Date: 20260101T000000Z\r\n"
    "Authorization: AWS4-HMAC-SHA256 Credential=localcloud/20260101/{region}/sagemaker/"
    "aws4_request, SignedHeaders=content-type;host;x-amz-date, Signature={signature}\r\n"
    "Content-Length: {length}\r\n\r\n"
)


def request(name: str, region: str, content_type: str, body: bytes) -> bytes:
    """An InvokeEndpoint as it goes over the wire."""
    head = _HEAD.format(
        name=name, accept=CSV, content_type=content_type, region=region,
        signature=64 * "0", length=len(body),
    )  # fmt: skip
    return head.encode() + body


def deploy(clients: Clients, endpoints: Mapping[str, Sequence[tuple[str, Path]]]) -> None:
    """Create endpoints by name, each a chain of (image, archive); return when all are in service.

    Raises:
        BenchmarkError: one of them is not in time.
    """
    clients.s3.create_bucket(Bucket=BUCKET)
    sagemaker = clients.sagemaker
    for name, chain in endpoints.items():
        containers = []
        for number, (image, archive) in enumerate(chain):
            key = f"{name}/{number}/model.tar.gz"
            clients.s3.upload_file(str(archive), BUCKET, key)
            uri = f"s3://{BUCKET}/{key}"
            containers.append({"Image": image, "ModelDataUrl": uri, "Environment": ENVIRONMENT})
        sagemaker.create_model(ModelName=name, ExecutionRoleArn=_ROLE, Containers=containers)
        variant = {
            "VariantName": "AllTraffic",
            "ModelName": name,
            "InstanceType": "ml.m5.large",
            "InitialInstanceCount": 1,
        }
        sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[variant])
        sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)
    deadline = time.monotonic() + _LIMIT_SECONDS
    for name in endpoints:
        while (found := sagemaker.describe_endpoint(EndpointName=name)) and (
            found["EndpointStatus"] != "InService"
        ):
            if found["EndpointStatus"] == "Failed" or time.monotonic() > deadline:
                reason = found.get("FailureReason", "it takes too long")
                raise BenchmarkError(f"endpoint {name} is {found['EndpointStatus']}: {reason}")
            time.sleep(_POLL_SECONDS)
