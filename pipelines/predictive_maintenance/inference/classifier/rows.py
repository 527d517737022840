"""Read the features of a request into a matrix, or say which value is none."""

import re
from collections.abc import Iterator, Sequence
from typing import Any, Final

import numpy as np

from pipelines.predictive_maintenance import schema
from pipelines.predictive_maintenance.inference import matrix, payload
from pipelines.predictive_maintenance.inference.matrix import NPY, Matrix
from pipelines.predictive_maintenance.inference.payload import CSV, JSON

_SHAPE: Final = '{"instances": [[number, ...], ...]} or rows as lists alone'
_PLAIN = re.compile(r"[0-9eE+\-. \t]*")


def read(body: str | bytes, content_type: str | None, names: Sequence[str]) -> Matrix:
    """Read rows of one finite number per name into an (n, len(names)) matrix, C order.

    Numbers in text are rounded to float32. Raises RefusalError for the first five values that are
    no finite number, by row, name and value.
    """
    kind = payload.media_type(content_type, (NPY, CSV, JSON))
    reader = _Reader(names)
    if kind == NPY:
        return reader.read_matrix(body)
    text = payload.decode(body)
    if kind == JSON:
        instances = payload.parse_rows(text, _SHAPE)
        return payload.convert(instances, reader.convert_instances, reader.explain_instance)
    lines = payload.split_lines(text)
    return payload.convert(lines, reader.convert_lines, reader.explain_line)


class _Reader:
    """Converts rows of features, or gives None when any value of any row is no finite number."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = names
        self._width = len(names)

    def read_matrix(self, body: str | bytes) -> Matrix:
        try:
            features = matrix.load(b"" if isinstance(body, str) else bytes(body), self._width)
        except ValueError as error:
            raise payload.RefusalError(
                f"The body must be what numpy.save writes for a float32 matrix of {self._width} "
                f"columns ({', '.join(self._names)})."
            ) from error
        if np.isfinite(features).all():
            return features
        return payload.convert(features.tolist(), self.convert_instances, self.explain_instance)

    def convert_instances(self, rows: Sequence[Any]) -> Matrix | None:
        values = payload.flatten(rows, self._width)
        if values is None or not set(map(type, values)) <= {int, float}:
            return None
        return self._convert(values)

    def convert_lines(self, lines: Sequence[str]) -> Matrix | None:
        values = payload.flatten_lines(lines, self._width)
        if values is None or _PLAIN.fullmatch("".join(values)) is None:
            return None
        return self._convert(values)

    def explain_line(self, number: int, line: str) -> Iterator[str]:
        values = line.split(",")
        if len(values) != self._width:
            yield self._miscounted(number, values)
            return
        for name, value in zip(self._names, values, strict=True):
            plain = schema.NUMBER.fullmatch(value) is not None
            if not plain or self._convert([value] * self._width) is None:
                yield _misfit(number, name, schema.show(value))

    def explain_instance(self, number: int, row: Any) -> Iterator[str]:
        if not isinstance(row, list):
            yield f"Row {number} must be a list of numbers, not {payload.spell(row)}."
        elif len(row) != self._width:
            yield self._miscounted(number, row)
        else:
            for name, value in zip(self._names, row, strict=True):
                if self.convert_instances([[value] * self._width]) is None:
                    yield _misfit(number, name, payload.spell(value))

    def _convert(self, values: list[Any]) -> Matrix | None:
        try:
            wide = np.fromiter(map(float, values), np.float64, len(values))
        except (ValueError, OverflowError):
            return None
        with np.errstate(over="ignore"):
            features = wide.astype(np.float32).reshape(-1, self._width)
        return features if np.isfinite(features).all() else None

    def _miscounted(self, number: int, values: Sequence[Any]) -> str:
        names = ", ".join(self._names)
        return f"Row {number} must have {self._width} values ({names}), not {len(values)}."


def _misfit(number: int, name: str, spelt: str) -> str:
    return f"Row {number}, column {name}: must be a finite number, not {spelt}."
