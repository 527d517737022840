"""Stacks made, changed and watched as a user would do it, and small templates for them."""

from __future__ import annotations

import copy
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from clients import client_of
from definitions import IMAGE

from localcloud.testing import TestCloud

TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Principal": {"Service": "sagemaker.amazonaws.com"},
            "Action": "sts:AssumeRole",
        }
    ],
}
POLICY = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}],
}
CAPABILITIES = ["CAPABILITY_NAMED_IAM"]


def template(resources: Mapping[str, Any], **sections: Any) -> str:
    """A template's text."""
    return json.dumps({"Resources": dict(resources), **sections})


def resource(kind: str, properties: Any = None, **members: Any) -> dict[str, Any]:
    """A resource of a template; `kind` is its type without AWS::."""
    return {"Type": f"AWS::{kind}", "Properties": properties or {}, **members}


def topic(name: str | None = None, **members: Any) -> dict[str, Any]:
    return resource("SNS::Topic", {"TopicName": name} if name else {}, **members)


def role(**properties: Any) -> dict[str, Any]:
    return resource("IAM::Role", {"AssumeRolePolicyDocument": TRUST, **properties})


def group(name: str, days: int = 7, **members: Any) -> dict[str, Any]:
    return resource("Logs::LogGroup", {"LogGroupName": name, "RetentionInDays": days}, **members)


def alarm(name: str, threshold: float = 1, **members: Any) -> dict[str, Any]:
    properties = {
        "AlarmName": name,
        "Namespace": "Mine",
        "MetricName": "Load",
        "Statistic": "Sum",
        "Period": 60,
        "EvaluationPeriods": 1,
        "Threshold": threshold,
        "ComparisonOperator": "GreaterThanThreshold",
    }
    return resource("CloudWatch::Alarm", properties, **members)


def fails(**members: Any) -> dict[str, Any]:
    """A resource that passes every check of a template and cannot be made."""
    model = {
        "ExecutionRoleArn": "arn:aws:iam::000000000000:role/any",
        "PrimaryContainer": {"Image": IMAGE, "ModelDataUrl": "s3://nowhere/model.tar.gz"},
    }
    return resource("SageMaker::Model", model, **members)


def ref(name: str) -> dict[str, str]:
    return {"Ref": name}


def get(name: str, attribute: str) -> dict[str, list[str]]:
    return {"Fn::GetAtt": [name, attribute]}


@dataclass
class Builder:
    """Makes stacks on a localcloud."""

    cloud: TestCloud

    @cached_property
    def api(self) -> Any:
        return client_of(self.cloud, "cloudformation")

    def client(self, service: str) -> Any:
        return client_of(self.cloud, service)

    def create(self, name: str, body: str, **more: Any) -> str:
        """CreateStack; returns the status in which it ends."""
        given = {"Capabilities": CAPABILITIES} | more
        self.api.create_stack(StackName=name, TemplateBody=body, **given)
        return self.settled(name)

    def update(self, name: str, body: str | None = None, **more: Any) -> str:
        """UpdateStack; returns the status in which it ends."""
        given: dict[str, Any] = {"Capabilities": CAPABILITIES} | more
        given |= {"UsePreviousTemplate": True} if body is None else {"TemplateBody": body}
        self.api.update_stack(StackName=name, **given)
        return self.settled(name)

    def delete(self, name: str, **more: Any) -> str:
        """DeleteStack; returns the status in which it ends."""
        stack_id = self.describe(name)["StackId"]
        self.api.delete_stack(StackName=name, **more)
        return self.settled(stack_id)

    def settled(self, name: str, seconds: float = 90.0) -> str:
        """The status of a stack when nothing is under way."""
        deadline = time.monotonic() + seconds
        while (status := self.status(name)).endswith("_IN_PROGRESS"):
            assert time.monotonic() < deadline, self.story(name)
            time.sleep(0.02)
        return status

    def status(self, name: str) -> str:
        return str(self.describe(name)["StackStatus"])

    def describe(self, name: str) -> dict[str, Any]:
        (found,) = self.api.describe_stacks(StackName=name)["Stacks"]
        described: dict[str, Any] = found
        return described

    def outputs(self, name: str) -> dict[str, str]:
        listed = self.describe(name).get("Outputs", [])
        return {each["OutputKey"]: each["OutputValue"] for each in listed}

    def physical(self, name: str) -> dict[str, str]:
        """The physical ids of a stack's resources."""
        listed = self.api.list_stack_resources(StackName=name)["StackResourceSummaries"]
        return {each["LogicalResourceId"]: each.get("PhysicalResourceId", "") for each in listed}

    def events(self, name: str) -> list[dict[str, Any]]:
        """A stack's events, the first first."""
        pages = self.api.get_paginator("describe_stack_events").paginate(StackName=name)
        return [event for page in pages for event in page["StackEvents"]][::-1]

    def story(self, name: str) -> list[tuple[str, str, str]]:
        """Who became what, and why."""
        return [
            (
                each["LogicalResourceId"],
                each["ResourceStatus"],
                each.get("ResourceStatusReason", ""),
            )
            for each in self.events(name)
        ]

    def statuses(self, name: str, logical_id: str) -> list[str]:
        """The statuses that a resource, or the stack itself, went through."""
        return [status for who, status, _ in self.story(name) if who == logical_id]

    def wait(self, holds: Callable[[], Any], seconds: float = 30.0) -> None:
        deadline = time.monotonic() + seconds
        while not holds():
            assert time.monotonic() < deadline
            time.sleep(0.02)


def changed(body: str, change: Callable[[dict[str, Any]], None]) -> str:
    """A template with a change made to it."""
    document = copy.deepcopy(json.loads(body))
    change(document)
    return json.dumps(document)
