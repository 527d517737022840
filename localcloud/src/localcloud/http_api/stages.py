"""Stages and deployments: what of an API is served, how fast, and what is written of it."""

from __future__ import annotations

import re
from collections.abc import Iterable

from localcloud.errors import NotEmulated
from localcloud.http_api.errors import BadRequestException, ConflictException, NotFoundException
from localcloud.http_api.records import Records, merged, new_id, page, part
from localcloud.http_api.rules import check_length, check_tags, check_unused
from localcloud.protocol import Caller, Document, Operation

DEFAULT = "$default"
SERVED = ("integrations", "routes", "authorizers")
"""The parts of an API that a deployment is a picture of."""
MOST_RATE, MOST_BURST = 10_000.0, 5_000
"""The account's own limits, which no stage can exceed."""
_NAME = re.compile(r"[A-Za-z0-9_-]{1,128}")
_VARIABLE, _VALUE = re.compile(r"\w+"), re.compile(r"[A-Za-z0-9._~:/?#&=,-]*")
_GROUP = re.compile(
    r"arn:aws:logs:(?P<region>[a-z0-9-]+):(?P<account>\d{12}):log-group:"
    r"(?P<name>[.\-_/#A-Za-z0-9]{1,512})(:\*)?"
)
_LONGEST_FORMAT = 3072


class Stages:
    """The life of stages."""

    def __init__(self, records: Records) -> None:
        self._records = records

    def operations(self) -> dict[str, Operation]:
        """The calls by their AWS names."""
        return {
            "CreateStage": self.create,
            "GetStage": self.get,
            "GetStages": self.get_all,
            "UpdateStage": self.update,
            "DeleteStage": self.delete,
            "DeleteAccessLogSettings": self.delete_access_log,
            "DeleteRouteSettings": self.delete_route_settings,
        }

    def create(self, caller: Caller, request: Document) -> Document:
        """CreateStage: `$default` without a prefix, another one under its name."""
        now = self._records.store.clock.now()
        tags = request.get("Tags", {})
        check_tags(tags)
        made: Document = {
            "AutoDeploy": False,
            "DefaultRouteSettings": {"DetailedMetricsEnabled": False},
            "RouteSettings": {},
            "StageVariables": {},
            **merged({}, request),
            "CreatedDate": now,
            "LastUpdatedDate": now,
            "Tags": tags,
        }
        name = made["StageName"]
        if name != DEFAULT and _NAME.fullmatch(name) is None:
            raise BadRequestException(
                f"Stage name only allows a-zA-Z0-9_- and $default, not {name[:80]!r}"
            )
        with self._records.change(caller, request["ApiId"]) as document:
            if name in document["stages"]:
                raise ConflictException("Stage already exists")
            if "DeploymentId" in request:
                made["DeploymentId"] = request["DeploymentId"]
            _check(caller, document, made, request)
            document["stages"][name] = made
        return self.get(caller, request)

    def get(self, caller: Caller, request: Document) -> Document:
        """GetStage: one of an API."""
        return part(self._records.find(caller, request["ApiId"]), "stages", request["StageName"])

    def get_all(self, caller: Caller, request: Document) -> Document:
        """GetStages: all of an API."""
        document = self._records.find(caller, request["ApiId"])
        return page(request, list(document["stages"].values()))

    def update(self, caller: Caller, request: Document) -> Document:
        """UpdateStage: what is not given stays; settings of routes are added to those there."""
        with self._records.change(caller, request["ApiId"]) as document:
            before = part(document, "stages", request["StageName"])
            changed = merged(before, request)
            changed["RouteSettings"] = before["RouteSettings"] | request.get("RouteSettings", {})
            changed["LastUpdatedDate"] = self._records.store.clock.now()
            if "DeploymentId" in request:
                changed["DeploymentId"] = request["DeploymentId"]
            _check(caller, document, changed, request)
            document["stages"][request["StageName"]] = changed
        return self.get(caller, request)

    def delete(self, caller: Caller, request: Document) -> Document:
        """DeleteStage: its requests are not found any more."""
        with self._records.change(caller, request["ApiId"]) as document:
            part(document, "stages", request["StageName"])
            del document["stages"][request["StageName"]]
        return {}

    def delete_access_log(self, caller: Caller, request: Document) -> Document:
        """DeleteAccessLogSettings: requests are not written down any more."""
        with self._records.change(caller, request["ApiId"]) as document:
            part(document, "stages", request["StageName"]).pop("AccessLogSettings", None)
        return {}

    def delete_route_settings(self, caller: Caller, request: Document) -> Document:
        """DeleteRouteSettings: a route goes by the stage's default again."""
        with self._records.change(caller, request["ApiId"]) as document:
            settings = part(document, "stages", request["StageName"])["RouteSettings"]
            if settings.pop(request["RouteKey"], None) is None:
                raise NotFoundException(f"There are no settings of {request['RouteKey']}")
        return {}


