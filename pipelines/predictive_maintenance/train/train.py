"""Train the failure classifier (SageMaker training, script mode, XGBoost image).

Reads the channels ``train`` and ``validation`` (Parquet tables of features and label), early-stops
and chooses the decision threshold on the latter, and leaves in the model folder
``xgboost-model.ubj`` - a booster that carries threshold, feature_names and best_iteration as
attributes - and ``code/``, the handler that serves it. Whatever the user can mend ends the job with
exit code 1 and one sentence on stderr and in the failure file.
"""

import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from pipelines.predictive_maintenance import schema, table
from pipelines.predictive_maintenance.train import hyperparameters as settings
from pipelines.predictive_maintenance.train.cluster import Cluster
from pipelines.predictive_maintenance.train.model import Model, TrainingError, check_rows, fit

MODEL_FILE = "xgboost-model.ubj"
_PACKAGE = Path(schema.__file__).parent
_HANDLER = _PACKAGE / "inference" / "classifier" / "inference.py"
# What the handler imports, under the same path as in the repository.
_LIBRARY = (
    _PACKAGE.parent / "__init__.py",
    _PACKAGE / "__init__.py",
    _PACKAGE / "inference" / "__init__.py",
    _HANDLER.with_name("__init__.py"),
    _HANDLER.with_name("rows.py"),
    _HANDLER.with_name("scorer.py"),
    _PACKAGE / "inference" / "matrix.py",
    _PACKAGE / "inference" / "payload.py",
    _PACKAGE / "schema.py",
)


def main(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    """Run the job; return its exit code."""
    try:
        _run(settings.parse(arguments), environment)
    except (settings.HyperparameterError, TrainingError, table.TableError) as error:
        sys.stderr.write(f"{error}\n")
        if "SM_OUTPUT_DIR" in environment:
            folder = Path(environment["SM_OUTPUT_DIR"])
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "failure").write_text(str(error), encoding="utf-8")
        return 1
    return 0


def _run(values: Mapping[str, settings.Number], environment: Mapping[str, str]) -> None:
    train = table.read(_folder(environment, "SM_CHANNEL_TRAIN"))
    validation = table.read(_folder(environment, "SM_CHANNEL_VALIDATION"))
    check_rows("training", train)
    check_rows("validation", validation)
    threads = int(environment.get("SM_NUM_CPUS") or os.cpu_count() or 1)
    cluster = Cluster.from_environment(environment)
    with cluster.joined():
        model = fit(cluster.share(train), validation, values, threads)
    measured = model.measure(validation)
    _print(
        *(f"validation:{name}={value:.6f}" for name, value in measured.items()),
        f"train:logloss={model.train_logloss:.6f}",
        f"{model.rounds} trees, decision threshold {model.threshold:.4f}",
    )
    if cluster.is_first:
        _save(model, _folder(environment, "SM_MODEL_DIR"))


def _save(model: Model, folder: Path) -> None:
    code = folder / "code"
    code.mkdir(parents=True, exist_ok=True)
    model.booster.save_model(folder / MODEL_FILE)
    shutil.copyfile(_HANDLER, code / "inference.py")
    for path in _LIBRARY:
        target = code / path.relative_to(_PACKAGE.parent.parent)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)


def _folder(environment: Mapping[str, str], name: str) -> Path:
    if name not in environment:
        raise TrainingError(f"The environment variable {name} must name a folder; it is not set.")
    return Path(environment[name])


def _print(*lines: str) -> None:
    # The metric regexes read these lines from the job's log.
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
