"""The JSONPath of DataProcessing's filters: the subset that AWS documents, and nothing else.

Source: "Associate Prediction Results with Input Records" of the SageMaker Developer Guide. By it
the end of a slice is included, unlike Python's.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from localcloud.containers.errors import JobNotSupported, RecordError

_PART = re.compile(
    r"\.(?P<any>\*)|\.(?P<name>[^.\[\]*'\",\s()?@]+)|\.?\[\s*(?P<inside>\*|'[^\]]*'|[-\d:,\s]+)\s*\]"
)
_NAMES = re.compile(r"'([^']*)'(?:\s*,\s*|$)")
_ITEM = re.compile(r"\s*(?:(?P<index>-?\d+)|(?P<start>-?\d+)?:(?P<end>-?\d+)?)\s*")


class _Every:
    """A wildcard: all values of an object or a list."""

    definite = False

    def of(self, node: Any) -> list[Any]:
        if isinstance(node, dict):
            return list(node.values())
        if isinstance(node, list):
            return list(node)
        raise RecordError("* asks for an object or a list")


@dataclass(frozen=True)
class _Names:
    """One member of an object, or an object of several of its members."""

    names: tuple[str, ...]
    definite = True

    def of(self, node: Any) -> list[Any]:
        missing = [each for each in self.names if not isinstance(node, dict) or each not in node]
        if missing:
            raise RecordError(f"there is no member {missing[0]!r}")
        if len(self.names) == 1:
            return [node[self.names[0]]]
        return [{each: node[each] for each in self.names}]


@dataclass(frozen=True)
class _Items:
    """One item of a list, or several by index and slice, in the order in which they are named."""

    items: tuple[int | slice, ...]

    @property
    def definite(self) -> bool:
        return len(self.items) == 1 and isinstance(self.items[0], int)

    def of(self, node: Any) -> list[Any]:
        if not isinstance(node, list):
            raise RecordError("an index asks for a list, or for a row of csv")
        found: list[Any] = []
        for item in self.items:
            if isinstance(item, slice):
                chosen = node[item]
                if not chosen:
                    raise RecordError(f"a slice has nothing in it: there are {len(node)} items")
                found += chosen
            elif -len(node) <= item < len(node):
                found.append(node[item])
            else:
                raise RecordError(f"index {item} is outside: there are {len(node)} items")
        return found


@dataclass(frozen=True)
class JsonPath:
    """A path that was read; `text` is how it was written."""

    text: str
    _parts: tuple[_Every | _Names | _Items, ...]

    @classmethod
    def read(cls, text: str, where: str) -> JsonPath:
        """Read a path. Raises JobNotSupported, with `where` in front, for any other JSONPath."""
        if not text.startswith("$"):
            raise JobNotSupported(f"{where} must begin with $, not {text!r}")
        return cls(text, tuple(_parts(text, where)))

    @property
    def everything(self) -> bool:
        """Whether it is the root: all of a record."""
        return not self._parts

    @property
    def of_rows(self) -> bool:
        """Whether it can be applied to a row of csv: by index only."""
        return all(not isinstance(part, _Names) for part in self._parts)

    def of(self, record: Any) -> Any:
        """What of a record it chooses: a value, or a list where it names several.

        Raises:
            RecordError: the record has no such thing.
        """
        nodes, definite = [record], True
        try:
            for part in self._parts:
                nodes = [found for node in nodes for found in part.of(node)]
                definite = definite and part.definite
        except RecordError as exc:
            raise RecordError(f"the JSONPath {self.text} does not fit a record: {exc}") from exc
        return nodes[0] if definite else nodes


def _parts(text: str, where: str) -> Iterator[_Every | _Names | _Items]:
    position = 1
    while position < len(text):
        part = _PART.match(text, position)
        if part is None:
            raise _other(text, where)
        position = part.end()
        inside = (part["inside"] or "").strip()
        if part["any"] or inside == "*":
            yield _Every()
        elif part["name"]:
            yield _Names((part["name"],))
        elif inside.startswith("'"):
            if _NAMES.sub("", inside):
                raise _other(text, where)
            yield _Names(tuple(_NAMES.findall(inside)))
        else:
            yield _Items(tuple(_item(each, text, where) for each in inside.split(",")))


def _item(given: str, text: str, where: str) -> int | slice:
    item = _ITEM.fullmatch(given)
    if item is None:
        raise _other(text, where)
    if item["index"]:
        return int(item["index"])
    start = int(item["start"]) if item["start"] else None
    end = int(item["end"]) + 1 if item["end"] else 0
    return slice(start, end or None)


def _other(text: str, where: str) -> JobNotSupported:
    return JobNotSupported(
        f"{where} must be a JSONPath of $, .name, *, ['name','name'], [number,number] and "
        f"[start:end], as AWS documents it, not {text!r}"
    )
