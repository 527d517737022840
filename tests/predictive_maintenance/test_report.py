"""The page a person looks at after an evaluation."""

import re
import xml.etree.ElementTree as ET

import numpy as np
import pyarrow as pa
import pytest

from pipelines.predictive_maintenance import metrics
from pipelines.predictive_maintenance.evaluate import model_quality, report
from pipelines.predictive_maintenance.evaluate.findings import Evaluation, interval
from pipelines.predictive_maintenance.evaluate.pictures import draw_curve
from pipelines.predictive_maintenance.evaluate.raw_rows import RawRows

COLUMNS = [
    {"name": "Type", "kind": "category", "categories": ("L", "M", "H")},
    {"name": "Torque <Nm>", "kind": "number", "categories": ()},
]


def evaluation(score=None):
    random = np.random.default_rng(1)
    label = (np.arange(400) % 8 == 0).astype(np.float32)
    noisy = np.clip(0.7 * label + random.normal(0.15, 0.15, 400), 0, 1).astype(np.float32)
    kinds, torques = ["LMH"[index % 2] for index in range(400)], [f"{i}.5" for i in range(400)]
    rows = RawRows(pa.table([kinds, torques], [column["name"] for column in COLUMNS]))
    return Evaluation(
        COLUMNS, rows, label, noisy if score is None else score, 0.5, {"a": 3.0, "b": 1.0}
    )


def render(chosen):
    cells = metrics.confuse(chosen.label, chosen.reported)
    measured = {
        "average_precision": metrics.average_precision(chosen.label, chosen.score),
        "auc": metrics.roc_auc(chosen.label, chosen.score),
        "f1": cells.f(1.0),
        "accuracy": cells.accuracy,
        "threshold": 0.5,
        "rows": cells.rows,
        "positives": cells.positives,
    }
    statistics = model_quality.describe(chosen.label, chosen.score, 0.5, 0)
    return report.render(chosen, measured, statistics, {"data": "<abc>"})


@pytest.fixture(scope="module")
def page():
    return render(evaluation())


def test_the_page_is_whole_in_itself(page):
    """It is opened from a bucket, a mail or a folder: nothing may be fetched and nothing run."""
    assert not re.search(r"<script|<link|src=|url\(|@import|https?:", page)


def test_every_picture_is_well_formed_and_says_what_it_is(page):
    pictures = re.findall(r"<svg.*?</svg>", page)
    assert len(pictures) == 4
    for picture in pictures:
        assert ET.fromstring(picture).attrib["aria-label"]  # noqa: S314  our own text
        assert "nan" not in picture


def test_the_headline_figures_are_those_of_the_decisions(page):
    chosen = evaluation()
    cells = metrics.confuse(chosen.label, chosen.reported)
    assert f"<b>{cells.recall:.3f}</b>" in page
    assert f"<b>{cells.precision:.3f}</b>" in page
    assert f"{cells.true_positives} of {cells.positives} failures are reported" in page


def test_every_misjudged_row_is_shown_with_its_raw_values(page):
    chosen = evaluation()
    wrong = chosen.errors()
    assert len(wrong) > 3
    assert page.count('<span class="tag') == len(wrong)
    for index in wrong:
        assert f"<td>{chosen.rows[index][1]}</td>" in page
    missed = [chosen.label[index] for index in wrong]
    assert missed == sorted(missed, reverse=True)


def test_a_perfect_model_has_no_misjudged_rows():
    perfect = render(evaluation(score=evaluation().label * np.float32(0.9)))
    assert "None." in perfect
    assert '<span class="tag' not in perfect


def test_names_from_the_data_cannot_become_markup(page):
    assert "Torque &lt;Nm&gt;" in page
    assert "<Nm>" not in page
    assert "&lt;abc&gt;" in page


def test_only_categories_that_occur_have_a_line():
    kinds = evaluation().by_category()
    assert list(kinds) == ["L", "M"]
    assert sum(cells.rows for cells in kinds.values()) == 400


def test_the_page_follows_the_readers_light_or_dark_and_width(page):
    assert "prefers-color-scheme: dark" in page
    assert "max-width: 480px" in page
    assert 'name="viewport"' in page


def test_calibration_counts_every_row_once_and_holds_the_truth_in_its_intervals():
    estimates = evaluation().calibration()
    assert sum(each.count for each in estimates) == 400
    for each in estimates:
        assert 0 <= each.low <= each.value <= each.high <= 1


@pytest.mark.parametrize(
    ("hits", "count", "expected"),
    [(0, 0, (0, 1)), (0, 10, (0, 0.2775)), (5, 10, (0.2366, 0.7634)), (10, 10, (0.7225, 1))],
)
def test_the_interval_of_a_share_is_wilsons(hits, count, expected):
    assert interval(hits, count) == pytest.approx(expected, abs=1e-4)


def test_the_operating_point_is_drawn_where_it_is():
    drawn = draw_curve("c", ("x", "y"), [(0, 0), (1, 1)], [(0, 0), (1, 1)], (0.0, 1.0))
    circle = ET.fromstring(drawn).find("circle")  # noqa: S314  our own text
    assert (float(circle.get("cx")), float(circle.get("cy"))) == (54.0, 14.0)
