"""A stage's file is what it says, to the letter, or it is refused with key, rule and value."""

import dataclasses
import json
import random
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy_endpoint import stage, strict
from deploy_endpoint.errors import UsageError
from deploy_endpoint.stage import Stage

STAGES = sorted(path.stem for path in stage.FOLDER.glob("*.json"))


def document(name: str = "production") -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((stage.FOLDER / f"{name}.json").read_text())
    return loaded


def changed(where: str, value: Any, name: str = "production") -> dict[str, Any]:
    """A stage's document with another value at `section.key`."""
    found = document(name)
    *sections, key = where.split(".")
    place = found
    for section in sections:
        place = place[section]
    place[key] = value
    return found


def keys(value: dict[str, Any], prefix: str = "") -> Iterator[str]:
    for name, each in value.items():
        yield prefix + name
        if isinstance(each, dict):
            yield from keys(each, f"{prefix}{name}.")


SECTIONS = [key for key, each in document().items() if isinstance(each, dict) and key != "tags"]


def read(found: dict[str, Any], folder: Path) -> Stage:
    name = str(found.get("stage", "production"))
    (folder / f"{name}.json").write_text(json.dumps(found))
    return stage.read(name, folder)


def refusal(found: dict[str, Any], folder: Path) -> str:
    with pytest.raises(UsageError) as refused:
        read(found, folder)
    assert str(folder) in str(refused.value)
    return str(refused.value)


@pytest.mark.parametrize("name", STAGES)
def test_every_file_is_read_and_is_what_it_says(name: str) -> None:
    assert dataclasses.asdict(stage.read(name)) == document(name)


def test_a_stage_cannot_be_changed_once_it_is_read() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        stage.read("staging").capture.percent = 5  # type: ignore[misc]


def test_a_stage_that_has_no_file_is_refused_with_those_that_have() -> None:
    with pytest.raises(UsageError, match="must be one of production, staging, not 'prod'"):
        stage.read("prod")


@pytest.mark.parametrize("key", sorted(keys(document())))
def test_a_missing_key_is_told_by_its_name(key: str, tmp_path: Path) -> None:
    found = document()
    *sections, last = key.split(".")
    place = found
    for section in sections:
        place = place[section]
    del place[last]
    assert f"key {key} is missing" in refusal(found, tmp_path)


@pytest.mark.parametrize("section", ["", *SECTIONS])
def test_an_unknown_key_is_told_by_its_name(section: str, tmp_path: Path) -> None:
    key = f"{section}.capturePercent".lstrip(".")
    assert f"unknown key {key};" in refusal(changed(key, 1), tmp_path)


def test_a_key_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    (tmp_path / "staging.json").write_text('{"stage": "staging", "stage": "staging"}')
    with pytest.raises(UsageError, match="key stage is there twice"):
        stage.read("staging", tmp_path)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"stage": NaN}', "\ufeff{}"])
def test_what_is_no_object_of_json_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "staging.json").write_text(text)
    with pytest.raises(UsageError, match=r"staging\.json"):
        stage.read("staging", tmp_path)


