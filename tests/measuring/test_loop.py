import base64
import random
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import date

import pytest

from mainstay.commands.measurement import max_load
from mainstay.gates.exact import DigestComparison
from mainstay.gates.policy import Design
from mainstay.measuring.agenda import Assignment
from mainstay.measuring.evaluated import make_logs
from mainstay.measuring.ledger import _put_together, restore_trials
from mainstay.measuring.loop import Measurement, SilentObserver
from mainstay.measuring.scheduling import derive_seeds
from mainstay.measuring.strictness import stricter_metric
from mainstay.project.waivers import apply_waivers
from mainstay.records.executions import ALONE, INTERLEAVED, ONCE, TRAINED
from mainstay.records.findings import Blame, MeasuredWith, Method, Verdict, Waiver
from mainstay.records.metrics import Direction, Kind, Metric, Workload
from mainstay.records.trials import CountedName, Examples, Outcome, Predictions, Side, Trial
from mainstay.workers.interleaved import TimedResult
from mainstay.workers.pairs import PairResult

WORKLOAD = "benchmarks/test_a.py::test_a"
NOT_REPEATABLE = DigestComparison.NOT_REPEATABLE.value
METRIC = Metric(workload=WORKLOAD, name="top1_accuracy", kind=Kind.ACCURACY, direction=Direction.HIGHER, margin=0.01)


class KeepingObserver(SilentObserver):
    """Keeps what it is told."""

    def __init__(self):
        self.progress = []
        self.looks = []

    def pairs_done(self, progress):
        self.progress.append(progress)

    def look_taken(self, look, findings):
        self.looks.append((look, tuple(findings)))


class Subject:
    """A simulated workload: ``baseline`` and ``candidate`` map a seed to trial fields."""

    def __init__(self, baseline, candidate):
        self.behaviour = {Side.BASELINE: baseline, Side.CANDIDATE: candidate}
        self.measured = []

    def measure_timed(self, request):
        raise AssertionError("nothing is timed here")

    def measure(self, request, known):
        trials = []
        for side in request.sides:
            self.measured.append((request.pair, side, request.repetition))
            fields = {"outcome": Outcome.COMPLETED, **self.behaviour[side](request.seed)}
            trials.append(
                Trial(
                    workload=request.workload,
                    side=side,
                    seed=request.seed,
                    pair=request.pair,
                    repetition=request.repetition,
                    files_of=request.measured_with.files_for(side),
                    **fields,
                )
            )
        return PairResult(request=request, trials=tuple(trials))


def logs_of(*workloads, **options):
    """Logs without trials, all workloads assigned alike."""
    assignments = [Assignment(workload=workload, **options) for workload in workloads]
    return make_logs(
        assignments, {each.workload.id: derive_seeds("", "c", each.workload.id, 20) for each in assignments}
    )


@pytest.fixture
def run():
    def run(subject, *, logs=None, is_new=False, **options):
        workload = Workload(id=WORKLOAD, execution=TRAINED, metrics=(METRIC,))
        logs = logs or logs_of(workload, is_new=is_new)
        with ThreadPoolExecutor(4) as executor:
            measurement = Measurement(
                **{
                    "logs": logs,
                    "settled": (),
                    "design": Design(num_gated=1),
                    "salt": "",
                    "commit": "c",
                    "margin_of": lambda metric, context: metric.margin,
                    "measure": subject.measure,
                    "measure_timed": subject.measure_timed,
                    "pair_seconds": 1.0,
                    "executor": executor,
                    "num_at_once": 4,
                    "trial_seconds": 1.0,
                    "fail_fast": False,
                    "deadline": float("inf"),
                    "observer": KeepingObserver(),
                    **options,
                }
            )
            findings = measurement.run()
        return findings, measurement

    return run


def accuracy(*, degradation=0.0, deviation=0.003, digest=None, stream="a", **fields):
    """A behaviour: accuracy about 0.9 with seed noise."""

    def behave(seed):
        value = 0.9 - degradation + random.Random(f"{stream}{seed}").gauss(0, deviation)
        return {"values": {"top1_accuracy": value}, "digest": digest(seed) if digest else "", **fields}

    return behave


def failing(cause="boom", outcome=Outcome.FAILED):
    return lambda seed: {"outcome": outcome, "cause": cause, "last_lines": ("last words",)}


def test_equal_digests_pass_on_two_seeds_without_further_training(run):
    subject = Subject(accuracy(digest=str), accuracy(digest=str))

    (finding,), _ = run(subject)

    assert (finding.verdict, finding.method, len(finding.exact_seeds)) == (Verdict.PASS, Method.EXACT, 2)
    assert len(subject.measured) == 5  # two pairs, and the baseline again


def test_a_nondeterministic_baseline_goes_on_to_pairs(run):
    times_run = Counter()

    def unsteady(seed):
        times_run[seed] += 1
        return {**accuracy()(seed), "digest": f"{seed}, time {times_run[seed]}"}

    subject = Subject(unsteady, accuracy(digest=lambda seed: f"{seed}, time 1"))

    (finding,), measurement = run(subject)

    assert (finding.verdict, finding.method) == (Verdict.PASS, Method.SEQUENTIAL)
    assert any("not deterministic" in note for note in measurement.notes)


@pytest.mark.parametrize(
    ("digests", "blame"),
    [
        pytest.param(("constant", "constant"), Blame.BOTH, id="both-ignore-the-seed"),
        pytest.param((None, "constant"), Blame.CANDIDATE, id="candidate-ignores-the-seed"),
    ],
)
def test_a_workload_that_ignores_its_seed_is_an_error(run, digests, blame):
    baseline, candidate = ((lambda seed, d=d: d or str(seed)) for d in digests)

    (finding,), _ = run(Subject(accuracy(digest=baseline), accuracy(digest=candidate)))

    assert (finding.verdict, finding.blame) == (Verdict.ERROR, blame)
    assert "ignores its seed" in finding.reason


@pytest.mark.parametrize(
    ("digest", "verdict", "method"),
    [
        pytest.param(str, Verdict.PASS, Method.EXACT, id="equal-digests"),
        pytest.param(lambda seed: "constant", Verdict.ERROR, Method.NONE, id="the-seed-is-ignored"),
    ],
)
def test_digests_say_nothing_of_a_metric_whose_values_cannot_be_believed(run, digest, verdict, method):
    top1, loss = replace(METRIC, ceiling=0.9995), replace(METRIC, name="loss", direction=Direction.LOWER, unit="nat")
    workload = Workload(id=WORKLOAD, execution=TRAINED, metrics=(top1, loss))

    def perfect(seed):
        return {"values": {"top1_accuracy": 1.0, "loss": 0.02}, "digest": digest(seed)}

    findings, measurement = run(Subject(perfect, perfect), logs=logs_of(workload), design=Design(num_gated=2))

    assert [(finding.verdict, finding.method) for finding in findings] == [
        (Verdict.ERROR, Method.NONE), (verdict, method)
    ]  # fmt: skip
    assert "implausible beyond its ceiling of 0.9995" in findings[0].reason
    resumed, rest = logs_of(workload), Subject(perfect, perfect)
    restore_trials(resumed, [*measurement._logs[WORKLOAD].trials.values()])
    assert run(rest, logs=resumed, design=Design(num_gated=2))[0] == findings
    assert rest.measured == []


def test_a_harmless_change_of_numerics_passes_at_the_first_look(run):
    (finding,), _ = run(Subject(accuracy(digest=str), accuracy(digest=lambda s: f"{s}x", deviation=0.002)))

    assert (finding.verdict, finding.num_pairs) == (Verdict.PASS, 5)


def test_a_large_degradation_fails_at_the_first_look(run):
    (finding,), _ = run(Subject(accuracy(), accuracy(degradation=0.1, stream="b")))

    assert (finding.verdict, finding.num_pairs) == (Verdict.FAIL, 5)


