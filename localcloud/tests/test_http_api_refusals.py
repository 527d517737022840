"""What API Gateway refuses of HTTP APIs: valid requests, each with one mistake in it."""

from __future__ import annotations

import copy
import http.client
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from clients import client_of
from function_fixtures import Maker
from http_api_fixtures import ACCOUNT, Api, new_api, uri_of
from raw_calls import TIMEOUT, signed_for

from localcloud.addresses import HOST
from localcloud.testing import TestCloud

pytestmark = pytest.mark.integration
GONE = "(gone)"
"""Stands for a member that is taken away; text, because tests are named by it."""
BAD, NOT_FOUND, CONFLICT, INVALID, TYPE, NOT_EMULATED = (
    "BadRequestException",
    "NotFoundException",
    "ConflictException",
    "ValidationException",
    "SerializationException",
    "NotImplementedException",
)
STATUS = {BAD: 400, NOT_FOUND: 404, CONFLICT: 409, INVALID: 400, TYPE: 400, NOT_EMULATED: 501}
FUNCTION = f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:f"
GROUP = f"arn:aws:logs:us-east-1:{ACCOUNT}:log-group:/g"
# A valid request of each call; {api}, {integration} and {authorizer} stand for what is there.
BASE: dict[str, tuple[str, str, dict[str, Any]]] = {
    "Api": ("POST", "/v2/apis", {"name": "new", "protocolType": "HTTP"}),
    "UpdateApi": ("PATCH", "/v2/apis/{api}", {}),
    "Integration": ("POST", "/v2/apis/{api}/integrations", {
        "integrationType": "AWS_PROXY", "integrationUri": FUNCTION, "payloadFormatVersion": "2.0",
    }),
    "Route": ("POST", "/v2/apis/{api}/routes", {
        "routeKey": "GET /new", "target": "integrations/{integration}",
    }),
    "Authorizer": ("POST", "/v2/apis/{api}/authorizers", {
        "name": "new", "authorizerType": "REQUEST", "authorizerUri": uri_of(FUNCTION),
        "authorizerPayloadFormatVersion": "2.0", "enableSimpleResponses": True,
        "identitySource": ["$request.header.A"],
    }),
    "Stage": ("POST", "/v2/apis/{api}/stages", {"stageName": "new", "autoDeploy": True}),
    "Deployment": ("POST", "/v2/apis/{api}/deployments", {}),
    "Tag": ("POST", "/v2/tags/arn%3Aaws%3Aapigateway%3Aus-east-1%3A%3A%2Fapis%2F{api}",
            {"tags": {"a": "b"}}),
}  # fmt: skip

