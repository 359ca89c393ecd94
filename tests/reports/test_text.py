from mainstay.reports.text import MAX_NEXT_STEPS, render_text


def test_first_lines_are_verdict_reason_and_exit_status(run):
    first, second, third = render_text(run, width=300).splitlines()[:3]

    assert first.startswith(f"mainstay gate: {run.verdict.upper()}")
    assert second == f"  why: {run.reason}"
    assert third.startswith(f"  exit status: {run.exit_status} ")


def test_every_finding_is_named_with_its_verdict(run):
    lines = render_text(run, width=300).splitlines()

    for finding in run.findings:
        assert f"  {finding.verdict.upper():<13}{finding.metric.id}" in [line.rstrip() for line in lines]


def test_sentences_wrap_at_the_width(run):
    text = render_text(run, width=60)

    assert all(len(line) <= 60 for line in text.splitlines() if "::" not in line and "|" not in line)


def test_last_lines_of_a_broken_candidate_are_quoted(runs):
    assert "| RuntimeError: expected theta of shape (64, 2, 3), got (64, 3, 3)" in render_text(runs["error"])


def test_many_steps_are_counted_at_the_top_and_kept_with_their_findings(many_findings):
    text = render_text(many_findings(30, 5), width=300)

    assert f"and {20 - MAX_NEXT_STEPS} more, with the findings below" in text
    assert text.count("      next: ") == 20
