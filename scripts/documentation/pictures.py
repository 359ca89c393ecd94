"""Small pictures of results as SVG that stands in the page, in the colours of the theme."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

WIDTH, LEFT, RIGHT, ROW = 720, 220, 20, 24
DASHES = ("none", "6 3", "2 3", "8 3 2 3")
MARKS = 5


def draw_degradations(title: str, rows: Sequence[tuple[str, float, float]], *, margin: float) -> str:
    """Draw intervals of degradations beside the margin, on a scale that shrinks what lies far outside.

    Args:
        title: What is shown.
        rows: Name, low and high end of each interval.
        margin: The tolerated degradation.
    """

    def place(degradation: float) -> float:
        scaled = math.asinh(2 * degradation / margin)
        return LEFT + (scaled - low) / (high - low) * (WIDTH - LEFT - RIGHT)

    ends = [math.asinh(2 * end / margin) for _, *both in rows for end in both] + [math.asinh(-2), math.asinh(4)]
    low, high = min(ends) - 0.2, max(ends) + 0.2
    height = ROW * len(rows) + 3 * ROW
    bottom = height - 1.5 * ROW
    parts = [
        f'<line x1="{place(at):.1f}" y1="{ROW}" x2="{place(at):.1f}" y2="{bottom:.1f}" class="{kind}"/>'
        f'<text x="{place(at):.1f}" y="{bottom + 16:.1f}" text-anchor="middle">{label}</text>'
        for at, kind, label in ((0, "axis", "0"), (margin, "margin", f"margin {margin:g}"))
    ]
    for number, (name, start, end) in enumerate(rows):
        y = ROW * (number + 1.5)
        parts.append(
            f'<text x="{LEFT - 10}" y="{y + 4:.1f}" text-anchor="end">{escape(name)}</text>'
            f'<line x1="{place(start) - 2:.1f}" y1="{y:.1f}" x2="{place(end) + 2:.1f}" y2="{y:.1f}" class="interval"/>'
        )
    description = "; ".join(f"{name}: {start:.3g} to {end:.3g}" for name, start, end in rows)
    return _figure(title, f"Margin {margin:g}. {description}", height, parts)


def draw_rates(title: str, curves: Sequence[tuple[str, Sequence[tuple[float, float]]]]) -> str:
    """Draw rates over a degradation in margins.

    Args:
        title: What is shown.
        curves: A name, and degradation and rate of each point.
    """
    left, top, bottom, height = 60, 16, 240, 290 + ROW * len(curves)
    last = max(degradation for _, points in curves for degradation, _ in points)

    def at(degradation: float, rate: float) -> tuple[float, float]:
        return left + degradation / last * (WIDTH - left - RIGHT), bottom - rate * (bottom - top)

    parts = []
    for step in range(MARKS):
        rate = step / (MARKS - 1)
        x, y = at(0, rate)
        parts.append(
            f'<line x1="{x}" y1="{y:.1f}" x2="{WIDTH - RIGHT}" y2="{y:.1f}" class="axis"/>'
            f'<text x="{x - 8}" y="{y + 4:.1f}" text-anchor="end">{rate:.0%}</text>'
        )
    for degradation in range(int(last) + 1):
        parts.append(
            f'<text x="{at(degradation, 0)[0]:.1f}" y="{bottom + 20}" text-anchor="middle">{degradation}</text>'
        )
    for number, (name, points) in enumerate(curves):
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in (at(*point) for point in points))
        y = bottom + 44 + ROW * number
        style = f'class="curve" stroke-dasharray="{DASHES[number % len(DASHES)]}"'
        parts.append(
            f'<polyline points="{path}" {style}/><line x1="{left}" y1="{y}" x2="{left + 50}" y2="{y}" {style}/>'
            f'<text x="{left + 60}" y="{y + 4}">{escape(name)}</text>'
        )
    description = "; ".join(
        f"{name}: " + ", ".join(f"{rate:.1%} at {degradation:g}" for degradation, rate in points)
        for name, points in curves
    )
    return _figure(title, description, height, parts)


def _figure(title: str, description: str, height: float, parts: Sequence[str]) -> str:
    return (
        f'<figure class="picture" tabindex="0"><svg viewBox="0 0 {WIDTH} {height:.0f}" role="img" aria-label="{escape(title)}">'
        f"<desc>{escape(description)}</desc>{''.join(parts)}</svg>"
        f"<figcaption>{escape(title)}</figcaption></figure>\n"
    )