class Deployments:
    """The life of deployments: pictures of an API for stages without AutoDeploy."""

    def __init__(self, records: Records) -> None:
        self._records = records

    def operations(self) -> dict[str, Operation]:
        """The calls by their AWS names."""
        return {
            "CreateDeployment": self.create,
            "GetDeployment": self.get,
            "GetDeployments": self.get_all,
            "DeleteDeployment": self.delete,
        }

    def create(self, caller: Caller, request: Document) -> Document:
        """CreateDeployment: take a picture, and have a stage serve it."""
        check_length(request, "Description", 1024)
        with self._records.change(caller, request["ApiId"]) as document:
            if not document["routes"]:
                raise BadRequestException(
                    "At least one route is required before deploying the Api."
                )
            made = _picture(document, self._records.store.clock.now())
            made["Description"] = request.get("Description", "")
            name = request.get("StageName")
            if name is not None:
                stage = part(document, "stages", name)
                if stage["AutoDeploy"]:
                    raise BadRequestException(
                        f"The stage {name} deploys by itself (AutoDeploy); it takes no deployment"
                    )
                stage["DeploymentId"] = made["DeploymentId"]
            document["deployments"][made["DeploymentId"]] = made
        return _shown(made)

    def get(self, caller: Caller, request: Document) -> Document:
        """GetDeployment: one of an API."""
        document = self._records.find(caller, request["ApiId"])
        return _shown(part(document, "deployments", request["DeploymentId"]))

    def get_all(self, caller: Caller, request: Document) -> Document:
        """GetDeployments: all of an API."""
        document = self._records.find(caller, request["ApiId"])
        return page(request, [_shown(each) for each in document["deployments"].values()])

    def delete(self, caller: Caller, request: Document) -> Document:
        """DeleteDeployment: none that a stage serves."""
        identifier = request["DeploymentId"]
        with self._records.change(caller, request["ApiId"]) as document:
            part(document, "deployments", identifier)
            if any(s.get("DeploymentId") == identifier for s in document["stages"].values()):
                raise BadRequestException(
                    "Active stages pointing to this deployment must be moved or deleted"
                )
            del document["deployments"][identifier]
        return {}


def deploy_by_itself(document: Document, now: float) -> None:
    """Let the stages with AutoDeploy serve what is there: a picture each time that differs."""
    current = {kind: document[kind] for kind in SERVED}
    for stage in document["stages"].values():
        if not stage["AutoDeploy"] or not document["routes"]:
            continue
        before = document["deployments"].get(stage.get("DeploymentId"))
        if before is not None and {kind: before[kind] for kind in SERVED} == current:
            continue
        made = _picture(document, now) | {"AutoDeployed": True}
        if before is not None and before["AutoDeployed"] and not _others(document, stage):
            del document["deployments"][before["DeploymentId"]]
        document["deployments"][made["DeploymentId"]] = made
        stage["DeploymentId"] = made["DeploymentId"]
        stage["LastDeploymentStatusMessage"] = (
            f"Successfully deployed stage with deployment ID '{made['DeploymentId']}'"
        )


def _others(document: Document, stage: Document) -> bool:
    served = [each.get("DeploymentId") for each in document["stages"].values()]
    return served.count(stage["DeploymentId"]) > 1


def _picture(document: Document, now: float) -> Document:
    return {
        "DeploymentId": new_id(6),
        "CreatedDate": now,
        "DeploymentStatus": "DEPLOYED",
        "AutoDeployed": False,
        **{kind: document[kind] for kind in SERVED},
    }


def _shown(deployment: Document) -> Document:
    return {name: value for name, value in deployment.items() if name not in SERVED}


def _check(caller: Caller, document: Document, stage: Document, request: Document) -> None:
    check_unused(stage, {"ClientCertificateId": "it is for WebSocket APIs"})
    check_length(stage, "Description", 1024)
    if "DeploymentId" in request:
        if stage["AutoDeploy"]:
            raise BadRequestException("A stage with AutoDeploy cannot be given a DeploymentId")
        part(document, "deployments", request["DeploymentId"])
    for name, value in stage["StageVariables"].items():
        if _VARIABLE.fullmatch(name) is None or _VALUE.fullmatch(value) is None:
            raise BadRequestException(f"The stage variable {name[:80]!r} has characters it cannot")
    keys = {route["RouteKey"] for route in document["routes"].values()}
    for key in request.get("RouteSettings", {}):
        if key not in keys:
            raise NotFoundException(
                f"Unable to find Route by key {key} within the provided RouteSettings"
            )
    _check_settings([stage["DefaultRouteSettings"], *stage["RouteSettings"].values()])
    if "AccessLogSettings" in stage:
        log_group_of(caller, stage["AccessLogSettings"])


def _check_settings(all_settings: Iterable[Document]) -> None:
    for settings in all_settings:
        if settings.get("LoggingLevel", "OFF") != "OFF" or settings.get("DataTraceEnabled"):
            raise BadRequestException("Execution logs are not supported on protocol type HTTP")
        rate, burst = settings.get("ThrottlingRateLimit"), settings.get("ThrottlingBurstLimit")
        for name, value, most in (("Rate", rate, MOST_RATE), ("Burst", burst, MOST_BURST)):
            if value is not None and not 0 <= value <= most:
                raise BadRequestException(
                    f"Throttling{name}Limit must be 0 to {most:g}, the account's limit; it is "
                    f"{value:g}"
                )


def log_group_of(caller: Caller, settings: Document) -> str:
    """The log group that requests are written to. Raises BadRequestException."""
    arn, text = settings.get("DestinationArn", ""), settings.get("Format", "")
    if arn.startswith("arn:aws:firehose:"):
        raise NotEmulated("localcloud writes requests to CloudWatch Logs only, not to Firehose")
    found = _GROUP.fullmatch(arn)
    if found is None or (found["region"], found["account"]) != (caller.region, caller.account):
        raise BadRequestException(
            f"Invalid ARN specified in the request: {arn[:200]!r} is no log group of account "
            f"{caller.account} in {caller.region}"
        )
    if not text or "\n" in text.rstrip("\n") or len(text) > _LONGEST_FORMAT:
        raise BadRequestException(
            "Format of AccessLogSettings must be a single line of at most "
            f"{_LONGEST_FORMAT} characters"
        )
    return found["name"]
