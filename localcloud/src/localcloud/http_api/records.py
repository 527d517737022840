"""APIs as they are stored: one document each, with all its parts."""

from __future__ import annotations

import base64
import binascii
import secrets
import string
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from localcloud.http_api.errors import BadRequestException, NotFoundException
from localcloud.protocol import Caller, Document
from localcloud.store import Store

KIND = "http-api"
_ALPHABET = string.ascii_lowercase + string.digits
_A_PAGE = 100


def new_id(length: int = 7) -> str:
    """An identifier as API Gateway makes them; it begins with a letter."""
    rest = (secrets.choice(_ALPHABET) for _ in range(length - 1))
    return secrets.choice(string.ascii_lowercase) + "".join(rest)


@dataclass(frozen=True)
class Records:
    """APIs by their identifiers.

    A document has the members `api`, as GetApi answers it, and `integrations`, `routes`,
    `authorizers`, `stages` and `deployments`, by their identifiers or names. `told` is called
    after each change.
    """

    store: Store
    told: Callable[[Caller, str], None]

    def find(self, caller: Caller, api_id: str) -> Document:
        """An API's document. Raises NotFoundException."""
        found = self.store.get(caller, KIND, api_id)
        if found is None:
            raise NotFoundException(f"Invalid API identifier specified {caller.account}:{api_id}")
        return found

    @contextmanager
    def change(self, caller: Caller, api_id: str) -> Iterator[Document]:
        """An API's document to change: stored, and told, if nothing is raised."""
        with self.store.transaction():
            document = self.find(caller, api_id)
            yield document
            self.put(caller, document)
        self.told(caller, api_id)

    def put(self, caller: Caller, document: Document) -> None:
        """Store an API."""
        self.store.put(caller, KIND, document["api"]["ApiId"], document)

    def delete(self, caller: Caller, api_id: str) -> None:
        """Forget an API."""
        with self.store.transaction():
            self.find(caller, api_id)
            self.store.delete(caller, KIND, api_id)
        self.told(caller, api_id)


def part(document: Document, kind: str, identifier: str) -> Document:
    """A part of an API, by its kind's plural. Raises NotFoundException."""
    found: Document | None = document[kind].get(identifier)
    if found is None:
        noun = kind.removesuffix("s").capitalize()
        raise NotFoundException(f"Invalid {noun} identifier specified {identifier}")
    return found


def page(request: Document, items: list[Any]) -> Document:
    """The page of a list that a request asks for."""
    size, token = request.get("MaxResults"), request.get("NextToken")
    try:
        most = _A_PAGE if size is None else int(size)
        start = 0 if token is None else int(base64.b64decode(token, validate=True))
    except (ValueError, binascii.Error) as error:
        raise BadRequestException(
            f"Invalid paging parameter: MaxResults {size!r}, NextToken {token!r}"
        ) from error
    if not 0 < most <= 1000 or start < 0:
        raise BadRequestException(f"MaxResults must be 1 to 1000, not {size}")
    answer: Document = {"Items": items[start : start + most]}
    if start + most < len(items):
        answer["NextToken"] = base64.b64encode(str(start + most).encode()).decode()
    return answer


def merged(before: Document, given: Document) -> Document:
    """A part with the members that an update gives."""
    keys = ("ApiId", "RouteId", "IntegrationId", "AuthorizerId", "DeploymentId")
    return before | {name: value for name, value in given.items() if name not in keys}
