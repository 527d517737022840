"""A rollback of an update that fails, too, and how ContinueUpdateRollback gets out of it."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from function_fixtures import zipped
from stack_fixtures import Builder, fails, get, resource, role, template, topic

from localcloud.testing import TestCloud

pytestmark = pytest.mark.integration
BUCKET = "code-of-stacks"


def archive(answer: str) -> bytes:
    return zipped({"app.py": f"def handler(event, context):\n    return {answer!r}\n"})


def body(version: str, shown: str, *, broken: bool) -> str:
    """A function whose code is an object, a topic, and perhaps what cannot be made."""
    code = {"S3Bucket": BUCKET, "S3Key": f"{version}.zip"}
    properties = {
        "Runtime": "python3.12", "Handler": "app.handler", "Role": get("Role", "Arn"), "Code": code,
    }  # fmt: skip
    resources = {
        "Role": role(),
        "Topic": topic() | {"Properties": {"DisplayName": shown}},
        "Function": resource("Lambda::Function", properties, DependsOn="Topic"),
    }
    return template(resources | ({"Bad": fails(DependsOn="Function")} if broken else {}))


@dataclass
class Stuck:
    """A stack whose update failed and whose rollback failed: the old code is not there any more."""

    stacks: Builder
    name: str

    @property
    def answer(self) -> str:
        function = self.stacks.physical(self.name)["Function"]
        invoked = self.stacks.client("lambda").invoke(FunctionName=function)
        return str(invoked["Payload"].read().decode())

    @property
    def shown(self) -> str:
        arn = self.stacks.physical(self.name)["Topic"]
        return str(
            self.stacks.client("sns").get_topic_attributes(TopicArn=arn)["Attributes"][
                "DisplayName"
            ]
        )

    def proceed(self, *skipped: str) -> str:
        self.stacks.api.continue_update_rollback(
            StackName=self.name, **({"ResourcesToSkip": list(skipped)} if skipped else {})
        )
        return self.stacks.settled(self.name)


@pytest.fixture
def stuck(cloud: TestCloud) -> Iterator[Stuck]:
    stacks = Builder(cloud)
    name = f"stuck-{uuid.uuid4().hex[:8]}"
    s3 = stacks.client("s3")
    s3.create_bucket(Bucket=BUCKET)
    for version in ("old", "new"):
        s3.put_object(Bucket=BUCKET, Key=f"{version}.zip", Body=archive(version))
    assert stacks.create(name, body("old", "first", broken=False)) == "CREATE_COMPLETE"
    s3.delete_object(Bucket=BUCKET, Key="old.zip")
    assert stacks.update(name, body("new", "second", broken=True)) == "UPDATE_ROLLBACK_FAILED"
    yield Stuck(stacks, name)
    assert stacks.delete(name) == "DELETE_COMPLETE"


def test_a_rollback_that_failed_names_what_it_could_not_take_back(stuck: Stuck) -> None:
    reason = stuck.stacks.describe(stuck.name)["StackStatusReason"]
    assert "[Function]" in reason
    failed = [why for who, status, why in stuck.stacks.story(stuck.name)
              if (who, status) == ("Function", "UPDATE_FAILED")]  # fmt: skip
    assert "NoSuchKey" in failed[-1]
    assert stuck.answer == '"new"'


def test_the_rollback_goes_on_when_the_cause_is_mended(stuck: Stuck) -> None:
    assert stuck.proceed() == "UPDATE_ROLLBACK_FAILED"
    stuck.stacks.client("s3").put_object(Bucket=BUCKET, Key="old.zip", Body=archive("old"))
    assert stuck.proceed() == "UPDATE_ROLLBACK_COMPLETE"
    assert (stuck.answer, stuck.shown) == ('"old"', "first")
    assert "Bad" not in stuck.stacks.physical(stuck.name)


def test_what_is_skipped_stays_as_it_is_and_the_stack_can_be_updated_again(stuck: Stuck) -> None:
    assert stuck.proceed("Function") == "UPDATE_ROLLBACK_COMPLETE"
    assert (stuck.answer, stuck.shown) == ('"new"', "first")
    status = stuck.stacks.update(stuck.name, body("new", "third", broken=False))
    assert status == "UPDATE_COMPLETE"
    assert (stuck.answer, stuck.shown) == ('"new"', "third")
