"""What pages of other origins may do with an API."""

from __future__ import annotations

from typing import Any

Headers = list[tuple[bytes, bytes]]
_OWN = b"access-control-"


class Cors:
    """A CorsConfiguration; what functions say of it themselves is ignored."""

    def __init__(self, configuration: dict[str, Any]) -> None:
        self._origins: list[str] = configuration.get("AllowOrigins") or []
        self._credentials: bool = configuration.get("AllowCredentials", False)
        self._exposed = ",".join(configuration.get("ExposeHeaders") or [])
        self._methods = ",".join(configuration.get("AllowMethods") or [])
        self._headers = ",".join(configuration.get("AllowHeaders") or [])
        self._seconds: int | None = configuration.get("MaxAge")

    def preflight(self, origin: str) -> Headers:
        """What a browser is told before it asks; nothing for an origin that may not."""
        found = self._for(origin)
        if not found:
            return []
        if self._methods:
            found.append((b"access-control-allow-methods", self._methods.encode()))
        if self._headers:
            found.append((b"access-control-allow-headers", self._headers.encode()))
        if self._seconds is not None:
            found.append((b"access-control-max-age", str(self._seconds).encode()))
        return found

    def apply(self, origin: str | None, headers: Headers) -> Headers:
        """The headers of an answer with this configuration's in place of the function's."""
        rest = [pair for pair in headers if not pair[0].startswith(_OWN)]
        return rest if origin is None else rest + self._for(origin)

    def _for(self, origin: str) -> Headers:
        allowed = self._allowed(origin)
        if allowed is None:
            return []
        found = [(b"access-control-allow-origin", allowed.encode("latin-1"))]
        if allowed != "*":
            found.append((b"vary", b"Origin"))
        if self._credentials:
            found.append((b"access-control-allow-credentials", b"true"))
        if self._exposed:
            found.append((b"access-control-expose-headers", self._exposed.encode()))
        return found

    def _allowed(self, origin: str) -> str | None:
        if "*" in self._origins:
            return "*"
        scheme = f"{origin.partition('://')[0]}://*"
        return origin if origin in self._origins or scheme in self._origins else None
