"""Charts of results as SVG that stands in a page, drawn by Matplotlib in the colours of the theme.

Two kinds serve all results: intervals beside each other (:func:`draw_intervals`) and bars of parts
(:func:`draw_stacks`); :func:`on_page` takes any other drawing. Each row bears its name above its marks, so that a chart is as legible on a phone as on a desk.
The bytes follow from the arguments alone. Text stays text; a title and a description that lists every number stand for
the picture where it cannot be seen.
"""

from __future__ import annotations

import io
import re
import textwrap
from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import Literal, NamedTuple
from xml.etree import ElementTree

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedFormatter, FixedLocator, NullLocator

SVG, XLINK = "http://www.w3.org/2000/svg", "{http://www.w3.org/1999/xlink}href"

WIDTH, LEFT, RIGHT = 420, 16, 16
LINE, MARK, GAP = 17, 13, 11
"""Heights of a line of text, of a line of marks and of the room between two rows."""

LETTERS = 56
"""How many letters of a usual text a line of a chart holds."""

TEXT, QUIET, GRID = "#010101", "#020202", "#030303"
SERIES = ("#040401", "#040402", "#040403", "#040404")
MARKERS = ("o", "s", "D", "^")
COLOURS = {
    TEXT: "--chart-text",
    QUIET: "--chart-quiet",
    GRID: "--chart-grid",
    **{colour: f"--chart-{number}" for number, colour in enumerate(SERIES, 1)},
}
"""Variables of the style sheet by the colours that stand for them while Matplotlib draws."""

Scale = Literal["linear", "log", "symlog"]
LETTER_SIZE = re.compile(r"font: [^;]*?(\d+(?:\.\d+)?px)[^;]*")
TYPEFACE = re.compile(r"font-family: [^;]*(?:; )?")
NO_TURN = re.compile(r"rotate\(-?0 ")


class Mark(NamedTuple):
    """A value and its interval.

    Attributes:
        series: Number of the series, from 0.
        value: Where the mark stands.
        low: Lower end of the interval.
        high: Upper end of it.
    """

    series: int
    value: float
    low: float
    high: float


class Row(NamedTuple):
    """One row of a chart of intervals.

    Attributes:
        name: What was measured.
        marks: Values with their intervals.
        note: Its numbers as a reader sees them.
    """

    name: str
    marks: Sequence[Mark]
    note: str = ""


class Bar(NamedTuple):
    """One row of a chart of bars.

    Attributes:
        name: What was measured.
        parts: Length of each part, in the order of the series.
        note: Its numbers as a reader sees them.
    """

    name: str
    parts: Sequence[float]
    note: str


class Axis(NamedTuple):
    """The axis that all rows share.

    Attributes:
        label: Quantity and unit.
        ticks: Where it is marked.
        limits: Its ends.
        scale: How values are spread.
        linear_to: Up to which distance from 0 a ``symlog`` scale is linear.
        show: Text of a mark.
    """

    label: str
    ticks: Sequence[float]
    limits: tuple[float, float]
    scale: Scale = "linear"
    linear_to: float = 1
    show: Callable[[float], str] = "{:g}".format


def draw_intervals(
    name: str,
    title: str,
    rows: Sequence[Row],
    *,
    axis: Axis,
    series: Sequence[str] = (),
    lines: Mapping[float, str] | None = None,
) -> str:
    """Draw values with their intervals, one row below the other.

    Args:
        name: Of the chart, unique on its page.
        title: What is shown.
        rows: From top to bottom.
        axis: What the rows are placed on.
        series: What each series is called, if there are several.
        lines: Values that others are held to, and what they are called.
    """
    layout = _Layout([(row.name, row.note, len(row.marks)) for row in rows], series, lines or {})
    figure, axes = layout.begin(axis)
    for row, top in zip(rows, layout.tops, strict=True):
        for number, mark in enumerate(row.marks):
            y = top + MARK * (number + 0.5)
            colour = SERIES[mark.series]
            axes.plot([mark.low, mark.high], [y, y], color=colour, linewidth=3, solid_capstyle="butt", clip_on=False)
            axes.plot([mark.value], [y], color=colour, marker=MARKERS[mark.series], markersize=8, clip_on=False)
    for number, text in enumerate(series):
        layout.explain(axes, number, text, marker=MARKERS[number])
    return _figure(name, title, figure, [(row.name, row.note) for row in rows], lines or {})


