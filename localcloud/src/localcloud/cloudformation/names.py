"""The names that CloudFormation makes up."""

from __future__ import annotations

import secrets
import string
import uuid

from localcloud.protocol import Caller

_ALPHABET = string.ascii_letters + string.digits
_RANDOM = 12


def stack_arn(caller: Caller, name: str) -> str:
    """A new stack's id."""
    return _arn(caller, "stack", name)


def change_set_arn(caller: Caller, name: str) -> str:
    """A new change set's id."""
    return _arn(caller, "changeSet", name)


def _arn(caller: Caller, kind: str, name: str) -> str:
    return f"arn:aws:cloudformation:{caller.region}:{caller.account}:{kind}/{name}/{uuid.uuid4()}"


def physical_name(stack: str, logical_id: str, length: int) -> str:
    """A name for a resource that the template gives none: STACK-LOGICALID-RANDOM.

    Where that is too long the stack's name and the logical id are cut, the random part never.
    """
    random = "".join(secrets.choice(_ALPHABET) for _ in range(_RANDOM))
    room = length - len(random) - 2
    left = min(len(stack), max(room // 2, room - len(logical_id)))
    return f"{stack[:left]}-{logical_id[: room - left]}-{random}"
