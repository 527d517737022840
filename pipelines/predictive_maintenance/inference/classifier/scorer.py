"""Score rows with the booster's C API, or with its Python API where the former cannot be had.

``Booster.inplace_predict`` ends in the same C function, but with one row it spends five sixths of
its time on the way there: on checks for data frames, on types made anew at each call, and on a
proxy matrix made anew, which reads the machine's CPU quota from files. Here the proxy stays. All
functions are those of the documented ``xgboost/c_api.h``.
"""

import ctypes
import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import xgboost as xgb

Features = npt.NDArray[np.float32]
# Takes (n, k) features, C order, finite; gives n scores, each the float of a float32.
Score = Callable[[Features], list[float]]

_CONFIGURATION = json.dumps(
    {
        "type": 0,
        "training": False,
        "iteration_begin": 0,
        "iteration_end": 0,
        "missing": float("nan"),
        "strict_shape": False,
        "cache_id": 0,
    }
).encode()
_logger = logging.getLogger(__name__)


class ScorerError(RuntimeError):
    """XGBoost's library cannot be called, or not as it is called here."""


def load(path: Path, width: int) -> Score:
    """Load the booster in the file and give what scores rows of ``width`` features with it.

    It takes one thread, and may be called from several. Whether the C API gives what the Python
    API gives is tried here, before the first request; if not, the latter is used, and logged.
    """
    booster = xgb.Booster(model_file=path)
    booster.set_param({"nthread": 1})

    def score(features: Features) -> list[float]:
        scores: list[float] = booster.inplace_predict(features).tolist()
        return scores

    rows = np.outer(10.0 ** np.arange(-3.0, 5.0), np.ones(width)).astype(np.float32)
    expected = score(rows)
    try:
        direct = _DirectScorer(path)
        if direct(rows) != expected:
            raise ScorerError("it gives other scores")  # noqa: TRY301  handled like the others
    except (ScorerError, KeyError, AttributeError, OSError) as error:
        _logger.warning("XGBoost's C API is not used: %s: %s", type(error).__name__, error)
        return score
    return direct


class _DirectScorer:
    """A booster in XGBoost's own memory; it stays there as long as the process."""

    def __init__(self, path: Path) -> None:
        self._library = ctypes.CDLL(xgb.build_info()["libxgboost"])
        self._library.XGBGetLastError.restype = ctypes.c_char_p
        self._predict = self._library.XGBoosterPredictFromDense
        self._booster = ctypes.c_void_p()
        self._call("XGBoosterCreate", None, ctypes.c_uint64(0), ctypes.byref(self._booster))
        self._call("XGBoosterLoadModel", self._booster, bytes(path))
        self._call("XGBoosterSetParam", self._booster, b"nthread", b"1")
        self._idle: list[tuple[Any, ...]] = []

    def __call__(self, features: Features) -> list[float]:
        # A list that every thread takes from, for a thread's own would be a greenlet's own: the
        # containers serve each request in a new greenlet, and proxies would pile up.
        try:
            places = self._idle.pop()
        except IndexError:
            places = self._make_places()
        proxy, *outputs, scores = places
        rows, width = features.shape
        address, _ = features.__array_interface__["data"]
        array = b'{"data":[%d,true],"shape":[%d,%d],"typestr":"<f4","version":3}'
        failed = self._predict(
            self._booster, array % (address, rows, width), _CONFIGURATION, proxy, *outputs
        )
        found: list[float] = [] if failed else scores[:rows]
        self._idle.append(places)
        if failed:
            raise self._error()
        return found

    def _make_places(self) -> tuple[Any, ...]:
        """Make what one call at a time uses: a proxy matrix and where the answer's parts go."""
        proxy = ctypes.c_void_p()
        self._call("XGProxyDMatrixCreate", ctypes.byref(proxy))
        shape, dimensions = ctypes.POINTER(ctypes.c_uint64)(), ctypes.c_uint64()
        scores = ctypes.POINTER(ctypes.c_float)()
        return proxy, *map(ctypes.byref, (shape, dimensions, scores)), scores

    def _call(self, name: str, *arguments: Any) -> None:
        if getattr(self._library, name)(*arguments):
            raise self._error()

    def _error(self) -> ScorerError:
        return ScorerError(self._library.XGBGetLastError().decode(errors="replace"))
