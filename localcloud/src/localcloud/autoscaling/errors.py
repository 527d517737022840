"""What Application Auto Scaling answers when it refuses."""

from __future__ import annotations

from localcloud.errors import ServiceError


class ObjectNotFound(ServiceError):  # noqa: N818 - AWS's own name
    """There is no such scalable target or policy."""

    code = "ObjectNotFoundException"
    status = 400


class InvalidNextToken(ServiceError):  # noqa: N818 - AWS's own name
    """A token that no page gave."""

    code = "InvalidNextTokenException"
    status = 400
