"""Who may ask: any credentials, but some; and of a presigned URL, that it has not expired.

localcloud knows no secret keys, so signatures are not computed; a request must carry one.
Source: "Authenticating requests: using query parameters" in the S3 API reference.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from localcloud.s3.errors import (
    AccessDenied,
    AuthorizationHeaderMalformed,
    AuthorizationQueryParametersError,
)
from localcloud.s3.request import Request

_REQUIRED = (
    "X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Signature", "X-Amz-Date", "X-Amz-SignedHeaders",
    "X-Amz-Expires",
)  # fmt: skip
_LONGEST = 604_800


def check_signed(request: Request, now: datetime) -> None:
    """Raise unless the request is signed in its headers, or by a presigned URL still valid.

    Raises:
        AccessDenied: there is no signature, or the URL has expired.
        AuthorizationHeaderMalformed, AuthorizationQueryParametersError: it is not one.
    """
    header = request.headers.get("authorization")
    if header is not None:
        if not header.startswith(("AWS4-HMAC-SHA256 ", "AWS4-ECDSA-P256-SHA256 ", "AWS ")):
            raise AuthorizationHeaderMalformed
    elif "X-Amz-Algorithm" in request.query:
        _check_expiry(_validity(request.query), now)
    elif {"AWSAccessKeyId", "Signature", "Expires"} <= request.query.keys():
        expires = request.query["Expires"]
        if not expires.isdigit():
            raise AccessDenied(f"Invalid date (should be seconds since epoch): {expires}")
        _check_expiry((None, datetime.fromtimestamp(int(expires), UTC)), now)
    else:
        raise AccessDenied


def _validity(query: Mapping[str, str]) -> tuple[timedelta, datetime]:
    """How long a URL is valid, and until when."""
    if not all(query.get(name) for name in _REQUIRED):
        raise AuthorizationQueryParametersError(
            "Query-string authentication version 4 requires the X-Amz-Algorithm, X-Amz-Credential,"
            " X-Amz-Signature, X-Amz-Date, X-Amz-SignedHeaders, and X-Amz-Expires parameters."
        )
    try:
        signed = datetime.strptime(query["X-Amz-Date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError as error:
        raise AuthorizationQueryParametersError(
            "X-Amz-Date must be in the ISO8601 Long Format \"yyyyMMdd'T'HHmmss'Z'\""
        ) from error
    expires = query["X-Amz-Expires"]
    if not (expires.isascii() and expires.isdigit()):
        raise AuthorizationQueryParametersError("X-Amz-Expires should be a number")
    if len(expires) > 9 or int(expires) > _LONGEST:
        raise AuthorizationQueryParametersError(
            "X-Amz-Expires must be less than a week (in seconds); that is, the given X-Amz-Expires"
            f" must be less than {_LONGEST} seconds"
        )
    validity = timedelta(seconds=int(expires))
    return validity, signed + validity


def _check_expiry(validity: tuple[timedelta | None, datetime], now: datetime) -> None:
    duration, end = validity
    if now <= end:
        return
    details = {} if duration is None else {"X-Amz-Expires": str(int(duration.total_seconds()))}
    raise AccessDenied(
        "Request has expired",
        details={
            **details,
            "Expires": end.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "ServerTime": now.strftime("%Y-%m-%dT%H:%M:%SZ"),
        },
    )
