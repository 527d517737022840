"""Buckets and their configuration, through boto3."""

import json

import boto3
import pytest
from s3_server import ACCOUNT, CREDENTIALS, refused

from localcloud.s3.errors import BucketAlreadyOwnedByYou

pytest_plugins = ["s3_fixtures"]


def test_a_bucket_is_listed_until_it_is_deleted(s3):
    s3.create_bucket(Bucket="listed.once")
    assert "listed.once" in [entry["Name"] for entry in s3.list_buckets()["Buckets"]]
    assert s3.head_bucket(Bucket="listed.once")["BucketRegion"] == "us-east-1"
    s3.delete_bucket(Bucket="listed.once")
    assert "listed.once" not in [entry["Name"] for entry in s3.list_buckets()["Buckets"]]
    refused(s3.head_bucket, "404", 404, Bucket="listed.once")
    refused(s3.delete_bucket, "NoSuchBucket", 404, Bucket="listed.once")


def test_bucket_pages(s3):
    for letter in "abc":
        s3.create_bucket(Bucket=f"paged-{letter}")
    pages = s3.get_paginator("list_buckets").paginate(
        Prefix="paged-", PaginationConfig={"PageSize": 2}
    )
    assert [[b["Name"] for b in page["Buckets"]] for page in pages] == [
        ["paged-a", "paged-b"],
        ["paged-c"],
    ]


def test_location_follows_the_constraint(s3, s3_endpoint):
    europe = boto3.client(
        "s3", endpoint_url=s3_endpoint, **{**CREDENTIALS, "region_name": "eu-west-1"}
    )
    there = {"LocationConstraint": "eu-west-1"}
    refused(europe.create_bucket, "IllegalLocationConstraintException", 400, Bucket="in-europe")
    europe.create_bucket(Bucket="in-europe", CreateBucketConfiguration=there)
    assert s3.get_bucket_location(Bucket="in-europe")["LocationConstraint"] == "eu-west-1"
    refused(
        europe.create_bucket,
        "BucketAlreadyOwnedByYou",
        409,
        Bucket="in-europe",
        CreateBucketConfiguration=there,
    )


def test_us_east_1_has_no_location_and_lets_the_owner_create_again(s3, s3_store, bucket):
    assert s3.get_bucket_location(Bucket=bucket)["LocationConstraint"] is None
    s3.create_bucket(Bucket=bucket)
    with pytest.raises(BucketAlreadyOwnedByYou):
        s3_store.create_bucket(ACCOUNT, "us-east-1", bucket)


@pytest.mark.parametrize("name", ["Upper", "under_score", "a..b", "192.168.0.1", "xn--a", "end-"])
def test_names_aws_refuses_are_refused(s3, name):
    refused(s3.create_bucket, "InvalidBucketName", 400, Bucket=name)


def test_a_bucket_with_versions_left_is_not_deleted(s3, bucket):
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    version = s3.put_object(Bucket=bucket, Key="k", Body=b"1")["VersionId"]
    marker = s3.delete_object(Bucket=bucket, Key="k")["VersionId"]
    refused(s3.delete_bucket, "BucketNotEmpty", 409, Bucket=bucket)
    s3.delete_object(Bucket=bucket, Key="k", VersionId=version)
    s3.delete_object(Bucket=bucket, Key="k", VersionId=marker)
    s3.delete_bucket(Bucket=bucket)


def test_versioning_is_unset_then_enabled_then_suspended(s3, bucket):
    assert "Status" not in s3.get_bucket_versioning(Bucket=bucket)
    for status in ("Enabled", "Suspended"):
        s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": status})
        assert s3.get_bucket_versioning(Bucket=bucket)["Status"] == status


def test_a_new_bucket_blocks_public_access_and_can_say_otherwise(s3, bucket):
    blocks = dict.fromkeys(
        ["BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"], True
    )
    get = s3.get_public_access_block
    assert get(Bucket=bucket)["PublicAccessBlockConfiguration"] == blocks
    blocks["BlockPublicAcls"] = False
    s3.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration=blocks)
    assert get(Bucket=bucket)["PublicAccessBlockConfiguration"] == blocks
    s3.delete_public_access_block(Bucket=bucket)
    refused(get, "NoSuchPublicAccessBlockConfiguration", 404, Bucket=bucket)


