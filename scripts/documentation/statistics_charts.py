"""Charts of the pages about statistics, from ``docs/results/operating_characteristics.json``.

A page asks for one by ``{{ chart("NAME") }}``. Every number is from the file.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from scripts.documentation.charts import Axis, Bar, Mark, Row, draw_intervals, draw_stacks
from scripts.documentation.marks import SHARE, percent, rate_mark, steps


def verdicts(document: Any) -> str:
    """What one noisy metric ends with, by its true degradation."""
    gate = next(row for row in document["whole_gates"] if row["metrics"] == 1 and row["margin_over_sd"] == 0.83)
    bars = []
    for key, name in (
        ("clean", "no degradation"),
        ("double_margin", "twice the margin"),
        ("sixfold_margin", "six times the margin"),
    ):
        passes, fails = (gate[key].get(verdict, {}).get("rate", 0.0) for verdict in ("passes", "fails"))
        parts = (passes, fails, max(0.0, 1 - passes - fails))
        bars.append(Bar(name, parts, " · ".join(percent(part, 1) for part in parts)))
    return draw_stacks(
        "verdicts",
        f"Verdicts on one metric by its true degradation, with a margin of {gate['margin_over_sd']:g} standard deviations "
        "of a pair",
        bars,
        axis=SHARE,
        series=["pass", "fail", "inconclusive"],
    )


def noise(document: Any) -> str:
    """How often the test is wrong at 1 %, by the noise."""
    rows = [
        Row(row["noise"], [rate_mark(0, row["level"])], percent(row["level"]["rate"], 1))
        for row in document["one_look_levels"]
        if row["pairs"] == 5
    ]
    return _rates(
        "noise", "How often Student's t fails a clean change at 1 %, by kind of noise, with 5 pairs", rows, "nominal"
    )


def order(document: Any) -> str:
    """How often clean gates fail while the machine drifts, by the order of the trials."""
    names = {
        "couples": "one coin for two pairs (used)",
        "coin": "a coin for each pair",
        "alternate": "in turns",
        "baseline first": "baseline always first",
        "blocks": "one block, then the other",
    }
    measured = {
        row["order"]: row["clean_gate_fails"] for row in document["orders_of_trials"] if row["machine"] == "drift"
    }
    rows = [Row(name, [rate_mark(0, measured[key])], percent(measured[key]["rate"], 1)) for key, name in names.items()]
    title = "How often a clean gate fails while the machine drifts, by the order of the trials"
    return _rates("order", title, rows, "stated")


def _rates(name: str, title: str, rows: list[Row], nominal: str) -> str:
    """Draw rates of false alarms beside 1 %."""
    axis = Axis(
        "false alarms, %; logarithmic beyond 1 %",
        [0, 0.005, 0.01, 0.1, 1],
        (0, 1),
        "symlog",
        linear_to=0.01,
        show=SHARE.show,
    )
    return draw_intervals(name, f"{title}, with 95 % intervals", rows, axis=axis, lines={0.01: f"{nominal}: 1 %"})


def boundaries(document: Any) -> str:
    """What t must exceed at each look, by level."""
    names = {"margin_level": "5 %, at the margin", "alpha": "1 %", "alpha/6": "1 % over 6 metrics"}
    levels = [(name, row) for row in document["boundaries"] for key, name in names.items() if row["level"] == key]
    rows = []
    for index, look in enumerate(levels[0][1]["looks"]):
        marks = [Mark(number, row["t"][index], 0, row["t"][index]) for number, (_, row) in enumerate(levels)]
        rows.append(Row(f"after {look} pairs", marks, " · ".join(f"{mark.value:.2f}" for mark in marks)))
    highest = 1.02 * max(mark.value for row in rows for mark in row.marks)
    return draw_intervals(
        "boundaries",
        "What Student's t must exceed at each look, by level",
        rows,
        axis=Axis("Student's t", steps(0, highest), (0, highest)),
        series=[name for name, _ in levels],
    )


CHARTS: Mapping[str, Callable[[Any], str]] = {
    "verdicts": verdicts,
    "noise": noise,
    "order": order,
    "boundaries": boundaries,
}
"""What draws each chart, by the name that a page gives."""
