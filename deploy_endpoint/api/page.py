"""The page that a person uses, and the files it is made of."""

import hashlib
from functools import cache
from pathlib import Path
from typing import Final

from .errors import NotFoundError
from .exchange import Request, Response

FOLDER: Final = Path(__file__).resolve().parent.parent / "web"
ASSETS: Final = "/assets/"
PAGE: Final = "index.html"

_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
# Scripts and styles come from this API alone, and no script may make markup of a text.
_HEADERS = {
    "cache-control": "no-cache",
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
        "require-trusted-types-for 'script'; trusted-types 'none'"
    ),
    "cross-origin-opener-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
}


def serve(request: Request) -> Response:
    """Give the page, or the file that is asked for. Raises NotFoundError if there is none."""
    name = PAGE if request.path == "/" else request.path.removeprefix(ASSETS)
    file = _files().get(name)
    if file is None:
        raise NotFoundError("There is no such file.")
    text, content_type, tag = file
    headers = _HEADERS | {"etag": tag}
    if request.headers.get("if-none-match") == tag:
        return Response(304, "", content_type, headers)
    return Response(200, text, content_type, headers)


@cache
def _files() -> dict[str, tuple[str, str, str]]:
    """Read text, type and tag of all files: what is asked for is never a path."""
    found = {}
    for path in FOLDER.iterdir():
        text = path.read_text(encoding="utf-8")
        tag = f'"{hashlib.sha256(text.encode()).hexdigest()[:16]}"'
        found[path.name] = (text, _TYPES[path.suffix], tag)
    return found
