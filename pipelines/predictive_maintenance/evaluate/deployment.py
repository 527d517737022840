"""deployment.json: all that the deploying side must know about this model, in one document.

The registered model package names it by its URI. ``deployment.schema.json`` describes it; the
deploying side holds a copy of that schema, and nothing else of this package.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from pipelines.predictive_maintenance.evaluate.sample import TOLERANCE, Sample

CONTRACT_VERSION: Final = "1"
# Where the files lie beside deployment.json.
FILES: Final = {
    "model_quality_statistics": "evaluation.json",
    "model_quality_constraints": "constraints.json",
    "score_baseline": "scores.json",
    "metrics": "metrics.json",
    "report": "report.html",
    "sample_payload": "sample_payload.tar.gz",
}


def compose(
    data_schema: Mapping[str, Any],
    feature_names: Sequence[str],
    threshold: float,
    measured: Mapping[str, float | int],
    sample: Sample,
) -> dict[str, Any]:
    """Return the document; ``data_schema`` is the preprocessing job's schema.json."""
    return {
        "contract_version": CONTRACT_VERSION,
        "label": data_schema["label"],
        "threshold": threshold,
        "columns": data_schema["columns"],
        "feature_names": list(feature_names),
        "data": {
            "sha256": data_schema["data_sha256"],
            "rows": data_schema["data_rows"],
            "splits": data_schema["splits"],
        },
        "metrics": dict(measured),
        "files": FILES,
        "sample": {
            "payloads": {"text/csv": sample.csv, "application/json": sample.json},
            "expected": list(sample.expected),
            "tolerance": TOLERANCE,
        },
    }
