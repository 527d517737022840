"""What AWS answers when it refuses: an error code, a status and a sentence."""

from __future__ import annotations

import errno
import sqlite3


class ServiceError(Exception):
    """An error that a client gets as an answer, with the code and the status that AWS uses."""

    code = "InternalFailure"
    status = 500

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class ValidationException(ServiceError):  # noqa: N818 - AWS's own name
    """A value breaks a rule of the request."""

    code = "ValidationException"
    status = 400


class InvalidParameterException(ServiceError):  # noqa: N818 - AWS's own name
    """A value breaks a rule of the request, in CloudWatch Logs' words."""

    code = "InvalidParameterException"
    status = 400


class SerializationException(ServiceError):  # noqa: N818 - AWS's own name
    """A body is not what the protocol asks for."""

    code = "SerializationException"
    status = 400


class ResourceNotFound(ServiceError):  # noqa: N818 - AWS's own name
    """The thing named by the request does not exist."""

    code = "ResourceNotFound"
    status = 400


class ResourceNotFoundException(ServiceError):  # noqa: N818 - AWS's own name
    """The same in CloudWatch Logs' words."""

    code = "ResourceNotFoundException"
    status = 400


class ResourceAlreadyExistsException(ServiceError):  # noqa: N818 - AWS's own name
    """The name is taken, in CloudWatch Logs' words."""

    code = "ResourceAlreadyExistsException"
    status = 400


class ResourceInUse(ServiceError):  # noqa: N818 - AWS's own name
    """The name is taken, or the thing cannot change now."""

    code = "ResourceInUse"
    status = 400


class ConflictException(ServiceError):  # noqa: N818 - AWS's own name
    """The request contradicts what is there."""

    code = "ConflictException"
    status = 400


class UnknownOperation(ServiceError):  # noqa: N818 - AWS's own name
    """The service has no operation of this name."""

    code = "UnknownOperationException"
    status = 404


class RequestEntityTooLarge(ServiceError):  # noqa: N818 - AWS's own name
    """A body is longer than any that AWS takes."""

    code = "RequestEntityTooLargeException"
    status = 413


class RequestTimeout(ServiceError):  # noqa: N818 - AWS's own name
    """A client stopped in the middle of its request."""

    code = "RequestTimeoutException"
    status = 408


class NotEmulated(ServiceError):  # noqa: N818 - reads as the sentence it makes
    """AWS has this, localcloud has not; 501 because clients repeat a 500."""

    code = "NotImplementedException"
    status = 501


class MissingAuthenticationToken(ServiceError):  # noqa: N818 - AWS's own name
    """A request that nobody signed."""

    code = "MissingAuthenticationToken"
    status = 403


class ForeignOrigin(ServiceError):  # noqa: N818 - reads as the sentence it makes
    """A request from outside this machine; localcloud runs code by design, so it is refused."""

    code = "AccessDeniedException"
    status = 403


def is_disk_full(error: BaseException) -> bool:
    """Whether an OSError or an error of SQLite says that there is no room left."""
    if isinstance(error, OSError):
        return error.errno in (errno.ENOSPC, errno.EDQUOT)
    return getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL


class UnusableState(Exception):  # noqa: N818 - reads as the sentence it makes
    """A state folder cannot be used; the text is one sentence that says how to go on."""


class OtherLayout(UnusableState):
    """The state folder was written by a localcloud that stored things differently."""


class OtherMoto(UnusableState):
    """Another version of moto wrote a snapshot."""


class Unreadable(UnusableState):
    """A file of the state folder is not what localcloud wrote."""