def test_a_degradation_at_the_margin_uses_every_look_and_stays_inconclusive(run):
    subject = Subject(accuracy(), accuracy(degradation=0.01, stream="b"))

    (finding,), _ = run(subject)

    assert (finding.verdict, finding.num_pairs) == (Verdict.INCONCLUSIVE, 20)
    assert len(subject.measured) == 40


def test_each_look_is_told_once_with_its_findings(run):
    observer = KeepingObserver()

    (finding,), _ = run(Subject(accuracy(), accuracy(degradation=0.01, stream="b")), observer=observer)

    assert [look for look, _ in observer.looks] == [5, 8, 12, 20]
    ((last,),) = (findings for look, findings in observer.looks if look == 20)
    assert (last.verdict, last.estimate, last.num_pairs) == (finding.verdict, finding.estimate, 20)


def test_nothing_is_measured_twice(run):
    subject = Subject(accuracy(digest=str), accuracy(digest=lambda s: f"{s}x", degradation=0.01, stream="b"))

    run(subject)

    assert len(subject.measured) == len(set(subject.measured))


@pytest.mark.parametrize(
    ("baseline", "candidate", "is_new", "verdict", "blame"),
    [
        pytest.param(accuracy(), failing(), False, Verdict.ERROR, Blame.CANDIDATE, id="candidate-raises"),
        pytest.param(failing(), accuracy(), False, Verdict.ERROR, Blame.BASELINE, id="baseline-raises"),
        pytest.param(failing(), accuracy(), True, Verdict.NEW, None, id="baseline-lacks-it"),
        pytest.param(failing(), failing(), True, Verdict.ERROR, Blame.BOTH, id="both-raise"),
        pytest.param(
            accuracy(), failing("no GPU", Outcome.SKIPPED), False, Verdict.MISSING, None, id="candidate-skips-alone"
        ),
        pytest.param(
            failing("no GPU", Outcome.SKIPPED), accuracy(), False, Verdict.NEW, None, id="baseline-skips-alone"
        ),
        pytest.param(
            failing("no GPU", Outcome.SKIPPED),
            failing(),
            False,
            Verdict.ERROR,
            Blame.CANDIDATE,
            id="raises-where-skipped",
        ),
        pytest.param(
            failing(), failing("no GPU", Outcome.SKIPPED), False, Verdict.ERROR, Blame.BASELINE, id="skips-what-raised"
        ),
        pytest.param(
            accuracy(context={"dataset": "a"}),
            accuracy(context={"dataset": "b"}),
            False,
            Verdict.ERROR,
            Blame.ENVIRONMENT,
            id="other-data",
        ),
        pytest.param(
            accuracy(degradation=float("nan")), accuracy(), False, Verdict.ERROR, Blame.BASELINE, id="baseline-is-nan"
        ),
    ],
)
def test_what_cannot_be_judged_is_said(run, baseline, candidate, is_new, verdict, blame):
    (finding,), _ = run(Subject(baseline, candidate), is_new=is_new)

    assert (finding.verdict, finding.blame) == (verdict, blame)


def test_an_error_names_the_cause_and_keeps_the_last_lines(run):
    (finding,), _ = run(Subject(accuracy(), failing("ZeroDivisionError: gone")))

    assert "ZeroDivisionError: gone" in finding.reason
    assert finding.detail == ("last words",)


@pytest.mark.parametrize(
    ("broken", "outcome"),
    [
        pytest.param({"outcome": Outcome.CRASHED, "cause": "gone"}, "did not complete a trial at seed", id="crashed"),
        pytest.param({"values": {METRIC.name: float("nan")}}, "is nan at seed", id="nan"),
    ],
)
def test_an_error_holds_the_seed_of_the_trial_that_broke(run, broken, outcome):
    (seed,) = derive_seeds("", "c", WORKLOAD, 3)[2:]
    sound = accuracy()

    (finding,), _ = run(Subject(sound, lambda drawn: {**sound(drawn), **(broken if drawn == seed else {})}))

    assert (finding.verdict, finding.blame, finding.broken_seed) == (Verdict.ERROR, Blame.CANDIDATE, seed)
    assert f"{outcome} {seed}" in finding.reason


def test_other_labels_are_an_error(run):
    def predicting(labels):
        return accuracy(predictions=Predictions(predicted="AA==", labels=labels, labels_digest=labels))

    (finding,), measurement = run(Subject(predicting("AA=="), predicting("AQ==")))

    assert (finding.verdict, finding.reason) == (Verdict.ERROR, "the revisions were tested on different labels")
    (result,) = measurement.results()
    assert (result.status, result.flips) == ("error", ())


def test_a_workload_that_neither_runs_is_listed_as_skipped_and_not_judged(run):
    skipping = failing("no GPU", Outcome.SKIPPED)

    findings, measurement = run(Subject(skipping, skipping))

    (result,) = measurement.results()
    assert findings == ()
    assert (result.status, result.reason) == ("skipped", "no GPU")


NO_MEMORY = failing("not enough memory", Outcome.SKIPPED)


def at_seed(seed_of_other, other, behave):
    """A behaviour that is another one with one seed."""
    return lambda seed: (other if seed == seed_of_other else behave)(seed)


@pytest.mark.parametrize("pair", [1, 4])
def test_what_the_baseline_skips_in_one_trial_and_runs_in_another_is_broken_and_not_new(run, pair):
    logs = logs_of(Workload(id=WORKLOAD, execution=TRAINED, metrics=(METRIC,)))
    subject = Subject(at_seed(logs[0].seeds[pair], NO_MEMORY, accuracy()), accuracy())

    (finding,), _ = run(subject, logs=logs)

    assert (finding.verdict, finding.blame) == (Verdict.ERROR, Blame.BASELINE)
    assert finding.reason.endswith("twice: not enough memory")


def test_a_baseline_that_skips_its_repetition_is_broken_and_not_new(run):
    times_run = Counter()

    def skipping(seed):
        times_run[seed] += 1
        return accuracy(digest=str)(seed) if times_run[seed] == 1 else NO_MEMORY(seed)

    (finding,), _ = run(Subject(skipping, accuracy(digest=str)))

    assert (finding.verdict, finding.blame) == (Verdict.ERROR, Blame.BASELINE)


@pytest.mark.parametrize(
    ("candidate", "blame"),
    [
        pytest.param(accuracy(), Blame.BASELINE, id="the-baseline-skipped"),
        pytest.param(NO_MEMORY, Blame.BOTH, id="both-skipped"),
    ],
)
def test_a_skip_excuses_nothing_once_a_pair_that_was_under_way_has_run(candidate, blame):
    (log,) = logs_of(Workload(id=WORKLOAD, execution=TRAINED, metrics=(METRIC,)))

    for pair, behaviours in enumerate([(NO_MEMORY, candidate), (accuracy(), accuracy())]):
        for side, behave in zip(Side, behaviours, strict=True):
            seed = log.seeds[pair]
            fields = {"outcome": Outcome.COMPLETED, **behave(seed)}
            log.add(Trial(workload=WORKLOAD, side=side, seed=seed, pair=pair, **fields))
        log.settle()
        assert log.is_settled

    finding = log.presets[METRIC.id]
    assert (finding.verdict, finding.blame, log.skip_reason) == (Verdict.ERROR, blame, "")


def test_the_last_completed_look_stands_when_time_runs_out(run):
    ticks = iter(range(1000))
    subject = Subject(accuracy(), accuracy(degradation=0.01, stream="b"))

    (finding,), measurement = run(subject, clock=lambda: next(ticks), deadline=30, num_at_once=1)

    assert finding.verdict is Verdict.INCONCLUSIVE
    assert finding.num_pairs < 20
    assert any("time was used up" in note for note in measurement.notes)


