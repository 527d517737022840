"""Integrations: which function answers, and within which time."""

from __future__ import annotations

from localcloud.errors import NotEmulated
from localcloud.http_api.errors import BadRequestException, ConflictException
from localcloud.http_api.records import Records, merged, new_id, page, part
from localcloud.http_api.rules import check_emulated, check_length, check_unused, function_of
from localcloud.protocol import Caller, Document, Operation

_NOT_EMULATED = {
    "IntegrationSubtype": "integrations with AWS's services",
    "CredentialsArn": "roles",
    "ConnectionId": "VPC links",
    "RequestParameters": "parameter mapping",
    "ResponseParameters": "parameter mapping",
    "TlsConfig": "TLS to a backend",
}
_WEB_SOCKET = "it is for WebSocket APIs"
_UNUSED = {
    "RequestTemplates": _WEB_SOCKET,
    "TemplateSelectionExpression": _WEB_SOCKET,
    "ContentHandlingStrategy": _WEB_SOCKET,
    "PassthroughBehavior": _WEB_SOCKET,
}


class Integrations:
    """The life of integrations."""

    def __init__(self, records: Records) -> None:
        self._records = records

    def operations(self) -> dict[str, Operation]:
        """The calls by their AWS names."""
        return {
            "CreateIntegration": self.create,
            "GetIntegration": self.get,
            "GetIntegrations": self.get_all,
            "UpdateIntegration": self.update,
            "DeleteIntegration": self.delete,
        }

    def create(self, caller: Caller, request: Document) -> Document:
        """CreateIntegration: AWS_PROXY with a function and payload 2.0."""
        made: Document = {
            "ConnectionType": "INTERNET",
            "IntegrationMethod": "POST",
            "TimeoutInMillis": 30_000,
            **merged({}, request),
            "IntegrationId": new_id(),
        }
        _check(caller, made)
        with self._records.change(caller, request["ApiId"]) as document:
            document["integrations"][made["IntegrationId"]] = made
        return made

    def get(self, caller: Caller, request: Document) -> Document:
        """GetIntegration: one of an API."""
        document = self._records.find(caller, request["ApiId"])
        return part(document, "integrations", request["IntegrationId"])

    def get_all(self, caller: Caller, request: Document) -> Document:
        """GetIntegrations: all of an API."""
        document = self._records.find(caller, request["ApiId"])
        return page(request, list(document["integrations"].values()))

    def update(self, caller: Caller, request: Document) -> Document:
        """UpdateIntegration: what is not given stays."""
        with self._records.change(caller, request["ApiId"]) as document:
            before = part(document, "integrations", request["IntegrationId"])
            changed = merged(before, request)
            _check(caller, changed)
            document["integrations"][request["IntegrationId"]] = changed
        return changed

    def delete(self, caller: Caller, request: Document) -> Document:
        """DeleteIntegration: none that a route leads to."""
        identifier = request["IntegrationId"]
        with self._records.change(caller, request["ApiId"]) as document:
            part(document, "integrations", identifier)
            for route in document["routes"].values():
                if route.get("Target") == f"integrations/{identifier}":
                    raise ConflictException(
                        f"Cannot delete Integration '{identifier}': Route "
                        f"'{route['RouteKey']}' leads to it"
                    )
            del document["integrations"][identifier]
        return {}


def _check(caller: Caller, integration: Document) -> None:
    check_emulated(integration, _NOT_EMULATED)
    check_unused(integration, _UNUSED)
    check_length(integration, "Description", 1024)
    kind = integration["IntegrationType"]
    if kind == "HTTP_PROXY":
        raise NotEmulated("localcloud does not emulate integrations with the type HTTP_PROXY")
    if kind != "AWS_PROXY":
        raise BadRequestException(
            f"Invalid IntegrationType {kind}: HTTP APIs have AWS_PROXY and HTTP_PROXY"
        )
    if integration["ConnectionType"] != "INTERNET":
        raise NotEmulated("localcloud does not emulate VPC links: ConnectionType VPC_LINK")
    if not integration.get("IntegrationUri"):
        raise BadRequestException("IntegrationUri is a required parameter for integration")
    function_of(caller, integration["IntegrationUri"], "IntegrationUri", plain=True)
    check_payload(integration, "PayloadFormatVersion")


def check_payload(document: Document, member: str) -> None:
    """Raise unless the payload's version is given, and the one that there is here."""
    version = document.get(member)
    if version is None:
        raise BadRequestException(f"{member} is a required parameter for HTTP APIs")
    if version == "1.0":
        raise NotEmulated(f"localcloud knows the payload 2.0 only: {member} 1.0")
    if version != "2.0":
        raise BadRequestException(f"{member} must be 1.0 or 2.0, not {version[:40]!r}")
