"""AWS::ApiGatewayV2: the types whose tags need an ARN that no call tells."""

from __future__ import annotations

from localcloud.cloudformation.resources.kind import Key, Kind
from localcloud.cloudformation.resources.services import Calls
from localcloud.cloudformation.resources.tagging import retag
from localcloud.protocol import Document


class TaggedApiKind(Kind):
    """An API or a stage of one."""

    def find(self, calls: Calls, key: Key) -> Document | None:
        """What the service tells, and the ARN that permissions to invoke are given by."""
        found = super().find(calls, key)
        caller = calls.caller
        arn = f"arn:aws:execute-api:{caller.region}:{caller.account}:{key['ApiId']}"
        return found and found | {"ExecuteApiArn": arn}

    def retag(self, calls: Calls, key: Key, before: Document, after: Document) -> None:
        """By the ARN of the API or the stage."""
        arn = f"arn:aws:apigateway:{calls.caller.region}::/apis/{key['ApiId']}"
        if "StageName" in key:
            arn = f"{arn}/stages/{key['StageName']}"
        retag(calls, self.service, arn, before, after)
