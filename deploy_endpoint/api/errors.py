"""Why a request gets no prediction.

ApiError
├── BadRequestError 400, NotFoundError 404, MethodNotAllowedError 405, NotAcceptableError 406
├── TooLargeError 413, UnsupportedMediaTypeError 415, TooManyRequestsError 429
└── ModelFaultError 502, UnavailableError 503, TooSlowError 504
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

SHOWN_CHARACTERS: Final = 40


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing about the rows: a broken rule, or something to know. Rows count from 1.

    ``value`` is the value as it was sent, at most 40 characters of it.
    """

    message: str
    row: int | None = None
    column: str | None = None
    value: str | None = None
    rule: str | None = None


class ApiError(Exception):
    """The answer is an error; the message is for the caller and holds nothing internal."""

    status = 500

    def __init__(
        self,
        message: str,
        findings: Sequence[Finding] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.findings = tuple(findings)
        self.headers = dict(headers or {})

    def document(self, request_id: str) -> dict[str, Any]:
        """Give the body of the answer."""
        return {
            "error": {"message": str(self), "findings": [asdict(each) for each in self.findings]},
            "request_id": request_id,
        }


class BadRequestError(ApiError):
    """The body breaks a rule, or the model's own rules."""

    status = 400


class NotFoundError(ApiError):
    """There is nothing at this path."""

    status = 404


class MethodNotAllowedError(ApiError):
    """There is something at this path, but not for this method."""

    status = 405


class NotAcceptableError(ApiError):
    """The caller accepts no type that is written here."""

    status = 406


class TooLargeError(ApiError):
    """The body or its number of rows is above the limit."""

    status = 413


class UnsupportedMediaTypeError(ApiError):
    """The body is of a type that is not read here."""

    status = 415


class TooManyRequestsError(ApiError):
    """The endpoint has more requests than it takes."""

    status = 429


class ModelFaultError(ApiError):
    """The endpoint failed, or answered what it must not."""

    status = 502


class UnavailableError(ApiError):
    """There is no endpoint in service, or what describes its model cannot be read."""

    status = 503


class TooSlowError(ApiError):
    """The endpoint, or what else a request needs, did not answer in time."""

    status = 504


def show(value: object) -> str:
    """Shorten a value for a message to 40 characters."""
    text = str(value)
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}..."