class Endless(Subject):
    """Every pair from one on is still under way when the time is used up."""

    def __init__(self, baseline, candidate, *, first):
        super().__init__(baseline, candidate)
        self.first = first
        self.seconds_left = []

    def measure(self, request, known):
        self.seconds_left.append(request.seconds_left)
        if len(self.measured) >= 2 * self.first:
            return PairResult(request=request, trials=(), was_cut=True)
        return super().measure(request, known)


@pytest.mark.parametrize(
    ("behave", "first"),
    [
        pytest.param(accuracy(digest=str), 0, id="equal-before-the-first-pair"),
        pytest.param(accuracy(digest=str), 1, id="equal-after-one-pair"),
        pytest.param(accuracy(), 3, id="before-the-first-look"),
    ],
)
def test_a_pair_that_the_time_cuts_off_is_dropped_and_never_passes(run, behave, first):
    subject = Endless(behave, behave, first=first)

    def clock():
        return 10.0 if len(subject.seconds_left) > first else 0.0

    (finding,), measurement = run(subject, clock=clock, deadline=10.0, num_at_once=1)

    assert finding.verdict is Verdict.INCONCLUSIVE
    assert finding.num_pairs == first
    assert subject.seconds_left[0] == 10.0
    assert "the time was used up before the look at 5 pairs; no look was completed" in measurement.notes
    assert "1 pair was under way when the time was used up: ended and dropped" in measurement.notes


@pytest.mark.parametrize(
    ("side", "is_new", "verdict", "blame"),
    [
        pytest.param(Side.CANDIDATE, False, Verdict.ERROR, Blame.CANDIDATE, id="candidate"),
        pytest.param(Side.BASELINE, False, Verdict.ERROR, Blame.BASELINE, id="baseline"),
        pytest.param(Side.BASELINE, True, Verdict.NEW, None, id="baseline-of-a-new-workload"),
        pytest.param(Side.CANDIDATE, True, Verdict.ERROR, Blame.CANDIDATE, id="candidate-of-a-new-workload"),
    ],
)
def test_a_workload_whose_file_hung_is_settled_without_a_trial(run, side, is_new, verdict, blame):
    workload = Workload(id=WORKLOAD, execution=TRAINED, metrics=(METRIC,))
    logs = logs_of(workload, is_new=is_new)
    logs[0].refuse(side, "the worker hung", ("still here",))
    subject = Subject(accuracy(), accuracy())

    (finding,), _ = run(subject, logs=logs)

    assert (finding.verdict, finding.blame, subject.measured) == (verdict, blame, [])
    assert "the worker hung" in finding.reason


def test_a_resumed_measurement_measures_only_what_is_missing_and_agrees(run):
    baseline, candidate = accuracy(), accuracy(degradation=0.01, stream="b")
    whole = Subject(baseline, candidate)
    expected, measurement = run(whole)
    trials = list(measurement._logs[WORKLOAD].trials.values())
    workload = Workload(id=WORKLOAD, execution=TRAINED, metrics=(METRIC,))
    logs = logs_of(workload)
    for trial in random.Random(0).sample(trials, 17):
        logs[0].add(trial)
    rest = Subject(baseline, candidate)

    findings, _ = run(rest, logs=logs)

    assert findings == expected
    assert len(rest.measured) == len(whole.measured) - 17


def reusing(trials):
    """Logs with the baseline's trials of an earlier gate."""
    workload = Workload(id=WORKLOAD, execution=TRAINED, metrics=(METRIC,))
    (log,) = logs_of(workload)
    for trial in trials:
        log.add(replace(trial, reused_from="first", duration_s=0.0, load=None))
    return [log]


def gate_twice(run, baseline, candidate, **options):
    """Logs of a second gate, with what the first one proved of the baseline."""
    _, measurement = run(Subject(baseline, candidate), repeats=frozenset({WORKLOAD}), **options)
    return reusing(measurement._logs[WORKLOAD].baseline_trials)


def other_numerics(seed):
    return accuracy(digest=lambda s: f"{s}x", deviation=0.002)(seed)


def test_the_baseline_is_repeated_last_where_later_gates_gain_by_it(run):
    subject = Subject(accuracy(digest=str), other_numerics)

    (finding,), _ = run(subject, repeats=frozenset({WORKLOAD}))

    assert (finding.verdict, finding.num_pairs) == (Verdict.PASS, 5)
    assert subject.measured[-1] == (0, Side.BASELINE, 1)
    assert len(subject.measured) == 11


@pytest.mark.parametrize(
    ("baseline", "candidate", "num_trials"),
    [
        pytest.param(accuracy(digest=str), accuracy(digest=str), 5, id="proved-already"),
        pytest.param(accuracy(), accuracy(deviation=0.002), 10, id="no-digest"),
        pytest.param(accuracy(digest=str), failing(), 2, id="one-trial-to-gain"),
    ],
)
def test_the_baseline_is_not_repeated_without_need(run, baseline, candidate, num_trials):
    subject = Subject(baseline, candidate)

    run(subject, repeats=frozenset({WORKLOAD}))

    assert len(subject.measured) == num_trials


@pytest.mark.parametrize(
    ("again", "notes"),
    [
        pytest.param({"digest": "another"}, [f"{WORKLOAD}: {NOT_REPEATABLE}"], id="another-digest"),
        pytest.param({"outcome": Outcome.FAILED, "cause": "boom", "digest": ""}, [], id="fails"),
    ],
)
def test_a_repetition_for_later_gates_changes_no_finding_even_when_resumed(run, again, notes):
    times_run = Counter()

    def unsteady(seed):
        times_run[seed] += 1
        return {**accuracy(digest=str)(seed), **(again if times_run[seed] > 1 else {})}

    expected, measurement = run(Subject(unsteady, other_numerics), repeats=frozenset({WORKLOAD}))
    log = measurement._logs[WORKLOAD]

    findings, _ = run(Subject(failing(), failing()), logs=[log], repeats=frozenset({WORKLOAD}))

    assert (0, Side.BASELINE, 1) in log.trials
    assert findings == expected
    assert measurement.notes == notes


@pytest.mark.parametrize(
    "candidate", [pytest.param(accuracy(digest=str), id="exact"), pytest.param(other_numerics, id="other-numerics")]
)
def test_reused_trials_are_not_measured_and_give_the_same_findings(run, candidate):
    baseline = accuracy(digest=str)
    expected, _ = run(Subject(baseline, candidate), repeats=frozenset({WORKLOAD}))
    subject = Subject(baseline, candidate)

    findings, measurement = run(subject, logs=gate_twice(run, baseline, candidate), repeats=frozenset({WORKLOAD}))

    assert findings == expected
    assert {side for _, side, _ in subject.measured} == {Side.CANDIDATE}
    assert len(measurement._logs[WORKLOAD].reused) == len(subject.measured) + 1  # the repetition


def test_candidates_of_reused_pairs_run_as_many_at_once_as_pairs_have_sides(run):
    class Meeting(Subject):
        both = threading.Barrier(2, timeout=600)

        def measure(self, request, known):
            if request.pair > 0:
                self.both.wait()
            return super().measure(request, known)

    baseline = accuracy(digest=str)
    subject = Meeting(baseline, other_numerics)

    run(subject, logs=gate_twice(run, baseline, other_numerics), num_at_once=2)

    assert len(subject.measured) == 5


def test_pairs_beyond_the_reused_ones_are_measured_whole(run):
    baseline = accuracy(digest=str)
    logs = gate_twice(run, baseline, other_numerics)
    near = accuracy(digest=lambda s: f"{s}y", degradation=0.01, stream="b")
    subject = Subject(baseline, near)

    run(subject, logs=logs)

    assert sorted(pair for pair, side, _ in subject.measured if side is Side.BASELINE) == list(range(5, 20))


