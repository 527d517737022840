"""Serve the featurizer in the scikit-learn container: raw rows in, csv lines of features out.

The next container of the endpoint reads the answer, so it is csv in the order of FEATURE_NAMES
whatever the caller accepts. The container turns exceptions into 500, so a refusal is a response.
"""

import json
from pathlib import Path

from werkzeug.wrappers import Response

from pipelines.predictive_maintenance.inference.featurizer import fitted, rows

# What the serving toolkit takes: a body with its content type, or a response with its own status.
Answer = tuple[str, str] | Response


def model_fn(model_dir: str) -> fitted.Transform:
    """Load the transformer from the model folder."""
    return fitted.load(Path(model_dir) / fitted.FILE_NAME)


def transform_fn(
    model: fitted.Transform,
    body: str | bytes,
    content_type: str,
    accept: str,  # noqa: ARG001  the toolkit passes it
) -> Answer:
    """Answer one request; a row that breaks a rule refuses the whole request with a 400."""
    try:
        columns = rows.read(body, content_type)
    except rows.RequestError as refusal:
        return Response(
            json.dumps({"error": str(refusal)}), status=refusal.status, content_type=rows.JSON
        )
    # The text of a float32 scalar is the shortest that reads back as the same float32.
    lines = [",".join(map(str, values)) + "\n" for values in model(columns)]
    return "".join(lines), rows.CSV
