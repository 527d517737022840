"""The front door: who is answered, how, and what is refused."""

from __future__ import annotations

import gzip
import json
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError
from raw_calls import TIMEOUT, call, send, signed_for

from localcloud.addresses import HOST
from localcloud.testing import TestCloud

Client = Callable[[str], Any]
pytestmark = pytest.mark.integration
SIGNED = (
    "AWS4-HMAC-SHA256 Credential=localcloud/20260101/us-east-1/sagemaker/aws4_request, "
    "SignedHeaders=host, Signature=0"
)


def post(cloud: TestCloud, target: str, body: bytes, **headers: str) -> tuple[int, dict[str, Any]]:
    request = urllib.request.Request(
        cloud.address.url,
        data=body,
        headers={
            "X-Amz-Target": target,
            "Authorization": SIGNED,
            "Content-Type": "application/x-amz-json-1.1",
            **headers,
        },
    )
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def test_an_operation_that_is_not_emulated_answers_501_and_names_itself(client: Client) -> None:
    with pytest.raises(ClientError) as refused:
        client("sagemaker").list_domains()
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 501
    assert "sagemaker:ListDomains" in str(refused.value)


def test_a_service_that_is_not_emulated_answers_501_and_names_itself(client: Client) -> None:
    with pytest.raises(ClientError) as refused:
        client("dynamodb").list_tables()
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 501
    assert "dynamodb" in str(refused.value)


def test_an_operation_that_aws_does_not_have_is_unknown(cloud: TestCloud) -> None:
    status, answer = post(cloud, "SageMaker.MakeCoffee", b"{}")
    assert (status, answer["__type"]) == (404, "UnknownOperationException")


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"{", "SerializationException"),
        (b"[]", "SerializationException"),
        (b'{"PipelineName": 5}', "SerializationException"),
        (b"{}", "ValidationException"),
        (b'{"PipelineName": ""}', "ValidationException"),
        (b'{"PipelineName": "my_pipeline!"}', "ValidationException"),
        (json.dumps({"PipelineName": "x" * 5000}).encode(), "ValidationException"),
    ],
)
def test_a_malformed_request_is_refused_with_aws_code(
    cloud: TestCloud, body: bytes, code: str
) -> None:
    status, answer = post(cloud, "SageMaker.DescribePipeline", body)
    assert (status, answer["__type"]) == (400, code)
    assert len(answer["message"]) < 1000


@pytest.mark.parametrize(
    "headers",
    [{"Host": "evil.example"}, {"Origin": "https://evil.example"}, {"Origin": "null"}],
)
def test_pages_and_names_from_elsewhere_get_nothing(
    cloud: TestCloud, headers: dict[str, str]
) -> None:
    status, answer = post(cloud, "SageMaker.ListPipelines", b"{}", **headers)
    assert (status, answer["__type"]) == (403, "AccessDeniedException")
    assert post(cloud, "SageMaker.ListPipelines", b"{}", Host="localhost")[0] == 200


def test_what_moto_does_is_there_and_belongs_to_the_same_account(client: Client) -> None:
    assert client("sts").get_caller_identity()["Account"] == "000000000000"
    client("iam").create_role(RoleName="made", AssumeRolePolicyDocument="{}")
    assert client("iam").get_role(RoleName="made")["Role"]["Arn"] == (
        "arn:aws:iam::000000000000:role/made"
    )


def test_regions_do_not_see_each_other(cloud: TestCloud, client: Client) -> None:
    client("sagemaker").create_model_package_group(ModelPackageGroupName="only-here")
    other = SIGNED.replace("us-east-1", "eu-west-1")
    status, answer = post(cloud, "SageMaker.ListModelPackageGroups", b"{}", Authorization=other)
    assert (status, answer) == (200, {"ModelPackageGroupSummaryList": []})


@pytest.mark.parametrize(
    ("service", "operation", "words"),
    [
        ("iam", "get_context_keys_for_custom_policy", {"PolicyInputList": ["{}"]}),
        ("kms", "connect_custom_key_store", {"CustomKeyStoreId": "x"}),
        ("sns", "list_origination_numbers", {}),
        ("ssm", "list_nodes", {}),
        ("sqs", "list_message_move_tasks", {"SourceArn": "arn:aws:sqs:us-east-1:000000000000:x"}),
        ("secretsmanager", "validate_resource_policy", {"ResourcePolicy": "{}"}),
        ("sts", "decode_authorization_message", {"EncodedMessage": "x"}),
        ("ec2", "describe_instances", {}),
        ("lambda", "list_layers", {}),
        ("cloudformation", "list_stack_sets", {}),
        ("cloudwatch", "list_metric_streams", {}),
        ("service-quotas", "list_services", {}),
        ("logs", "describe_destinations", {}),
        (
            "sagemaker-runtime",
            "invoke_endpoint_async",
            {"EndpointName": "x", "InputLocation": "s3://b/k"},
        ),
        ("s3", "get_bucket_inventory_configuration", {"Bucket": "workshop", "Id": "1"}),
        ("events", "list_rules", {}),
        ("apigatewayv2", "get_vpc_links", {}),
        ("route53", "list_hosted_zones", {}),
    ],
)
def test_in_every_protocol_501_names_the_operation_so_that_boto3_can_read_it(
    client: Client, service: str, operation: str, words: dict[str, Any]
) -> None:
    """JSON, REST with JSON or XML, query, EC2's own and CBOR; ours, moto's and nobody's."""
    with pytest.raises(ClientError) as refused:
        getattr(client(service), operation)(**words)
    response = refused.value.response
    assert response["ResponseMetadata"]["HTTPStatusCode"] == 501
    assert refused.value.operation_name in response["Error"]["Message"]


