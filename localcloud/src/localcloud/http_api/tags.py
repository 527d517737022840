"""Tags of APIs and stages."""

from __future__ import annotations

import re

from localcloud.http_api.errors import NotFoundException
from localcloud.http_api.records import Records, part
from localcloud.http_api.rules import check_tags
from localcloud.protocol import Caller, Document, Operation

_ARN = re.compile(
    r"arn:aws:apigateway:(?P<region>[a-z0-9-]+)::/apis/(?P<api>[^/]+)(/stages/(?P<stage>[^/]+))?"
)


class ApiTags:
    """TagResource, UntagResource, GetTags."""

    def __init__(self, records: Records) -> None:
        self._records = records

    def operations(self) -> dict[str, Operation]:
        """The calls by their AWS names."""
        return {
            "TagResource": self.tag,
            "UntagResource": self.untag,
            "GetTags": self.get,
        }

    def tag(self, caller: Caller, request: Document) -> Document:
        """TagResource: a key that is there takes the new value."""
        api_id, stage = _named(caller, request["ResourceArn"])
        with self._records.change(caller, api_id) as document:
            tags = _place(document, stage)["Tags"]
            tags |= request.get("Tags", {})
            check_tags(tags)
        return {}

    def untag(self, caller: Caller, request: Document) -> Document:
        """UntagResource: keys that are not there do not matter."""
        api_id, stage = _named(caller, request["ResourceArn"])
        with self._records.change(caller, api_id) as document:
            for key in request["TagKeys"]:
                _place(document, stage)["Tags"].pop(key, None)
        return {}

    def get(self, caller: Caller, request: Document) -> Document:
        """GetTags: of an API or a stage."""
        api_id, stage = _named(caller, request["ResourceArn"])
        return {"Tags": _place(self._records.find(caller, api_id), stage)["Tags"]}


def _named(caller: Caller, arn: str) -> tuple[str, str | None]:
    found = _ARN.fullmatch(arn)
    if found is None or found["region"] != caller.region:
        raise NotFoundException(f"Invalid resource identifier specified: {arn[:200]}")
    return found["api"], found["stage"]


def _place(document: Document, stage: str | None) -> Document:
    api: Document = document["api"]
    return api if stage is None else part(document, "stages", stage)
