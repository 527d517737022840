"""Who may ask: localcloud runs code by design, so that only this machine's own programs may."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from localcloud.errors import ForeignOrigin

_LOOPBACK = re.compile(
    r"(?:(?:[a-z0-9.-]+\.)?localhost|127(?:\.\d{1,3}){3}|\[::1\])(?::\d+)?", re.IGNORECASE
)


def refuse_foreigners(host: str, origin: str | None) -> None:
    """Raise ForeignOrigin for a page of another origin, and for a name that points here."""
    if not _LOOPBACK.fullmatch(host):
        raise ForeignOrigin(f"localcloud answers on loopback names only, not on {host[:80]!r}")
    if origin is not None and not _LOOPBACK.fullmatch(urlsplit(origin).netloc):
        raise ForeignOrigin(f"localcloud answers no page of another origin: {origin[:80]!r}")
