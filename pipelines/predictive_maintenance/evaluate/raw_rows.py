"""The raw test rows: many are counted, few are shown."""

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Self, overload


class RawRows(Sequence[list[str]]):
    """The rows of a csv file as lists of text, kept as lines: a tenth of the lists' memory."""

    def __init__(self, names: list[str], lines: list[str]) -> None:
        self.names = names
        self._lines = lines

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a file with a header whose fields hold no line ends."""
        header, *lines = path.read_text(encoding="utf-8").splitlines()
        return cls(next(csv.reader([header])), lines)

    def __len__(self) -> int:
        return len(self._lines)

    def __iter__(self) -> Iterator[list[str]]:
        return iter(csv.reader(self._lines))

    @overload
    def __getitem__(self, index: int) -> list[str]: ...
    @overload
    def __getitem__(self, index: slice) -> "RawRows": ...
    def __getitem__(self, index: int | slice) -> "list[str] | RawRows":
        if isinstance(index, slice):
            return RawRows(self.names, self._lines[index])
        return next(csv.reader([self._lines[index]]))
