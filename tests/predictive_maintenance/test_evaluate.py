"""The evaluation job and the files it writes."""

import csv
import io
import json
import math
import shutil
import tarfile
from pathlib import Path

import jsonschema
import numpy as np
import pytest
import sklearn.metrics
from hypothesis import given, settings
from hypothesis import strategies as st
from modelling import train_quickly

from pipelines.predictive_maintenance import metrics, table
from pipelines.predictive_maintenance.evaluate import evaluate, model_quality, sample, scores
from pipelines.predictive_maintenance.evaluate.thin import thin
from pipelines.predictive_maintenance.inference.classifier.inference import model_fn

REPOSITORY = Path(__file__).parents[2]
SCHEMA = Path(evaluate.__file__).with_name("deployment.schema.json")


@pytest.fixture(scope="module")
def job(tmp_path_factory):
    folder = tmp_path_factory.mktemp("evaluate")
    train_quickly(folder)
    assert run(folder) == 0
    return folder


def run(folder, **paths):
    places = {"model": "archive", "test": "test", "schema": "schema", "output": "."} | paths
    arguments = [
        part for name, place in places.items() for part in (f"--{name}", str(folder / place))
    ]
    return evaluate.main(arguments, {"PROCESSING_EXIT_MESSAGE_FILE": str(folder / "message")})


def read(job, name):
    return json.loads((job / "evaluation" / name).read_text())


def predict(job):
    features, label = table.read(job / "test")
    score = model_fn(str(job / "model")).score(features)
    return label, np.array(score, dtype=np.float32)


labelled = st.lists(
    st.tuples(st.booleans(), st.integers(1, 9).map(lambda tenths: tenths / 10)),
    min_size=2,
    max_size=60,
).filter(lambda rows: len({label for label, _ in rows}) == 2)


@settings(deadline=None)
@given(labelled)
def test_our_metrics_are_scikit_learns(rows):
    """With many ties among the scores, where hand-made curves go wrong."""
    label = np.array([each for each, _ in rows], dtype=float)
    score = np.array([each for _, each in rows])
    theirs = sklearn.metrics
    assert metrics.roc_auc(label, score) == pytest.approx(theirs.roc_auc_score(label, score))
    assert metrics.average_precision(label, score) == pytest.approx(
        theirs.average_precision_score(label, score)
    )
    assert metrics.logloss(label, score) == pytest.approx(theirs.log_loss(label, score))
    decision = score >= 0.5
    cells = metrics.confuse(label, decision)
    assert cells.precision == theirs.precision_score(label, decision, zero_division=0)
    assert cells.recall == theirs.recall_score(label, decision)
    assert cells.accuracy == theirs.accuracy_score(label, decision)
    for beta in (0.5, 1.0, 2.0):
        assert cells.f(beta) == pytest.approx(
            theirs.fbeta_score(label, decision, beta=beta, zero_division=0)
        )


# --- metrics.json


def test_the_gate_reads_flat_numbers_of_the_test_data(job):
    measured = read(job, "metrics.json")
    label, score = predict(job)
    assert all(isinstance(value, int | float) for value in measured.values())
    assert measured["rows"] == label.size
    assert measured["positives"] == label.sum()
    assert measured["average_precision"] == pytest.approx(
        sklearn.metrics.average_precision_score(label, score)
    )
    assert measured["recall"] == sklearn.metrics.recall_score(
        label, score >= np.float32(measured["threshold"])
    )


# --- Model Monitor's format


def test_the_statistics_agree_with_the_metrics(job):
    described = read(job, "evaluation.json")["binary_classification_metrics"]
    measured = read(job, "metrics.json")
    for name in ("auc", "f1", "precision", "recall", "accuracy"):
        assert described[name]["value"] == pytest.approx(measured[name])
        assert 0 <= described[name]["standard_deviation"] < 0.2
    cells = described["confusion_matrix"]
    assert sum(sum(row.values()) for row in cells.values()) == measured["rows"]
    assert sum(cells["1"].values()) == measured["positives"]


