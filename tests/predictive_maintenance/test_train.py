"""The training job."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import xgboost as xgb
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from modelling import QUICK, environment, train_quickly, write_splits

from pipelines.predictive_maintenance import table
from pipelines.predictive_maintenance.features import FEATURE_NAMES, MONOTONE
from pipelines.predictive_maintenance.train import hyperparameters, train
from pipelines.predictive_maintenance.train import model as training
from pipelines.predictive_maintenance.train.threshold import choose_threshold

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("train")
    train_quickly(folder)
    return folder


def load(folder, model="model"):
    return xgb.Booster(model_file=folder / model / "xgboost-model.ubj")


# --- hyperparameters


@pytest.mark.parametrize("each", hyperparameters.HYPERPARAMETERS, ids=lambda each: each.name)
def test_a_hyperparameter_takes_its_default_and_its_limits_and_nothing_beyond(each):
    for value in (each.default, each.minimum, each.maximum):
        assert each.check(str(value)) == value
    for value in (each.minimum - 1, each.maximum + 1, "nan", "much", ""):
        with pytest.raises(
            hyperparameters.HyperparameterError, match=f"^Hyperparameter {each.name} must be"
        ):
            each.check(str(value))


def test_both_ways_to_give_a_value_are_read_and_defaults_fill_the_rest():
    values = hyperparameters.parse(["--max_depth", "7", "--eta=0.5"])
    assert values == {**hyperparameters.DEFAULTS, "max_depth": 7, "eta": 0.5}


def test_whole_numbers_only_where_the_default_is_one():
    with pytest.raises(hyperparameters.HyperparameterError, match=r"whole number .* not '4\.5'"):
        hyperparameters.parse(["--max_depth", "4.5"])


@pytest.mark.parametrize("arguments", [["--depth", "3"], ["max_depth", "3"], ["--eta"]])
def test_an_argument_that_cannot_be_meant_is_refused(arguments):
    with pytest.raises(hyperparameters.HyperparameterError, match=arguments[0].lstrip("-")):
        hyperparameters.parse(arguments)


def test_the_pipeline_may_read_the_table_without_xgboost():
    code = (
        "import sys; from pipelines.predictive_maintenance.train import hyperparameters;"
        "sys.exit('xgboost' in sys.modules or 'numpy' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, check=False).returncode == 0


# --- the job


def test_a_bad_hyperparameter_ends_the_job_with_one_sentence_before_any_data_is_read(tmp_path):
    """The failure file must hold what the user reads in the console: no stack trace."""
    done = subprocess.run(
        [sys.executable, Path(train.__file__), "--eta", "7"],
        env=os.environ | {"PYTHONPATH": str(REPOSITORY), "SM_OUTPUT_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    sentence = "Hyperparameter eta must be a number from 0.001 to 1.0, not '7'."
    assert done.stderr == sentence + "\n"
    assert (tmp_path / "failure").read_text() == sentence


def test_data_without_a_failure_is_refused_in_words(tmp_path, capsys):
    write_splits(tmp_path)
    features, label = table.read(tmp_path / "validation")
    table.write(tmp_path / "validation" / "data.parquet", features, np.zeros_like(label))
    assert train.main(QUICK, environment(tmp_path)) == 1
    assert (
        "The validation data must hold rows with and without a failure" in capsys.readouterr().err
    )
    assert not (tmp_path / "model").exists()


def test_a_channel_that_is_not_given_is_named(capsys):
    assert train.main([], {}) == 1
    assert "SM_CHANNEL_TRAIN" in capsys.readouterr().err


def test_the_booster_carries_what_serving_and_evaluation_need(trained):
    booster = load(trained)
    attributes = booster.attributes()
    assert json.loads(attributes["feature_names"]) == list(FEATURE_NAMES) == booster.feature_names
    assert 0 < float(attributes["threshold"]) < 1
    assert int(attributes["best_iteration"]) == booster.num_boosted_rounds() - 1


def test_the_model_folder_brings_its_handler(trained):
    source = (trained / "model" / "code" / "inference.py").read_text()
    assert "def model_fn" in source
    assert "def transform_fn" in source
    assert (trained / "model/code/pipelines/predictive_maintenance/schema.py").is_file()


def test_the_log_has_a_line_for_each_metric(tmp_path, capsys):
    """The training job's metric definitions read these lines by regular expressions."""
    train_quickly(tmp_path)
    printed = capsys.readouterr().out
    for name in (
        "validation:average_precision",
        "validation:f1",
        "validation:logloss",
        "train:logloss",
    ):
        assert re.search(rf"^{name}=([0-9.]+)$", printed, re.MULTILINE), name


