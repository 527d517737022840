"""What S3 refuses. A class is AWS's error code, its docstring AWS's message.

Source: "Error responses" in the Amazon S3 API reference.
"""
# ruff: noqa: N818, D205, D415  (names and docstrings are AWS's codes and messages)

from collections.abc import Mapping


class S3Error(Exception):
    """A request that S3 answers with an error document.

    ``details`` are the further elements of that document, ``headers`` those of the answer.
    """

    status = 400
    code = ""

    def __init__(
        self,
        message: str = "",
        *,
        details: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.code = self.code or type(self).__name__
        self.message = message or " ".join((self.__doc__ or self.code).split())
        self.details = dict(details or {})
        self.headers = dict(headers or {})
        super().__init__(f"{self.code}: {self.message}")


class BadRequest(S3Error):
    """Bad Request"""


class AuthorizationHeaderMalformed(BadRequest):
    """The authorization header that you provided is not valid."""


class AuthorizationQueryParametersError(BadRequest):
    """The authorization query parameters that you provided are not valid."""


class BadDigest(BadRequest):
    """The Content-MD5 you specified did not match what we received."""


class EntityTooLarge(BadRequest):
    """Your proposed upload exceeds the maximum allowed size"""


class EntityTooSmall(BadRequest):
    """Your proposed upload is smaller than the minimum allowed size"""


class IllegalLocationConstraintException(BadRequest):
    """The location constraint is incompatible for the region this request was sent to."""


class IllegalVersioningConfigurationException(BadRequest):
    """The Versioning element must be specified"""


class IncompleteBody(BadRequest):
    """The request body terminated unexpectedly"""


class InvalidArgument(BadRequest):
    """Invalid Argument"""


class InvalidBucketName(BadRequest):
    """The specified bucket is not valid."""


class InvalidDigest(BadRequest):
    """The Content-MD5 you specified was invalid."""


class InvalidLocationConstraint(BadRequest):
    """The specified location-constraint is not valid"""


class InvalidPart(BadRequest):
    """One or more of the specified parts could not be found. The part may not have been
    uploaded, or the specified entity tag may not match the part's entity tag.
    """


class InvalidPartOrder(BadRequest):
    """The list of parts was not in ascending order. The parts list must be specified in order
    by part number.
    """


class InvalidRequest(BadRequest):
    """Invalid Request"""


class InvalidStorageClass(BadRequest):
    """The storage class you specified is not valid"""


class InvalidTag(BadRequest):
    """The tag provided was not a valid tag."""


class InvalidURI(BadRequest):
    """Couldn't parse the specified URI."""


class KeyTooLongError(BadRequest):
    """Your key is too long"""


class MalformedPolicy(BadRequest):
    """This policy contains invalid Json"""


class MalformedXML(BadRequest):
    """The XML you provided was not well-formed or did not validate against our published schema"""


class MaxMessageLengthExceeded(BadRequest):
    """Your request was too big."""


class MetadataTooLarge(BadRequest):
    """Your metadata headers exceed the maximum allowed metadata size"""


class AccessControlListNotSupported(BadRequest):
    """The bucket does not allow ACLs"""


class XAmzContentSHA256Mismatch(BadRequest):
    """The provided 'x-amz-content-sha256' header does not match what was computed."""


class Forbidden(S3Error):
    """Forbidden"""

    status = 403


class AccessDenied(Forbidden):
    """Access Denied"""


class NotFound(S3Error):
    """Not Found"""

    status = 404


class NoSuchBucket(NotFound):
    """The specified bucket does not exist"""


class NoSuchBucketPolicy(NotFound):
    """The bucket policy does not exist"""


class NoSuchKey(NotFound):
    """The specified key does not exist."""


class NoSuchLifecycleConfiguration(NotFound):
    """The lifecycle configuration does not exist"""


class NoSuchPublicAccessBlockConfiguration(NotFound):
    """The public access block configuration was not found"""


class NoSuchTagSet(NotFound):
    """The TagSet does not exist"""


class NoSuchUpload(NotFound):
    """The specified upload does not exist. The upload ID may be invalid, or the upload may have
    been aborted or completed.
    """


class NoSuchVersion(NotFound):
    """The specified version does not exist."""


class OwnershipControlsNotFoundError(NotFound):
    """The bucket ownership controls were not found"""


class ServerSideEncryptionConfigurationNotFoundError(NotFound):
    """The server side encryption configuration was not found"""


class MethodNotAllowed(S3Error):
    """The specified method is not allowed against this resource."""

    status = 405


class Conflict(S3Error):
    """Conflict"""

    status = 409


class BucketAlreadyExists(Conflict):
    """The requested bucket name is not available. The bucket namespace is shared by all users of
    the system. Please select a different name and try again.
    """


class BucketAlreadyOwnedByYou(Conflict):
    """Your previous request to create the named bucket succeeded and you already own it."""


class BucketNotEmpty(Conflict):
    """The bucket you tried to delete is not empty"""


class MissingContentLength(S3Error):
    """You must provide the Content-Length HTTP header."""

    status = 411


class PreconditionFailed(S3Error):
    """At least one of the pre-conditions you specified did not hold"""

    status = 412


class InvalidRange(S3Error):
    """The requested range is not satisfiable"""

    status = 416


class InternalError(S3Error):
    """We encountered an internal error. Please try again."""

    status = 500


class Unsupported(S3Error):
    """A header you provided implies functionality that is not implemented."""

    code = "NotImplemented"

    status = 501
