"""The protocols: what botocore writes is read, and what is written botocore reads."""

from __future__ import annotations

import base64
import io
import math
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

import pytest
from botocore.awsrequest import HeadersDict, prepare_request_dict
from botocore.model import ListShape, MapShape, OperationModel, Shape, StructureShape
from botocore.parsers import create_parser
from botocore.serialize import create_serializer
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from localcloud.errors import SerializationException, ServiceError, ValidationException
from localcloud.protocol import Caller, Document, Service, service_model
from localcloud.wire import cbor, json_rpc, query, rest_json
from localcloud.wire.asked import asked
from localcloud.wire.message import Reply, Request
from localcloud.wire.protocols import PROTOCOLS, refusal

REQUEST = Request("POST", "/", "", {"content-type": json_rpc.JSON_1_0}, b"")
# By which protocol, whose call, and what is in it.
CALLS = [
    ("json", "events", "PutEvents"),  # times
    ("json", "kms", "Encrypt"),  # blobs, maps, lists
    ("json", "sagemaker", "CreateTrainingJob"),  # maps of text, deep structures
    ("json", "sagemaker", "DescribeTrainingJob"),
    ("json", "sagemaker", "CreateAutoMLJobV2"),  # unions
    ("json", "application-autoscaling", "PutScalingPolicy"),  # numbers
    ("json", "cloudwatch", "GetMetricData"),
    ("smithy-rpc-v2-cbor", "cloudwatch", "PutMetricData"),
    ("smithy-rpc-v2-cbor", "cloudwatch", "GetMetricData"),
    ("smithy-rpc-v2-cbor", "cloudwatch", "DescribeAlarms"),
    ("smithy-rpc-v2-cbor", "codebuild", "BatchGetBuilds"),
    ("smithy-rpc-v2-cbor", "codebuild", "CreateProject"),
    ("smithy-rpc-v2-cbor", "codepipeline", "GetPipelineState"),
    ("smithy-rpc-v2-cbor", "kms", "Encrypt"),
    ("smithy-rpc-v2-cbor", "sagemaker", "CreateAutoMLJobV2"),
    ("query", "cloudwatch", "PutMetricData"),
    ("query", "cloudwatch", "GetMetricStatistics"),
    ("query", "cloudformation", "CreateStack"),
    ("query", "cloudformation", "DescribeStacks"),
    ("query", "sns", "Publish"),  # maps with blobs
    ("query", "sns", "GetTopicAttributes"),
    ("query", "rds", "DescribeDBInstances"),  # lists with names of their own
    ("query", "elb", "DescribeLoadBalancers"),
    ("rest-json", "lambda", "CreateFunction"),
    ("rest-json", "lambda", "Invoke"),  # a blob is the body; headers; a query string
    ("rest-json", "lambda", "ListTags"),  # an ARN in the path
    ("rest-json", "lambda", "DeleteFunction"),  # no answer
    ("rest-json", "apigatewayv2", "CreateApi"),
    ("rest-json", "apigatewayv2", "GetApi"),
    ("rest-json", "apigatewayv2", "TagResource"),
    ("rest-json", "apigatewayv2", "UntagResource"),  # a list in the query string
    ("rest-json", "scheduler", "CreateSchedule"),
    ("rest-json", "scheduler", "GetSchedule"),
    ("rest-json", "sagemaker-runtime", "InvokeEndpoint"),
    ("rest-json", "lambda", "ListFunctions"),  # numbers in the query string
    ("rest-json", "apigatewayv2", "ExportApi"),  # truths in the query string
    ("rest-json", "batch", "DescribeJobs"),
]
SETTINGS = settings(
    max_examples=25, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True
)
TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=20)
"""XML 1.0 has no control characters, and no protocol has halves of them."""
WORD = st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=1, max_size=12)
LABEL = WORD | st.just("arn:aws:lambda:us-east-1:000000000000:function:a/b c+d")


def operation(service: str, name: str) -> OperationModel:
    return service_model(service).operation_model(name)


