"""APIs themselves, and what they let pages of other origins do."""

from __future__ import annotations

from localcloud.errors import NotEmulated
from localcloud.http_api.errors import BadRequestException
from localcloud.http_api.records import KIND, Records, new_id, page
from localcloud.http_api.rules import check_emulated, check_length, check_tags, check_unused
from localcloud.protocol import Caller, Document, Operation

_SELECTION = "$request.method $request.path"
_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "*")
_LENGTHS = {"Name": (128, 1), "Description": (1024, 0), "Version": (64, 1)}


class Apis:
    """The life of APIs. `url` is the data plane's address."""

    def __init__(self, records: Records, url: str) -> None:
        self._records = records
        self._url = url

    def operations(self) -> dict[str, Operation]:
        """The calls by their AWS names."""
        return {
            "CreateApi": self.create,
            "GetApi": self.get,
            "GetApis": self.get_all,
            "UpdateApi": self.update,
            "DeleteApi": self.delete,
            "DeleteCorsConfiguration": self.delete_cors,
        }

    def create(self, caller: Caller, request: Document) -> Document:
        """CreateApi: protocol HTTP; its address is one of the data plane's."""
        if request["ProtocolType"] != "HTTP":
            raise NotEmulated("localcloud does not emulate WebSocket APIs: ProtocolType WEBSOCKET")
        _check(request)
        tags = request.get("Tags", {})
        check_tags(tags)
        api_id = new_id(10)
        api: Document = {
            "ApiKeySelectionExpression": "$request.header.x-api-key",
            "DisableExecuteApiEndpoint": False,
            "IpAddressType": "ipv4",
            "RouteSelectionExpression": _SELECTION,
            **request,
            "ApiId": api_id,
            "ApiEndpoint": f"{self._url}/http-apis/{api_id}",
            "CreatedDate": self._records.store.clock.now(),
            "Tags": tags,
        }
        parts: Document = {
            kind: {} for kind in ("integrations", "routes", "authorizers", "stages", "deployments")
        }
        document = {"api": api, **parts}
        self._records.put(caller, document)
        self._records.told(caller, api_id)
        return api

    def get(self, caller: Caller, request: Document) -> Document:
        """GetApi: with its address."""
        api: Document = self._records.find(caller, request["ApiId"])["api"]
        return api

    def get_all(self, caller: Caller, request: Document) -> Document:
        """GetApis: all of the region."""
        found = self._records.store.documents(caller, KIND)
        return page(request, [each["api"] for each in found])

    def update(self, caller: Caller, request: Document) -> Document:
        """UpdateApi: what is not given stays."""
        _check(request)
        with self._records.change(caller, request["ApiId"]) as document:
            document["api"] |= request
        api: Document = document["api"]
        return api

    def delete(self, caller: Caller, request: Document) -> Document:
        """DeleteApi: with all its parts."""
        self._records.delete(caller, request["ApiId"])
        return {}

    def delete_cors(self, caller: Caller, request: Document) -> Document:
        """DeleteCorsConfiguration: the functions answer pages of other origins themselves."""
        with self._records.change(caller, request["ApiId"]) as document:
            document["api"].pop("CorsConfiguration", None)
        return {}


def _check(request: Document) -> None:
    for member, (most, least) in _LENGTHS.items():
        check_length(request, member, most, least)
    quick = {"RouteKey": "quick create", "Target": "quick create", "CredentialsArn": "quick create"}
    check_emulated(request, quick)
    check_unused(request, {"DisableSchemaValidation": "it is for WebSocket APIs"})
    if request.get("RouteSelectionExpression", _SELECTION) != _SELECTION:
        raise BadRequestException(f"RouteSelectionExpression must be {_SELECTION!r} for HTTP APIs")
    if "CorsConfiguration" in request:
        _check_cors(request["CorsConfiguration"])


def _check_cors(cors: Document) -> None:
    origins = cors.get("AllowOrigins", [])
    for origin in origins:
        if origin != "*" and not origin.startswith(("http://", "https://")):
            raise BadRequestException(
                f"Invalid CORS configuration: the origin {origin!r} must begin with http:// or "
                "https://, or be *"
            )
    if cors.get("AllowCredentials") and "*" in origins:
        raise BadRequestException(
            "Invalid CORS configuration: AllowCredentials cannot be true with the origin *"
        )
    for method in cors.get("AllowMethods", []):
        if method not in _METHODS:
            raise BadRequestException(
                f"Invalid CORS configuration: {method!r} is none of {', '.join(_METHODS)}"
            )
