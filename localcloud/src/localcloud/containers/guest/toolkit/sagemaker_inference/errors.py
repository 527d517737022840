"""The error of a content type that is not known."""

from sagemaker_containers._errors import UnsupportedFormatError

__all__ = ["UnsupportedFormatError"]
