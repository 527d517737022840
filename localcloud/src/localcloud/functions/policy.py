"""A function's resource policy: who may invoke it, statement by statement."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Callable

from localcloud.errors import NotEmulated
from localcloud.functions.errors import (
    InvalidParameterValueException,
    PolicyLengthExceededException,
    ResourceConflictException,
    ResourceNotFoundException,
)
from localcloud.functions.names import named
from localcloud.functions.records import Records, require_revision
from localcloud.protocol import Caller, Document, Operation

_LONGEST = 20_480
_SERVICE = re.compile(r"[a-z0-9-]+(\.[a-z0-9-]+)*\.amazonaws\.com(\.cn)?")
_ACCOUNT = re.compile(r"\d{12}")
_PRINCIPAL_ARN = re.compile(r"arn:aws[a-z-]*:(iam|sts)::\d{12}:\S+")


class Policies:
    """AddPermission, RemovePermission, GetPolicy; `told` is called after each change."""

    def __init__(self, records: Records, told: Callable[[Caller, str], None]) -> None:
        self._records = records
        self._told = told

    def operations(self) -> dict[str, Operation]:
        """The calls by their AWS names."""
        return {
            "AddPermission": self.add,
            "RemovePermission": self.remove,
            "GetPolicy": self.get,
        }

    def add(self, caller: Caller, request: Document) -> Document:
        """AddPermission: one more statement; API Gateway's calls need one."""
        for member in ("FunctionUrlAuthType", "InvokedViaFunctionUrl", "EventSourceToken"):
            if member in request:
                raise NotEmulated(f"localcloud does not emulate function URLs and skills: {member}")
        name = named(caller, request)
        with self._records.store.transaction():
            document = self._records.find(caller, name)
            require_revision(request, _revision(document))
            statement = _statement(request, document["configuration"]["FunctionArn"])
            if any(each["Sid"] == statement["Sid"] for each in document["policy"]):
                raise ResourceConflictException(
                    f"The statement id ({statement['Sid']}) provided already exists. Please "
                    "provide a new statement id, or remove the existing statement."
                )
            document["policy"].append(statement)
            size = len(_text(document))
            if size > _LONGEST:
                raise PolicyLengthExceededException(
                    f"The final policy size ({size}) is bigger than the limit ({_LONGEST})."
                )
            self._put(caller, document)
        self._told(caller, name)
        return {"Statement": json.dumps(statement, separators=(",", ":"))}

    def remove(self, caller: Caller, request: Document) -> Document:
        """RemovePermission: one statement less."""
        name, sid = named(caller, request), request["StatementId"]
        with self._records.store.transaction():
            document = self._records.find(caller, name)
            require_revision(request, _revision(document))
            rest = [each for each in document["policy"] if each["Sid"] != sid]
            if len(rest) == len(document["policy"]):
                raise ResourceNotFoundException(f"Statement {sid} is not found in resource policy.")
            document["policy"] = rest
            self._put(caller, document)
        self._told(caller, name)
        return {}

    def get(self, caller: Caller, request: Document) -> Document:
        """GetPolicy: all statements, as one text of JSON."""
        document = self._records.find(caller, named(caller, request))
        if not document["policy"]:
            raise ResourceNotFoundException("The resource you requested does not exist.")
        return {"Policy": _text(document), "RevisionId": _revision(document)}

    def _put(self, caller: Caller, document: Document) -> None:
        document["policy_revision"] = str(uuid.uuid4())
        self._records.put(caller, document)


def _revision(document: Document) -> str:
    return str(document.get("policy_revision") or document["configuration"]["RevisionId"])


def _text(document: Document) -> str:
    policy = {"Version": "2012-10-17", "Id": "default", "Statement": document["policy"]}
    return json.dumps(policy, separators=(",", ":"))


def _statement(request: Document, function: str) -> Document:
    conditions: Document = {}
    equal = {"SourceAccount": "AWS:SourceAccount", "PrincipalOrgID": "aws:PrincipalOrgID"}
    for member, key in equal.items():
        if member in request:
            conditions.setdefault("StringEquals", {})[key] = request[member]
    if "SourceArn" in request:
        conditions["ArnLike"] = {"AWS:SourceArn": request["SourceArn"]}
    statement = {
        "Sid": request["StatementId"],
        "Effect": "Allow",
        "Principal": _principal(request["Principal"]),
        "Action": request["Action"],
        "Resource": function,
    }
    return statement | ({"Condition": conditions} if conditions else {})


def _principal(given: str) -> Document | str:
    if given == "*":
        return given
    if _SERVICE.fullmatch(given):
        return {"Service": given}
    if _ACCOUNT.fullmatch(given):
        return {"AWS": f"arn:aws:iam::{given}:root"}
    if _PRINCIPAL_ARN.fullmatch(given):
        return {"AWS": given}
    raise InvalidParameterValueException(
        "The provided principal was invalid. Please check the principal and try again."
    )