def documents(shape: Shape, depth: int = 0) -> st.SearchStrategy[Any]:
    """Documents of a shape's types, whatever its other rules are."""
    if isinstance(shape, StructureShape):
        return structures(shape, depth)
    if isinstance(shape, ListShape):
        return st.lists(documents(shape.member, depth + 1), max_size=2)
    if isinstance(shape, MapShape):
        return st.dictionaries(WORD, documents(shape.value, depth + 1), max_size=2)
    real = st.floats(width=32, allow_nan=False, allow_infinity=False)
    plain = {
        "integer": st.integers(-(2**31), 2**31 - 1),
        "long": st.integers(-(2**63), 2**63 - 1),
        "float": real,
        "double": real,
        "boolean": st.booleans(),
        "timestamp": st.integers(0, 2**32).map(lambda number: number / 4),
        "blob": st.binary(max_size=30).map(lambda data: base64.b64encode(data).decode()),
    }
    if shape.type_name == "timestamp" and "location" in shape.serialization:
        return st.integers(0, 2**31).map(float)  # RFC 822 has whole seconds
    location = shape.serialization.get("location")
    if location == "statusCode":
        return st.integers(200, 299)
    text = {None: TEXT, "querystring": TEXT, "uri": LABEL}.get(location, WORD)
    return plain.get(shape.type_name, text)


def structures(shape: StructureShape, depth: int) -> st.SearchStrategy[Any]:
    members = {
        name: st.deferred(lambda member=member: documents(member, depth + 1))
        for name, member in shape.members.items()
        if not member.serialization.get("eventstream")
    }
    if shape.is_tagged_union:
        return st.sampled_from(sorted(members)).flatmap(
            lambda name: st.fixed_dictionaries({name: members[name]})
        )
    wanted = {name for name in shape.members if name in shape.required_members}
    if depth > 3:  # some shapes hold themselves
        members = {name: members[name] for name in wanted & set(members)}
    return st.fixed_dictionaries(
        {name: each for name, each in members.items() if name in wanted},
        optional={name: each for name, each in members.items() if name not in wanted},
    )


def converted(shape: Shape, value: Any, leaf: Any) -> Any:
    if isinstance(shape, StructureShape):
        return {name: converted(shape.members[name], each, leaf) for name, each in value.items()}
    if isinstance(shape, ListShape):
        return [converted(shape.member, each, leaf) for each in value]
    if isinstance(shape, MapShape):
        return {name: converted(shape.value, each, leaf) for name, each in value.items()}
    return leaf(shape, value)


def parameters(shape: Shape, document: Document) -> Any:
    """A document as a user of boto3 gives it."""

    def leaf(each: Shape, value: Any) -> Any:
        if each.type_name == "timestamp":
            return datetime.fromtimestamp(value, UTC)
        return base64.b64decode(value) if each.type_name == "blob" else value

    return converted(shape, document, leaf)


def document_of(shape: Shape, parsed: Any) -> Any:
    """What a user of boto3 gets, as a document."""

    def leaf(each: Shape, value: Any) -> Any:
        if each.type_name == "timestamp":
            return value.timestamp()
        if hasattr(value, "read"):
            value = value.read()
        return base64.b64encode(value).decode() if each.type_name == "blob" else value

    parsed.pop("ResponseMetadata", None)
    return converted(shape, parsed, leaf)


def sent(protocol: str, model: OperationModel, document: Document) -> Request:
    """A request as botocore puts it on the wire."""
    serializer = create_serializer(protocol, include_validation=False)
    raw = serializer.serialize_to_request(parameters(model.input_shape, document), model)
    prepare_request_dict(raw, "http://127.0.0.1:4566", {})
    body = raw["body"]
    if isinstance(body, dict):
        body = urlencode(body, doseq=True)
    headers = {name.lower(): str(value) for name, value in raw["headers"].items()}
    _, _, rest = raw["url"].partition("//127.0.0.1:4566")
    path, _, search = rest.partition("?")
    return Request(
        raw["method"],
        path,
        search,
        headers,
        body.encode() if isinstance(body, str) else bytes(body),
    )


