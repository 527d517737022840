"""Evaluate the trained classifier on the test data (SageMaker Processing, XGBoost image).

The only place where test data is used. Writes into the folder ``evaluation`` of the output:
metrics.json (what the gate reads), evaluation.json and constraints.json (Model Monitor's
model-quality format), scores.json (the baseline of scores), deployment.json with
sample_payload.tar.gz (what the deploying side reads) and report.html (what a person reads).
"""

import argparse
import json
import os
import sys
import tarfile
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import xgboost as xgb

from pipelines.predictive_maintenance import metrics, table
from pipelines.predictive_maintenance.evaluate import (
    deployment,
    model_quality,
    report,
    sample,
    scores,
)
from pipelines.predictive_maintenance.evaluate.findings import Evaluation
from pipelines.predictive_maintenance.evaluate.raw_rows import RawRows

MODEL_FILE = "xgboost-model.ubj"
_SAMPLING_SEED = 0


class EvaluationError(ValueError):
    """An input of the job is missing, or does not fit the others."""


def main(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    """Run the job; return its exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, text in (
        ("model", "folder with the model.tar.gz of the training job"),
        ("test", "folder with data.parquet and rows.csv"),
        ("schema", "folder with schema.json"),
        ("output", "folder in which to make evaluation/"),
    ):
        parser.add_argument(f"--{name}", type=Path, required=True, metavar="DIR", help=text)
    chosen = parser.parse_args(arguments)
    try:
        measured = _run(chosen.model, chosen.test, chosen.schema, chosen.output / "evaluation")
    except (EvaluationError, table.TableError) as error:
        _fail(str(error), environment)
        return 1
    sys.stdout.write("".join(f"test:{name}={value:.6g}\n" for name, value in measured.items()))
    return 0


def _run(model: Path, test: Path, schema: Path, output: Path) -> dict[str, float | int]:
    booster = _load_booster(model / "model.tar.gz")
    data_schema = _load_schema(schema / "schema.json")
    features, label = table.read(test / table.FILE_NAME)
    rows = _load_rows(test / "rows.csv", [column["name"] for column in data_schema["columns"]])
    if len(rows) != label.size:
        raise EvaluationError(
            f"rows.csv must hold the {label.size} rows of {table.FILE_NAME}; it holds {len(rows)}."
        )
    positives = int((label > 0).sum())
    if not 0 < positives < label.size:
        raise EvaluationError(
            "The test data must hold rows with and without a failure; "
            f"it has {label.size} rows, {positives} with a failure."
        )
    names = json.loads(booster.attr("feature_names"))
    threshold = float(booster.attr("threshold"))
    score = booster.inplace_predict(features)
    gain = dict.fromkeys(names, 0.0) | booster.get_score(importance_type="total_gain")
    evaluation = Evaluation(data_schema["columns"], rows, label, score, threshold, gain)

    measured = _measure(evaluation)
    statistics = model_quality.describe(label, score, threshold, _SAMPLING_SEED)
    drawn = sample.draw(evaluation.columns, rows, score, threshold)
    document = deployment.compose(data_schema, names, threshold, measured, drawn)
    facts = {
        "trees": str(booster.num_boosted_rounds()),
        "features": str(len(names)),
        "training rows": f"{data_schema['splits']['train']['rows']:,}",
        "data": data_schema["data_sha256"][:12],
    }

    output.mkdir(parents=True, exist_ok=True)
    _write_json(output / "metrics.json", measured)
    _write_json(output / "evaluation.json", statistics)
    _write_json(output / "constraints.json", model_quality.constrain(statistics))
    _write_json(output / "scores.json", scores.describe(score, threshold))
    _write_json(output / "deployment.json", document)
    (output / "sample_payload.tar.gz").write_bytes(drawn.archive())
    page = report.render(evaluation, measured, statistics, facts)
    (output / "report.html").write_text(page, encoding="utf-8")
    return measured


def _measure(evaluation: Evaluation) -> dict[str, float | int]:
    label, score = evaluation.label, evaluation.score
    cells = metrics.confuse(label, evaluation.reported)
    return {
        "average_precision": metrics.average_precision(label, score),
        "auc": metrics.roc_auc(label, score),
        "f1": cells.f(1.0),
        "precision": cells.precision,
        "recall": cells.recall,
        "accuracy": cells.accuracy,
        "logloss": metrics.logloss(label, score),
        "threshold": evaluation.threshold,
        "rows": cells.rows,
        "positives": cells.positives,
    }


def _load_booster(archive: Path) -> Any:
    if not archive.is_file():
        raise EvaluationError(f"{archive} must be the training job's archive; there is no file.")
    with tempfile.TemporaryDirectory() as folder:
        try:
            with tarfile.open(archive) as tar:
                tar.extract(_find(tar, MODEL_FILE), folder, filter="data")
        except tarfile.TarError as error:
            raise EvaluationError(f"{archive} must be a tar archive: {error}") from error
        return xgb.Booster(model_file=Path(folder) / MODEL_FILE)


def _find(tar: tarfile.TarFile, name: str) -> tarfile.TarInfo:
    # Depending on who packed it, a name starts with "./" or not.
    found = next((each for each in tar.getmembers() if each.name.removeprefix("./") == name), None)
    if found is None:
        raise EvaluationError(f"model.tar.gz must hold {name}; it does not.")
    return found


def _load_schema(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise EvaluationError(f"{path} must be the preprocessing job's schema; there is no file.")
    document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return document


def _load_rows(path: Path, names: list[str]) -> RawRows:
    if not path.is_file():
        raise EvaluationError(f"{path} must hold the raw test rows; there is no file.")
    try:
        rows = RawRows.read(path)
    except pa.ArrowInvalid as error:
        raise EvaluationError(f"{path}: {error}") from error
    if rows.names != names:
        raise EvaluationError(f"{path}: the columns are {rows.names}, the rule is {names}.")
    return rows


def _write_json(path: Path, document: object) -> None:
    # NaN is not JSON: better no file than one that half the readers refuse.
    path.write_text(json.dumps(document, indent=1, allow_nan=False) + "\n", encoding="utf-8")


def _fail(message: str, environment: Mapping[str, str]) -> None:
    sys.stderr.write(f"{message}\n")
    path = Path(environment.get("PROCESSING_EXIT_MESSAGE_FILE", "/opt/ml/output/message"))
    if path.parent.is_dir():
        path.write_text(message, encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
