"""The names that AWS gives to SageMaker's things."""

from __future__ import annotations

import secrets
import string

from localcloud.errors import ValidationException
from localcloud.protocol import Caller

_ALPHABET = string.ascii_lowercase + string.digits


def arn(caller: Caller, kind: str, name: str) -> str:
    """The ARN of a SageMaker resource, e.g. kind `processing-job`."""
    return f"arn:aws:sagemaker:{caller.region}:{caller.account}:{kind}/{name}"


def resource_name(caller: Caller, kind: str, name_or_arn: str) -> str:
    """The name behind a name or an ARN of this kind, account and region."""
    if not name_or_arn.startswith("arn:"):
        return name_or_arn
    prefix = arn(caller, kind, "")
    if not name_or_arn.startswith(prefix):
        raise ValidationException(
            f"{name_or_arn!r} is not the ARN of a {kind} of account {caller.account} "
            f"in {caller.region}"
        )
    return name_or_arn[len(prefix) :]


def random_id(length: int = 12) -> str:
    """A random identifier in AWS's alphabet of small letters and digits."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(length))
