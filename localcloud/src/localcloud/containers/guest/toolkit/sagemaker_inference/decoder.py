"""Bodies to arrays; csv as numpy reads text, where what is no number becomes a missing one."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from sagemaker_containers import _encoders

from .content_types import CSV


def decode(obj: Any, content_type: str) -> Any:
    """The array of a body; raises UnsupportedFormatError."""
    if content_type != CSV:
        return _encoders.decode(obj, content_type)
    return np.genfromtxt(io.StringIO(obj), dtype=None, delimiter=",")
