"""Whatever a name, a subject or an output line holds, it stays text in every form of the report."""

import re
from dataclasses import replace
from html.parser import HTMLParser
from xml.etree import ElementTree as ET

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

ATTACKS = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "</style></script></title><svg onload=alert(1)>",
    "{{ 7 * 7 }}{% raw %}",
    "[link](https://example.org)",
    "![image](https://example.org/a.png)",
    "https://example.org www.example.org",
    "@octocat #1 GH-1 octocat/hello#1",
    "| a | b |\n|---|---|\n| c | d |",
    "`code` ``` ~~~",
    "` [link](https://example.org) @octocat `",
    "**bold** _soft_ ~~gone~~",
    "# heading\n\n---\n> quote\n- [ ] task",
    "\x1b[31mred\x1b]8;;https://example.org\x07link\x1b]8;;\x07",
    "\u202e\u2066evil\u2069\u202c",
    "\x00\x01\x7f\x85\u2028\u2029\ufeff\ufffe\uffff",
    "\ud800\udfff",
    "]]>&amp;&lt;",
    "\r\n::error::owned\n::set-output name=a::b",
    "padding ::stop-commands::a ##[stop-commands]a " * 5,
    "</details></summary>",
    "a\\|b\\`c",
    "Z\u0351\u036b\u0343\u036a\u0342\u036b\u033d\u034f\u0334\u0319",
    "x" * 100_000,
    "| " * 50_000,
)
HOSTILE = st.lists(st.sampled_from(ATTACKS) | st.text(st.characters(), max_size=30), max_size=4).map("".join)
ACTING = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff]")
MARKUP = re.compile(r"@|#\d|://|www\.|GH-\d")
COMMAND = re.compile(r"^\s*::|##\[", re.MULTILINE)
COLOUR = re.compile(r"\x1b\[[0-9;]*m")

EXAMPLES = settings(max_examples=40)


@pytest.fixture(scope="session")
def failing(explained, runs):
    """A failing run that also alters what it is judged by and is explained."""
    return replace(explained, changes=runs["error"].changes)


class Structure(HTMLParser):
    """The start tags of a page with the names of their attributes, and every address in it."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, tuple[str, ...]]] = []
        self.addresses: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, tuple(name for name, _ in attrs)))
        self.addresses |= {value or "" for name, value in attrs if name in ("src", "href", "action", "data")}


def structure(page: str) -> Structure:
    parser = Structure()
    parser.feed(page)
    return parser


def markdown_tokens(text: str) -> list[str]:
    """Kinds of tokens of a document, those inside a line too."""
    tokens = MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(text)
    return [kind.type for token in tokens for kind in (token, *(token.children or ()))]


def plain_words(text: str) -> str:
    """What a document shows outside of code."""
    tokens = MarkdownIt("commonmark").enable(["table"]).parse(text)
    return "\n".join(kind.content for token in tokens for kind in token.children or () if kind.type == "text")


@pytest.fixture(scope="session")
def harmless(failing, poisoned):
    """The failing run with harmless texts."""
    return poisoned(failing, "x")


@pytest.fixture(scope="session")
def harmless_page(harmless, renderers):
    return structure(renderers["html"](harmless))


@EXAMPLES
@given(HOSTILE)
@example(ATTACKS[2])
def test_page_has_the_same_markup_whatever_the_texts(failing, harmless_page, poisoned, renderers, text):
    page = structure(renderers["html"](poisoned(failing, f"x{text}")))

    assert page.tags == harmless_page.tags
    assert all(re.match(r"#|data:,|data:image/png;base64,", address) for address in page.addresses)


@EXAMPLES
@given(HOSTILE)
@example("` [link](https://example.org) @octocat `")
@example("x" * 100_000)
@example("a @ b @ c " * 50)
def test_markdown_has_the_same_structure_whatever_the_texts(failing, poisoned, renderers, text):
    report = renderers["markdown"](poisoned(failing, f"x{text}"))

    kinds = markdown_tokens(report)
    assert not {"link_open", "image", "html_inline", "em_open", "s_open", "fence", "code_block"} & set(kinds)
    assert kinds.count("tr_open") == 1 + len(failing.findings)
    assert kinds.count("td_open") == 9 * len(failing.findings)
    assert kinds.count("heading_open") == 1
    assert kinds.count("html_block") == 4  # two folded sections, opened and closed
    assert not MARKUP.search(plain_words(report))
    assert len(report) < 65_536


@pytest.fixture(scope="session")
def harmless_tree(harmless, renderers):
    return ET.fromstring(renderers["junit"](harmless))


@EXAMPLES
@given(HOSTILE)
def test_junit_is_the_same_tree_whatever_the_texts(failing, harmless_tree, poisoned, renderers, text):
    tree = ET.fromstring(renderers["junit"](poisoned(failing, f"x{text}")))

    assert [element.tag for element in tree.iter()] == [element.tag for element in harmless_tree.iter()]


@EXAMPLES
@given(HOSTILE)
def test_every_annotation_is_a_command_of_ours(failing, poisoned, renderers, text):
    lines = renderers["annotations"](poisoned(failing, f"x{text}")).splitlines()

    assert len(lines) == 1 + sum(finding.verdict != "pass" for finding in failing.findings)
    assert all(re.match(r"::(error|warning|notice) title=[^:,]*::", line) for line in lines)


@EXAMPLES
@given(HOSTILE)
@example("padding ::stop-commands::a ##[stop-commands]a " * 5)
def test_no_form_holds_a_character_or_a_command_that_acts(failing, poisoned, renderers, text):
    run = poisoned(failing, f"x{text}")

    for name, render in renderers.items():
        report = render(run)
        assert not ACTING.search(COLOUR.sub("", report) if name == "colour" else report), name
        assert name == "annotations" or not COMMAND.search(report), name
        report.encode("utf-8")


@pytest.mark.parametrize("text", ATTACKS)
def test_no_form_grows_with_the_length_of_a_text(failing, poisoned, renderers, text):
    short, long = poisoned(failing, text[:100]), poisoned(failing, text[:1000] * 50)

    for name, render in renderers.items():
        assert len(render(long)) < 12 * len(render(short)) + 20_000, name
