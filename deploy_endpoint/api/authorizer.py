"""The HTTP API's Lambda authorizer: ``api.authorizer.handler``, payload 2.0, simple responses.

A caller is let in by ``Authorization: Bearer TOKEN``; the token is a secret of Secrets Manager.
After a rotation the new token works at once, the old one for at most a minute, and for as long as
API Gateway itself keeps an answer. If the secret cannot be read, or not in time, the function
fails, and so nobody is let in.
"""

import hmac
import os
import re
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext

from . import deadline, settings

KEPT_SECONDS: Final = 60.0
# Wrong tokens may not make a call to Secrets Manager each.
PAUSE_SECONDS: Final = 1.0

_BEARER = re.compile(r"Bearer +([A-Za-z0-9._~+/-]{1,4096}=*)", re.IGNORECASE | re.ASCII)

logger = Logger()


class Token:
    """The secret token, kept for a minute, and read anew when another one is shown."""

    def __init__(
        self, fetch: Callable[[], str], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._fetch = fetch
        self._clock = clock
        self._value = ""
        self._read_at: float | None = None

    def matches(self, shown: str) -> bool:
        """Whether this is the token; how long it takes does not tell how much of it is right."""
        if self._age() >= KEPT_SECONDS:
            self._read()
        if self._equals(shown):
            return True
        if self._age() < PAUSE_SECONDS:
            return False
        self._read()
        return self._equals(shown)

    def _equals(self, shown: str) -> bool:
        # An empty secret opens nothing.
        return bool(self._value) and hmac.compare_digest(self._value.encode(), shown.encode())

    def _age(self) -> float:
        return float("inf") if self._read_at is None else self._clock() - self._read_at

    def _read(self) -> None:
        self._value = self._fetch()
        self._read_at = self._clock()


def _fetch() -> str:
    secrets = settings.client("secretsmanager")
    secret: str = secrets.get_secret_value(SecretId=os.environ["TOKEN_SECRET_ARN"])["SecretString"]
    return secret


token = Token(_fetch)


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Say whether a request may pass. Raises what keeps it from reading the secret in time."""
    logger.append_keys(request_id=event.get("requestContext", {}).get("requestId"))
    shown = _bearer(event.get("headers") or {})
    allowed = shown is not None and deadline.before(context, lambda: token.matches(shown))
    if not allowed:
        reason = "malformed header" if shown is None else "wrong token"
        logger.info("denied", extra={"reason": reason})
    return {"isAuthorized": allowed}


def _bearer(headers: Mapping[str, str]) -> str | None:
    named = {name.lower(): value for name, value in headers.items()}
    found = _BEARER.fullmatch(named.get("authorization", ""))
    return found[1] if found else None
