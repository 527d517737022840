"""Idempotency tokens: a call that is repeated with its token gets its first answer again."""

from __future__ import annotations

import hashlib
import json

from localcloud.errors import ConflictException
from localcloud.protocol import Caller, Document
from localcloud.store import Store

KIND = "request-token"


class RequestTokens:
    """The answers to calls that changed something, by operation and token.

    `member` is the name of the token in the requests; a request without one is as good as new.
    """

    def __init__(self, store: Store, member: str = "ClientRequestToken") -> None:
        self._store = store
        self._member = member

    def answer(self, caller: Caller, operation: str, request: Document) -> Document | None:
        """What a call with this token was answered before, None if there was none.

        Raises ConflictException if that was another request.
        """
        if self._member not in request:
            return None
        known = self._store.get(caller, KIND, f"{operation}/{request[self._member]}")
        if known is None:
            return None
        if known["Request"] != self._digest(request):
            raise ConflictException(
                f"The {self._member} {request[self._member]!r} was used for another {operation} "
                "request"
            )
        answer: Document = known["Answer"]
        return answer

    def keep(self, caller: Caller, operation: str, request: Document, answer: Document) -> None:
        """Remember an answer, as part of the running transaction."""
        if self._member in request:
            entry = {"Request": self._digest(request), "Answer": answer}
            self._store.put(caller, KIND, f"{operation}/{request[self._member]}", entry)

    def _digest(self, request: Document) -> str:
        given = {key: value for key, value in request.items() if key != self._member}
        return hashlib.sha256(json.dumps(given, sort_keys=True).encode()).hexdigest()
