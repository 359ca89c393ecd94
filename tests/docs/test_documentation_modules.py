import doctest
import importlib

import pytest

from scripts.documentation.diagrams import DRAWN, diagram_name, iter_sources


@pytest.mark.parametrize(
    "name",
    [
        "code_blocks",
        "community",
        "diagrams",
        "figures",
        "findings",
        "for_readers",
        "languages",
        "llms",
        "reference",
        "releases",
        "results",
        "run_schema",
        "translations",
    ],
)
def test_examples_of_the_docstrings_hold(name):
    module = importlib.import_module(f"scripts.documentation.{name}")

    assert doctest.testmod(module).failed == 0


def test_every_diagram_is_drawn_and_none_is_left_over(root):
    shown = {
        diagram_name(source)
        for page in (root / "docs").rglob("*.md")
        for source in iter_sources(page.read_text("utf-8"))
    }

    assert {file.stem for file in DRAWN.glob("*.svg")} == shown
