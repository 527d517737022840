"""Tags of alarms and dashboards, kept by ARN."""

from __future__ import annotations

from localcloud.cloudwatch.errors import InvalidParameterValue, ResourceNotFoundException
from localcloud.protocol import Caller, Document, Operation
from localcloud.store import Store

KIND = "cloudwatch-tags"
LIMIT = 50
_KINDS = {"alarm": "metric-alarm", "dashboard": "dashboard"}


class Tags:
    """TagResource, UntagResource, ListTagsForResource, and the tags that come with a Put call."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def operations(self) -> dict[str, Operation]:
        """The calls by their AWS names."""
        return {
            "TagResource": self.tag,
            "UntagResource": self.untag,
            "ListTagsForResource": self.list_tags,
        }

    def set(self, caller: Caller, arn: str, tags: list[Document]) -> None:
        """Add tags to a resource; a key that is there takes the new value."""
        with self._store.transaction():
            known = self._of(caller, arn)
            known.update({tag["Key"]: tag["Value"] for tag in tags})
            if len(known) > LIMIT:
                raise InvalidParameterValue(
                    f"{arn} would have {len(known)} tags; the limit is {LIMIT}"
                )
            if known:
                self._store.put(caller, KIND, arn, known)

    def forget(self, caller: Caller, arn: str) -> None:
        """Drop the tags of a resource that is deleted."""
        self._store.delete(caller, KIND, arn)

    def tag(self, caller: Caller, request: Document) -> Document:
        """TagResource: tags of an alarm or a dashboard."""
        self._require(caller, request["ResourceARN"])
        self.set(caller, request["ResourceARN"], request["Tags"])
        return {}

    def untag(self, caller: Caller, request: Document) -> Document:
        """UntagResource: take tags away."""
        arn = request["ResourceARN"]
        self._require(caller, arn)
        with self._store.transaction():
            known = self._of(caller, arn)
            gone = request["TagKeys"]
            self._store.put(caller, KIND, arn, {k: v for k, v in known.items() if k not in gone})
        return {}

    def list_tags(self, caller: Caller, request: Document) -> Document:
        """ListTagsForResource: the tags of an alarm or a dashboard."""
        self._require(caller, request["ResourceARN"])
        known = self._of(caller, request["ResourceARN"])
        return {"Tags": [{"Key": key, "Value": value} for key, value in known.items()]}

    def _require(self, caller: Caller, arn: str) -> None:
        """Raise unless an ARN is that of an alarm or a dashboard of the caller's."""
        for word, kind in _KINDS.items():
            region = "" if word == "dashboard" else caller.region
            separator = "/" if word == "dashboard" else ":"
            prefix = f"arn:aws:cloudwatch:{region}:{caller.account}:{word}{separator}"
            if arn.startswith(prefix):
                if self._store.get(caller, kind, arn[len(prefix) :]) is None:
                    raise ResourceNotFoundException(f"The resource {arn} does not exist.")
                return
        raise InvalidParameterValue(
            f"{arn[:200]!r} is not the ARN of an alarm or a dashboard of account {caller.account} "
            f"in {caller.region}"
        )

    def _of(self, caller: Caller, arn: str) -> Document:
        return self._store.get(caller, KIND, arn) or {}
