"""Settings and waivers name metrics of which some may lie in files that were not collected."""

from dataclasses import replace
from datetime import date
from types import SimpleNamespace
from typing import Any

import pytest

from mainstay.commands import collecting
from mainstay.commands.basis import Basis
from mainstay.commands.collecting import collect_agenda
from mainstay.commands.review import notes_on_waivers
from mainstay.commands.session import Stopwatch
from mainstay.commands.start import BothSettings
from mainstay.measuring.loop import SilentObserver
from mainstay.project.configuration import Configuration
from mainstay.project.waivers import waiver_toml
from mainstay.records.errors import ConfigurationError, UsageError
from mainstay.records.executions import TRAINED
from mainstay.records.findings import Waiver
from mainstay.records.metrics import Direction, Kind, Metric, Workload
from mainstay.records.selections import EVERYTHING
from mainstay.records.trials import Side
from mainstay.revisions.resolution import Resolution
from mainstay.revisions.workspace import Prepared
from mainstay.workers.collecting import Collection, Problem

TOP1 = Metric(
    workload="b/test_a.py::test", name="top1_accuracy", kind=Kind.ACCURACY, direction=Direction.HIGHER, margin=0.002
)
COLLECTED = Collection(workloads=(Workload(id=TOP1.workload, execution=TRAINED, metrics=(TOP1,)),))
NO_GPU = replace(COLLECTED, skipped_files=(Problem(id="b/test_gpu.py", cause="no GPU"),))
BROKEN = replace(COLLECTED, problems=(Problem(id="b/test_gpu.py", cause="no such module"),))
INCOMPLETE = pytest.mark.parametrize("incomplete", [NO_GPU, BROKEN], ids=["skipping", "broken"])
ON_GPU = "b/test_gpu.py::test_step#call_time"


@pytest.fixture
def session():
    """A session of which the workloads, the settings and the waivers count."""

    def session(*, reviewed=(), **settings):
        own = {side: Configuration(**settings) for side in Side}
        waivers = "\n".join(map(waiver_toml, reviewed)).encode()
        return SimpleNamespace(
            observer=SilentObserver(),
            watch=Stopwatch(),
            settings=BothSettings(own=own, judging=own),
            configuration=Configuration(),
            collecting_seconds=1.0,
            start=SimpleNamespace(
                selection=EVERYTHING, only=None, revisions={side: SimpleNamespace(commit="") for side in Side}
            ),
            repository=SimpleNamespace(read_file=lambda commit, place: waivers),
            today=date(2026, 11, 29),
        )

    return session


@pytest.fixture
def collect(monkeypatch):
    """Make the agenda of two revisions with the same files, given what both of them collect."""

    def collect(session, found):
        monkeypatch.setattr(collecting, "collect_workloads", lambda *_, **__: found)
        specs = {side: SimpleNamespace(side=side, files_of=Side.BASELINE) for side in Side}
        harness: Any = SimpleNamespace(
            specs={Side.BASELINE: specs},
            launchers={},
            startup={side: {} for side in Side},
            resolutions={side: Resolution(side=side, pins=()) for side in Side},
            prepared=Prepared({}, ""),
        )
        return collect_agenda(session, harness)

    return collect


def waiver(metric):
    return Waiver(metric=metric, limit=0.08, reason="a safer kernel", until="2999-12-31")


@INCOMPLETE
def test_a_margin_meant_in_percent_is_refused_beside_a_file_that_is_not_collected(session, collect, incomplete):
    with pytest.raises(ConfigurationError, match="the margin of top1_accuracy is 5, which is 500 %"):
        collect(session(margins={"top1_accuracy": 5.0}), incomplete)


@INCOMPLETE
def test_a_margin_of_what_may_not_have_been_collected_is_noted(session, collect, incomplete):
    margins = {"top1_accuracy": 0.001, "call_time": 0.05}

    agenda = collect(session(margins=margins), incomplete)

    note = "tool.mainstay.margins.call_time cannot be checked: such a metric may lie in b/test_gpu.py, which could not be collected"
    assert note in agenda.notes
    with pytest.raises(ConfigurationError, match="call_time is the margin of a metric that no workload gates"):
        collect(session(margins=margins), COLLECTED)


@INCOMPLETE
@pytest.mark.parametrize("metric", [ON_GPU, "call_time"])
@pytest.mark.parametrize("is_reviewed", [True, False])
def test_a_waiver_of_what_may_not_have_been_collected_is_noted(session, collect, incomplete, metric, is_reviewed):
    run = session(reviewed=[waiver(metric)] if is_reviewed else [])

    notes = notes_on_waivers(run, collect(run, incomplete), [waiver(metric)])

    assert notes == [
        f"a waiver of {metric} cannot be checked: such a metric may lie in b/test_gpu.py, which could not be collected"
    ]


@INCOMPLETE
def test_a_waiver_of_nothing_in_a_collected_file_is_refused_unless_it_was_reviewed(session, collect, incomplete):
    gone = [waiver("b/test_a.py::test#top1")]
    run, reviewed = session(), session(reviewed=gone)

    with pytest.raises(ConfigurationError, match="which neither revision has"):
        notes_on_waivers(run, collect(run, incomplete), gone)
    (note,) = notes_on_waivers(reviewed, collect(reviewed, incomplete), gone)

    assert note == "a waiver of b/test_a.py::test#top1 names nothing that is gated any more: remove it"


@INCOMPLETE
def test_a_gain_is_acknowledged_of_what_may_not_have_been_collected(session, collect, incomplete):
    basis: Any = SimpleNamespace(agenda=collect(session(), incomplete))

    Basis.require_known(basis, [ON_GPU, TOP1.id])

    with pytest.raises(UsageError, match="no metric is called 'b/test_a.py::test#top1'"):
        Basis.require_known(basis, ["b/test_a.py::test#top1"])


@pytest.mark.parametrize(
    ("only", "workloads"),
    [pytest.param(None, (), id="all"), pytest.param("performance", COLLECTED.workloads, id="all-of-the-part")],
)
def test_workloads_that_skip_themselves_need_another_machine_and_no_marker(session, collect, only, workloads):
    run = session()
    run.start.only = only

    with pytest.raises(UsageError, match="b/test_gpu.py is not judged, it skips itself: no GPU") as refusal:
        collect(run, replace(NO_GPU, workloads=workloads))

    assert refusal.value.next_step == "gate where its files do not skip themselves"
