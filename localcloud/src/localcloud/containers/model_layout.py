"""What a serving container finds under /opt/ml, and how it is started.

Source: Amazon SageMaker's "How Amazon SageMaker AI Provides Inference Responses", and the
environment that the images of scikit-learn and XGBoost set.
"""

from __future__ import annotations

import tarfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from localcloud.containers.errors import JobNotSupported, StartFailed
from localcloud.containers.images import Image, find_image
from localcloud.containers.inputs import Source, host_path, split_uri
from localcloud.containers.runtime import ContainerSpec
from localcloud.s3.errors import NotFound

MODEL, CODE = "/opt/ml/model", "/opt/ml/code"
PROGRAM = Path(__file__).parent / "guest" / "serve.py"
_SUBMITTED = f"{MODEL}/code"


@dataclass(frozen=True)
class ModelContainer:
    """One container of a model, as CreateModel or a model package says."""

    hostname: str
    image: str
    model_data: str | None
    environment: Mapping[str, str]


@dataclass(frozen=True)
class Place:
    """Where a container's files are on this machine."""

    root: Path
    log: Path
    socket: Path
    pulse: Path


def lay_out(
    container: ModelContainer,
    place: Place,
    objects: Source,
    *,
    name: str,
    region: str,
    cpus: int,
    environment: Mapping[str, str],
) -> ContainerSpec:
    """Unpack a container's model and its code below `place.root`; say how to run it.

    `environment` is what the machine gives every container (endpoint, credentials, region).

    Raises:
        ImageNotSupported: localcloud has no such image.
        StartFailed: an archive is not there or is none, or there is no program in it.
    """
    image = find_image(container.image)
    given = {
        **environment,
        **_image_environment(image, region),
        **container.environment,
    }
    program = given.get("SAGEMAKER_PROGRAM")
    if not program:
        raise StartFailed(
            "SAGEMAKER_PROGRAM is not set: a container here is script mode, the image's built-in "
            "algorithm is not emulated"
        )
    model = host_path(place.root, MODEL)
    model.mkdir(parents=True, exist_ok=True)
    if container.model_data is not None:
        _unpack(container.model_data, model, objects, "model data")
    submitted = given["SAGEMAKER_SUBMIT_DIRECTORY"]
    if submitted.startswith("s3://"):
        _unpack(submitted, host_path(place.root, CODE), objects, "SAGEMAKER_SUBMIT_DIRECTORY")
        directory = CODE
    else:
        directory = submitted.removeprefix("file://")
    try:
        code = host_path(place.root, directory)
    except JobNotSupported as exc:
        raise StartFailed(f"SAGEMAKER_SUBMIT_DIRECTORY: {exc}") from exc
    _find_program(code, program, submitted)
    given["PYTHONPATH"] = ":".join(filter(None, (directory, given.get("PYTHONPATH"))))
    place.pulse.write_bytes(bytes(8))
    installs = any((code / file).is_file() for file in ("requirements.txt", "setup.py"))
    return ContainerSpec(
        name=name,
        image=container.image,
        command=("python3", str(PROGRAM), image.framework, str(place.socket), str(place.pulse)),
        environment=given,
        root=place.root,
        log=place.log,
        cpus=cpus,
        packages=code if installs else None,
    )


def model_server_timeout(spec: ContainerSpec) -> float:
    """The seconds that one request may take; raises StartFailed."""
    given = spec.environment["SAGEMAKER_MODEL_SERVER_TIMEOUT"]
    if not given.isdigit():
        raise StartFailed(
            f"SAGEMAKER_MODEL_SERVER_TIMEOUT must be a whole number of seconds, not {given!r}"
        )
    return float(given)


def _image_environment(image: Image, region: str) -> dict[str, str]:
    return {
        "SAGEMAKER_BIND_TO_PORT": "8080",
        "SAGEMAKER_CONTAINER_LOG_LEVEL": "20",
        "SAGEMAKER_MODEL_SERVER_TIMEOUT": "60",
        "SAGEMAKER_MODEL_SERVER_WORKERS": "1",
        "SAGEMAKER_REGION": region,
        "SAGEMAKER_SERVING_MODULE": f"sagemaker_{image.framework}_container.serving:main",
        "SAGEMAKER_SUBMIT_DIRECTORY": _SUBMITTED,
        "SM_MODEL_DIR": MODEL,
        "OMP_NUM_THREADS": "1",
    }


def _unpack(uri: str, folder: Path, objects: Source, what: str) -> None:
    """Extract an archive; nothing in it comes to lie outside the folder."""
    try:
        archive = objects.get(*split_uri(uri)).path
    except (NotFound, JobNotSupported) as exc:
        raise StartFailed(f"its {what} {uri} cannot be had: {exc}") from exc
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with tarfile.open(archive, "r:gz") as tar:
            tar.extractall(folder, filter="data")
    except (OSError, EOFError, tarfile.TarError, zlib.error) as exc:
        raise StartFailed(f"its {what} {uri} must be a whole tar.gz archive: {exc}") from exc


def _find_program(code: Path, program: str, directory: str) -> None:
    """See that the user's module is there; where a setup.py installs it, its import will tell."""
    module = code / program.removesuffix(".py")
    found = (module.with_name(f"{module.name}.py"), module / "__init__.py", code / "setup.py")
    if not any(path.is_file() for path in found):
        raise StartFailed(f"{directory} has no {program!r}, its SAGEMAKER_PROGRAM")
