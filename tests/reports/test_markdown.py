import pytest

from mainstay.reports.markdown import MAX_CHARACTERS, markdown_text, render_markdown


def test_first_line_is_the_verdict(run):
    assert run.verdict.upper() in render_markdown(run).splitlines()[0]


def test_table_has_a_row_for_each_finding(run):
    rows = [line for line in render_markdown(run).splitlines() if line.startswith("| ") and "::" in line]

    assert len(rows) == len(run.findings)


@pytest.mark.parametrize("num_findings", [1, 100, 500, 3000])
def test_size_is_bounded_whatever_the_number_of_metrics(many_findings, num_findings):
    text = render_markdown(many_findings(num_findings, 5))

    assert len(text) < MAX_CHARACTERS
    assert text.endswith("</details>\n")


def test_findings_without_room_are_counted(many_findings):
    text = render_markdown(many_findings(3000, 5))

    rows = sum(line.startswith("| ") and "::" in line for line in text.splitlines())
    assert f"... and {3000 - rows} more findings" in text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("about 0.5 % worse, surely", "about 0.5 % worse, surely", id="prose"),
        pytest.param("ask @octocat", "ask `@octocat`", id="mention"),
        pytest.param("see #12, GH-3", "see `#12, GH-3`", id="reference"),
        pytest.param("at www.example.org", "at `www.example.org`", id="address"),
        pytest.param("was 5d41402abc4b", "was `5d41402abc4b`", id="hash"),
        pytest.param("a_b *c*: d", "`a_b *c*`: d", id="emphasis"),
        pytest.param("- item", "`-` item", id="list"),
        pytest.param("x | y", "x `¦` y", id="pipe"),
        pytest.param("a <b> `c`", "a `<b> 'c'`", id="markup"),
    ],
)
def test_words_that_would_act_are_code(text, expected):
    assert markdown_text(text) == expected
