"""The response object that handlers return."""

from __future__ import annotations

from typing import Any

import flask

from ._content_types import JSON


class Response(flask.Response):
    """Flask's response; JSON if no type is given. `accept` is taken and ignored, as it ever was."""

    default_mimetype = JSON

    def __init__(
        self,
        response: Any = None,
        accept: str | None = None,  # noqa: ARG002
        status: int | str | None = 200,
        headers: Any = None,
        mimetype: str | None = None,
        direct_passthrough: bool = False,  # noqa: FBT001, FBT002
    ) -> None:
        super().__init__(response, status, headers, mimetype, None, direct_passthrough)