@pytest.mark.parametrize(
    "candidate", [pytest.param(accuracy(digest=str), id="exact"), pytest.param(other_numerics, id="other-numerics")]
)
def test_reused_trials_of_other_data_are_measured_anew(run, candidate):
    def on(data, behave):
        return lambda seed: {**behave(seed), "context": {"sha256": data}}

    baseline = accuracy(digest=str)
    logs = gate_twice(run, on("old", baseline), on("old", candidate))
    expected, whole = run(Subject(on("new", baseline), on("new", candidate)), repeats=frozenset({WORKLOAD}))
    subject = Subject(on("new", baseline), on("new", candidate))

    findings, measurement = run(subject, logs=logs, repeats=frozenset({WORKLOAD}))

    assert findings == expected
    assert sorted(subject.measured) == sorted(whole._logs[WORKLOAD].trials)
    assert measurement._logs[WORKLOAD].reused == []


def test_a_candidate_that_records_other_circumstances_is_an_error_all_the_same(run):
    baseline = accuracy(digest=str, context={"dataset": "a"})
    logs = gate_twice(run, baseline, accuracy(digest=lambda s: f"{s}x", context={"dataset": "a"}))

    (finding,), _ = run(Subject(baseline, accuracy(digest=str, context={"dataset": "b"})), logs=logs)

    assert (finding.verdict, finding.blame) == (Verdict.ERROR, Blame.ENVIRONMENT)


def test_margins_follow_the_data_set(run):
    subject = Subject(*(accuracy(context={"dataset": "digits"}) for _ in Side))

    (finding,), _ = run(subject, margin_of=lambda metric, context: {"digits": 0.05}.get(context.get("dataset"), 0.01))

    assert finding.metric.margin == 0.05


@pytest.mark.parametrize(
    ("limit", "num_pairs"),
    [
        pytest.param(None, 5, id="no-waiver"),
        pytest.param(0.1, 5, id="worse-than-waived"),
        pytest.param(0.5, 20, id="waived"),
    ],
)
def test_fail_fast_stops_at_a_fail_that_no_waiver_covers_and_names_what_is_left_undecided(run, limit, num_pairs):
    other = Workload(
        id="w2",
        execution=TRAINED,
        metrics=(Metric(workload="w2", name="b", kind=Kind.ACCURACY, direction=Direction.HIGHER, margin=0.01),),
    )
    first = Workload(id=WORKLOAD, execution=TRAINED, metrics=(METRIC,))
    logs = logs_of(first, other)

    def both(degradation, other_degradation, stream):
        def behave(seed):
            fields = accuracy(degradation=degradation, stream=stream)(seed)
            fields["values"]["b"] = accuracy(degradation=other_degradation, stream=stream)(seed)["values"][
                "top1_accuracy"
            ]
            return fields

        return behave

    subject = Subject(both(0, 0, "a"), both(0.2, 0.01, "b"))
    waivers = [Waiver(metric=METRIC.id, limit=limit, reason="a", until="2027-01-31")] if limit else []
    findings, measurement = run(
        subject,
        logs=logs,
        fail_fast=True,
        waive=lambda findings: apply_waivers(findings, waivers, date(2026, 11, 29)),
        design=Design(num_gated=2),
    )

    assert [finding.verdict for finding in findings] == [Verdict.FAIL, Verdict.INCONCLUSIVE]
    assert findings[1].num_pairs == num_pairs
    stopped = ["stopped at the first fail; left undecided: w2#b"] if num_pairs < 20 else []
    assert measurement.notes == stopped


def two_metrics(degradation, other_degradation, *, stream):
    """A behaviour that records ``a`` and ``b``."""

    def behave(seed):
        values = [
            accuracy(degradation=each, stream=stream)(seed)["values"]["top1_accuracy"]
            for each in (degradation, other_degradation)
        ]
        return {"values": dict(zip("ab", values, strict=True))}

    return behave


@pytest.mark.parametrize("side", Side)
@pytest.mark.parametrize("is_resumed", [False, True])
def test_a_degradation_that_was_proved_stays_a_degradation_whatever_breaks_later(run, side, is_resumed):
    metrics = tuple(replace(METRIC, name=name) for name in "ab")
    workload = Workload(id=WORKLOAD, execution=TRAINED, metrics=metrics)
    logs = logs_of(workload)
    broken_seed = logs[0].seeds[6]
    subject = Subject(two_metrics(0, 0, stream="a"), two_metrics(0.2, 0.01, stream="b"))
    sound = subject.behaviour[side]
    subject.behaviour[side] = lambda seed: failing()(seed) if seed == broken_seed else sound(seed)

    findings, measurement = run(subject, logs=logs, design=Design(num_gated=2))
    if is_resumed:
        trials = [*measurement._logs[WORKLOAD].trials.values()]
        logs = logs_of(workload)
        restore_trials(logs, trials)
        findings, _ = run(subject, logs=logs, design=Design(num_gated=2))

    lost, undecided = findings
    assert (lost.verdict, lost.num_pairs) == (Verdict.FAIL, 5)
    assert any("a later pair could not be judged: " in warning for warning in lost.warnings)
    assert undecided.verdict is Verdict.ERROR


def predicted_metrics(degradation, other_degradation, *, stream):
    """A behaviour that records ``b``, and as ``a`` the accuracy of its predictions."""
    sound = two_metrics(degradation, other_degradation, stream=stream)

    def behave(seed):
        values = sound(seed)["values"]
        num_right = round(1000 * values["a"])
        predicted, labels = bytes([1] * num_right + [0] * (1000 - num_right)), bytes([1] * 1000)
        predictions = Predictions(
            predicted=base64.b64encode(predicted).decode(), labels=base64.b64encode(labels).decode(), labels_digest="l"
        )
        return {"values": {**values, "a": num_right / 1000}, "predictions": predictions}

    return behave


@pytest.mark.parametrize(
    ("side", "value", "words"),
    [
        pytest.param(Side.BASELINE, 1.0, "a of the baseline is 1, which is implausible", id="beyond-the-ceiling"),
        pytest.param(Side.CANDIDATE, float("nan"), "a of the candidate is nan", id="not-finite"),
        pytest.param(Side.CANDIDATE, 0.9, "a of the candidate is 0.9 at seed", id="better-than-its-predictions"),
    ],
)
def test_a_degradation_that_was_proved_stays_a_degradation_whatever_is_recorded_later(run, side, value, words):
    metrics = tuple(replace(METRIC, name=name, ceiling=0.9995) for name in "ab")
    workload = Workload(id=WORKLOAD, execution=TRAINED, metrics=metrics)
    logs = logs_of(workload)
    subject = Subject(predicted_metrics(0, 0, stream="a"), predicted_metrics(0.2, 0.01, stream="b"))
    sound = subject.behaviour[side]

    def faulty(seed):
        fields = sound(seed)
        return {**fields, "values": {**fields["values"], "a": value}}

    subject.behaviour[side] = at_seed(logs[0].seeds[7], faulty, sound)

    findings, measurement = run(subject, logs=logs, design=Design(num_gated=2))

    lost, undecided = findings
    assert (lost.verdict, lost.num_pairs) == (Verdict.FAIL, 5)
    assert lost.warnings[-1].startswith(f"a later pair could not be judged: {words}")
    assert (undecided.verdict, undecided.num_pairs) == (Verdict.INCONCLUSIVE, 20)
    resumed = logs_of(workload)
    restore_trials(resumed, [*measurement._logs[WORKLOAD].trials.values()])
    assert run(Subject(failing(), failing()), logs=resumed, design=Design(num_gated=2))[0] == findings


def timed_workload(name="t", metric="call_time", execution=INTERLEAVED, margin=0.05):
    metric = Metric(workload=name, name=metric, kind=Kind(execution.kind), direction=Direction.LOWER, margin=margin)
    return Workload(id=name, execution=execution, metrics=(metric,))


