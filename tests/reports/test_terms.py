import re
from pathlib import Path

import pytest

from mainstay.reports.html import render_html
from mainstay.reports.terms import TERMS

GLOSSARY = Path(__file__).parents[2] / "docs" / "explanation" / "glossary.md"


@pytest.mark.in_repository
@pytest.mark.parametrize("name", TERMS)
def test_a_term_is_explained_in_the_words_of_the_glossary(name):
    text = re.sub(r"\[([^]]*)\]\([^)]*\)|`", r"\1", GLOSSARY.read_text("utf-8"))
    entry = text.partition(f"\n{name.capitalize()}\n")[2].partition("\n\n")[0]

    assert TERMS[name].rstrip(".") in entry


def test_every_term_that_a_page_marks_is_explained_on_it(run):
    page = render_html(run)

    marked = set(re.findall(r'href="#(term-[^"]*)" title="[^"]+"', page))
    assert {"term-margin", "term-interval", "term-baseline"} <= marked
    assert all(f'id="{name}"' in page for name in marked)
