"""Taking a stage away: its stack, what a deletion leaves behind, and a word on what stays."""

from deploy_endpoint import leftovers, live, stack, stage
from deploy_endpoint.clients import Workspace
from deploy_endpoint.errors import UsageError
from deploy_endpoint.stage import PRODUCTION, Stage

_ASKED = "nothing was deleted"


def command(workspace: Workspace, *, stage_name: str, captured_data: bool, yes: bool) -> int:
    """Delete the stage and what its deletion leaves behind, and say what stays."""
    found = stage.read(stage_name)
    if found.stage == PRODUCTION and not yes:
        _confirm(workspace, found)
    terminal = workspace.terminal
    made = stack.read(workspace, found.name)
    if made is not None:
        if made.busy:
            raise UsageError(f"Stack {made.name} must be idle; it is {made.status}.")
        live.settle(workspace, found.name)  # SageMaker deletes none that is being scaled
        stack.delete(workspace, made)
    old = leftovers.retained(workspace, found)
    leftovers.delete(workspace, old)
    for kind, names in (("Config", old.configs), ("Model", old.models)):
        for name in names:
            terminal.write(f"{kind:<10} {name} deleted")
    for group in leftovers.log_groups(workspace, found):
        workspace.logs.delete_log_group(logGroupName=group)
        terminal.write(f"Log group  {group} deleted")
    objects = list(leftovers.captured(workspace, found))
    if captured_data:
        leftovers.delete_captured(workspace, objects)
        terminal.write(f"Captured   {len(objects)} objects deleted")
    elif objects:
        terminal.write(
            f"Left       s3://{workspace.bucket}/{found.prefix}/capture: {len(objects)} objects of "
            "captured data, which cannot be had again; `--captured-data` deletes them"
        )
    terminal.write(
        f"Left       s3://{workspace.bucket}/{found.project}/stages/code: the functions' code, "
        "which other stages may use; the model packages, which are the registry's"
    )
    if found.encryption.kms_key_arn:
        terminal.write(
            f"Left       {found.encryption.kms_key_arn}: your key, which reads what is left"
        )
    return 0


def _confirm(workspace: Workspace, found: Stage) -> None:
    workspace.terminal.write(f"This deletes {found.name}, which others may be using.")
    try:
        said = input(f"Type {found.stage} to go on: ")
    except EOFError:
        raise UsageError(
            f"To delete {found.stage} without being asked say --yes; {_ASKED}."
        ) from None
    if said.strip() != found.stage:
        raise UsageError(f"That was not {found.stage}; {_ASKED}.")
