"""A version onto a stage: prepared, planned, carried out, and seen to be there."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from deploy_endpoint import (
    autoscaling,
    capacity,
    function_zip,
    leftovers,
    live,
    package,
    parameters,
    stack,
)
from deploy_endpoint.clients import Workspace
from deploy_endpoint.errors import (
    DeployError,
    NotDeployedError,
    UsageError,
    error_code,
    is_missing,
    translated,
)
from deploy_endpoint.leftovers import Retained
from deploy_endpoint.live import Live
from deploy_endpoint.package import Package
from deploy_endpoint.stack import ChangeSet, Stack
from deploy_endpoint.stage import Stage


@dataclass(frozen=True)
class Prepared:
    """All that a roll-out needs; nothing of AWS has been changed for it."""

    stage: Stage
    package: Package
    contract: Mapping[str, Any]
    code: bytes
    before: Stack | None
    live: Live | None
    template: str

    @property
    def code_key(self) -> str:
        """Where the functions' zip lies in the bucket: below its content's hash."""
        return f"{self.stage.project}/stages/code/{function_zip.name(self.code)}"


@dataclass(frozen=True)
class Done:
    """A roll-out that is seen to be there; `changed` is False if it was there already."""

    stack: Stack
    live: Live
    changed: bool
    tidied: Retained


def prepare(workspace: Workspace, stage: Stage, found: Package) -> Prepared:
    """Check all that can be checked before anything is changed. Raises UsageError."""
    found.check(stage, workspace.bucket)
    contract = package.contract(workspace, found)
    try:
        code = function_zip.build()
    except function_zip.MissingDependencyError as error:
        raise UsageError(f"{error}.") from error
    template = parameters.TEMPLATE.read_text(encoding="utf-8")
    before = stack.idle(workspace, stage.name)
    serving = live.read(workspace, stage.name) if before and before.exists else None
    return Prepared(stage, found, contract, code, before, serving, template)


def propose(workspace: Workspace, prepared: Prepared) -> ChangeSet | None:
    """Make the change set of a roll-out; None if nothing would change."""
    values = parameters.values(
        prepared.stage,
        prepared.package,
        bucket=workspace.bucket,
        code_key=prepared.code_key,
        repositories=_repositories(workspace, prepared),
    )
    return stack.propose(
        workspace,
        prepared.stage.name,
        prepared.template,
        dict(values),
        prepared.stage.all_tags,
    )


def carry_out(workspace: Workspace, prepared: Prepared) -> Done:
    """Roll the version out, tell what happens, and see that the endpoint really serves it.

    Raises NotDeployedError with the first cause if it does not, and says what serves instead.
    """
    stage, name, before = prepared.stage, prepared.stage.name, prepared.before
    if before is not None and before.unfinished:
        workspace.terminal.write(f"Stack      {name} was never finished: deleting the rest of it")
        stack.delete(workspace, before)
    _upload(workspace, prepared)
    own_template = stack.template(workspace, name) if before and before.exists else None
    try:
        with translated():
            autoscaling.release(workspace, stage, before)
            end, serving, changed = _update(workspace, prepared, own_template)
    except DeployError as error:
        told = [str(error), autoscaling.take_back(workspace, stage, before)]
        if isinstance(error, NotDeployedError):
            told.append(_instead(workspace, name))
        raise type(error)("\n".join(filter(None, told))) from error
    except KeyboardInterrupt:
        if line := autoscaling.take_back(workspace, stage, before):
            workspace.terminal.complain(line)
        raise
    good = prepared.live.config_name if prepared.live else None
    tidied = leftovers.tidy(workspace, stage, serving.config_name, good, end.created)
    return Done(end, serving, changed, tidied)


def _update(
    workspace: Workspace, prepared: Prepared, own_template: str | None
) -> tuple[Stack, Live, bool]:
    name = prepared.stage.name
    change_set = propose(workspace, prepared)
    if change_set is not None:
        try:
            _make_ready(workspace, prepared.stage)
        except BaseException:
            stack.discard(workspace, change_set)
            raise
    end = _execute(workspace, name, change_set)
    config = end.outputs["EndpointConfigName"]
    try:
        serving = live.verify(workspace, name, config, prepared.package.arn)
    except NotDeployedError as error:
        raise _mended(workspace, prepared, own_template, change_set, config, error) from error
    # Autoscaling may have taken instances away by its old bounds; a version is not undone for it.
    return end, capacity.raised(workspace, prepared.stage, serving), change_set is not None


def _make_ready(workspace: Workspace, stage: Stage) -> None:
    """Wait until the endpoint, if there is one, may be updated, and has the instances for it.

    SageMaker updates none on which something is under way, and makes no canary of one instance.
    """
    found = live.settled(workspace, stage.name)
    if found is None:
        return
    if not found.settled:
        raise UsageError(
            f"Endpoint {stage.name} must be settled to be updated; it is {found.status}. "
            "Try again later."
        )
    capacity.raised(workspace, stage, found)


def _execute(workspace: Workspace, name: str, change_set: ChangeSet | None) -> Stack:
    if change_set is not None:
        return stack.execute(workspace, change_set, lambda: live.progress(workspace, name))
    found = stack.read(workspace, name)
    if found is None:
        raise NotDeployedError(f"There is no stack {name}: somebody deleted it.")
    return found


def _mended(
    workspace: Workspace,
    prepared: Prepared,
    own_template: str | None,
    change_set: ChangeSet | None,
    config: str,
    error: NotDeployedError,
) -> NotDeployedError:
    """Return what to raise when the stack says one thing and the endpoint does another.

    After a roll-out that SageMaker took back the stack is put back too, or the API would go on to
    describe a model that does not serve.
    """
    name, before = prepared.stage.name, prepared.before
    if change_set is None:
        return NotDeployedError(
            f"{error}\nThe stack has nothing to change: somebody changed the endpoint by hand. Put "
            f"it back: aws sagemaker update-endpoint --endpoint-name {name} "
            f"--endpoint-config-name {config}"
        )
    if before is None or own_template is None:
        return error
    workspace.terminal.write("The roll-out was taken back by SageMaker: putting the stack back")
    left = f"{error}\nThe stack could not be put back"
    try:
        with translated():
            back = stack.propose(
                workspace, name, own_template, dict(before.parameters), prepared.stage.all_tags
            )
            _execute(workspace, name, back)
    except DeployError as second:
        return NotDeployedError(f"{left}: {second}")
    except KeyboardInterrupt:
        workspace.terminal.complain(f"{left}: interrupted")
        raise
    return error


def _repositories(workspace: Workspace, prepared: Prepared) -> set[str]:
    """The repositories of the version's images, and of those of the one that serves now."""
    found = parameters.repositories(prepared.package)
    serving = prepared.live.package_arn if prepared.live else None
    if serving is None or serving == prepared.package.arn or prepared.before is None:
        return found
    try:
        return found | parameters.repositories(package.describe(workspace, serving))
    except UsageError:  # it is not in the registry any more
        return found | set(prepared.before.parameters["ImageRepositoryArns"].split(","))


def _upload(workspace: Workspace, prepared: Prepared) -> None:
    from botocore.exceptions import ClientError  # noqa: PLC0415

    place = {"Bucket": workspace.bucket, "Key": prepared.code_key}
    try:
        workspace.s3.head_object(**place)
    except ClientError as error:
        if error_code(error) == "NoSuchBucket":
            raise UsageError(f"There is no bucket {workspace.bucket}.") from error
        if not is_missing(error):
            raise
        workspace.s3.put_object(**place, Body=prepared.code, ContentType="application/zip")
        workspace.terminal.write(f"Code       s3://{workspace.bucket}/{prepared.code_key} uploaded")


def _instead(workspace: Workspace, name: str) -> str:
    try:
        with translated():
            serving = live.read(workspace, name)
    except DeployError as error:
        return f"What serves now is not known: {error}"
    if serving is None:
        return f"There is no endpoint {name} now."
    return f"Endpoint {name} is {serving.status} with version {serving.version}."
