"""Draw the pictures of the statistics pages from the recorded simulation, as SVG.

    python scripts/documentation/statistics_pictures.py          writes docs/assets/pictures/*.svg
    python scripts/documentation/statistics_pictures.py --check  exits with 1 where one of them is not what would be written

Every number comes from ``docs/results/operating_characteristics.json``; nothing is drawn that is not in it.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from jinja2 import Environment

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "docs" / "results" / "operating_characteristics.json"
PICTURES = ROOT / "docs" / "assets" / "pictures"

TEXT, GRID, TEAL, RED, GREY = "#263238", "#cfd8dc", "#00796b", "#b71c1c", "#546e7a"

BARS = """<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 720 {{ height }}" font-family="sans-serif" font-size="14">
<title>{{ title }}</title>
<rect width="720" height="{{ height }}" rx="6" fill="#ffffff"/>
<text x="16" y="26" font-weight="bold" fill="{{ text }}">{{ title }}</text>
{%- for bar in bars %}
<text x="236" y="{{ bar.y + 15 }}" text-anchor="end" fill="{{ text }}">{{ bar.label }}</text>
<rect x="244" y="{{ bar.y }}" width="{{ bar.width }}" height="20" fill="{{ bar.colour }}"/>
<text x="{{ 250 + bar.width }}" y="{{ bar.y + 15 }}" fill="{{ text }}">{{ bar.shown }}</text>
{%- endfor %}
<line x1="{{ mark }}" y1="40" x2="{{ mark }}" y2="{{ height - 34 }}" stroke="{{ text }}" stroke-dasharray="4 3"/>
<text x="{{ mark }}" y="{{ height - 14 }}" text-anchor="middle" fill="{{ text }}">{{ mark_label }}</text>
</svg>
"""

STACKS = """<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 720 {{ height }}" font-family="sans-serif" font-size="14">
<title>{{ title }}</title>
<rect width="720" height="{{ height }}" rx="6" fill="#ffffff"/>
<text x="16" y="26" font-weight="bold" fill="{{ text }}">{{ title }}</text>
{%- for row in rows %}
<text x="196" y="{{ row.y + 17 }}" text-anchor="end" fill="{{ text }}">{{ row.label }}</text>
{%- for part in row.parts %}
<rect x="{{ part.x }}" y="{{ row.y }}" width="{{ part.width }}" height="24" fill="{{ part.colour }}"/>
{%- if part.width > 46 %}
<text x="{{ part.x + part.width / 2 }}" y="{{ row.y + 17 }}" text-anchor="middle" fill="#ffffff">{{ part.shown }}</text>
{%- endif %}
{%- endfor %}
{%- endfor %}
{%- for entry in legend %}
<rect x="{{ 204 + 140 * loop.index0 }}" y="{{ height - 30 }}" width="14" height="14" fill="{{ entry.colour }}"/>
<text x="{{ 224 + 140 * loop.index0 }}" y="{{ height - 18 }}" fill="{{ text }}">{{ entry.label }}</text>
{%- endfor %}
</svg>
"""

LINES = """<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 720 320" font-family="sans-serif" font-size="14">
<title>{{ title }}</title>
<rect width="720" height="320" rx="6" fill="#ffffff"/>
<text x="16" y="26" font-weight="bold" fill="{{ text }}">{{ title }}</text>
{%- for tick in ticks_y %}
<line x1="60" y1="{{ tick.at }}" x2="560" y2="{{ tick.at }}" stroke="{{ grid }}"/>
<text x="52" y="{{ tick.at + 5 }}" text-anchor="end" fill="{{ text }}">{{ tick.label }}</text>
{%- endfor %}
{%- for tick in ticks_x %}
<text x="{{ tick.at }}" y="284" text-anchor="middle" fill="{{ text }}">{{ tick.label }}</text>
{%- endfor %}
<text x="310" y="308" text-anchor="middle" fill="{{ text }}">{{ axis }}</text>
{%- for line in lines %}
<polyline fill="none" stroke="{{ line.colour }}" stroke-width="2" points="{{ line.points }}"/>
<text x="568" y="{{ line.end + 5 }}" fill="{{ line.colour }}">{{ line.label }}</text>
{%- endfor %}
</svg>
"""


class Bar(NamedTuple):
    """A bar before it is laid out: what it stands for, its rate and its colour."""

    label: str
    rate: float
    colour: str = TEAL


def percent(rate: float) -> str:
    """A rate as a reader sees it.

    Example:
        >>> percent(0.0105), percent(0.35567), percent(0.0)
        ('1.1 %', '35.6 %', '0.0 %')
    """
    return f"{100 * rate:.1f} %"


def draw(template: str, **values: Any) -> str:
    """Fill a template; text is escaped."""
    environment = Environment(autoescape=True, keep_trailing_newline=True)
    return environment.from_string(template).render(text=TEXT, grid=GRID, **values)


def draw_bars(title: str, bars: Sequence[Bar], *, full: float, mark: float, mark_label: str) -> str:
    """Horizontal bars with one marked value; a rate of ``full`` fills the width."""

    def width(rate: float) -> float:
        return round(400 * min(rate, full) / full, 1)

    laid_out = [
        {
            "label": bar.label,
            "y": 44 + 30 * row,
            "width": width(bar.rate),
            "shown": percent(bar.rate),
            "colour": bar.colour,
        }
        for row, bar in enumerate(bars)
    ]
    height = 44 + 30 * len(bars) + 40
    return draw(
        BARS, title=title, bars=laid_out, height=height, mark=round(244 + width(mark), 1), mark_label=mark_label
    )


def draw_stacks(title: str, rows: Iterable[tuple[str, float, float]]) -> str:
    """A row for each true degradation, split into the chances of the three verdicts."""
    laid_out = []
    for number, (label, passes, fails) in enumerate(rows):
        left, parts = 204.0, []
        for share, colour in ((passes, TEAL), (max(0.0, 1 - passes - fails), GREY), (fails, RED)):
            width = round(490 * share, 1)
            parts.append({"x": round(left, 1), "width": width, "colour": colour, "shown": percent(share)})
            left += width
        laid_out.append({"label": label, "y": 44 + 36 * number, "parts": parts})
    legend = [
        {"label": label, "colour": colour} for label, colour in (("pass", TEAL), ("inconclusive", GREY), ("fail", RED))
    ]
    return draw(STACKS, title=title, rows=laid_out, legend=legend, height=44 + 36 * len(laid_out) + 44)


def draw_boundaries(rows: Sequence[dict[str, Any]]) -> str:
    """The value of t that each look asks for, by level."""
    names = {"margin_level": "5 %, at the margin", "alpha": "1 %", "alpha/6": "1 % over 6 metrics"}
    colours = {"margin_level": TEAL, "alpha": RED, "alpha/6": GREY}

    def place(look: float, t: float) -> tuple[float, float]:
        return round(60 + 500 * (look - 5) / 15, 1), round(264 - 220 * t / 10, 1)

    lines = []
    for row in rows:
        if row["level"] in names:
            points = [place(look, t) for look, t in zip(row["looks"], row["t"], strict=True)]
            lines.append(
                {
                    "label": names[row["level"]],
                    "colour": colours[row["level"]],
                    "points": " ".join(f"{x},{y}" for x, y in points),
                    "end": points[-1][1] + {"margin_level": 8, "alpha": 0, "alpha/6": -8}[row["level"]],
                }
            )
    return draw(
        LINES,
        title="What Student's t must exceed at each look",
        lines=lines,
        ticks_x=[{"at": place(look, 0)[0], "label": look} for look in rows[0]["looks"]],
        ticks_y=[{"at": place(5, t)[1], "label": t} for t in (0, 2, 4, 6, 8, 10)],
        axis="pairs measured",
    )


def pictures(results: dict[str, Any]) -> dict[str, str]:
    """Every picture by its name."""
    levels = {(row["noise"], row["pairs"]): row["level"]["rate"] for row in results["one_look_levels"]}
    symmetric = ("normal", "heavy tails", "outliers", "two states")
    noises = ("skewed degradations", "slow baseline", "dependent pairs")
    orders = {(row["machine"], row["order"]): row["clean_gate_fails"]["rate"] for row in results["orders_of_trials"]}
    quiet = next(row for row in results["whole_gates"] if row["metrics"] == 1 and row["margin_over_sd"] == 0.83)
    rates = {
        degradation: (
            quiet[degradation].get("passes", {}).get("rate", 0.0),
            quiet[degradation].get("fails", {}).get("rate", 0.0),
        )
        for degradation in ("clean", "double_margin", "sixfold_margin")
    }
    return {
        "boundaries": draw_boundaries(results["boundaries"]),
        "noise": draw_bars(
            "How often a t test at 1 % raises a false alarm, by the noise of 5 pairs",
            [Bar(noise, levels[noise, 5]) for noise in symmetric]
            + [Bar(noise, levels[noise, 5], RED) for noise in noises],
            full=0.25,
            mark=0.01,
            mark_label="nominal 1 %",
        ),
        "order": draw_bars(
            "Clean gates that fail while the machine drifts, by the order of the trials",
            [
                Bar("coin for two pairs (used)", orders["drift", "couples"]),
                Bar("coin for each pair", orders["drift", "coin"]),
                Bar("baseline always first", orders["drift", "baseline first"], RED),
                Bar("one block, then the other", orders["drift", "blocks"], RED),
            ],
            full=1.0,
            mark=0.01,
            mark_label="promised 1 %",
        ),
        "verdicts": draw_stacks(
            "What one noisy metric ends with, by its true degradation",
            [
                ("no degradation", *rates["clean"]),
                ("twice the margin", *rates["double_margin"]),
                ("six times the margin", *rates["sixfold_margin"]),
            ],
        ),
    }


def main() -> int:
    """Write or check."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing, compare")
    options = parser.parse_args()
    drawn = pictures(json.loads(RESULTS.read_text("utf-8")))
    if options.check:
        stale = [name for name, text in drawn.items() if (PICTURES / f"{name}.svg").read_text("utf-8") != text]
        print("\n".join(f"docs/assets/pictures/{name}.svg is not what the results give" for name in stale), end="")
        return int(bool(stale))
    PICTURES.mkdir(parents=True, exist_ok=True)
    for name, text in drawn.items():
        (PICTURES / f"{name}.svg").write_text(text, "utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