def draw_stacks(
    name: str,
    title: str,
    bars: Sequence[Bar],
    *,
    axis: Axis,
    series: Sequence[str] = (),
) -> str:
    """Draw bars of parts, one below the other.

    Args:
        name: Of the chart, unique on its page.
        title: What is shown.
        bars: From top to bottom.
        axis: What the parts are measured by.
        series: What each part is called, if there are several.
    """
    layout = _Layout([(bar.name, bar.note, 1) for bar in bars], series, {})
    figure, axes = layout.begin(axis)
    for bar, top in zip(bars, layout.tops, strict=True):
        start = axis.limits[0]
        for number, part in enumerate(bar.parts):
            if part:
                axes.barh(top + MARK / 2, part, MARK, left=start, color=SERIES[number], clip_on=False)
            start += part
    for number, text in enumerate(series):
        layout.explain(axes, number, text, marker="s")
    return _figure(name, title, figure, [(bar.name, bar.note) for bar in bars], {})


class _Layout:
    """Where rows, names and lines of a chart stand: one unit is one pixel of a chart that is not scaled."""

    def __init__(self, rows: Sequence[tuple[str, str, int]], series: Sequence[str], lines: Mapping[float, str]) -> None:
        self._lines = lines
        self._above = y = 4 + LINE * (len(series) + len(lines)) + GAP * bool(series)
        self._texts: list[tuple[float, str, str]] = []
        self.tops: list[float] = []
        for name, note, num_lines in rows:
            fits = len(name) + len(note) + 2 <= LETTERS
            written = [name] if fits else textwrap.wrap(name, LETTERS)
            for number, line in enumerate(written):
                self._texts.append((y + LINE / 2, line, note if fits and not number else ""))
                y += LINE
            if not fits:
                for line in textwrap.wrap(note, LETTERS):
                    self._texts.append((y + LINE / 2, "", line))
                    y += LINE
            self.tops.append(y)
            y += MARK * num_lines + GAP
        self._bottom = y
        self.height = y + 2.6 * LINE

    def begin(self, axis: Axis) -> tuple[Figure, Axes]:
        """Make the chart without its marks."""
        figure = Figure(figsize=(WIDTH / 72, self.height / 72), dpi=72)
        box = (LEFT / WIDTH, 1 - self._bottom / self.height)
        axes = figure.add_axes((*box, 1 - (LEFT + RIGHT) / WIDTH, self._bottom / self.height))
        axes.set_facecolor("none")
        axes.set_ylim(self._bottom, 0)
        if axis.scale == "symlog":
            axes.set_xscale("symlog", linthresh=axis.linear_to)
        else:
            axes.set_xscale(axis.scale)
        axes.set_xlim(*axis.limits)
        axes.yaxis.set_major_locator(NullLocator())
        axes.xaxis.set_major_locator(FixedLocator(list(axis.ticks)))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(FixedFormatter([axis.show(tick) for tick in axis.ticks]))
        axes.tick_params(axis="x", color=GRID, labelcolor=QUIET, length=4, labelsize=12)
        axes.set_xlabel(axis.label, color=TEXT, fontsize=13)
        for side, spine in axes.spines.items():
            spine.set_visible(side == "bottom")
            spine.set_color(GRID)
        for tick in axis.ticks:
            axes.plot([tick, tick], [self._above, self._bottom], color=GRID, linewidth=0.7, zorder=0, clip_on=False)
        for number, (value, text) in enumerate(self._lines.items()):
            top = self._above - LINE * (len(self._lines) - number)
            axes.plot(
                [value, value],
                [top + LINE, self._bottom],
                color=TEXT,
                linewidth=1.2,
                linestyle=(0, (5, 3)),
                clip_on=False,
            )
            share = axes.transAxes.inverted().transform(axes.transData.transform((value, 0)))[0]
            side = "left" if share < 0.3 else "right" if share > 0.7 else "center"
            axes.text(value, top + LINE / 2, text, ha=side, va="center", color=TEXT, fontsize=12)
        for y, left, right in self._texts:
            across = axes.get_yaxis_transform()
            axes.text(-0.02, y, left, transform=across, va="center", color=TEXT, fontsize=13)
            axes.text(1.02, y, right, transform=across, ha="right", va="center", color=TEXT, fontsize=12)
        return figure, axes

    def explain(self, axes: Axes, number: int, text: str, *, marker: str) -> None:
        """Say what a series is, above the rows."""
        across, y = axes.get_yaxis_transform(), 4 + LINE * (number + 0.5)
        axes.plot([0], [y], color=SERIES[number], marker=marker, markersize=8, transform=across, clip_on=False)
        axes.text(0.03, y, text, transform=across, va="center", color=TEXT, fontsize=13)


