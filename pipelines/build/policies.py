"""The policies of what `bootstrap` makes: the role's, its trust and the bucket's; and the tags."""

import re
from collections.abc import Iterable
from typing import Any, Final

from pipelines.build.errors import UsageError
from pipelines.settings import Settings

Policy = dict[str, Any]

INLINE_POLICY: Final = "pipeline"
TLS_ONLY: Final = "TlsOnly"
_IMAGE = re.compile(
    r"(?P<account>\d{12})\.dkr\.ecr\.(?P<region>[a-z0-9-]+)\.amazonaws\.com(?:\.cn)?/(?P<name>[^:@]+).*"
)


def tags(settings: Settings) -> list[dict[str, str]]:
    """Return the tags of everything that the build side makes, in SageMaker's and S3's form."""
    return [
        {"Key": "Application", "Value": settings.pipeline_name},
        {"Key": "ManagedBy", "Value": "build_pipeline.py"},
    ]


def trust(settings: Settings) -> Policy:
    """Let SageMaker assume the role, for this account's work only."""
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": "sagemaker.amazonaws.com"},
        "Action": "sts:AssumeRole",
        "Condition": {"StringEquals": {"aws:SourceAccount": settings.account}},
    }
    return _policy([statement])


def bucket(settings: Settings) -> Policy:
    """Refuse whatever does not come over TLS."""
    arn = f"arn:{partition(settings)}:s3:::{settings.bucket}"
    statement = {
        "Sid": TLS_ONLY,
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*",
        "Resource": [arn, f"{arn}/*"],
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }
    return _policy([statement])


def role(settings: Settings, images: Iterable[str]) -> Policy:
    """Allow what the pipeline, its jobs and the model in a transform job do, on what they use.

    A star stands alone only where AWS knows no resource: a registry's login and metrics, of which
    the latter are held to SageMaker's own namespaces. ``images`` are the definition's image URIs.
    """
    aws = f"arn:{partition(settings)}"
    here = f"{settings.region}:{settings.account}"
    sagemaker = f"{aws}:sagemaker:{here}"
    group = settings.model_package_group_name.lower()
    bucket_arn = f"{aws}:s3:::{settings.bucket}"
    jobs = [f"{sagemaker}:{kind}/pipelines-*" for kind in ("processing-job", "training-job")]
    packages = [f"{sagemaker}:model-package-group/{group}", f"{sagemaker}:model-package/{group}/*"]
    groups = [
        f"{aws}:logs:{here}:log-group:/aws/sagemaker/{kind}"
        for kind in (
            *("ProcessingJobs", "TrainingJobs", "TransformJobs"),
            f"Endpoints/{settings.pipeline_name}-serve",
        )
    ]
    return _policy(
        [
            _allow(
                "Objects",
                ["s3:GetObject", "s3:PutObject", "s3:AbortMultipartUpload"],
                [f"{bucket_arn}/{settings.prefix}/*"],
            ),
            _allow("BucketLocation", ["s3:GetBucketLocation"], [bucket_arn]),
            _allow("ListOwnKeys", ["s3:ListBucket"], [bucket_arn])
            | {"Condition": {"StringLike": {"s3:prefix": [f"{settings.prefix}/*"]}}},
            _allow(
                "Jobs",
                [
                    f"sagemaker:{verb}{kind}Job"
                    for kind in ("Processing", "Training")
                    for verb in ("Create", "Describe", "Stop")
                ],
                jobs,
            ),
            _allow(
                "Registry",
                [
                    "sagemaker:CreateModelPackage",
                    "sagemaker:DescribeModelPackage",
                    "sagemaker:DescribeModelPackageGroup",
                ],
                packages,
            ),
            _allow("Tags", ["sagemaker:AddTags"], [*jobs, *packages]),
            _allow("PassItself", ["iam:PassRole"], [settings.role_arn])
            | {"Condition": {"StringEquals": {"iam:PassedToService": "sagemaker.amazonaws.com"}}},
            _allow(
                "Logs",
                [
                    "logs:CreateLogGroup",
                    "logs:CreateLogStream",
                    "logs:DescribeLogStreams",
                    "logs:PutLogEvents",
                ],
                [arn for name in groups for arn in (name, f"{name}:*")],
            ),
            _allow("Metrics", ["cloudwatch:PutMetricData"], ["*"])
            | {
                "Condition": {
                    "StringLike": {"cloudwatch:namespace": ["/aws/sagemaker/*", "AWS/SageMaker"]}
                }
            },
            _allow("ImageLogin", ["ecr:GetAuthorizationToken"], ["*"]),
            _allow(
                "Images",
                [
                    "ecr:BatchCheckLayerAvailability",
                    "ecr:BatchGetImage",
                    "ecr:GetDownloadUrlForLayer",
                ],
                sorted({_repository(aws, image) for image in images}),
            ),
        ]
    )


def partition(settings: Settings) -> str:
    """Return the partition that the role's ARN stands in: aws, aws-cn or aws-us-gov."""
    return settings.role_arn.split(":")[1]


def _repository(aws: str, image: str) -> str:
    found = _IMAGE.fullmatch(image)
    if found is None:
        raise UsageError(f"Image {image!r} must be an image of ECR, for the role to be allowed it.")
    return f"{aws}:ecr:{found['region']}:{found['account']}:repository/{found['name']}"


def _allow(sid: str, actions: list[str], resources: list[str]) -> dict[str, Any]:
    return {"Sid": sid, "Effect": "Allow", "Action": actions, "Resource": resources}


def _policy(statements: list[dict[str, Any]]) -> Policy:
    return {"Version": "2012-10-17", "Statement": statements}
