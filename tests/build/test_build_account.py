"""`doctor` and `bootstrap` against an account that starts empty."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from build_aws import ACCOUNT, BUCKET, REGION, Refusal, Result, Scripted

from pipelines.build import policies
from pipelines.settings import Settings

Command = Callable[..., Result]
ROLE = "sagemaker-mlops-pipeline"


@pytest.fixture(autouse=True)
def quotas(aws: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scripted]:
    """Service Quotas, which answers nothing until a test says what."""
    scripted = Scripted()

    def refuse(_: dict[str, Any]) -> dict[str, Any]:
        raise Refusal("AccessDeniedException", "not for you")

    scripted.answers["ListServiceQuotas"] = refuse
    monkeypatch.setenv("AWS_ENDPOINT_URL_SERVICE_QUOTAS", scripted.url)
    yield scripted
    scripted.server.shutdown()


@pytest.fixture
def ready(aws: str, command: Command) -> Result:
    """What the first bootstrap said."""
    return command("bootstrap")


def lines(result: Result) -> dict[str, str]:
    """The state of each of doctor's lines."""
    states = ("ok", "missing", "not checked")
    found = [(line[:11].strip(), line[13:]) for line in result.out.splitlines()]
    return {text.split("  ")[0]: state for state, text in found if state in states}


def test_doctor_names_all_that_is_missing_and_the_way_to_get_it(aws: str, command: Command) -> None:
    result = command("doctor")
    assert result.code == 1
    states = lines(result)
    assert {name for name, state in states.items() if state == "missing"} == {
        "role",
        "bucket",
        "model packages",
    }
    assert states["credentials"] == states["region"] == states["SDK"] == "ok"
    assert result.out.count("-> python build_pipeline.py bootstrap") == 3


def test_doctor_finds_nothing_missing_after_bootstrap(ready: Result, command: Command) -> None:
    """Quotas that cannot be read are not checked, and that is no failure."""
    assert ready.code == 0
    result = command("doctor")
    assert result.code == 0
    states = lines(result)
    assert states.pop("quotas") == "not checked"
    assert set(states.values()) == {"ok"}
    assert len(states) == 8


def test_bootstrap_makes_a_private_encrypted_tagged_bucket(ready: Result) -> None:
    s3 = boto3.client("s3", region_name=REGION)
    block = s3.get_public_access_block(Bucket=BUCKET)["PublicAccessBlockConfiguration"]
    assert set(block.values()) == {True}
    assert s3.get_bucket_versioning(Bucket=BUCKET)["Status"] == "Enabled"
    assert s3.get_bucket_encryption(Bucket=BUCKET)
    statement = json.loads(s3.get_bucket_policy(Bucket=BUCKET)["Policy"])["Statement"][0]
    assert statement["Effect"] == "Deny"
    assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    tags = {tag["Key"]: tag["Value"] for tag in s3.get_bucket_tagging(Bucket=BUCKET)["TagSet"]}
    assert tags == {"Application": "predictive-maintenance", "ManagedBy": "build_pipeline.py"}


def test_a_second_bootstrap_changes_nothing(ready: Result, command: Command) -> None:
    result = command("bootstrap")
    assert result.code == 0
    assert result.out.count(": was there\n") == 3
    assert "made" not in result.out
    assert "now" not in result.out


