"""Deploying the pipeline: sources into S3, the definition into SageMaker."""

import uuid

from pipelines.build import definition, policies
from pipelines.build.clients import Workspace
from pipelines.build.definition import Document
from pipelines.build.errors import UsageError, error_code


def command(workspace: Workspace) -> int:
    """Deploy these sources and say what changed."""
    upsert(workspace)
    return 0


def upsert(workspace: Workspace) -> Document:
    """Upload the bundles, create or update the pipeline, and return its definition.

    Nothing is written where nothing changed. Raises UsageError without a bucket.
    """
    settings, terminal = workspace.settings, workspace.terminal
    document = definition.compiled(settings)
    _upload_sources(workspace)
    there, pipeline = definition.deployed(workspace)
    name = settings.pipeline_name
    wanted = {
        "PipelineName": name,
        "PipelineDefinition": definition.compact(document),
        "RoleArn": settings.role_arn,
    }
    if there is None:
        workspace.sagemaker.create_pipeline(
            **wanted, ClientRequestToken=uuid.uuid4().hex, Tags=policies.tags(settings)
        )
        count = len(list(definition.steps(document)))
        terminal.write(f"Pipeline   {name} created: {count} steps")
    elif there == document and pipeline.get("RoleArn") == settings.role_arn:
        terminal.write(f"Pipeline   {name} unchanged")
    else:
        workspace.sagemaker.update_pipeline(**wanted)
        terminal.write(f"Pipeline   {name} updated:")
        changed = definition.changes(there, document)
        if pipeline.get("RoleArn") != settings.role_arn:
            changed.insert(0, f"RoleArn {pipeline.get('RoleArn')} -> {settings.role_arn}")
        terminal.write("\n".join(f"             {path}" for path in changed))
    return document


def _upload_sources(workspace: Workspace) -> None:
    from botocore.exceptions import ClientError  # noqa: PLC0415

    from pipelines import bundle  # noqa: PLC0415 - it imports botocore

    settings = workspace.settings
    try:
        stored = bundle.upload(
            workspace.s3, bundle.collect().values(), settings.bucket, settings.prefix
        )
    except ClientError as error:
        if error_code(error) not in {"NoSuchBucket", "404"}:
            raise
        raise UsageError(
            f"There is no bucket {settings.bucket}: make it with "
            "`python build_pipeline.py bootstrap`, or name yours with PIPELINE_BUCKET."
        ) from error
    jobs = sorted({uri.split("/code/", 1)[1].split("/", 1)[0] for uri in stored})
    what = f"uploaded: {', '.join(jobs)}" if jobs else "unchanged"
    workspace.terminal.write(f"Sources    {what}")
