"""S3's XML: written by a few lines, read without namespaces, entities or document types."""

import re
from collections.abc import Iterable
from typing import TypeAlias
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from localcloud.s3.errors import MalformedXML

NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"
Content: TypeAlias = str | Iterable[tuple[str, "Content | None"]]
"""A text, or children in their order; a child that is None is left out."""

_SPECIAL = re.compile('[&<>"\x00-\x08\x0b-\x1f]')


def write(root: str, content: Content, *, namespace: bool = True) -> bytes:
    """A document with this root element."""
    pieces = ['<?xml version="1.0" encoding="UTF-8"?>\n', f"<{root}"]
    if namespace:
        pieces.append(f' xmlns="{NAMESPACE}"')
    pieces.append(">")
    _write(content, pieces)
    pieces.append(f"</{root}>")
    return "".join(pieces).encode()


def read(body: bytes, root: str) -> Element:
    """The root element of a document, all names without their namespace.

    Raises MalformedXML unless the document is well-formed, has no document type, and its root has
    the expected name.
    """
    builder = TreeBuilder()
    parser = expat.ParserCreate(namespace_separator="}")
    parser.buffer_text = True
    parser.StartElementHandler = lambda tag, attributes: builder.start(_local(tag), attributes)
    parser.EndElementHandler = lambda tag: builder.end(_local(tag))
    parser.CharacterDataHandler = builder.data
    parser.StartDoctypeDeclHandler = _refuse_document_type
    try:
        parser.Parse(body, True)  # noqa: FBT003  (expat's signature)
        element: Element = builder.close()
    except (expat.ExpatError, AssertionError) as error:
        raise MalformedXML from error
    if element.tag != root:
        raise MalformedXML
    return element


def text(element: Element, path: str) -> str | None:
    """The text at a path below the element, or None."""
    found = element.find(path)
    return None if found is None else (found.text or "").strip()


def required(element: Element, path: str) -> str:
    """The text at a path below the element, or MalformedXML."""
    found = text(element, path)
    if not found:
        raise MalformedXML
    return found


def _write(content: Content, pieces: list[str]) -> None:
    if isinstance(content, str):
        pieces.append(_SPECIAL.sub(lambda match: f"&#{ord(match[0])};", content))
        return
    for name, value in content:
        if value is not None:
            pieces.append(f"<{name}>")
            _write(value, pieces)
            pieces.append(f"</{name}>")


def _local(tag: str) -> str:
    return tag.rpartition("}")[2]


def _refuse_document_type(*_: object) -> None:
    raise MalformedXML
