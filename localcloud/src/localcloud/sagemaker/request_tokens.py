"""ClientRequestToken: a call that is repeated with its token gets its first answer again."""

from __future__ import annotations

import hashlib
import json

from localcloud.errors import ConflictException
from localcloud.protocol import Caller, Document
from localcloud.store import Store

KIND = "request-token"
_TOKEN = "ClientRequestToken"  # noqa: S105 - the member's name


class RequestTokens:
    """The answers to calls that changed something, by operation and token."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def answer(self, caller: Caller, operation: str, request: Document) -> Document | None:
        """What a call with this token was answered before, None if there was none.

        Raises ConflictException if that was another request.
        """
        known = self._store.get(caller, KIND, f"{operation}/{request[_TOKEN]}")
        if known is None:
            return None
        if known["Request"] != _digest(request):
            raise ConflictException(
                f"The ClientRequestToken {request[_TOKEN]!r} was used for another {operation} "
                "request"
            )
        answer: Document = known["Answer"]
        return answer

    def keep(self, caller: Caller, operation: str, request: Document, answer: Document) -> None:
        """Remember an answer, as part of the running transaction."""
        entry = {"Request": _digest(request), "Answer": answer}
        self._store.put(caller, KIND, f"{operation}/{request[_TOKEN]}", entry)


def _digest(request: Document) -> str:
    given = {key: value for key, value in request.items() if key != _TOKEN}
    return hashlib.sha256(json.dumps(given, sort_keys=True).encode()).hexdigest()
