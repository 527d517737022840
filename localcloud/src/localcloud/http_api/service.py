"""All of HTTP APIs, put together; the data plane is told whatever changes."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

from localcloud.http_api.apis import Apis
from localcloud.http_api.authorizers import Authorizers
from localcloud.http_api.integrations import Integrations
from localcloud.http_api.records import KIND, Records
from localcloud.http_api.routes import Routes
from localcloud.http_api.rules import function_of
from localcloud.http_api.stages import SERVED, Deployments, Stages, deploy_by_itself, log_group_of
from localcloud.http_api.tags import ApiTags
from localcloud.logs import Logs
from localcloud.protocol import Caller, Document, Operation, Service
from localcloud.store import Store
from localcloud.traffic import Traffic


class HttpApis:
    """The service. `url` is the data plane's address; `folder` keeps the access logs."""

    def __init__(self, store: Store, traffic: Traffic, logs: Logs, url: str, folder: Path) -> None:
        self._store = store
        self._traffic = traffic
        self._logs = logs
        self._folder = folder
        self._telling = threading.Lock()
        records = _Deploying(store, self._tell)
        parts: tuple[Callable[[], dict[str, Operation]], ...] = (
            Apis(records, url).operations,
            Integrations(records).operations,
            Authorizers(records).operations,
            Routes(records).operations,
            Stages(records).operations,
            Deployments(records).operations,
            ApiTags(records).operations,
        )
        operations: dict[str, Operation] = {}
        for part in parts:
            operations |= part()
        self.service = Service("apigatewayv2", operations)

    def restore(self) -> None:
        """Have the data plane answer for all APIs of an earlier process."""
        for caller, api_id, _ in self._store.everywhere(KIND):
            self._tell(caller, api_id)

    def _tell(self, caller: Caller, api_id: str) -> None:
        with self._telling:  # what is told last is what was stored last
            document = self._store.get(caller, KIND, api_id)
            if document is None:
                self._traffic.forget_http_api(api_id)
            else:
                self._traffic.http_api(api_id, self._table(caller, document))

    def _table(self, caller: Caller, document: Document) -> Document:
        api = document["api"]
        return {
            "region": caller.region,
            "account": caller.account,
            "cors": api.get("CorsConfiguration"),
            "disabled": api["DisableExecuteApiEndpoint"],
            "stages": [
                self._stage(caller, document, stage) for stage in document["stages"].values()
            ],
        }

    def _stage(self, caller: Caller, document: Document, stage: Document) -> Document:
        served = document["deployments"].get(stage.get("DeploymentId")) or {k: {} for k in SERVED}
        authorizers = {
            each["AuthorizerId"]: {
                "id": each["AuthorizerId"],
                "function": function_of(caller, each["AuthorizerUri"], "", plain=False),
                "sources": each["IdentitySource"],
                "seconds": each["AuthorizerResultTtlInSeconds"],
            }
            for each in served["authorizers"].values()
        }
        routes = []
        for route in served["routes"].values():
            told: Document = {"key": route["RouteKey"], "function": None, "seconds": 0.0}
            if "Target" in route:
                integration = served["integrations"][route["Target"].partition("/")[2]]
                told["function"] = function_of(
                    caller, integration["IntegrationUri"], "", plain=True
                )
                told["seconds"] = integration["TimeoutInMillis"] / 1000
            told["authorizer"] = authorizers.get(route.get("AuthorizerId"))
            told["settings"] = stage["RouteSettings"].get(route["RouteKey"])
            routes.append(told)
        return {
            "name": stage["StageName"],
            "settings": stage["DefaultRouteSettings"],
            "variables": stage["StageVariables"],
            "routes": routes,
            "log": self._log(caller, document["api"]["ApiId"], stage),
        }

    def _log(self, caller: Caller, api_id: str, stage: Document) -> Document | None:
        settings = stage.get("AccessLogSettings")
        if not settings:
            return None
        group, name = log_group_of(caller, settings), stage["StageName"]
        path = self._folder / "logs" / caller.region / api_id / f"{name}.log"
        path.parent.mkdir(parents=True, exist_ok=True)
        if not self._logs.has(caller, path, f"{api_id}/{name}"):
            self._logs.open(caller, group, f"{api_id}/{name}", path)
        return {"path": str(path), "format": settings["Format"]}


class _Deploying(Records):
    """Records whose stages with AutoDeploy serve each change."""

    def put(self, caller: Caller, document: Document) -> None:
        """Store an API, with what its stages serve by themselves."""
        deploy_by_itself(document, self.store.clock.now())
        super().put(caller, document)
