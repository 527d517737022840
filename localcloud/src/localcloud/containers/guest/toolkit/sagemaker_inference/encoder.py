"""Arrays to bodies; csv as numpy writes text."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from sagemaker_containers import _encoders

from .content_types import CSV


def encode(array_like: Any, content_type: str) -> Any:
    """The body of an array; raises UnsupportedFormatError."""
    if content_type != CSV:
        return _encoders.encode(array_like, content_type)
    text = io.StringIO()
    np.savetxt(text, array_like, delimiter=",", fmt="%s")
    return text.getvalue()
