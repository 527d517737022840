"""Tags of buckets and objects, and S3's limits for them."""

from collections.abc import Mapping
from urllib.parse import parse_qsl
from xml.etree.ElementTree import Element

from localcloud.s3 import xml
from localcloud.s3.errors import BadRequest, InvalidTag, MalformedXML

OBJECT_LIMIT = 10
BUCKET_LIMIT = 50


def tags_of_header(header: str | None) -> dict[str, str]:
    """The tags of an ``x-amz-tagging`` header, which is a query string."""
    return _checked(parse_qsl(header or "", keep_blank_values=True), OBJECT_LIMIT)


def tags_of_document(tagging: Element, limit: int) -> dict[str, str]:
    """The tags of a ``Tagging`` element."""
    tag_set = tagging.find("TagSet")
    if tag_set is None:
        raise MalformedXML
    pairs = [
        (xml.required(tag, "Key"), (tag.findtext("Value") or "")) for tag in tag_set.iter("Tag")
    ]
    return _checked(pairs, limit)


def write_tags(tags: Mapping[str, str]) -> bytes:
    """The ``Tagging`` document of these tags."""
    entries: list[tuple[str, xml.Content | None]] = [
        ("Tag", [("Key", name), ("Value", value)]) for name, value in tags.items()
    ]
    return xml.write("Tagging", [("TagSet", entries)])


def _checked(pairs: list[tuple[str, str]], limit: int) -> dict[str, str]:
    if len(pairs) > limit:
        kind = "Object" if limit == OBJECT_LIMIT else "Bucket"
        raise BadRequest(f"{kind} tags cannot be greater than {limit}")
    tags = dict(pairs)
    if len(tags) < len(pairs):
        raise InvalidTag("Cannot provide multiple Tags with the same key")
    for name, value in tags.items():
        if not 1 <= len(name) <= 128 or name.startswith("aws:"):
            raise InvalidTag("The TagKey you have provided is invalid", details={"TagKey": name})
        if len(value) > 256:
            raise InvalidTag(
                "The TagValue you have provided is invalid",
                details={"TagKey": name, "TagValue": value},
            )
    return tags
