"""Tags of SageMaker's resources, kept by ARN."""

from __future__ import annotations

from localcloud.errors import ValidationException
from localcloud.protocol import Caller, Document, Operation
from localcloud.sagemaker.listing import paged
from localcloud.store import Store

KIND = "tags"
LIMIT = 50


class Tags:
    """AddTags, ListTags, DeleteTags, and the tags that come with a Create call."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def operations(self) -> dict[str, Operation]:
        """The calls by their AWS names."""
        return {"AddTags": self.add, "ListTags": self.list_tags, "DeleteTags": self.delete}

    def set(self, caller: Caller, arn: str, tags: list[Document] | None) -> None:
        """Add tags to a resource; a key that is there takes the new value."""
        if not tags:
            return
        with self._store.transaction():
            known = self.of(caller, arn)
            known.update({tag["Key"]: tag["Value"] for tag in tags})
            if len(known) > LIMIT:
                raise ValidationException(
                    f"{arn} would have {len(known)} tags; the limit is {LIMIT}"
                )
            self._store.put(caller, KIND, arn, known)

    def of(self, caller: Caller, arn: str) -> Document:
        """The tags of a resource, as a mapping."""
        return self._store.get(caller, KIND, arn) or {}

    def forget(self, caller: Caller, arn: str) -> None:
        """Drop the tags of a resource that is deleted."""
        self._store.delete(caller, KIND, arn)

    def add(self, caller: Caller, request: Document) -> Document:
        """AddTags: at most 50, of a resource of SageMaker."""
        self._require(caller, request["ResourceArn"])
        self.set(caller, request["ResourceArn"], request["Tags"])
        return {"Tags": _pairs(self.of(caller, request["ResourceArn"]))}

    def list_tags(self, caller: Caller, request: Document) -> Document:
        """ListTags: in pages."""
        self._require(caller, request["ResourceArn"])
        return paged("Tags", request, _pairs(self.of(caller, request["ResourceArn"])))

    def delete(self, caller: Caller, request: Document) -> Document:
        """DeleteTags: by their keys."""
        self._require(caller, request["ResourceArn"])
        with self._store.transaction():
            known = self.of(caller, request["ResourceArn"])
            for key in request["TagKeys"]:
                known.pop(key, None)
            self._store.put(caller, KIND, request["ResourceArn"], known)
        return {}

    def _require(self, caller: Caller, arn: str) -> None:
        """Raise ValidationException unless an ARN is that of something of the caller's."""
        prefix = f"arn:aws:sagemaker:{caller.region}:{caller.account}:"
        if not arn.startswith(prefix):
            raise ValidationException(
                f"{arn!r} is not the ARN of a resource of account {caller.account} "
                f"in {caller.region}"
            )
        kind, _, name = arn[len(prefix) :].partition("/")
        if kind == "pipeline" and "/execution/" in name:
            kind = "pipeline-execution"
        # Every kind of resource is stored under the word that stands in its ARN.
        if self._store.get(caller, kind, name) is None:
            raise ValidationException(f"The resource {arn} does not exist.")


def _pairs(tags: Document) -> list[Document]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]