def test_the_constant_classifier_always_says_failure(job):
    described = read(job, "evaluation.json")["binary_classification_metrics"]
    share = read(job, "metrics.json")["positives"] / read(job, "metrics.json")["rows"]
    assert described["recall_best_constant_classifier"]["value"] == 1.0
    assert described["accuracy_best_constant_classifier"]["value"] == pytest.approx(share)
    assert described["f1_best_constant_classifier"]["value"] == pytest.approx(
        2 * share / (1 + share)
    )


def test_few_rows_have_no_standard_deviation():
    label, score = np.arange(199) % 5 == 0, np.linspace(0, 1, 199, dtype=np.float32)
    few = model_quality.describe(label.astype(np.float32), score, 0.5, 0)
    assert few["binary_classification_metrics"]["f1"]["standard_deviation"] == "NaN"
    assert "NaN" not in json.dumps(
        model_quality.describe(np.tile(label, 2).astype(np.float32), np.tile(score, 2), 0.5, 0)
    )


def test_the_constraints_allow_no_metric_to_get_worse(job):
    described = read(job, "evaluation.json")["binary_classification_metrics"]
    constraints = read(job, "constraints.json")["binary_classification_constraints"]
    assert {"recall", "precision", "accuracy", "auc", "f1", "f0_5", "f2"} < set(constraints)
    for name, rule in constraints.items():
        worse = "Greater" if name in {"false_positive_rate", "false_negative_rate"} else "Less"
        assert rule == {
            "threshold": described[name]["value"],
            "comparison_operator": f"{worse}ThanThreshold",
        }


def test_a_thinned_curve_has_its_ends_its_area_and_few_points():
    random = np.random.default_rng(5)
    label = random.random(20_000) < 0.1
    score = random.normal(size=20_000) + 1.5 * label
    x, y = metrics.roc_curve(label, score)
    kept = thin(x, y)
    assert kept.size <= 200 < x.size
    assert (kept[0], kept[-1]) == (0, x.size - 1)
    assert np.all(np.diff(kept) > 0)
    assert np.trapezoid(y[kept], x[kept]) == pytest.approx(np.trapezoid(y, x), abs=5e-4)
    assert np.abs(np.interp(x, x[kept], y[kept]) - y).max() < 0.02


@settings(deadline=None)
@given(st.lists(st.integers(0, 5), min_size=2, max_size=30))
def test_thinning_a_small_curve_changes_nothing_of_its_shape(heights):
    x, y = np.arange(len(heights), dtype=float), np.array(heights, dtype=float)
    kept = thin(x, y)
    np.testing.assert_allclose(np.interp(x, x[kept], y[kept]), y, atol=1e-9)


# --- scores.json


def test_every_score_is_counted_once(job):
    baseline = read(job, "scores.json")
    _, score = predict(job)
    histogram = baseline["histogram"]
    assert sum(histogram["counts"]) == baseline["rows"] == score.size
    assert len(histogram["counts"]) == len(histogram["edges"]) - 1 >= 10
    assert baseline["mean"] == pytest.approx(score.mean(), rel=1e-5)
    quantiles = [each["score"] for each in baseline["quantiles"]]
    assert quantiles == sorted(quantiles)
    assert (quantiles[0], quantiles[-1]) == (score.min(), score.max())


def test_the_surest_scores_fall_into_the_outermost_bins():
    counts = scores.describe(np.array([0.0, 1.0], dtype=np.float32), 0.5)["histogram"]["counts"]
    assert (counts[0], counts[-1], sum(counts)) == (1, 1, 2)


# --- deployment.json


def test_the_deployment_document_keeps_the_contract(job):
    contract = json.loads(SCHEMA.read_text())
    jsonschema.Draft202012Validator.check_schema(contract)
    document = read(job, "deployment.json")
    jsonschema.Draft202012Validator(contract).validate(document)
    for name in document["files"].values():
        assert (job / "evaluation" / name).is_file(), name


