"""The two sides' model archives, and what a request to each must be answered.

Ours come from the pipeline's own job functions; the workshop's are made of the same training rows.
Requests are rows of the test part, which neither has seen.
"""

import contextlib
import io
import json
import sys
import tarfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import xgboost as xgb

from benchmarks.support import bare
from benchmarks.support.executions import BenchmarkError
from localcloud.containers.model_layout import PROGRAM
from pipelines.predictive_maintenance import table
from pipelines.predictive_maintenance.evaluate import evaluate
from pipelines.predictive_maintenance.preprocess import preprocess
from pipelines.predictive_maintenance.train import train

# The images' toolkit, which the workshop's handlers import.
sys.path.append(str(PROGRAM.parent / "toolkit"))
from benchmarks.support.handlers import workshop_classifier, workshop_featurizer

CSV: Final = "text/csv"
NPY: Final = "application/x-npy"
NAMES: Final = ("featurizer", "classifier")
_HANDLERS: Final = Path(workshop_featurizer.__file__).parent
# The workshop's, `benchmarks/support/workshop.py`.
_WORKSHOP_PARAMETERS: Final = {"objective": "binary:logistic", "max_depth": 8, "eta": 0.3}
_WORKSHOP_ROUNDS: Final = 5
_WORKSHOP_THRESHOLD: Final = 0.5

Matrix = npt.NDArray[Any]
Check = Callable[[bytes, slice], bool]
"""Whether an answer is right for these rows of the test part."""


@dataclass(frozen=True, slots=True)
class Side:
    """One way to serve: archives by container, and how to tell right answers.

    `features` are what its classifier is sent for some rows, of `content_type`; `labels` are the
    decisions that must come.
    """

    name: str
    archives: Mapping[str, Path]
    content_type: str
    features: Callable[[slice], bytes]
    is_features: Check
    is_labels: Check


@dataclass(frozen=True, slots=True)
class Models:
    """Both sides, and the rows that they are asked for, as csv lines.

    `evaluation` is the folder with what the evaluation job says of ours, `deployment.json` in it.
    """

    rows: Sequence[str]
    sides: tuple[Side, ...]
    evaluation: Path

    @property
    def ours(self) -> Side:
        """The project's own side."""
        return self.sides[0]


def make(source: Path, folder: Path, hyperparameters: Sequence[str]) -> Models:
    """Run the jobs on the folder of raw data, and train the workshop's model.

    Raises:
        BenchmarkError: a job failed.
    """
    work = folder / "jobs"
    ratios = ("--test-ratio", bare.TEST_RATIO, "--validation-ratio", bare.VALIDATION_RATIO)
    packed = work / "classifier"
    places = {"model": packed, "test": work / "test", "schema": work / "schema", "output": work}
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        arguments = ["--input", str(source), "--output", str(work), *ratios, "--seed", bare.SEED]
        code = preprocess.main(arguments) or train.main(
            hyperparameters,
            {
                "SM_CHANNEL_TRAIN": str(work / "train"),
                "SM_CHANNEL_VALIDATION": str(work / "validation"),
                "SM_MODEL_DIR": str(work / "model"),
            },
        )
        if not code:
            _pack(packed / "model.tar.gz", {".": work / "model"})
            arguments = [word for name, at in places.items() for word in (f"--{name}", str(at))]
            code = evaluate.main(arguments, {})
    if code:
        raise BenchmarkError(f"the jobs must succeed: {said.getvalue()}")
    rows = (work / "test" / "rows.csv").read_text().splitlines()[1:]
    sides = (_ours(work), _workshop(work, folder / "workshop", rows))
    return Models(rows, sides, work / "evaluation")


def handler_archive(name: str, target: Path) -> Path:
    """Pack a handler of the folder `handlers` without a model."""
    return _pack(target, {"code/inference.py": _HANDLERS / f"{name}.py"})


def _ours(work: Path) -> Side:
    features, _ = table.read(work / "test")
    booster = xgb.Booster(model_file=work / "model" / train.MODEL_FILE)
    names = json.loads(booster.attr("feature_names"))
    scores = booster.predict(xgb.DMatrix(features, feature_names=names))
    labels = scores >= np.float32(booster.attr("threshold"))

    def send(part: slice) -> bytes:
        body = io.BytesIO()
        np.save(body, features[part])
        return body.getvalue()

    def is_labels(answer: bytes, part: slice) -> bool:
        found = [line.rpartition(b",")[2] == b"1" for line in answer.splitlines()]
        return bool(found == labels[part].tolist())

    def is_features(answer: bytes, part: slice) -> bool:
        return bool(np.array_equal(np.load(io.BytesIO(answer)), features[part]))

    archives = {name: work / name / "model.tar.gz" for name in NAMES}
    return Side("ours", archives, NPY, send, is_features, is_labels)


def _workshop(work: Path, folder: Path, rows: Sequence[str]) -> Side:
    folder.mkdir()
    training = (work / "baseline" / "train.csv").read_text().partition("\n")[2]
    (folder / workshop_featurizer.TRAINING_FILE).write_text(training)
    transformer = workshop_featurizer.model_fn(str(folder))
    train_rows, test_rows = (
        workshop_featurizer.input_fn(text, CSV) for text in (training, "\n".join(rows))
    )
    _, label = table.read(work / "train")
    booster = xgb.train(
        _WORKSHOP_PARAMETERS,
        xgb.DMatrix(transformer.transform(train_rows), label),
        num_boost_round=_WORKSHOP_ROUNDS,
    )
    features = transformer.transform(test_rows)
    labels = booster.predict(xgb.DMatrix(features)) >= _WORKSHOP_THRESHOLD
    booster.save_model(folder / "booster.ubj")

    def read(answer: bytes) -> Matrix:
        return np.loadtxt(io.BytesIO(answer), delimiter=",", ndmin=2)

    def send(part: slice) -> bytes:
        return str(workshop_featurizer.output_fn(features[part], CSV)[0]).encode()

    def is_features(answer: bytes, part: slice) -> bool:
        found = read(answer)
        wanted = features[part]
        return found.shape == wanted.shape and bool(np.allclose(found, wanted))

    def is_labels(answer: bytes, part: slice) -> bool:
        found = read(answer)[:, 0] >= _WORKSHOP_THRESHOLD
        return bool(np.array_equal(found, labels[part]))

    archives = {
        "featurizer": _pack(
            folder / "featurizer.tar.gz",
            {
                workshop_featurizer.TRAINING_FILE: folder / workshop_featurizer.TRAINING_FILE,
                "code/inference.py": _HANDLERS / "workshop_featurizer.py",
            },
        ),
        "classifier": _pack(
            folder / "classifier.tar.gz",
            {
                workshop_classifier.MODEL_FILE: folder / "booster.ubj",
                "code/inference.py": _HANDLERS / "workshop_classifier.py",
            },
        ),
    }
    return Side("workshop", archives, CSV, send, is_features, is_labels)


def _pack(target: Path, members: Mapping[str, Path]) -> Path:
    target.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(target, "w:gz") as tar:
        for name, path in members.items():
            tar.add(path, arcname=name)
    return target