class Machine:
    """Simulated processes: seconds of a call by workload and side, with noise of a pair."""

    def __init__(self, seconds, *, deviation=0.01, counts=lambda workload, side, repetition: {}):
        self.seconds = seconds
        self.deviation = deviation
        self.counts = counts
        self.measured = []
        self.requests = []
        self.under_way = 0
        self.tells_delays = True
        self.load = 0.5

    def measure(self, request, known):
        trials = []
        for side in request.sides:
            self.measured.append((request.workload, request.pair, side, request.repetition))
            values = self.counts(request.workload, side, request.repetition)
            modules = range(int(values.get("imported_modules", 0)))
            names = {"imported_modules": tuple(CountedName(name=f"m{n}") for n in modules)}
            trials.append(self._trial(request, request.workload, request.seed, side, values, names=names))
        return PairResult(request=request, trials=tuple(trials))

    def measure_timed(self, request):
        self.requests.append(request)
        self.under_way += 1
        assert self.under_way == 1
        trials = []
        for task in request.tasks:
            for side in Side:
                self.measured.append((task.workload, request.pair, side, 0))
                noise = random.Random(f"{task.workload} {request.pair} {side}").gauss(0, self.deviation)
                call_s = self.seconds[task.workload][side] * (1 + noise)
                blocks = {
                    "block_times_s": (call_s, call_s),
                    "run_delays_s": (call_s / 2, 0.0) if self.tells_delays else (),
                    "went_first": (True, False),
                    "is_concurrent": request.pair > 0,
                    "block_weights": (1.0, 0.25) if request.pair > 0 else (),
                    "load": self.load,
                }
                trials.append(self._trial(request, task.workload, task.seed, side, {"call_time": call_s}, **blocks))
        self.under_way -= 1
        return TimedResult(request=request, trials=tuple(trials), notes=("left threads",))

    @staticmethod
    def _trial(request, workload, seed, side, values, **fields):
        return Trial(
            workload=workload,
            side=side,
            seed=seed,
            pair=request.pair,
            repetition=getattr(request, "repetition", 0),
            outcome=Outcome.COMPLETED,
            values=values,
            files_of=request.measured_with.files_for(side),
            **fields,
        )


EQUAL = {Side.BASELINE: 1.0, Side.CANDIDATE: 1.0}


def test_equal_times_pass_at_the_first_look_and_double_times_fail_there(run):
    machine = Machine({"t": EQUAL, "u": {Side.BASELINE: 1.0, Side.CANDIDATE: 2.0}})

    findings, measurement = run(
        machine, logs=logs_of(timed_workload("t"), timed_workload("u")), design=Design(num_gated=2)
    )

    assert [finding.verdict for finding in findings] == [Verdict.PASS, Verdict.FAIL]
    assert [finding.num_pairs for finding in findings] == [5, 5]
    result = measurement.results()[0]
    assert (len(result.block_times_s["baseline"]), len(result.block_times_s["candidate"])) == (10, 10)
    assert result.loads == (0.5,) * 5
    assert result.run_delay == pytest.approx(0.2)
    assert result.num_concurrent_pairs == 4
    assert result.block_weights == (1.0, 1.0, *(1.0, 0.25) * 4)
    assert measurement.notes == ["left threads"]


@pytest.mark.parametrize(
    ("weights", "times_shown", "weights_shown"),
    [((), (1.5, 1.0), (1.0, 1.0)), ((1.0, 0.25) * 30 + (1.0,), (1.2, 1.0), (0.625, 1.0))],
    ids=["equal", "by-weight"],
)
def test_neighbouring_blocks_are_merged_so_that_the_mean_stays(weights, times_shown, weights_shown):
    trial = Trial(
        workload="w",
        side=Side.BASELINE,
        seed=1,
        pair=0,
        outcome=Outcome.COMPLETED,
        block_times_s=(1.0, 2.0) * 30 + (1.0,),
        block_weights=weights,
    )

    merged = [*_put_together(trial)]

    assert len(merged) == 31
    assert merged[0] == pytest.approx((times_shown[0], weights_shown[0]))
    assert merged[-1] == pytest.approx((times_shown[1], weights_shown[1]))


def test_what_was_taken_off_is_unknown_where_the_times_are_those_of_the_wall_clock(run):
    machine = Machine({"t": EQUAL})
    machine.tells_delays = False

    _, measurement = run(machine, logs=logs_of(timed_workload("t")), design=Design(num_gated=1))

    assert measurement.results()[0].run_delay is None


@pytest.mark.parametrize(("load", "loads"), [(0.0, (0.0,) * 5), (None, ())])
def test_an_unknown_load_is_not_shown_as_none(run, load, loads):
    machine = Machine({"t": EQUAL})
    machine.load = load
    logs = logs_of(timed_workload("t"))

    _, measurement = run(machine, logs=logs, design=Design(num_gated=1))

    assert measurement.results()[0].loads == loads
    assert max_load(logs) == load


def test_the_margin_that_a_project_sets_holds_without_a_data_set(run):
    machine = Machine({"t": {Side.BASELINE: 1.0, Side.CANDIDATE: 1.2}})

    verdicts = []
    for margin in (0.05, 0.5):
        (finding,), _ = run(machine, logs=logs_of(timed_workload()), margin_of=lambda metric, context, m=margin: m)
        verdicts.append((finding.verdict, finding.metric.margin))

    assert verdicts == [(Verdict.FAIL, 0.05), (Verdict.PASS, 0.5)]


def test_decided_workloads_take_no_part_in_later_pairs(run):
    machine = Machine({"t": EQUAL, "u": {Side.BASELINE: 1.0, Side.CANDIDATE: 1.05}})

    run(machine, logs=logs_of(timed_workload("t"), timed_workload("u")), design=Design(num_gated=2))

    assert {len(request.tasks) for request in machine.requests[:5]} == {2}
    assert {task.workload for request in machine.requests[5:] for task in request.tasks} == {"u"}


@pytest.mark.parametrize(
    ("seconds_left", "expected"),
    [
        pytest.param(10_000.0, 2.5, id="ample"),
        pytest.param(150.0, 1.5, id="some"),  # 0.8 of it over 15 pairs of two workloads, which take 5 s to start
        pytest.param(110.0, 0.5, id="scarce"),
    ],
)
def test_pairs_after_the_first_look_are_lengthened_if_all_looks_fit(run, seconds_left, expected):
    slower = {Side.BASELINE: 1.0, Side.CANDIDATE: 1.05}
    machine = Machine({"t": EQUAL, "u": slower, "v": slower})

    run(
        machine,
        logs=logs_of(*map(timed_workload, "tuv")),
        design=Design(num_gated=3),
        pair_seconds=0.5,
        longest_pair_seconds=2.5,
        clock=lambda: 0.0,
        deadline=seconds_left,
    )

    assert [request.seconds for request in machine.requests[:8]] == pytest.approx([0.5] * 5 + [expected] * 3)


def test_workloads_with_small_margins_are_measured_longer_and_leave_less_for_longer_pairs(run):
    undecided = {
        name: {Side.BASELINE: 1.0, Side.CANDIDATE: 1 + margin} for name, margin in {"t": 0.025, "u": 0.05}.items()
    }
    machine = Machine(undecided)

    run(
        machine,
        logs=logs_of(timed_workload("t", margin=0.025), timed_workload("u")),
        design=Design(num_gated=2),
        pair_seconds=0.5,
        longest_pair_seconds=2.5,
        clock=lambda: 0.0,
        deadline=187.5,  # 0.8 of it over 15 pairs, which take 5 s to start and five times 1 s
    )

    assert [request.seconds for request in machine.requests[:8]] == pytest.approx([0.5] * 5 + [1.0] * 3)
    assert {task.workload: task.stretch for request in machine.requests for task in request.tasks} == {"t": 4, "u": 1}


