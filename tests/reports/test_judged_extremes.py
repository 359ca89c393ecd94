"""Findings of the real judgement on values at the edge of what numbers can hold, in every report."""

import math
from dataclasses import replace

import pytest

from mainstay.gates.exact import judge_deterministic
from mainstay.gates.family import judge_family
from mainstay.gates.policy import Design
from mainstay.gates.samples import MetricSamples
from mainstay.records.findings import Verdict
from mainstay.records.metrics import Direction, Kind, Metric
from mainstay.reports.comparison import render_comparison
from mainstay.reports.figures import pairs_plot
from mainstay.reports.forest import forest
from mainstay.reports.rows import view_finding
from mainstay.store.documents import run_from_json, run_to_json

DEGRADATION = Metric(
    workload="test_a.py::test_a", name="perplexity", kind=Kind.ACCURACY, direction=Direction.LOWER, margin=0.5
)
TIME = Metric(
    workload="test_a.py::test_b", name="time", kind=Kind.PERFORMANCE, direction=Direction.LOWER, margin=0.05, unit="s"
)
COUNT = Metric(workload="test_a.py::test_c", name="n", kind=Kind.DETERMINISTIC, direction=Direction.LOWER, margin=1.0)
BASELINE = (12.0, 12.5, 11.8, 12.2, 12.1)
EXTREMES = {
    "perplexity": (DEGRADATION, BASELINE, tuple(math.exp(450) * k for k in (1.0, 3.0, 0.2, 7.0, 1.1))),
    "constant": (DEGRADATION, BASELINE, (1e308,) * 5),
    "beyond-all-differences": (DEGRADATION, (-1.7e308,) * 5, (1.7e308,) * 5),
    "one-explosion": (DEGRADATION, BASELINE, (12.0, 12.5, 1e200, 12.2, 12.1)),
    "better-beyond-measure": (DEGRADATION, (1e308, 1e300, 1e306, 1e290, 1e307), BASELINE),
    "both-wild": (DEGRADATION, (1e308, 1.0, 1e306, 3.0, 1e307), (1.0, 1e308, 2.0, 1e301, 1e10)),
    "time": (TIME, (5e-324,) * 5, (1.7e308,) * 5),
    "time-the-other-way": (TIME, (1.7e308,) * 5, (5e-324,) * 5),
}


@pytest.fixture(params=[*EXTREMES, "count"])
def finding(request):
    """The finding of the gate on each of the extremes."""
    if request.param == "count":
        return judge_deterministic(COUNT, baseline_value=0, candidate_value=1_000_000, repeated_baseline=0)
    metric, baseline, candidate = EXTREMES[request.param]
    samples = MetricSamples(metric=metric, seeds=(1, 2, 3, 4, 5), baseline_values=baseline, candidate_values=candidate)
    return judge_family([samples], Design(num_gated=1))[0]


@pytest.fixture
def extreme_run(failing, finding):
    """A run with that finding beside healthy ones."""
    return replace(failing, findings=(finding, *failing.findings))


def test_every_report_renders_it(renderers, extreme_run, finding):
    for form, render in renderers.items():
        report = render(extreme_run)

        assert finding.metric.name in report or (form == "annotations" and finding.verdict is Verdict.PASS)
        assert "nan" not in report.lower().split()


def test_its_document_reads_back(extreme_run):
    text = run_to_json(extreme_run)

    assert run_to_json(run_from_json(text, where="run.json")) == text


def test_its_numbers_fit_on_a_line(finding):
    row = view_finding(finding)

    assert all(len(text) <= 60 for text in (row.baseline, row.candidate, row.change, row.interval, row.margin))


def test_it_can_be_compared(failing, extreme_run, finding):
    assert finding.metric.id in render_comparison(extreme_run, failing)
    assert "moved:" in render_comparison(extreme_run, extreme_run)


def test_it_can_be_drawn(finding):
    mark, plot = forest(finding), pairs_plot(finding)

    places = [mark.zero, mark.margin, mark.low, mark.high] if mark else []
    places += [tick.position for tick in plot.y_ticks] if plot else []
    assert all(map(math.isfinite, places))


@pytest.mark.parametrize(
    ("name", "verdict", "beginning"),
    [
        ("perplexity", Verdict.FAIL, "at least "),
        ("constant", Verdict.FAIL, "about 1e308 worse (interval 1e308 to 1e308 worse)"),
        ("one-explosion", Verdict.INCONCLUSIVE, "at least "),
        ("better-beyond-measure", Verdict.PASS, "at least "),
        ("time", Verdict.FAIL, "about "),
        ("time-the-other-way", Verdict.PASS, "about 100.0 % faster"),
    ],
)
def test_what_is_said_of_it(name, verdict, beginning):
    metric, baseline, candidate = EXTREMES[name]
    samples = MetricSamples(metric=metric, seeds=(1, 2, 3, 4, 5), baseline_values=baseline, candidate_values=candidate)

    (finding,) = judge_family([samples], Design(num_gated=1))

    assert finding.verdict is verdict
    assert finding.reason.startswith(beginning), finding.reason
