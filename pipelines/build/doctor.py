"""Whether everything that a run needs is there, and how to get what is not."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import unquote

from pipelines.build import definition, gate
from pipelines.build.clients import Workspace
from pipelines.build.errors import BuildError, error_code, is_missing, translated
from pipelines.build.terminal import table

OK: Final = "ok"
MISSING: Final = "missing"
NOT_CHECKED: Final = "not checked"
_BOOTSTRAP = "python build_pipeline.py bootstrap"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line: what was looked at, how it stands, and what to do about it."""

    name: str
    state: str
    detail: str
    remedy: str = ""


def command(workspace: Workspace) -> int:
    """Print a line for each thing; 0 if nothing is missing, else 1."""
    findings = list(_examine(workspace))
    terminal = workspace.terminal
    kinds = {OK: "good", MISSING: "bad", NOT_CHECKED: "dim"}
    rows = [[f.state, f.name, " ".join(f.detail.split())] for f in findings]
    lines = table(rows).splitlines()
    for finding, line in zip(findings, lines, strict=True):
        terminal.write(terminal.paint(line, kinds[finding.state]))
        if finding.remedy:
            terminal.write(f"{'':<13}-> {finding.remedy}")
    missing = [finding.name for finding in findings if finding.state == MISSING]
    terminal.write()
    if missing:
        terminal.write(f"Missing: {', '.join(missing)}.")
        return 1
    terminal.write("Everything that a run needs is there.")
    return 0


def _examine(workspace: Workspace) -> Iterator[Finding]:
    yield _guard("SDK", lambda: Finding("SDK", OK, definition.sdk_versions()))
    region = _guard("region", lambda: Finding("region", OK, workspace.offline_settings.region))
    yield region
    if region.state == OK:
        yield _guard("credentials", lambda: Finding("credentials", OK, workspace.identity["Arn"]))
    if "identity" not in vars(workspace):
        names = ("role", "bucket", "public access", "encryption", "model packages", "quotas")
        for name in names if region.state == OK else ("credentials", *names):
            yield Finding(name, NOT_CHECKED, "there is no one to ask")
        return
    yield _guard("role", lambda: _role(workspace))
    bucket = _guard("bucket", lambda: _bucket(workspace))
    yield bucket
    if bucket.state == OK:
        yield _guard("public access", lambda: _public_access(workspace))
        yield _guard("encryption", lambda: _encryption(workspace))
    yield _guard("model packages", lambda: _group(workspace))
    try:
        yield from _quotas(workspace)
    except BuildError as error:
        yield Finding("quotas", NOT_CHECKED, str(error))


def _guard(name: str, look: Callable[[], Finding]) -> Finding:
    try:
        with translated():
            return look()
    except BuildError as error:
        return Finding(name, MISSING, str(error))


def _role(workspace: Workspace) -> Finding:
    arn = workspace.settings.role_arn
    try:
        role = workspace.client("iam").get_role(RoleName=arn.rpartition("/")[2])["Role"]
    except _client_error() as error:
        if not is_missing(error):
            raise
        return Finding("role", MISSING, f"there is no role {arn}", _BOOTSTRAP)
    if not _trusts_sagemaker(role["AssumeRolePolicyDocument"]):
        return Finding(
            "role",
            MISSING,
            f"the trust policy of {arn} must let sagemaker.amazonaws.com assume it, and does not",
            _BOOTSTRAP,
        )
    return Finding("role", OK, f"{arn}, SageMaker may assume it")


def _trusts_sagemaker(policy: Any) -> bool:
    if isinstance(policy, str):  # as the wire has it; boto3 decodes it
        policy = json.loads(unquote(policy))
    for statement in _listed(policy.get("Statement")):
        principal = statement.get("Principal", {})
        services = _listed(principal.get("Service")) if isinstance(principal, dict) else []
        actions = _listed(statement.get("Action"))
        if (
            statement.get("Effect") == "Allow"
            and "sagemaker.amazonaws.com" in services
            and "sts:AssumeRole" in actions
        ):
            return True
    return False


def _bucket(workspace: Workspace) -> Finding:
    name = workspace.settings.bucket
    try:
        workspace.s3.head_bucket(Bucket=name)
    except _client_error() as error:
        if is_missing(error):
            return Finding("bucket", MISSING, f"there is no bucket {name}", _BOOTSTRAP)
        if error_code(error) == "403":
            detail = f"bucket {name} is another account's, or these credentials may not see it"
            return Finding("bucket", MISSING, detail, "name another one with PIPELINE_BUCKET")
        raise
    return Finding("bucket", OK, name)


def _public_access(workspace: Workspace) -> Finding:
    name = workspace.settings.bucket
    try:
        block = workspace.s3.get_public_access_block(Bucket=name)["PublicAccessBlockConfiguration"]
    except _client_error() as error:
        if not is_missing(error):
            raise
        block = {}
    if len(block) == 4 and all(block.values()):
        return Finding("public access", OK, "blocked")
    return Finding("public access", MISSING, f"bucket {name} must block all four kinds", _BOOTSTRAP)


def _encryption(workspace: Workspace) -> Finding:
    name = workspace.settings.bucket
    try:
        answer = workspace.s3.get_bucket_encryption(Bucket=name)
    except _client_error() as error:
        if error_code(error) != "ServerSideEncryptionConfigurationNotFoundError":
            raise
        return Finding("encryption", MISSING, f"bucket {name} must encrypt by default", _BOOTSTRAP)
    rule = answer["ServerSideEncryptionConfiguration"]["Rules"][0]
    return Finding("encryption", OK, rule["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"])


def _group(workspace: Workspace) -> Finding:
    name = workspace.settings.model_package_group_name
    try:
        workspace.sagemaker.describe_model_package_group(ModelPackageGroupName=name)
    except _client_error() as error:
        if not is_missing(error):
            raise
        return Finding("model packages", MISSING, f"there is no group {name}", _BOOTSTRAP)
    return Finding("model packages", OK, f"group {name}")


def _quotas(workspace: Workspace) -> Iterator[Finding]:
    """Compare the default instances of the pipeline with the account's quotas."""
    values = gate.defaults(definition.compiled(workspace.settings))
    wanted = {
        f"{values[f'{kind}InstanceType']} for {kind.lower()} job usage": int(
            values[f"{kind}InstanceCount"]
        )
        for kind in ("Processing", "Training")
        if f"{kind}InstanceType" in values
    }
    with translated():
        pages = workspace.client("service-quotas").get_paginator("list_service_quotas")
        found = {
            quota["QuotaName"]: quota["Value"]
            for page in pages.paginate(ServiceCode="sagemaker")
            for quota in page["Quotas"]
            if quota["QuotaName"] in wanted
        }
    for name, count in wanted.items():
        if name not in found:
            yield Finding("quotas", NOT_CHECKED, f"AWS lists no quota {name!r}")
        elif found[name] < count:
            yield Finding(
                "quotas",
                MISSING,
                f"{name}: {found[name]:g}, and the pipeline takes {count}",
                "ask for more: the console's Service Quotas, SageMaker",
            )
        else:
            yield Finding("quotas", OK, f"{name}: {found[name]:g}")


def _client_error() -> Any:
    from botocore.exceptions import ClientError  # noqa: PLC0415

    return ClientError


def _listed(value: Any) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]
