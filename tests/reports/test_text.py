from dataclasses import replace

from mainstay.records.findings import Verdict
from mainstay.reports.forest import SKETCH_HEAD
from mainstay.reports.text import MAX_NEXT_STEPS, render_text
from mainstay.reports.view import view_run


def test_first_lines_are_the_verdict_what_decided_and_the_counts(run):
    view = view_run(run)
    first, second, third, fourth = render_text(run, width=300).splitlines()[:4]

    assert first.startswith(f"mainstay gate: {run.verdict.upper()}")
    assert second == f"  {view.sentence}"
    assert third == f"  how sure: {view.sureness}"
    assert fourth.startswith(f"  {view.counts}; exit status {run.exit_status} ")


def table_of(text):
    """The block of a report that holds the table of findings."""
    (table,) = (block for block in text.split("\n\n") if block.startswith("  verdict "))
    return table


def test_verdict_next_steps_findings_and_changes_come_before_all_that_explains_them(run):
    text = render_text(run)

    heads = (
        "mainstay gate:",
        "\nnext: ",
        "  verdict ",
        "what changed:",
        "each finding:",
        "\nrule: ",
    )
    places = [text.index(head) for head in heads]
    assert places == sorted(places)


def test_a_log_of_a_hundred_metrics_lists_what_is_worse_or_undecided_and_counts_the_rest(mostly_clean):
    _, *rows, legend, rest = table_of(render_text(mostly_clean)).splitlines()

    assert [line.split()[0] for line in rows] == ["FAIL", "INCONCLUSIVE", "INCONCLUSIVE"]
    assert legend.startswith("  drawn: o change")
    assert rest == "  and 97 more: 97 within margin"


def test_the_drawing_is_left_out_where_there_is_no_room_for_it(failing):
    wide, narrow = (render_text(failing, width=width).partition("what changed:")[0] for width in (140, 60))

    assert SKETCH_HEAD.strip() in wide
    assert SKETCH_HEAD.strip() not in narrow


def test_metrics_of_the_same_name_are_told_apart_by_their_test(many_findings):
    head = render_text(many_findings(9, 5)).partition("what changed:")[0]

    assert all(f" test_{i}#time " in head for i in range(9))


def test_every_finding_is_named_with_its_verdict(run):
    lines = render_text(run, width=300).splitlines()

    for finding in run.findings:
        assert f"  {finding.verdict.upper():<13}{finding.metric.id}" in [line.rstrip() for line in lines]


def test_sentences_wrap_at_the_width(run):
    text = render_text(run, width=60)
    table = table_of(text)

    sentences = [
        line for line in text.replace(table, "").splitlines() if not any(mark in line for mark in ("::", "|", "$ "))
    ]
    assert all(len(line) <= 60 for line in sentences)


def test_last_lines_of_a_broken_candidate_are_quoted(runs):
    assert "| RuntimeError: expected theta of shape (64, 2, 3), got (64, 3, 3)" in render_text(runs["error"])


def test_one_step_for_many_metrics_is_said_once(many_findings):
    text = render_text(many_findings(30, 5), width=300)

    assert (
        text.count("repair what made it worse, then gate again\n      $ mainstay gate   (the gate takes about 5 min)\n")
        == 1
    )
    assert " and 7 more: repair" in text


def test_many_steps_are_counted_at_the_top_and_kept_with_their_findings(many_findings):
    run = many_findings(200, 5)
    missing = tuple(replace(finding, verdict=Verdict.MISSING) for finding in run.findings)

    text = render_text(replace(run, findings=missing, verdict=Verdict.MISSING), width=300)

    assert f"and {20 - MAX_NEXT_STEPS} more, with the findings below" in text
    assert text.count("      next: ") == 200


def test_a_command_stays_on_one_line_however_narrow_the_log(failing):
    view = view_run(failing)

    lines = [line.strip() for line in render_text(failing, width=40).splitlines()]

    assert view.last_resorts
    assert {f"$ {step.command}   ({step.minutes})" for step in view.next_steps} <= set(lines)
    assert {f"$ {resort.command}" for resort in view.last_resorts} <= set(lines)


def test_a_command_stays_on_one_line_below_its_finding(many_findings):
    run = many_findings(200, 5)
    missing = tuple(replace(finding, verdict=Verdict.MISSING) for finding in run.findings)
    run = replace(run, findings=missing, verdict=Verdict.MISSING)

    details = render_text(run, width=40).partition("each finding:")[2]

    steps = [row.next_step for row in view_run(run).findings]
    told = [line.strip() for line in details.splitlines() if line.startswith("            $ ")]
    assert told == [f"$ {step.command}   ({step.minutes})" for step in steps]