def _figure(name: str, title: str, figure: Figure, rows: Sequence[tuple[str, str]], lines: Mapping[float, str]) -> str:
    """Return a chart with what stands for it in words."""
    described = "; ".join([*lines.values(), *(f"{row}: {note}" if note else row for row, note in rows)])
    return on_page(name, title, figure, described)


def on_page(name: str, title: str, figure: Figure, described: str) -> str:
    """Return a drawing as it stands in a page.

    Args:
        name: Of the drawing, unique on its page.
        title: What is shown.
        figure: The drawing, in the colours that stand for those of the theme.
        described: The same in words.
    """
    stream = io.StringIO()
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": name}):
        figure.savefig(stream, format="svg", transparent=True, metadata={"Date": None})
    return (
        f'<figure class="chart">{_inline(stream.getvalue(), name, title, described)}'
        f"<figcaption>{escape(title)}</figcaption></figure>\n"
    )


def _inline(drawn: str, name: str, title: str, description: str) -> str:
    """Return an SVG fit for a page: without the size, fonts, style sheet and unused identifiers of a file of its own."""
    root = ElementTree.fromstring(drawn)
    used = {value.lstrip("#") for element in root.iter() if (value := element.get(XLINK))}
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
        if (target := element.attrib.pop(XLINK, None)) is not None:
            element.set("href", target)
        if element.get("id") not in used:
            element.attrib.pop("id", None)
        if NO_TURN.match(element.get("transform", "")):
            del element.attrib["transform"]
        if style := TYPEFACE.sub("", LETTER_SIZE.sub(r"font-size: \1", element.get("style", ""))):
            for stand_in, variable in COLOURS.items():
                style = style.replace(stand_in, f"var({variable})")
            element.set("style", style)
        element.tail = None
        if element.tag != "text":
            element.text = None
    _prune(root)
    labels = [ElementTree.Element(tag, {"id": f"{name}-{tag}"}) for tag in ("title", "desc")]
    labels[0].text, labels[1].text = title, description
    root[:0] = labels
    view = root.get("viewBox", "")
    root.attrib.clear()
    root.attrib.update({"viewBox": view, "role": "img", "aria-labelledby": f"{name}-title {name}-desc"})
    return ElementTree.tostring(root, encoding="unicode")


def _prune(element: ElementTree.Element) -> None:
    """Leave out what draws nothing."""
    for child in list(element):
        _prune(child)
        is_empty = child.tag in {"g", "defs"} and not len(child)
        is_unseen = (
            child.tag == "path"
            and child.get("id") is None
            and "stroke:" not in child.get("style", "")
            and ("fill: none" in child.get("style", ""))
        )
        if is_empty or is_unseen or child.tag in {"metadata", "style"}:
            element.remove(child)
