"""Groups are made before the first pair, of what the baseline gates, and measured until their mean is decided."""

import random
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from mainstay.gates.policy import Design
from mainstay.measuring.agenda import Agenda, Assignment
from mainstay.measuring.evaluated import make_logs
from mainstay.measuring.grouped import plan_groups
from mainstay.measuring.ledger import restore_trials
from mainstay.measuring.loop import Measurement, SilentObserver
from mainstay.measuring.scheduling import derive_seeds
from mainstay.records.executions import ALONE, INTERLEAVED
from mainstay.records.findings import Finding, Verdict
from mainstay.records.metrics import Direction, Kind, Metric, Workload
from mainstay.records.trials import Outcome, Side, Trial
from mainstay.workers.interleaved import TimedResult

A, B, C = ("test_a.py::Test::test_x[1]", "test_a.py::Test::test_x[2]", "test_a.py::test_y")
MEAN = "test_a.py#call_time_geomean"


def timed(workload, *, execution=INTERLEAVED, **fields):
    """A workload that gates the time of a call."""
    defaults = {
        "name": "call_time",
        "kind": Kind.PERFORMANCE,
        "direction": Direction.LOWER,
        "margin": 0.05,
        "unit": "s",
    }
    metric = Metric(workload=workload, **{**defaults, **fields})
    return Workload(id=workload, execution=execution, metrics=(metric,))


def agenda_of(*workloads, settled=(), **options):
    return Agenda(assignments=tuple(Assignment(workload=each, **options) for each in workloads), settled=tuple(settled))


def groups_of(agenda, *, by="file", **options):
    """Members of each group, by the id of its mean."""
    return {group.metric.id: group.members for group in plan_groups(agenda, by, **options)}


@pytest.mark.parametrize(
    ("by", "groups"),
    [
        (None, {}),
        ("file", {MEAN: (A, B, C)}),
        ("class", {"test_a.py::Test#call_time_geomean": (A, B)}),
        ("test", {"test_a.py::Test::test_x#call_time_geomean": (A, B)}),
    ],
)
def test_a_group_holds_the_times_of_one_file_class_or_parametrised_test(by, groups):
    agenda = agenda_of(timed(A), timed(B), timed(C), timed("test_b.py::test_z"))

    expected = {name: tuple(f"{each}#call_time" for each in members) for name, members in groups.items()}
    assert groups_of(agenda, by=by) == expected


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(timed(B, name="latency_median"), id="another-name"),
        pytest.param(timed(B, unit="ms"), id="another-unit"),
        pytest.param(timed(B, direction=Direction.HIGHER), id="another-direction"),
        pytest.param(timed(B, name="peak_memory", execution=ALONE), id="memory"),
        pytest.param(timed("test_b.py::test_x"), id="another-file"),
    ],
)
def test_one_metric_is_no_group_and_unlike_ones_are_none(other):
    assert groups_of(agenda_of(timed(A), other)) == {}


def test_the_mean_has_the_smallest_margin_in_force():
    margins = {A: 0.2, B: 0.03}

    (group,) = plan_groups(
        agenda_of(timed(A), timed(B)), "file", margin_of=lambda metric, context: margins[metric.workload]
    )

    assert (group.metric.margin, group.metric.unit, group.metric.kind) == (0.03, "s", Kind.PERFORMANCE)


def test_what_only_the_candidate_has_or_a_proof_lets_pass_is_in_no_group():
    assert groups_of(agenda_of(timed(A), timed(B), is_new=True)) == {}
    assert groups_of(agenda_of(timed(A), timed(B)), proved=frozenset({A})) == {}


@pytest.mark.parametrize("verdict", [Verdict.MISSING, Verdict.ERROR])
def test_a_member_that_the_candidate_lacks_stays_a_member(verdict):
    gone = Finding(metric=timed(C).metrics[0], verdict=verdict, reason="gone")

    groups = groups_of(agenda_of(timed(A), timed(B), settled=[gone]))

    assert groups == {MEAN: (f"{A}#call_time", f"{B}#call_time", f"{C}#call_time")}


class Machine:
    """Simulated processes: ratio of the candidate's times, and deviation of a pair, by workload."""

    def __init__(self, ratios, *, deviations=None, outcomes=None):
        self.ratios = ratios
        self.deviations = deviations or {}
        self.outcomes = outcomes or {}
        self.measured = []

    def measure(self, request, known):
        raise AssertionError("everything is timed here")

    def measure_timed(self, request):
        trials = []
        for task in request.tasks:
            self.measured.append((task.workload, request.pair))
            for side in Side:
                noise = random.Random(f"{task.workload} {request.pair} {side}")
                ratio = self.ratios[task.workload] if side is Side.CANDIDATE else 1.0
                outcome = self.outcomes.get((task.workload, request.pair), Outcome.COMPLETED)
                trials.append(
                    Trial(
                        workload=task.workload,
                        side=side,
                        seed=task.seed,
                        pair=request.pair,
                        repetition=0,
                        outcome=outcome,
                        values={"call_time": ratio * (1 + noise.gauss(0, self.deviations.get(task.workload, 0.001)))},
                        files_of=request.measured_with.files_for(side),
                        cause="" if outcome is Outcome.COMPLETED else "no such device",
                    )
                )
        return TimedResult(request=request, trials=tuple(trials), notes=())

    def pairs_of(self, name):
        return sum(workload == name for workload, _ in self.measured)


