"""Features on their way from the first container to the second: what numpy.save writes.

Float32, C order, a row of features per row of the request. No text is written and none is parsed,
and every bit arrives. The header of such a file depends on its size alone, so it is made, and
compared, as a whole: nothing that a sender wrote is evaluated.
"""

import io
from functools import lru_cache
from typing import Final

import numpy as np
import numpy.typing as npt

NPY: Final = "application/x-npy"

Matrix = npt.NDArray[np.float32]

_TYPE = np.dtype("<f4")


def dump(features: Matrix) -> bytes:
    """Write an (n, k) matrix."""
    return _header(*features.shape) + features.astype(_TYPE, order="C", copy=False).tobytes()


def load(body: bytes, width: int) -> Matrix:
    """Read an (n, width) matrix, n at least 1; read-only, for it lies in the body.

    Raises ValueError for anything else.
    """
    rows, rest = divmod(len(body) - len(_header(1, width)), width * _TYPE.itemsize)
    if rest or rows < 1 or not body.startswith(_header(rows, width)):
        raise ValueError(f"not a float32 matrix of {width} columns as numpy.save writes it")
    return np.frombuffer(body, _TYPE, offset=len(_header(rows, width))).reshape(rows, width)


@lru_cache(maxsize=1024)
def _header(rows: int, width: int) -> bytes:
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": _TYPE.str, "fortran_order": False, "shape": (rows, width)}
    )
    return header.getvalue()
