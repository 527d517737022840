"""Log groups: those that somebody made, and those that the streams of jobs and endpoints imply."""

from __future__ import annotations

from pathlib import Path

from localcloud.errors import (
    InvalidParameterException,
    ResourceAlreadyExistsException,
    ResourceNotFoundException,
)
from localcloud.protocol import Caller, Document, Operation
from localcloud.store import Store

KIND = "log-group"
STREAM = "log-stream"
DAYS = (1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922,
        3288, 3653)  # fmt: skip


class LogGroups:
    """A group is there from its making, or its first stream, until somebody deletes it."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def operations(self) -> dict[str, Operation]:
        """The calls by their AWS names."""
        return {
            "CreateLogGroup": self.create,
            "DeleteLogGroup": self.delete,
            "PutRetentionPolicy": self.put_retention,
            "DeleteRetentionPolicy": self.delete_retention,
            "TagResource": self.tag,
            "UntagResource": self.untag,
            "ListTagsForResource": self.list_tags,
        }

    def all(self, caller: Caller) -> list[Document]:
        """Every group by name, as DescribeLogGroups shows it."""
        found: dict[str, Document] = {}
        for stream in self._store.documents(caller, STREAM):
            found.setdefault(stream["group"], _group(caller, stream["group"], stream["created"]))
        for group in self._store.documents(caller, KIND):
            found[group["logGroupName"]] = group
        return [found[name] for name in sorted(found)]

    def find(self, caller: Caller, name: str) -> Document:
        """A group. Raises ResourceNotFoundException."""
        found = self._store.get(caller, KIND, name)
        if found is not None:
            return found
        streams = self._store.documents(caller, STREAM, f"{name}:")
        if not streams:
            raise ResourceNotFoundException("The specified log group does not exist.")
        return _group(caller, name, streams[0]["created"])

    def create(self, caller: Caller, request: Document) -> None:
        """CreateLogGroup: before anything writes to it; a key is stored, nothing is encrypted."""
        name = request["logGroupName"]
        if request.get("deletionProtectionEnabled"):
            raise InvalidParameterException(
                "localcloud does not emulate deletionProtectionEnabled of log groups"
            )
        with self._store.transaction():
            if any(group["logGroupName"] == name for group in self.all(caller)):
                raise ResourceAlreadyExistsException("The specified log group already exists")
            group = _group(caller, name, int(self._store.clock.now() * 1000))
            group |= {
                member: request[member]
                for member in ("logGroupClass", "kmsKeyId", "tags")
                if member in request
            }
            self._store.put(caller, KIND, name, group)

    def delete(self, caller: Caller, request: Document) -> None:
        """DeleteLogGroup: its streams and their lines are gone, too."""
        name = request["logGroupName"]
        with self._store.transaction():
            self.find(caller, name)
            streams = self._store.documents(caller, STREAM, f"{name}:")
            for stream in streams:
                self._store.delete(caller, STREAM, f"{name}:{stream['stream']}")
            self._store.delete(caller, KIND, name)
        for stream in streams:
            path = Path(stream["path"])
            path.unlink(missing_ok=True)
            path.with_suffix(".marks").unlink(missing_ok=True)

    def put_retention(self, caller: Caller, request: Document) -> None:
        """PutRetentionPolicy: stored; nothing expires."""
        days = request["retentionInDays"]
        if days not in DAYS:
            raise InvalidParameterException(
                f"retentionInDays must be one of {', '.join(map(str, DAYS))}, not {days}"
            )
        self._change(caller, request["logGroupName"], retentionInDays=days)

    def delete_retention(self, caller: Caller, request: Document) -> None:
        """DeleteRetentionPolicy: the lines never expire then."""
        self._change(caller, request["logGroupName"], retentionInDays=None)

    def tag(self, caller: Caller, request: Document) -> None:
        """TagResource: of a group, by its ARN."""
        with self._store.transaction():
            group = self._by_arn(caller, request["resourceArn"])
            tags = group.get("tags", {}) | request["tags"]
            self._change(caller, group["logGroupName"], tags=tags)

    def untag(self, caller: Caller, request: Document) -> None:
        """UntagResource: tags that are not there are no error."""
        with self._store.transaction():
            group = self._by_arn(caller, request["resourceArn"])
            gone = request["tagKeys"]
            left = {key: text for key, text in group.get("tags", {}).items() if key not in gone}
            self._change(caller, group["logGroupName"], tags=left)

    def list_tags(self, caller: Caller, request: Document) -> Document:
        """ListTagsForResource: of a group, by its ARN."""
        return {"tags": self._by_arn(caller, request["resourceArn"]).get("tags", {})}

    def _change(self, caller: Caller, name: str, **changes: object) -> None:
        with self._store.transaction():
            group = self.find(caller, name) | changes
            group = {member: value for member, value in group.items() if value is not None}
            self._store.put(caller, KIND, name, group)

    def _by_arn(self, caller: Caller, arn: str) -> Document:
        prefix = f"arn:aws:logs:{caller.region}:{caller.account}:log-group:"
        if not arn.startswith(prefix):
            raise InvalidParameterException(f"{arn!r} is not the ARN of a log group here")
        return self.find(caller, arn.removeprefix(prefix).removesuffix(":*"))


def _group(caller: Caller, name: str, created: int) -> Document:
    arn = f"arn:aws:logs:{caller.region}:{caller.account}:log-group:{name}"
    return {
        "logGroupName": name,
        "creationTime": created,
        "arn": f"{arn}:*",
        "logGroupArn": arn,
        "logGroupClass": "STANDARD",
        "storedBytes": 0,
    }
