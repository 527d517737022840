"""HTTP APIs for tests: what makes them, and what asks them."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from function_fixtures import Maker

from localcloud.addresses import HOST, Address

ACCOUNT = "000000000000"


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: str
    cookies: tuple[str, ...] = ()

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Api:
    """One API with a stage that deploys by itself."""

    gateway: Any
    functions: Any
    address: Address
    id: str
    integrations: dict[str, str] = field(default_factory=dict)

    def route(self, key: str, function: str, **more: Any) -> str:
        """A route to a function, by its ARN; returns its identifier."""
        milliseconds = more.pop("TimeoutInMillis", 30_000)
        if function not in self.integrations:
            self.integrations[function] = self.gateway.create_integration(
                ApiId=self.id, IntegrationType="AWS_PROXY", IntegrationUri=function,
                PayloadFormatVersion="2.0", TimeoutInMillis=milliseconds,
            )["IntegrationId"]  # fmt: skip
        target = f"integrations/{self.integrations[function]}"
        made = self.gateway.create_route(ApiId=self.id, RouteKey=key, Target=target, **more)
        return str(made["RouteId"])

    def authorizer(self, function: str, sources: Iterable[str], seconds: int) -> str:
        """An authorizer; returns its identifier."""
        made = self.gateway.create_authorizer(
            ApiId=self.id, Name=f"authorizer-{function[-8:]}-{seconds}", AuthorizerType="REQUEST",
            AuthorizerUri=uri_of(function), AuthorizerPayloadFormatVersion="2.0",
            EnableSimpleResponses=True, IdentitySource=list(sources),
            AuthorizerResultTtlInSeconds=seconds,
        )  # fmt: skip
        return str(made["AuthorizerId"])

    def stage(self, name: str = "$default", **more: Any) -> None:
        """A stage that deploys by itself."""
        self.gateway.create_stage(ApiId=self.id, StageName=name, AutoDeploy=True, **more)

    def permit(self, function: str, source: str = "*") -> None:
        """Let this API invoke a function."""
        self.functions.add_permission(
            FunctionName=function, StatementId=f"s{abs(hash((self.id, source)))}",
            Action="lambda:InvokeFunction", Principal="apigateway.amazonaws.com",
            SourceArn=f"arn:aws:execute-api:us-east-1:{ACCOUNT}:{self.id}/{source}",
        )  # fmt: skip

    def ask(
        self, method: str, path: str, body: bytes | str | None = None, **headers: str
    ) -> Answer:
        """Ask on a connection of its own; `_` in names of headers is `-`."""
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        return ask(self.address, method, f"/http-apis/{self.id}{path}", body, given)


def ask(
    address: Address,
    method: str,
    path: str,
    body: bytes | str | None = None,
    headers: Mapping[str, str] | None = None,
) -> Answer:
    connection = http.client.HTTPConnection(HOST, address.data_port, timeout=40)
    try:
        connection.request(method, path, body, dict(headers or {}))
        answer = connection.getresponse()
        return Answer(
            answer.status,
            {name.lower(): value for name, value in answer.getheaders()},
            answer.read().decode("utf-8", "surrogateescape"),
            tuple(answer.headers.get_all("set-cookie") or ()),
        )
    finally:
        connection.close()


def uri_of(function: str) -> str:
    """The URI by which API Gateway invokes a function."""
    return f"arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/{function}/invocations"


def new_api(maker: Maker, gateway: Any, address: Address, **more: Any) -> Api:
    """An API without anything."""
    made = gateway.create_api(Name="test", ProtocolType="HTTP", **more)
    return Api(gateway, maker.client, address, made["ApiId"])
