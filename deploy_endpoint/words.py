"""Changes of a stack in words: what is added, changed in place, replaced or removed, and why."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

_KINDS = {"Add": "add", "Remove": "remove", "Import": "import", "Dynamic": "perhaps change"}
_REPLACEMENTS = {"True": "replace", "Conditional": "perhaps replace", "False": "change"}


def lines(changes: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, str, str, str]]:
    """Yield verb, logical name, type and reason of each change, the removed ones last."""
    order = {"Add": 0, "Modify": 1, "Dynamic": 1, "Import": 1, "Remove": 2}
    for change in sorted(changes, key=lambda each: order.get(each["Action"], 1)):
        verb = _KINDS.get(change["Action"]) or _REPLACEMENTS[change.get("Replacement", "False")]
        kind = change["ResourceType"].removeprefix("AWS::")
        yield verb, change["LogicalResourceId"], kind, _why(change)


def notes(changes: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Yield what these changes bring about though CloudFormation does not list it."""
    found = {each["LogicalResourceId"]: each for each in changes}
    if found.get("ScalingPolicy", {}).get("Action") == "Add":
        yield "Autoscaling adds two alarms of its own."
    endpoint = found.get("Endpoint", {"Action": "None"})
    named = [each.get("Target", {}).get("Name") for each in endpoint.get("Details", [])]
    if endpoint["Action"] == "Modify" and "EndpointConfigName" in named:
        yield "During the roll-out the endpoint has twice its instances."


def _why(change: Mapping[str, Any]) -> str:
    if change["Action"] not in ("Modify", "Dynamic"):
        return ""
    reasons: dict[str, list[str]] = {}
    for detail in change.get("Details", []):
        target = detail.get("Target", {})
        what = target.get("Name") or target.get("Attribute", "")
        cause = _cause(detail)
        named = reasons.setdefault(what, [])
        if cause and cause not in named:
            named.append(cause)
    return "; ".join(
        f"{what} ({', '.join(causes)})" if causes else what for what, causes in reasons.items()
    ) or ", ".join(change.get("Scope", []))


def _cause(detail: Mapping[str, Any]) -> str:
    entity = detail.get("CausingEntity", "")
    match detail.get("ChangeSource"):
        case "ParameterReference":
            return f"parameter {entity}"
        case "ResourceReference" | "ResourceAttribute":
            return f"because of {entity}"
        case "DirectModification":
            return "the template" if detail.get("Evaluation") == "Static" else ""
        case _:
            return ""