def received(protocol: str, model: OperationModel, reply: Reply) -> Any:
    """What botocore reads of an answer."""
    headers = HeadersDict({"Content-Type": reply.content_type, **reply.headers})
    body = io.BytesIO(reply.body) if model.has_streaming_output else reply.body
    response = {"body": body, "headers": headers, "status_code": reply.status}
    return create_parser(protocol).parse(response, model.output_shape)


def shown(shape: Shape, document: Any, protocol: str) -> Any:
    """A document without what a protocol cannot say: empty things, in forms, headers and XML."""
    if isinstance(shape, StructureShape):
        found = {}
        for name, value in document.items():
            member = shape.members[name]
            place = member.serialization.get("location")
            payload = shape.serialization.get("payload") == name
            kept = shown(member, value, protocol)
            empty = kept in ({}, []) or (payload and kept == "")
            if not (empty and (protocol == "query" or place or payload)):
                found[name] = kept
        return found
    if isinstance(shape, ListShape):
        items = [shown(shape.member, item, protocol) for item in document]
        return [item for item in items if not (protocol == "query" and item in ({}, []))]
    if isinstance(shape, MapShape):
        items = {key: shown(shape.value, item, protocol) for key, item in document.items()}
        return {k: item for k, item in items.items() if not (protocol == "query" and item == {})}
    return document


@pytest.mark.parametrize(("protocol", "service", "name"), CALLS)
@SETTINGS
@given(data=st.data())
def test_what_botocore_writes_is_read(
    protocol: str, service: str, name: str, data: st.DataObject
) -> None:
    model = operation(service, name)
    document = data.draw(documents(model.input_shape))
    request = sent(protocol, model, document)
    read = PROTOCOLS[protocol].read
    assert read is not None
    expected, found = document, read(model, request)
    assert shown(model.input_shape, found, protocol) == shown(model.input_shape, expected, protocol)
    signing = model.service_model.metadata.get(
        "signingName", model.service_model.metadata["endpointPrefix"]
    )
    meant = asked(signing, request)
    assert (meant.operation, meant.protocol) == (name, protocol)


@pytest.mark.parametrize(("protocol", "service", "name"), CALLS)
@SETTINGS
@given(data=st.data())
def test_what_is_written_botocore_reads(
    protocol: str, service: str, name: str, data: st.DataObject
) -> None:
    model = operation(service, name)
    shape = model.output_shape
    document = data.draw(documents(shape)) if shape else {}
    write = PROTOCOLS[protocol].write
    assert write is not None
    reply = write(model, document, REQUEST, "id")
    parsed = received(protocol, model, reply)
    if shape:
        found = document_of(shape, parsed)
        for member, each in shape.members.items():
            if each.serialization.get("location") == "statusCode":
                document.setdefault(member, reply.status)
            if each.serialization.get("name") == "Content-Type":
                document.setdefault(member, reply.content_type)
        assert shown(shape, found, protocol) == shown(shape, document, protocol)


@pytest.mark.parametrize("protocol", ["json", "smithy-rpc-v2-cbor", "query", "rest-json", "ec2"])
@given(words=st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1))
@example(words='<&"> größe')
def test_an_error_reaches_the_client_with_its_words(protocol: str, words: str) -> None:
    reply = refusal(ValidationException(words), protocol, REQUEST, "id")
    model = operation("sagemaker", "ListTags")
    error = received(protocol, model, reply)["Error"]
    assert (error["Code"], error["Message"]) == ("ValidationException", words)
    assert reply.status == 400


@pytest.mark.parametrize("protocol", ["json", "smithy-rpc-v2-cbor"])
def test_a_service_that_spoke_query_once_keeps_its_old_codes(protocol: str) -> None:
    """Botocore shows the old code and raises the class of the new one."""

    class Gone(ServiceError):  # noqa: N818
        code, status = "ResourceNotFound", 404

    class Odd(ServiceError):  # noqa: N818
        code, status = "InvalidParameterValue", 400

    model = operation("cloudwatch", "GetMetricStatistics")
    asking = Request("POST", "/", "", {"x-amzn-query-mode": "true"}, b"")
    reply = refusal(Odd("no"), protocol, asking, "id", model.service_model)
    error = received(protocol, model, reply)["Error"]
    assert error["Code"] == "InvalidParameterValue"
    assert error["QueryErrorCode"] == "InvalidParameterValueException"
    assert error["Type"] == "Sender"
    plain = refusal(Odd("no"), protocol, REQUEST, "id", model.service_model)
    assert received(protocol, model, plain)["Error"]["Code"] == "InvalidParameterValueException"
    gone = refusal(Gone("no"), protocol, REQUEST, "id", model.service_model)
    assert (gone.status, received(protocol, model, gone)["Error"]["Code"]) == (
        404,
        "ResourceNotFound",
    )