# Call, member by its path, value, code, part of the message.
REFUSALS: list[tuple[str, str, Any, str, str]] = [
    ("Api", "name", GONE, INVALID, "name"),
    ("Api", "name", "", BAD, "Name must have 1 to 128 characters"),
    ("Api", "name", "x" * 129, BAD, "it has 129"),
    ("Api", "name", 7, TYPE, "name must be a string"),
    ("Api", "protocolType", "SOAP", INVALID, "enum value set"),
    ("Api", "protocolType", "WEBSOCKET", NOT_EMULATED, "WEBSOCKET"),
    ("Api", "description", "x" * 1025, BAD, "Description"),
    ("Api", "routeKey", "GET /", NOT_EMULATED, "quick create"),
    ("Api", "target", FUNCTION, NOT_EMULATED, "quick create"),
    ("Api", "routeSelectionExpression", "$request.body", BAD, "RouteSelectionExpression"),
    ("Api", "tags", {f"k{n}": "" for n in range(51)}, BAD, "at most 50 tags"),
    ("Api", "tags", {"aws:x": "y"}, BAD, "aws:x"),
    ("Api", "corsConfiguration", {"allowOrigins": ["localhost"]}, BAD, "'localhost'"),
    ("Api", "corsConfiguration", {"allowMethods": ["SEND"]}, BAD, "'SEND'"),
    ("Api", "corsConfiguration", {"maxAge": 86_401}, INVALID, "86400"),
    ("Api", "corsConfiguration", {"allowOrigins": ["*"], "allowCredentials": True}, BAD,
     "AllowCredentials"),
    ("UpdateApi", "name", "", BAD, "Name"),
    ("UpdateApi", "corsConfiguration", {"allowOrigins": ["x"]}, BAD, "'x'"),
    ("Integration", "integrationType", GONE, INVALID, "integrationType"),
    ("Integration", "integrationType", "HTTP_PROXY", NOT_EMULATED, "HTTP_PROXY"),
    ("Integration", "integrationType", "MOCK", BAD, "MOCK"),
    ("Integration", "integrationSubtype", "SQS-SendMessage", NOT_EMULATED, "IntegrationSubtype"),
    ("Integration", "integrationUri", GONE, BAD, "IntegrationUri"),
    ("Integration", "integrationUri", "https://example.com", BAD, "Invalid IntegrationUri"),
    ("Integration", "integrationUri", FUNCTION.replace("us-east-1", "eu-west-1"), BAD,
     "eu-west-1"),
    ("Integration", "integrationUri", f"{FUNCTION}:prod", BAD, "Invalid IntegrationUri"),
    ("Integration", "payloadFormatVersion", GONE, BAD, "PayloadFormatVersion is a required"),
    ("Integration", "payloadFormatVersion", "1.0", NOT_EMULATED, "PayloadFormatVersion 1.0"),
    ("Integration", "payloadFormatVersion", "3.0", BAD, "'3.0'"),
    ("Integration", "timeoutInMillis", 49, INVALID, "50"),
    ("Integration", "timeoutInMillis", 30_001, INVALID, "30000"),
    ("Integration", "connectionType", "VPC_LINK", NOT_EMULATED, "VPC_LINK"),
    ("Integration", "credentialsArn", "arn:aws:iam::000000000000:role/r", NOT_EMULATED, "roles"),
    ("Integration", "requestParameters", {"append:header.a": "b"}, NOT_EMULATED, "mapping"),
    ("Integration", "passthroughBehavior", "NEVER", BAD, "PassthroughBehavior"),
    ("Route", "routeKey", GONE, INVALID, "routeKey"),
    ("Route", "routeKey", "GET", BAD, "route key is not formatted properly"),
    ("Route", "routeKey", "get /new", BAD, "route key is not formatted properly"),
    ("Route", "routeKey", "TRACE /new", BAD, "route key is not formatted properly"),
    ("Route", "routeKey", "GET new", BAD, "route key is not formatted properly"),
    ("Route", "routeKey", "GET /{a+}/b", BAD, "route key is not formatted properly"),
    ("Route", "routeKey", "GET /{a}/{a}", BAD, "route key is not formatted properly"),
    ("Route", "routeKey", "GET /a//b", BAD, "route key is not formatted properly"),
    ("Route", "routeKey", "GET /a b", BAD, "route key is not formatted properly"),
    ("Route", "routeKey", "GET /there", CONFLICT, "Route with key GET /there already exists"),
    ("Route", "routeKey", "GET /there/{other}", CONFLICT, "already exists"),
    ("Route", "target", "integrations/nobody", NOT_FOUND, "Unable to find Integration by ID"),
    ("Route", "target", "nobody", BAD, "integrations/ID"),
    ("Route", "authorizationType", "JWT", NOT_EMULATED, "JWT"),
    ("Route", "authorizationType", "AWS_IAM", NOT_EMULATED, "AWS_IAM"),
    ("Route", "authorizationType", "CUSTOM", BAD, "AuthorizerId is required"),
    ("Route", "authorizationType", "SOME", INVALID, "enum value set"),
    ("Route", "authorizerId", "{authorizer}", BAD, "AuthorizationType NONE"),
    ("Route", "apiKeyRequired", True, BAD, "ApiKeyRequired"),
    ("Authorizer", "name", "there", BAD, "Authorizer name must be unique"),
    ("Authorizer", "authorizerType", "JWT", NOT_EMULATED, "JWT"),
    ("Authorizer", "authorizerUri", FUNCTION, BAD, "Invalid AuthorizerUri"),
    ("Authorizer", "authorizerUri", GONE, BAD, "AuthorizerUri is a required"),
    ("Authorizer", "authorizerPayloadFormatVersion", GONE, BAD, "is a required parameter"),
    ("Authorizer", "authorizerPayloadFormatVersion", "1.0", NOT_EMULATED, "1.0"),
    ("Authorizer", "enableSimpleResponses", False, NOT_EMULATED, "EnableSimpleResponses"),
    ("Authorizer", "authorizerResultTtlInSeconds", 3601, INVALID, "3600"),
    ("Authorizer", "identitySource", ["Authorization"], BAD, "Invalid IdentitySource"),
    ("Authorizer", "identitySource", [], BAD, "IdentitySource is required"),
    ("Authorizer", "identitySource", GONE, INVALID, "identitySource"),
    ("Authorizer", "jwtConfiguration", {"issuer": "x"}, NOT_EMULATED, "JWT"),
    ("Authorizer", "authorizerCredentialsArn", "arn:aws:iam::000000000000:role/r", NOT_EMULATED,
     "roles"),
    ("Stage", "stageName", "a b", BAD, "Stage name only allows"),
    ("Stage", "stageName", "$other", BAD, "Stage name only allows"),
    ("Stage", "stageName", "there", CONFLICT, "Stage already exists"),
    ("Stage", "deploymentId", "nobody", BAD, "AutoDeploy"),
    ("Stage", "routeSettings", {"GET /none": {}}, NOT_FOUND, "Unable to find Route by key GET"),
    ("Stage", "defaultRouteSettings", {"throttlingRateLimit": -1.0}, BAD, "ThrottlingRateLimit"),
    ("Stage", "defaultRouteSettings", {"throttlingRateLimit": 10_001.0}, BAD, "10000"),
    ("Stage", "defaultRouteSettings", {"throttlingBurstLimit": 5001}, BAD, "5000"),
    ("Stage", "defaultRouteSettings", {"loggingLevel": "INFO"}, BAD, "Execution logs"),
    ("Stage", "defaultRouteSettings", {"dataTraceEnabled": True}, BAD, "Execution logs"),
    ("Stage", "accessLogSettings", {"format": "x"}, BAD, "Invalid ARN"),
    ("Stage", "accessLogSettings", {"destinationArn": "here", "format": "x"}, BAD, "Invalid ARN"),
    ("Stage", "accessLogSettings", {"destinationArn": GROUP}, BAD, "Format"),
    ("Stage", "accessLogSettings", {"destinationArn": GROUP, "format": "a\nb"}, BAD, "single line"),
    ("Stage", "accessLogSettings", {
        "destinationArn": f"arn:aws:firehose:us-east-1:{ACCOUNT}:deliverystream/d", "format": "x",
     }, NOT_EMULATED, "Firehose"),
    ("Stage", "stageVariables", {"a-b": "c"}, BAD, "'a-b'"),
    ("Stage", "clientCertificateId", "c", BAD, "ClientCertificateId"),
    ("Deployment", "stageName", "nobody", NOT_FOUND, "Invalid Stage identifier"),
    ("Deployment", "stageName", "there", BAD, "AutoDeploy"),
    ("Tag", "tags", {"aws:x": "y"}, BAD, "aws:x"),
]  # fmt: skip

