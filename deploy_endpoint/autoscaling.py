"""The endpoint out of autoscaling's hands while its instance type changes, and back in them.

SageMaker refuses another type while the variant is autoscaling's. A roll-out puts it back by
itself; one that does not come to its end would leave it off, and nobody would notice.
"""

from deploy_endpoint import stack
from deploy_endpoint.clients import Workspace
from deploy_endpoint.errors import DeployError, translated
from deploy_endpoint.stack import Interrupted, Stack
from deploy_endpoint.stage import Stage


def is_off_meanwhile(stage: Stage, before: Stack | None) -> bool:
    """Tell whether autoscaling is off until the stage's roll-out is through."""
    if before is None or not before.exists:
        return False
    given = before.parameters
    return given["InstanceType"] != stage.instances.type or given["Autoscaling"] == "off"


def release(workspace: Workspace, stage: Stage, before: Stack | None) -> None:
    """Take the endpoint out of autoscaling's hands if its instance type is to change."""
    if before is None or not is_off_meanwhile(stage, before):
        return
    if before.parameters["Autoscaling"] == "off":  # an earlier roll-out left it so
        return
    workspace.terminal.write(
        f"Autoscaling  off while the instance type changes from "
        f"{before.parameters['InstanceType']} to {stage.instances.type}"
    )
    _switch(workspace, stage, "off")


def take_back(workspace: Workspace, stage: Stage, before: Stack | None) -> str:
    """Put autoscaling on again after a roll-out that did not come to its end.

    Raises nothing, as something went wrong already: returns how it went, and nothing if it was on.
    """
    if not is_off_meanwhile(stage, before):
        return ""
    later = f"Later `python -m deploy_endpoint deploy --stage {stage.stage}` puts it on."
    try:
        with translated():
            found = stack.read(workspace, stage.name)
            if found is not None and found.busy:
                return f"Autoscaling may be off when stack {stage.name} is through. {later}"
            if found is None or found.parameters.get("Autoscaling") != "off":
                return ""
            _switch(workspace, stage, "on")
    except (Interrupted, KeyboardInterrupt):
        return f"Autoscaling may be off: interrupted. {later}"
    except DeployError as error:
        return f"Autoscaling is off and could not be put on again: {error}\n{later}"
    return "Autoscaling is on again."


def _switch(workspace: Workspace, stage: Stage, word: str) -> None:
    found = stack.read(workspace, stage.name)
    values: dict[str, str | None] = dict.fromkeys(found.parameters if found else ())
    values["Autoscaling"] = word
    change_set = stack.propose(workspace, stage.name, None, values, stage.all_tags)
    if change_set is not None:
        stack.execute(workspace, change_set)
