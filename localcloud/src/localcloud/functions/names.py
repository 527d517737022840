"""How functions are named: by a name, a part of an ARN, or all of it, with a qualifier or none."""

from __future__ import annotations

import re
from collections.abc import Mapping

from localcloud.errors import ValidationException
from localcloud.functions.errors import InvalidParameterValueException, ResourceNotFoundException
from localcloud.protocol import Caller

LATEST = "$LATEST"
_LONGEST = 64
_NAME = re.compile(
    r"(?:arn:[a-z-]+:lambda:(?P<region>[a-z0-9-]+):)?(?:(?P<account>\d{12}):)?(?:function:)?"
    r"(?P<name>[a-zA-Z0-9-_.]+)(?::(?P<qualifier>\$?[a-zA-Z0-9-_.]+))?"
)


def function_arn(caller: Caller, name: str) -> str:
    """The ARN of a function."""
    return f"arn:aws:lambda:{caller.region}:{caller.account}:function:{name}"


def new_name(caller: Caller, given: str) -> str:
    """The name for a new function. Raises ValidationException for one that is too long."""
    name, qualifier = _parse(caller, given)
    if qualifier is not None:
        raise InvalidParameterValueException(f"A function cannot be made with a qualifier: {given}")
    if len(name) > _LONGEST:
        raise ValidationException(
            f"1 validation error detected: Value '{name}' at 'functionName' failed to satisfy "
            f"constraint: Member must have length less than or equal to {_LONGEST}"
        )
    return name


def named(caller: Caller, request: Mapping[str, str]) -> str:
    """The name of the function that a request is about.

    Raises:
        ResourceNotFoundException: a version or an alias is asked for, of which there are none, or
            a function of another account or region.
    """
    name, qualifier = _parse(caller, request["FunctionName"])
    asked = request.get("Qualifier")
    if asked is not None and qualifier is not None and asked != qualifier:
        raise InvalidParameterValueException(
            "The derived qualifier from the function name does not match the specified qualifier."
        )
    qualifier = asked or qualifier
    if qualifier not in (None, LATEST):
        raise ResourceNotFoundException(
            f"Function not found: {function_arn(caller, name)}:{qualifier}"
        )
    return name


def _parse(caller: Caller, given: str) -> tuple[str, str | None]:
    found = _NAME.fullmatch(given)
    if found is None:
        raise InvalidParameterValueException(f"{given!r} is no name of a function")
    if found["account"] not in (None, caller.account):
        raise ResourceNotFoundException(f"Function not found: {given}")
    if found["region"] not in (None, caller.region):
        raise ResourceNotFoundException(f"Functions from {found['region']} are not reachable here")
    return found["name"], found["qualifier"]