@pytest.mark.parametrize(("training_s", "expected"), [(0.0, 2.5), (10.0, 0.5)])
def test_time_that_open_trainings_will_need_lengthens_no_pairs(run, training_s, expected):
    machine = Machine({"t": {Side.BASELINE: 1.0, Side.CANDIDATE: 1.05}})
    slightly_worse = Subject(
        accuracy(duration_s=training_s), accuracy(degradation=0.01, stream="b", duration_s=training_s)
    )

    run(
        slightly_worse,
        logs=logs_of(Workload(id=WORKLOAD, execution=TRAINED, metrics=(METRIC,)), timed_workload("t")),
        design=Design(num_gated=2),
        measure_timed=machine.measure_timed,
        pair_seconds=0.5,
        longest_pair_seconds=2.5,
        clock=lambda: 0.0,
        deadline=300.0,  # at most 12 further pairs of trainings take 60 s to start, and 240 s if each run takes 10 s
    )

    assert machine.requests[8].pair in {pair for pair, _, _ in slightly_worse.measured}
    assert [request.seconds for request in machine.requests[:9]] == [0.5] * 5 + [expected] * 4


def test_the_order_of_workloads_changes_from_pair_to_pair(run):
    names = "abcd"
    machine = Machine(dict.fromkeys(names, EQUAL))

    run(machine, logs=logs_of(*map(timed_workload, names)), design=Design(num_gated=4))

    assert len({tuple(task.workload for task in request.tasks) for request in machine.requests}) > 1


def test_a_resumed_gate_measures_no_timed_pair_twice_and_agrees(run):
    workloads = timed_workload("t"), timed_workload("u")
    seconds = {"t": EQUAL, "u": {Side.BASELINE: 1.0, Side.CANDIDATE: 1.05}}
    whole = Machine(seconds)
    expected, measurement = run(whole, logs=logs_of(*workloads), design=Design(num_gated=2))
    logs = logs_of(*workloads)
    kept = [trial for log in measurement._logs.values() for trial in log.trials.values() if trial.pair < 3]
    restore_trials(logs, kept[:-1])  # the last pair was torn
    rest = Machine(seconds)

    findings, _ = run(rest, logs=logs, design=Design(num_gated=2))

    assert findings == expected
    assert len(rest.measured) == len(whole.measured) - len(kept) + 2


@pytest.mark.parametrize("examples", [{}, {"top1_accuracy": Examples(ids=("a",), scores=(1.0,))}])
def test_an_earlier_trial_that_lacks_a_gated_value_is_measured_again(run, examples):
    expected, measurement = run(Subject(accuracy(), accuracy(degradation=0.5)))
    kept = list(measurement._logs[WORKLOAD].trials.values())
    logs = logs_of(replace(measurement._logs[WORKLOAD].workload))
    restore_trials(logs, [replace(kept[0], values={}, examples=examples), *kept[1:]])

    findings, _ = run(Subject(accuracy(), accuracy(degradation=0.5)), logs=logs)

    assert findings == expected


def test_what_needs_a_process_of_its_own_runs_apart(run):
    workload = timed_workload("m", metric="peak_memory", execution=ALONE)
    machine = Machine({}, counts=lambda name, side, repetition: {"peak_memory": 1e8})

    (finding,), _ = run(machine, logs=logs_of(workload))

    assert finding.verdict is Verdict.PASS
    assert machine.requests == []


def test_nothing_runs_beside_a_training_that_may_not_overlap_not_even_while_equality_is_tried(run):
    subject = Subject(accuracy(), accuracy(degradation=0.01, stream="b"))
    by_itself = replace(TRAINED, name="by_itself", may_overlap=False)
    workloads = [
        Workload(id=name, execution=execution, metrics=(replace(METRIC, workload=name),))
        for name, execution in [("beside", TRAINED), ("alone", by_itself)]
    ]
    under_way, beside, allowed = [], [], {"beside": set(), "alone": set()}

    def measure(request, known):
        allowed[request.workload].add(request.may_overlap)
        under_way.append(request.workload)
        time.sleep(0.01)  # time enough for another one to start, were it let
        if "alone" in under_way and len(under_way) > 1:
            beside.append(tuple(under_way))
        under_way.remove(request.workload)
        return subject.measure(request, known)

    run(subject, logs=logs_of(*workloads), measure=measure, design=Design(num_gated=2))

    assert {pair for pair, _, _ in subject.measured} >= {0, 1, 2}
    assert beside == []
    assert allowed == {"beside": {True}, "alone": {False}}


@pytest.mark.parametrize(
    ("baseline", "candidate", "repeated", "verdict", "num_trials"),
    [
        pytest.param(10, 10, 10, Verdict.PASS, 2, id="equal-needs-no-repetition"),
        pytest.param(10, 12, 10, Verdict.FAIL, 3, id="more"),
        pytest.param(10, 9, 10, Verdict.PASS, 3, id="fewer"),
        pytest.param(10, 12, 11, Verdict.ERROR, 3, id="baseline-does-not-repeat-itself"),
    ],
)
def test_counts_are_compared_once_and_spend_no_error(run, baseline, candidate, repeated, verdict, num_trials):
    workload = timed_workload("n", metric="imported_modules", execution=ONCE)
    by_side = {Side.BASELINE: baseline, Side.CANDIDATE: candidate}
    machine = Machine({}, counts=lambda name, side, again: {"imported_modules": repeated if again else by_side[side]})

    (finding,), _ = run(machine, logs=logs_of(workload), design=Design(num_gated=0))

    assert (finding.verdict, len(machine.measured)) == (verdict, num_trials)


def test_the_names_of_what_was_added_are_shown(run):
    workload = timed_workload("n", metric="imported_modules", execution=ONCE)
    machine = Machine({}, counts=lambda name, side, again: {"imported_modules": 3 if side is Side.CANDIDATE else 2})

    (finding,), _ = run(machine, logs=logs_of(workload), design=Design(num_gated=0))

    assert finding.detail == ("added: m2",)


def test_counts_that_were_never_taken_are_inconclusive(run):
    workload = timed_workload("n", metric="imported_modules", execution=ONCE)

    (finding,), _ = run(
        Machine({}), logs=logs_of(workload), design=Design(num_gated=0), deadline=0.0, clock=lambda: 1.0
    )

    assert finding.verdict is Verdict.INCONCLUSIVE


def test_trainings_and_timed_pairs_share_looks_and_never_overlap(run):
    subject = Subject(accuracy(), accuracy(degradation=0.01, stream="b"))
    machine = Machine({"t": {Side.BASELINE: 1.0, Side.CANDIDATE: 1.05}})
    order = []

    def measure(request, known):
        order.append("training")
        return subject.measure(request, known)

    def measure_timed(request):
        order.append("timed")
        return machine.measure_timed(request)

    workload = Workload(id=WORKLOAD, execution=TRAINED, metrics=(METRIC,))
    run(
        subject,
        logs=logs_of(workload, timed_workload("t")),
        design=Design(num_gated=2),
        measure=measure,
        measure_timed=measure_timed,
    )

    assert order[:10] == ["training"] * 5 + ["timed"] * 5
    assert "training" in order[10:]


def test_counts_that_a_killed_gate_had_taken_are_not_taken_again(run):
    logs = logs_of(timed_workload("n", metric="imported_modules", execution=ONCE))
    machine = Machine({}, counts=lambda name, side, again: {"imported_modules": 7})
    run(machine, logs=logs, design=Design(num_gated=0))
    resumed = logs_of(timed_workload("n", metric="imported_modules", execution=ONCE))
    restore_trials(resumed, list(logs[0].trials.values()))
    rest = Machine({})

    (finding,), _ = run(rest, logs=resumed, design=Design(num_gated=0))

    assert (finding.verdict, rest.measured) == (Verdict.PASS, [])


