import io
from dataclasses import replace

import pytest

from mainstay.measuring.loop import Progress
from mainstay.records.findings import Interval, Verdict
from mainstay.records.trials import Outcome, Side, Trial
from mainstay.reports.progress import PlainProgress, describe_trial, progress_for

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


FINDING = "top1_accuracy: inconclusive, degradation +0.001 in [-0.002, 0.004] against a margin of 0.002"


def show(stream, progress):
    with progress_for(stream) as observer:
        observer.phase("measuring pairs")
        observer.note(ATTACK)
        observer.trial_done(trial(values={"top1_accuracy": 0.975}, duration_s=2.0))
        observer.pairs_done(progress)
    return stream.getvalue()


def test_a_log_has_a_line_for_every_event(progress):
    lines = [line.partition("] ")[2] for line in show(io.StringIO(), progress).splitlines()]

    assert lines == [
        "measuring pairs",
        r"note: \x1b[2J\u202egone",
        "w candidate seed 7: failed, top1_accuracy 0.975 (2.0 s)",
        "3 of 5 pairs to the next look, about 42 s left",
        f"  {FINDING}",
    ]


def test_a_terminal_shows_where_the_gate_stands(progress, monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.delenv("NO_COLOR", raising=False)

    shown = show(Terminal(), progress)

    for text in ("measuring pairs", "top1_accuracy 0.975", "3 of 5 pairs to the next look", FINDING):
        assert text in shown
    assert "\u202e" not in shown


def test_a_terminal_that_cannot_be_drawn_on_has_plain_lines(monkeypatch):
    monkeypatch.setenv("TERM", "dumb")

    with progress_for(Terminal()) as observer:
        assert isinstance(observer, PlainProgress)
