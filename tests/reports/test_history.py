import re
import time
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from xml.etree import ElementTree

import pytest

from mainstay.gates.trends import metric_trends
from mainstay.records.findings import Method, Verdict
from mainstay.records.history import Entry, History, KeptCommit, KeptMetric, KeptRun, RunKind, Withdrawal
from mainstay.records.metrics import Direction, Kind, Metric, Scoring
from mainstay.reports.history import render_feed, render_history

TOP1 = Metric(
    workload="test_a.py::test_a",
    name="top1",
    kind=Kind.ACCURACY,
    direction=Direction.HIGHER,
    margin=0.002,
    unit="fraction",
)
STEP = Metric(
    workload="test_p.py::test_p", name="time", kind=Kind.PERFORMANCE, direction=Direction.LOWER, margin=0.05, unit="s"
)
HOSTILE = '</script><script>alert(1)</script>"\u202e\x1b[31m<b>'
ATOM = "{http://www.w3.org/2005/Atom}"


def entry(
    number, *, subject="change", kind=RunKind.MAIN, before=None, shift=0.0, withdrawal=None, metrics=(TOP1, STEP)
):
    commits = [
        KeptCommit(
            commit=f"{i:040x}",
            subject=f"{subject} {i}",
            date=f"2027-{1 + i // 28 % 12:02}-{1 + i % 28:02}T00:00:00+00:00",
        )
        for i in (number - 1 if before is None else before, number)
    ]
    run = KeptRun(
        id=f"r{number}-{kind}",
        created=commits[1].date,
        kind=kind,
        verdict=Verdict.FAIL if number % 7 == 0 else Verdict.PASS,
        baseline=commits[0],
        candidate=commits[1],
        machine="A",
        packages_digest="p",
        looks=(5, 8),
        metrics=tuple(
            KeptMetric(
                metric=metric,
                verdict=Verdict.PASS,
                method=Method.SEQUENTIAL,
                degradations=tuple(
                    metric.margin * (shift + ((number * 7 + i * 13) % 11 - 5) / 10)
                    for i in range(20 if kind is RunKind.ANCHOR else 8)
                ),
                baseline_mean=0.97,
                candidate_mean=0.97 - 0.02 * (number > 30) + 0.001 * ((number * 5) % 3),
            )
            for metric in metrics
        ),
        run_digest="d",
        mainstay_version="0",
    )
    return Entry(file=f"{run.id}-000000000000", run=run, withdrawal=withdrawal)


@pytest.fixture
def history():
    """Sixty commits of which the last thirty degrade, and an anchor."""
    entries = [entry(i, shift=0.4 * (i > 30)) for i in range(1, 61)]
    entries.append(entry(60, kind=RunKind.ANCHOR, before=20, shift=12.0))
    withdrawal = Withdrawal(run="x", when="2027-01-31T00:00:00+00:00", who="A", reason="wrong machine")
    entries.append(entry(61, withdrawal=withdrawal))
    return History(entries=tuple(entries), unread=(("mainstay-history/2027:runs/x.json", "version 9"),))


def page(history, **options):
    return render_history(
        history,
        metric_trends(history.runs),
        run_length=1000,
        **{"title": "a project", "feed": "history.atom", **options},
    )


class Strict(HTMLParser):
    """Collects tags, and the text outside of script and style."""

    def __init__(self):
        super().__init__()
        self.tags, self.text, self._hidden = [], [], False

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self._hidden = tag in {"script", "style"}

    def handle_endtag(self, tag):
        self._hidden = False

    def handle_data(self, data):
        if not self._hidden:
            self.text.append(data)


def parsed(text):
    parser = Strict()
    parser.feed(text)
    return parser.tags, " ".join(" ".join(parser.text).split())


def test_the_page_shows_metrics_runs_changes_and_what_does_not_count(history):
    tags, text = parsed(page(history))

    assert "61 runs count , 1 are withdrawn, 1 cannot be read" in text.replace("count,", "count ,")
    assert "test_a.py::test_a#top1" in text
    assert "test_p.py::test_p#time" in text
    assert "degradations accumulate up to change" in text
    assert "points worse since 0000000000 change 20" in text
    assert "from about" in text
    assert "version 9" in text
    assert sum(tag == "tr" and "data-v" in attributes for tag, attributes in tags) == 62
    assert text.count("new reference: change 20") == 4  # in figure and list of both


