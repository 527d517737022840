"""Endpoints: created, updated, described and deleted by calls."""

from __future__ import annotations

from collections.abc import Callable

from localcloud.errors import ValidationException
from localcloud.protocol import Caller, Document, Operation
from localcloud.sagemaker.arns import arn
from localcloud.sagemaker.hosting import summaries
from localcloud.sagemaker.hosting.conductor import Conductor
from localcloud.sagemaker.hosting.deployment import (
    Deployment,
    check_alarms,
    check_names,
    read_deployment,
)
from localcloud.sagemaker.hosting.endpoint_configs import EndpointConfigs
from localcloud.sagemaker.hosting.endpoint_records import KIND, EndpointRecords, plan_of
from localcloud.sagemaker.hosting.plan import FleetPlan, check_count
from localcloud.sagemaker.listing import Listing, choose
from localcloud.store import Store

_ENDPOINTS = Listing(
    answer="Endpoints",
    name="EndpointName",
    summary=lambda endpoint: choose(
        endpoint,
        "EndpointName",
        "EndpointArn",
        "CreationTime",
        "LastModifiedTime",
        "EndpointStatus",
    ),
    sort_fields={
        "Name": "EndpointName",
        "CreationTime": "CreationTime",
        "Status": "EndpointStatus",
    },
    equal={"StatusEquals": "EndpointStatus"},
)
_BUSY = ("Creating", "Updating", "SystemUpdating", "RollingBack", "Deleting")


