"""Which route a request takes: the fullest match, then a greedy one, then $default."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from localcloud.dataplane.http_api.authorizers import Authorizer
from localcloud.dataplane.http_api.throttle import Throttle

Document = dict[str, Any]
DEFAULT = "$default"
_VARIABLE = re.compile(r"\{([^}+]+)(\+?)\}")


@dataclass(frozen=True, slots=True)
class Route:
    """A route: the ARN of the function behind it, and the seconds that it has."""

    key: str
    function: str | None
    seconds: float
    authorizer: Authorizer | None
    throttle: Throttle | None

    @property
    def source(self) -> str:
        """The end of the ARN by which a function's policy knows the route."""
        if self.key == DEFAULT:
            return DEFAULT
        method, _, path = self.key.partition(" ")
        return f"{'*' if method == 'ANY' else method}{path}"


class RouteTable:
    """The routes of a stage, ready to be found."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self._exact: dict[tuple[str, str], Route] = {}
        self._default: Route | None = None
        patterns = []
        for route in routes:
            if route.key == DEFAULT:
                self._default = route
                continue
            method, _, path = route.key.partition(" ")
            if "{" in path:
                patterns.append((_order(method, path), method, _pattern(path), route))
            else:
                self._exact[method, path] = route
        self._patterns = [each[1:] for each in sorted(patterns, key=lambda each: each[0])]

    def find(self, method: str, path: str) -> tuple[Route, dict[str, str]] | None:
        """The route for a method and a path as it came, and its path parameters, decoded."""
        plain = unquote(path) if "%" in path else path
        found = self._exact.get((method, plain)) or self._exact.get(("ANY", plain))
        if found is not None:
            return found, {}
        for wanted, pattern, route in self._patterns:
            if wanted in (method, "ANY") and (match := pattern.fullmatch(path)):
                names = (name for name, _ in _VARIABLE.findall(route.key))
                values = (unquote(value) for value in match.groups())
                return route, dict(zip(names, values, strict=True))
        if self._default is not None:
            return self._default, {}
        return None


def _order(method: str, path: str) -> tuple[list[int], bool]:
    """Literal segments go before variables, those before a greedy one; a method before ANY."""
    ranks = []
    for segment in path[1:].split("/"):
        variable = _VARIABLE.fullmatch(segment)
        ranks.append(0 if variable is None else 2 if variable[2] else 1)
    return [*ranks, 3], method == "ANY"


def _pattern(path: str) -> re.Pattern[str]:
    pattern, end = "", 0
    for variable in _VARIABLE.finditer(path):
        pattern += re.escape(path[end : variable.start()])
        pattern += "(.+)" if variable[2] else "([^/]+)"
        end = variable.end()
    return re.compile(pattern + re.escape(path[end:]))
