"""report.html: one page a person looks at, whole in itself - no network, no script."""

from collections.abc import Iterable, Mapping
from html import escape
from typing import Any, Final

import numpy as np

from pipelines.predictive_maintenance import metrics
from pipelines.predictive_maintenance.evaluate import pictures
from pipelines.predictive_maintenance.evaluate.findings import Evaluation, interval
from pipelines.predictive_maintenance.evaluate.style import STYLE

_SCORE_EDGES: Final = tuple(round(edge, 2) for edge in np.linspace(0.0, 1.0, 26).tolist())
_MOST_ERRORS: Final = 50


def render(
    evaluation: Evaluation,
    measured: Mapping[str, float | int],
    statistics: Mapping[str, Any],
    facts: Mapping[str, str],
) -> str:
    """Return the page for one evaluation; ``statistics`` is the model-quality document.

    ``facts`` are the lines under the title: what was trained on what.
    """
    described = statistics["binary_classification_metrics"]
    cells = metrics.confuse(evaluation.label, evaluation.reported)
    body = (
        _header(measured, facts),
        _tiles(cells, measured, described),
        _pair(
            _figure("Decisions", _matrix(cells), _caption_of_matrix(cells)),
            _figure("Scores", _scores(evaluation), _CAPTION_OF_SCORES),
        ),
        "<h2>How good are the scores?</h2>",
        (
            '<p class="lead">Both curves pass through every threshold that could have been chosen; '
            "the ring marks the one that was, on the validation data.</p>"
        ),
        _pair(
            _figure(
                "Precision and recall",
                _precision_recall(described, cells),
                f"Average precision {measured['average_precision']:.3f}. The dashed line is what "
                "reporting machines at random would reach.",
            ),
            _figure(
                "ROC",
                _roc(described, cells),
                f"Area {measured['auc']:.3f}. Failures are rare, so this curve flatters every "
                "model: judge by the other one.",
            ),
        ),
        _pair(
            _figure(
                "Calibration",
                pictures.draw_calibration(evaluation.calibration()),
                "On the dashed line a predicted probability is what happens. Bars are 95 % "
                "intervals, larger dots rest on more rows.",
            ),
            _figure(
                "What the model looks at",
                _importance(evaluation.gain),
                "Share of the loss that splits on each feature removed (gain). Margins measure the "
                "distance to a published limit; the other features mostly refine them.",
            ),
        ),
        f"<h2>By {escape(_category(evaluation).lower())}</h2>",
        '<p class="lead">One threshold for all. Intervals are wide where failures are few.</p>',
        _by_category(evaluation),
        _errors(evaluation),
        (
            "<footer>Intervals of shares are Wilson's at 95 %. A value after &plusmn; is the "
            "standard deviation over five random samples of 80 % of the test rows, as in "
            "evaluation.json; it is smaller than the uncertainty of a new test set. The rows are "
            "split at random: on a stretch of time unlike the training data the model does worse."
            "</footer>"
        ),
    )
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Evaluation: predictive maintenance</title><style>{STYLE}</style></head>"
        f"<body><main>{''.join(body)}</main></body></html>\n"
    )


_CAPTION_OF_SCORES: Final = (
    'Rows by score, on a logarithmic scale: <i class="key up"></i>healthy machines upwards, '
    '<i class="key down"></i>failing ones downwards. Right of the dashed line a machine is '
    "reported."
)


def _header(measured: Mapping[str, float | int], facts: Mapping[str, str]) -> str:
    lines = " &middot; ".join(
        f"{escape(name)} <code>{escape(value)}</code>" for name, value in facts.items()
    )
    return (
        "<header><h1>Will this machine fail?</h1>"
        f"<p>Evaluation on {measured['rows']:,} test rows the model never saw, "
        f"{measured['positives']} of them failures.<br>{lines}</p></header>"
    )


def _tiles(
    cells: metrics.Confusion,
    measured: Mapping[str, float | int],
    described: Mapping[str, Any],
) -> str:
    reported = cells.true_positives + cells.false_positives
    base = cells.positives / cells.rows
    tiles = (
        (
            "Recall",
            cells.recall,
            (
                f"{cells.true_positives} of {cells.positives} failures are reported"
                f" ({_span(cells.true_positives, cells.positives)})."
            ),
        ),
        (
            "Precision",
            cells.precision,
            (
                f"{cells.true_positives} of {reported} reports are right"
                f" ({_span(cells.true_positives, reported)})."
            ),
        ),
        (
            "F1",
            measured["f1"],
            (
                f"Their balance, &plusmn;{_deviation(described['f1'])}. Reporting every machine "
                f"gets {described['f1_best_constant_classifier']['value']:.3f}."
            ),
        ),
        (
            "Average precision",
            measured["average_precision"],
            (
                f"Over all thresholds; guessing gets {base:.3f}. Accuracy is "
                f"{measured['accuracy']:.3f}, but silence alone gets {1 - base:.3f}."
            ),
        ),
    )
    return (
        '<section class="tiles">'
        + "".join(
            f'<div class="tile"><h3>{name}</h3><b>{value:.3f}</b><p>{text}</p></div>'
            for name, value, text in tiles
        )
        + "</section><h2>What it decides</h2>"
        '<p class="lead">A machine is reported from a score of '
        f"{measured['threshold']:.3f} on.</p>"
    )


