"""The line that is written of each request, in the format of a stage.

Lines are kept until the next flush, so that no request waits for a disk. A file of marks beside the
log tells when what was written: lines of a time in milliseconds and a length.
"""

from __future__ import annotations

import json
import logging
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from localcloud.dataplane.http_api.exchange import Exchange, clf_time

_VARIABLE = re.compile(r"\$context\.([A-Za-z0-9_.]*[A-Za-z0-9_])")
_log = logging.getLogger(__name__)


class AccessLog:
    """The log of one stage."""

    def __init__(self, path: str, text: str) -> None:
        self._path = Path(path)
        self._parts = _VARIABLE.split(text.rstrip("\n"))
        self._json = text.lstrip().startswith("{")
        self._lines: list[str] = []
        self._awaited = 0

    @property
    def is_waited_for(self) -> bool:
        """Whether a request is on its way that will be noted here."""
        return self._awaited > 0

    @contextmanager
    def awaiting(self) -> Iterator[None]:
        """While a request is on its way."""
        self._awaited += 1
        try:
            yield
        finally:
            self._awaited -= 1

    def add(self, exchange: Exchange, status: int, length: int) -> None:
        """Note a request that was answered.

        In a format that is an object of JSON, values are written so that the line is one too.
        """
        values = _values(exchange, status, length)
        parts = list(self._parts)
        for number in range(1, len(parts), 2):
            value = values.get(parts[number]) or "-"
            parts[number] = json.dumps(value, ensure_ascii=False)[1:-1] if self._json else value
        self._lines.append("".join(parts).replace("\n", " ").replace("\r", " "))

    def flush(self) -> None:
        """Write what was noted; lines for which there is no room on the disk are lost."""
        if not self._lines:
            return
        lines, self._lines = self._lines, []
        try:
            with self._path.open("ab") as file:
                file.write("".join(f"{line}\n" for line in lines).encode("utf-8", "replace"))
                size = file.tell()
            with self._path.with_suffix(".marks").open("a") as marks:
                marks.write(f"{int(time.time() * 1000)} {size}\n")
        except OSError as error:
            _log.error("%d lines of %s cannot be written: %s", len(lines), self._path, error)


def _values(exchange: Exchange, status: int, length: int) -> dict[str, str]:
    told = exchange.told
    authorized = exchange.authorized or {}
    return {
        "accountId": exchange.account,
        "apiId": exchange.api,
        "awsEndpointRequestId": exchange.id,
        "domainName": exchange.host,
        "domainPrefix": exchange.api,
        "extendedRequestId": exchange.id,
        "httpMethod": exchange.method,
        "identity.sourceIp": exchange.source_ip,
        "identity.userAgent": exchange.headers.get("user-agent", ""),
        "path": exchange.raw_path,
        "protocol": exchange.protocol,
        "requestId": exchange.id,
        "requestTime": clf_time(exchange.time),
        "requestTimeEpoch": str(int(exchange.time * 1000)),
        "responseLatency": str(int((time.perf_counter() - exchange.began) * 1000)),
        "responseLength": str(length),
        "routeKey": exchange.route_key,
        "stage": exchange.stage,
        "status": str(status),
        "integrationErrorMessage": told.get("integration.error", ""),
        "integrationLatency": told.get("integration.latency", ""),
        "integrationStatus": told.get("integration.integrationStatus", ""),
        **{f"authorizer.{name}": _text(value) for name, value in authorized.items()},
        **told,
    }


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
