"""The raw test rows: many are counted, few are shown."""

import csv
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.csv


class RawRows:
    """Rows as lists of text, kept as columns: a tenth of the lists' memory."""

    def __init__(self, table: Any) -> None:
        self._table = table

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a csv file with a header, each value as it is written.

        Raises pyarrow.ArrowInvalid when a line has another number of fields.
        """
        with path.open(encoding="utf-8", newline="") as file:
            names = next(csv.reader(file), [])
        types = dict.fromkeys(names, pa.string())
        options = pa.csv.ConvertOptions(column_types=types, null_values=[])
        return cls(pa.csv.read_csv(path, convert_options=options))

    @property
    def names(self) -> list[str]:
        """The columns' names."""
        names: list[str] = self._table.column_names
        return names

    def counted(self, column: int) -> tuple[npt.NDArray[np.int32], list[str]]:
        """Give a column as the values that occur in it, and each row's place among them."""
        encoded = self._table.column(column).combine_chunks().dictionary_encode()
        return encoded.indices.to_numpy(), encoded.dictionary.to_pylist()

    def __len__(self) -> int:
        return int(self._table.num_rows)

    def __getitem__(self, index: int) -> list[str]:
        return [column[index].as_py() for column in self._table.columns]
