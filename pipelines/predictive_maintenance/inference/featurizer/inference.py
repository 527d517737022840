"""Serve the featurizer in the scikit-learn container: raw rows in, a matrix of features out.

The next container of the endpoint reads the answer, so it is of one type whatever the caller
accepts: numpy's file format, float32, columns in the order of FEATURE_NAMES.
"""

from collections.abc import Callable
from pathlib import Path

from werkzeug.wrappers import Response

from pipelines.predictive_maintenance.features import Matrix
from pipelines.predictive_maintenance.inference import matrix, payload
from pipelines.predictive_maintenance.inference.featurizer import fitted, rows

# What the serving toolkit takes: a body with its content type, or a response with its own status.
Answer = tuple[bytes, str] | Response


def model_fn(model_dir: str) -> Callable[..., Matrix]:
    """Load the transformer from the model folder."""
    return fitted.load(Path(model_dir) / fitted.FILE_NAME)


def transform_fn(
    model: Callable[..., Matrix],
    body: str | bytes,
    content_type: str | None,
    accept: str | None,  # noqa: ARG001  the toolkit passes it
) -> Answer:
    """Answer one request; a row that breaks a rule refuses the whole request with a 400."""
    try:
        columns = rows.read(body, content_type)
    except payload.RefusalError as refusal:
        return refusal.response()
    return matrix.dump(model(*columns)), matrix.NPY
