"""What Lambda refuses: valid requests, each with one mistake in it, as bytes on the wire.

Codes and words are those of AWS's API reference and of answers that users have reported.
"""

from __future__ import annotations

import base64
import copy
import http.client
import io
import json
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from clients import client_of
from function_fixtures import ECHO, ROLE, Maker, zipped
from raw_calls import TIMEOUT, signed_for

from localcloud.addresses import HOST
from localcloud.testing import TestCloud

pytestmark = pytest.mark.integration
GONE = "(gone)"
"""Stands for a member that is taken away; text, because tests are named by it."""
CODE = base64.b64encode(zipped({"app.py": ECHO})).decode()
FUNCTIONS = "/2015-03-31/functions"
ARN = "arn:aws:lambda:us-east-1:000000000000:function:refuser"
INVALID, VALUE, NOT_FOUND, CONFLICT, TYPE, NOT_EMULATED = (
    "ValidationException",
    "InvalidParameterValueException",
    "ResourceNotFoundException",
    "ResourceConflictException",
    "SerializationException",
    "NotImplementedException",
)
CREATE = {
    "FunctionName": "new",
    "Runtime": "python3.12",
    "Handler": "app.handler",
    "Role": ROLE,
    "Code": {"ZipFile": CODE},
}
PERMIT = {
    "StatementId": "new",
    "Action": "lambda:InvokeFunction",
    "Principal": "apigateway.amazonaws.com",
}
TAGS = "/2017-03-31/tags/" + ARN.replace(":", "%3A")
BASE: dict[str, tuple[str, str, Any]] = {
    "Create": ("POST", FUNCTIONS, CREATE),
    "Code": ("PUT", f"{FUNCTIONS}/refuser/code", {"ZipFile": CODE}),
    "Configure": ("PUT", f"{FUNCTIONS}/refuser/configuration", {}),
    "Permit": ("POST", f"{FUNCTIONS}/refuser/policy", PERMIT),
    "Tag": ("POST", TAGS, {"Tags": {"a": "b"}}),
    "Reserve": (
        "PUT",
        "/2017-10-31/functions/refuser/concurrency",
        {"ReservedConcurrentExecutions": 1},
    ),
}


def unsafe(name: str) -> str:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(zipfile.ZipInfo(name), "")  # no time of day: it is part of a test's name
    return base64.b64encode(buffer.getvalue()).decode()


def bomb() -> str:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("large", bytes(251 * 1024 * 1024))
    return base64.b64encode(buffer.getvalue()).decode()


EMPTY = io.BytesIO()
zipfile.ZipFile(EMPTY, "w").close()

