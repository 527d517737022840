"""Authorizers: functions that say who may come in."""

from __future__ import annotations

import re

from localcloud.errors import NotEmulated
from localcloud.http_api.errors import BadRequestException, ConflictException
from localcloud.http_api.integrations import check_payload
from localcloud.http_api.records import Records, merged, new_id, page, part
from localcloud.http_api.rules import check_emulated, check_length, function_of
from localcloud.protocol import Caller, Document, Operation

_SOURCE = re.compile(
    r"\$request\.(header|querystring)\.[^\s.$]+|\$context\.[\w.]+|\$stageVariables\.\w+"
)
_DEFAULT_TTL = 300
_NOT_EMULATED = {
    "AuthorizerCredentialsArn": "roles",
    "JwtConfiguration": "JWT authorizers",
    "IdentityValidationExpression": "identity validation",
}


class Authorizers:
    """The life of authorizers."""

    def __init__(self, records: Records) -> None:
        self._records = records

    def operations(self) -> dict[str, Operation]:
        """The calls by their AWS names."""
        return {
            "CreateAuthorizer": self.create,
            "GetAuthorizer": self.get,
            "GetAuthorizers": self.get_all,
            "UpdateAuthorizer": self.update,
            "DeleteAuthorizer": self.delete,
            "ResetAuthorizersCache": self.reset,
        }

    def create(self, caller: Caller, request: Document) -> Document:
        """CreateAuthorizer: REQUEST with a function, payload 2.0 and simple responses."""
        made: Document = {
            "AuthorizerResultTtlInSeconds": _DEFAULT_TTL,
            "EnableSimpleResponses": False,
            **merged({}, request),
            "AuthorizerId": new_id(6),
        }
        _check(caller, made)
        with self._records.change(caller, request["ApiId"]) as document:
            _check_name(document, made)
            document["authorizers"][made["AuthorizerId"]] = made
        return made

    def get(self, caller: Caller, request: Document) -> Document:
        """GetAuthorizer: one of an API."""
        document = self._records.find(caller, request["ApiId"])
        return part(document, "authorizers", request["AuthorizerId"])

    def get_all(self, caller: Caller, request: Document) -> Document:
        """GetAuthorizers: all of an API."""
        document = self._records.find(caller, request["ApiId"])
        return page(request, list(document["authorizers"].values()))

    def update(self, caller: Caller, request: Document) -> Document:
        """UpdateAuthorizer: what is not given stays."""
        identifier = request["AuthorizerId"]
        with self._records.change(caller, request["ApiId"]) as document:
            changed = merged(part(document, "authorizers", identifier), request)
            _check(caller, changed)
            _check_name(document, changed)
            document["authorizers"][identifier] = changed
        return changed

    def delete(self, caller: Caller, request: Document) -> Document:
        """DeleteAuthorizer: none that a route has."""
        identifier = request["AuthorizerId"]
        with self._records.change(caller, request["ApiId"]) as document:
            part(document, "authorizers", identifier)
            for route in document["routes"].values():
                if route.get("AuthorizerId") == identifier:
                    raise ConflictException(
                        f"Cannot delete authorizer '{identifier}', is referenced in route: "
                        f"{route['RouteKey']}"
                    )
            del document["authorizers"][identifier]
        return {}

    def reset(self, caller: Caller, request: Document) -> Document:
        """ResetAuthorizersCache: every identity is asked for anew."""
        with self._records.change(caller, request["ApiId"]) as document:
            part(document, "stages", request["StageName"])
        return {}


def _check(caller: Caller, authorizer: Document) -> None:
    if authorizer["AuthorizerType"] != "REQUEST":
        raise NotEmulated("localcloud does not emulate JWT authorizers: AuthorizerType JWT")
    check_emulated(authorizer, _NOT_EMULATED)
    check_length(authorizer, "Name", 128, 1)
    if not authorizer.get("AuthorizerUri"):
        raise BadRequestException("AuthorizerUri is a required parameter for REQUEST authorizers")
    function_of(caller, authorizer["AuthorizerUri"], "AuthorizerUri", plain=False)
    check_payload(authorizer, "AuthorizerPayloadFormatVersion")
    if not authorizer["EnableSimpleResponses"]:
        raise NotEmulated(
            "localcloud reads simple responses of authorizers only: set EnableSimpleResponses"
        )
    sources = authorizer["IdentitySource"]
    if not sources and authorizer["AuthorizerResultTtlInSeconds"]:
        raise BadRequestException(
            "IdentitySource is required when the results of an authorizer are cached"
        )
    for source in sources:
        if _SOURCE.fullmatch(source) is None:
            raise BadRequestException(
                f"Invalid IdentitySource {source[:80]!r}: it must be like "
                "$request.header.Authorization, $request.querystring.token, $context.routeKey or "
                "$stageVariables.name"
            )


def _check_name(document: Document, authorizer: Document) -> None:
    for other in document["authorizers"].values():
        same = other["Name"] == authorizer["Name"]
        if same and other["AuthorizerId"] != authorizer["AuthorizerId"]:
            raise BadRequestException(
                f"Authorizer name must be unique. Authorizer {authorizer['Name']} already exists "
                "in this Api."
            )