@pytest.mark.parametrize("protocol", ["json", "smithy-rpc-v2-cbor", "query"])
@given(body=st.binary(max_size=60))
@example(body=b"\x9b\xff\xff\xff\xff\xff\xff\xff\xff")
@example(body=b"\x5b\x00\x00\x00\xff\xff\xff\xff\xff")
@example(body=b"\xa1\xa0\xa0")
@example(body=b"\xbf\xff")
@example(body=b"A.member.1=x&A.member=y&A.x.1=5&Action=")
def test_no_body_crashes_a_reader(protocol: str, body: bytes) -> None:
    """It is read, or refused with a code of AWS."""
    model = operation("cloudwatch", "PutMetricData")
    form = {"content-type": "application/x-www-form-urlencoded"}
    read = PROTOCOLS[protocol].read
    assert read is not None
    service = Service("cloudwatch", {"PutMetricData": lambda *_: {}})
    try:
        document = read(model, Request("POST", "/", "", form, body))
        service.call(Caller("000000000000", "us-east-1"), "PutMetricData", document)
    except (SerializationException, ValidationException):
        return


def test_numbers_that_are_none_are_words_in_json() -> None:
    model = operation("cloudwatch", "PutMetricData")
    document = {"Namespace": "a", "MetricData": [{"MetricName": "b", "Value": math.nan}]}
    for protocol in ("json", "smithy-rpc-v2-cbor", "query"):
        read = PROTOCOLS[protocol].read
        assert read is not None
        found = read(model, sent(protocol, model, document))
        assert math.isnan(found["MetricData"][0]["Value"])
        service = Service("cloudwatch", {"PutMetricData": lambda *_: {}})
        with pytest.raises(ValidationException, match="finite"):
            service.call(Caller("000000000000", "us-east-1"), "PutMetricData", found)


def test_a_time_is_read_in_every_form_that_clients_write() -> None:
    model = operation("cloudwatch", "GetMetricStatistics")
    form = {"content-type": "application/x-www-form-urlencoded"}
    for text in ("2026-01-01T00:00:00Z", "2026-01-01T01:00:00+01:00", "1767225600",
                 "Thu, 01 Jan 2026 00:00:00 GMT"):  # fmt: skip
        body = urlencode({"StartTime": text}).encode()
        found = query.read(model, Request("POST", "/", "", form, body))
        assert found == {"StartTime": 1767225600.0}, text
    body = urlencode({"StartTime": "soon", "Period": "x"}).encode()
    found = query.read(model, Request("POST", "/", "", form, body))
    assert found == {"StartTime": "soon", "Period": "x"}  # for the check to name


def test_every_path_of_a_service_leads_to_its_own_operation() -> None:
    """No pattern takes the request of another operation."""
    for name, signing in (("lambda", "lambda"), ("apigatewayv2", "apigateway"),
                          ("scheduler", "scheduler")):  # fmt: skip
        model = service_model(name)
        for each in model.operation_names:
            http = model.operation_model(each).http
            uri, _, words = http["requestUri"].partition("?")
            path = rest_json._LABEL.sub("x", uri)
            request = Request(http["method"], path, words, {}, b"")
            assert asked(signing, request).operation == each


def test_an_answer_without_a_shape_is_one() -> None:
    model = operation("cloudwatch", "DeleteAlarms")
    assert model.output_shape is None
    for reply in (
        cbor.write(model, {}, REQUEST, "id"),
        json_rpc.write(model, {}, REQUEST, "id"),
        query.write(model, {}, REQUEST, "id"),
    ):
        assert reply.status == 200