def test_bootstrap_puts_right_what_was_changed_and_keeps_what_others_added(
    ready: Result, command: Command
) -> None:
    s3, iam = boto3.client("s3", region_name=REGION), boto3.client("iam", region_name=REGION)
    foreign = {
        "Sid": "Theirs",
        "Effect": "Deny",
        "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"},
        "Action": "s3:DeleteBucket",
        "Resource": f"arn:aws:s3:::{BUCKET}",
    }
    policy = {"Version": "2012-10-17", "Statement": [foreign]}
    s3.put_bucket_policy(Bucket=BUCKET, Policy=json.dumps(policy))
    s3.delete_public_access_block(Bucket=BUCKET)
    another = policies.trust(Settings.from_environment({"AWS_REGION": REGION}, ACCOUNT))
    another["Statement"][0]["Principal"] = {"Service": "ec2.amazonaws.com"}
    reading = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{BUCKET}/*"}
    little = {"Version": "2012-10-17", "Statement": [reading]}
    iam.update_assume_role_policy(RoleName=ROLE, PolicyDocument=json.dumps(another))
    iam.put_role_policy(
        RoleName=ROLE, PolicyName=policies.INLINE_POLICY, PolicyDocument=json.dumps(little)
    )
    sick = command("doctor")
    assert sick.code == 1
    assert "must let sagemaker.amazonaws.com assume it" in sick.out
    assert lines(sick)["public access"] == "missing"

    assert command("bootstrap").code == 0

    statements = json.loads(s3.get_bucket_policy(Bucket=BUCKET)["Policy"])["Statement"]
    assert [statement["Sid"] for statement in statements] == ["Theirs", policies.TLS_ONLY]
    assert command("doctor").code == 0
    document = iam.get_role_policy(RoleName=ROLE, PolicyName=policies.INLINE_POLICY)
    assert len(document["PolicyDocument"]["Statement"]) > 5


def test_the_role_may_do_nothing_with_a_bare_star_but_what_has_no_name(ready: Result) -> None:
    """AWS knows no resource for a registry's login and for metrics; all else must be named."""
    document = boto3.client("iam", region_name=REGION).get_role_policy(
        RoleName=ROLE, PolicyName=policies.INLINE_POLICY
    )["PolicyDocument"]
    starred = [each["Action"] for each in document["Statement"] if "*" in each["Resource"]]
    assert starred == [["cloudwatch:PutMetricData"], ["ecr:GetAuthorizationToken"]]
    for statement in document["Statement"]:
        assert all("*" not in action for action in statement["Action"])
        if statement["Action"] == ["cloudwatch:PutMetricData"]:
            assert "Condition" in statement
    images = next(each for each in document["Statement"] if each["Sid"] == "Images")["Resource"]
    assert len(images) == 2
    assert all(image.startswith(f"arn:aws:ecr:{REGION}:") for image in images)
    trust = boto3.client("iam", region_name=REGION).get_role(RoleName=ROLE)["Role"][
        "AssumeRolePolicyDocument"
    ]
    assert trust["Statement"][0]["Condition"] == {"StringEquals": {"aws:SourceAccount": ACCOUNT}}


def test_names_from_the_environment_are_used(
    aws: str, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIPELINE_BUCKET", "another-bucket")
    monkeypatch.setenv("PIPELINE_ROLE_ARN", f"arn:aws:iam::{ACCOUNT}:role/teams/ml/worker")
    monkeypatch.setenv("MODEL_PACKAGE_GROUP", "Another-Group")
    assert command("bootstrap").code == 0
    assert command("doctor").code == 0
    role = boto3.client("iam", region_name=REGION).get_role(RoleName="worker")["Role"]
    assert role["Arn"].endswith(":role/teams/ml/worker")


def test_a_quota_below_what_the_pipeline_takes_is_missing(
    ready: Result, command: Command, quotas: Scripted
) -> None:
    values = {"processing": 4, "training": 0}
    quotas.answers["ListServiceQuotas"] = lambda _: {
        "Quotas": [
            {"QuotaName": f"ml.m5.large for {kind} job usage", "Value": value}
            for kind, value in values.items()
        ]
    }
    result = command("doctor")
    assert result.code == 1
    assert "ml.m5.large for training job usage: 0, and the pipeline takes 1" in result.out
    assert "ml.m5.large for processing job usage: 4\n" in result.out
    values["training"] = 1
    assert command("doctor").code == 0


def test_a_setting_that_aws_would_refuse_is_told(
    aws: str, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIPELINE_NAME", "no_underscores")
    result = command("bootstrap")
    assert (result.code, "no_underscores" in result.err) == (2, True)


def test_policies_follow_the_partition() -> None:
    """In another partition, such as China's, every ARN must stand in it."""
    settings = Settings.from_environment({"AWS_REGION": "cn-north-1"}, ACCOUNT)
    image = "390948362332.dkr.ecr.cn-north-1.amazonaws.com.cn/sagemaker-xgboost:3.2-0"
    documents: list[Any] = [policies.role(settings, [image]), policies.bucket(settings)]
    text = json.dumps(documents)
    assert text.count('"arn:') == text.count('"arn:aws-cn:')