# Operation, member by its path, value, code, part of the message.
REFUSALS: list[tuple[str, str, Any, str, str]] = [
    ("Create", "FunctionName", "has space", INVALID, "functionName"),
    ("Create", "FunctionName", "x" * 65, INVALID, "length less than or equal to 64"),
    ("Create", "FunctionName", "x" * 141, INVALID, "length less than or equal to 140"),
    ("Create", "FunctionName", "refuser", CONFLICT, "Function already exist: refuser"),
    ("Create", "FunctionName", "new:prod", VALUE, "qualifier"),
    ("Create", "Role", "role", INVALID, "'role' failed to satisfy constraint"),
    ("Create", "Role", GONE, INVALID, "'role'"),
    ("Create", "Runtime", "python9", INVALID, "enum value set"),
    ("Create", "Runtime", "nodejs22.x", VALUE, "python3.12 only, not of nodejs22.x"),
    ("Create", "Runtime", GONE, VALUE, "Runtime and Handler are mandatory"),
    ("Create", "Handler", GONE, VALUE, "Runtime and Handler are mandatory"),
    ("Create", "Handler", "has space", INVALID, "handler"),
    ("Create", "Code", {}, VALUE, "Please provide a source for function code."),
    ("Create", "Code.ZipFile", "bm8=", VALUE, "Could not unzip uploaded file."),
    ("Create", "Code.ZipFile", "!", TYPE, "base64"),
    ("Create", "Code.ZipFile", unsafe("../x"), VALUE, "outside of its own folder: '../x'"),
    ("Create", "Code.ZipFile", unsafe("/etc/x"), VALUE, "outside of its own folder"),
    ("Create", "Code.ZipFile", base64.b64encode(EMPTY.getvalue()).decode(), VALUE, "non-empty"),
    ("Create", "Code.S3Bucket", "both-ways", VALUE, "when providing a ZipFile"),
    ("Create", "Code", {"S3Bucket": "nowhere", "S3Key": "k"}, VALUE, "NoSuchBucket"),
    ("Create", "Code", {"S3Bucket": "workshop", "S3Key": "no"}, VALUE, "S3 Error Code: NoSuchKey"),
    ("Create", "Code", {"ImageUri": "x"}, NOT_EMULATED, "ImageUri"),
    ("Create", "PackageType", "Image", NOT_EMULATED, "Image"),
    ("Create", "Timeout", 0, INVALID, "greater than or equal to 1"),
    ("Create", "Timeout", 901, INVALID, "'timeout' failed to satisfy constraint: Member must"),
    ("Create", "Timeout", 5000, INVALID, "value less than or equal to 900"),
    ("Create", "MemorySize", 127, INVALID, "128"),
    ("Create", "MemorySize", 10_241, INVALID, "less than or equal to 10240"),
    ("Create", "EphemeralStorage", {"Size": 511}, INVALID, "512"),
    ("Create", "EphemeralStorage", {"Size": 10_241}, INVALID, "'ephemeralStorage.size'"),
    ("Create", "Description", "x" * 257, INVALID, "256"),
    ("Create", "Environment", {"Variables": {"AWS_REGION": "x"}}, VALUE, "AWS_REGION"),
    ("Create", "Environment", {"Variables": {"_HANDLER": "x"}}, INVALID, "pattern"),
    ("Create", "Environment", {"Variables": {"1A": "x"}}, INVALID, "pattern"),
    ("Create", "Environment", {"Variables": {"LONG": "x" * 4096}}, VALUE, "4KB limit"),
    ("Create", "Architectures", ["x86_64", "arm64"], INVALID, "architectures"),
    ("Create", "Architectures", ["mips"], INVALID, "enum value set"),
    ("Create", "TracingConfig", {"Mode": "On"}, INVALID, "enum value set"),
    ("Create", "LoggingConfig", {"LogFormat": "XML"}, INVALID, "enum value set"),
    ("Create", "LoggingConfig", {"LogGroup": "a b"}, INVALID, "logGroup"),
    ("Create", "LoggingConfig", {"ApplicationLogLevel": "INFO"}, VALUE, "LogFormat to JSON"),
    ("Create", "Layers", ["arn:aws:lambda:us-east-1:000000000000:layer:l:1"], NOT_EMULATED,
     "layers"),
    ("Create", "Publish", True, NOT_EMULATED, "versions"),
    ("Create", "VpcConfig", {"SubnetIds": ["subnet-1"]}, NOT_EMULATED, "VpcConfig"),
    ("Create", "DeadLetterConfig", {"TargetArn": "arn:aws:sqs:us-east-1:000000000000:q"},
     NOT_EMULATED, "DeadLetterConfig"),
    ("Create", "SnapStart", {"ApplyOn": "PublishedVersions"}, NOT_EMULATED, "SnapStart"),
    ("Create", "KMSKeyArn", "arn:aws:kms:us-east-1:000000000000:key/k", NOT_EMULATED, "KMSKeyArn"),
    ("Create", "Tags", {f"k{n}": "" for n in range(51)}, VALUE, "50"),
    ("Create", "Tags", {"aws:x": ""}, VALUE, "aws: prefixed"),
    ("Code", "ZipFile", GONE, VALUE, "Please provide a source for function code."),
    ("Code", "RevisionId", "other", "PreconditionFailedException", "Revision Id"),
    ("Code", "Publish", True, NOT_EMULATED, "versions"),
    ("Configure", "Timeout", 901, INVALID, "900"),
    ("Configure", "Runtime", "python3.13", VALUE, "not of python3.13"),
    ("Configure", "RevisionId", "other", "PreconditionFailedException", "Revision Id"),
    ("Configure", "Environment", {"Variables": {"AWS_SESSION_TOKEN": "x"}}, VALUE, "reserved keys"),
    ("Permit", "StatementId", "there", CONFLICT, "The statement id (there) provided already"),
    ("Permit", "StatementId", "a b", INVALID, "statementId"),
    ("Permit", "Action", "s3:GetObject", INVALID, "action"),
    ("Permit", "Principal", "nobody", VALUE, "The provided principal was invalid."),
    ("Permit", "SourceArn", "here", INVALID, "sourceArn"),
    ("Permit", "SourceAccount", "1", INVALID, "sourceAccount"),
    ("Permit", "RevisionId", "other", "PreconditionFailedException", "Revision Id"),
    ("Permit", "FunctionUrlAuthType", "NONE", NOT_EMULATED, "FunctionUrlAuthType"),
    ("Tag", "Tags", {f"k{n}": "" for n in range(51)}, VALUE, "50"),
    ("Tag", "Tags", GONE, INVALID, "tags"),
    ("Reserve", "ReservedConcurrentExecutions", -1, INVALID, "0"),
    ("Reserve", "ReservedConcurrentExecutions", 901, VALUE, "minimum value of [100]"),
]  # fmt: skip

