"""A type of resource: how one is made, found, changed and deleted by calls to its service."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import jmespath

from localcloud.cloudformation.errors import ResourceFailed
from localcloud.cloudformation.resources.arguments import arguments, members
from localcloud.cloudformation.resources.schemas import read_only, schemas
from localcloud.cloudformation.resources.services import CallFailed, Calls
from localcloud.cloudformation.resources.tagging import (
    TAGGING,
    retag,
    tag_argument,
    tag_map,
)
from localcloud.protocol import Document

Key = dict[str, Any]
"""The arguments by which a resource is found, changed and deleted; kept in its record."""


@dataclass(frozen=True)
class Kind:
    """One type. This class does for those of one call each; the others have a class of their own.

    `key` says which property, or member of the answer to `create`, each argument of Key is;
    `name` is the property that is given a name where the template gives none, of at most
    `name_length` characters; `ref` and `attributes` are JMESPath expressions over what `find`
    gives; `arn` names the attribute by which the resource is tagged; `defaults` is what a property
    becomes that an update takes away; `more` are properties that a class of its own takes care of;
    `without` are those that AWS has and localcloud refuses.
    """

    type: str
    service: str
    create_call: str
    find_call: str
    delete_call: str
    key: Mapping[str, str]
    ref: str
    attributes: Mapping[str, str]
    update_call: str | None = None
    name: str | None = None
    name_length: int = 63
    arn: str = "Arn"
    defaults: Mapping[str, Any] = field(default_factory=dict)
    more: frozenset[str] = frozenset()
    without: frozenset[str] = frozenset()
    listed_by: tuple[str, str] | None = None
    """For those whose id the service gives: the call that lists them, and what tells them apart."""

    # Checks

    def refuse_others(self, properties: Document) -> None:
        """Raise ResourceFailed for a property that localcloud does not emulate, at any depth."""
        known = {*members(self.service, self.create_call), *(name.lower() for name in self.more)}
        for name in properties:
            if name in self.without or name.lower() not in {*known, "tags"}:
                raise ResourceFailed(f"localcloud does not emulate the property {name}")
        arguments(self.service, self.create_call, self.plain(properties))

    def gives(self, attribute: str) -> bool:
        """Whether `Fn::GetAtt` knows an attribute."""
        return attribute in self.attributes

    # What is done

    def identify(self, calls: Calls, properties: Document) -> Key | None:  # noqa: ARG002
        """The key of the resource that such properties make; None if its service gives the id."""
        found = {argument: properties.get(name) for argument, name in self.key.items()}
        return None if None in found.values() else found

    def siblings(self, calls: Calls, properties: Document) -> list[Key]:
        """The keys of what cannot be told from a resource with such properties but by its id."""
        if self.listed_by is None:
            return []
        operation, name = self.listed_by
        asked = {key: properties[key] for key in self.key if key in properties}
        items: list[Document] = []
        more: Document = {}
        while True:
            page = calls(self.service, operation, **asked, **more)
            items += page["Items"]
            if "NextToken" not in page:
                break
            more = {"NextToken": page["NextToken"]}
        return [
            asked | {argument: item[argument] for argument in self.key if argument not in asked}
            for item in items
            if name not in properties or item.get(name) == properties[name]
        ]

    def create(self, calls: Calls, properties: Document) -> Key:
        """Make the resource and wait until it is usable."""
        given = arguments(self.service, self.create_call, self.plain(properties))
        answer = calls(self.service, self.create_call, **given, **self._tags(properties))
        known = properties | answer
        return {argument: known[name] for argument, name in self.key.items()}

    def find(self, calls: Calls, key: Key) -> Document | None:
        """What the service tells of the resource, None if there is none."""
        try:
            return calls(self.service, self.find_call, **key)
        except CallFailed as error:
            if error.says_not_found:
                return None
            raise

    def update(self, calls: Calls, key: Key, before: Document, after: Document) -> None:
        """Change the resource in place."""
        if self.changed(before, after):
            self.change(calls, key, before, after)
        self.retag(calls, key, before, after)

    def change(self, calls: Calls, key: Key, before: Document, after: Document) -> None:
        """Change what is no tag."""
        if self.update_call is None:
            raise ResourceFailed(f"A resource of type {self.type} cannot be changed in place")
        given = arguments(self.service, self.update_call, self.plain(self.filled(before, after)))
        calls(self.service, self.update_call, **(given | key))

    def retag(self, calls: Calls, key: Key, before: Document, after: Document) -> None:
        """Change the tags."""
        if tag_map(before) == tag_map(after):
            return
        found = self.find(calls, key)
        if found is None:
            raise ResourceFailed(f"The resource {self.shown(key)} is gone")
        what = self.values(found).get(self.arn)
        retag(calls, self.service, str(what), before, after)

    def delete(self, calls: Calls, key: Key) -> None:
        """Delete the resource; nothing happens if it is gone."""
        try:
            calls(self.service, self.delete_call, **key)
        except CallFailed as error:
            if not error.says_not_found:
                raise

    # What is told

    def values(self, found: Document) -> Document:
        """The attributes of a resource that was found."""
        told = {name: jmespath.search(path, found) for name, path in self.attributes.items()}
        return {name: value for name, value in told.items() if value is not None}

    def physical_id(self, found: Document) -> str:
        """What `Ref` gives."""
        return str(jmespath.search(self.ref, found))

    def shown(self, key: Key) -> str:
        """A key for people."""
        return "|".join(str(value) for value in key.values())

    # Helps

    def plain(self, properties: Document) -> Document:
        """The properties without tags, as the calls take them."""
        return {name: value for name, value in properties.items() if name != "Tags"}

    def changed(self, before: Document, after: Document) -> bool:
        """Whether anything but the tags differs."""
        return {k: v for k, v in before.items() if k != "Tags"} != {
            k: v for k, v in after.items() if k != "Tags"
        }

    def filled(self, before: Document, after: Document) -> Document:
        """The properties after a change, with defaults for those that it takes away."""
        gone = {
            name
            for name in before
            if name not in after and name != "Tags" and name not in self.more
        }
        unknown = sorted(gone - set(self.defaults))
        if unknown and self.defaults:
            raise ResourceFailed(
                f"localcloud cannot take away {', '.join(unknown)} of a {self.type} in place; "
                "give a value"
            )
        return {name: self.defaults[name] for name in gone if name in self.defaults} | after

    def _tags(self, properties: Document) -> Document:
        tags = tag_map(properties)
        name = members(self.service, self.create_call).get("tags")
        if not tags or name is None:
            return {}
        pairs = self.service != "apigatewayv2" and TAGGING[self.service].pairs
        return {name: tag_argument(tags, pairs=pairs)}


def readable(kind: Kind) -> frozenset[str]:
    """The read-only properties that are no parts of others: what `Fn::GetAtt` must know."""
    return read_only(kind.type) - {
        name
        for name in read_only(kind.type)
        if schemas()[kind.type]["properties"][name].get("$ref")
    }
