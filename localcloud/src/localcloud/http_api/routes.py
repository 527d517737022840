"""Routes: a method and a path, the integration behind them, and who may come in."""

from __future__ import annotations

import re

from localcloud.errors import NotEmulated
from localcloud.http_api.errors import BadRequestException, ConflictException, NotFoundException
from localcloud.http_api.records import Records, merged, new_id, page, part
from localcloud.http_api.rules import check_length, check_unused
from localcloud.protocol import Caller, Document, Operation

DEFAULT = "$default"
_KEY = re.compile(r"(?P<method>ANY|DELETE|GET|HEAD|OPTIONS|PATCH|POST|PUT) (?P<path>/\S*)")
_SEGMENT = re.compile(r"[A-Za-z0-9._~!$&'()*+,;=:@%-]+|\{[\w.-]+\}")
_GREEDY = re.compile(r"\{[\w.-]+\+\}")
_WEB_SOCKET = "it is for WebSocket APIs"
_UNUSED = {
    "ApiKeyRequired": "they have no API keys",
    "ModelSelectionExpression": _WEB_SOCKET,
    "RequestModels": _WEB_SOCKET,
    "RequestParameters": _WEB_SOCKET,
    "RouteResponseSelectionExpression": _WEB_SOCKET,
}


class Routes:
    """The life of routes."""

    def __init__(self, records: Records) -> None:
        self._records = records

    def operations(self) -> dict[str, Operation]:
        """The calls by their AWS names."""
        return {
            "CreateRoute": self.create,
            "GetRoute": self.get,
            "GetRoutes": self.get_all,
            "UpdateRoute": self.update,
            "DeleteRoute": self.delete,
        }

    def create(self, caller: Caller, request: Document) -> Document:
        """CreateRoute: `METHOD /path`, with variables and a greedy last one, or `$default`."""
        made: Document = {
            "ApiKeyRequired": False,
            "AuthorizationType": "NONE",
            **merged({}, request),
            "RouteId": new_id(),
        }
        if "AuthorizerId" in request:
            made["AuthorizerId"] = request["AuthorizerId"]
        with self._records.change(caller, request["ApiId"]) as document:
            _check(document, made)
            document["routes"][made["RouteId"]] = made
        return made

    def get(self, caller: Caller, request: Document) -> Document:
        """GetRoute: one of an API."""
        document = self._records.find(caller, request["ApiId"])
        return part(document, "routes", request["RouteId"])

    def get_all(self, caller: Caller, request: Document) -> Document:
        """GetRoutes: all of an API."""
        document = self._records.find(caller, request["ApiId"])
        return page(request, list(document["routes"].values()))

    def update(self, caller: Caller, request: Document) -> Document:
        """UpdateRoute: what is not given stays."""
        identifier = request["RouteId"]
        with self._records.change(caller, request["ApiId"]) as document:
            changed = merged(part(document, "routes", identifier), request)
            if "AuthorizerId" in request:
                changed["AuthorizerId"] = request["AuthorizerId"]
            if request.get("AuthorizationType") == "NONE":
                changed.pop("AuthorizerId", None)
            _check(document, changed)
            document["routes"][identifier] = changed
        return changed

    def delete(self, caller: Caller, request: Document) -> Document:
        """DeleteRoute: its requests are not found any more."""
        with self._records.change(caller, request["ApiId"]) as document:
            part(document, "routes", request["RouteId"])
            del document["routes"][request["RouteId"]]
        return {}


def _check(document: Document, route: Document) -> None:
    check_unused(route, _UNUSED)
    check_length(route, "OperationName", 64, 1)
    _check_key(route["RouteKey"])
    for other in document["routes"].values():
        same = _shape(other["RouteKey"]) == _shape(route["RouteKey"])
        if same and other["RouteId"] != route["RouteId"]:
            raise ConflictException(
                f"Route with key {route['RouteKey']} already exists for this API"
            )
    target = route.get("Target")
    if target is not None:
        kind, _, identifier = target.partition("/")
        if kind != "integrations" or not identifier:
            raise BadRequestException(f"Target must be like integrations/ID, not {target[:80]!r}")
        if identifier not in document["integrations"]:
            raise NotFoundException(
                f"Unable to find Integration by ID {identifier} within Api "
                f"{document['api']['ApiId']}"
            )
    _check_authorization(document, route)


def _check_authorization(document: Document, route: Document) -> None:
    kind, authorizer = route["AuthorizationType"], route.get("AuthorizerId")
    if kind in ("JWT", "AWS_IAM"):
        raise NotEmulated(f"localcloud does not emulate the AuthorizationType {kind}")
    if route.get("AuthorizationScopes"):
        raise BadRequestException("AuthorizationScopes are for JWT authorizers only")
    if kind == "CUSTOM" and authorizer is None:
        raise BadRequestException("AuthorizerId is required with the AuthorizationType CUSTOM")
    if kind == "NONE" and authorizer is not None:
        raise BadRequestException("AuthorizerId cannot be set with the AuthorizationType NONE")
    if authorizer is not None and authorizer not in document["authorizers"]:
        raise BadRequestException(f"Invalid authorizer ID specified: {authorizer[:80]}")


def _check_key(key: str) -> None:
    if key == DEFAULT:
        return
    found = _KEY.fullmatch(key)
    segments = found["path"][1:].split("/") if found and found["path"] != "/" else []
    names = [segment for segment in segments if segment.startswith("{")]
    fits = all(
        _SEGMENT.fullmatch(segment) or (number == len(segments) and _GREEDY.fullmatch(segment))
        for number, segment in enumerate(segments, 1)
    )
    if not found or not fits or len(set(names)) < len(names):
        raise BadRequestException(
            "The provided route key is not formatted properly for HTTP protocol. Format should be "
            f'"<HTTP METHOD> /<RESOURCE PATH>" or "$default". It is {key[:128]!r}'
        )


def _shape(key: str) -> str:
    """A key without its variables' names: two that differ in them only are the same."""
    return re.sub(r"\{[\w.-]+(\+?)\}", r"{\1}", key)