@pytest.fixture
def run():
    """Runs the loop over workloads in one group; gives findings by id, and the logs."""

    def run(machine, *, kept=()):
        agenda = agenda_of(*map(timed, machine.ratios))
        groups = plan_groups(agenda, "file")
        seeds = {name: derive_seeds("", "c", name, 20) for name in machine.ratios}
        logs = make_logs(agenda.assignments, seeds)
        restore_trials(logs, kept)
        with ThreadPoolExecutor(2) as executor:
            measurement = Measurement(
                logs=logs,
                settled=(),
                groups=groups,
                design=Design(num_gated=len(machine.ratios) + len(groups)),
                salt="",
                commit="c",
                margin_of=lambda metric, context: metric.margin,
                measure=machine.measure,
                measure_timed=machine.measure_timed,
                pair_seconds=1.0,
                executor=executor,
                num_at_once=1,
                trial_seconds=1.0,
                fail_fast=False,
                deadline=float("inf"),
                observer=SilentObserver(),
            )
            findings = measurement.run()
        return {finding.metric.id: finding for finding in findings}, logs

    return run


def test_equal_members_pass_with_their_mean_at_the_first_look(run):
    machine = Machine({A: 1.0, B: 1.0, C: 1.0})

    findings, _ = run(machine)

    assert list(findings) == [f"{A}#call_time", f"{B}#call_time", f"{C}#call_time", MEAN]
    assert {(finding.verdict, finding.num_pairs) for finding in findings.values()} == {(Verdict.PASS, 5)}
    assert findings[MEAN].baseline_values == pytest.approx([1.0] * 5, rel=0.01)


def test_a_decided_member_is_measured_on_until_the_mean_is_decided(run):
    machine = Machine({A: 1.0, B: 1.05, C: 1.0}, deviations={B: 0.2})

    findings, _ = run(machine)

    assert findings[f"{A}#call_time"].num_pairs == 5
    assert (findings[MEAN].verdict, findings[MEAN].num_pairs) == (Verdict.INCONCLUSIVE, 20)
    assert machine.pairs_of(A) == machine.pairs_of(B) == 20


def test_a_decided_mean_holds_no_decided_member_back(run):
    machine = Machine({A: 1.0, B: 1.04, C: 1.0}, deviations={B: 0.03})

    findings, _ = run(machine)

    assert (findings[MEAN].verdict, findings[MEAN].num_pairs) == (Verdict.PASS, 5)
    assert machine.pairs_of(A) == 5
    assert machine.pairs_of(B) == 20


def test_a_member_that_breaks_leaves_the_mean_undecided_and_nothing_is_measured_for_it(run):
    machine = Machine({A: 1.0, B: 1.0, C: 1.0}, outcomes={(B, 3): Outcome.FAILED})

    findings, _ = run(machine)

    assert findings[f"{B}#call_time"].verdict is Verdict.ERROR
    assert (findings[MEAN].verdict, findings[MEAN].num_pairs) == (Verdict.INCONCLUSIVE, 3)
    assert machine.pairs_of(A) == 5


def test_a_fault_of_a_member_takes_no_fail_from_the_mean(run):
    class Stopped(Machine):
        def measure_timed(self, request):
            result = super().measure_timed(request)
            trials = tuple(
                replace(each, values={"call_time": 0.0}) if (each.workload, each.pair) == (B, 6) else each
                for each in result.trials
            )
            return replace(result, trials=trials)

    findings, _ = run(Stopped({A: 1.3, B: 1.05}, deviations={B: 0.03}))

    assert findings[f"{B}#call_time"].verdict is Verdict.ERROR
    assert (findings[MEAN].verdict, findings[MEAN].num_pairs) == (Verdict.FAIL, 5)


def test_a_member_that_neither_revision_runs_here_leaves_the_group(run):
    machine = Machine({A: 1.0, B: 1.0, C: 2.0}, outcomes={(C, 0): Outcome.SKIPPED})

    findings, _ = run(machine)

    assert f"{C}#call_time" not in findings
    assert findings[MEAN].verdict is Verdict.PASS


def test_one_member_that_runs_here_is_no_group(run):
    machine = Machine({A: 1.0, B: 1.0}, outcomes={(B, 0): Outcome.SKIPPED})

    findings, _ = run(machine)

    assert list(findings) == [f"{A}#call_time"]


def test_a_resumed_gate_agrees_about_the_mean_and_measures_nothing_twice(run):
    noisy = {"ratios": {A: 1.02, B: 1.03, C: 1.0}, "deviations": dict.fromkeys((A, B, C), 0.04)}
    whole = Machine(**noisy)
    expected, logs = run(whole)
    kept = [trial for log in logs for trial in log.trials.values() if trial.pair < 3]
    rest = Machine(**noisy)

    findings, _ = run(rest, kept=kept)

    assert findings == expected
    assert {pair for _, pair in rest.measured} == set(range(3, 20))
