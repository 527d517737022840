"""Other columns than those of the model that serves are told before they are rolled out."""

from types import SimpleNamespace
from typing import Any

import pytest
from scripted import workspace

from deploy_endpoint import columns, commands, package, rollout
from deploy_endpoint.errors import UsageError


def column(name: str, **changes: Any) -> dict[str, Any]:
    found = {"name": name, "kind": "number", "minimum": 0, "maximum": 9, "categories": None}
    return {**found, "training_maximum": 5, **changes}


@pytest.mark.parametrize(
    ("after", "told"),
    [
        ([column("a"), column("b", training_maximum=7)], []),
        ([column("a"), column("b"), column("c")], ["new columns c"]),
        ([column("b")], ["columns gone a"]),
        ([column("a", maximum=8), column("b")], ["other rules of columns a"]),
        ([column("b"), column("a")], ["another order of columns"]),
        (
            [column("c"), column("b", kind="integer")],
            [
                "new columns c",
                "columns gone a",
                "other rules of columns b",
            ],
        ),
    ],
)
def test_what_a_row_must_have_otherwise_is_told(
    after: list[dict[str, Any]], told: list[str]
) -> None:
    assert list(columns.differences([column("a"), column("b")], after)) == told


def test_nothing_is_told_where_nothing_serves_or_can_be_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    workspace: Any = None
    assert columns.warning(workspace, None, {}) is None

    def gone(*_: object) -> Any:
        raise UsageError("gone")

    monkeypatch.setattr(package, "describe", gone)
    assert columns.warning(workspace, "arn", {}) is None


def test_one_sentence_says_it_when_a_roll_out_is_prepared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(package, "describe", lambda *_: None)
    monkeypatch.setattr(package, "contract", lambda *_: {"columns": [column("a")]})
    serving = SimpleNamespace(package_arn="arn")
    for names, told in (("a", ""), ("ab", "Columns    new columns b: whoever calls the API must")):
        contract = {"columns": [column(name) for name in names]}
        prepared = SimpleNamespace(live=serving, contract=contract)
        monkeypatch.setattr(rollout, "prepare", lambda *_, made=prepared: made)
        found: Any = workspace("InService")
        commands._checked(found, None, None)  # type: ignore[arg-type]
        assert found.terminal.out.getvalue().startswith(told)
        assert bool(found.terminal.out.getvalue()) == bool(told)
