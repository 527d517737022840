"""A Processing job's contract: what lies under /opt/ml before it runs, and what becomes of it.

Source: Amazon SageMaker's "How Amazon SageMaker AI Runs Your Processing Container Image".
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from localcloud.containers.errors import JobNotSupported
from localcloud.containers.hosts import Instance, check_count
from localcloud.containers.inputs import (
    InputFolders,
    Request,
    Source,
    check_source,
    host_path,
    split_uri,
)
from localcloud.containers.outcome import REASON_LIMIT, read_text
from localcloud.containers.outputs import Continuous, deliver
from localcloud.containers.runtime import ContainerSpec
from localcloud.s3.objects import ObjectStore

SOME_URI = "s3://bucket"
"""Stands for a URI that is not known."""


def check(request: Request) -> None:
    """Refuse by name what a CreateProcessingJob request asks for and cannot be had here.

    A member that is None is there, but not known yet, as in a step's arguments: it is taken to be
    right.

    Raises:
        JobNotSupported: so that nothing of the job is begun.
    """
    resources = part(request, "ProcessingResources")
    cluster = resources.get("ClusterConfig", {})
    if cluster is not None and resources:
        check_count(known(cluster))
        for member in ("InstanceType", "InstanceCount"):
            if member not in cluster:
                raise JobNotSupported(f"ClusterConfig must have an {member} here")
    application = request["AppSpecification"]
    if application is not None and "ContainerEntrypoint" not in application:
        raise JobNotSupported("AppSpecification must have a ContainerEntrypoint for this image")
    for each in parts(request, "ProcessingInputs"):
        _check_input(each)
    for each in parts(part(request, "ProcessingOutputConfig"), "Outputs"):
        _check_output(each)


def known(members: Request) -> dict[str, Any]:
    """The members whose values are known."""
    return {name: value for name, value in members.items() if value is not None}


def part(request: Request, name: str) -> Request:
    """A member that is an object; an empty one if it is not there or not known."""
    return request.get(name) or {}


def parts(request: Request, name: str) -> list[Any]:
    """The known items of a member that is a list."""
    return [item for item in request.get(name) or () if item is not None]


def prepare(
    request: Request,
    instance: Instance,
    objects: Source,
    *,
    cpus: int,
    region: str,
    arn: str,
    environment: Mapping[str, str],
) -> ContainerSpec:
    """Lay out a CreateProcessingJob request for one of its hosts and say how to run it.

    `environment` is what the machine gives every job (endpoint, credentials, region); the
    request's own goes before it.

    Raises:
        NoObjects: an input has nothing behind its URI.
        JobNotSupported: an input cannot be laid out.
    """
    application, root = request["AppSpecification"], instance.root
    cluster = request["ProcessingResources"]["ClusterConfig"]
    folders = InputFolders(
        root, objects, instance.host, role=request.get("RoleArn", ""), region=region
    )
    for each in request.get("ProcessingInputs", ()):
        folders.fetch(each["S3Input"], each["S3Input"]["LocalPath"])
    for each in _outputs(request):
        host_path(root, each["S3Output"]["LocalPath"]).mkdir(parents=True, exist_ok=True)
    (root / "output").mkdir(parents=True, exist_ok=True)
    write_config(root / "config" / "processingjobconfig.json", {"ProcessingJobArn": arn, **request})
    resources = instance.host.resources(cluster["InstanceType"])
    write_config(root / "config" / "resourceconfig.json", resources)
    return ContainerSpec(
        name=request["ProcessingJobName"],
        image=application["ImageUri"],
        command=(*application["ContainerEntrypoint"], *application.get("ContainerArguments", ())),
        environment={**environment, **request.get("Environment", {})},
        root=root,
        log=instance.log,
        cpus=cpus,
        read_only=tuple(folders.read_only),
    )


def continuous(
    request: Request, instances: Sequence[Instance], objects: ObjectStore
) -> list[Continuous]:
    """The uploads that go on while the job runs: its outputs with S3UploadMode Continuous."""
    return [
        Continuous(host_path(instance.root, output["LocalPath"]), output["S3Uri"], objects)
        for output in _uploads(request, "Continuous")
        for instance in instances
    ]


def finish(request: Request, instances: Sequence[Instance], objects: ObjectStore) -> None:
    """Deliver the outputs of a job that succeeded; an empty one is no error.

    The outputs of all hosts come under the same URI, as on AWS: the last host's file counts.
    """
    for output in _uploads(request, "EndOfJob", "Continuous"):
        _deliver(output, instances, objects)


def finish_early(request: Request, instances: Sequence[Instance], objects: ObjectStore) -> None:
    """Deliver what a job that failed or was stopped still leaves: its continuous outputs."""
    for output in _uploads(request, "Continuous"):
        _deliver(output, instances, objects)


def exit_message(instances: Sequence[Instance]) -> str:
    """What the job wrote to /opt/ml/output/message, also when it failed: the first host that did.

    It is empty if none did.
    """
    said = (read_text(instance.root / "output" / "message") for instance in instances)
    return next(filter(None, said), "")[:REASON_LIMIT]


def write_config(path: Path, content: Request) -> None:
    """One of the JSON files that AWS lays beside the data."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, default=str))


def _place(given: Request, kind: str) -> tuple[str, Request | None]:
    """The name of an Input or Output, and where it is in S3; None if that is not known."""
    name, what = given[f"{kind}Name"], kind.lower()
    if given.get("AppManaged"):
        raise JobNotSupported(f"the {what} {name!r} must not be AppManaged here")
    if f"S3{kind}" not in given:
        raise JobNotSupported(f"the {what} {name!r} must be an S3{kind} here")
    return name, given[f"S3{kind}"]


def _check_input(given: Request) -> None:
    name, source = _place(given, "Input")
    if source is None:
        return
    for setting, allowed in (("S3InputMode", "File"), ("S3CompressionType", "None")):
        if source.get(setting) not in (None, allowed):
            raise JobNotSupported(
                f"the input {name!r} must have {setting} {allowed} here, not {source[setting]!r}"
            )
    check_source({"S3Uri": SOME_URI} | known(source), name)
    _check_path(source)


def _check_output(given: Request) -> None:
    _, target = _place(given, "Output")
    if target is not None:
        split_uri(known(target).get("S3Uri", SOME_URI))
        _check_path(target)


def _check_path(place: Request) -> None:
    path = place.get("LocalPath", "")
    if path is not None:
        host_path(Path(), path)


def _outputs(request: Request) -> list[Request]:
    return list(request.get("ProcessingOutputConfig", {}).get("Outputs", ()))


def _uploads(request: Request, *modes: str) -> list[Request]:
    """The S3 outputs with one of these upload modes."""
    outputs = [each["S3Output"] for each in _outputs(request)]
    return [each for each in outputs if each.get("S3UploadMode", "EndOfJob") in modes]


def _deliver(output: Request, instances: Sequence[Instance], objects: ObjectStore) -> None:
    for instance in instances:
        folder = host_path(instance.root, output["LocalPath"])
        deliver(instance.root, folder, output["S3Uri"], objects)
