"""`definition`, `diff` and `upsert`: what these sources compile to, and what is deployed."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import pytest
from build_aws import BUCKET, REGION, Result

from pipelines.build import definition

Command = Callable[..., Result]


def test_the_definition_is_printed_without_an_account(
    aws: str, command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Offline: nothing may be asked, and what is printed or written is the same JSON."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    printed = command("definition")
    assert printed.code == 0
    document = json.loads(printed.out)
    assert document["Version"] == "2020-12-01"
    assert document["Steps"][0]["Name"] == "Preprocess"
    file = tmp_path / "new" / "definition.json"
    assert command("definition", "--output", str(file)).code == 0
    assert file.read_text() == printed.out


def test_the_same_sources_are_compiled_once(
    document: dict[str, Any], command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The SDK takes seconds to load: for sources it has seen it must not be asked."""

    def refuse(*_: object) -> str:
        raise AssertionError("compiled again")

    assert command("definition").code == 0
    monkeypatch.setattr(definition, "_compile", refuse)
    assert command("definition").code == 0
    monkeypatch.setenv("PIPELINE_NAME", "another")
    with pytest.raises(AssertionError, match="compiled again"):
        command("definition")


def test_a_changed_source_or_sdk_is_compiled_again(
    aws: str, command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    compiled: list[str] = []

    def count(*_: object) -> str:
        compiled.append("")
        return "{}"

    monkeypatch.setattr(definition, "_compile", count)
    monkeypatch.setattr(definition, "ROOT", tmp_path)
    monkeypatch.setattr(definition, "WORK", tmp_path / "build")
    source = tmp_path / "pipelines" / "model" / "train.py"
    source.parent.mkdir(parents=True)
    for text in ("one", "one", "two"):
        source.write_text(text)
        assert command("definition").code == 0
    assert len(compiled) == 2
    source.rename(source.with_name("fit.py"))
    command("definition")
    assert len(compiled) == 3
    monkeypatch.setattr(definition, "sdk_versions", lambda: "sagemaker==9")
    command("definition")
    assert len(compiled) == 4


def test_diff_and_upsert(bucket: Any, command: Command) -> None:
    """Not deployed, deployed, deployed the same, deployed otherwise: each must be told apart."""
    before = command("diff")
    assert (before.code, "is not deployed" in before.out) == (1, True)

    made = command("upsert")
    assert made.code == 0
    assert "Sources    uploaded: evaluate, preprocess, train" in made.out
    assert "predictive-maintenance created: 6 steps" in made.out
    keys = bucket.list_objects_v2(Bucket=BUCKET, Prefix="predictive-maintenance/code/")
    assert any(each["Key"].endswith("/sourcedir.tar.gz") for each in keys["Contents"])

    again = command("upsert")
    assert "Sources    unchanged" in again.out
    assert "predictive-maintenance unchanged" in again.out
    same = command("diff")
    assert (same.code, "as these sources have it" in same.out) == (0, True)

    client = boto3.client("sagemaker", region_name=REGION)
    name = "predictive-maintenance"
    there = json.loads(client.describe_pipeline(PipelineName=name)["PipelineDefinition"])
    for parameter in there["Parameters"]:
        if parameter["Name"] == "MaxDepth":
            parameter["DefaultValue"] = 11
    client.update_pipeline(PipelineName=name, PipelineDefinition=json.dumps(there))
    differs = command("diff")
    assert differs.code == 1
    assert '-      "DefaultValue": 11,' in differs.out.splitlines()
    updated = command("upsert")
    assert "predictive-maintenance updated:\n" in updated.out
    assert updated.out.splitlines()[-1].strip() == "Parameters.MaxDepth.DefaultValue"
    assert command("diff").code == 0


def test_upsert_without_a_bucket_names_it(aws: str, command: Command) -> None:
    result = command("upsert")
    assert result.code == 2
    assert f"There is no bucket {BUCKET}" in result.err
    assert "bootstrap" in result.err


def test_changes_are_named_by_the_names_that_things_have() -> None:
    """A member that moved in a list is no change of its neighbours."""
    one: dict[str, Any] = {"Steps": [{"Name": "A", "X": 1}, {"Name": "B", "X": 1}]}
    two: dict[str, Any] = {"Steps": [{"Name": "B", "X": 2}, {"Name": "A", "X": 1}]}
    assert definition.changes(one, two) == ["Steps.B.X"]
