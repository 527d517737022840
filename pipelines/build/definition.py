"""The compiled definition: compiled once for the same sources, printed, compared with AWS's."""

import difflib
import hashlib
import json
import logging
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

from pipelines.build import files
from pipelines.build.clients import ROOT, WORK, Workspace
from pipelines.build.errors import BuildError, UsageError, is_missing
from pipelines.settings import Settings

Document = dict[str, Any]

_SDK: Final = ("sagemaker", "sagemaker-core", "sagemaker-train", "sagemaker-serve")
_MOST_PATHS = 12


def compiled(settings: Settings) -> Document:
    """Return the definition of these sources; the SDK is loaded only if they are new to it.

    Raises UsageError when the sources do not compile or the SDK is not installed.
    """
    kept = WORK / "definitions" / f"{_key(settings)}.json"
    try:
        document: Document = json.loads(kept.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        document = json.loads(_compile(settings))
        files.write(kept, canonical(document))
    return document


def canonical(document: Document) -> str:
    """Return the one way in which a definition is written for people, a line for each value."""
    return json.dumps(document, indent=2, sort_keys=True) + "\n"


def compact(document: Document) -> str:
    """Return the definition as CreatePipeline takes it."""
    return json.dumps(document, separators=(",", ":"), sort_keys=True)


def deployed(workspace: Workspace) -> tuple[Document | None, Document]:
    """Return the definition that AWS has, or None, and what AWS says about the pipeline."""
    from botocore.exceptions import ClientError  # noqa: PLC0415

    try:
        pipeline: Document = workspace.sagemaker.describe_pipeline(
            PipelineName=workspace.settings.pipeline_name
        )
    except ClientError as error:
        if is_missing(error):
            return None, {}
        raise
    return json.loads(pipeline["PipelineDefinition"]), pipeline


def show(workspace: Workspace, *, output: Path | None) -> int:
    """Print the compiled definition, or write it to a file; asks nobody."""
    text = canonical(compiled(workspace.offline_settings))
    if output is None:
        workspace.terminal.out.write(text)
    else:
        files.write(output, text)
        workspace.terminal.write(f"Wrote {output}")
    return 0


def compare(workspace: Workspace) -> int:
    """Print how the sources differ from what is deployed: 0 the same, 1 they differ."""
    name = workspace.settings.pipeline_name
    there, _ = deployed(workspace)
    here = compiled(workspace.settings)
    if there is None:
        workspace.terminal.write(f"Pipeline {name} is not deployed; `upsert` makes it.")
        return 1
    lines = list(
        difflib.unified_diff(
            canonical(there).splitlines(),
            canonical(here).splitlines(),
            f"{name} (deployed)",
            f"{name} (these sources)",
            lineterm="",
        )
    )
    if not lines:
        workspace.terminal.write(f"Pipeline {name} is deployed as these sources have it.")
        return 0
    for line in lines:
        kind = {"+": "good", "-": "bad"}.get(line[:1], "")
        workspace.terminal.write(workspace.terminal.paint(line, kind))
    return 1


def changes(before: Document, after: Document) -> list[str]:
    """Name what differs between two definitions, such as ``Steps.Train.Arguments.Environment``."""
    old, new = dict(_leaves(before)), dict(_leaves(after))
    paths = sorted({*old, *new})
    differing = [path for path in paths if old.get(path) != new.get(path)]
    rest = len(differing) - _MOST_PATHS
    return differing[:_MOST_PATHS] + ([f"and {rest} more"] if rest > 0 else [])


def steps(document: Document) -> Iterator[Document]:
    """Go through all steps, those inside of a condition's branches after the condition."""
    for step in document["Steps"]:
        yield step
        for branch in ("IfSteps", "ElseSteps"):
            inner = step.get("Arguments", {}).get(branch)
            if inner:
                yield from steps({"Steps": inner})


def images(document: Document) -> set[str]:
    """Return the URIs of all container images that a definition names."""
    return {
        value
        for path, value in _leaves(document)
        if path.rpartition(".")[2] in {"ImageUri", "TrainingImage", "Image"}
        and isinstance(value, str)
    }


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Go through all plain values; a list's members are known by their names, if they have any."""
    if isinstance(value, dict) and value:
        members = list(value.items())
    elif isinstance(value, list) and value:
        members = [(_name(member, i), member) for i, member in enumerate(value)]
    else:
        yield path, value
        return
    for name, member in members:
        yield from _leaves(member, f"{path}.{name}" if path else name)


def _name(member: Any, position: int) -> str:
    if isinstance(member, dict):
        for key in ("Name", "InputName", "OutputName", "ChannelName", "ContainerHostname"):
            if isinstance(member.get(key), str):
                return str(member[key])
    return str(position)


def _compile(settings: Settings) -> str:
    # The SDK reports its every choice at the level of warnings.
    logging.disable(logging.CRITICAL)
    try:
        from pipelines import bundle  # noqa: PLC0415 - five seconds
        from pipelines.predictive_maintenance import pipeline  # noqa: PLC0415

        return pipeline.compile_definition(settings)
    except ImportError as error:
        raise UsageError(
            f"The definition needs the SageMaker SDK, and {error.name} is not installed: "
            "run `make setup`."
        ) from error
    except bundle.BundleError as error:
        raise UsageError(f"The definition does not compile: {error}.") from error
    finally:
        logging.disable(logging.NOTSET)


def _key(settings: Settings) -> str:
    """Hash all that the definition depends on: sources, settings, the SDK and Python."""
    digest = hashlib.sha256(f"{settings!r} {sys.version_info[:2]} {sdk_versions()}".encode())
    folder = ROOT / "pipelines"
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        foreign = name.parts[0] == "build" or any(p.startswith((".", "__py")) for p in name.parts)
        if foreign or not path.is_file():
            continue
        content = path.read_bytes()
        digest.update(f"{name.as_posix()} {len(content)}\n".encode() + content)
    return digest.hexdigest()[:32]


def sdk_versions() -> str:
    """Return the versions of the SDK's packages. Raises BuildError if it is not installed."""
    try:
        return " ".join(f"{name}=={version(name)}" for name in _SDK)
    except PackageNotFoundError as error:
        raise BuildError(f"{error.name} is not installed: run `make setup`.") from error