def test_the_page_says_of_a_metric_that_is_judged_on_items_that_it_has_no_alarms():
    scored = replace(TOP1, scoring=Scoring(score="correct"))
    entries = [entry(i, metrics=(scored, STEP)) for i in range(1, 4)]

    _, text = parsed(page(History(entries=tuple(entries))))

    assert text.count("judged on items, not on pairs: it has levels, but no alarms") == 1


def test_the_page_asks_the_network_for_nothing_and_runs_only_its_own_script(history):
    text = page(history)
    tags, _ = parsed(text)

    sources = [value for _, attributes in tags for name, value in attributes.items() if name in {"src", "href"}]
    assert {value for value in sources if not value.startswith(("#", "data:"))} == {"history.atom"}
    assert "default-src 'none'" in text
    assert sum(tag == "script" for tag, _ in tags) == 1
    assert "http" not in re.sub(r"http-equiv|application/atom\+xml|http://www.w3.org/\S+", "", text)


def test_every_picture_has_a_name_and_every_field_a_label(history):
    tags, _ = parsed(page(history))

    assert all(attributes["aria-label"] for tag, attributes in tags if tag == "svg")
    assert {attributes["id"] for tag, attributes in tags if tag in {"input", "select"}} == {
        "search-metrics",
        "search-runs",
        "verdict",
    }


def test_hostile_subjects_and_names_stay_text(history):
    metric = replace(TOP1, name=HOSTILE)
    entries = tuple(entry(i, subject=HOSTILE, metrics=(metric,)) for i in range(1, 9))
    hostile = History(entries=entries, unread=((HOSTILE, HOSTILE),))

    text = page(hostile, title=HOSTILE)

    tags, _ = parsed(text)
    assert sum(tag == "script" for tag, _ in tags) == 1
    assert not any(tag == "b" for tag, _ in tags)
    assert "\x1b" not in text
    assert "\u202e" not in text
    ElementTree.fromstring(render_feed(metric_trends(hostile.runs), title=HOSTILE, updated="2027-01-31T00:00:00+00:00"))


def test_the_same_history_gives_the_same_bytes(history):
    assert page(history) == page(history)


def test_no_coordinate_is_not_a_number(history):
    figures = "".join(re.findall(r'd="([^"]*)"', page(history)))

    assert "nan" not in figures
    assert "inf" not in figures


@pytest.mark.parametrize("count", [1, 7, 8, 12, 40, 1_000])
def test_dates_have_room_along_an_axis(count):
    runs = History(entries=tuple(entry(i) for i in range(1, count + 1)))

    found = re.findall(r'x="([\d.]+)"[^>]*>\d{4}-\d{2}-\d{2}</text>', page(runs).partition("Levels by machine")[0])

    places = sorted(map(float, found))
    assert 1 <= len(places) <= 8
    assert all(after - before >= 80 for before, after in pairwise(places))


def test_an_empty_history_is_a_page_that_says_so():
    _, text = parsed(page(History(entries=())))

    assert "0 runs count" in text
    assert "No metric is kept yet." in text


def test_values_beyond_all_figures_are_drawn_at_the_edge(history):
    wild = entry(62, shift=1e200)

    assert page(replace(history, entries=(*history.entries, wild)))


def test_the_feed_holds_each_change_once_and_keeps_its_names(history):
    trends = metric_trends(history.runs)

    feed = ElementTree.fromstring(render_feed(trends, title="a project", updated="2027-03-04T00:00:00+00:00"))

    entries = feed.findall(f"{ATOM}entry")
    names = [each.findtext(f"{ATOM}id") for each in entries]
    assert len(names) == len(set(names)) > 2
    assert [each.findtext(f"{ATOM}updated") for each in entries] == sorted(
        (each.findtext(f"{ATOM}updated") for each in entries), reverse=True
    )
    earlier = metric_trends([each.run for each in history.entries[:55] if each.withdrawal is None])
    first = ElementTree.fromstring(render_feed(earlier, title="a project", updated="2027-03-04T00:00:00+00:00"))
    gathered = [each.findtext(f"{ATOM}id") for each in first.findall(f"{ATOM}entry")]
    assert {name for name in gathered if "gathered" in name} <= set(names)


@pytest.mark.slow
def test_ten_thousand_runs_are_a_page_within_five_seconds():
    runs = History(entries=tuple(entry(i) for i in range(1, 10_001)))
    start = time.process_time()

    page(runs)

    assert time.process_time() - start < 5
