"""Making what the pipeline needs in an account: bucket, role, model package group.

Safe to repeat: what is as it should be stays untouched, what is not is put right, and statements
that others put into the bucket's policy are kept.
"""

import json
from collections.abc import Callable
from typing import Any

from botocore.exceptions import ClientError

from pipelines.build import definition, policies
from pipelines.build.clients import Workspace
from pipelines.build.errors import UsageError, error_code, is_missing

_PRIVATE = dict.fromkeys(
    ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"), True
)
_ENCRYPTED = {
    "Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}],
}
# Versions make an overwritten or deleted model recoverable for a month, and cost nothing after it.
_LIFECYCLE = {
    "Rules": [
        {
            "ID": "leftovers",
            "Status": "Enabled",
            "Filter": {"Prefix": ""},
            "NoncurrentVersionExpiration": {"NoncurrentDays": 30},
            "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 7},
        }
    ]
}


def command(workspace: Workspace) -> int:
    """Make what is missing and say what was made."""
    settings = workspace.settings
    workspace.terminal.write(
        f"Account {settings.account}, region {settings.region}, as {workspace.identity['Arn']}"
    )
    _bucket(workspace)
    _role(workspace)
    _group(workspace)
    workspace.terminal.write("Next:  python build_pipeline.py run --wait")
    return 0


def _bucket(workspace: Workspace) -> None:
    s3, settings = workspace.s3, workspace.settings
    name = settings.bucket
    try:
        s3.head_bucket(Bucket=name)
        _tell(workspace, "Bucket", name, "was there")
    except ClientError as error:
        if error_code(error) == "403":
            raise UsageError(
                f"Bucket {name} belongs to another account or is closed to you: name another one "
                "with PIPELINE_BUCKET."
            ) from error
        if not is_missing(error):
            raise
        extra: dict[str, Any] = {}
        if settings.region != "us-east-1":  # which is the default, and may not be named
            extra = {"CreateBucketConfiguration": {"LocationConstraint": settings.region}}
        s3.create_bucket(Bucket=name, **extra)
        s3.put_bucket_tagging(Bucket=name, Tagging={"TagSet": policies.tags(settings)})
        _tell(workspace, "Bucket", name, "made")
    changed = [
        what
        for what, wanted, read, write in (
            (
                "private",
                _PRIVATE,
                lambda: s3.get_public_access_block(Bucket=name)["PublicAccessBlockConfiguration"],
                lambda value: s3.put_public_access_block(
                    Bucket=name, PublicAccessBlockConfiguration=value
                ),
            ),
            (
                "versions kept",
                "Enabled",
                lambda: s3.get_bucket_versioning(Bucket=name).get("Status"),
                lambda value: s3.put_bucket_versioning(
                    Bucket=name, VersioningConfiguration={"Status": value}
                ),
            ),
            (
                "old versions expire",
                _LIFECYCLE["Rules"],
                lambda: s3.get_bucket_lifecycle_configuration(Bucket=name)["Rules"],
                lambda value: s3.put_bucket_lifecycle_configuration(
                    Bucket=name, LifecycleConfiguration={"Rules": value}
                ),
            ),
            (
                "TLS only",
                policies.bucket(settings)["Statement"],
                lambda: _own_statements(s3, name),
                lambda value: _put_statements(s3, name, value),
            ),
        )
        if _put_right(wanted, read, write)
    ]
    if _read(lambda: s3.get_bucket_encryption(Bucket=name)) is None:
        s3.put_bucket_encryption(Bucket=name, ServerSideEncryptionConfiguration=_ENCRYPTED)
        changed.append("encrypted")
    if changed:
        _tell(workspace, "", "", f"now {', '.join(changed)}")


def _role(workspace: Workspace) -> None:
    iam, settings = workspace.client("iam"), workspace.settings
    *path, name = settings.role_arn.split(":role/")[1].split("/")
    wanted = policies.trust(settings)
    try:
        found = iam.get_role(RoleName=name)["Role"]
        if found["AssumeRolePolicyDocument"] == wanted:
            _tell(workspace, "Role", settings.role_arn, "was there")
        else:
            iam.update_assume_role_policy(RoleName=name, PolicyDocument=json.dumps(wanted))
            _tell(workspace, "Role", settings.role_arn, "was there; its trust policy is replaced")
    except ClientError as error:
        if not is_missing(error):
            raise
        iam.create_role(
            RoleName=name,
            Path="".join(f"/{part}" for part in path) + "/",
            AssumeRolePolicyDocument=json.dumps(wanted),
            Description="What the SageMaker pipeline and its jobs may do.",
            Tags=policies.tags(settings),
        )
        _tell(workspace, "Role", settings.role_arn, "made")
    images = definition.images(definition.compiled(settings))
    changed = _put_right(
        policies.role(settings, images),
        lambda: iam.get_role_policy(RoleName=name, PolicyName=policies.INLINE_POLICY)[
            "PolicyDocument"
        ],
        lambda value: iam.put_role_policy(
            RoleName=name, PolicyName=policies.INLINE_POLICY, PolicyDocument=json.dumps(value)
        ),
    )
    if changed:
        _tell(workspace, "", "", f"now with the policy `{policies.INLINE_POLICY}`")


def _group(workspace: Workspace) -> None:
    settings = workspace.settings
    name = settings.model_package_group_name
    try:
        workspace.sagemaker.describe_model_package_group(ModelPackageGroupName=name)
        _tell(workspace, "Group", name, "was there")
    except ClientError as error:
        if not is_missing(error):
            raise
        workspace.sagemaker.create_model_package_group(
            ModelPackageGroupName=name,
            ModelPackageGroupDescription=f"Versions of the model that {name} trains",
            Tags=policies.tags(settings),
        )
        _tell(workspace, "Group", name, "made")


def _put_right(wanted: Any, read: Callable[[], Any], write: Callable[[Any], Any]) -> bool:
    """Write what is wanted unless it is there; tell whether it was written."""
    if _read(read) == wanted:
        return False
    write(wanted)
    return True


def _read(read: Callable[[], Any]) -> Any:
    try:
        return read()
    except ClientError as error:
        if is_missing(error) or error_code(error).endswith("NotFoundError"):
            return None
        raise


def _own_statements(s3: Any, name: str) -> list[Any]:
    return [s for s in _statements(s3, name) if s.get("Sid") == policies.TLS_ONLY]


def _put_statements(s3: Any, name: str, own: list[Any]) -> None:
    others = [s for s in _statements(s3, name) if s.get("Sid") != policies.TLS_ONLY]
    document = {"Version": "2012-10-17", "Statement": [*others, *own]}
    s3.put_bucket_policy(Bucket=name, Policy=json.dumps(document))


def _statements(s3: Any, name: str) -> list[Any]:
    text = _read(lambda: s3.get_bucket_policy(Bucket=name)["Policy"])
    if text is None:
        return []
    statements = json.loads(text)["Statement"]
    return statements if isinstance(statements, list) else [statements]


def _tell(workspace: Workspace, kind: str, name: str, what: str) -> None:
    workspace.terminal.write(f"{kind:<7} {name}: {what}" if name else f"{kind:<7}   {what}")