def _matrix(cells: metrics.Confusion) -> str:
    def cell(kind: str, count: int, text: str) -> str:
        return f'<div class="cell {kind}"><b>{count:,}</b>{text}</div>'

    return (
        '<div class="matrix"><span></span><span class="top">not reported</span>'
        '<span class="top">reported</span><span>healthy</span>'
        f"{cell('right', cells.true_negatives, 'rightly quiet')}"
        f"{cell('wrong', cells.false_positives, 'false alarms')}<span>failing</span>"
        f"{cell('wrong', cells.false_negatives, 'missed failures')}"
        f"{cell('right', cells.true_positives, 'rightly reported')}</div>"
    )


def _caption_of_matrix(cells: metrics.Confusion) -> str:
    return (
        f"Of 1,000 healthy machines {1000 * cells.false_positive_rate:.1f} are reported for "
        f"nothing; of 100 failing ones {100 * (1 - cells.recall):.0f} are missed."
    )


def _scores(evaluation: Evaluation) -> str:
    failing = evaluation.label > 0
    healthy_counts, failing_counts = (
        np.histogram(evaluation.score[chosen].astype(float), bins=_SCORE_EDGES)[0].tolist()
        for chosen in (~failing, failing)
    )
    return pictures.draw_scores(_SCORE_EDGES, healthy_counts, failing_counts, evaluation.threshold)


def _precision_recall(described: Mapping[str, Any], cells: metrics.Confusion) -> str:
    curve = described["precision_recall_curve"]
    base = cells.positives / cells.rows
    return pictures.draw_curve(
        "Precision-recall curve",
        ("recall: share of failures reported", "precision: share of reports right"),
        list(zip(curve["recalls"], curve["precisions"], strict=True)),
        [(0.0, base), (1.0, base)],
        (cells.recall, cells.precision),
    )


def _roc(described: Mapping[str, Any], cells: metrics.Confusion) -> str:
    curve = described["receiver_operating_characteristic_curve"]
    return pictures.draw_curve(
        "ROC curve",
        ("share of healthy machines reported", "share of failures reported"),
        list(zip(curve["false_positive_rates"], curve["true_positive_rates"], strict=True)),
        [(0.0, 0.0), (1.0, 1.0)],
        (cells.false_positive_rate, cells.recall),
    )


def _importance(gain: Mapping[str, float]) -> str:
    total = sum(gain.values()) or 1.0
    shares = sorted(((value / total, name) for name, value in gain.items()), reverse=True)
    widest = shares[0][0] if shares else 1.0
    return (
        '<div class="bars">'
        + "".join(
            f"<span>{escape(name.replace('_', ' '))}</span>"
            f'<span><i style="width:{100 * share / (widest or 1.0):.1f}%"></i></span>'
            f"<em>{100 * share:.1f} %</em>"
            for share, name in shares
        )
        + "</div>"
    )


def _category(evaluation: Evaluation) -> str:
    return str(next(each["name"] for each in evaluation.columns if each["kind"] == "category"))


def _by_category(evaluation: Evaluation) -> str:
    rows = [
        (
            escape(kind),
            f"{cells.rows:,}",
            str(cells.positives),
            str(cells.true_positives),
            str(cells.false_negatives),
            str(cells.false_positives),
            _share(cells.true_positives, cells.positives),
            _share(cells.true_positives, cells.true_positives + cells.false_positives),
        )
        for kind, cells in evaluation.by_category().items()
    ]
    head = ("rows", "failures", "reported", "missed", "false alarms", "recall", "precision")
    return _table((escape(_category(evaluation)), *head), rows)


def _errors(evaluation: Evaluation) -> str:
    wrong = evaluation.errors()
    if not wrong:
        return "<h2>Misjudged rows</h2><p class=lead>None.</p>"
    rows = [
        (
            f'<span class="tag">missed</span> {index + 1}'
            if evaluation.label[index]
            else f'<span class="tag quiet">false alarm</span> {index + 1}',
            f"{evaluation.score[index]:.3f}",
            *(escape(value) for value in evaluation.rows[index]),
        )
        for index in wrong[:_MOST_ERRORS]
    ]
    more = f" The first {_MOST_ERRORS} of them:" if len(wrong) > _MOST_ERRORS else ""
    return (
        f'<h2>Misjudged rows</h2><p class="lead">All {len(wrong)} errors as the sensors saw them; '
        f"a row's number counts the test rows from 1.{more}</p>"
        + _table(("row", "score", *(escape(each["name"]) for each in evaluation.columns)), rows)
    )


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    top = "".join(f"<th>{each}</th>" for each in head)
    body = "".join(f"<tr>{''.join(f'<td>{each}</td>' for each in row)}</tr>" for row in rows)
    return f'<div class="card"><table><tr>{top}</tr>{body}</table></div>'


def _figure(title: str, picture: str, caption: str) -> str:
    return f"<figure><h3>{title}</h3>{picture}<figcaption>{caption}</figcaption></figure>"


def _pair(*figures: str) -> str:
    return f'<section class="pair">{"".join(figures)}</section>'


def _share(hits: int, count: int) -> str:
    return f"{hits / count:.2f} ({_span(hits, count)})" if count else "&ndash;"


def _span(hits: int, count: int) -> str:
    low, high = interval(hits, count)
    return f"{low:.2f}&ndash;{high:.2f}"


def _deviation(metric: Mapping[str, Any]) -> str:
    value = metric["standard_deviation"]
    return value if isinstance(value, str) else f"{value:.3f}"
