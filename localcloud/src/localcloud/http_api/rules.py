"""What the parts of an API share: lengths, what is not emulated, functions' URIs, tags."""

from __future__ import annotations

import re
from collections.abc import Mapping

from localcloud.errors import NotEmulated
from localcloud.http_api.errors import BadRequestException
from localcloud.protocol import Caller, Document

MOST_TAGS = 50
_FUNCTION = re.compile(r"arn:aws:lambda:[a-z0-9-]+:\d{12}:function:[a-zA-Z0-9-_]+(:\$LATEST)?")
_INVOKE = re.compile(
    r"arn:aws:apigateway:(?P<region>[a-z0-9-]+):lambda:path/2015-03-31/functions/"
    r"(?P<function>[^/]+)/invocations"
)


def check_length(document: Document, member: str, most: int, least: int = 0) -> None:
    """Raise BadRequestException for a text that is too long or too short."""
    text = document.get(member)
    if text is not None and not least <= len(text) <= most:
        raise BadRequestException(
            f"{member} must have {least} to {most} characters; it has {len(text)}"
        )


def check_emulated(document: Document, members: Mapping[str, str]) -> None:
    """Raise NotEmulated for a member, of those named, that says anything."""
    for member, what in members.items():
        if document.get(member):
            raise NotEmulated(f"localcloud does not emulate {what} of HTTP APIs: {member}")


def check_unused(document: Document, members: Mapping[str, str]) -> None:
    """Raise BadRequestException for a member that means nothing to HTTP APIs."""
    for member, why in members.items():
        if document.get(member):
            raise BadRequestException(f"{member} is not supported for HTTP APIs: {why}")


def check_tags(tags: Mapping[str, str]) -> None:
    """Raise BadRequestException for what cannot be a resource's tags."""
    if len(tags) > MOST_TAGS:
        raise BadRequestException(f"A resource has at most {MOST_TAGS} tags, not {len(tags)}")
    for key, value in tags.items():
        if not 1 <= len(key) <= 128 or len(value) > 256 or key.lower().startswith("aws:"):
            raise BadRequestException(f"The tag {key[:80]!r} breaks the rules for tags")


def function_of(caller: Caller, uri: str, member: str, *, plain: bool) -> str:
    """The ARN of the function that a URI invokes; `plain` if its own ARN is one too.

    Raises BadRequestException.
    """
    found = _INVOKE.fullmatch(uri)
    arn = found["function"] if found else uri if plain else ""
    if _FUNCTION.fullmatch(arn) is None:
        raise BadRequestException(f"Invalid {member} specified: {uri[:200]!r} invokes no function")
    region, account = arn.split(":")[3:5]
    if (region, account) != (caller.region, caller.account):
        raise BadRequestException(
            f"Invalid {member} specified: the function is in {region} of account {account}, the "
            f"API in {caller.region} of {caller.account}"
        )
    return arn.removesuffix(":$LATEST")
