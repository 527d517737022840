"""The report's pictures as SVG text: no plotting library, colours and fonts from the page."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

import numpy as np

_WIDTH: Final = 440
_HEIGHT: Final = 330
_LEFT, _RIGHT, _TOP, _BOTTOM = 54, 14, 14, 46
_UNIT: Final = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)

Points = Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Estimate:
    """A share with its interval, drawn at the place ``x``; ``count`` is what it rests on."""

    x: float
    value: float
    low: float
    high: float
    count: int


def draw_curve(
    name: str, axes: tuple[str, str], curve: Points, guess: Points, mark: tuple[float, float]
) -> str:
    """Draw a curve on the unit square, what guessing gives, and the chosen operating point."""
    x, y = mark
    # The label stands where the curve is not: towards the middle of the square.
    anchor, shift = ("end", -12) if x > 0.5 else ("start", 12)
    return _frame(
        name,
        axes,
        _area(curve),
        _polyline(guess, "guess"),
        _polyline(curve, "line"),
        f'<circle class="mark" cx="{_x(x)}" cy="{_y(y)}" r="5.5"/>',
        f'<text class="note" x="{_x(x) + shift:g}" y="{_y(y) + 22:g}" text-anchor="{anchor}">'
        "chosen threshold</text>",
    )


def draw_calibration(estimates: Sequence[Estimate]) -> str:
    """Draw the share of failures found at each predicted probability against that probability."""
    shapes = [_polyline(((0.0, 0.0), (1.0, 1.0)), "guess")]
    for each in estimates:
        radius = 3.0 + 1.2 * float(np.log10(each.count))
        shapes += [
            (
                f'<line class="whisker" x1="{_x(each.x)}" x2="{_x(each.x)}" '
                f'y1="{_y(each.low)}" y2="{_y(each.high)}"/>'
            ),
            (
                f'<circle class="dot" cx="{_x(each.x)}" cy="{_y(each.value)}" r="{radius:.1f}">'
                f"<title>{each.count} rows: predicted {each.x:.3f}, found {each.value:.3f}</title>"
                "</circle>"
            ),
        ]
    return _frame("Calibration", ("predicted probability", "share that failed"), *shapes)


def draw_scores(
    edges: Sequence[float], healthy: Sequence[int], failing: Sequence[int], threshold: float
) -> str:
    """Draw how many rows got which score: healthy ones upwards, failing ones downwards.

    The counts have a logarithmic scale, since healthy rows outnumber the others by far.
    """
    top, bottom, middle = _TOP + 4, _HEIGHT - _BOTTOM, (_TOP + _HEIGHT - _BOTTOM) / 2
    decades = max(1, int(np.ceil(np.log10(max(*healthy, *failing) + 1))))
    unit = (middle - top) / decades

    def length(count: int) -> float:
        return float(np.log10(count + 1)) * unit

    shapes = []
    for decade in range(1, decades + 1):
        for sign in (-1, 1):
            y = middle + sign * length(10**decade)
            if top <= y <= bottom:
                shapes += [
                    (
                        f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" '
                        f'y1="{y:.1f}" y2="{y:.1f}"/>'
                    ),
                    _text(_LEFT - 8, y + 4, f"{10**decade:,}", "end"),
                ]
    for low, high, well, bad in zip(edges[:-1], edges[1:], healthy, failing, strict=True):
        for count, kind, y in (
            (well, "healthy", middle - length(well)),
            (bad, "failing", middle),
        ):
            if count:
                shapes.append(
                    f'<rect class="{kind}" x="{_x(low) + 1:.1f}" y="{y:.1f}" '
                    f'width="{_x(high) - _x(low) - 2:.1f}" height="{length(count):.1f}" rx="1.5">'
                    f"<title>{count} {kind} rows score {low:.2f} to {high:.2f}</title></rect>"
                )
    at = _x(threshold)
    anchor, shift = ("end", -6) if threshold > 0.5 else ("start", 6)
    shapes += [
        f'<line class="axis" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{middle}" y2="{middle}"/>',
        f'<line class="cut" x1="{at}" x2="{at}" y1="{top}" y2="{bottom}"/>',
        (
            f'<text class="note" x="{at + shift:g}" y="{top + 12}" text-anchor="{anchor}">'
            f"threshold {threshold:.2f}</text>"
        ),
    ]
    ticks = [_text(_x(at_), _HEIGHT - _BOTTOM + 20, f"{at_:g}", "middle") for at_ in _UNIT]
    label = _text((_LEFT + _WIDTH - _RIGHT) / 2, _HEIGHT - 6, "score", "middle")
    return _svg("Scores of healthy and failing machines", *shapes, *ticks, label)


def _frame(name: str, axes: tuple[str, str], *shapes: str) -> str:
    x_label, y_label = axes
    grid = []
    for at in _UNIT:
        grid += [
            f'<line class="grid" x1="{_x(at)}" x2="{_x(at)}" y1="{_y(0)}" y2="{_y(1)}"/>',
            f'<line class="grid" x1="{_x(0)}" x2="{_x(1)}" y1="{_y(at)}" y2="{_y(at)}"/>',
            _text(_x(at), _HEIGHT - _BOTTOM + 20, f"{at:g}", "middle"),
            _text(_LEFT - 8, _y(at) + 4, f"{at:g}", "end"),
        ]
    middle = _y(0.5)
    return _svg(
        name,
        *grid,
        *shapes,
        _text(_x(0.5), _HEIGHT - 6, x_label, "middle"),
        f'<text x="14" y="{middle}" text-anchor="middle" transform="rotate(-90 14 {middle})">'
        f"{escape(y_label)}</text>",
    )


def _svg(name: str, *shapes: str) -> str:
    return (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(name)}">'
        f"{''.join(shapes)}</svg>"
    )


def _area(points: Points) -> str:
    along = " ".join(f"{_x(x)},{_y(y)}" for x, y in points)
    first, last = _x(points[0][0]), _x(points[-1][0])
    return f'<polygon class="area" points="{first},{_y(0)} {along} {last},{_y(0)}"/>'


def _polyline(points: Points, kind: str) -> str:
    along = " ".join(f"{_x(x)},{_y(y)}" for x, y in points)
    return f'<polyline class="{kind}" points="{along}"/>'


def _text(x: float, y: float, content: str, anchor: str) -> str:
    return f'<text x="{x:g}" y="{y:g}" text-anchor="{anchor}">{escape(content)}</text>'


def _x(value: float) -> float:
    return round(_LEFT + value * (_WIDTH - _LEFT - _RIGHT), 1)


def _y(value: float) -> float:
    return round(_HEIGHT - _BOTTOM - value * (_HEIGHT - _TOP - _BOTTOM), 1)
