"""A request as S3 sees it: bucket and key from host and path, query, headers, body."""

import re
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote, unquote_to_bytes

from localcloud.s3.blobs import Readable
from localcloud.s3.errors import InvalidArgument, InvalidURI

_S3_HOST = re.compile(r"(?:(?P<bucket>.+)\.)?s3(?:[.-][a-z0-9-]+)?\.(?:localhost|amazonaws\.com)")
_SCOPE = re.compile(r"Credential=[^/,]+/\d{8}/([a-z0-9-]+)/s3/aws4_request")


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request.

    ``bucket`` and ``key`` are empty where the request names none; header names are in lower case;
    ``region`` is the one the client signed for.
    """

    method: str
    bucket: str
    key: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: Readable
    path: str
    id: str

    @property
    def level(self) -> str:
        """What the request is about: ``service``, ``bucket`` or ``object``."""
        return "object" if self.key else "bucket" if self.bucket else "service"

    @property
    def region(self) -> str:
        """The region that the client signed for, us-east-1 if it did not say."""
        credential = f"Credential={self.query.get('X-Amz-Credential', '')}"
        found = _SCOPE.search(self.headers.get("authorization", credential))
        return found[1] if found else "us-east-1"

    @property
    def version_id(self) -> str | None:
        """The version asked for."""
        version_id = self.query.get("versionId")
        if version_id == "":
            raise InvalidArgument(
                "Version id cannot be the empty string",
                details={"ArgumentName": "versionId", "ArgumentValue": ""},
            )
        return version_id

    def number(self, name: str, default: int, maximum: int) -> int:
        """A number from the query, at most ``maximum``, or InvalidArgument."""
        value = self.query.get(name, "") or str(default)
        if not (value.isascii() and value.isdigit() and len(value) <= 10):
            raise InvalidArgument(
                f"Provided {name} not an integer or within integer range",
                details={"ArgumentName": name, "ArgumentValue": value},
            )
        return min(int(value), maximum)


@dataclass(frozen=True, slots=True)
class Response:
    """One HTTP answer; a body of bytes gets its Content-Length by itself."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | Iterable[bytes] = b""


def parse_request(environ: Mapping[str, Any]) -> Request:
    """The request of a WSGI environment.

    The raw path comes from ``REQUEST_URI`` where the server gives it, since ``PATH_INFO`` cannot
    tell ``%2F`` from ``/``.
    """
    headers = {
        name[5:].replace("_", "-").lower(): value
        for name, value in environ.items()
        if name.startswith("HTTP_")
    }
    for name in ("CONTENT_TYPE", "CONTENT_LENGTH"):
        if environ.get(name):
            headers[name.replace("_", "-").lower()] = environ[name]
    path = _path(environ)
    bucket = bucket_of_host(headers.get("host", ""))
    if bucket:
        key = path[1:]
    else:
        bucket, _, key = path[1:].partition("/")
    query = dict(parse_qsl(environ.get("QUERY_STRING", ""), keep_blank_values=True))
    return Request(
        method=environ["REQUEST_METHOD"],
        bucket=bucket,
        key=key,
        query=query,
        headers=headers,
        body=environ["wsgi.input"],
        path=path,
        id=secrets.token_hex(8).upper(),
    )


def bucket_of_host(host: str) -> str:
    """The bucket that a virtual-host style Host header names, or nothing.

    ``bucket.s3.localhost``, ``bucket.s3.<region>.localhost`` and ``bucket.localhost`` name one.
    """
    name = re.sub(r":\d+$", "", host).lower()
    if found := _S3_HOST.fullmatch(name):
        return found["bucket"] or ""
    return name.removesuffix(".localhost") if name.endswith(".localhost") else ""


def parse_copy_source(header: str) -> tuple[str, str, str | None]:
    """Bucket, key and version that ``x-amz-copy-source`` names, or InvalidArgument."""
    path, _, version = header.partition("?versionId=")
    bucket, _, key = unquote(path).removeprefix("/").partition("/")
    if not bucket or not key:
        raise InvalidArgument(
            "Invalid copy source object key",
            details={"ArgumentName": "x-amz-copy-source", "ArgumentValue": header},
        )
    return bucket, key, unquote(version) or None


def _path(environ: Mapping[str, Any]) -> str:
    raw = environ.get("REQUEST_URI")
    if raw is None:
        data = environ.get("PATH_INFO", "/").encode("latin-1")
    else:
        data = unquote_to_bytes(re.sub(r"^https?://[^/]*", "", raw).partition("?")[0])
    try:
        return data.decode() or "/"
    except UnicodeDecodeError as error:
        raise InvalidURI(details={"URI": repr(raw)}) from error
