"""Tags of functions."""

from __future__ import annotations

from collections.abc import Mapping

from localcloud.functions.errors import InvalidParameterValueException
from localcloud.functions.names import named
from localcloud.functions.records import Records
from localcloud.protocol import Caller, Document, Operation

LIMIT = 50


class FunctionTags:
    """TagResource, UntagResource, ListTags."""

    def __init__(self, records: Records) -> None:
        self._records = records

    def operations(self) -> dict[str, Operation]:
        """The calls by their AWS names."""
        return {
            "TagResource": self.tag,
            "UntagResource": self.untag,
            "ListTags": self.list_tags,
        }

    def tag(self, caller: Caller, request: Document) -> Document:
        """TagResource: a key that is there takes the new value."""
        name = named(caller, {"FunctionName": request["Resource"]})
        with self._records.store.transaction():
            document = self._records.find(caller, name)
            tags = document["tags"] | request["Tags"]
            check_tags(tags)
            self._records.put(caller, document | {"tags": tags})
        return {}

    def untag(self, caller: Caller, request: Document) -> Document:
        """UntagResource: keys that are not there do not matter."""
        name = named(caller, {"FunctionName": request["Resource"]})
        with self._records.store.transaction():
            document = self._records.find(caller, name)
            for key in request["TagKeys"]:
                document["tags"].pop(key, None)
            self._records.put(caller, document)
        return {}

    def list_tags(self, caller: Caller, request: Document) -> Document:
        """ListTags: of one function."""
        name = named(caller, {"FunctionName": request["Resource"]})
        return {"Tags": self._records.find(caller, name)["tags"]}


def check_tags(tags: Mapping[str, str]) -> None:
    """Raise InvalidParameterValueException for what cannot be a resource's tags."""
    if len(tags) > LIMIT:
        raise InvalidParameterValueException(
            f"Number of tags exceeds resource tag limit of {LIMIT}: {len(tags)}"
        )
    own = sorted(key for key in tags if key.lower().startswith("aws:"))
    if own:
        raise InvalidParameterValueException(
            f"aws: prefixed tag key names are not allowed for external use: {', '.join(own)}"
        )
