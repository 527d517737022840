"""A request and its answer as HTTP carries them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import quote

from localcloud.wsgi import Environ


@dataclass(frozen=True)
class Request:
    """What a client sent. The path is as it stood on the wire, names of headers are lower case."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes

    @classmethod
    def of(cls, environ: Environ, body: bytes) -> Request:
        """The request behind a WSGI environment whose body was read."""
        headers = {
            name[5:].replace("_", "-").lower(): value
            for name, value in environ.items()
            if name.startswith("HTTP_")
        }
        if environ.get("CONTENT_TYPE"):
            headers["content-type"] = environ["CONTENT_TYPE"]
        # PATH_INFO cannot tell an encoded slash from a real one.
        raw = environ.get("REQUEST_URI") or quote(environ["PATH_INFO"], encoding="latin-1")
        return cls(
            method=environ["REQUEST_METHOD"],
            path=raw.partition("?")[0],
            query=environ.get("QUERY_STRING", ""),
            headers=headers,
            body=body,
        )


@dataclass(frozen=True)
class Reply:
    """What a client gets, without the headers that every answer has."""

    status: int
    content_type: str
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
