"""What Lambda answers when it refuses."""

from __future__ import annotations

from localcloud.errors import ServiceError


class InvalidParameterValueException(ServiceError):  # noqa: N818 - AWS's own name
    """A value that the model's rules let pass, but not Lambda."""

    code = "InvalidParameterValueException"
    status = 400


class ResourceNotFoundException(ServiceError):  # noqa: N818 - AWS's own name
    """There is no such function, policy or statement."""

    code = "ResourceNotFoundException"
    status = 404


class ResourceConflictException(ServiceError):  # noqa: N818 - AWS's own name
    """The name is taken, or the function cannot change or run now."""

    code = "ResourceConflictException"
    status = 409


class PreconditionFailedException(ServiceError):  # noqa: N818 - AWS's own name
    """The function is not the revision that the caller has seen."""

    code = "PreconditionFailedException"
    status = 412


class PolicyLengthExceededException(ServiceError):  # noqa: N818 - AWS's own name
    """A resource policy would be too long."""

    code = "PolicyLengthExceededException"
    status = 400


class RequestEntityTooLargeException(ServiceError):  # noqa: N818 - AWS's own name
    """A package is too large to be sent in a request."""

    code = "RequestEntityTooLargeException"
    status = 413


class RequestTooLargeException(ServiceError):  # noqa: N818 - AWS's own name
    """An event is too large."""

    code = "RequestTooLargeException"
    status = 413


class InvalidRequestContentException(ServiceError):  # noqa: N818 - AWS's own name
    """An event is not JSON."""

    code = "InvalidRequestContentException"
    status = 400


class TooManyRequestsException(ServiceError):  # noqa: N818 - AWS's own name
    """A function may run no event now."""

    code = "TooManyRequestsException"
    status = 429