def predicting(*, right, claimed=None, digest=None):
    """A behaviour: 200 predictions of which a share near so much is right, and the accuracy that is recorded."""

    def behave(seed):
        num_right = round(200 * (right + random.Random(seed).gauss(0, 0.01)))
        predicted = base64.b64encode(bytes([1] * num_right + [0] * (200 - num_right))).decode()
        labels = base64.b64encode(bytes([1] * 200)).decode()
        return {
            "values": {"top1_accuracy": num_right / 200 if claimed is None else claimed},
            "predictions": Predictions(predicted=predicted, labels=labels, labels_digest="l"),
            "digest": digest or str(seed),
        }

    return behave


def test_a_candidate_whose_predictions_belie_its_accuracy_is_an_error(run):
    subject = Subject(predicting(right=0.77), predicting(right=0.36, claimed=0.7752))

    (finding,), _ = run(subject)

    assert (finding.verdict, finding.blame) == (Verdict.ERROR, Blame.CANDIDATE)
    assert "top1_accuracy of the candidate is 0.7752" in finding.reason
    assert len(subject.measured) == 4  # two pairs tell


@pytest.mark.parametrize("resolution", [0.0, 10.0])
def test_a_candidate_cannot_hide_a_degradation_behind_a_resolution_of_its_own(run, resolution):
    metric = stricter_metric(replace(METRIC, resolution=0.005), replace(METRIC, resolution=resolution))
    logs = logs_of(Workload(id=WORKLOAD, execution=TRAINED, metrics=(metric,)))

    (finding,), _ = run(Subject(accuracy(), accuracy(degradation=0.4, stream="b")), logs=logs)

    assert (finding.verdict, finding.num_pairs) == (Verdict.FAIL, 5)


@pytest.mark.parametrize("resolution", [0.0, 10.0])
def test_a_candidate_cannot_switch_off_the_check_of_its_predictions_by_a_resolution_of_its_own(run, resolution):
    metric = stricter_metric(replace(METRIC, resolution=0.005), replace(METRIC, resolution=resolution))
    logs = logs_of(Workload(id=WORKLOAD, execution=TRAINED, metrics=(metric,)))

    (finding,), _ = run(Subject(predicting(right=0.77), predicting(right=0.36, claimed=0.7752)), logs=logs)

    assert (finding.verdict, finding.blame) == (Verdict.ERROR, Blame.CANDIDATE)


def test_a_metric_that_predictions_do_not_reproduce_is_judged_as_it_is(run):
    (finding,), _ = run(Subject(predicting(right=0.77, claimed=0.775), predicting(right=0.36, claimed=0.7752)))

    assert finding.verdict is Verdict.PASS


def test_a_percentage_where_the_baseline_records_a_fraction_ends_the_workload(run):
    subject = Subject(accuracy(), lambda seed: {"values": {"top1_accuracy": 90.0}})

    (finding,), _ = run(subject)

    assert (finding.verdict, finding.blame) == (Verdict.ERROR, Blame.CANDIDATE)
    assert "is 90, which no fraction can be" in finding.reason


def rewards(first, *, stream):
    """A behaviour: values around 1 without a unit, those of the first two pairs given."""
    known = dict(zip(derive_seeds("", "c", WORKLOAD, 20), first, strict=False))
    return lambda seed: {
        "values": {"top1_accuracy": known.get(seed, 1.0 + random.Random(f"{stream}{seed}").gauss(0, 0.03))}
    }


def test_a_reward_that_straddles_one_is_judged_though_its_first_baseline_lies_below(run):
    subject = Subject(rewards((0.97, 1.03), stream="a"), rewards((1.02, 1.01), stream="b"))

    (finding,), _ = run(subject)

    assert (finding.verdict, finding.num_pairs, finding.metric.unit) == (Verdict.INCONCLUSIVE, 20, "1")


def test_a_percentage_is_no_error_before_the_first_look_tells_that_the_baseline_records_fractions(run):
    subject = Subject(accuracy(), lambda seed: {"values": {"top1_accuracy": 90.0}})

    (finding,), measurement = run(subject)
    started = [pair for pair, *_ in subject.measured]

    assert finding.verdict is Verdict.ERROR
    assert set(started) == set(range(5))
    assert [result.status for result in measurement.results()] == ["error"]


# --- workload files that the candidate cannot run ------------------------------------------------------------------


def with_renamed_function(trial):
    """The trial, broken where the candidate ran with the baseline's file."""
    if trial.side is trial.files_of:
        return trial
    return replace(trial, outcome=Outcome.FAILED, values={}, digest="", cause="no attribute 'fit'")


class Renamed(Subject):
    """A workload that the candidate can run with its own file only."""

    def measure(self, request, known):
        result = super().measure(request, known)
        return replace(result, trials=tuple(map(with_renamed_function, result.trials)))


def changed_over(**options):
    """Logs of a workload that the candidate has in a file of its own."""
    workload = Workload(id=WORKLOAD, execution=TRAINED, metrics=(METRIC,))
    return logs_of(workload, **{"measured_with": MeasuredWith.BASELINE, "has_own": True, **options})


@pytest.mark.parametrize(
    ("baseline", "candidate", "verdict"),
    [
        pytest.param(accuracy(digest=str), accuracy(digest=str), Verdict.INCONCLUSIVE, id="equal"),
        pytest.param(accuracy(), accuracy(degradation=-0.01, stream="b"), Verdict.INCONCLUSIVE, id="better"),
        pytest.param(accuracy(), accuracy(degradation=0.2, stream="b"), Verdict.FAIL, id="worse"),
        pytest.param(accuracy(), failing(), Verdict.ERROR, id="broken"),
    ],
)
def test_the_candidate_s_own_file_takes_over_and_is_at_best_inconclusive(run, baseline, candidate, verdict):
    subject = Renamed(baseline, candidate)

    (finding,), _ = run(subject, logs=changed_over())

    assert (finding.verdict, finding.measured_with) == (verdict, MeasuredWith.OWN)
    assert finding.needs_review is (verdict is Verdict.INCONCLUSIVE)
    assert [each for each in subject.measured if each[1] is Side.BASELINE].count((0, Side.BASELINE, 0)) == 1


def test_a_gate_that_is_resumed_changes_over_as_it_did(run):
    baseline, candidate = accuracy(), accuracy(degradation=0.01, stream="b")
    journal = []

    class Journalled(Renamed):
        def measure(self, request, known):
            result = super().measure(request, known)
            journal.extend(result.trials)
            return result

    expected, _ = run(Journalled(baseline, candidate), logs=changed_over())

    for num_kept in range(0, len(journal), 5):
        logs = changed_over()
        restore_trials(logs, journal[:num_kept])
        rest = Renamed(baseline, candidate)

        findings, _ = run(rest, logs=logs)

        assert findings == expected
        assert len(rest.measured) == len(journal) - num_kept


@pytest.mark.parametrize(
    ("options", "verdict", "blame"),
    [
        pytest.param({"has_own": False}, Verdict.ERROR, Blame.CANDIDATE, id="no-own-file"),
        pytest.param({"has_own": False, "is_moved": True}, Verdict.MISSING, None, id="moved"),
    ],
)
def test_without_a_file_of_its_own_the_candidate_does_not_get_through(run, options, verdict, blame):
    (finding,), _ = run(Renamed(accuracy(), accuracy()), logs=changed_over(**options))

    assert (finding.verdict, finding.blame, finding.measured_with) == (verdict, blame, MeasuredWith.BASELINE)