@pytest.mark.parametrize(
    "body",
    [b"[" * 10_000, b'{"a":' * 10_000, b'{"NextToken": ' + b"[" * 100_000, b"\xff\xfe{", b"\x00"],
)
def test_json_that_no_client_writes_is_refused(cloud: TestCloud, body: bytes) -> None:
    answer = call(cloud.address, "ListPipelines", body)
    assert (answer.status, answer.code) == (400, "SerializationException")


def test_a_body_of_100_mb_is_refused_and_the_connection_lives(cloud: TestCloud) -> None:
    answer = call(cloud.address, "ListPipelines", b" " * 100_000_000)
    assert (answer.status, answer.code) == (413, "RequestEntityTooLargeException")
    assert call(cloud.address, "ListPipelines", {}).status == 200


def test_a_request_without_a_target_or_a_signature_is_refused(cloud: TestCloud) -> None:
    answer = call(cloud.address, "ListPipelines", {}, **{"X-Amz-Target": ""})
    assert (answer.status, answer.code) == (404, "UnknownOperationException")
    answer = call(cloud.address, "ListPipelines", {}, Authorization="")
    assert (answer.status, answer.code) == (403, "MissingAuthenticationToken")
    answer = call(cloud.address, "ListPipelines", {}, Authorization="Basic abc")
    assert (answer.status, answer.code) == (403, "MissingAuthenticationToken")


def head(length: str, service: str = "sagemaker", **more: str) -> bytes:
    lines = [
        "POST / HTTP/1.1",
        "Host: localhost",
        f"Authorization: {signed_for(service)}",
        "X-Amz-Target: SageMaker.ListPipelines",
        "Connection: close",
        *([f"Content-Length: {length}"] if length else []),
        *(f"{name}: {value}" for name, value in more.items()),
    ]
    return "\r\n".join([*lines, "", ""]).encode()


@pytest.mark.parametrize(
    "data",
    [
        head("abc") + b"{}",
        head("-5") + b"{}",
        head("1e3") + b"{}",
        head("10") + b"{}",
        head("", **{"Transfer-Encoding": "chunked"}) + b"zz\r\n{}\r\n0\r\n\r\n",
        head("", **{"Transfer-Encoding": "chunked"}) + b"5\r\n{}",
        b"GARBAGE\r\n\r\n",
        b"POST / HTTP/9.9\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost localhost\r\n\r\n",
    ],
)
def test_a_request_that_is_not_well_formed_is_a_clients_error(
    cloud: TestCloud, data: bytes
) -> None:
    answer = send(cloud.address, data, half_close=True)
    # A client that goes away in the middle of a chunk is told nothing.
    assert answer == b"" or answer.split(b" ")[1][:1] in (b"4", b"5"), answer[:200]
    assert b" 500 " not in answer.split(b"\r\n")[0], answer[:500]
    assert call(cloud.address, "ListPipelines", {}).status == 200


def test_a_body_in_chunks_is_read(cloud: TestCloud) -> None:
    chunked = head("", **{"Transfer-Encoding": "chunked"})
    chunks = b'10\r\n{"MaxResults": 0\r\n1\r\n}\r\n0\r\n\r\n'
    answer = send(cloud.address, chunked + chunks)
    assert b"ValidationException" in answer
    assert b"greater than or equal to 1" in answer


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (gzip.compress(b'{"MaxResults": 0}'), "ValidationException"),
        (gzip.compress(b"{}")[:-4], "SerializationException"),
        (b"{}", "SerializationException"),
        (gzip.compress(b" " * 100_000_000), "RequestEntityTooLargeException"),
    ],
    ids=["whole", "cut off", "not compressed", "a bomb"],
)
def test_a_compressed_body_is_unpacked_or_refused(cloud: TestCloud, body: bytes, code: str) -> None:
    answer = call(cloud.address, "ListPipelines", body, **{"Content-Encoding": "gzip"})
    assert answer.code == code


@pytest.mark.slow  # it waits for the server's own time-out
def test_slow_clients_hold_nobody_up_for_ever(cloud: TestCloud) -> None:
    """As many as the server has threads stop in the middle of a request."""
    begun = [head("100")[:60], head("100") + b"{"]
    slow = [socket.create_connection((HOST, cloud.address.port)) for _ in range(32)]
    try:
        for number, connection in enumerate(slow):
            connection.sendall(begun[number % 2])
        started = time.monotonic()
        assert call(cloud.address, "ListPipelines", {}).status == 200
        assert time.monotonic() - started < TIMEOUT / 2
        for connection in slow:
            connection.settimeout(TIMEOUT)
            said = connection.recv(65536)
            assert said == b"" or b" 408 " in said.split(b"\r\n")[0], said[:200]
    finally:
        for connection in slow:
            connection.close()
