"""The rules of botocore's shapes: nothing crashes them, and what is valid passes."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import pytest
import regex
from botocore.model import ListShape, MapShape, Shape, StructureShape
from botocore.validate import ParamValidator
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st

from localcloud.errors import SerializationException, ServiceError, ValidationException
from localcloud.protocol import STRICT, Caller, Document, Service, service_model
from localcloud.shapes import check
from localcloud.wire import json_rpc
from localcloud.wire.message import Request

# The requests with the richest shapes: nested lists and maps, enums, patterns, numbers, unions.
OPERATIONS = [
    "CreateProcessingJob",
    "CreateTrainingJob",
    "CreatePipeline",
    "CreateModelPackage",
    "UpdateModelPackage",
    "ListModelPackages",
    "StartPipelineExecution",
    "AddTags",
]
# Of each pattern of these requests at least one is an example.
CANDIDATES = [
    "",
    "a",
    "a-1",
    "1",
    "A_b",
    "team: ops/eu@x",
    "s3://bucket/key",
    "https://s3.amazonaws.com/bucket/key",
    "683313688378.dkr.ecr.us-east-1.amazonaws.com/image:1",
    "sha256:" + "a" * 64,
    "/opt/ml/input",
    "fs-0123456789abcdef0",
    "1K",
    "1.0",
    "1.0.0",
    "text/csv",
    "sg-0123456789abcdef0",
    "subnet-0123456789abcdef0",
    *(
        f"arn:aws:{service}:us-east-1:000000000000:{resource}"
        for service, resource in (
            ("sagemaker", "pipeline/a"),
            ("sagemaker", "model-package-group/a"),
            ("sagemaker", "model-package/a/1"),
            ("sagemaker", "algorithm/a"),
            ("sagemaker", "mlflow-tracking-server/a"),
            ("sagemaker", "mlflow-app/a"),
            ("sagemaker", "training-plan/a"),
            ("sagemaker", "hub-content/a/Model/b/1.0.0"),
            ("sagemaker", "hub-content/a/DataSet/b/1.0.0"),
            ("sagemaker", "pipeline/a/execution/abcdefghijkl"),
            ("lambda", "function:a"),
            ("kms", "key/a"),
        )
    ),
    "arn:aws:iam::000000000000:role/pipeline",
]
CALLER = Caller("000000000000", "us-east-1")
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner),
    max_leaves=20,
)


def parse(operation: str, body: bytes) -> Document:
    """Read a request as the gateway does, and hold it against its shape."""
    model = service_model("sagemaker").operation_model(operation)
    request = Request("POST", "/", "", {"content-type": json_rpc.JSON_1_1}, body)
    document = json_rpc.read(model, request)
    check(model.input_shape, document)
    return document


def input_of(operation: str) -> StructureShape:
    shape: StructureShape = service_model("sagemaker").operation_model(operation).input_shape
    return shape


def valid(shape: Shape, depth: int = 0) -> st.SearchStrategy[Any]:
    """Values that keep every rule of a shape."""
    low, high = shape.metadata.get("min"), shape.metadata.get("max")
    if isinstance(shape, StructureShape):
        return valid_structure(shape, depth)
    if isinstance(shape, ListShape):
        return st.lists(
            valid(shape.member, depth + 1),
            min_size=low or 0,
            max_size=min(high or 2, (low or 0) + 1),
        )
    if isinstance(shape, MapShape):
        return st.dictionaries(
            valid(shape.key, depth + 1),
            valid(shape.value, depth + 1),
            min_size=low or 0,
            max_size=2,
        )
    plain: dict[str, st.SearchStrategy[Any]] = {
        "integer": st.integers(low if low is not None else -1000, high or 1000),
        "float": st.floats(low, high, allow_nan=False, allow_infinity=False, width=32),
        "boolean": st.booleans(),
        "timestamp": st.integers(0, 2**31),
        "blob": st.just("aGVsbG8="),
    }
    plain |= {"long": plain["integer"], "double": plain["float"]}
    return plain[shape.type_name] if shape.type_name in plain else valid_string(shape)


def valid_structure(shape: Shape, depth: int) -> st.SearchStrategy[Any]:
    assert isinstance(shape, StructureShape)
    if shape.is_tagged_union:
        return st.sampled_from(sorted(shape.members)).flatmap(
            lambda name: st.fixed_dictionaries({name: valid(shape.members[name], depth + 1)})
        )
    optional = {} if depth > 1 else shape.members
    return st.fixed_dictionaries(
        {name: valid(shape.members[name], depth + 1) for name in shape.required_members},
        optional={
            name: st.deferred(lambda member=member: valid(member, depth + 1))
            for name, member in optional.items()
            if name not in shape.required_members
        },
    )


def fits(pattern: str, text: str) -> bool:
    try:
        return bool(regex.fullmatch(pattern, text))
    except regex.error:  # Java's pairs of surrogates: whatever there is of characters
        return "\\uD800" in pattern


@cache
def valid_string(shape: Shape) -> st.SearchStrategy[str]:
    low, high = shape.metadata.get("min") or 0, shape.metadata.get("max") or 60
    if shape.enum:
        return st.sampled_from(shape.enum)
    pattern = shape.metadata.get("pattern")
    if pattern is None:
        return st.text(min_size=low, max_size=min(high, max(low, 20)))
    padded = [*CANDIDATES, *("x" * size for size in (low, min(high, 1000)))]
    fitting = [text for text in padded if low <= len(text) <= high and fits(pattern, text)]
    assert fitting, f"no candidate fits {pattern} of {shape.name}"
    return st.sampled_from(fitting)


@pytest.mark.parametrize("operation", OPERATIONS)
@settings(max_examples=30, deadline=None)
@given(document=JSON)
def test_no_json_crashes_the_check(operation: str, document: Any) -> None:
    """Whatever a client sends, it passes or is refused with a code of AWS."""
    try:
        check(input_of(operation), document)
    except (ValidationException, SerializationException):
        return


@pytest.mark.parametrize("operation", OPERATIONS)
@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_no_json_in_a_members_place_crashes_the_check(operation: str, data: st.DataObject) -> None:
    shape = input_of(operation)
    names = st.sampled_from(sorted(shape.members))
    document = data.draw(st.dictionaries(names, JSON, min_size=1))
    body = json.dumps(document).encode()
    try:
        parse(operation, body)
    except (ValidationException, SerializationException):
        return


@pytest.mark.parametrize("operation", OPERATIONS)
@settings(
    max_examples=15,
    deadline=None,
    phases=(Phase.explicit, Phase.generate),  # to shrink such a request takes minutes
    suppress_health_check=[
        HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large,
    ],
)  # fmt: skip
@given(data=st.data())
def test_what_keeps_the_models_rules_is_accepted_as_botocore_accepts_it(
    operation: str, data: st.DataObject
) -> None:
    shape = input_of(operation)
    document = data.draw(valid(shape))
    assume(not ParamValidator().validate(document, shape).has_errors())
    check(shape, document)
    assert parse(operation, json.dumps(document).encode()) == document


@pytest.mark.parametrize(
    "body",
    [
        b"\xff\xfe\xfa",
        b'{"PipelineName": "\xc3("}',
        b'{"PipelineName": "\\ud800"}',
        b'{"PipelineName": NaN}',
        b'{"MaxResults": 1e400}',
        b'{"MaxResults": 1' + b"0" * 5000 + b"}",
        b'{"CreatedAfter": -Infinity}',
        b'{"CreatedAfter": 1' + b"0" * 400 + b"}",
        b"{}{}",
        b"null",
        b'"text"',
    ],
)
def test_a_body_that_is_no_request_is_refused(body: bytes) -> None:
    with pytest.raises(SerializationException):
        parse("ListPipelines", body)


def test_an_empty_body_is_an_empty_request() -> None:
    assert parse("ListPipelines", b"") == {}


def test_a_union_takes_exactly_one_member() -> None:
    model = service_model("sagemaker")
    union = model.shape_for("MetricSpecification")
    assert union.is_tagged_union
    check(union, {"Predefined": {"PredefinedMetricType": "x"}})
    for wrong in ({}, {"Predefined": {}, "Customized": {}}):
        with pytest.raises(ValidationException, match="Exactly one"):
            check(union, wrong)


def test_a_typo_in_a_long_enumeration_is_answered_with_what_comes_near() -> None:
    shape = service_model("sagemaker").shape_for("ProcessingInstanceType")
    with pytest.raises(ValidationException, match=r"\[ml.m5.xlarge, .*values\)\]"):
        check(shape, "ml.m5.xlargee")


def service(answer: dict[str, Any]) -> Service:
    return Service("sagemaker", {"DescribeTrainingJob": lambda *_: answer,
                                     "ListTags": lambda *_: answer})  # fmt: skip


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ({"Tags": [{"Key": "a", "Value": "b"}], "Tagss": []}, r"\['ListTags.Tagss'\]"),
        ({"Tags": [{"Key": "a", "Value": "b", "Colour": 1}]}, r"ListTags.Tags.Colour"),
        ({"Tags": [{"Key": "a"}]}, r"lacks \['Value'\]"),
        ({"Tags": [{"Key": "a", "Value": 5}]}, "a string"),
        ({"Tags": [{"Key": "x" * 129, "Value": ""}]}, "less than or equal to 128"),
    ],
)
def test_an_answer_that_aws_could_not_give_fails_a_test(
    monkeypatch: pytest.MonkeyPatch, answer: dict[str, Any], said: str
) -> None:
    monkeypatch.setenv(STRICT, "1")
    request = {"ResourceArn": "arn:aws:sagemaker:us-east-1:000000000000:pipeline/x"}
    with pytest.raises(ValueError, match=said):
        service(answer).call(CALLER, "ListTags", request)


def test_a_service_refuses_in_its_own_words() -> None:
    class Odd(ServiceError):  # noqa: N818
        code, status = "OddException", 400

    odd = Service("sagemaker", {"ListTags": lambda *_: {}}, Odd)
    with pytest.raises(Odd, match="resourceArn"):
        odd.call(CALLER, "ListTags", {})
