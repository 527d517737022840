"""A Training job's contract: what lies under /opt/ml before it runs, and what becomes of it.

Source: Amazon SageMaker's "How Amazon SageMaker AI Provides Training Information" and "How Amazon
SageMaker AI Processes Training Output".
"""

from __future__ import annotations

import shutil
import tarfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path

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
from localcloud.containers.outputs import deliver, deliver_archive
from localcloud.containers.processing import SOME_URI, known, part, parts, write_config
from localcloud.containers.runtime import ContainerSpec
from localcloud.containers.toolkit import CODE, ScriptMode
from localcloud.s3.objects import ObjectStore

_CHECKPOINTS = "/opt/ml/checkpoints"
_NO_SCRIPT = (
    "a training job here is script mode (hyperparameters sagemaker_program and "
    "sagemaker_submit_directory) or has a ContainerEntrypoint; the image's built-in algorithm is "
    "not emulated"
)


def check(request: Request) -> None:
    """Refuse by name what a CreateTrainingJob request asks for and cannot be had here.

    A member that is None is there, but not known yet, as in a step's arguments: it is taken to be
    right.

    Raises:
        JobNotSupported: so that nothing of the job is begun.
    """
    resources, algorithm = (
        request.get("ResourceConfig", {}),
        request.get("AlgorithmSpecification", {}),
    )
    if resources is not None:
        check_count(known(resources))
        if "InstanceType" not in resources:
            raise JobNotSupported("ResourceConfig must have an InstanceType here")
    if algorithm is not None:
        if "TrainingImage" not in algorithm:
            raise JobNotSupported("AlgorithmSpecification must have a TrainingImage here")
        if "ContainerEntrypoint" not in algorithm and not _has_script(request):
            raise JobNotSupported(_NO_SCRIPT)
    for channel in parts(request, "InputDataConfig"):
        _check_channel(channel, algorithm or {})
    checkpoints = known(part(request, "CheckpointConfig"))
    split_uri(checkpoints.get("S3Uri", SOME_URI))
    host_path(Path(), checkpoints.get("LocalPath", _CHECKPOINTS))
    split_uri(known(part(request, "OutputDataConfig")).get("S3OutputPath", SOME_URI))


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
    """Lay out a CreateTrainingJob request for one of its hosts and say how to run it.

    `environment` is what the machine gives every job (endpoint, credentials, region).

    Raises:
        NoObjects: a channel or the source archive has nothing behind its URI.
        JobNotSupported: the sources or a channel cannot be laid out.
    """
    root, algorithm = instance.root, request["AlgorithmSpecification"]
    folders = InputFolders(
        root, objects, instance.host, role=request.get("RoleArn", ""), region=region
    )
    kind = request["ResourceConfig"]["InstanceType"]
    resources = instance.host.resources(kind) | instance.host.groups(kind)
    inputs = {}
    for channel in request.get("InputDataConfig", ()):
        name, source = channel["ChannelName"], channel["DataSource"]["S3DataSource"]
        folders.fetch(source, f"/opt/ml/input/data/{name}")
        inputs[name] = _described(channel, algorithm)
    for name in ("model", "output/data", "code", "checkpoints"):
        (root / name).mkdir(parents=True, exist_ok=True)
    if "CheckpointConfig" in request:
        config = request["CheckpointConfig"]
        path = config.get("LocalPath", _CHECKPOINTS)
        host_path(root, path).mkdir(parents=True, exist_ok=True)
        folders.fetch_existing(config["S3Uri"], path)
    hyperparameters = request.get("HyperParameters", {})
    for name, content in (
        ("hyperparameters", hyperparameters),
        ("inputdataconfig", inputs),
        ("resourceconfig", resources),
    ):
        write_config(root / "input" / "config" / f"{name}.json", content)
    given = {
        **environment,
        "TRAINING_JOB_NAME": request["TrainingJobName"],
        "TRAINING_JOB_ARN": arn,
        **request.get("Environment", {}),
    }
    packages = None
    if "ContainerEntrypoint" in algorithm:
        command = (*algorithm["ContainerEntrypoint"], *algorithm.get("ContainerArguments", ()))
        directory = "/opt/ml"
    else:
        script = ScriptMode(hyperparameters, resources, inputs, given, cpus)
        command, directory = _unpack(script, root, folders), CODE
        given = {**given, **script.variables()}
        packages = root / "code" if script.installs(root / "code") else None
    return ContainerSpec(
        name=request["TrainingJobName"],
        image=algorithm["TrainingImage"],
        command=tuple(command),
        environment=given,
        root=root,
        log=instance.log,
        cpus=cpus,
        directory=directory,
        read_only=tuple(folders.read_only),
        packages=packages,
    )


