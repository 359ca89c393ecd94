import io
from dataclasses import replace

import pytest

from mainstay.measuring.loop import Progress
from mainstay.records.findings import Interval, Verdict
from mainstay.records.trials import Outcome, Side, Trial
from mainstay.reports.progress import PlainProgress, describe_look, describe_trial, finding_cells, progress_for

ATTACK = "\x1b[2J\u202egone"


def trial(**more):
    return Trial(workload="w", side=Side.CANDIDATE, seed=7, pair=0, outcome=Outcome.FAILED, **more)


def test_trial_is_one_line_with_its_values():
    assert describe_trial(trial(values={"top1_accuracy": 0.975}, duration_s=2.0)).endswith(
        "top1_accuracy 0.975 (2.0 s)"
    )


@pytest.mark.parametrize("text", [ATTACK, "x" * 100_000], ids=["escapes", "long"])
def test_texts_of_the_candidate_do_nothing_to_the_log(text):
    log = io.StringIO()

    with progress_for(log) as observer:
        observer.note(text)
        observer.trial_done(trial(cause=text))

    assert len(log.getvalue().splitlines()) == 2
    assert len(log.getvalue()) < 1_000
    assert "\x1b" not in log.getvalue()
    assert "\u202e" not in log.getvalue()


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def progress(sample_run):
    (finding,) = sample_run.findings
    settled = replace(finding, verdict=Verdict.INCONCLUSIVE, estimate=0.001, interval=Interval(low=-0.002, high=0.004))
    return Progress(num_done=3, num_planned=5, seconds_left=42.0, findings=(settled,))


def show(stream, progress):
    with progress_for(stream) as observer:
        observer.phase("measuring pairs")
        observer.note(ATTACK)
        observer.trial_done(trial(cause="boom", duration_s=2.0))
        for _ in range(15):
            observer.trial_done(replace(trial(values={"top1_accuracy": 0.975}), outcome=Outcome.COMPLETED))
            observer.pairs_done(progress)
        observer.look_taken(5, progress.findings)
    return stream.getvalue()


def test_a_log_has_one_line_a_look_and_none_for_a_trial_that_went_well(progress):
    lines = [line.partition("] ")[2] for line in show(io.StringIO(), progress).splitlines()]

    assert lines == [
        "measuring pairs",
        r"note: \x1b[2J\u202egone",
        "w candidate seed 7: failed, boom (2.0 s)",
        "look at 5 pairs: 1 undecided; top1_accuracy: 0.10 points worse, interval -0.20 to 0.40, margin 0.20 points",
    ]


def test_a_log_gives_a_sign_of_life_where_it_was_silent_for_long(progress):
    log, now = io.StringIO(), iter([0.0, *[100.0 * i for i in range(1, 100)]])
    observer = PlainProgress(log, clock=lambda: next(now))

    for _ in range(10):
        observer.pairs_done(progress)

    assert 1 <= len(log.getvalue().splitlines()) < 5
    assert "3 of 5 pairs to the next look, about 42 s left" in log.getvalue()


def test_a_terminal_shows_one_table_with_where_each_metric_stands(progress, monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.delenv("NO_COLOR", raising=False)

    shown = show(Terminal(), progress)

    cells = ("top1_accuracy", "0.10 points worse", "-0.20 to 0.40", "0.20 points", "inconclusive")
    for text in ("measuring pairs", "3 of 5 pairs to the next look, about 42 s left", "metric", "verdict", *cells):
        assert text in shown
    assert "\u202e" not in shown


def test_metrics_of_the_same_name_are_told_apart(progress):
    (finding,) = progress.findings
    twin = replace(finding, metric=replace(finding.metric, workload="test_a.py::test_twin"), verdict=Verdict.PASS)

    labels = [row[0] for row in finding_cells([twin, finding])]

    assert len(set(labels)) == 2
    assert labels[1] == "test_twin#top1_accuracy"


def test_a_look_at_which_all_passed_is_counted(progress):
    (finding,) = progress.findings

    assert describe_look(8, [replace(finding, verdict=Verdict.PASS)]) == "look at 8 pairs: 1 within margin"


def test_a_terminal_that_cannot_be_drawn_on_has_plain_lines(monkeypatch):
    monkeypatch.setenv("TERM", "dumb")

    with progress_for(Terminal()) as observer:
        assert isinstance(observer, PlainProgress)
