"""Calls on buckets themselves."""

from datetime import datetime

from localcloud.s3 import xml
from localcloud.s3.errors import (
    BucketAlreadyOwnedByYou,
    IllegalLocationConstraintException,
    IllegalVersioningConfigurationException,
    InvalidArgument,
    InvalidLocationConstraint,
    Unsupported,
)
from localcloud.s3.headers import refuse_unknown
from localcloud.s3.payload import Payload
from localcloud.s3.request import Request, Response
from localcloud.s3.service import EMPTY, NO_CONTENT, Calls, Service, xml_response

_FIRST_REGION = "us-east-1"
_OWNERSHIP = "BucketOwnerEnforced"


def format_moment(moment: datetime) -> str:
    """A moment as S3's documents have it."""
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


def owner(account: str) -> list[tuple[str, xml.Content | None]]:
    """The children of an ``Owner`` element: the canonical id stands for the account."""
    return [("ID", account.rjust(64, "0"))]


def list_buckets(service: Service, request: Request) -> Response:
    """ListBuckets: by prefix and region, in pages."""
    prefix = request.query.get("prefix", "")
    region = request.query.get("bucket-region", "")
    after = request.query.get("continuation-token", "")
    limit = request.number("max-buckets", 10_000, 10_000)
    buckets = [
        bucket
        for bucket in service.store.buckets.list(service.account)
        if bucket.name.startswith(prefix)
        and bucket.region.startswith(region)
        and bucket.name > after
    ]
    entries: list[tuple[str, xml.Content | None]] = [
        (
            "Bucket",
            [
                ("Name", bucket.name),
                ("CreationDate", format_moment(bucket.created)),
                ("BucketRegion", bucket.region),
            ],
        )
        for bucket in buckets[:limit]
    ]
    more = len(buckets) > limit > 0
    content: xml.Content = [
        ("Owner", owner(service.account)),
        ("Buckets", entries),
        ("ContinuationToken", buckets[limit - 1].name if more else None),
        ("Prefix", prefix or None),
    ]
    return xml_response(xml.write("ListAllMyBucketsResult", content))


def create_bucket(service: Service, request: Request) -> Response:
    """CreateBucket. The region is the one signed for, or in us-east-1 the one constrained to."""
    refuse_unknown(request)
    if request.headers.get("x-amz-object-ownership", _OWNERSHIP) != _OWNERSHIP:
        raise Unsupported(details={"Header": "x-amz-object-ownership"})
    body = Payload(request).document()
    region = request.region
    constraint = ""
    if body.strip():
        root = xml.read(body, "CreateBucketConfiguration")
        for unknown in ("Location", "Bucket", "Tags"):
            if root.find(unknown) is not None:
                raise Unsupported(
                    f"CreateBucketConfiguration's element {unknown} is not implemented."
                )
        constraint = xml.text(root, "LocationConstraint") or ""
    if constraint == _FIRST_REGION:
        raise InvalidLocationConstraint(details={"LocationConstraint": constraint})
    if region not in {_FIRST_REGION, constraint}:
        raise IllegalLocationConstraintException(
            f"The {constraint or 'unspecified'} location constraint is incompatible for the region"
            " specific endpoint this request was sent to."
        )
    try:
        service.store.create_bucket(service.account, constraint or region, request.bucket)
    except BucketAlreadyOwnedByYou:
        # In us-east-1, and only there, AWS lets a bucket's owner create it again.
        if constraint or service.store.buckets.get(request.bucket).region != _FIRST_REGION:
            raise
    return Response(200, {"Location": f"/{request.bucket}"})


def head_bucket(service: Service, request: Request) -> Response:
    """HeadBucket: whether it is there, and its region."""
    bucket = service.store.buckets.get(request.bucket)
    return Response(200, {"x-amz-bucket-region": bucket.region, "Content-Type": "application/xml"})


def delete_bucket(service: Service, request: Request) -> Response:
    """DeleteBucket: an empty one."""
    service.store.buckets.delete(request.bucket)
    return NO_CONTENT


def get_location(service: Service, request: Request) -> Response:
    """GetBucketLocation; us-east-1 is an empty element."""
    region = service.store.buckets.get(request.bucket).region
    return xml_response(xml.write("LocationConstraint", "" if region == _FIRST_REGION else region))


def get_versioning(service: Service, request: Request) -> Response:
    """GetBucketVersioning: whether versions are kept."""
    versioning = service.store.buckets.get(request.bucket).versioning
    content: xml.Content = [("Status", versioning or None)]
    return xml_response(xml.write("VersioningConfiguration", content))


def put_versioning(service: Service, request: Request) -> Response:
    """PutBucketVersioning: keep versions, or keep no more."""
    root = xml.read(Payload(request).document(), "VersioningConfiguration")
    if xml.text(root, "MfaDelete") == "Enabled":
        raise Unsupported("MfaDelete is not implemented.")
    status = xml.text(root, "Status")
    if status is None:
        raise IllegalVersioningConfigurationException
    if status not in {"Enabled", "Suspended"}:
        raise InvalidArgument(details={"ArgumentName": "Status", "ArgumentValue": status})
    service.store.buckets.set_versioning(request.bucket, status)
    return EMPTY


CALLS: Calls = {
    ("GET", "service", ""): list_buckets,
    ("PUT", "bucket", ""): create_bucket,
    ("HEAD", "bucket", ""): head_bucket,
    ("DELETE", "bucket", ""): delete_bucket,
    ("GET", "bucket", "location"): get_location,
    ("GET", "bucket", "versioning"): get_versioning,
    ("PUT", "bucket", "versioning"): put_versioning,
}