def finish(request: Request, instances: Sequence[Instance], objects: ObjectStore) -> str | None:
    """Deliver a job's model.tar.gz, output.tar.gz and checkpoints, each if there is anything.

    For a job that succeeded, or was stopped and saved its model in time. Both archives hold what
    all hosts wrote.

    Returns:
        S3ModelArtifacts: the model's URI; None if /opt/ml/model is empty on every host.
    """
    model = deliver_archive(instances, "model", model_uri(request), objects)
    deliver_archive(instances, "output/data", f"{_target(request)}/output.tar.gz", objects)
    save_checkpoints(request, instances, objects)
    return model


def save_checkpoints(request: Request, instances: Sequence[Instance], objects: ObjectStore) -> None:
    """Deliver the checkpoints: what a failed job still leaves behind."""
    if "CheckpointConfig" in request:
        config = request["CheckpointConfig"]
        for instance in instances:
            folder = host_path(instance.root, config.get("LocalPath", _CHECKPOINTS))
            deliver(instance.root, folder, config["S3Uri"], objects)


def model_uri(request: Request) -> str:
    """Where a job's model.tar.gz will be: what AWS describes from the job's first moment on."""
    return f"{_target(request)}/model.tar.gz"


def _target(request: Request) -> str:
    start = request["OutputDataConfig"]["S3OutputPath"].rstrip("/")
    return f"{start}/{request['TrainingJobName']}/output"


def _has_script(request: Request) -> bool:
    """Whether a job names the program of its own code, or may do so by what is not known yet."""
    for member, name in (
        ("HyperParameters", "sagemaker_program"),
        ("Environment", "SAGEMAKER_PROGRAM"),
    ):
        given = request.get(member, {})
        if given is None or name in given:
            return True
    return False


def _check_channel(channel: Request, algorithm: Request) -> None:
    name, place = channel["ChannelName"], channel["DataSource"]
    for setting, value, allowed in (
        ("InputMode", _mode(channel, algorithm), ("File", "FastFile")),
        ("CompressionType", channel.get("CompressionType"), ("None",)),
        ("RecordWrapperType", channel.get("RecordWrapperType"), ("None",)),
    ):
        if value not in (None, *allowed):
            raise JobNotSupported(
                f"the channel {name!r} must have {setting} {' or '.join(allowed)} here, "
                f"not {value!r}"
            )
    if place is None:
        return
    if "S3DataSource" not in place:
        raise JobNotSupported(f"the channel {name!r} must have an S3DataSource here")
    check_source({"S3Uri": SOME_URI} | known(part(place, "S3DataSource")), name)


def _mode(channel: Request, algorithm: Request) -> str | None:
    mode: str | None = channel.get("InputMode", algorithm.get("TrainingInputMode", "File"))
    return mode


def _described(channel: Request, algorithm: Request) -> dict[str, str]:
    """A channel's entry in inputdataconfig.json."""
    source = channel["DataSource"]["S3DataSource"]
    described = {
        "TrainingInputMode": str(_mode(channel, algorithm)),
        "S3DistributionType": source.get("S3DataDistributionType", "FullyReplicated"),
        "RecordWrapperType": "None",
    }
    return described | ({"ContentType": channel["ContentType"]} if "ContentType" in channel else {})


def _unpack(script: ScriptMode, root: Path, folders: InputFolders) -> tuple[str, ...]:
    """Bring the user's code to /opt/ml/code; returns the command that starts it."""
    if script.program is None:
        raise JobNotSupported(_NO_SCRIPT)
    code, source = root / "code", script.submit_directory
    if source.startswith("s3://"):
        _extract(folders.fetch_file(source), code, source)
    elif source != CODE:
        path = host_path(root, source)
        if path.is_dir():
            shutil.copytree(path, code, dirs_exist_ok=True)
        else:
            _extract(path, code, source)
    if not (code / script.program).is_file():
        raise JobNotSupported(f"{source} has no {script.program!r}, the sagemaker_program")
    return script.command(code)


def _extract(archive: Path, folder: Path, name: str) -> None:
    try:
        with tarfile.open(archive) as tar:
            tar.extractall(folder, filter="data")
    except (OSError, EOFError, tarfile.TarError, zlib.error) as exc:
        raise JobNotSupported(f"{name} must be a tar.gz of the job's code: {exc}") from exc