@pytest.mark.parametrize(
    ("where", "value", "rule"),
    [
        ("instances.minimum", 1, "instances.minimum must be at least 2 for a canary, .* not 1"),
        ("instances.minimum", "2", 'instances.minimum must be a whole number, not "2"'),
        ("instances.minimum", True, "instances.minimum must be a whole number, not true"),
        ("instances.minimum", 2.0, "instances.minimum must be a whole number, not 2.0"),
        ("instances.initial", 9, "initial must be between minimum and maximum, 2 and 8, not 9"),
        ("instances.initial", 1, "initial must be between minimum and maximum, 2 and 8, not 1"),
        ("instances.maximum", 1, "initial must be between minimum and maximum, 2 and 1, not 2"),
        ("instances.type", "m5.large", "instances.type must be an instance type .*'m5.large'"),
        ("api.authentication", "none", "api.authentication must be token in production, not none"),
        ("api.authentication", "password", 'must be token or none, not "password"'),
        ("api.burst", 0, "api.burst must be from 1 to 5000, not 0"),
        ("capture.percent", 101, "capture.percent must be from 0 to 100, not 101"),
        ("rollout.canary_percent", 51, "rollout.canary_percent must be from 1 to 50, not 51"),
        ("rollout.canary_percent", None, "canary_percent must be a whole number for a canary"),
        ("rollout.canary_percent", 25, "must be at least one of 2 instances, 50, not 25"),
        ("rollout.bake_seconds", 120, "must be more than an alarm takes to go off, 120, not 120"),
        ("rollout.bake_seconds", 0, "bake_seconds must be more than 0 for a canary, not 0"),
        ("rollout.longest_seconds", 599, "longest_seconds must be from 600 to 28800, not 599"),
        ("rollout.strategy", "all-at-once", "canary_percent must be null without a canary, not 50"),
        ("alarms.period_seconds", 90, "must be a multiple of 60, .* not 90"),
        ("alarms.evaluations", 3, "rollout.bake_seconds must be more than .*, 180, not 180"),
        ("logs.retention_days", 15, "retention_days must be one of 1, 3, .*, not 15"),
        ("encryption.kms_key_arn", "alias/x", "kms_key_arn must be the ARN of a KMS key, or null"),
        ("tags", {"Stage": "x"}, "tags must not have Stage, which is set already"),
        ("tags", {"aws:x": "x"}, "tags must not have aws:x"),
        ("tags", {"a": "<"}, "tags.a must be at most 256 .* not '<'"),
        ("tags", {"a": 1}, "tags must be an object of texts"),
        ("tags", {f"t{n}": "" for n in range(48)}, "tags must be at most 47, not 48"),
        ("project", "p" * 41, "project must be at most 40 small letters"),
        ("project", "a--b", "project must be at most 40 small letters"),
        ("stage", "staging", "tags"),
    ],
)
def test_what_breaks_a_rule_is_refused_with_the_rule_and_the_value(
    where: str, value: Any, rule: str, tmp_path: Path
) -> None:
    if where == "stage":
        (tmp_path / "production.json").write_text(json.dumps(document("staging")))
        with pytest.raises(UsageError, match="stage must be production, as the file is called"):
            stage.read("production", tmp_path)
        return
    import re

    found = refusal(changed(where, value), tmp_path)
    assert re.search(rule, found), found


WRONG = st.one_of(
    st.none(), st.booleans(), st.text(max_size=3), st.floats(), st.lists(st.integers(), max_size=1)
)


@given(where=st.sampled_from(sorted(keys(document()))), value=WRONG)
def test_no_value_is_taken_for_one_of_another_type(where: str, value: Any) -> None:
    """Either the very value that was written is what is read, or the file is refused."""
    found = changed(where, value)
    try:
        read_back = strict.parse(Stage, json.dumps(found))
    except strict.StrictError:
        return
    expected: Any = dataclasses.asdict(read_back)
    for part in where.split("."):
        expected = expected[part]
    assert (type(expected), expected) == (type(value), value)


@given(seed=st.integers(0, 2**32 - 1))
def test_the_order_of_keys_says_nothing(seed: int) -> None:
    def shuffled(value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        items = [(name, shuffled(each)) for name, each in value.items()]
        random.Random(seed).shuffle(items)
        return dict(items)

    found = shuffled(document())
    assert strict.parse(Stage, json.dumps(found)) == stage.read("production")


def test_every_number_of_a_stage_has_a_bound() -> None:
    """A typing error of some zeros is refused, for every whole number there is."""
    for name, hint in typing.get_type_hints(Stage).items():
        if dataclasses.is_dataclass(hint):
            for each in dataclasses.fields(hint):
                if each.type in (int, int | None):
                    found = changed(f"{name}.{each.name}", 10**9)
                    with pytest.raises(strict.StrictError):
                        strict.parse(Stage, json.dumps(found))