# Method, path, code, part of the message.
PATHS: list[tuple[str, str, str, str]] = [
    ("GET", "/v2/apis/nobody", NOT_FOUND, "Invalid API identifier specified"),
    ("DELETE", "/v2/apis/nobody", NOT_FOUND, "nobody"),
    ("GET", "/v2/apis/nobody/routes", NOT_FOUND, "nobody"),
    ("GET", "/v2/apis/{api}/routes/nobody", NOT_FOUND, "Invalid Route identifier specified nobody"),
    ("DELETE", "/v2/apis/{api}/routes/nobody", NOT_FOUND, "nobody"),
    ("GET", "/v2/apis/{api}/integrations/nobody", NOT_FOUND, "Integration"),
    ("GET", "/v2/apis/{api}/authorizers/nobody", NOT_FOUND, "Authorizer"),
    ("GET", "/v2/apis/{api}/stages/nobody", NOT_FOUND, "Stage"),
    ("GET", "/v2/apis/{api}/deployments/nobody", NOT_FOUND, "Deployment"),
    ("DELETE", "/v2/apis/{api}/stages/there/routesettings/GET%20%2Fthere", NOT_FOUND, "GET /there"),
    ("GET", "/v2/apis?maxResults=none", BAD, "MaxResults"),
    ("GET", "/v2/apis?nextToken=x", BAD, "NextToken"),
    ("GET", "/v2/tags/arn%3Aaws%3As3%3A%3A%3Ab", NOT_FOUND, "Invalid resource identifier"),
    ("GET", "/v2/domainnames", NOT_EMULATED, "GetDomainNames"),
    ("GET", "/v2/vpclinks", NOT_EMULATED, "GetVpcLinks"),
    ("GET", "/restapis", NOT_EMULATED, "GetRestApis"),
    ("GET", "/restapis/x/authorizers", NOT_EMULATED, "GetAuthorizers"),
]  # fmt: skip


