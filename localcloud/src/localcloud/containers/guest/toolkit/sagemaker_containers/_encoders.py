"""Between bodies and numpy arrays: application/x-npy, text/csv and application/json."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from typing import Any

import numpy as np

from . import _content_types as types
from ._errors import ClientError, UnsupportedFormatError


def npy_to_numpy(npy_array: bytes) -> Any:
    """The array of an npy file; one of pickled objects is refused."""
    return np.load(io.BytesIO(npy_array), allow_pickle=False)


def json_to_numpy(string_like: str, dtype: Any = None) -> Any:
    """The array of a JSON document."""
    return np.array(json.loads(string_like), dtype=dtype)


def csv_to_numpy(string_like: str, dtype: Any = None) -> Any:
    """The array of csv lines, without axes of length 1; of text if not all of it are numbers."""
    try:
        array = np.array(list(csv.reader(io.StringIO(string_like), strict=True))).squeeze()
    except (csv.Error, ValueError) as exc:
        raise ClientError(f"Error while decoding csv: {exc}") from exc
    try:
        return array.astype(dtype)
    except ValueError as exc:
        if dtype is None:
            return array
        raise ClientError(f"Error while writing numpy array: {exc}. dtype is: {dtype}") from exc


def array_to_npy(array_like: Any) -> bytes:
    """An npy file of anything that numpy makes an array of."""
    binary = io.BytesIO()
    np.save(binary, array_like)
    return binary.getvalue()


def array_to_json(array_like: Any) -> str:
    """A JSON document; arrays in it become lists."""
    return json.dumps(array_like, default=_listed)


def array_to_csv(array_like: Any) -> str:
    """Csv lines, one for each row; of one dimension, one for each value."""
    array = np.array(array_like)
    text = io.StringIO()
    try:
        writer = csv.writer(text, lineterminator="\n", strict=True)
        writer.writerows(array.reshape(-1, 1) if array.ndim == 1 else array)
    except csv.Error as exc:
        raise ClientError(f"Error while encoding csv: {exc}") from exc
    return text.getvalue()


def decode(obj: Any, content_type: str) -> Any:
    """The array of a body; raises UnsupportedFormatError."""
    return _codec(_DECODERS, content_type)(obj)


def encode(array_like: Any, content_type: str) -> Any:
    """The body of an array; raises UnsupportedFormatError."""
    return _codec(_ENCODERS, content_type)(array_like)


def _codec(known: dict[str, Callable[[Any], Any]], content_type: str) -> Callable[[Any], Any]:
    if content_type not in known:
        raise UnsupportedFormatError(content_type)
    return known[content_type]


def _listed(value: Any) -> Any:
    if not hasattr(value, "tolist"):
        raise TypeError(f"a {type(value).__name__} has no place in JSON")
    return value.tolist()


_DECODERS: dict[str, Callable[[Any], Any]] = {
    types.NPY: npy_to_numpy,
    types.CSV: csv_to_numpy,
    types.JSON: json_to_numpy,
}
_ENCODERS: dict[str, Callable[[Any], Any]] = {
    types.NPY: array_to_npy,
    types.CSV: array_to_csv,
    types.JSON: array_to_json,
}
