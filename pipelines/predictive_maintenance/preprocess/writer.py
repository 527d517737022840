"""Write what the later steps read: tables of features, raw rows, the featurizer and the schema."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.csv
from sklearn.preprocessing import FunctionTransformer

from pipelines.predictive_maintenance import schema, table
from pipelines.predictive_maintenance.inference.featurizer import fitted
from pipelines.predictive_maintenance.preprocess import archive
from pipelines.predictive_maintenance.preprocess.reader import RawData
from pipelines.predictive_maintenance.preprocess.split import Split


def write(output: Path, data: RawData, parts: Split) -> None:
    """Fill the folders train, validation, test, baseline, featurizer and schema under ``output``.

    The featurizer is fitted on the training part. The same data and parts give the same bytes in
    one environment; a file appears whole or not at all.
    """
    train, validation, test = data.deal(parts.train, parts.validation, parts.test)
    description = _describe(data, train)
    featurizer = fitted.build().fit(_tabulate(train))
    with _replacing(output / "featurizer" / "model.tar.gz") as path:
        path.write_bytes(archive.pack(featurizer))
    # Arrow prints numbers on one processor and without Python's lock, so the features are computed
    # meanwhile on another one.
    with ThreadPoolExecutor(1) as beside:
        waiting = [
            beside.submit(_write_rows, output / "baseline" / "train.csv", train),
            beside.submit(_write_rows, output / "test" / "rows.csv", test),
        ]
        _write_features(output / "train", featurizer, train)
        _write_features(output / "validation", featurizer, validation)
        _write_features(output / "test", featurizer, test)
        for each in waiting:
            each.result()
    splits = {"train": parts.train, "validation": parts.validation, "test": parts.test}
    description["splits"] = {
        name: {"rows": int(rows.size), "positives": int(data.label[rows].sum())}
        for name, rows in splits.items()
    }
    with _replacing(output / "schema" / "schema.json") as path:
        path.write_text(json.dumps(description, indent=2) + "\n", encoding="utf-8")


def _write_features(folder: Path, featurizer: FunctionTransformer, rows: RawData) -> None:
    with _replacing(folder / table.FILE_NAME) as path:
        table.write_blocks(path, _featurize(featurizer, rows))


def _featurize(featurizer: FunctionTransformer, rows: RawData) -> Iterator[table.Block]:
    """Give features and labels in blocks that stay in the processor's cache."""
    for block in rows.blocks(table.BLOCK_ROWS):
        columns = {
            column.name: _spell(column, block.columns[column.name]) for column in schema.COLUMNS
        }
        yield featurizer.transform(columns), block.label


def _write_rows(target: Path, rows: RawData) -> None:
    options = pa.csv.WriteOptions(include_header=False, quoting_style="none")
    with _replacing(target) as path, path.open("wb") as file:
        # Arrow would put the names in quotes.
        file.write((",".join(schema.COLUMN_NAMES) + "\n").encode())
        for block in rows.blocks(table.BLOCK_ROWS):
            pa.csv.write_csv(_tabulate(block), file, write_options=options)


def _describe(data: RawData, train: RawData) -> dict[str, Any]:
    """Give the contract with the ranges that the training part has, without the splits."""
    columns = []
    for column in schema.COLUMNS:
        values = train.columns[column.name]
        ranged = column.kind != "category"
        columns.append(
            {
                "name": column.name,
                "kind": column.kind,
                "unit": column.unit,
                "minimum": column.minimum,
                "maximum": column.maximum,
                "categories": list(column.categories),
                "training_minimum": float(values.min()) if ranged else None,
                "training_maximum": float(values.max()) if ranged else None,
                "description": column.description,
            }
        )
    return {
        "contract_version": schema.CONTRACT_VERSION,
        "label": schema.LABEL,
        "data_sha256": data.sha256,
        "data_rows": int(data.label.size),
        "columns": columns,
    }


def _tabulate(rows: RawData) -> pa.Table:
    """Give the raw columns as a table in the schema's order, whole numbers as such."""
    arrays = {}
    for column in schema.COLUMNS:
        values = rows.columns[column.name]
        if column.kind == "category":
            codes, categories = pa.array(values), pa.array(column.categories)
            arrays[column.name] = pa.DictionaryArray.from_arrays(codes, categories).cast(
                pa.string()
            )
        elif column.kind == "integer":
            arrays[column.name] = pa.array(values.astype(np.int64))
        else:
            arrays[column.name] = pa.array(values)
    return pa.table(arrays)


def _spell(column: schema.Column, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Give a category's names for its indices, as the featurizer wants them."""
    return np.array(column.categories)[values] if column.kind == "category" else values


@contextmanager
def _replacing(target: Path) -> Iterator[Path]:
    """Give a path to write to that becomes ``target`` when all went well."""
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{target.name}.partial")
    try:
        yield partial
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)