NOBODY = "refuser", "nobody"
# Method, path, code, part of the message.
PATHS: list[tuple[str, str, str, str]] = [
    ("GET", f"{FUNCTIONS}/nobody", NOT_FOUND, f"Function not found: {ARN.replace(*NOBODY)}"),
    ("GET", f"{FUNCTIONS}/refuser?Qualifier=prod", NOT_FOUND, f"{ARN}:prod"),
    ("GET", f"{FUNCTIONS}/refuser:1/configuration", NOT_FOUND, f"{ARN}:1"),
    ("GET", f"{FUNCTIONS}/refuser:1?Qualifier=2", VALUE, "does not match"),
    ("GET", f"{FUNCTIONS}/arn:aws:lambda:eu-west-1:000000000000:function:refuser", NOT_FOUND,
     "eu-west-1"),
    ("GET", f"{FUNCTIONS}/111111111111:function:refuser", NOT_FOUND, "111111111111"),
    ("DELETE", f"{FUNCTIONS}/nobody", NOT_FOUND, "nobody"),
    ("DELETE", f"{FUNCTIONS}/refuser?Qualifier=$LATEST", VALUE, "$LATEST version cannot be"),
    ("DELETE", f"{FUNCTIONS}/refuser/policy/none", NOT_FOUND, "Statement none is not found"),
    ("GET", f"{FUNCTIONS}?MaxItems=0", INVALID, "maxItems"),
    ("GET", f"{FUNCTIONS}?Marker=x", VALUE, "Marker"),
    ("GET", f"{FUNCTIONS}/refuser/versions", NOT_EMULATED, "lambda:ListVersionsByFunction"),
    ("POST", f"{FUNCTIONS}/refuser/versions", NOT_EMULATED, "lambda:PublishVersion"),
    ("POST", f"{FUNCTIONS}/refuser/aliases", NOT_EMULATED, "lambda:CreateAlias"),
    ("GET", "/2018-10-31/layers", NOT_EMULATED, "lambda:ListLayers"),
    ("POST", f"{FUNCTIONS}/nobody/invocations", NOT_FOUND, "nobody"),
]  # fmt: skip

# Headers, body, code, part of the message.
INVOCATIONS: list[tuple[dict[str, str], bytes, str, str]] = [
    ({}, b"no json", "InvalidRequestContentException", "Could not parse request body into json"),
    ({}, b"[" * 100_000, "InvalidRequestContentException", "Could not parse"),
    ({"X-Amz-Invocation-Type": "Later"}, b"{}", INVALID, "invocationType"),
    ({"X-Amz-Log-Type": "Head"}, b"{}", INVALID, "logType"),
    ({"X-Amz-Client-Context": "!"}, b"{}", "InvalidRequestContentException", "Base64"),
    ({"X-Amz-Client-Context": "W10="}, b"{}", "InvalidRequestContentException", "JSON object"),
    ({"X-Amz-Tenant-Id": "me"}, b"{}", NOT_EMULATED, "TenantId"),
]


@dataclass(frozen=True)
class Answer:
    status: int
    document: dict[str, Any]
    code: str


def call(
    cloud: TestCloud, method: str, path: str, body: bytes, headers: dict[str, str] | None = None
) -> Answer:
    connection = http.client.HTTPConnection(HOST, cloud.address.port, timeout=TIMEOUT)
    try:
        signed = {"Authorization": signed_for("lambda"), **(headers or {})}
        connection.request(method, path, body, signed)
        answer = connection.getresponse()
        text = answer.read()
        return Answer(
            answer.status, json.loads(text or b"{}"), answer.headers.get("x-amzn-ErrorType", "")
        )
    finally:
        connection.close()


