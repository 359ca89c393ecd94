from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest

from mainstay.commands import calibrate
from mainstay.gates.policy import Design
from mainstay.measuring.agenda import Agenda, Assignment
from mainstay.measuring.evaluated import make_logs
from mainstay.measuring.grouped import plan_groups
from mainstay.measuring.ledger import restore_trials
from mainstay.project.configuration import read_configuration
from mainstay.records.calibrations import Proposal
from mainstay.records.errors import StoreError
from mainstay.records.executions import ALONE, EVALUATED, INTERLEAVED, ONCE, TRAINED
from mainstay.records.findings import MeasuredWith
from mainstay.records.metrics import Direction, Kind, Metric, Workload
from mainstay.records.trials import Outcome, Side, Trial
from mainstay.runner.ready_metrics import READY_METRICS
from tests.repositories import git


def timed_trial(side, times, weights=()):
    return Trial(
        workload="w",
        side=side,
        seed=1,
        pair=0,
        outcome=Outcome.COMPLETED,
        block_times_s=times,
        block_weights=weights,
    )


@pytest.mark.parametrize(
    ("name", "is_of_blocks"), [("call_time", True), ("cost", True), ("latency_p95", False), ("own", False)]
)
def test_blocks_show_the_noise_of_every_metric_that_follows_from_them(monkeypatch, name, is_of_blocks):
    monkeypatch.setitem(READY_METRICS, "cost", replace(READY_METRICS["call_time"], unit="J"))
    monkeypatch.setattr(calibrate, "measure_noise", lambda sample, errors, design: errors)
    log: Any = SimpleNamespace(trials_of=lambda side: [timed_trial(side, (1.0, 1.1, 0.9))] * 3)

    sample: Any = SimpleNamespace(metric=SimpleNamespace(name=name))

    errors: Any = calibrate._noise(log, sample, Design(num_gated=1))

    assert len(errors) == (3 if is_of_blocks else 0)


def test_a_block_shows_noise_as_far_as_it_weighs(monkeypatch):
    monkeypatch.setattr(calibrate, "measure_noise", lambda sample, errors, design: errors)
    times = {Side.BASELINE: (1.0, 1.0, 4.0), Side.CANDIDATE: (1.0, 1.0, 6.0)}

    def noise(weights):
        log: Any = SimpleNamespace(trials_of=lambda side: [timed_trial(side, times[side], weights)])
        sample: Any = SimpleNamespace(metric=SimpleNamespace(name="call_time"))
        (error,) = cast("Any", calibrate._noise(log, sample, Design(num_gated=1)))
        return error

    assert (noise((1.0, 1.0, 1 / 16)), noise(())) == pytest.approx((0.070, 0.125), abs=0.001)


@pytest.fixture
def root(tmp_path, own_git_settings):
    """A repository without a pyproject.toml."""
    folder = tmp_path / "repository"
    folder.mkdir()
    git(folder, "init", "--initial-branch=main")
    git(folder, "commit", "--allow-empty", "-m", "first")
    return folder


def write_settings(root):
    """Write settings as a calibration proposes them."""
    calibration: Any = SimpleNamespace(proposal=Proposal(looks=(5, 8), seconds=90, margins={"call_time": 0.1}))
    return calibrate.write_settings(root, calibration)


@pytest.mark.parametrize("text", ["# shared\n", None], ids=["to-a-file", "to-nothing"])
def test_no_settings_are_written_through_a_link(root, tmp_path, text):
    if text is not None:
        (tmp_path / "shared.toml").write_text(text)
    (root / "pyproject.toml").symlink_to(tmp_path / "shared.toml")

    with pytest.raises(StoreError, match="pyproject.toml is a link, whose target would be written to"):
        write_settings(root)

    assert (root / "pyproject.toml").is_symlink()
    assert (tmp_path / "shared.toml").exists() is (text is not None)
    assert text is None or (tmp_path / "shared.toml").read_text() == text


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_settings_end_their_lines_as_the_file_does(root, end):
    (root / "pyproject.toml").write_bytes(f"[tool.mainstay]{end}seconds = 60  # ours{end}".encode())

    place = write_settings(root)

    lines = place.read_bytes().decode().split(end)
    assert lines[:3] == ["[tool.mainstay]", "seconds = 90  # ours", "looks = [5, 8]"]
    assert not [line for line in lines if "\r" in line or "\n" in line]
    assert read_configuration(place.read_bytes(), "").margins == {"call_time": 0.1}


def agenda_of(*executions):
    """An agenda with one workload of each execution."""
    workloads = [Workload(id=str(number), execution=each, metrics=()) for number, each in enumerate(executions)]
    return Agenda(assignments=tuple(Assignment(workload=workload) for workload in workloads), settled=())


@pytest.mark.parametrize(
    ("executions", "others"),
    [
        pytest.param([INTERLEAVED, TRAINED], "1 workload", id="trained"),
        pytest.param([ALONE, TRAINED, EVALUATED, ONCE], "2 workloads", id="trained-and-evaluated"),
        pytest.param([INTERLEAVED, ONCE], None, id="times-alone"),
        pytest.param([EVALUATED], None, id="nothing-timed"),
    ],
)
def test_a_note_says_what_a_gate_spends_its_budget_on_besides_timed_pairs(executions, others):
    note = calibrate._note_on_others(agenda_of(*executions))

    assert bool(note) is (others is not None)
    assert others is None or f"a gate also trains or evaluates {others} within its seconds" in note


def logs_of(num_pairs):
    """Two timed workloads in one file with so many pairs each, and the group that they make."""
    workloads = []
    for name in ("t.py::a", "t.py::b"):
        metric = Metric(
            workload=name, name="call_time", kind=Kind.PERFORMANCE, direction=Direction.LOWER, margin=0.05, unit="s"
        )
        workloads.append(Workload(id=name, execution=INTERLEAVED, metrics=(metric,)))
    agenda = Agenda(assignments=tuple(Assignment(workload=each) for each in workloads), settled=())
    logs = make_logs(agenda.assignments, {each.id: tuple(range(20)) for each in workloads})
    trials = [
        Trial(
            workload=each.id,
            side=side,
            seed=pair,
            pair=pair,
            repetition=0,
            outcome=Outcome.COMPLETED,
            values={"call_time": 2.0 if side is Side.CANDIDATE and each is workloads[0] else 1.0},
            files_of=MeasuredWith.SHARED.files_for(side),
        )
        for each, count in zip(workloads, num_pairs, strict=True)
        for pair in range(count)
        for side in Side
    ]
    restore_trials(logs, trials)
    return logs, plan_groups(agenda, "file")


@pytest.mark.parametrize(("num_pairs", "count"), [((6, 6), 6), ((6, 5), 5), ((6, 4), None)])
def test_a_mean_is_calibrated_from_the_pairs_that_all_its_members_have(num_pairs, count):
    logs, groups = logs_of(num_pairs)
    plan: Any = SimpleNamespace(groups=groups)

    means = calibrate._usable_means(plan, logs)

    assert [(mean.metric.id, mean.num_pairs) for mean in means] == (
        [("t.py#call_time_geomean", count)] if count else []
    )
    assert all(value == pytest.approx(2**0.5) for mean in means for value in mean.candidate_values)
