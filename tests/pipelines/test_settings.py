import os

import pytest

from pipelines.sdk import sdk_environment
from pipelines.settings import Settings, SettingsError

REGION = {"AWS_REGION": "eu-west-1"}


def test_everything_but_the_region_follows_from_convention() -> None:
    assert Settings.from_environment(REGION) == Settings(
        region="eu-west-1",
        account="000000000000",
        bucket="sagemaker-mlops-000000000000-eu-west-1",
        prefix="predictive-maintenance",
        role_arn="arn:aws:iam::000000000000:role/sagemaker-mlops-pipeline",
        pipeline_name="predictive-maintenance",
        model_package_group_name="predictive-maintenance",
    )


def test_variables_replace_the_conventional_names() -> None:
    settings = Settings.from_environment(
        {
            "AWS_DEFAULT_REGION": "eu-central-1",
            "PIPELINE_NAME": "branch-x",
            "PIPELINE_BUCKET": "my.bucket-1",
            "PIPELINE_ROLE_ARN": "arn:aws:iam::123456789012:role/path/builder",
            "MODEL_PACKAGE_GROUP": "group-x",
        },
        account="123456789012",
    )
    assert settings.region == "eu-central-1"
    assert settings.pipeline_name == "branch-x"
    assert settings.role_arn == "arn:aws:iam::123456789012:role/path/builder"
    assert settings.model_package_group_name == "group-x"
    assert settings.uri("data", "x.csv") == "s3://my.bucket-1/predictive-maintenance/data/x.csv"


@pytest.mark.parametrize(
    ("region", "partition"),
    [("us-east-1", "aws"), ("cn-north-1", "aws-cn"), ("us-gov-west-1", "aws-us-gov")],
)
def test_the_role_lies_in_the_partition_of_the_region(region: str, partition: str) -> None:
    settings = Settings.from_environment({"AWS_REGION": region}, account="123456789012")
    assert settings.role_arn.startswith(f"arn:{partition}:iam::123456789012:role/")


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({}, "AWS_REGION must name the region; it is not set"),
        (
            {"AWS_REGION": "eu-west-1", "AWS_DEFAULT_REGION": "us-east-1"},
            "must name one region, not eu-west-1 and us-east-1",
        ),
        ({"AWS_REGION": "Ireland"}, "region must be .*, not 'Ireland'"),
        ({**REGION, "PIPELINE_NAME": ""}, "PIPELINE_NAME must not be empty"),
        ({**REGION, "PIPELINE_NAME": "my_pipeline"}, "pipeline_name must be .*, not 'my_pipeline'"),
        ({**REGION, "PIPELINE_BUCKET": "My-Bucket"}, "bucket must be .*, not 'My-Bucket'"),
        ({**REGION, "PIPELINE_ROLE_ARN": "builder"}, "role_arn must be .*, not 'builder'"),
        ({**REGION, "MODEL_PACKAGE_GROUP": "g" * 64}, "model_package_group_name must be 1 to 63"),
    ],
)
def test_an_unusable_value_is_refused_by_name(environment: dict[str, str], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        Settings.from_environment(environment)


def test_an_account_has_twelve_digits() -> None:
    with pytest.raises(SettingsError, match="account must be an account number of 12 digits"):
        Settings.from_environment(REGION, account="1234")


def test_compiling_sees_nothing_of_the_user_and_leaves_nothing_behind(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_PROFILE", "private")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "private")
    before = dict(os.environ)
    with sdk_environment("eu-west-1"):
        assert "AWS_PROFILE" not in os.environ
        assert "private" not in os.environ.values()
        assert os.environ["AWS_DEFAULT_REGION"] == "eu-west-1"
    assert dict(os.environ) == before
