"""What changes for callers when a version with other columns takes over."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from deploy_endpoint import package
from deploy_endpoint.clients import Workspace
from deploy_endpoint.errors import UsageError

_RULE: Final = ("kind", "minimum", "maximum", "categories")
_MEANS: Final = (
    "whoever calls the API must follow, and until the roll-out is through the API takes the old "
    "columns, which the new fleet may refuse."
)


def warning(workspace: Workspace, serving: str | None, contract: Mapping[str, Any]) -> str | None:
    """Return a sentence if a contract's columns are not those of the package that serves.

    None, too, if nothing serves or its contract cannot be read any more.
    """
    if serving is None:
        return None
    try:
        before = package.contract(workspace, package.describe(workspace, serving))
    except UsageError:
        return None
    told = list(differences(before["columns"], contract["columns"]))
    return f"{'; '.join(told)}: {_MEANS}" if told else None


def differences(
    before: Sequence[Mapping[str, Any]], after: Sequence[Mapping[str, Any]]
) -> Iterator[str]:
    """Yield what is new, gone, of another rule or at another place, as far as rows show it."""
    old, new = ({each["name"]: each for each in columns} for columns in (before, after))
    both = [name for name in new if name in old]
    other = [n for n in both if any(old[n].get(key) != new[n].get(key) for key in _RULE)]
    for names, what in (
        ([name for name in new if name not in old], "new columns"),
        ([name for name in old if name not in new], "columns gone"),
        (other, "other rules of columns"),
    ):
        if names:
            yield f"{what} {', '.join(names)}"
    if both != [name for name in old if name in new]:
        yield "another order of columns"