@pytest.fixture(scope="module")
def there(cloud: TestCloud, workshop: str) -> Iterator[TestCloud]:
    maker = Maker(client_of(cloud, "lambda"))
    maker.make("refuser", ECHO)
    maker.client.add_permission(
        FunctionName="refuser", StatementId="there", Action="lambda:InvokeFunction",
        Principal="apigateway.amazonaws.com",
    )  # fmt: skip
    yield cloud
    names = [each["FunctionName"] for each in maker.client.list_functions()["Functions"]]
    assert "new" not in names, "a refused function was made"


def changed(base: Any, path: str, value: Any) -> Any:
    document = copy.deepcopy(base)
    *folders, last = path.split(".")
    place = document
    for folder in folders:
        place = place[folder]
    if value == GONE:
        del place[last]
    else:
        place[last] = value
    return document


@pytest.mark.parametrize(
    ("operation", "member", "value", "code", "said"),
    REFUSALS,
    ids=[f"{case[0]}-{case[1]}-{str(case[2])[:30]}" for case in REFUSALS],
)
def test_a_request_with_one_mistake_is_refused(
    there: TestCloud, operation: str, member: str, value: Any, code: str, said: str
) -> None:
    method, path, base = BASE[operation]
    answer = call(there, method, path, json.dumps(changed(base, member, value)).encode())
    assert answer.code == code
    assert said in answer.document["message"]
    wanted = {NOT_EMULATED: 501, CONFLICT: 409, NOT_FOUND: 404, "PreconditionFailedException": 412}
    assert answer.status == wanted.get(code, 400)


@pytest.mark.parametrize(("method", "path", "code", "said"), PATHS)
def test_what_is_not_there_or_not_emulated_is_named(
    there: TestCloud, method: str, path: str, code: str, said: str
) -> None:
    body = b"" if method in ("GET", "DELETE") else b"{}"
    answer = call(there, method, path, body)
    assert (answer.code, said in answer.document["message"]) == (code, True), answer


@pytest.mark.parametrize(("headers", "body", "code", "said"), INVOCATIONS)
def test_an_event_with_a_mistake_is_refused(
    there: TestCloud, headers: dict[str, str], body: bytes, code: str, said: str
) -> None:
    answer = call(there, "POST", f"{FUNCTIONS}/refuser/invocations", body, headers)
    assert (answer.code, said in answer.document["message"]) == (code, True), answer


def test_an_archive_that_is_too_large_unpacked_is_refused(there: TestCloud) -> None:
    request = changed(CREATE, "Code.ZipFile", bomb())
    answer = call(there, "POST", FUNCTIONS, json.dumps(request).encode())
    assert answer.code == VALUE
    assert "Unzipped size must be smaller than 262144000 bytes" in answer.document["message"]


def test_an_archive_that_is_too_large_for_a_request_is_refused(there: TestCloud) -> None:
    archive = base64.b64encode(bytes(50 * 1024 * 1024 + 1)).decode()
    request = changed(CREATE, "Code.ZipFile", archive)
    answer = call(there, "POST", FUNCTIONS, json.dumps(request).encode())
    assert answer.status == 413
    assert answer.code.startswith("RequestEntityTooLarge")


def test_a_policy_that_grows_too_long_is_refused(there: TestCloud) -> None:
    codes = []
    for n in range(3):
        request = PERMIT | {"StatementId": f"long{n}", "SourceArn": f"arn:aws:s3:::{'x' * 9000}"}
        path = f"{FUNCTIONS}/refuser/policy"
        codes.append(call(there, "POST", path, json.dumps(request).encode()).code)
    assert codes == ["", "", "PolicyLengthExceededException"]


def test_a_function_that_is_being_changed_cannot_be_changed(there: TestCloud) -> None:
    maker = Maker(client_of(there, "lambda"))
    maker.make("busy", ECHO)
    maker.client.update_function_configuration(FunctionName="busy", Timeout=4)
    with pytest.raises(maker.client.exceptions.ResourceConflictException, match="in progress"):
        maker.client.update_function_configuration(FunctionName="busy", Timeout=5)
    maker.wait("busy")


def test_a_new_function_takes_no_event_before_it_is_active(there: TestCloud) -> None:
    client = client_of(there, "lambda")
    client.create_function(**CREATE | {
        "FunctionName": "early", "Code": {"ZipFile": base64.b64decode(CODE)}
    })  # fmt: skip
    with pytest.raises(client.exceptions.ResourceConflictException, match="Pending"):
        client.invoke(FunctionName="early")
    Maker(client).wait("early")
    assert client.invoke(FunctionName="early")["StatusCode"] == 200
