"""The table that the jobs hand on: Parquet with float32 features and the label as last column."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.predictive_maintenance import schema
from pipelines.predictive_maintenance.features import FEATURE_NAMES

FILE_NAME = "data.parquet"
BLOCK_ROWS: Final = 1 << 16

Block = tuple[npt.NDArray[np.float32], npt.NDArray[Any]]


class TableError(ValueError):
    """The file is not a table of this model's features and label."""


def write(path: Path, features: npt.NDArray[np.float32], label: npt.NDArray[Any]) -> None:
    """Write n rows to the file ``path``: float32 ``features`` (n, k) and ``label`` (n,) of 0 and 1.

    The same values give the same bytes. Raises TableError when the shapes do not fit each other or
    the names.
    """
    write_blocks(path, [(features, label)])


def write_blocks(path: Path, blocks: Iterable[Block]) -> None:
    """Write rows that come in blocks, so that not all must be in memory; else as `write`."""
    fields = [pa.field(name, pa.float32()) for name in FEATURE_NAMES]
    columns = pa.schema([*fields, pa.field(schema.LABEL, pa.int8())])
    # Noise-like floats hardly compress: dictionary and codec would only cost time at both ends.
    options = {"compression": "none", "use_dictionary": False, "write_statistics": False}
    with pq.ParquetWriter(path, columns, **options) as writer:
        for features, label in blocks:
            if features.ndim != 2 or features.shape != (label.size, len(FEATURE_NAMES)):
                raise TableError(
                    f"{path}: features have shape {features.shape}, "
                    f"the rule is ({label.size} labels, {len(FEATURE_NAMES)} features)"
                )
            arrays = [pa.array(column) for column in np.ascontiguousarray(features.T)]
            arrays.append(pa.array(label.astype(np.int8)))
            writer.write_table(pa.Table.from_arrays(arrays, schema=columns))


def read(source: Path) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Read a file, or a folder's Parquet files in name order: features (n, k), C order, label (n,).

    Both are float32, as XGBoost wants them. Raises TableError when there is no file or the columns
    differ.
    """
    paths = sorted(source.glob("*.parquet")) if source.is_dir() else [source]
    if not paths or not paths[0].is_file():
        raise TableError(f"{source}: no Parquet file here")
    files = [pq.ParquetFile(path) for path in paths]
    expected = [*FEATURE_NAMES, schema.LABEL]
    for path, file in zip(paths, files, strict=True):
        if file.schema_arrow.names != expected:
            raise TableError(
                f"{path}: the columns are {file.schema_arrow.names}, the rule is {expected}"
            )
    rows = sum(file.metadata.num_rows for file in files)
    features = np.empty((rows, len(FEATURE_NAMES)), dtype=np.float32)
    label = np.empty(rows, dtype=np.float32)
    done = 0
    # A block fits into the processor's cache, where columns become rows ten times faster.
    for block in (block for file in files for block in file.iter_batches(BLOCK_ROWS)):
        here = slice(done, done + block.num_rows)
        for index, column in enumerate(block.columns[:-1]):
            features[here, index] = column.to_numpy()
        label[here] = block.columns[-1].to_numpy()
        done += block.num_rows
    return features, label
