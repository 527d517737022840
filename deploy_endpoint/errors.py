"""What may go wrong, each with the exit code that CI sees, and AWS's own errors in these words.

DeployError 1
├── UsageError 2: what was asked for cannot be
├── SmokeTestError 3: the stage does not do what it must
├── NotDeployedError 4: the roll-out failed, or was rolled back
└── UnreachableError 5: nothing answers, or the credentials are not accepted
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar


class DeployError(Exception):
    """Something that the user is told in a sentence, without a stack trace."""

    exit_code: ClassVar[int] = 1


class UsageError(DeployError):
    """What was asked for cannot be: a wrong name, value or setting; nothing was changed."""

    exit_code = 2


class SmokeTestError(DeployError):
    """The stage answers, but not as it must."""

    exit_code = 3


class NotDeployedError(DeployError):
    """The stage does not serve what was asked for: the roll-out failed or was rolled back."""

    exit_code = 4


class UnreachableError(DeployError):
    """Nothing answers, or who answers does not accept the credentials."""

    exit_code = 5


_LONGEST_MESSAGE = 1000
_ABSENT = ("does not exist", "not found", "could not find")
_NOT_ACCEPTED = {
    "AccessDenied",
    "AccessDeniedException",
    "AuthFailure",
    "ExpiredToken",
    "ExpiredTokenException",
    "IncompleteSignature",
    "InvalidClientTokenId",
    "InvalidSignatureException",
    "SignatureDoesNotMatch",
    "UnauthorizedOperation",
    "UnrecognizedClientException",
}


def error_code(error: Any) -> str:
    """Return the code of a botocore ClientError, such as ``ValidationError``."""
    return str(error.response.get("Error", {}).get("Code", ""))


def error_message(error: Any) -> str:
    """Return what a botocore ClientError says, on one line and no longer than a message may be."""
    said = error.response.get("Error", {}).get("Message") or error_code(error)
    return " ".join(said.split())[:_LONGEST_MESSAGE]  # a proxy may answer with a whole page


def is_missing(error: Any) -> bool:
    """Tell whether a ClientError says that the thing asked for does not exist.

    Neither SageMaker nor CloudFormation has a code of its own for it.
    """
    code = error_code(error)
    if code in {"ResourceNotFound", "ResourceNotFoundException", "404"}:
        return True
    absent = any(words in error_message(error).lower() for words in _ABSENT)
    return code.startswith("NoSuch") or (
        code in {"ValidationException", "ValidationError"} and absent
    )


@contextmanager
def translated() -> Iterator[None]:
    """Turn what boto3 raises into a DeployError that says what to do."""
    import botocore.exceptions as aws  # noqa: PLC0415 - --help needs no botocore
    from botocore.parsers import ResponseParserError  # noqa: PLC0415

    try:
        yield
    except (aws.EndpointConnectionError, aws.ConnectTimeoutError) as error:
        raise UnreachableError(_nothing_answers(str(error.kwargs["endpoint_url"]))) from error
    except ResponseParserError as error:
        url = os.environ.get("AWS_ENDPOINT_URL", "the endpoint")
        raise UnreachableError(f"What answers at {url} (AWS_ENDPOINT_URL) is no AWS.") from error
    except aws.HTTPClientError as error:
        raise UnreachableError(f"The connection to AWS broke: {error}") from error
    except (aws.NoRegionError, aws.InvalidRegionError) as error:
        raise UsageError(f"The region is missing or wrong: set AWS_REGION. ({error})") from error
    except (
        aws.NoCredentialsError,
        aws.PartialCredentialsError,
        aws.CredentialRetrievalError,
        aws.ProfileNotFound,
        aws.SSOError,
        aws.TokenRetrievalError,
    ) as error:
        raise UnreachableError(
            "AWS credentials are missing or incomplete: sign in (`aws sso login`), or set "
            f"AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY. ({error})"
        ) from error
    except aws.ClientError as error:
        raise _refused(error) from error
    except aws.ParamValidationError as error:
        raise UsageError(f"A value is not what AWS accepts: {error}") from error
    except aws.BotoCoreError as error:
        raise UnreachableError(f"AWS could not be asked: {error}") from error


def _nothing_answers(url: str) -> str:
    for name, value in sorted(os.environ.items()):
        start = f"{value.rstrip('/')}/"
        if name.startswith("AWS_ENDPOINT_URL") and value and f"{url}/".startswith(start):
            return (
                f"Nothing answers at {value} ({name}). Start it with `localcloud up`, "
                "or unset the variable to use AWS."
            )
    return f"Nothing answers at {url}. AWS is reached only with a network and a right AWS_REGION."


def _refused(error: Any) -> DeployError:
    code, said = error_code(error), error_message(error)
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    if code in _NOT_ACCEPTED or code == "403":
        return UnreachableError(
            f"AWS did not accept {error.operation_name} with these credentials ({code}: {said})."
        )
    if status == 429 or "Throttling" in code or (status >= 500 and status != 501):
        return UnreachableError(
            f"AWS could not answer {error.operation_name} now ({code}: {said}). Try again."
        )
    return UsageError(f"{error.operation_name} was refused ({code}): {said}")