def test_default_encryption_is_told_of_new_objects(s3, bucket):
    s3.put_object(Bucket=bucket, Key="before", Body=b"")
    assert s3.head_object(Bucket=bucket, Key="before")["ServerSideEncryption"] == "AES256"
    default = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": "alias/k"}
    rule = {"ApplyServerSideEncryptionByDefault": default, "BucketKeyEnabled": True}
    s3.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration={"Rules": [rule]})
    got = s3.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]
    assert got == {"Rules": [rule]}
    s3.put_object(Bucket=bucket, Key="after", Body=b"")
    head = s3.head_object(Bucket=bucket, Key="after")
    assert (head["ServerSideEncryption"], head["SSEKMSKeyId"]) == ("aws:kms", "alias/k")
    s3.delete_bucket_encryption(Bucket=bucket)
    rules = s3.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]["Rules"]
    assert rules[0]["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"] == "AES256"


def test_policy_is_json_with_statements(s3, bucket):
    refused(s3.get_bucket_policy, "NoSuchBucketPolicy", 404, Bucket=bucket)
    for wrong in ("{", "{}", '{"Statement": [{"Effect": "Maybe"}]}'):
        refused(s3.put_bucket_policy, "MalformedPolicy", 400, Bucket=bucket, Policy=wrong)
    statement = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*",
        "Resource": f"arn:aws:s3:::{bucket}/*",
    }
    policy = {"Version": "2012-10-17", "Statement": [statement]}
    s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps(policy))
    assert json.loads(s3.get_bucket_policy(Bucket=bucket)["Policy"]) == policy
    s3.delete_bucket_policy(Bucket=bucket)
    refused(s3.get_bucket_policy, "NoSuchBucketPolicy", 404, Bucket=bucket)


def test_tags_of_a_bucket(s3, bucket):
    refused(s3.get_bucket_tagging, "NoSuchTagSet", 404, Bucket=bucket)
    tags = [{"Key": "project", "Value": "a & b"}]
    s3.put_bucket_tagging(Bucket=bucket, Tagging={"TagSet": tags})
    assert s3.get_bucket_tagging(Bucket=bucket)["TagSet"] == tags
    s3.delete_bucket_tagging(Bucket=bucket)
    refused(s3.get_bucket_tagging, "NoSuchTagSet", 404, Bucket=bucket)


def test_lifecycle_ownership_and_notifications_are_kept(s3, bucket):
    code = "NoSuchLifecycleConfiguration"
    refused(s3.get_bucket_lifecycle_configuration, code, 404, Bucket=bucket)
    rules = [{"ID": "old", "Status": "Enabled", "Filter": {"Prefix": "x/"}}]
    rules[0]["Expiration"] = {"Days": 3}
    s3.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": rules})
    assert s3.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"] == rules
    s3.delete_bucket_lifecycle(Bucket=bucket)
    refused(s3.get_bucket_lifecycle_configuration, code, 404, Bucket=bucket)

    ownership = s3.get_bucket_ownership_controls(Bucket=bucket)["OwnershipControls"]
    assert ownership == {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}
    s3.put_bucket_ownership_controls(Bucket=bucket, OwnershipControls=ownership)
    s3.delete_bucket_ownership_controls(Bucket=bucket)
    code = "OwnershipControlsNotFoundError"
    refused(s3.get_bucket_ownership_controls, code, 404, Bucket=bucket)

    get = s3.get_bucket_notification_configuration
    assert "EventBridgeConfiguration" not in get(Bucket=bucket)
    s3.put_bucket_notification_configuration(
        Bucket=bucket, NotificationConfiguration={"EventBridgeConfiguration": {}}
    )
    assert get(Bucket=bucket)["EventBridgeConfiguration"] == {}


def test_what_is_missing_answers_501_and_names_the_operation(s3, bucket):
    for call, name in (
        (s3.get_bucket_acl, "GetBucketAcl"),
        (s3.get_bucket_website, "GetBucketWebsite"),
        (s3.get_bucket_accelerate_configuration, "GetBucketAccelerateConfiguration"),
    ):
        assert name in refused(call, "NotImplemented", 501, Bucket=bucket)["Message"]
    s3.put_object(Bucket=bucket, Key="k", Body=b"")
    error = refused(s3.get_object_acl, "NotImplemented", 501, Bucket=bucket, Key="k")
    assert "GetObjectAcl" in error["Message"]
    lock = {"ObjectLockMode": "GOVERNANCE", "ObjectLockRetainUntilDate": "2030-01-01"}
    refused(s3.put_object, "NotImplemented", 501, Bucket=bucket, Key="k", **lock)


def test_a_foreign_expected_owner_is_refused(s3, bucket):
    refused(s3.head_bucket, "403", 403, Bucket=bucket, ExpectedBucketOwner="111111111111")
    s3.head_bucket(Bucket=bucket, ExpectedBucketOwner=ACCOUNT)
