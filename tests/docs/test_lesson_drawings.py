import json
import re
from xml.etree import ElementTree

import pytest

from scripts.documentation.lesson_drawings import DRAWINGS


def svg_of(drawing):
    return ElementTree.fromstring(drawing).find("svg")


@pytest.fixture(scope="module")
def drawn(root):
    return {name: draw(root) for name, draw in DRAWINGS.items()}


def test_each_drawing_is_said_in_words_and_in_the_colours_of_the_theme(drawn):
    for name, drawing in drawn.items():
        svg = svg_of(drawing)
        assert svg.get("role") == "img"
        assert all(element.text for element in svg if element.tag in {"title", "desc"}), name
        assert set(re.findall(r"(?:fill|stroke): (#\w+)", drawing)) == set(), name
    identifiers = re.findall(r' id="([^"]+)"', "".join(drawn.values()))
    assert len(identifiers) == len(set(identifiers))


def test_convolution_adds_what_it_says(drawn):
    text = svg_of(drawn["convolution"]).findtext("desc")

    window, kernel, total = re.match(r"window (.+) times kernel (.+) adds up to (-?\d+)", text).groups()

    products = (
        value * weight
        for values, weights in zip(json.loads(window), json.loads(kernel), strict=True)
        for value, weight in zip(values, weights, strict=True)
    )
    assert sum(products) == int(total)


def test_flips_count_every_image_of_one_pair_once(drawn, root):
    both, lost, gained, neither = map(int, re.findall(r": (\d+)", svg_of(drawn["flips"]).findtext("desc")))
    rows = [
        line.split(",")
        for name in ("before", "after")
        for line in (root / "docs" / "samples" / f"{name}.csv").read_text("utf-8").splitlines()[1:]
    ]
    correct = sum(score == "1" for _, _, repeat, score in rows if repeat == "0")

    assert both + lost + gained + neither == len({item for _, item, _, _ in rows})
    assert 2 * both + lost + gained == correct


def test_looks_together_leave_the_interval_that_the_run_document_holds(drawn, root):
    run = json.loads((root / "docs" / "samples" / "inconclusive.json").read_text("utf-8"))
    (found,) = [each for each in run["findings"] if each["verdict"] == "inconclusive"]
    low, high = found["interval"]

    drawn_ends = re.findall(r"\(([\d.]+) to ([\d.]+)\)", svg_of(drawn["looks"]).findtext("desc"))

    assert len(drawn_ends) == 4
    lows, highs = zip(*drawn_ends, strict=True)
    assert (max(lows), min(highs)) == (f"{low:.3f}", f"{high:.3f}")


def test_loss_curves_name_the_epoch_where_the_validation_loss_is_least(drawn, root):
    epochs = json.loads((root / "docs" / "results" / "loss_curves.json").read_text("utf-8"))["epochs"]
    best = min(epochs, key=lambda row: row["validation_loss"])

    assert f"least after epoch {best['epoch']}" in drawn["loss-curves"]
