"""The toolkit's modules by their public names.

Scripts import more of them than they use, so the others can be imported, and say what they are
when they are used.
"""

from __future__ import annotations

from typing import Any, NoReturn

from sagemaker_containers import _content_types as content_types
from sagemaker_containers import _encoders as encoders
from sagemaker_containers import _errors as errors
from sagemaker_containers import _worker as worker

__all__ = ["content_types", "encoders", "errors", "worker"]
_OTHERS = {
    "entry_point", "env", "files", "functions", "logging", "mapping", "modules", "mpi", "params",
    "process", "runner", "server", "trainer", "transformer",
}  # fmt: skip


class _NotHere:
    """A module of the toolkit that localcloud does not have."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> NoReturn:
        raise AttributeError(
            f"localcloud has no sagemaker_containers.beta.framework.{self._name}.{attribute}; "
            f"of this toolkit it has {', '.join(__all__)}"
        )


def __getattr__(name: str) -> Any:
    if name in _OTHERS:
        return _NotHere(name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
