"""What CloudFormation answers when it refuses, and how a resource tells that it failed."""

from __future__ import annotations

from localcloud.errors import ServiceError


class ValidationError(ServiceError):
    """A request, a template or a parameter breaks a rule; or there is no such stack."""

    code = "ValidationError"
    status = 400


class AlreadyExists(ServiceError):  # noqa: N818 - AWS's own name
    """A stack or a change set has this name."""

    code = "AlreadyExistsException"
    status = 400


class InsufficientCapabilities(ServiceError):  # noqa: N818 - AWS's own name
    """A template makes roles, and the request does not say that it knows."""

    code = "InsufficientCapabilitiesException"
    status = 400


class ChangeSetNotFound(ServiceError):  # noqa: N818 - AWS's own name
    """There is no change set of this name or ARN."""

    code = "ChangeSetNotFound"
    status = 404


class InvalidChangeSetStatus(ServiceError):  # noqa: N818 - AWS's own name
    """A change set cannot be executed or deleted as it stands."""

    code = "InvalidChangeSetStatus"
    status = 400


class TokenAlreadyExists(ServiceError):  # noqa: N818 - AWS's own name
    """A client's token was used for another operation on the stack."""

    code = "TokenAlreadyExistsException"
    status = 400


class ResourceFailed(Exception):  # noqa: N818 - reads as the sentence it makes
    """A resource could not be made, changed or deleted; the text is its ResourceStatusReason."""


class Interrupted(Exception):  # noqa: N818 - reads as the sentence it makes
    """localcloud is going down: nothing more is done or recorded, the next start goes on."""