@pytest.mark.parametrize(
    ("baseline", "candidate", "verdict"),
    [
        pytest.param(failing(), failing(), Verdict.ERROR, id="both-broken"),
        pytest.param(accuracy(), failing("no GPU", Outcome.SKIPPED), Verdict.MISSING, id="candidate-skips"),
    ],
)
def test_the_baseline_s_file_stays_where_the_candidate_did_not_break_alone(run, baseline, candidate, verdict):
    (finding,), _ = run(Subject(baseline, candidate), logs=changed_over())

    assert (finding.verdict, finding.measured_with) == (verdict, MeasuredWith.BASELINE)


def test_the_baseline_s_file_stays_once_the_candidate_has_completed_a_trial_with_it(run):
    logs = changed_over()
    later = logs[0].seeds[3]
    sound, broken = accuracy(stream="b"), failing()
    subject = Subject(accuracy(), lambda seed: broken(seed) if seed == later else sound(seed))

    (finding,), _ = run(subject, logs=logs)

    assert (finding.verdict, finding.measured_with) == (Verdict.ERROR, MeasuredWith.BASELINE)


@pytest.mark.parametrize(
    ("degradation", "verdict"),
    [pytest.param(0.2, Verdict.FAIL, id="worse"), pytest.param(0.0, Verdict.MISSING, id="sound")],
)
def test_what_the_candidate_skips_in_its_own_file_is_at_best_missing(run, degradation, verdict):
    subject = Subject(accuracy(), accuracy(degradation=degradation, stream="b"))

    (finding,), _ = run(subject, logs=changed_over(missing="a mark skips it"))

    assert finding.verdict is verdict


def test_a_skip_of_what_the_baseline_may_gate_otherwise_is_not_passed_over(run):
    skipped = failing("no GPU", Outcome.SKIPPED)

    (finding,), _ = run(Subject(skipped, skipped), logs=changed_over(has_own=False, is_new=True, review="broken"))

    assert (finding.verdict, finding.reason) == (
        Verdict.INCONCLUSIVE, "broken; as measured: both revisions skip it: no GPU"
    )  # fmt: skip


@pytest.mark.parametrize(
    ("candidate", "reason"),
    [
        pytest.param(NO_MEMORY, "both revisions skip it: not enough memory", id="both-skip-it"),
        pytest.param(accuracy(), "skipped on the baseline: not enough memory", id="the-baseline-skips-it"),
    ],
)
def test_a_skip_by_the_baseline_needs_a_review_if_what_both_are_furnished_with_is_altered(run, candidate, reason):
    workload = Workload(id=WORKLOAD, execution=TRAINED, metrics=(METRIC,))
    waiver = Waiver(metric=METRIC.id, limit=0.0, reason="reviewed", until="2999-12-31")

    (finding,), measurement = run(Subject(NO_MEMORY, candidate), logs=logs_of(workload, skip_review="no share"))

    (accepted,) = apply_waivers([finding], [waiver], date(2026, 11, 29))
    assert (finding.verdict, finding.needs_review, accepted.verdict) == (Verdict.INCONCLUSIVE, True, Verdict.WAIVED)
    assert finding.reason == f"no share; as measured: {reason}"
    assert [result.status for result in measurement.results()] == ["new"]


def test_what_runs_needs_no_review_because_of_what_both_are_furnished_with(run):
    workload = Workload(id=WORKLOAD, execution=TRAINED, metrics=(METRIC,))

    (finding,), _ = run(Subject(accuracy(), accuracy(stream="b")), logs=logs_of(workload, skip_review="no share"))

    assert (finding.verdict, finding.review) == (Verdict.PASS, "")


@pytest.mark.parametrize(
    ("baseline", "candidate", "verdict"),
    [
        pytest.param(accuracy(digest=str), accuracy(digest=str), Verdict.INCONCLUSIVE, id="equal"),
        pytest.param(failing(), accuracy(), Verdict.INCONCLUSIVE, id="new"),
        pytest.param(accuracy(), accuracy(degradation=0.2, stream="b"), Verdict.FAIL, id="worse"),
    ],
)
def test_what_the_baseline_may_gate_otherwise_needs_a_review(run, baseline, candidate, verdict):
    logs = changed_over(measured_with=MeasuredWith.CANDIDATE, has_own=False, is_new=True, review="its file is broken")

    (finding,), _ = run(Subject(baseline, candidate), logs=logs)

    assert (finding.verdict, finding.needs_review) == (verdict, verdict is Verdict.INCONCLUSIVE)


@pytest.mark.parametrize(
    ("baseline", "is_new", "limit", "verdict"),
    [
        pytest.param(failing("no such function"), True, 0.0, Verdict.WAIVED, id="it-cannot-run-it"),
        pytest.param(failing("no GPU", Outcome.SKIPPED), False, 0.0, Verdict.WAIVED, id="it-skips-it"),
        pytest.param(accuracy(degradation=-0.002), False, 0.001, Verdict.INCONCLUSIVE, id="it-was-better"),
    ],
)
def test_a_waiver_covers_what_the_baseline_does_not_measure_by_whatever_limit(run, baseline, is_new, limit, verdict):
    workload = Workload(id=WORKLOAD, execution=TRAINED, metrics=(METRIC,))
    logs = logs_of(workload, is_new=is_new, review="the command prepare changed")
    waiver = Waiver(metric=METRIC.id, limit=limit, reason="reviewed", until="2999-12-31")

    (finding,), _ = run(Subject(baseline, accuracy()), logs=logs)
    (accepted,) = apply_waivers([finding], [waiver], date(2026, 11, 29))

    assert (finding.verdict, finding.is_new, accepted.verdict) == (
        Verdict.INCONCLUSIVE, verdict is Verdict.WAIVED, verdict
    )  # fmt: skip


def test_timed_workloads_change_over_one_by_one_and_share_processes_with_their_like_only(run):
    class RenamedMachine(Machine):
        def measure_timed(self, request):
            result = super().measure_timed(request)
            broken = [
                replace(t, outcome=Outcome.FAILED, values={}) if (t.workload, t.side) == ("t", Side.CANDIDATE) else t
                for t in result.trials
            ]
            is_own = request.measured_with is MeasuredWith.OWN
            return result if is_own else replace(result, trials=tuple(broken))

    machine = RenamedMachine({"t": EQUAL, "u": EQUAL})
    assigned = {"measured_with": MeasuredWith.BASELINE, "has_own": True}

    findings, _ = run(
        machine, logs=logs_of(timed_workload("t"), timed_workload("u"), **assigned), design=Design(num_gated=2)
    )

    assert [finding.verdict for finding in findings] == [Verdict.INCONCLUSIVE, Verdict.PASS]
    assert [finding.measured_with for finding in findings] == [MeasuredWith.OWN, MeasuredWith.BASELINE]
    together = [
        (request.pair, request.measured_with, sorted(task.workload for task in request.tasks))
        for request in machine.requests
        if request.tasks
    ]
    assert together[:3] == [
        (0, MeasuredWith.BASELINE, ["t", "u"]),
        (0, MeasuredWith.OWN, ["t"]),
        (1, MeasuredWith.BASELINE, ["u"]),
    ]


def test_what_runs_alone_changes_over_after_its_first_pair(run):
    class RenamedMachine(Machine):
        def measure(self, request, known):
            result = super().measure(request, known)
            return replace(result, trials=tuple(map(with_renamed_function, result.trials)))

    machine = RenamedMachine({}, counts=lambda name, side, repetition: {"peak_memory": 1e8})
    workload = timed_workload("m", metric="peak_memory", execution=ALONE)

    (finding,), _ = run(machine, logs=logs_of(workload, measured_with=MeasuredWith.BASELINE, has_own=True))

    assert (finding.verdict, finding.measured_with) == (Verdict.INCONCLUSIVE, MeasuredWith.OWN)
    assert machine.measured.count(("m", 0, Side.BASELINE, 0)) == 1
    assert machine.measured.count(("m", 0, Side.CANDIDATE, 0)) == 2
