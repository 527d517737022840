"""An S3 on an ephemeral loopback port, and a client for it."""

import os
import secrets

import pytest
from s3_server import ACCOUNT, make_client, serving

from localcloud.s3 import ObjectStore, S3Application


@pytest.fixture(scope="module")
def s3_store(tmp_path_factory):
    return ObjectStore(tmp_path_factory.mktemp("s3"))


@pytest.fixture(scope="module")
def s3_endpoint(s3_store):
    with serving(S3Application(s3_store, ACCOUNT)) as endpoint:
        yield endpoint


@pytest.fixture(scope="module")
def s3(s3_endpoint):
    return make_client(s3_endpoint)


@pytest.fixture
def bucket(s3):
    name = f"bucket-{secrets.token_hex(6)}"
    s3.create_bucket(Bucket=name)
    return name


@pytest.fixture
def aws_environment(s3_endpoint):
    return {
        "PATH": os.environ["PATH"],
        "AWS_ENDPOINT_URL": s3_endpoint,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
    }
