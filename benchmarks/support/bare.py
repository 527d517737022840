"""The pipeline's work without a pipeline: the jobs' own functions, one after the other, here.

Run as a script: `bare.py CSV_FOLDER WORK_FOLDER`. It writes what the jobs write, and packs the
model as the platform does between training and evaluation.
"""

import os
import sys
import tarfile
from pathlib import Path
from typing import Final

# What the comparison trains everywhere: as many trees as the workshop, and its default bins.
HYPERPARAMETERS: Final = {
    "num_round": "5",
    "max_depth": "8",
    "max_bin": "256",
    "early_stopping_rounds": "1000",
}
TEST_RATIO: Final = "0.2"
VALIDATION_RATIO: Final = "0.2"
SEED: Final = "0"


def main(source: Path, work: Path) -> int:
    """Preprocess, train and evaluate; return the first exit code that is not 0."""
    # Here, so that who only wants the settings loads no library.
    from pipelines.predictive_maintenance.evaluate import evaluate  # noqa: PLC0415
    from pipelines.predictive_maintenance.preprocess import preprocess  # noqa: PLC0415
    from pipelines.predictive_maintenance.train import train  # noqa: PLC0415

    ratios = ["--test-ratio", TEST_RATIO, "--validation-ratio", VALIDATION_RATIO, "--seed", SEED]
    code = preprocess.main(["--input", str(source), "--output", str(work), *ratios])
    environment = {
        "SM_CHANNEL_TRAIN": str(work / "train"),
        "SM_CHANNEL_VALIDATION": str(work / "validation"),
        "SM_MODEL_DIR": str(work / "model"),
        "SM_NUM_CPUS": str(os.cpu_count()),
    }
    settings = [word for name, text in HYPERPARAMETERS.items() for word in (f"--{name}", text)]
    code = code or train.main([*settings, "--seed", SEED], environment)
    (work / "packed").mkdir()
    with tarfile.open(work / "packed" / "model.tar.gz", "w:gz") as tar:
        tar.add(work / "model", arcname=".")
    places = {"model": "packed", "test": "test", "schema": "schema", "output": ""}
    folders = [word for name, place in places.items() for word in (f"--{name}", str(work / place))]
    return code or evaluate.main(folders, {})


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
