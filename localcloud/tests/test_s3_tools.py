"""The tools people use: the AWS CLI, boto3's resources, the SageMaker SDK."""

import subprocess
import sys
from pathlib import Path
from urllib.request import urlopen

import boto3
import pytest
from s3_server import CREDENTIALS

pytest_plugins = ["s3_fixtures"]


@pytest.fixture
def aws(aws_environment):
    program = Path(sys.executable).parent / "aws"
    if not program.exists():
        pytest.skip("the AWS CLI is not installed")

    def run(*arguments):
        done = subprocess.run(
            [program, *map(str, arguments)],
            env=aws_environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


@pytest.mark.slow
def test_the_cli_copies_syncs_lists_presigns_and_removes(aws, s3, bucket, tmp_path):
    folder = tmp_path / "folder"
    (folder / "deep er").mkdir(parents=True)
    (folder / "a.csv").write_text("1,2\n")
    (folder / "deep er" / "ü.bin").write_bytes(bytes(9 << 20))
    aws("s3", "sync", folder, f"s3://{bucket}/data")
    assert aws("s3", "sync", folder, f"s3://{bucket}/data") == ""
    listing = aws("s3", "ls", "--recursive", f"s3://{bucket}")
    assert "data/a.csv" in listing
    assert "data/deep er/ü.bin" in listing
    assert "PRE deep er/" in aws("s3", "ls", f"s3://{bucket}/data/")

    back = tmp_path / "back"
    aws("s3", "cp", "--recursive", f"s3://{bucket}/data", back)
    assert (back / "deep er" / "ü.bin").read_bytes() == bytes(9 << 20)
    aws("s3", "mv", f"s3://{bucket}/data/a.csv", f"s3://{bucket}/moved.csv")
    url = aws("s3", "presign", f"s3://{bucket}/moved.csv").strip()
    with urlopen(url) as response:
        assert response.read() == b"1,2\n"
    aws("s3", "rb", "--force", f"s3://{bucket}")
    assert bucket not in aws("s3", "ls")


def test_resources_walk_and_empty_a_bucket(s3_endpoint, bucket):
    resource = boto3.resource("s3", endpoint_url=s3_endpoint, **CREDENTIALS).Bucket(bucket)
    resource.Versioning().enable()
    for number in range(12):
        resource.put_object(Key=f"k{number % 6}", Body=b"%d" % number)
    assert len(list(resource.objects.page_size(4))) == 6
    assert len(list(resource.object_versions.page_size(5))) == 12
    resource.object_versions.delete()
    resource.delete()


@pytest.mark.slow
def test_the_sagemaker_sdk_uploads_and_downloads(s3_endpoint, bucket, tmp_path):
    core = pytest.importorskip("sagemaker.core.s3")
    helper = pytest.importorskip("sagemaker.core.helper.session_helper")
    boto_session = boto3.Session(**CREDENTIALS)
    session = helper.Session(boto_session=boto_session, default_bucket=bucket)
    session.s3_client = boto_session.client("s3", endpoint_url=s3_endpoint)
    session.s3_resource = boto_session.resource("s3", endpoint_url=s3_endpoint)
    (tmp_path / "a.txt").write_text("sent")
    uri = core.S3Uploader.upload(
        str(tmp_path / "a.txt"), f"s3://{bucket}/folder", sagemaker_session=session
    )
    assert uri == f"s3://{bucket}/folder/a.txt"
    assert core.S3Downloader.read_file(uri, sagemaker_session=session) == "sent"
    listed = core.S3Downloader.list(f"s3://{bucket}/folder", sagemaker_session=session)
    assert listed == [uri]
    core.S3Downloader.download(uri, str(tmp_path / "back"), sagemaker_session=session)
    assert (tmp_path / "back" / "a.txt").read_text() == "sent"
