"""AWS::SNS::Topic with its subscriptions."""

from __future__ import annotations

import json
from typing import Any

from localcloud.cloudformation.resources.kind import Key, Kind
from localcloud.cloudformation.resources.services import Calls
from localcloud.cloudformation.resources.tagging import tag_argument, tag_map
from localcloud.cloudformation.templates.values import as_text
from localcloud.protocol import Document

ATTRIBUTES = (
    "DataProtectionPolicy",
    "DisplayName",
    "KmsMasterKeyId",
    "SignatureVersion",
    "TracingConfig",
)
_PENDING = ("PendingConfirmation", "Deleted")


class TopicKind(Kind):
    """Its ARN is known before it is made: it has the topic's name."""

    def identify(self, calls: Calls, properties: Document) -> Key | None:
        """The ARN."""
        caller = calls.caller
        return {
            "TopicArn": f"arn:aws:sns:{caller.region}:{caller.account}:{properties['TopicName']}"
        }

    def find(self, calls: Calls, key: Key) -> Document | None:
        """Its attributes, and the name that its ARN ends with."""
        found = super().find(calls, key)
        return found and found | {"TopicName": key["TopicArn"].rpartition(":")[2]}

    def create(self, calls: Calls, properties: Document) -> Key:
        """CreateTopic, then its subscriptions."""
        given: Document = {"Name": properties["TopicName"], "Attributes": _attributes(properties)}
        if tag_map(properties):
            given["Tags"] = tag_argument(tag_map(properties), pairs=True)
        key = {"TopicArn": calls("sns", "CreateTopic", **given)["TopicArn"]}
        self._subscribe(calls, key, {}, properties)
        return key

    def change(self, calls: Calls, key: Key, before: Document, after: Document) -> None:
        """SetTopicAttributes and the subscriptions, each where it differs."""
        old, new = _attributes(before), _attributes(after)
        for name in sorted(old.keys() | new.keys()):
            if old.get(name) != new.get(name):
                value = new.get(name, "")
                calls("sns", "SetTopicAttributes", **key, AttributeName=name, AttributeValue=value)
        self._subscribe(calls, key, before, after)

    def _subscribe(self, calls: Calls, key: Key, before: Document, after: Document) -> None:
        old, new = _subscriptions(before), _subscriptions(after)
        if old - new:
            asked: list[Any] = calls("sns", "ListSubscriptionsByTopic", **key)["Subscriptions"]
            for found in asked:
                gone = (found["Protocol"], found["Endpoint"]) in old - new
                if gone and found["SubscriptionArn"] not in _PENDING:
                    calls("sns", "Unsubscribe", SubscriptionArn=found["SubscriptionArn"])
        for protocol, endpoint in sorted(new - old):
            calls("sns", "Subscribe", **key, Protocol=protocol, Endpoint=endpoint)


def _subscriptions(properties: Document) -> set[tuple[str, str]]:
    listed = properties.get("Subscription", [])
    return {(each["Protocol"], each["Endpoint"]) for each in listed}


def _attributes(properties: Document) -> dict[str, str]:
    found = {name: properties[name] for name in ATTRIBUTES if name in properties}
    return {
        name: json.dumps(value) if isinstance(value, dict) else str(as_text(value))
        for name, value in found.items()
    }
