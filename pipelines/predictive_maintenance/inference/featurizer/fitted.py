"""The fitted scikit-learn transformer: Preprocess saves it in model.tar.gz, serving loads it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
from sklearn.preprocessing import FunctionTransformer

from pipelines.predictive_maintenance import schema
from pipelines.predictive_maintenance.features import (
    FEATURE_NAMES,
    Matrix,
    derive,
    derive_ranked,
)

FILE_NAME = "featurizer.joblib"


class FeaturizerError(ValueError):
    """The saved transformer is not this model's."""


def name_features(
    transformer: FunctionTransformer,  # noqa: ARG001  scikit-learn passes both
    input_features: Any,  # noqa: ARG001
) -> tuple[str, ...]:
    """Name the output columns, as ``get_feature_names_out`` asks."""
    return FEATURE_NAMES


def build() -> FunctionTransformer:
    """Make the transformer; fit it on a table whose columns are the schema's, in its order.

    It takes a table with named columns and gives float32 (n, len(FEATURE_NAMES)). Nothing is
    scaled: trees do not need it, and in float32 it moves values over cut points.
    """
    return FunctionTransformer(derive, feature_names_out=name_features)


def load(path: Path) -> Callable[..., Matrix]:
    """Load a saved transformer and give ``derive_ranked``, which is in it, free of its checks.

    Raises FeaturizerError when its columns are not the schema's, its features not FEATURE_NAMES, or
    its function not ``derive``.
    """
    transformer = joblib.load(path)
    columns = tuple(transformer.feature_names_in_)
    if columns != schema.COLUMN_NAMES:
        raise FeaturizerError(
            f"{path}: it was fitted on {columns}, the schema's columns are {schema.COLUMN_NAMES}"
        )
    names = tuple(transformer.get_feature_names_out())
    if names != FEATURE_NAMES:
        raise FeaturizerError(f"{path}: it makes {names}, the features are {FEATURE_NAMES}")
    if transformer.func is not derive:
        raise FeaturizerError(f"{path}: it calls {transformer.func}, the features are {derive}'s")
    return derive_ranked
