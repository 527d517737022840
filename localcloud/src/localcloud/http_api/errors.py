"""What API Gateway answers when it refuses."""

from __future__ import annotations

from localcloud.errors import ServiceError


class BadRequestException(ServiceError):  # noqa: N818 - AWS's own name
    """A value breaks a rule."""

    code = "BadRequestException"
    status = 400


class NotFoundException(ServiceError):  # noqa: N818 - AWS's own name
    """There is no such thing."""

    code = "NotFoundException"
    status = 404


class ConflictException(ServiceError):  # noqa: N818 - AWS's own name
    """The name is taken, or something else needs what shall go."""

    code = "ConflictException"
    status = 409
