"""AWS::IAM::Role: a role with its inline policies and the managed ones attached to it."""

from __future__ import annotations

import json
from typing import Any

from localcloud.cloudformation.resources.kind import Key, Kind
from localcloud.cloudformation.resources.services import CallFailed, Calls
from localcloud.cloudformation.resources.tagging import retag
from localcloud.protocol import Document


class RoleKind(Kind):
    """A role is several calls: what a call before left is taken along by `delete`."""

    def create(self, calls: Calls, properties: Document) -> Key:
        """CreateRole, then its policies."""
        key = super().create(calls, properties)
        self._set_policies(calls, key, {}, properties)
        return key

    def change(self, calls: Calls, key: Key, before: Document, after: Document) -> None:
        """Change trust, description, duration, boundary and policies, each where it differs."""
        if before.get("AssumeRolePolicyDocument") != after.get("AssumeRolePolicyDocument"):
            document = _text(after["AssumeRolePolicyDocument"])
            calls("iam", "UpdateAssumeRolePolicy", **key, PolicyDocument=document)
        if any(before.get(name) != after.get(name) for name in self.defaults):
            given = {name: after.get(name, default) for name, default in self.defaults.items()}
            calls("iam", "UpdateRole", **key, **given)
        boundary = after.get("PermissionsBoundary")
        if boundary is None and "PermissionsBoundary" in before:
            _undo(calls, "DeleteRolePermissionsBoundary", **key)
        elif boundary != before.get("PermissionsBoundary"):
            calls("iam", "PutRolePermissionsBoundary", **key, PermissionsBoundary=boundary)
        self._set_policies(calls, key, before, after)

    def retag(self, calls: Calls, key: Key, before: Document, after: Document) -> None:
        """TagRole and UntagRole take the role's name."""
        retag(calls, self.service, key["RoleName"], before, after)

    def delete(self, calls: Calls, key: Key) -> None:
        """Take all policies away, then the role."""
        try:
            for name in calls("iam", "ListRolePolicies", **key)["PolicyNames"]:
                calls("iam", "DeleteRolePolicy", **key, PolicyName=name)
            for policy in calls("iam", "ListAttachedRolePolicies", **key)["AttachedPolicies"]:
                calls("iam", "DetachRolePolicy", **key, PolicyArn=policy["PolicyArn"])
        except CallFailed as error:
            if error.says_not_found:
                return
            raise
        super().delete(calls, key)

    def _set_policies(self, calls: Calls, key: Key, before: Document, after: Document) -> None:
        old, new = _inline(before), _inline(after)
        for name in old.keys() - new.keys():
            _undo(calls, "DeleteRolePolicy", **key, PolicyName=name)
        for name, document in new.items():
            if old.get(name) != document:
                calls("iam", "PutRolePolicy", **key, PolicyName=name, PolicyDocument=document)
        attached, wanted = _managed(before), _managed(after)
        for arn in attached - wanted:
            _undo(calls, "DetachRolePolicy", **key, PolicyArn=arn)
        for arn in sorted(wanted - attached):
            calls("iam", "AttachRolePolicy", **key, PolicyArn=arn)


def _undo(calls: Calls, operation: str, **arguments: Any) -> None:
    """Take something away that may never have come to be: a roll-back begins anywhere."""
    try:
        calls("iam", operation, **arguments)
    except CallFailed as error:
        if not error.says_not_found:
            raise


def _inline(properties: Document) -> dict[str, str]:
    policies = properties.get("Policies", [])
    return {policy["PolicyName"]: _text(policy["PolicyDocument"]) for policy in policies}


def _managed(properties: Document) -> set[str]:
    return set(properties.get("ManagedPolicyArns", []))


def _text(document: Any) -> str:
    return document if isinstance(document, str) else json.dumps(document)
