"""Content types: what a request's body is, and whether the caller takes JSON."""

import re
from collections.abc import Iterator, Mapping
from typing import Final

from .errors import NotAcceptableError, UnsupportedMediaTypeError, show
from .exchange import JSON

CSV: Final = "text/csv"

_UTF8 = {"utf-8", "utf8", "us-ascii", "ascii"}
_CHARSET = re.compile(r"charset\s*=\s*\"?([^\";\s]*)")
_QUALITY = re.compile(r";\s*q\s*=\s*([01](?:\.\d{0,3})?)\s*(?:;|$)")
# From the most to the least specific: the first that a caller names decides.
_RANGES = (JSON, "application/*", "*/*")


def body_type(headers: Mapping[str, str]) -> str:
    """Give "text/csv" or "application/json", whichever the body is.

    Raises UnsupportedMediaTypeError for another type, a charset that is not UTF-8, or a coding.
    """
    coding = headers.get("content-encoding", "identity").strip().lower()
    if coding != "identity":
        raise UnsupportedMediaTypeError(
            f"The body must not be encoded; Content-Encoding is {show(coding)!r}."
        )
    named = headers.get("content-type", "")
    kind, _, parameters = named.lower().partition(";")
    charset = _CHARSET.search(parameters)
    if kind.strip() not in {CSV, JSON} or (charset and charset[1] not in _UTF8):
        raise UnsupportedMediaTypeError(
            f"Content-Type must be {CSV} or {JSON} in UTF-8, not {show(named)!r}."
        )
    return kind.strip()


def check_accept(headers: Mapping[str, str]) -> None:
    """Raise NotAcceptableError unless the caller takes JSON; without an Accept it does."""
    accept = headers.get("accept", "").strip()
    qualities = dict(_qualities(accept))
    quality = next((qualities[each] for each in _RANGES if each in qualities), 0.0)
    if accept and not quality:
        raise NotAcceptableError(f"Accept must allow {JSON}, not only {show(accept)!r}.")


def _qualities(accept: str) -> Iterator[tuple[str, float]]:
    for each in accept.lower().split(","):
        named = _QUALITY.search(each)
        yield each.partition(";")[0].strip(), float(named[1]) if named else 1.0
