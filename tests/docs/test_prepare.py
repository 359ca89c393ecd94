import re
from io import BytesIO

import pytest
import yaml
from PIL import Image

from scripts.documentation import llms, prepare, social_cards
from scripts.documentation.diagrams import DiagramError, replace_diagrams
from scripts.documentation.languages import with_languages

FENCED = re.compile(r"^ *(`{3,}).*?^ *\1 *$", re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def site():
    return prepare.prepared_site()


def pages(site):
    return {place: content.decode() for place, content in site.items() if place.endswith(".md")}


@pytest.mark.slow
def test_pages_are_markdown_that_any_generator_shows(site):
    for place, text in pages(site).items():
        assert "```mermaid" not in text, place
        assert "Not run here" not in text, place
        assert "{{ figure(" not in FENCED.sub("", text).replace("`{{ figure(", ""), place
        assert "{{ chart(" not in FENCED.sub("", text), place


def test_each_page_of_the_navigation_and_each_community_file_is_there(site):
    assert {"llms.txt", "feed.xml", "reference/markers.md", "community/security.md", "zh/index.md"} <= site.keys()
    assert b"## Tutorials" in site["llms.txt"]  # made from the navigation, each entry of which must be there


def test_links_between_pages_and_from_community_files_lead_to_files(site):
    for place, text in pages(site).items():
        if place.startswith("community/"):
            folder = place.rpartition("/")[0]
            for target in re.findall(r"\]\(([^)\s:#]+\.md)", text):
                parts = f"{folder}/{target}".replace("community/../", "")
                assert parts in site, (place, target)


def test_translations_lead_to_each_other(site):
    chinese = pages(site)["zh/learn/losses-and-optimisers.md"]
    english = pages(site)["explanation/losses-and-optimisers.md"]

    assert "language: zh\ntranslation: explanation/losses-and-optimisers/\n" in chinese
    assert "translation: zh/learn/losses-and-optimisers/\n" in english
    assert "language:" not in with_languages({"a.md": "# A\n"})["a.md"]


def test_markers_show_every_fixture_and_marker(site):
    from mainstay.runner.markers import FIXTURE_KINDS, MARKERS

    text = pages(site)["reference/markers.md"]

    assert all(f"| `{name}` |" in text for name in FIXTURE_KINDS)
    assert all(f"## `{name}`" in text for name in MARKERS)


def test_folder_holds_what_was_prepared_and_nothing_older(tmp_path):
    prepare.write({"a/b.md": b"one", "c.md": b"two"}, tmp_path)
    kept = (tmp_path / "c.md").stat().st_mtime_ns

    prepare.write({"a/d.md": b"three", "c.md": b"two"}, tmp_path)

    assert sorted(file.name for file in tmp_path.rglob("*") if file.is_file()) == ["c.md", "d.md"]
    assert (tmp_path / "c.md").stat().st_mtime_ns == kept


def test_diagram_without_a_drawing_or_a_description_ends_the_step():
    with pytest.raises(DiagramError, match="nox -s diagrams"):
        replace_diagrams("```mermaid\nflowchart\n  accTitle: a\n  accDescr: b\n  x --> y\n```\n")
    with pytest.raises(DiagramError, match="accTitle"):
        replace_diagrams("```mermaid\nflowchart\n  x --> y\n```\n")


def test_every_page_is_in_the_navigation_but_for_those_of_modules(site, root):
    settings = yaml.load((root / "mkdocs.yml").read_text("utf-8"), llms.NavigationLoader)
    named = set(llms.iter_places(settings["nav"]))

    assert {place for place in pages(site) if not place.startswith("reference/api/m")} == named


def test_each_page_but_those_of_modules_and_in_chinese_has_a_card_of_its_own(site, monkeypatch):
    monkeypatch.setattr(social_cards, "draw", lambda heading, text: f"{heading}\n{text}".encode())

    cards = social_cards.social_cards(pages(site))

    assert {"assets/social.png", "assets/social/how-to.png", "assets/social/how-to/triage.png"} <= cards.keys()
    assert len(cards) == 1 + sum(map(social_cards.has_card, pages(site)))
    assert len(set(cards.values())) == len(cards)
    assert cards["assets/social/how-to/triage.png"].startswith(b"Triage")


def test_a_card_is_a_picture_of_the_size_that_its_page_states():
    picture = Image.open(BytesIO(social_cards.draw("A heading", "What it says. " * 30)))

    assert picture.size == (1200, 630)
