"""The events by which SageMaker tells EventBridge that something changed."""

from __future__ import annotations

from datetime import datetime

from localcloud.protocol import Caller, Document


def state_change(
    caller: Caller, what: str, resource: str, detail: Document, moment: datetime
) -> Document:
    """The event "SageMaker WHAT State Change" about the resource with this ARN."""
    return {
        "source": "aws.sagemaker",
        "detail-type": f"SageMaker {what} State Change",
        "account": caller.account,
        "region": caller.region,
        "time": moment.isoformat(timespec="seconds"),
        "resources": [resource],
        "detail": detail,
    }
