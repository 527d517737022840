"""The workshop's classifier: csv to a DMatrix, scores out."""

from io import StringIO
from pathlib import Path
from typing import Any, Final

import numpy as np
import xgboost as xgb
from sagemaker_containers.beta.framework import encoders

MODEL_FILE: Final = "xgboost-model"


def model_fn(model_dir: str) -> Any:
    """Load the booster."""
    booster = xgb.Booster()
    booster.load_model(Path(model_dir) / MODEL_FILE)
    return booster


def input_fn(body: str, content_type: str) -> Any:
    """A matrix of the rows."""
    if content_type != "text/csv":
        raise ValueError(f"the content type must be text/csv, not {content_type}")
    return xgb.DMatrix(np.loadtxt(StringIO(body), delimiter=",", ndmin=2))


def predict_fn(matrix: Any, model: Any) -> Any:
    """A score for each row."""
    return model.predict(matrix)


def output_fn(prediction: Any, accept: str) -> tuple[Any, str]:
    """By the toolkit's encoder."""
    return encoders.encode(prediction, accept), accept
