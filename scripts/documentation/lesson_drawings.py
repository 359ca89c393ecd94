"""Drawings of the lessons: what a teacher would put on the board, each number in them computed or read from a file.

A page asks for one by ``{{ chart("NAME") }}``.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle, PathPatch, Rectangle
from matplotlib.path import Path as Outline
from matplotlib.ticker import FixedFormatter, FixedLocator, NullLocator

from mainstay.stats.paired import mean_interval, summarise_pairs
from mainstay.stats.sequential import look_weights
from scripts.documentation.charts import GRID, QUIET, SERIES, TEXT, WIDTH, Axis, Mark, Row, draw_intervals, on_page
from scripts.documentation.marks import limits, plain, steps

POINT = 0.01


def board(height: float) -> tuple[Figure, Axes]:
    """Return an empty drawing, whose units are its pixels, from the upper left corner."""
    figure = Figure(figsize=(WIDTH / 72, height / 72), dpi=72)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_xlim(0, WIDTH)
    axes.set_ylim(height, 0)
    axes.set_axis_off()
    return figure, axes


def write(axes: Axes, x: float, y: float, text: str, *, size: float = 13, colour: str = TEXT) -> None:
    """Write a text around a place."""
    axes.text(x, y, text, ha="center", va="center", fontsize=size, color=colour)


def arrow(axes: Axes, start: tuple[float, float], end: tuple[float, float]) -> None:
    """Draw an arrow."""
    (x, y), (to_x, to_y) = start, end
    along = np.array([to_x - x, to_y - y]) / np.hypot(to_x - x, to_y - y)
    across = np.array([-along[1], along[0]])
    tip = np.array(end)
    left, right = tip - 9 * along + 4 * across, tip - 9 * along - 4 * across
    axes.plot([x, to_x - 5 * along[0]], [y, to_y - 5 * along[1]], color=QUIET, linewidth=1.3)
    axes.fill([tip[0], left[0], right[0]], [tip[1], left[1], right[1]], color=QUIET)


def neuron(root: Path) -> str:
    """Draw one neuron: inputs, weights, sum and activation."""
    figure, axes = board(200)
    for y, name, weight in ((35, "x₁", "w₁"), (95, "x₂", "w₂"), (155, "1", "b")):
        axes.add_patch(Circle((36, y), 18, fill=False, edgecolor=SERIES[0], linewidth=1.6))
        write(axes, 36, y, name)
        arrow(axes, (55, y), (181 if y == 95 else 186, 95 + 0.16 * (y - 95)))
        write(axes, 105, y + (95 - y) * 0.36 - 11, weight, colour=TEXT)
    for x, name in ((205, "Σ"), (290, "")):
        axes.add_patch(Circle((x, 95), 23, fill=False, edgecolor=SERIES[1], linewidth=1.6))
        write(axes, x, 95, name, size=18)
    bend = np.linspace(-6, 6, 40)
    axes.plot(290 + 2.4 * bend, 107 - 24 / (1 + np.exp(-bend)), color=SERIES[1], linewidth=2)
    arrow(axes, (229, 95), (266, 95))
    write(axes, 247, 82, "z")
    arrow(axes, (314, 95), (378, 95))
    write(axes, 392, 95, "a")
    for x, name in ((36, "inputs"), (105, "weights"), (205, "sum"), (290, "activation σ"), (388, "output")):
        write(axes, x, 190, name, size=12)
    return on_page(
        "neuron",
        "A neuron: it weights its inputs, adds them, and applies an activation function to the sum",
        figure,
        "inputs x₁, x₂ and 1, each times its weight w₁, w₂ and b, add up to z; the activation σ gives the output a = σ(z)",
    )


def convolution(root: Path) -> str:
    """Draw one step of a convolution, with its numbers."""
    picture = np.array([[0, 0, 9, 9, 0], [0, 0, 9, 9, 0], [0, 0, 9, 9, 0], [0, 9, 9, 9, 0], [0, 9, 9, 0, 0]])
    kernel = np.array([[-1, 0, 1]] * 3)
    answer = np.array([[int((picture[y : y + 3, x : x + 3] * kernel).sum()) for x in range(3)] for y in range(3)])
    row, column = 0, 1
    figure, axes = board(196)
    grid(axes, 8, 30, picture, marked=(row, column, 3))
    grid(axes, 178, 56, kernel, marked=(0, 0, 3))
    grid(axes, 302, 56, answer, marked=(row, column, 1), size=36)
    write(axes, 157, 95, "×", size=18)
    write(axes, 281, 95, "=", size=18)
    for x, name in ((73, "image"), (217, "kernel"), (356, "output")):
        write(axes, x, 14, name)
    window = picture[row : row + 3, column : column + 3]
    products = " + ".join(
        f"{value}·({weight})" for value, weight in ((window[:, i].sum(), kernel[0, i]) for i in (0, 2))
    )
    write(axes, WIDTH / 2, 182, f"the marked step: {products} = {answer[row, column]}".replace("-", "−"), size=12)
    return on_page(
        "convolution",
        "One step of a convolution: the kernel lies on a window of the image, and the products add up to one number of the output",
        figure,
        f"window {window.tolist()} times kernel {kernel.tolist()} adds up to {answer[row, column]}; all steps: {answer.tolist()}",
    )


def grid(
    axes: Axes, left: float, top: float, numbers: np.ndarray, *, marked: tuple[int, int, int], size: float = 26
) -> None:
    """Draw a table of numbers, a square part of which is marked."""
    for (y, x), number in np.ndenumerate(numbers):
        place = (left + x * size, top + y * size)
        axes.add_patch(Rectangle(place, size, size, fill=False, edgecolor=GRID, linewidth=1))
        write(axes, place[0] + size / 2, place[1] + size / 2, str(number).replace("-", "−"), size=12)
    row, column, width = marked
    place = (left + column * size, top + row * size)
    axes.add_patch(Rectangle(place, width * size, width * size, fill=False, edgecolor=SERIES[1], linewidth=2.5))


def loss_curves(root: Path) -> str:
    """Draw training and validation loss of a training that overfits."""
    epochs = json.loads((root / "docs" / "results" / "loss_curves.json").read_text("utf-8"))["epochs"]
    numbers = [row["epoch"] for row in epochs]
    figure = Figure(figsize=(WIDTH / 72, 260 / 72), dpi=72)
    axes = figure.add_axes((0.11, 0.19, 0.86, 0.72))
    axes.set_facecolor("none")
    highest = max(row["train_loss"] for row in epochs)
    ticks = {"x": range(0, len(epochs) + 1, 10), "y": steps(0, highest)}
    axes.set_xlim(0, len(epochs))
    axes.set_ylim(0, 1.05 * highest)
    for axis, places in ((axes.xaxis, ticks["x"]), (axes.yaxis, ticks["y"])):
        axis.set_major_locator(FixedLocator(list(places)))
        axis.set_major_formatter(FixedFormatter([f"{place:g}" for place in places]))
        axis.set_minor_locator(NullLocator())
    axes.tick_params(color=GRID, labelcolor=QUIET, labelsize=12)
    axes.set_xlabel("epoch", color=TEXT, fontsize=13)
    for side, spine in axes.spines.items():
        spine.set_visible(side in {"left", "bottom"})
        spine.set_color(GRID)
    best = min(epochs, key=lambda row: row["validation_loss"])
    for number, (key, name) in enumerate((("train_loss", "training loss"), ("validation_loss", "validation loss"))):
        axes.plot(numbers, [row[key] for row in epochs], color=SERIES[number], linewidth=2)
        axes.text(len(epochs), epochs[-1][key] + 0.05 * highest, name, ha="right", va="bottom", color=TEXT, fontsize=13)
    axes.plot([best["epoch"]], [best["validation_loss"]], color=SERIES[1], marker="o", markersize=9)
    lowest = f"least after epoch {best['epoch']}: stop here"
    axes.text(best["epoch"] + 0.7, best["validation_loss"] + 0.16 * highest, lowest, color=TEXT, fontsize=12)
    axes.text(0, 1.1 * highest, "loss, nat", color=TEXT, fontsize=13)
    return on_page(
        "loss-curves",
        "Overfitting: the training loss keeps falling, the validation loss rises again",
        figure,
        f"training loss from {epochs[0]['train_loss']:.2f} to {epochs[-1]['train_loss']:.3f} nat; validation loss "
        f"{best['validation_loss']:.3f} after epoch {best['epoch']}, {epochs[-1]['validation_loss']:.3f} after epoch {numbers[-1]}",
    )


def flips(root: Path) -> str:
    """Draw every test image as a square, by which of two models classifies it correctly."""
    before, after = (scores(root / "docs" / "samples" / f"{name}.csv") for name in ("before", "after"))
    kinds = {
        "both correct": [name for name in before if before[name] and after[name]],
        "lost: only the baseline is correct": [name for name in before if before[name] and not after[name]],
        "gained: only the candidate is correct": [name for name in before if not before[name] and after[name]],
        "both wrong": [name for name in before if not before[name] and not after[name]],
    }
    columns, size, above = 30, 13.6, 84
    figure, axes = board(above + size * -(-len(before) // columns) + 4)
    colours = (SERIES[2], SERIES[1], SERIES[3], TEXT)
    place = 0
    for number, (kind, names) in enumerate(kinds.items()):
        corners = [(6 + size * (i % columns), above + size * (i // columns)) for i in range(place, place + len(names))]
        axes.add_patch(PathPatch(squares(corners, 0.8 * size), facecolor=colours[number], edgecolor="none"))
        axes.add_patch(
            PathPatch(squares([(6, 6 + 19 * number)], 0.8 * size), facecolor=colours[number], edgecolor="none")
        )
        axes.text(26, 12 + 19 * number, f"{kind}: {len(names)}", va="center", color=TEXT, fontsize=13)
        place += len(names)
    return on_page(
        "flips",
        f"The {len(before)} test images of digits in one pair of trainings, with the usual learning rate and with one that is too small: only images that flip carry evidence",
        figure,
        "; ".join(f"{kind}: {len(names)}" for kind, names in kinds.items()),
    )


def scores(file: Path) -> dict[str, bool]:
    """Return which item of a file of results is correct in its first repeat."""
    with file.open(encoding="utf-8", newline="") as lines:
        return {row["id"]: row["score"] == "1" for row in csv.DictReader(lines) if row["repeat"] == "0"}


def squares(corners: Sequence[tuple[float, float]], size: float) -> Outline:
    """Return one outline of many squares."""
    shape = np.array([(0, 0), (size, 0), (size, size), (0, size), (0, 0)])
    codes = [Outline.MOVETO, Outline.LINETO, Outline.LINETO, Outline.LINETO, Outline.CLOSEPOLY]
    return Outline(np.concatenate([shape + corner for corner in corners]), codes * len(corners))


def looks(root: Path) -> str:
    """Draw the interval of a real gate after each of its looks."""
    run = json.loads((root / "docs" / "samples" / "inconclusive.json").read_text("utf-8"))
    found = next(each for each in run["findings"] if each["metric"]["name"] == "top1_accuracy")
    planned, level = run["plan"]["looks"], run["plan"]["margin_level"]
    rows = []
    for look, weight in zip(planned, look_weights(planned), strict=True):
        pairs = summarise_pairs(found["degradations"][:look])
        low, high = (float(end) / POINT for end in mean_interval(pairs, level=level * float(weight)))
        mean = float(np.mean(found["degradations"][:look])) / POINT
        rows.append(
            Row(
                f"after {look} pairs",
                [Mark(0, mean, low, high)],
                f"{mean:.2f} ({low:.2f} to {high:.2f})".replace("-", "−"),
            )
        )
    margin = found["metric"]["margin"] / POINT
    low, high = limits(rows, 0, 2 * margin)
    return draw_intervals(
        "looks",
        "A sequential test: the interval of one real gate at each of its looks; it ends inconclusive, since the interval still contains the margin",
        rows,
        axis=Axis("degradation of top-1 accuracy, percentage points", steps(low, high), (low, high), show=plain),
        lines={margin: f"margin: {margin:g} points"},
    )


DRAWINGS: Mapping[str, Callable[[Path], str]] = {
    "neuron": neuron,
    "convolution": convolution,
    "loss-curves": loss_curves,
    "flips": flips,
    "looks": looks,
}
"""What draws each, by the name that a page gives."""