def test_both_sides_hold_the_same_contract():
    assert (REPOSITORY / "deploy_endpoint" / SCHEMA.name).read_bytes() == SCHEMA.read_bytes()


def test_the_sample_lies_on_both_sides_of_the_threshold_in_both_formats(job):
    document = read(job, "deployment.json")
    payloads, expected = document["sample"]["payloads"], document["sample"]["expected"]
    assert {each["predicted_label"] for each in expected} == {0, 1}
    for each in expected:
        assert each["predicted_label"] == (each["score"] >= document["threshold"])
    instances = json.loads(payloads["application/json"])["instances"]
    lines = list(csv.reader(io.StringIO(payloads["text/csv"])))
    names = [column["name"] for column in document["columns"]]
    assert [list(each) for each in instances] == [names] * len(expected)
    assert len(lines) == len(instances) == len(expected)
    for line, instance in zip(lines, instances, strict=True):
        assert line[0] == instance["Type"]
        assert [float(value) for value in line[1:]] == [instance[name] for name in names[1:]]


def test_the_archive_holds_the_payloads_of_the_document(job):
    payloads = read(job, "deployment.json")["sample"]["payloads"]
    with tarfile.open(job / "evaluation" / "sample_payload.tar.gz") as tar:
        packed = {each.name: tar.extractfile(each).read().decode() for each in tar}
    assert packed == {
        "payload.csv": payloads["text/csv"],
        "payload.json": payloads["application/json"],
    }


def test_a_sample_is_drawn_even_when_nothing_is_reported():
    column = {"name": "Type", "kind": "category"}
    drawn = sample.draw([column], [["L"], ["M"]], np.array([0.1, 0.2], dtype=np.float32), 0.5)
    assert drawn.csv == "M\nL\n"
    assert [each["predicted_label"] for each in drawn.expected] == [0, 0]


def test_the_same_inputs_give_the_same_bytes(job, tmp_path):
    assert run(job, output=tmp_path) == 0
    written = {path.name: path.read_bytes() for path in (job / "evaluation").iterdir()}
    again = {path.name: path.read_bytes() for path in (tmp_path / "evaluation").iterdir()}
    assert written == again


# --- what the user can mend


def change_rows(folder):
    text = (folder / "test" / "rows.csv").read_text().splitlines(keepends=True)
    (folder / "test" / "rows.csv").write_text("".join(text[:-1]))


def rename_column(folder):
    text = (folder / "test" / "rows.csv").read_text()
    (folder / "test" / "rows.csv").write_text(text.replace("Torque [Nm]", "Torque", 1))


def take_away_failures(folder):
    features, label = table.read(folder / "test")
    table.write(folder / "test" / "data.parquet", features, np.zeros_like(label))


def empty_archive(folder):
    with tarfile.open(folder / "archive" / "model.tar.gz", "w:gz"):
        pass


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (change_rows, "rows.csv must hold the 1000 rows of data.parquet; it holds 999."),
        (rename_column, "the rule is ['Type',"),
        (take_away_failures, "it has 1000 rows, 0 with a failure."),
        (empty_archive, "model.tar.gz must hold xgboost-model.ubj"),
        (lambda folder: (folder / "archive" / "model.tar.gz").unlink(), "there is no file"),
        (lambda folder: (folder / "schema" / "schema.json").unlink(), "there is no file"),
    ],
)
def test_what_does_not_fit_ends_the_job_with_a_sentence(job, tmp_path, capsys, spoil, sentence):
    folder = tmp_path / "job"
    shutil.copytree(job, folder)
    spoil(folder)
    assert run(folder, output="again") == 1
    assert sentence in capsys.readouterr().err
    assert sentence in (folder / "message").read_text()
    assert not (folder / "again").exists()


def test_no_file_holds_a_number_that_json_does_not_know(job):
    def refuse(name):
        raise AssertionError(name)

    for path in (job / "evaluation").glob("*.json"):
        json.loads(path.read_text(), parse_constant=refuse)
    assert math.isfinite(read(job, "metrics.json")["logloss"])