class Endpoints:
    """The calls. What they begin, the conductor carries through.

    `alarm` gives the state of a CloudWatch alarm, None if there is no such alarm; `scales` says
    whether an endpoint's variant is a scalable target.
    """

    def __init__(
        self,
        store: Store,
        records: EndpointRecords,
        configs: EndpointConfigs,
        conductor: Conductor,
        alarm: Callable[[Caller, str], str | None],
        scales: Callable[[Caller, str, str], bool],
    ) -> None:
        self._store = store
        self._records = records
        self._configs = configs
        self._conductor = conductor
        self._alarm = alarm
        self._scales = scales

    def operations(self) -> dict[str, Operation]:
        """The calls by their AWS names."""
        return {
            "CreateEndpoint": self.create,
            "DescribeEndpoint": self.describe,
            "ListEndpoints": self.list_endpoints,
            "UpdateEndpoint": self.update,
            "UpdateEndpointWeightsAndCapacities": self.update_weights_and_capacities,
            "DeleteEndpoint": self.delete,
        }

    def create(self, caller: Caller, request: Document) -> Document:
        """CreateEndpoint; a name that differs from another one in its case only is taken."""
        name, endpoint_arn = request["EndpointName"], arn(caller, KIND, request["EndpointName"])
        with self._store.transaction():
            for other in self._records.all(caller):
                if other["EndpointName"].lower() == name.lower():
                    raise ValidationException(
                        f'Cannot create already existing endpoint "{other["EndpointArn"]}".'
                    )
            plan = self._configs.plan(caller, request["EndpointConfigName"])
            endpoint = {
                "EndpointName": name,
                "EndpointArn": endpoint_arn,
                "EndpointConfigName": plan.config,
                "EndpointStatus": "Creating",
                "Plan": plan.document(),
            }
            if "DeploymentConfig" in request:
                read_deployment(request["DeploymentConfig"], plan)
                endpoint["LastDeploymentConfig"] = request["DeploymentConfig"]
            self._records.add(caller, endpoint, request.get("Tags"))
        self._conductor.create(caller, name)
        return {"EndpointArn": endpoint_arn}

    def describe(self, caller: Caller, request: Document) -> Document:
        """DescribeEndpoint: how it stands, what serves, and what is to come."""
        return self._records.find(caller, request["EndpointName"])

    def list_endpoints(self, caller: Caller, request: Document) -> Document:
        """ListEndpoints: filtered by name, status and times."""
        return _ENDPOINTS.page(request, self._records.all(caller))

    def update(self, caller: Caller, request: Document) -> Document:
        """UpdateEndpoint: a new fleet by another configuration, to which traffic is shifted.

        As on AWS the configuration that the endpoint has now must still be there.
        """
        name = request["EndpointName"]
        with self._store.transaction():
            endpoint = self._changeable(caller, name, "InService", "OutOfService")
            self._configs.find(caller, endpoint["EndpointConfigName"])
            blue, green = (
                plan_of(endpoint),
                self._configs.plan(caller, request["EndpointConfigName"]),
            )
            if request.get("RetainAllVariantProperties"):
                own = {
                    each["VariantPropertyType"]
                    for each in request.get("ExcludeRetainedVariantProperties", [])
                }
                green = green.retaining(
                    blue,
                    counts="DesiredInstanceCount" not in own,
                    weights="DesiredWeight" not in own,
                )
            self._check_scaled(caller, name, blue, green)
            changes: Document = {"EndpointStatus": "Updating"}
            config = _deployment_config(request, endpoint)
            deployment = Deployment()
            if config is not None:
                deployment = read_deployment(config, green)
                check_names(deployment, blue, green)
                check_alarms(deployment.alarms, lambda each: self._alarm(caller, each))
                changes["LastDeploymentConfig"] = config
            self._records.change(caller, name, changes, gone=["FailureReason"])
        self._conductor.update(caller, name, green, deployment)
        return {"EndpointArn": endpoint["EndpointArn"]}

    def update_weights_and_capacities(self, caller: Caller, request: Document) -> Document:
        """UpdateEndpointWeightsAndCapacities: the fleet grows or shrinks, and shares alike."""
        name = request["EndpointName"]
        with self._store.transaction():
            endpoint = self._changeable(caller, name, "InService")
            before = plan_of(endpoint)
            after = _desired(before, request["DesiredWeightsAndCapacities"])
            changes: Document = {
                "EndpointStatus": "Updating",
                "ProductionVariants": summaries.changing(before, after, self._store.clock.now()),
            }
            self._records.change(caller, name, changes, gone=["FailureReason"])
        self._conductor.change(caller, name, after)
        return {"EndpointArn": endpoint["EndpointArn"]}

    def delete(self, caller: Caller, request: Document) -> Document:
        """DeleteEndpoint; requests that are in it get their answers. Its logs stay."""
        name = request["EndpointName"]
        with self._store.transaction():
            self._changeable(caller, name, "InService", "OutOfService", "Failed")
            self._records.change(caller, name, {"EndpointStatus": "Deleting"})
        self._conductor.delete(caller, name)
        return {}

    def _check_scaled(self, caller: Caller, name: str, blue: FleetPlan, green: FleetPlan) -> None:
        """Raise ValidationException for another instance type of a variant that scales."""
        types = {each.name: each.instance_type for each in blue.variants}
        for each in green.variants:
            before = types.get(each.name, each.instance_type)
            if before != each.instance_type and self._scales(caller, name, each.name):
                raise ValidationException(
                    f"The instance type of the variant {each.name} of the endpoint {name} cannot "
                    f"be changed from {before} to {each.instance_type} while it is a scalable "
                    "target; deregister it first"
                )

    def _changeable(self, caller: Caller, name: str, *allowed: str) -> Document:
        """An endpoint in one of these statuses; ValidationException for every other one."""
        endpoint = self._records.find(caller, name)
        status = endpoint["EndpointStatus"]
        if status in _BUSY:
            raise ValidationException(
                f'Cannot update in-progress endpoint "{endpoint["EndpointArn"]}".'
            )
        if status not in allowed:
            raise ValidationException(
                f'Cannot update endpoint "{endpoint["EndpointArn"]}" in status {status}; '
                "DeleteEndpoint is the only operation that can be performed on it."
            )
        return endpoint


def _deployment_config(request: Document, endpoint: Document) -> Document | None:
    """The DeploymentConfig that an UpdateEndpoint request means, None for the default."""
    given: Document | None = request.get("DeploymentConfig")
    if not request.get("RetainDeploymentConfig"):
        return given
    if given is not None:
        raise ValidationException(
            "DeploymentConfig cannot be given together with RetainDeploymentConfig"
        )
    return endpoint.get("LastDeploymentConfig")


def _desired(plan: FleetPlan, wanted: list[Document]) -> FleetPlan:
    """A plan with the counts and weights of an UpdateEndpointWeightsAndCapacities request."""
    known = {each.name for each in plan.variants}
    for each in wanted:
        name = each["VariantName"]
        if name not in known:
            raise ValidationException(
                f"The endpoint has the variants {', '.join(sorted(known))}, and none named {name}"
            )
        if "ServerlessUpdateConfig" in each:
            raise ValidationException(
                f"localcloud does not emulate ServerlessUpdateConfig of the variant {name}"
            )
        if "DesiredInstanceCount" in each:
            check_count(name, each["DesiredInstanceCount"])
    return plan.changed(
        {
            each["VariantName"]: each["DesiredInstanceCount"]
            for each in wanted
            if "DesiredInstanceCount" in each
        },
        {each["VariantName"]: each["DesiredWeight"] for each in wanted if "DesiredWeight" in each},
    )
