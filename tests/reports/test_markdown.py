from dataclasses import replace

import pytest

from mainstay.reports.markdown import MAX_BYTES, MAX_CHARACTERS, markdown_text, render_markdown


def test_first_line_is_the_verdict(run):
    assert run.verdict.upper() in render_markdown(run).splitlines()[0]


def table_rows(text):
    return [line for line in text.splitlines() if line.startswith("| ") and "verdict" not in line]


def test_table_of_a_few_findings_has_a_row_for_each(run):
    assert len(table_rows(render_markdown(run))) == len(run.findings)


def test_verdict_next_steps_findings_and_changes_come_in_this_order_and_the_rest_is_folded(run):
    shown, _, folded = render_markdown(run).partition("<details>")

    places = [shown.index(part) for part in ("## ", "**Next**", "| verdict |", "**What changed**")]
    assert places == sorted(places)
    assert "error rate:" not in shown
    assert "error rate:" in folded


@pytest.mark.parametrize("num_findings", [1, 9, 100, 500, pytest.param(3000, marks=pytest.mark.slow)])
def test_size_is_bounded_whatever_the_number_of_metrics(many_findings, num_findings):
    text = render_markdown(many_findings(num_findings, 5))

    assert len(text.encode()) <= MAX_BYTES
    assert text.endswith("</details>\n")


def test_a_hundred_metrics_list_what_is_worse_or_undecided_and_count_the_rest(mostly_clean):
    text = render_markdown(mostly_clean)

    assert len(text.encode()) <= MAX_BYTES
    assert [row.split()[2] for row in table_rows(text)] == ["fail", "inconclusive", "inconclusive"]
    assert "And 97 more: 97 within margin." in text
    assert "1 worse, 2 undecided, 97 within margin." in text.replace("1 Worse", "1 worse")


@pytest.mark.slow
def test_findings_without_room_are_counted(many_findings):
    text = render_markdown(many_findings(3000, 5))

    assert f"And {3000 - len(table_rows(text))} more: " in text


def test_what_it_is_judged_by_is_never_cut_to_make_room(many_findings, runs):
    run = replace(many_findings(3000, 5), changes=runs["error"].changes)

    text = render_markdown(run)

    assert all(f"`{change.name}`" in text for change in run.changes)
    assert len(text) < MAX_CHARACTERS


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