@dataclass(frozen=True)
class There:
    """An API that has one of everything."""

    cloud: TestCloud
    names: dict[str, str]

    def call(self, method: str, path: str, body: Any) -> tuple[int, str, str]:
        """Status, code and message of a call whose path and body name what is there."""
        text = self._named(json.dumps(body)) if body is not None else ""
        connection = http.client.HTTPConnection(HOST, self.cloud.address.port, timeout=TIMEOUT)
        try:
            connection.request(
                method, self._named(path), text, {"Authorization": signed_for("apigateway")}
            )
            answer = connection.getresponse()
            document = json.loads(answer.read() or b"{}")
            code = answer.headers.get("x-amzn-ErrorType", "")
            return answer.status, code, document.get("message", "")
        finally:
            connection.close()

    def _named(self, text: str) -> str:
        for name, value in self.names.items():
            text = text.replace(f"{{{name}}}", value)
        return text


@pytest.fixture(scope="module")
def there(cloud: TestCloud) -> Iterator[There]:
    gateway = client_of(cloud, "apigatewayv2")
    api: Api = new_api(Maker(client_of(cloud, "lambda")), gateway, cloud.address)
    api.route("GET /there", FUNCTION)
    api.route("GET /there/{id}", FUNCTION)
    authorizer = gateway.create_authorizer(
        ApiId=api.id, Name="there", AuthorizerType="REQUEST", AuthorizerUri=uri_of(FUNCTION),
        AuthorizerPayloadFormatVersion="2.0", EnableSimpleResponses=True,
        IdentitySource=["$request.header.A"],
    )["AuthorizerId"]  # fmt: skip
    api.stage("there")
    names = {"api": api.id, "integration": api.integrations[FUNCTION], "authorizer": authorizer}
    before = _shown(gateway, api.id)
    yield There(cloud, names)
    assert _shown(gateway, api.id) == before, "a refused call changed something"


def _shown(gateway: Any, api_id: str) -> list[Any]:
    calls = (gateway.get_routes, gateway.get_integrations, gateway.get_authorizers,
             gateway.get_stages, gateway.get_deployments)  # fmt: skip
    return [call(ApiId=api_id)["Items"] for call in calls]


def changed(base: dict[str, Any], member: str, value: Any) -> dict[str, Any]:
    document = copy.deepcopy(base)
    document[member] = value
    return {name: each for name, each in document.items() if each != GONE}


@pytest.mark.parametrize(
    ("call", "member", "value", "code", "said"),
    REFUSALS,
    ids=[f"{case[0]}-{case[1]}-{str(case[2])[:30]}" for case in REFUSALS],
)
def test_a_request_with_one_mistake_is_refused(
    there: There, call: str, member: str, value: Any, code: str, said: str
) -> None:
    method, path, base = BASE[call]
    status, found, message = there.call(method, path, changed(base, member, value))
    assert (found, said in message) == (code, True), message
    assert status == STATUS[code]


@pytest.mark.parametrize(("method", "path", "code", "said"), PATHS)
def test_what_is_not_there_or_not_emulated_is_named(
    there: There, method: str, path: str, code: str, said: str
) -> None:
    status, found, message = there.call(method, path, None)
    assert (found, said in message) == (code, True), message
    assert status == STATUS[code]


def test_an_api_without_routes_cannot_be_deployed(cloud: TestCloud) -> None:
    gateway = client_of(cloud, "apigatewayv2")
    api_id = gateway.create_api(Name="empty", ProtocolType="HTTP")["ApiId"]
    with pytest.raises(gateway.exceptions.BadRequestException, match="At least one route"):
        gateway.create_deployment(ApiId=api_id)
