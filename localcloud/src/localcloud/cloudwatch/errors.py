"""What CloudWatch answers when it refuses; the codes are those of its old query protocol."""

from __future__ import annotations

from localcloud.errors import ServiceError


class ValidationError(ServiceError):
    """A request about alarms breaks a rule."""

    code = "ValidationError"
    status = 400


class InvalidParameterValue(ServiceError):  # noqa: N818 - AWS's own name
    """A value of a request about metrics or dashboards breaks a rule."""

    code = "InvalidParameterValue"
    status = 400


class InvalidParameterCombination(ServiceError):  # noqa: N818 - AWS's own name
    """Values that do not go together."""

    code = "InvalidParameterCombination"
    status = 400


class MissingParameter(ServiceError):  # noqa: N818 - AWS's own name
    """A value that must be there."""

    code = "MissingParameter"
    status = 400


class InvalidParameterInput(ServiceError):  # noqa: N818 - AWS's own name
    """A dashboard's body is no dashboard."""

    code = "InvalidParameterInput"
    status = 400


class ResourceNotFound(ServiceError):  # noqa: N818 - AWS's own name
    """There is no alarm or dashboard of this name."""

    code = "ResourceNotFound"
    status = 404


class ResourceNotFoundException(ServiceError):  # noqa: N818 - AWS's own name
    """The same, when tags are asked for."""

    code = "ResourceNotFoundException"
    status = 404


class InvalidNextToken(ServiceError):  # noqa: N818 - AWS's own name
    """A token that no page gave."""

    code = "InvalidNextToken"
    status = 400