def test_training_stops_when_the_validation_loss_does_and_keeps_no_later_tree(tmp_path):
    write_splits(tmp_path)
    arguments = ("--num_round", "500", "--eta", "0.5", "--early_stopping_rounds", "5")
    assert train.main(arguments, environment(tmp_path)) == 0
    features, label = table.read(tmp_path / "validation")
    booster = load(tmp_path)
    rounds = booster.num_boosted_rounds()
    assert rounds < 500

    def loss(trees):
        p = booster[:trees].inplace_predict(features).astype(float)
        return -np.mean(np.where(label > 0, np.log(p), np.log1p(-p)))

    assert min(range(1, rounds + 1), key=loss) == rounds


def test_the_same_seed_gives_the_same_bytes_and_another_one_does_not(tmp_path):
    write_splits(tmp_path)
    for model, seed in (("a", "3"), ("b", "3"), ("c", "4")):
        arguments = (*QUICK, "--subsample", "0.5", "--seed", seed)
        assert train.main(arguments, environment(tmp_path, model)) == 0
    a, b, c = ((tmp_path / model / "xgboost-model.ubj").read_bytes() for model in "abc")
    assert a == b
    assert a != c


def test_many_rows_binned_by_a_sample_train_as_good_a_model(tmp_path, monkeypatch):
    write_splits(tmp_path, 9_000)
    losses, models = [], []
    for name, sketched in (("all", 10**9), ("sample", 1_000), ("again", 1_000)):
        monkeypatch.setattr(training, "_SKETCHED_ROWS", sketched)
        assert train.main(QUICK, environment(tmp_path, name)) == 0
        features, label = table.read(tmp_path / "test")
        p = load(tmp_path, name).inplace_predict(features).astype(float)
        losses.append(-np.mean(np.where(label > 0, np.log(p), np.log1p(-p))))
        models.append((tmp_path / name / "xgboost-model.ubj").read_bytes())
    assert models[0] != models[1] == models[2]
    assert losses[1] < 1.05 * losses[0]


@pytest.mark.parametrize(
    "name", [n for n, sign in zip(FEATURE_NAMES, MONOTONE, strict=True) if sign]
)
def test_a_feature_with_a_sign_never_pushes_the_other_way(trained, name):
    features, _ = table.read(trained / "test")
    column = FEATURE_NAMES.index(name)
    booster = load(trained)
    before = booster.inplace_predict(features)
    features[:, column] += 0.5 * features[:, column].std()
    change = (booster.inplace_predict(features) - before) * MONOTONE[column]
    assert change.min() >= 0


@pytest.mark.slow
def test_two_hosts_train_one_model(tmp_path):
    """Each host brings half of the rows; only the first one saves."""
    write_splits(tmp_path)
    hosts = ("127.0.0.1", "localhost")
    running = [
        subprocess.Popen(
            [sys.executable, Path(train.__file__), *QUICK],
            env={
                **os.environ,
                **environment(tmp_path, model=f"model-{host}"),
                "PYTHONPATH": str(REPOSITORY),
                "SM_HOSTS": json.dumps(hosts),
                "SM_CURRENT_HOST": host,
                "TRAINING_JOB_NAME": str(tmp_path),
            },
            stdout=subprocess.PIPE,
            text=True,
        )
        for host in reversed(hosts)
    ]
    second, first = (each.communicate(timeout=60)[0] for each in running)
    assert [each.returncode for each in running] == [0, 0]

    def metric_lines(printed):
        return [line for line in printed.splitlines() if line.startswith("validation:")]

    assert metric_lines(first) == metric_lines(second) != []
    assert not (tmp_path / "model-localhost").exists()
    features, label = table.read(tmp_path / "test")
    scores = load(tmp_path, "model-127.0.0.1").inplace_predict(features)
    assert scores[label > 0].mean() > 10 * scores[label == 0].mean()


def test_a_host_that_is_not_one_of_the_hosts_is_refused(tmp_path, capsys):
    write_splits(tmp_path)
    more = {"SM_HOSTS": '["algo-1", "algo-2"]', "SM_CURRENT_HOST": "algo-3"}
    assert train.main(QUICK, environment(tmp_path, **more)) == 1
    assert "SM_CURRENT_HOST must be one of algo-1, algo-2, not algo-3." in capsys.readouterr().err


# --- the threshold


probabilities = arrays(
    np.float32, st.integers(1, 40), elements=st.floats(2**-10, 1 - 2**-10, width=32)
)


@settings(deadline=None)
@given(probabilities)
def test_no_other_threshold_has_a_higher_expected_f1(p):
    def expect(threshold):
        chosen = p >= np.float32(threshold)
        return 2.0 * p[chosen].sum(dtype=float) / (chosen.sum() + p.sum(dtype=float))

    chosen = choose_threshold(p)
    assert np.float32(chosen) == chosen
    assert expect(chosen) >= max(expect(each) for each in p) - 1e-9


def test_the_threshold_lies_between_the_last_reported_and_the_first_silent_row():
    assert choose_threshold(np.array([0.9, 0.8, 0.01, 0.02], dtype=np.float32)) == pytest.approx(
        0.41
    )
