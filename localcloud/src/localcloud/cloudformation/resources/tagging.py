"""Tags of resources: the stack's and their own, and the calls by which they change."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from localcloud.cloudformation.resources.schemas import tags_of
from localcloud.cloudformation.resources.services import Calls
from localcloud.cloudformation.templates.values import UNKNOWN
from localcloud.protocol import Document


@dataclass(frozen=True)
class Tagging:
    """How one service changes tags; `pairs` says whether it takes a list of pairs or a map."""

    tag: str
    untag: str
    what: str
    pairs: bool
    tags: str = "Tags"
    keys: str = "TagKeys"


TAGGING = {
    "apigatewayv2": Tagging("TagResource", "UntagResource", "ResourceArn", pairs=False),
    "application-autoscaling": Tagging("TagResource", "UntagResource", "ResourceARN", pairs=False),
    "cloudwatch": Tagging("TagResource", "UntagResource", "ResourceARN", pairs=True),
    "iam": Tagging("TagRole", "UntagRole", "RoleName", pairs=True),
    "lambda": Tagging("TagResource", "UntagResource", "Resource", pairs=False),
    "logs": Tagging(
        "TagResource", "UntagResource", "resourceArn", pairs=False, tags="tags", keys="tagKeys"
    ),
    "sagemaker": Tagging("AddTags", "DeleteTags", "ResourceArn", pairs=True),
    "secretsmanager": Tagging("TagResource", "UntagResource", "SecretId", pairs=True),
    "sns": Tagging("TagResource", "UntagResource", "ResourceArn", pairs=True),
}


def with_stack_tags(type_name: str, properties: Document, tags: Mapping[str, str]) -> Document:
    """The properties with the stack's tags; a tag of the resource's own stays."""
    kind = tags_of(type_name)
    own = properties.get("Tags")
    if kind is None or not tags or own is UNKNOWN:
        return properties
    if kind == "object":
        return properties | {"Tags": {**tags, **(own or {})}}
    pairs = list(own or [])
    named = {pair.get("Key") for pair in pairs if isinstance(pair, dict)}
    pairs += [{"Key": key, "Value": value} for key, value in tags.items() if key not in named]
    return properties | {"Tags": pairs}


def tag_map(properties: Document) -> dict[str, str]:
    """A resource's tags by key."""
    tags: Any = properties.get("Tags") or {}
    if isinstance(tags, dict):
        return dict(tags)
    return {pair["Key"]: pair.get("Value", "") for pair in tags}


def tag_argument(tags: Mapping[str, str], *, pairs: bool) -> Any:
    """Tags as a service takes them."""
    if pairs:
        return [{"Key": key, "Value": value} for key, value in tags.items()]
    return dict(tags)


def retag(calls: Calls, service: str, what: str, before: Document, after: Document) -> None:
    """Change the tags of a thing, named as its service's calls want it, where they differ."""
    tagging = TAGGING[service]
    old, new = tag_map(before), tag_map(after)
    changed = {key: value for key, value in new.items() if old.get(key) != value}
    gone = sorted(set(old) - set(new))
    if gone:
        calls(service, tagging.untag, **{tagging.what: what, tagging.keys: gone})
    if changed:
        argument = tag_argument(changed, pairs=tagging.pairs)
        calls(service, tagging.tag, **{tagging.what: what, tagging.tags: argument})
