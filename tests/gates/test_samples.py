import math
from dataclasses import replace

import pytest

from mainstay.gates.samples import (
    MetricSamples,
    fault_finding,
    find_fault,
    find_settled_fault,
    first_pairs,
    with_known_unit,
)
from mainstay.records.findings import Blame, Verdict


def samples_of(metric, baseline, candidate):
    return MetricSamples(
        metric=metric, seeds=tuple(range(len(baseline))), baseline_values=baseline, candidate_values=candidate
    )


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, 1.0], ids=["nan", "inf", "minus-inf", "implausible"])
@pytest.mark.parametrize(
    ("baseline_is_bad", "candidate_is_bad", "blame"),
    [(True, False, Blame.BASELINE), (False, True, Blame.CANDIDATE), (True, True, Blame.BOTH)],
)
def test_unfit_accuracies_are_blamed_on_their_revision(top1, bad, baseline_is_bad, candidate_is_bad, blame):
    baseline = (0.9, bad if baseline_is_bad else 0.9)
    candidate = (0.9, bad if candidate_is_bad else 0.9)

    fault = find_fault(samples_of(top1, baseline, candidate))

    assert fault is not None
    assert (fault.pair, fault.blame) == (1, blame)
    assert "at seed 1" in fault.reason


@pytest.mark.parametrize("bad", [0.0, -1.0, math.nan])
def test_times_without_a_ratio_are_faults(step_time, bad):
    fault = find_fault(samples_of(step_time, (1.0,), (bad,)))

    assert fault is not None
    assert fault.blame is Blame.CANDIDATE


def test_sound_values_have_no_fault(top1, step_time):
    assert find_fault(samples_of(top1, (0.9, 0.0), (0.9995, -1.0))) is None
    assert find_fault(samples_of(step_time, (1e-9,), (1e9,))) is None


def test_an_implausible_accuracy_names_its_ceiling(top1):
    fault = find_fault(samples_of(top1, (0.9,), (1.0,)))

    assert fault is not None
    assert fault.reason == (
        "top1_accuracy of the candidate is 1, which is implausible beyond its ceiling of 0.9995 at seed 0"
    )


def test_a_fault_keeps_the_pairs_before_it(top1):
    samples = samples_of(top1, (0.9, 0.8, 0.7), (0.9, math.nan, 0.7))
    fault = find_fault(samples)
    assert fault is not None

    finding = fault_finding(samples, fault)

    assert finding.verdict is Verdict.ERROR
    assert (finding.seeds, finding.candidate_values) == ((0,), (0.9,))
    assert fault_finding(first_pairs(samples, fault.pair), fault) == finding
    assert finding.broken_seed == 1
    assert finding.broken_seed == 1


def test_values_of_unequal_number_are_refused(top1):
    with pytest.raises(ValueError, match="differ in length"):
        MetricSamples(metric=top1, seeds=(1,), baseline_values=(0.9, 0.9), candidate_values=(0.9,))


@pytest.mark.parametrize(("unit", "direction"), [("", "higher"), ("fraction", "higher"), ("fraction", "lower")])
def test_a_percentage_where_the_baseline_has_a_fraction_is_an_error_of_the_candidate(top1, unit, direction):
    metric = replace(top1, ceiling=None, unit=unit, direction=direction)

    fault = find_fault(samples_of(metric, (0.9, 0.91), (0.9, 90.0)))

    assert fault is not None
    assert (fault.pair, fault.blame) == (1, Blame.CANDIDATE)
    assert "is 90, which no fraction can be" in fault.reason


def test_a_declared_fraction_above_one_is_blamed_on_the_baseline_too(top1):
    fault = find_fault(samples_of(replace(top1, ceiling=None, unit="fraction"), (1.2,), (0.9,)))

    assert fault is not None
    assert fault.blame is Blame.BASELINE


@pytest.mark.parametrize(
    ("changes", "baseline", "candidate"),
    [
        pytest.param({"unit": "percent"}, (0.5, 0.6), (90.0, 91.0), id="percent"),
        pytest.param({"unit": "1"}, (0.5, 0.6), (1.4, 1.5), id="plain-number"),
        pytest.param({"unit": "dB"}, (0.9, 0.8), (31.0, 30.0), id="psnr"),
        pytest.param({}, (34.2, 33.9), (34.0, 35.0), id="bleu-without-a-unit"),
        pytest.param({}, (0.9, 1.2), (1.4, 1.1), id="not-a-fraction-in-every-pair"),
        pytest.param({"direction": "lower"}, (0.3, 0.4), (1.7, 2.0), id="loss-without-a-unit"),
        pytest.param({}, (0.9, 1.0), (1.0 + 1e-7, 1.0), id="rounding-of-single-precision"),
        pytest.param({}, (0.9, 0.8), (-0.2, 0.7), id="coefficient-of-determination"),
    ],
)
def test_what_is_no_fraction_may_be_of_any_size(top1, changes, baseline, candidate):
    assert find_fault(samples_of(replace(top1, ceiling=None, **changes), baseline, candidate)) is None


def test_the_unit_of_an_accuracy_is_told_from_the_baseline(top1):
    assert with_known_unit(samples_of(top1, (0.9, 0.8), (0.9, 0.8))).metric == top1
    assert with_known_unit(samples_of(top1, (34.2, 0.8), (0.9, 0.8))).metric.unit == "1"


LOOKS = (5, 8)


@pytest.mark.parametrize("num_pairs", [1, 2, 4])
def test_a_value_above_one_is_no_fault_before_a_look_tells_the_unit(top1, num_pairs):
    reward = replace(top1, ceiling=None)
    samples = samples_of(reward, (0.97,) * num_pairs, (1.02,) * num_pairs)

    assert find_settled_fault(samples, LOOKS) is None
    assert find_settled_fault(samples_of(reward, (0.97, 1.03, 0.98, 0.99, 0.96), (1.02,) * 5), LOOKS) is None


@pytest.mark.parametrize("later", [(), (1.03,), (1.03, 1.04, 0.9)], ids=["at-the-look", "resumed", "at-the-next-look"])
def test_a_value_above_one_that_a_look_found_faulty_stays_so(top1, later):
    baseline = (*(0.97,) * 5, *later)

    fault = find_settled_fault(samples_of(replace(top1, ceiling=None), baseline, (1.02,) * len(baseline)), LOOKS)

    assert fault is not None
    assert (fault.pair, fault.blame) == (0, Blame.CANDIDATE)


@pytest.mark.parametrize(
    ("changes", "bad"),
    [
        pytest.param({}, math.nan, id="nan"),
        pytest.param({"ceiling": 0.9995}, 1.5, id="beyond-the-ceiling"),
        pytest.param({"unit": "fraction"}, 1.5, id="declared-fraction"),
    ],
)
def test_what_no_unit_excuses_is_a_fault_at_once(top1, changes, bad):
    fault = find_settled_fault(samples_of(replace(top1, **{"ceiling": None, **changes}), (0.97,), (bad,)), LOOKS)

    assert fault is not None
    assert (fault.pair, fault.blame) == (0, Blame.CANDIDATE)


@pytest.mark.parametrize(("pair", "blame"), [(3, Blame.BASELINE), (6, Blame.CANDIDATE)])
def test_the_fault_that_was_found_first_stays_whatever_is_measured_later(top1, pair, blame):
    baseline = [0.97] * 8
    baseline[pair] = math.nan

    fault = find_settled_fault(samples_of(replace(top1, ceiling=None), tuple(baseline), (1.02,) * 8), LOOKS)

    assert fault is not None
    assert fault.blame is blame
