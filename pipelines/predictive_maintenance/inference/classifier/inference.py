"""Serve the failure classifier in the XGBoost container: rows of features in, scores out.

In: what the featurizer sends, ``application/x-npy``; or ``text/csv`` lines of features in the order
of the booster's attribute ``feature_names``; or JSON ``{"instances": [[...], ...]}`` or the list
alone. Out, by Accept: JSON ``{"predictions": [{"score", "predicted_label"}]}`` (the default) or
``text/csv`` lines ``score,predicted_label``. The score is the probability of a failure, the label
is 1 from the booster's attribute ``threshold`` on.

The container's own decoder answers 200 with a wrong score when a row is too short, so everything is
checked here.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xgboost as xgb
from werkzeug.wrappers import Response

from pipelines.predictive_maintenance.inference import payload
from pipelines.predictive_maintenance.inference.classifier import rows, scorer
from pipelines.predictive_maintenance.inference.payload import CSV, JSON

MODEL_FILE = "xgboost-model.ubj"

# What the serving toolkit takes: a body with its content type, or a response with its own status.
Answer = tuple[str, str] | Response


@dataclass(frozen=True, slots=True)
class Classifier:
    """What scores rows, and what the booster's attributes say. The threshold is a float32's."""

    score: scorer.Score
    feature_names: tuple[str, ...]
    threshold: float


def model_fn(model_dir: str) -> Classifier:
    """Load the booster from the model folder. Raises KeyError if it lacks an attribute."""
    path = Path(model_dir) / MODEL_FILE
    attributes = xgb.Booster(model_file=path).attributes()
    names = tuple(json.loads(attributes["feature_names"]))
    threshold = float(np.float32(attributes["threshold"]))
    return Classifier(scorer.load(path, len(names)), names, threshold)


def transform_fn(
    model: Classifier, body: str | bytes, content_type: str | None, accept: str | None
) -> Answer:
    """Answer one request; a row that breaks a rule refuses the whole request with a 400."""
    try:
        kind = payload.choose(accept, (JSON, CSV))
        features = rows.read(body, content_type, model.feature_names)
    except payload.RefusalError as refusal:
        return refusal.response()
    write = _write_json if kind == JSON else _write_csv
    return write(model.score(features), model.threshold), kind


# Nine digits are what a float32 needs to be read back exactly. One formatting of all the rows takes
# a third of the time that one a row takes.


def _write_json(scores: list[float], threshold: float) -> str:
    failure, none = (f'{{"score": %.9g, "predicted_label": {label}}}' for label in (1, 0))
    rows = ", ".join([failure if score >= threshold else none for score in scores])
    return f'{{"predictions": [{rows}]}}' % tuple(scores)


def _write_csv(scores: list[float], threshold: float) -> str:
    lines = ["%.9g,1\n" if score >= threshold else "%.9g,0\n" for score in scores]
    return "".join(lines) % tuple(scores)
