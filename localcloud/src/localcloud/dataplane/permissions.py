"""Whether a function's resource policy lets API Gateway invoke it.

Source: "Resource-based policies" in the guide of Lambda; "Policy evaluation" in IAM's.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

Document = dict[str, Any]
_GATEWAY = "apigateway.amazonaws.com"
_ACTIONS = ("lambda:InvokeFunction", "lambda:*", "*")


def is_allowed(statements: Iterable[Document], source: str) -> bool:
    """Whether a statement allows API Gateway to invoke the function for the ARN of a route."""
    return any(_allows(statement, source) for statement in statements)


def _allows(statement: Document, source: str) -> bool:
    principal = statement["Principal"]
    known = principal == "*" or (
        isinstance(principal, dict) and principal.get("Service") == _GATEWAY
    )
    if not known or statement["Action"] not in _ACTIONS:
        return False
    conditions: Document = statement.get("Condition", {})
    return all(
        _holds(operator, key, value, source)
        for operator, wanted in conditions.items()
        for key, value in wanted.items()
    )


def _holds(operator: str, key: str, value: str, source: str) -> bool:
    if key == "AWS:SourceArn" and operator == "ArnLike":
        return arn_like(value, source)
    if key == "AWS:SourceAccount" and operator == "StringEquals":
        return source.split(":")[4] == value
    return False


def arn_like(pattern: str, arn: str) -> bool:
    """IAM's ArnLike: the six parts are compared each by itself, with * and ?."""
    wanted, given = pattern.split(":", 5), arn.split(":", 5)
    if len(wanted) != 6 or len(given) != 6:
        return False
    return all(_glob(w).fullmatch(g) for w, g in zip(wanted, given, strict=True))


def _glob(pattern: str) -> re.Pattern[str]:
    escaped = re.escape(pattern).replace(r"\*", ".*").replace(r"\?", ".")
    return re.compile(escaped, re.DOTALL)
