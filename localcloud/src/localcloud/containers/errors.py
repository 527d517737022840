"""Why a job cannot run: what the request asks for is not to be had here, or starting it failed."""

from __future__ import annotations

from localcloud.errors import ValidationException


class ContainerError(Exception):
    """The root of what goes wrong before a job's own code runs."""


class ImageBuildFailed(ContainerError):  # noqa: N818 - reads as the sentence it makes
    """The environment of an image could not be made; the text ends with uv's own words."""


class ServerFailed(ContainerError):  # noqa: N818 - reads as the sentence it makes
    """The fork server of an image did not start, or died before it had started the job."""


class ImageNotSupported(ValidationException):
    """An image that has no lock file; the text names it and the images that have one."""


class JobNotSupported(ValidationException):
    """A job request that AWS would take and localcloud cannot run."""


class NoObjects(ValidationException):
    """An input whose S3 URI has nothing behind it, in AWS's words."""


class RequirementsFailed(ContainerError):  # noqa: N818 - reads as the sentence it makes
    """What a job's requirements.txt or setup.py asks for could not be installed."""


class DeliveryFailed(ContainerError):  # noqa: N818 - reads as the sentence it makes
    """A job's outputs could not be delivered; the text names the reason and the folder."""


class NothingKept(ContainerError):  # noqa: N818 - reads as the sentence it makes
    """A folder is not that of a job that was started and failed."""


class JobFolderFailed(ContainerError):  # noqa: N818 - reads as the sentence it makes
    """The folder of a job cannot be made; the text names it and the reason."""


class StartFailed(ContainerError):  # noqa: N818 - reads as the sentence it makes
    """A serving container does not serve; the text names it and ends with its own last lines."""


class RecordError(Exception):
    """An object of a transform job is not what the job says of it; the text says how."""
