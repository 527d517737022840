"""What every call has at hand, and how calls are found."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from localcloud.s3.errors import AccessDenied
from localcloud.s3.multipart import Uploads
from localcloud.s3.objects import ObjectStore
from localcloud.s3.request import Request, Response


@dataclass(frozen=True, slots=True)
class Service:
    """The store behind the calls, and the account that owns what they make."""

    store: ObjectStore
    uploads: Uploads
    account: str

    def check_owner(self, request: Request) -> None:
        """Raise AccessDenied if the client expects another account to own a bucket."""
        for name, bucket in (
            ("x-amz-expected-bucket-owner", request.bucket),
            ("x-amz-source-expected-bucket-owner", ""),
        ):
            expected = request.headers.get(name)
            owner = self.store.buckets.get(bucket).account if expected and bucket else self.account
            if expected and expected != owner:
                raise AccessDenied


Call: TypeAlias = Callable[[Service, Request], Response]
Calls: TypeAlias = Mapping[tuple[str, str, str], Call]
"""Method, level (``service``, ``bucket``, ``object``) and subresource to the call."""
EMPTY = Response()
NO_CONTENT = Response(204)


def xml_response(body: bytes, headers: Mapping[str, str] | None = None) -> Response:
    """An answer that is an XML document."""
    return Response(200, {"Content-Type": "application/xml", **(headers or {})}, body)
