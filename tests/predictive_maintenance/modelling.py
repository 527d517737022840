"""What the tests of training, evaluation and serving share: data and a trained model."""

import csv
import dataclasses
import json
import os
import tarfile
from pathlib import Path

import numpy as np

from pipelines.predictive_maintenance import features, generator, schema, table
from pipelines.predictive_maintenance.train import train

QUICK = ("--num_round", "25", "--eta", "0.3", "--max_bin", "512")


def raw_columns(rows=10_000, seed=7):
    """The published file where AI4I_DATA names it, else generated rows; with the label's parts."""
    if "AI4I_DATA" not in os.environ:
        return next(generator.segments(rows, seed))
    path = Path(os.environ["AI4I_DATA"]) / "ai4i2020.csv"
    with path.open(encoding="utf-8-sig", newline="") as lines:
        read = list(csv.DictReader(lines))[:rows]
    text = {"Type", "Product ID"}
    return {
        name: np.array([row[name] if name in text else float(row[name]) for row in read])
        for name in read[0]
    }


def write_splits(folder, rows=3_000, columns=None):
    """Write train/, validation/, test/ and schema/ as the preprocessing job does."""
    columns = columns or next(generator.segments(rows, 11))
    rows = len(columns[schema.LABEL])
    matrix, label = features.derive(columns), columns[schema.LABEL]
    part = np.arange(rows) % 3
    for index, name in enumerate(("train", "validation", "test")):
        (folder / name).mkdir(parents=True)
        table.write(folder / name / "data.parquet", matrix[part == index], label[part == index])
    with (folder / "test" / "rows.csv").open("w", newline="") as lines:
        writer = csv.writer(lines, lineterminator="\n")
        writer.writerow(schema.COLUMN_NAMES)
        chosen = [columns[name][part == 2].tolist() for name in schema.COLUMN_NAMES]
        writer.writerows(zip(*chosen, strict=True))
    (folder / "schema").mkdir()
    limits = {"training_minimum": None, "training_maximum": None}
    document = {
        "contract_version": "1",
        "label": schema.LABEL,
        "data_sha256": "ab" * 32,
        "data_rows": rows,
        "columns": [dataclasses.asdict(each) | limits for each in schema.COLUMNS],
        "splits": {
            name: {"rows": rows // 3, "positives": int(label[part == index].sum())}
            for index, name in enumerate(("train", "validation", "test"))
        },
    }
    (folder / "schema" / "schema.json").write_text(json.dumps(document))


def environment(folder, model="model", **more):
    return {
        "SM_CHANNEL_TRAIN": str(folder / "train"),
        "SM_CHANNEL_VALIDATION": str(folder / "validation"),
        "SM_MODEL_DIR": str(folder / model),
        "SM_OUTPUT_DIR": str(folder / "output"),
        "SM_NUM_CPUS": "1",
        **more,
    }


def train_quickly(folder):
    """Write the splits, train on them and pack model.tar.gz into archive/."""
    write_splits(folder)
    assert train.main(QUICK, environment(folder)) == 0
    (folder / "archive").mkdir()
    with tarfile.open(folder / "archive" / "model.tar.gz", "w:gz") as tar:
        tar.add(folder / "model", arcname=".")
