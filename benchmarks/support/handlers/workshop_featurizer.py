"""The workshop's featurizer: pandas reads the csv, scikit-learn transforms, csv goes out.

The transformer is fitted when it is loaded, on the training rows that the archive holds: a saved
one would bind both images to one scikit-learn. A request costs the same.
"""

from io import StringIO
from pathlib import Path
from typing import Any, Final

import pandas as pd
from sagemaker_containers.beta.framework import encoders
from sklearn.compose import ColumnTransformer
from sklearn.preprocessing import OneHotEncoder, StandardScaler

TRAINING_FILE: Final = "training.csv"
NAMES: Final = ("kind", "air", "process", "speed", "torque", "wear")


def model_fn(model_dir: str) -> Any:
    """Fit the transformer."""
    text = (Path(model_dir) / TRAINING_FILE).read_text()
    transformer = ColumnTransformer(
        [("number", StandardScaler(), list(NAMES[1:])), ("kind", OneHotEncoder(), [NAMES[0]])]
    )
    return transformer.fit(input_fn(text, "text/csv"))


def input_fn(body: str, content_type: str) -> Any:
    """A table of the rows."""
    if content_type != "text/csv":
        raise ValueError(f"the content type must be text/csv, not {content_type}")
    return pd.read_csv(StringIO(body), header=None, names=list(NAMES))


def predict_fn(rows: Any, model: Any) -> Any:
    """Scaled numbers, then a column for each kind."""
    return model.transform(rows)


def output_fn(prediction: Any, accept: str) -> tuple[Any, str]:
    """By the toolkit's encoder."""
    return encoders.encode(prediction, accept), accept
