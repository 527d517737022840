"""S3 locations in requests: what they say, and whether something is there."""

from __future__ import annotations

from localcloud.errors import ValidationException
from localcloud.s3.errors import NotFound
from localcloud.s3.objects import ObjectStore
from localcloud.s3.stored import StoredObject


def split_uri(uri: str) -> tuple[str, str]:
    """Bucket and key of an `s3://` URI."""
    scheme, _, rest = uri.partition("://")
    bucket, _, key = rest.partition("/")
    if scheme != "s3" or not bucket:
        raise ValidationException(f"{uri!r} is not an S3 URI (s3://bucket/key)")
    return bucket, key


def find_object(objects: ObjectStore, uri: str) -> StoredObject | None:
    """The object at a URI, or None."""
    bucket, key = split_uri(uri)
    try:
        return objects.get(bucket, key)
    except NotFound:
        return None


def require_object(objects: ObjectStore, uri: str, what: str) -> StoredObject:
    """The object at a URI; a ValidationException that names `what` if there is none."""
    found = find_object(objects, uri)
    if found is None:
        raise ValidationException(f"Could not find {what} at {uri}.")
    return found
