"""Serve the failure classifier in the XGBoost container: rows of features in, scores out.

In: ``text/csv`` lines of features in the order of the booster's attribute ``feature_names``, or
JSON ``{"instances": [[...], ...]}``. Out, by Accept: JSON
``{"predictions": [{"score", "predicted_label"}]}`` (the default) or ``text/csv`` lines
``score,predicted_label``. The score is the probability of a failure, the label is 1 from the
booster's attribute ``threshold`` on.

The container's own decoder answers 200 with a wrong score when a row is too short, so everything is
checked here; and it turns exceptions into 500, so a refusal is a response.
"""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import xgboost as xgb
from werkzeug.wrappers import Response

MODEL_FILE = "xgboost-model.ubj"
CSV = "text/csv"
JSON = "application/json"

Features = npt.NDArray[np.float32]
Scores = npt.NDArray[np.float32]
Labels = npt.NDArray[np.bool_]
# float() takes more than numbers, "nan" and "1_0" among them.
_NUMBER = re.compile(r"\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*", re.ASCII)
_PLAIN_CSV = re.compile(r"[0-9eE+\-.,\s]*")
# What the serving toolkit takes: a body with its content type, or a response with its own status.
Answer = tuple[str, str] | Response


@dataclass(frozen=True, slots=True)
class Classifier:
    """A loaded booster and what its attributes say."""

    booster: xgb.Booster
    feature_names: tuple[str, ...]
    threshold: np.float32


class RefusalError(ValueError):
    """The request cannot be answered with a score; the message says why."""

    status = 400


class UnsupportedMediaTypeError(RefusalError):
    """The request's body is of a type that is not read here."""

    status = 415


class NotAcceptableError(RefusalError):
    """The caller accepts no type that is written here."""

    status = 406


def model_fn(model_dir: str) -> Classifier:
    """Load the booster from the model folder. Raises KeyError if it lacks an attribute."""
    booster = xgb.Booster(model_file=Path(model_dir) / MODEL_FILE)
    attributes = booster.attributes()
    return Classifier(
        booster,
        tuple(json.loads(attributes["feature_names"])),
        np.float32(attributes["threshold"]),
    )


def transform_fn(model: Classifier, body: str | bytes, content_type: str, accept: str) -> Answer:
    """Answer one request; a row that breaks a rule refuses the whole request with a 400."""
    try:
        write = _writer(accept)
        features = _read(body, content_type, model.feature_names)
    except RefusalError as refusal:
        return Response(
            json.dumps({"error": str(refusal)}), status=refusal.status, content_type=JSON
        )
    scores = model.booster.inplace_predict(features)
    return write(scores, scores >= model.threshold)


def _read(body: str | bytes, content_type: str, names: tuple[str, ...]) -> Features:
    try:
        text = body if isinstance(body, str) else bytes(body).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise RefusalError(f"The body must be UTF-8; byte {error.start} is not.") from error
    kind = _media_type(content_type)
    rows: list[list[Any]]
    if kind == CSV:
        rows = [line.split(",") for line in text.strip().splitlines()]
        plain = _PLAIN_CSV.fullmatch(text) is not None
    elif kind == JSON:
        rows = _instances(text)
        plain = all(type(value) in {int, float} for row in rows for value in row)
    else:
        raise UnsupportedMediaTypeError(f"Content-Type must be {CSV} or {JSON}, not {kind}.")
    if not rows:
        raise RefusalError("The body must hold at least one row; it is empty.")
    for number, row in enumerate(rows, start=1):
        if len(row) != len(names):
            raise RefusalError(
                f"Row {number} must have {len(names)} values ({', '.join(names)}), not {len(row)}."
            )
    features = _convert(rows) if plain else None
    if features is None or not np.isfinite(features).all():
        raise RefusalError(_find_culprit(rows, names, kind))
    return features


def _instances(text: str) -> list[list[Any]]:
    try:
        document = json.loads(text)
    except ValueError as error:
        raise RefusalError(f"The body must be JSON: {error}.") from error
    rows = document.get("instances") if isinstance(document, dict) else None
    if not isinstance(rows, list) or not all(isinstance(row, list) for row in rows):
        raise RefusalError('The body must be {"instances": [[number, ...], ...]}.')
    return rows


def _convert(rows: list[list[Any]]) -> Features | None:
    try:
        values = np.array([list(map(float, row)) for row in rows])
    except (ValueError, OverflowError):
        return None
    with np.errstate(over="ignore"):
        return values.astype(np.float32)


def _find_culprit(rows: list[list[Any]], names: tuple[str, ...], kind: str) -> str:
    """Say which value is no number; only a refused request pays for the search."""
    for number, row in enumerate(rows, start=1):
        for name, value in zip(names, row, strict=True):
            numeric = (
                _NUMBER.fullmatch(value) is not None if kind == CSV else type(value) in {int, float}
            )
            converted = _convert([[value]]) if numeric else None
            if converted is None or not np.isfinite(converted).all():
                shown = f"{value!r:.40}"
                return f"Row {number}, column {name}: must be a finite number, not {shown}."
    return "Every value must be a finite number."


def _writer(accept: str | None) -> Callable[[Scores, Labels], tuple[str, str]]:
    kinds = [_media_type(part) for part in (accept or JSON).split(",")]
    for kind in kinds:
        if kind in {JSON, "*/*", "application/*"}:
            return _write_json
        if kind in {CSV, "text/*"}:
            return _write_csv
    raise NotAcceptableError(f"Accept must be {JSON} or {CSV}, not {accept}.")


def _write_json(scores: Scores, labels: Labels) -> tuple[str, str]:
    # Nine digits are what a float32 needs to be read back exactly.
    predictions = ", ".join(
        f'{{"score": {score:.9g}, "predicted_label": {label:d}}}'
        for score, label in zip(scores.tolist(), labels.tolist(), strict=True)
    )
    return f'{{"predictions": [{predictions}]}}', JSON


def _write_csv(scores: Scores, labels: Labels) -> tuple[str, str]:
    lines = (
        f"{score:.9g},{label:d}\n"
        for score, label in zip(scores.tolist(), labels.tolist(), strict=True)
    )
    return "".join(lines), CSV


def _media_type(header: str) -> str:
    return header.partition(";")[0].strip().lower()
