"""The intrinsic functions, by their mathematics: whatever the values, the laws hold."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from localcloud.cloudformation.errors import ValidationError
from localcloud.cloudformation.names import physical_name
from localcloud.cloudformation.templates.functions import evaluate, references
from localcloud.cloudformation.templates.template import in_a_circle
from localcloud.cloudformation.templates.text import read_text
from localcloud.cloudformation.templates.values import NO_VALUE, UNKNOWN

TEXTS = st.text(st.characters(blacklist_categories=["Cs", "Cc"]), max_size=20)
NAMES = st.from_regex(r"[A-Za-z][A-Za-z0-9]{0,8}", fullmatch=True)
PLAIN = st.recursive(
    st.integers() | st.booleans() | TEXTS,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(TEXTS.filter(lambda key: not key.startswith("Fn::")), inner, max_size=4)
    ),
    max_leaves=12,
).filter(lambda value: "Ref" not in json.dumps(value) and "Condition" not in json.dumps(value))


@dataclass
class World:
    """What names mean."""

    refs: dict[str, Any] = field(default_factory=dict)
    truths: dict[str, bool] = field(default_factory=dict)

    def ref(self, name: str) -> Any:
        return self.refs[name]

    def attribute(self, logical_id: str, name: str) -> Any:
        return self.refs[f"{logical_id}.{name}"]

    def condition(self, name: str) -> bool:
        return self.truths[name]

    def mapped(self, mapping: str, top: str, second: str) -> Any:
        return self.refs.get(f"{mapping}/{top}/{second}")

    def imported(self, name: str) -> str:
        return f"imported {name}"


@given(PLAIN)
def test_what_has_no_function_is_what_it_was(value: Any) -> None:
    assert evaluate(value, World()) == value


@given(st.lists(TEXTS, min_size=1, max_size=6), st.text("-/,:", min_size=1, max_size=2))
def test_split_undoes_join(items: list[str], mark: str) -> None:
    joined = evaluate({"Fn::Join": [mark, items]}, World())
    assert joined == mark.join(items)
    back = evaluate({"Fn::Split": [mark, {"Fn::Join": [mark, items]}]}, World())
    assert mark.join(back) == joined
    assert len(mark) > 1 or len(back) >= len(items)


@given(st.lists(TEXTS, min_size=1, max_size=6), st.data())
def test_select_takes_the_one_that_was_asked_for(items: list[str], data: st.DataObject) -> None:
    index = data.draw(st.integers(0, len(items) - 1))
    for given_index in (index, str(index)):
        assert evaluate({"Fn::Select": [given_index, items]}, World()) == items[index]
    with pytest.raises(ValidationError, match="nonexistent value"):
        evaluate({"Fn::Select": [len(items), items]}, World())


@given(st.dictionaries(NAMES, TEXTS, min_size=1, max_size=4), TEXTS)
def test_sub_is_a_join_of_its_parts(values: dict[str, str], between: str) -> None:
    mark = between.replace("$", "").replace("{", "").replace("}", "")
    text = mark.join(f"${{{name}}}" for name in values)
    expected = mark.join(values.values())
    assert evaluate({"Fn::Sub": text}, World(dict(values))) == expected
    assert evaluate({"Fn::Sub": [text, dict(values)]}, World()) == expected
    literal = mark.join(f"${{!{name}}}" for name in values)
    assert evaluate({"Fn::Sub": literal}, World()) == text


@given(TEXTS)
def test_base64_is_undone_by_decoding(text: str) -> None:
    encoded = evaluate({"Fn::Base64": text}, World())
    assert base64.b64decode(encoded).decode() == text


@given(st.booleans(), st.booleans())
def test_conditions_obey_the_laws_of_logic(a: bool, b: bool) -> None:
    world = World(truths={"A": a, "B": b})

    def truth(value: Any) -> bool:
        return bool(evaluate(value, world))

    left, right = {"Condition": "A"}, {"Condition": "B"}
    both, either = {"Fn::And": [left, right]}, {"Fn::Or": [left, right]}
    assert truth(both) is (a and b)
    assert truth(either) is (a or b)
    negated = {"Fn::And": [{"Fn::Not": [left]}, {"Fn::Not": [right]}]}
    assert truth({"Fn::Not": [either]}) is truth(negated)
    assert evaluate({"Fn::If": ["A", "yes", "no"]}, world) == ("yes" if a else "no")


@given(TEXTS, TEXTS)
def test_equals_compares_texts_whatever_they_are_written_as(a: str, b: str) -> None:
    assert evaluate({"Fn::Equals": [a, b]}, World()) is (a == b)
    assert evaluate({"Fn::Equals": [1, "1"]}, World()) is True
    assert evaluate({"Fn::Equals": [True, "true"]}, World()) is True


@given(st.lists(st.booleans(), max_size=6))
def test_what_has_no_value_is_not_there(there: list[bool]) -> None:
    world = World({"AWS::NoValue": NO_VALUE})
    items = [f"item {n}" if each else {"Ref": "AWS::NoValue"} for n, each in enumerate(there)]
    kept = [f"item {n}" for n, each in enumerate(there) if each]
    assert evaluate(items, world) == kept
    assert list(evaluate({str(n): item for n, item in enumerate(items)}, world).values()) == kept


@given(st.lists(TEXTS, min_size=1, max_size=4), st.data())
def test_a_function_of_something_unknown_is_unknown(items: list[str], data: st.DataObject) -> None:
    world = World({"Later": UNKNOWN, "Later.Arn": UNKNOWN})
    mixed: list[Any] = list(items)
    mixed.insert(data.draw(st.integers(0, len(items))), {"Ref": "Later"})
    assert evaluate({"Fn::Join": [",", mixed]}, world) is UNKNOWN
    assert evaluate({"Fn::Sub": "a ${Later.Arn}"}, world) is UNKNOWN
    assert evaluate({"Fn::Split": [",", {"Ref": "Later"}]}, world) is UNKNOWN
    assert evaluate({"Fn::Base64": {"Ref": "Later"}}, world) is UNKNOWN
    assert evaluate({"a": {"Ref": "Later"}, "b": 1}, world) == {"a": UNKNOWN, "b": 1}


@given(st.booleans())
def test_only_the_branch_that_is_taken_is_needed(truth: bool) -> None:
    value = {"Fn::If": ["A", {"Ref": "Yes"}, {"Fn::Sub": "${No.Arn}"}]}
    world = World(truths={"A": truth})
    taken = {each.name for each in references(value, world)}
    assert taken == {"A", "Yes" if truth else "No"}
    assert {each.name for each in references(value)} == {"A", "Yes", "No"}


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), max_size=12))
def test_there_is_a_circle_just_when_there_is_no_order(pairs: list[tuple[int, int]]) -> None:
    needs: dict[str, list[str]] = {str(n): [] for n in range(7)}
    for a, b in pairs:
        needs[str(a)].append(str(b))
    circle = in_a_circle(needs)
    reached = {name: closure(needs, name) for name in needs}
    assert set(circle) >= {name for name in needs if name in reached[name]}
    assert bool(circle) is any(name in reached[name] for name in needs)


def closure(needs: dict[str, list[str]], name: str) -> set[str]:
    found: set[str] = set()
    left = list(needs[name])
    while left:
        each = left.pop()
        if each not in found:
            found.add(each)
            left += needs[each]
    return found


@given(PLAIN)
def test_yaml_and_json_say_the_same(value: Any) -> None:
    document = {"Resources": {"A": value}}
    assert read_text(json.dumps(document)) == read_text(yaml.safe_dump(document)) == document


def test_the_short_forms_are_the_long_ones() -> None:
    short = """
    A: [!Ref a, !GetAtt b.c.d, !Sub "${e}", !Join [",", [f, !Select [0, [g]]]], !If [h, i, j]]
    B: !Equals [2012-10-17, "2012-10-17"]
    C: !And [!Not [!Condition k], !Or [true, false]]
    D: [!FindInMap [l, m, n], !Base64 o, !ImportValue p, !Split [",", "q,r"], !Sub ["${s}", {s: t}]]
    """
    assert read_text(short) == {
        "A": [
            {"Ref": "a"},
            {"Fn::GetAtt": ["b", "c.d"]},
            {"Fn::Sub": "${e}"},
            {"Fn::Join": [",", ["f", {"Fn::Select": [0, ["g"]]}]]},
            {"Fn::If": ["h", "i", "j"]},
        ],
        "B": {"Fn::Equals": ["2012-10-17", "2012-10-17"]},
        "C": {"Fn::And": [{"Fn::Not": [{"Condition": "k"}]}, {"Fn::Or": [True, False]}]},
        "D": [
            {"Fn::FindInMap": ["l", "m", "n"]},
            {"Fn::Base64": "o"},
            {"Fn::ImportValue": "p"},
            {"Fn::Split": [",", "q,r"]},
            {"Fn::Sub": ["${s}", {"s": "t"}]},
        ],
    }


@given(st.text("abc-", min_size=1, max_size=128), NAMES, st.integers(63, 512))
def test_made_up_names_fit_and_differ(stack: str, logical_id: str, length: int) -> None:
    names = {physical_name(stack, logical_id, length) for _ in range(5)}
    assert len(names) == 5
    assert all(len(name) <= length for name in names)
    short = len(stack) + len(logical_id) + 14 <= length
    assert not short or all(name.startswith(f"{stack}-{logical_id}-") for name in names)
