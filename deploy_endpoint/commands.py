"""Plan, deploy, roll back: the commands that put a version onto a stage."""

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from deploy_endpoint import columns, cost, files, live, package, rollout, stack, stage, words
from deploy_endpoint.clients import Workspace
from deploy_endpoint.errors import UsageError
from deploy_endpoint.package import Package
from deploy_endpoint.rollout import Done, Prepared
from deploy_endpoint.stage import Stage
from deploy_endpoint.terminal import table


def plan(workspace: Workspace, *, stage_name: str, version: str | None) -> int:
    """Say what `deploy` would do and what the stage costs; nothing is changed."""
    prepared = _prepare(workspace, stage_name, version)
    if prepared.before is not None and prepared.before.unfinished:
        workspace.terminal.write(
            f"Stack {prepared.before.name} was never finished ({prepared.before.status}): `deploy` "
            "deletes the rest of it and makes everything anew."
        )
    else:
        change_set = rollout.propose(workspace, prepared)
        if change_set is None:
            workspace.terminal.write("Nothing would change.")
        else:
            stack.discard(workspace, change_set)
            workspace.terminal.write(table(list(words.lines(change_set.changes))))
            for note in words.notes(change_set.changes):
                workspace.terminal.write(note)
    for line in cost.lines(prepared.stage, workspace.region):
        workspace.terminal.write(line)
    return 0


def deploy(
    workspace: Workspace,
    *,
    stage_name: str,
    version: str | None,
    output: Path | None,
    with_token: bool,
) -> int:
    """Make the stage serve a version, and see that it does."""
    if output is not None:
        files.read_object(output)  # an unusable file is told before minutes of waiting
    elif with_token:
        raise UsageError("--with-token needs --output: the token goes into that file.")
    prepared = _prepare(workspace, stage_name, version)
    return _roll_out(workspace, prepared, output, with_token=with_token)


def roll_back(workspace: Workspace, *, stage_name: str, output: Path | None) -> int:
    """Make the stage serve the newest approved version before the one that it serves now."""
    found = stage.read(stage_name)
    serving = live.read(workspace, found.name)
    if serving is None or serving.version is None:
        raise UsageError(f"There is no version on {found.name} to go back from.")
    group = _group(serving.package_arn)
    earlier = (
        arn
        for arn in package.approved(workspace, group)
        if int(arn.rpartition("/")[2]) < serving.version
    )
    target = next(earlier, None)
    if target is None:
        raise UsageError(
            f"Group {group} has no approved version before {serving.version}, which {found.name} "
            "serves; approve one, or name one with `deploy --package`."
        )
    chosen = package.describe(workspace, target)
    workspace.terminal.write(f"Back       from version {serving.version} to {chosen.version}")
    return _roll_out(workspace, _checked(workspace, found, chosen), output)


def _prepare(workspace: Workspace, stage_name: str, version: str | None) -> Prepared:
    found = stage.read(stage_name)
    group = workspace.package_group(found.project)
    chosen = package.find(workspace, group, version)
    workspace.terminal.write(f"Version    {chosen.version}: {chosen.arn}")
    return _checked(workspace, found, chosen)


def _checked(workspace: Workspace, found: Stage, chosen: Package) -> Prepared:
    prepared = rollout.prepare(workspace, found, chosen)
    serving = prepared.live.package_arn if prepared.live else None
    if warning := columns.warning(workspace, serving, prepared.contract):
        workspace.terminal.write(f"Columns    {warning}")
    return prepared


def _roll_out(
    workspace: Workspace, prepared: Prepared, output: Path | None, *, with_token: bool = False
) -> int:
    done = rollout.carry_out(workspace, prepared)
    terminal = workspace.terminal
    if not done.changed:
        terminal.write("Nothing had to change.")
    for name in (*done.tidied.configs, *done.tidied.models):
        terminal.write(f"Tidied up  {name}")
    terminal.write(f"Serves     version {prepared.package.version} on {prepared.stage.name}")
    terminal.write(f"Page       {done.stack.outputs['ApiUrl']}/")
    for line in _request(prepared, done):
        terminal.write(line)
    if output is not None:
        found = outcome(prepared.stage, prepared.package, done)
        secret = found["token_secret_arn"]
        if with_token and secret is not None:
            found["api_token"] = workspace.secret(secret)
        files.merge(output, found)
    return 0


def outcome(of: Stage, served: Package, done: Done) -> dict[str, Any]:
    """What `--output` writes: what those need to know who go on from here."""
    outputs: Mapping[str, str] = done.stack.outputs
    return {
        "stage": of.stage,
        "stack": done.stack.name,
        "changed": done.changed,
        "api_url": outputs["ApiUrl"],
        "token_secret_arn": outputs.get("TokenSecretArn"),
        "endpoint_name": outputs["EndpointName"],
        "endpoint_config_name": outputs["EndpointConfigName"],
        "model_package_arn": served.arn,
        "model_version": served.version,
        "deployment_uri": served.deployment_uri,
        "dashboard": outputs["DashboardName"],
        "alarm_topic_arn": outputs["AlarmTopicArn"],
        "capture_uri": outputs.get("CaptureUri"),
        "log_groups": [value for key, value in sorted(outputs.items()) if key.endswith("LogGroup")],
    }


def _request(prepared: Prepared, done: Done) -> list[str]:
    """Lines of a shell that ask for a prediction."""
    row = str(prepared.contract["sample"]["payloads"]["text/csv"]).splitlines()[-1]
    secret = done.stack.outputs.get("TokenSecretArn")
    url = f"{done.stack.outputs['ApiUrl']}/predict"
    words_of_curl = ["curl", "-H", "Content-Type: text/csv", "--data-binary", row, url]
    curl = shlex.join(words_of_curl)
    if secret is None:
        return ["Try it:", f"  {curl}"]
    read = ["aws", "secretsmanager", "get-secret-value", "--secret-id", secret]
    read += ["--query", "SecretString", "--output", "text"]
    return [
        f"Token      in the secret {secret}",
        "Try it:",
        f"  TOKEN=$({shlex.join(read)})",
        f'  {curl} -H "Authorization: Bearer $TOKEN"',
    ]


def _group(package_arn: str | None) -> str:
    return str(package_arn).split("/")[1]
