"""Calls that keep a bucket's configuration and give it back, as one table."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from xml.etree.ElementTree import Element

from localcloud.s3 import errors, xml
from localcloud.s3.payload import Payload
from localcloud.s3.request import Request, Response
from localcloud.s3.service import NO_CONTENT, Call, Calls, Service, xml_response
from localcloud.s3.tags import BUCKET_LIMIT, tags_of_document

_BLOCKS = (
    "BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets",
)  # fmt: skip
_OWNERSHIPS = ("BucketOwnerEnforced", "BucketOwnerPreferred", "ObjectWriter")
_ALGORITHMS = ("AES256", "aws:kms", "aws:kms:dsse")
_DEFAULT_ENCRYPTION = xml.write(
    "ServerSideEncryptionConfiguration",
    [
        (
            "Rule",
            [
                ("ApplyServerSideEncryptionByDefault", [("SSEAlgorithm", "AES256")]),
                ("BucketKeyEnabled", "false"),
            ],
        )
    ],
)


@dataclass(frozen=True, slots=True)
class Document:
    """A kind of configuration: its subresource, its root element, what S3 demands of it.

    ``missing`` is what a bucket without one answers: an error or a document; ``effect`` says what
    it does here.
    """

    kind: str
    root: str
    check: Callable[[Element], None]
    missing: type[errors.S3Error] | bytes
    effect: str
    put_status: int = 200
    deletable: bool = True


def _check_blocks(root: Element) -> None:
    for child in root:
        if child.tag not in _BLOCKS or (child.text or "").strip().lower() not in {"true", "false"}:
            raise errors.MalformedXML


def _check_encryption(root: Element) -> None:
    default = "ApplyServerSideEncryptionByDefault/SSEAlgorithm"
    rules = root.findall("Rule")
    if len(rules) != 1 or xml.text(rules[0], default) not in {None, *_ALGORITHMS}:
        raise errors.MalformedXML


def _check_tags(root: Element) -> None:
    tags_of_document(root, BUCKET_LIMIT)


def _check_lifecycle(root: Element) -> None:
    rules = root.findall("Rule")
    if not 1 <= len(rules) <= 1000:
        raise errors.MalformedXML
    for rule in rules:
        if xml.required(rule, "Status") not in {"Enabled", "Disabled"}:
            raise errors.MalformedXML
        if rule.find("Filter") is None and rule.find("Prefix") is None:
            raise errors.MalformedXML


def _check_ownership(root: Element) -> None:
    if xml.required(root, "Rule/ObjectOwnership") not in _OWNERSHIPS:
        raise errors.MalformedXML


def _check_notification(root: Element) -> None:
    for name, target in (
        ("TopicConfiguration", "Topic"),
        ("QueueConfiguration", "Queue"),
        ("CloudFunctionConfiguration", "CloudFunction"),
    ):
        for configuration in root.findall(name):
            xml.required(configuration, target)
            xml.required(configuration, "Event")


_DOCUMENTS = (
    Document(
        "publicAccessBlock",
        "PublicAccessBlockConfiguration",
        _check_blocks,
        errors.NoSuchPublicAccessBlockConfiguration,
        "not enforced",
    ),
    Document(
        "encryption",
        "ServerSideEncryptionConfiguration",
        _check_encryption,
        _DEFAULT_ENCRYPTION,
        "nothing is encrypted on disk",
    ),
    Document(
        "tagging", "Tagging", _check_tags, errors.NoSuchTagSet, "tags of a bucket", put_status=204
    ),
    Document(
        "lifecycle",
        "LifecycleConfiguration",
        _check_lifecycle,
        errors.NoSuchLifecycleConfiguration,
        "nothing expires",
    ),
    Document(
        "ownershipControls",
        "OwnershipControls",
        _check_ownership,
        errors.OwnershipControlsNotFoundError,
        "not enforced",
    ),
    Document(
        "notification",
        "NotificationConfiguration",
        _check_notification,
        xml.write("NotificationConfiguration", []),
        "nothing is sent",
        deletable=False,
    ),
)


def _getter(document: Document) -> Call:
    def get(service: Service, request: Request) -> Response:
        """What was put, or what a bucket has that was given none."""
        body = service.store.buckets.document(request.bucket, document.kind)
        if body is not None:
            return xml_response(body)
        if isinstance(document.missing, bytes):
            return xml_response(document.missing)
        raise document.missing(details={"BucketName": request.bucket})

    return get


def _putter(document: Document) -> Call:
    def put(service: Service, request: Request) -> Response:
        body = Payload(request).document()
        document.check(xml.read(body, document.root))
        service.store.buckets.put_document(request.bucket, document.kind, body)
        return Response(document.put_status)

    put.__doc__ = f"Stored: {document.effect}."
    return put


def _deleter(kind: str) -> Call:
    def delete(service: Service, request: Request) -> Response:
        """Forget what was put."""
        service.store.buckets.delete_document(request.bucket, kind)
        return NO_CONTENT

    return delete


def get_policy(service: Service, request: Request) -> Response:
    """GetBucketPolicy: the JSON text as it was put."""
    body = service.store.buckets.document(request.bucket, "policy")
    if body is None:
        raise errors.NoSuchBucketPolicy(details={"BucketName": request.bucket})
    return Response(200, {"Content-Type": "application/json"}, body)


def put_policy(service: Service, request: Request) -> Response:
    """PutBucketPolicy: its form is checked, it is stored and not enforced."""
    body = Payload(request).document()
    if len(body) > 20 << 10:
        raise errors.InvalidArgument("The policy is larger than 20 KB")
    try:
        policy = json.loads(body)
    except ValueError as error:
        raise errors.MalformedPolicy(
            "Policies must be valid JSON and the first byte must be '{'"
        ) from error
    _check_policy(policy)
    service.store.buckets.put_document(request.bucket, "policy", body)
    return NO_CONTENT


def _check_policy(policy: object) -> None:
    statements = policy.get("Statement") if isinstance(policy, dict) else None
    if isinstance(statements, dict):
        statements = [statements]
    if not isinstance(statements, list) or not statements:
        raise errors.MalformedPolicy("Missing required field Statement")
    for statement in statements:
        if not isinstance(statement, dict):
            raise errors.MalformedPolicy
        if statement.get("Effect") not in {"Allow", "Deny"}:
            raise errors.MalformedPolicy(f"Invalid effect: {statement.get('Effect')}")
        for field in ("Principal", "Action", "Resource"):
            if field not in statement and f"Not{field}" not in statement:
                raise errors.MalformedPolicy(f"Missing required field {field}")


CALLS: Calls = {
    **{("GET", "bucket", document.kind): _getter(document) for document in _DOCUMENTS},
    **{("PUT", "bucket", document.kind): _putter(document) for document in _DOCUMENTS},
    **{
        ("DELETE", "bucket", document.kind): _deleter(document.kind)
        for document in _DOCUMENTS
        if document.deletable
    },
    ("GET", "bucket", "policy"): get_policy,
    ("PUT", "bucket", "policy"): put_policy,
    ("DELETE", "bucket", "policy"): _deleter("policy"),
}
