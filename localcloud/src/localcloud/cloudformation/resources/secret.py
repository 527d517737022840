"""AWS::SecretsManager::Secret, given or generated."""

from __future__ import annotations

import json
from typing import Any

from localcloud.cloudformation.errors import ResourceFailed
from localcloud.cloudformation.resources.kind import Key, Kind
from localcloud.cloudformation.resources.services import Calls
from localcloud.protocol import Document

_GENERATE = "GenerateSecretString"
_TEMPLATE = ("SecretStringTemplate", "GenerateStringKey")


class SecretKind(Kind):
    """A generated secret is generated once, and again only when the way to generate it changes."""

    def create(self, calls: Calls, properties: Document) -> Key:
        """CreateSecret, with a value of GetRandomPassword where one is to be generated."""
        text = self._text(calls, properties)
        plain = {name: value for name, value in properties.items() if name != _GENERATE}
        return super().create(calls, plain | ({} if text is None else {"SecretString": text}))

    def change(self, calls: Calls, key: Key, before: Document, after: Document) -> None:
        """UpdateSecret; the value only where it, or the way to generate it, changed."""
        plain = {
            name: after.get(name, default)
            for name, default in self.defaults.items()
            if name in before or name in after
        }
        ways = ("SecretString", _GENERATE)
        if any(before.get(name) != after.get(name) for name in ways):
            text = self._text(calls, after)
            if text is not None:
                plain["SecretString"] = text
        calls("secretsmanager", "UpdateSecret", **key, **plain)

    def delete(self, calls: Calls, key: Key) -> None:
        """At once, without a time in which it could be restored."""
        super().delete(calls, key | {"ForceDeleteWithoutRecovery": True})

    def _text(self, calls: Calls, properties: Document) -> str | None:
        way: Document | None = properties.get(_GENERATE)
        if way is None:
            text: str | None = properties.get("SecretString")
            return text
        if "SecretString" in properties:
            raise ResourceFailed("SecretString and GenerateSecretString cannot both be given")
        asked = {name: value for name, value in way.items() if name not in _TEMPLATE}
        word: str = calls("secretsmanager", "GetRandomPassword", **asked)["RandomPassword"]
        given = [name for name in _TEMPLATE if name in way]
        if not given:
            return word
        if len(given) == 1:
            raise ResourceFailed(f"{_TEMPLATE[0]} and {_TEMPLATE[1]} must be given together")
        return json.dumps(_object(way[_TEMPLATE[0]]) | {way[_TEMPLATE[1]]: word})


def _object(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError as error:
        raise ResourceFailed(f"SecretStringTemplate is not JSON: {error}") from error
    if not isinstance(found, dict):
        raise ResourceFailed("SecretStringTemplate must be a JSON object")
    return found
