"""A few test rows with the answers they must get: what a smoke test sends to an endpoint."""

import gzip
import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from pipelines.predictive_maintenance.evaluate.raw_rows import RawRows

ROWS: Final = 8
# An endpoint on another machine may add up the trees in another order.
TOLERANCE: Final = 1e-5


@dataclass(frozen=True, slots=True)
class Sample:
    """Raw rows as CSV and as JSON, and the answer to each."""

    csv: str
    json: str
    expected: tuple[dict[str, float | int], ...]

    def archive(self) -> bytes:
        """Return a .tar.gz of payload.csv and payload.json; equal samples give equal bytes."""
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as tar:
            for name, text in (("payload.csv", self.csv), ("payload.json", self.json)):
                content = text.encode()
                entry = tarfile.TarInfo(name)
                entry.size = len(content)
                tar.addfile(entry, io.BytesIO(content))
        return gzip.compress(packed.getvalue(), mtime=0)


def draw(
    columns: Sequence[Mapping[str, Any]],
    rows: RawRows,
    score: npt.NDArray[np.float32],
    threshold: float,
) -> Sample:
    """Choose rows on both sides of the threshold, from the surest to the least sure.

    ``rows`` are the raw values of the test rows, in the order of ``columns`` (of schema.json).
    """
    reported = score >= np.float32(threshold)
    order = np.argsort(-score, kind="stable")
    chosen = [
        *_spread(order[reported[order]], ROWS // 2),
        *_spread(order[~reported[order]], ROWS // 2),
    ]
    picked = [rows[index] for index in chosen]
    instances = [
        {
            column["name"]: _as_json(value, column["kind"])
            for column, value in zip(columns, row, strict=True)
        }
        for row in picked
    ]
    return Sample(
        csv="".join(",".join(row) + "\n" for row in picked),
        json=json.dumps({"instances": instances}),
        expected=tuple(
            {"score": float(score[index]), "predicted_label": int(reported[index])}
            for index in chosen
        ),
    )


def _spread(indices: npt.NDArray[np.intp], count: int) -> list[int]:
    """Take ``count`` of the ranked indices, evenly, both ends among them."""
    places = np.unique(np.linspace(0, indices.size - 1, count).round().astype(int))
    return indices[places].tolist() if indices.size else []


def _as_json(text: str, kind: str) -> str | int | float:
    if kind == "category":
        return text
    return int(text) if kind == "integer" else float(text)
