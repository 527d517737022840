"""The container images that run here: a repository and a tag stand for a lock file."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from localcloud.containers.errors import ImageNotSupported

LOCKS = Path(__file__).parent / "images"
_URI = re.compile(r"(?:[^/]+/)*(?P<repository>[^/:@]+):(?P<tag>[\w.-]+)")
_COMMON = ("scipy.stats", "pandas", "pyarrow.parquet", "pyarrow.csv", "joblib")


@dataclass(frozen=True)
class Image:
    """One image: its names on AWS, and what its fork server imports in advance."""

    framework: str
    version: str
    repository: str
    tag: str
    preload: tuple[str, ...]

    @property
    def name(self) -> str:
        """The image's short name, which is also its lock file's: ``sklearn-1.9-0``."""
        return f"{self.framework}-{self.version}"

    @property
    def uri(self) -> str:
        """A name by which it is found."""
        return f"{self.repository}:{self.tag}"

    @property
    def lock(self) -> Path:
        """The packages that the image carries, pinned with hashes."""
        return LOCKS / f"{self.name}.txt"


SAGEMAKER = (
    Image(
        "sklearn", "1.9-0", "sagemaker-scikit-learn", "1.9-0-cpu-py3",
        (
            *_COMMON, "sklearn.compose", "sklearn.ensemble", "sklearn.impute",
            "sklearn.linear_model", "sklearn.metrics", "sklearn.model_selection",
            "sklearn.pipeline", "sklearn.preprocessing",
        ),
    ),
    # What xgboost itself imports of scikit-learn is warm; the rest is 7 MB that no booster needs.
    Image("xgboost", "3.2-0", "sagemaker-xgboost", "3.2-0", (*_COMMON, "xgboost")),
)  # fmt: skip
LAMBDA = Image(
    "lambda", "python3.12", "lambda-python", "3.12",
    ("boto3.session", "botocore.httpsession", "botocore.endpoint", "botocore.signers"),
)  # fmt: skip
"""What functions of the runtime python3.12 find; AWS's is public.ecr.aws/lambda/python:3.12."""
IMAGES = (*SAGEMAKER, LAMBDA)


def find_image(uri: str, among: Sequence[Image] = SAGEMAKER) -> Image:
    """The image that an ECR URI names, whatever registry and region it names it in.

    Raises:
        ImageNotSupported: no lock file stands for this repository and tag.
    """
    match = _URI.fullmatch(uri)
    if match:
        for image in among:
            if match["repository"] == image.repository and (
                match["tag"] in (image.version, image.tag)
            ):
                return image
    supported = ", ".join(f"{image.repository}:{image.tag}" for image in among)
    raise ImageNotSupported(f"localcloud cannot run the image {uri!r}. It runs: {supported}.")
