"""Whatever the baseline gates is judged or missing, in every case of what the two revisions can collect."""

import itertools
from dataclasses import asdict, replace

import pytest

from mainstay.measuring.agenda import REVIEW, Agenda, Collected, as_first, one_part, plan_agenda, selected_part
from mainstay.records.executions import INTERLEAVED, TRAINED
from mainstay.records.findings import Blame, MeasuredWith, Verdict
from mainstay.records.metrics import Direction, Kind, Metric, Scoring, Tier, Workload
from mainstay.records.selections import Selection
from mainstay.store.journal import Journal
from mainstay.workers.collecting import Collection, Problem

A = "a.py::test"


def workload(name=A, *metrics, **marked):
    """A workload with one gated metric, or those given."""
    usual = {"kind": Kind.ACCURACY, "direction": Direction.HIGHER, "margin": 0.1}
    default = Metric(workload=name, name="a", **{**usual, **marked})
    return Workload(id=name, execution=TRAINED, metrics=metrics or (default,))


def collection(*workloads, broken=(), wrong=(), skipping=(), skipped=(), deselected=()):
    """Workloads given whole or by name, files in which code failed, with a wrong marker, or that skip themselves."""
    return Collection(
        workloads=tuple(each if isinstance(each, Workload) else workload(each) for each in workloads),
        problems=(
            *(Problem(id=name, cause="no such module") for name in broken),
            *(Problem(id=name, cause="no argument 'margni'", is_usage=True) for name in wrong),
        ),
        skipped_files=tuple(Problem(id=name, cause="no GPU") for name in skipping),
        skipped=frozenset(skipped),
        deselected=frozenset(deselected),
    )


NOTHING = collection()
HAS = collection(A)
BROKEN = collection(broken=("a.py",))
SKIPS = collection(skipping=("a.py",))
ALTERED = "a skip may be due to what the change furnishes otherwise"


def plan(*, before, after, altered=""):
    """The agenda where the files differ; each is what baseline and candidate can run of the files."""
    return plan_agenda(Collected(*before), Collected(*after), altered=altered)


def settled(agenda):
    return {(finding.metric.id, finding.verdict) for finding in agenda.settled}


# --- the same files ------------------------------------------------------------------------------------------------


def test_a_case_that_the_baseline_does_not_know_is_new_and_one_that_is_gone_is_missing():
    baseline = collection("a.py::test[kept]", "a.py::test[gone]")
    candidate = collection("a.py::test[kept]", "a.py::test[new]")

    agenda = plan_agenda(Collected(baseline, candidate))

    assert [(each.workload.id, each.is_new) for each in agenda.assignments] == [
        ("a.py::test[kept]", False),
        ("a.py::test[new]", True),
    ]
    assert settled(agenda) == {("a.py::test[gone]#a", Verdict.MISSING)}


def test_what_lies_in_a_file_that_does_not_import_is_neither_new_nor_missing():
    whole, broken = collection(A, "b/c.py::test"), collection(A, broken=("b/c.py",))

    for collected in itertools.permutations((whole, broken)):
        agenda = plan_agenda(Collected(*collected))

        assert [each.workload.id for each in agenda.assignments] == [A, "b/c.py::test"]
        assert not any(each.is_new for each in agenda.assignments)
        assert agenda.settled == ()


def test_a_file_that_neither_revision_can_collect_is_an_error_of_both():
    (finding,) = plan_agenda(Collected(BROKEN, BROKEN)).settled

    assert (finding.verdict, finding.blame) == (Verdict.ERROR, Blame.BOTH)


@pytest.mark.parametrize(
    ("own", "expected"),
    [
        pytest.param(collection(replace(workload(), metrics=())), Verdict.MISSING, id="no-marker"),
        pytest.param(collection(workload(A, replace(workload().metrics[0], name="b"))), Verdict.MISSING, id="renamed"),
        pytest.param(collection(workload(direction=Direction.LOWER)), Verdict.ERROR, id="another-direction"),
        pytest.param(collection(workload(unit="nat")), Verdict.ERROR, id="another-unit"),
    ],
)
def test_code_that_decides_what_a_marker_says_cannot_drop_or_turn_a_metric(own, expected):
    agenda = plan_agenda(Collected(HAS, own))

    assert {finding.metric.id: finding.verdict for finding in agenda.settled}[f"{A}#a"] is expected
    assert agenda.assignments == ()


def test_code_that_decides_what_a_marker_says_cannot_loosen_it():
    strict = replace_metric(margin=0.1, ceiling=0.9, scoring=Scoring(score="a", tier=Tier.BLOCKING))
    loose = replace_metric(margin=0.9, ceiling=None, scoring=Scoring(score="a", tier=Tier.ADVISORY))
    baseline, candidate = collection(replace(strict, looks=(1.0,))), collection(replace(loose, looks=(0.1, 1.0)))

    (assignment,) = plan_agenda(Collected(baseline, candidate)).assignments

    assert assignment.workload == replace(strict, looks=(1.0,))


# --- files that differ ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "after", "measured_with", "has_own"),
    [
        pytest.param((HAS, HAS), (HAS, HAS), MeasuredWith.BASELINE, True, id="both-can-run-both"),
        pytest.param((HAS, HAS), (BROKEN, HAS), MeasuredWith.BASELINE, True, id="baseline-cannot-run-the-new"),
        pytest.param((HAS, BROKEN), (HAS, HAS), MeasuredWith.OWN, True, id="candidate-cannot-import-the-old"),
        pytest.param((HAS, NOTHING), (NOTHING, HAS), MeasuredWith.OWN, True, id="each-its-own-alone"),
    ],
)
def test_what_both_gate_is_measured_with_the_baseline_s_files_where_the_candidate_can_run_them(
    before, after, measured_with, has_own
):
    agenda = plan(before=before, after=after)

    (assignment,) = agenda.assignments
    assert (assignment.measured_with, assignment.has_own, assignment.is_new) == (measured_with, has_own, False)
    assert agenda.settled == ()


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        pytest.param(NOTHING, {(f"{A}#a", Verdict.MISSING)}, id="deleted"),
        pytest.param(collection(replace(workload(), metrics=())), {(f"{A}#a", Verdict.MISSING)}, id="unmarked"),
        pytest.param(BROKEN, {(f"{A}#a", Verdict.ERROR)}, id="broken"),
        pytest.param(
            collection(workload(A, replace(workload().metrics[0], name="b"))),
            {(f"{A}#a", Verdict.MISSING), (f"{A}#b", Verdict.NEW)},
            id="marked-otherwise",
        ),
        pytest.param(
            collection(workload(direction=Direction.LOWER)), {(f"{A}#a", Verdict.ERROR)}, id="another-direction"
        ),
        pytest.param(collection(workload(unit="nat")), {(f"{A}#a", Verdict.ERROR)}, id="another-unit"),
        pytest.param(collection(workload(kind=Kind.PERFORMANCE)), {(f"{A}#a", Verdict.ERROR)}, id="another-kind"),
    ],
)
def test_what_the_candidate_does_not_gate_alike_any_more_is_missing_or_its_error(after, expected):
    agenda = plan(before=(HAS, HAS), after=(after, after))

    assert (settled(agenda), agenda.assignments) == (expected, ())
    assert all(f.blame is Blame.CANDIDATE for f in agenda.settled if f.verdict is Verdict.ERROR)


@pytest.mark.parametrize(
    ("higher_is_better", "before", "after", "stricter"),
    [
        pytest.param(True, {"margin": 0.1}, {"margin": 0.9}, {"margin": 0.1}, id="wider-margin"),
        pytest.param(True, {"margin": 0.1}, {"margin": 0.01}, {"margin": 0.01}, id="tighter-margin"),
        pytest.param(True, {"ceiling": 0.99}, {"ceiling": None}, {"ceiling": 0.99}, id="no-ceiling-any-more"),
        pytest.param(True, {"ceiling": 0.99}, {"ceiling": 1.5}, {"ceiling": 0.99}, id="higher-ceiling"),
        pytest.param(True, {"ceiling": None}, {"ceiling": 0.9}, {"ceiling": 0.9}, id="first-ceiling"),
        pytest.param(False, {"ceiling": 0.2}, {"ceiling": 0.1}, {"ceiling": 0.2}, id="lower-floor"),
        pytest.param(True, {"resolution": 0.01}, {"resolution": 0.0}, {"resolution": 0.01}, id="finer-resolution"),
    ],
)
def test_of_two_markers_the_stricter_value_holds(higher_is_better, before, after, stricter):
    direction = Direction.HIGHER if higher_is_better else Direction.LOWER
    old, new = (collection(replace_metric(direction=direction, **marked)) for marked in (before, after))

    (assignment,) = plan(before=(old, old), after=(new, new)).assignments

    (metric,) = assignment.workload.metrics
    assert {name: getattr(metric, name) for name in stricter} == stricter


def replace_metric(**marked):
    whole = workload()
    return replace(whole, metrics=(replace(whole.metrics[0], **marked),))


def test_a_moved_workload_is_measured_where_the_baseline_has_it():
    moved = collection("b.py::test")

    agenda = plan(before=(HAS, HAS), after=(moved, moved))

    assert [(each.workload.id, each.measured_with, each.is_new) for each in agenda.assignments] == [
        (A, MeasuredWith.BASELINE, False),
        ("b.py::test", MeasuredWith.CANDIDATE, True),
    ]
    assert agenda.assignments[0].is_moved


def test_a_moved_workload_that_the_candidate_cannot_collect_as_it_was_is_missing():
    moved = collection("b.py::test")

    agenda = plan(before=(HAS, BROKEN), after=(moved, moved))

    assert settled(agenda) == {(f"{A}#a", Verdict.MISSING)}


def test_a_workload_of_the_same_name_that_the_baseline_has_too_is_no_move():
    before, after = collection(A, "b.py::test"), collection("b.py::test")

    agenda = plan(before=(before, before), after=(after, after))

    assert settled(agenda) == {(f"{A}#a", Verdict.MISSING)}
    assert [each.workload.id for each in agenda.assignments] == ["b.py::test"]


@pytest.mark.parametrize(
    ("before", "after", "is_missing"),
    [
        pytest.param((), (A,), True, id="candidate-alone"),
        pytest.param((A,), (A,), False, id="both"),
        pytest.param((A,), (), False, id="baseline-alone"),
    ],
)
def test_a_mark_that_skips_on_the_candidate_alone_leaves_it_missing(before, after, is_missing):
    old, new = collection(A, skipped=before), collection(A, skipped=after)

    (assignment,) = plan(before=(old, old), after=(new, new)).assignments

    assert bool(assignment.missing) is is_missing


@pytest.mark.parametrize("by_baseline", [HAS, NOTHING, BROKEN], ids=["can-run", "lacks", "cannot-import"])
def test_what_only_the_candidate_gates_is_new_or_judged_by_its_own_file(by_baseline):
    agenda = plan(before=(NOTHING, NOTHING), after=(by_baseline, HAS))

    (assignment,) = agenda.assignments
    assert (assignment.measured_with, assignment.is_new, assignment.review) == (MeasuredWith.CANDIDATE, True, "")


def test_what_the_baseline_may_gate_in_a_file_that_breaks_needs_a_review():
    agenda = plan(before=(BROKEN, BROKEN), after=(HAS, HAS))

    (assignment,) = agenda.assignments
    assert assignment.measured_with is MeasuredWith.CANDIDATE
    assert REVIEW in assignment.review


@pytest.mark.parametrize("altered", ["", ALTERED], ids=["as-it-was", "furnished-otherwise"])
def test_what_the_baseline_may_gate_in_a_file_that_skips_itself_needs_a_review(altered):
    """A candidate that takes a package from both and drops the guard would gate the same with any margin."""
    agenda = plan(before=(SKIPS, SKIPS), after=(HAS, HAS), altered=altered)

    (assignment,) = agenda.assignments
    assert (assignment.measured_with, assignment.is_new) == (MeasuredWith.CANDIDATE, True)
    assert assignment.review.startswith(f"the baseline's own file skips itself (no GPU): {altered or REVIEW}")
    assert (agenda.settled, agenda.notes) == ((), ())


@pytest.mark.parametrize("own", [SKIPS, NOTHING, BROKEN], ids=["skips-itself", "deleted", "broken"])
def test_a_file_that_skips_itself_needs_a_review_if_what_both_are_furnished_with_is_altered(own):
    before, after = [collection("b.py::test", skipping=["a.py"])] * 2, [own, own]

    agenda = plan(before=before, after=after, altered=ALTERED)

    finding = next(each for each in agenda.settled if each.metric.id == "a.py#collection" and each.review)
    assert (finding.verdict, finding.is_new) == (Verdict.INCONCLUSIVE, True)
    assert finding.reason.startswith("it skips itself in the baseline (no GPU): ")
    assert finding.reason.endswith(f"{ALTERED}: review it, accept it with a waiver")
    assert [metric.id for metric in agenda.metrics_of_files] == ["a.py#collection"]


def test_a_file_that_skips_itself_for_the_machine_is_noted_and_not_judged():
    both = collection("b.py::test", skipping=["a.py"])

    for agenda in (plan_agenda(Collected(both, both)), plan(before=(both, both), after=(both, both))):
        assert (chosen(agenda), agenda.settled, agenda.broken) == (["b.py::test"], (), {})
        assert agenda.notes == ("a.py is not judged, it skips itself: no GPU",)


@pytest.mark.parametrize("altered", ["", ALTERED], ids=["as-it-was", "furnished-otherwise"])
def test_files_that_are_the_same_and_skip_themselves_need_a_review_if_the_furnishing_is_altered(altered):
    skips, runs = collection("b.py::test", skipping=["a.py"]), collection("b.py::test", A)

    both, alone = (plan_agenda(Collected(skips, other), altered=altered) for other in (skips, runs))

    assert settled(both) == ({("a.py#collection", Verdict.INCONCLUSIVE)} if altered else set())
    assert (alone.settled, [bool(each.review) for each in alone.assignments]) == ((), [False, bool(altered)])
    assert {each.skip_review.partition(":")[0] for each in alone.assignments} == {altered}


def test_a_file_that_skips_itself_is_not_held_against_a_change_that_adds_the_first_workloads():
    agenda = plan_agenda(Collected(SKIPS, SKIPS), altered=ALTERED)

    assert as_first(agenda).settled == ()


def test_a_slip_in_the_baseline_s_marker_needs_no_review():
    slip = collection(wrong=(A,))

    (assignment,) = plan(before=(slip, slip), after=(HAS, HAS)).assignments

    assert (assignment.is_new, assignment.review) == (True, "")


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        pytest.param((BROKEN, BROKEN), (NOTHING, NOTHING), ("missing", None), id="deleted-while-broken"),
        pytest.param((BROKEN, BROKEN), (BROKEN, BROKEN), ("error", Blame.BOTH), id="broken-in-both"),
        pytest.param((NOTHING, NOTHING), (HAS, BROKEN), ("error", Blame.CANDIDATE), id="added-broken"),
        pytest.param((NOTHING, NOTHING), (BROKEN, BROKEN), ("error", Blame.BOTH), id="nobody-can-run-the-new"),
    ],
)
def test_a_file_in_which_code_fails_is_never_passed_over(before, after, expected):
    (finding,) = plan(before=before, after=after).settled

    assert (finding.metric.id, finding.verdict, finding.blame) == ("a.py#collection", *expected)


STATES = {
    "has": HAS,
    "nothing": NOTHING,
    "broken": BROKEN,
    "unmarked": collection(replace(workload(), metrics=())),
    "moved": collection("b.py::test"),
    "skipped": collection(A, skipped=(A,)),
    "other": collection(workload(unit="nat")),
}


@pytest.mark.parametrize("states", list(itertools.product(STATES, repeat=3)), ids="-".join)
def test_whatever_the_baseline_gates_is_judged_or_missing(states):
    old_by_candidate, new_by_baseline, new_by_candidate = (STATES[state] for state in states)

    agenda = plan(before=(HAS, old_by_candidate), after=(new_by_baseline, new_by_candidate))

    judged = {each.workload.id for each in agenda.assignments if each.measured_with is not MeasuredWith.CANDIDATE}
    found = {finding.metric.id: finding.verdict for finding in agenda.settled}
    assert (A in judged) + (f"{A}#a" in found) == 1
    assert found.get(f"{A}#a", Verdict.MISSING) in {Verdict.MISSING, Verdict.ERROR}
    assert not any(each.is_new for each in agenda.assignments if each.workload.id == A)


def chosen(agenda):
    return [assignment.workload.id for assignment in agenda.assignments]


def test_what_is_not_selected_is_neither_judged_nor_missing_and_counted():
    both = collection(A, "a.py::other", deselected=["a.py::other"])
    gone = collection(A, "a.py::other", "a.py::gone", deselected=["a.py::other", "a.py::gone"])
    agenda = plan(before=(gone, both), after=(both, both))
    assert [finding.verdict for finding in agenda.settled] == [Verdict.MISSING]

    part = selected_part(agenda, Selection(keyword="a and not other"), [gone, both, both, both])

    assert (chosen(part), part.settled) == ([A], ())
    assert part.notes == (
        "only what -k 'a and not other' selects was gated: 2 of 3 workloads were not, and are not judged",
    )
    assert (part.baseline, part.candidate) == (agenda.baseline, agenda.candidate)


def test_what_one_revision_selects_is_judged_so_that_no_change_can_deselect_it():
    selects, deselects = collection(A), collection(A, deselected=[A])
    agenda = plan(before=(selects, selects), after=(deselects, deselects))

    assert chosen(selected_part(agenda, Selection(marks="slow"), [selects, selects, deselects, deselects])) == [A]


def test_what_is_selected_and_gone_is_missing_and_a_broken_file_an_error_under_any_expression():
    gone = plan(before=(HAS, HAS), after=(NOTHING, NOTHING))
    broken = plan(before=(HAS, HAS), after=(NOTHING, collection(broken=("b.py",))))

    assert settled(selected_part(gone, Selection(keyword="a"), [HAS, HAS, NOTHING, NOTHING])) == settled(gone)
    assert settled(selected_part(broken, Selection(keyword="b"), [HAS])) == settled(broken)


def test_files_select_their_workloads_and_their_troubles():
    everything = collection(A, "b.py::test", broken=("c.py",))
    agenda = plan(before=(everything, everything), after=(everything, everything))

    part = selected_part(agenda, Selection(places=("b.py",)), [everything] * 4)

    assert (chosen(part), part.settled) == (["b.py::test"], ())


def test_without_a_selection_an_agenda_stays_as_it_is():
    agenda = plan(before=(HAS, HAS), after=(HAS, HAS))

    assert selected_part(agenda, Selection(), [collection(A, deselected=[A])]) is agenda


# --- one part of a gate, or what is selected -----------------------------------------------------------------------

P = "p.py::test"
SPEED = Workload(
    id=P,
    execution=INTERLEAVED,
    metrics=(Metric(workload=P, name="time", kind=Kind.PERFORMANCE, direction=Direction.LOWER, margin=0.05),),
)
P_BROKEN = collection(A, broken=("p.py",))
P_MENDED = collection(A, SPEED)
P_KNOWN_AND_MORE = collection(A, SPEED, "p.py::gone")


def parts_of(*, before, after):
    """The parts of an agenda, by name."""
    agenda, collections = plan(before=before, after=after), [*before, *after]
    return {only: one_part(agenda, only, collections) for only in ("accuracy", "performance")}


def test_a_part_of_a_gate_judges_its_own_workloads_and_says_nothing_of_the_others():
    gone = replace(SPEED, id="p.py::gone", metrics=(replace(SPEED.metrics[0], workload="p.py::gone"),))
    unmarked = replace(SPEED, id="p.py::unmarked", metrics=())
    old, new = collection(A, SPEED, gone, unmarked), collection(A, SPEED, unmarked)

    parts = parts_of(before=(old, old), after=(new, new))

    assert (chosen(parts["accuracy"]), parts["accuracy"].settled, parts["accuracy"].notes) == ([A], (), ())
    assert list(parts["accuracy"].baseline) == list(parts["accuracy"].candidate) == [f"{A}#a"]
    assert chosen(parts["performance"]) == [P]
    assert settled(parts["performance"]) == {("p.py::gone#time", Verdict.MISSING)}
    assert parts["performance"].notes == ("p.py::unmarked gates nothing: it has no marker",)


def test_a_workload_that_becomes_one_of_the_other_part_is_missing_in_its_own_part_alone():
    timed = replace(SPEED, id=A, metrics=(replace(SPEED.metrics[0], workload=A),))

    parts = parts_of(before=(HAS, HAS), after=(collection(timed), collection(timed)))

    assert settled(parts["accuracy"]) == {(f"{A}#a", Verdict.MISSING)}
    assert settled(parts["performance"]) == {(f"{A}#time", Verdict.NEW)}


def test_a_file_that_the_candidate_breaks_is_an_error_in_the_part_of_its_workloads_alone():
    parts = parts_of(before=(P_MENDED, P_MENDED), after=(P_BROKEN, P_BROKEN))

    assert settled(parts["accuracy"]) == set()
    assert settled(parts["performance"]) == {(f"{P}#time", Verdict.ERROR)}


@pytest.mark.parametrize(
    ("found", "mended", "accuracy", "performance"),
    [
        pytest.param(P_MENDED, P_MENDED, set(), set(), id="known-to-be-of-the-other-part"),
        pytest.param(P_MENDED, HAS, set(), {Verdict.MISSING}, id="known-to-be-of-the-other-part-and-deleted"),
        pytest.param(P_BROKEN, P_MENDED, {Verdict.INCONCLUSIVE}, set(), id="unknown"),
        pytest.param(P_BROKEN, HAS, {Verdict.MISSING}, {Verdict.MISSING}, id="unknown-and-deleted"),
        pytest.param(collection(A), P_MENDED, {Verdict.INCONCLUSIVE}, set(), id="nothing-found-there"),
        pytest.param(P_KNOWN_AND_MORE, P_MENDED, {Verdict.INCONCLUSIVE}, set(), id="known-and-one-is-gone"),
        pytest.param(P_KNOWN_AND_MORE, P_KNOWN_AND_MORE, set(), set(), id="known-and-none-is-gone"),
    ],
)
def test_a_file_that_only_the_baseline_cannot_collect_counts_in_the_parts_that_it_may_belong_to(
    found, mended, accuracy, performance
):
    parts = parts_of(before=(P_BROKEN, found), after=(mended, mended))

    verdicts = {
        name: {finding.verdict for finding in part.settled if finding.metric.id == "p.py#collection"}
        for name, part in parts.items()
    }
    assert verdicts == {"accuracy": accuracy, "performance": performance}
    assert all(len(part.settled) == len(verdicts[name]) for name, part in parts.items())


def test_a_file_that_may_have_held_a_workload_of_the_part_needs_a_review_and_can_be_waived():
    (finding,) = parts_of(before=(P_BROKEN, P_BROKEN), after=(P_MENDED, P_MENDED))["accuracy"].settled

    assert (finding.needs_review, finding.is_new) == (True, True)
    assert finding.reason == (
        "the baseline cannot collect it (no such module): it may have held workloads that are to be gated, and the "
        "candidate has none there: review it, accept it with a waiver"
    )


def test_workloads_that_are_known_from_the_candidate_alone_are_named_once_they_are_gone():
    found = collection(A, "p.py::gone")

    (finding,) = parts_of(before=(P_BROKEN, found), after=(P_MENDED, P_MENDED))["accuracy"].settled

    assert finding.reason == (
        "the baseline cannot collect it (no such module): its workloads are known from the candidate alone, which has "
        "p.py::gone there no longer: review it, accept it with a waiver"
    )


def test_a_broken_file_of_a_baseline_that_gates_nothing_yet_is_not_held_against_the_first_change():
    whole = plan(before=(P_BROKEN, P_BROKEN), after=(P_MENDED, P_MENDED))

    part = one_part(whole, "accuracy", [P_BROKEN, P_BROKEN, P_MENDED, P_MENDED])

    assert {finding.verdict for finding in as_first(part).settled} == {Verdict.NEW}


def test_a_workload_without_a_marker_is_noted_in_each_part_that_it_belongs_to():
    trained = Workload(id=P, execution=TRAINED, metrics=())
    before, after = collection(A, trained), collection(A, replace(SPEED, metrics=()))

    parts = parts_of(before=(before, before), after=(after, after))

    assert {part.notes for part in parts.values()} == {(f"{P} gates nothing: it has no marker",)}


def test_an_agenda_with_a_broken_file_is_the_same_once_it_was_written_and_read(tmp_path):
    agenda = plan(before=(P_BROKEN, P_KNOWN_AND_MORE), after=(P_MENDED, P_MENDED))
    journal = Journal(tmp_path / "journal.jsonl")

    journal.append("basis", agenda=asdict(agenda))

    (line,) = journal.read()
    assert agenda.broken["p.py"].found == ("p.py::gone", P)
    assert journal.content(line, "agenda", Agenda) == agenda


@pytest.mark.parametrize(
    ("found", "selection", "is_told"),
    [
        pytest.param(P_MENDED, Selection(keyword="a"), False, id="known-not-to-be-selected"),
        pytest.param(P_BROKEN, Selection(keyword="a"), True, id="unknown"),
        pytest.param(P_KNOWN_AND_MORE, Selection(keyword="a"), True, id="a-selected-one-is-gone"),
        pytest.param(P_BROKEN, Selection(places=("a.py",)), False, id="unknown-in-a-file-that-is-not-selected"),
    ],
)
def test_a_file_that_only_the_baseline_cannot_collect_counts_if_it_may_have_held_a_selected_workload(
    found, selection, is_told
):
    collections = [replace(each, deselected=frozenset([P])) for each in (P_BROKEN, found, P_MENDED, P_MENDED)]
    agenda = plan(before=collections[:2], after=collections[2:])

    part = selected_part(agenda, selection, collections)

    assert chosen(part) == [A]
    assert settled(part) == ({("p.py#collection", Verdict.INCONCLUSIVE)} if is_told else set())
    assert part.notes[0].endswith("1 of 2 workloads were not, and are not judged")


def test_a_file_that_only_the_baseline_cannot_collect_is_a_metric_that_waivers_may_name_in_every_part():
    agenda = plan(before=(P_BROKEN, P_BROKEN), after=(P_MENDED, P_MENDED))

    assert agenda.settled == ()
    assert [metric.id for metric in agenda.metrics_of_files] == ["p.py#collection"]


# --- metrics that may be gated where nothing was collected -------------------------------------------------------------


@pytest.mark.parametrize(
    ("metric", "files"),
    [
        pytest.param("b/gpu.py::test[1]#call_time", ("b/gpu.py",), id="workload"),
        pytest.param("b/gpu.py#call_time_geomean", ("b/gpu.py",), id="mean-of-a-file"),
        pytest.param("b/gpu.py::TestStep#call_time_geomean", ("b/gpu.py",), id="mean-of-a-class"),
        pytest.param("b/c/old.py::test#a", ("b/c",), id="folder"),
        pytest.param("b/wrong.py::test_other#a", ("b/wrong.py",), id="beside-a-wrong-marker"),
        pytest.param("a.py::test#a", (), id="collected"),
        pytest.param("b/gpu.py.old::test#a", (), id="another-file"),
        pytest.param("call_time", ("b/c", "b/wrong.py", "b/gpu.py"), id="name"),
    ],
)
def test_a_metric_may_lie_in_a_file_that_could_not_be_collected(metric, files):
    before = collection(A, broken=("b/c",), wrong=("b/wrong.py::test",), skipping=("b/gpu.py",))
    after = collection(A, skipping=("b/gpu.py",))

    assert plan(before=(before, HAS), after=(HAS, after)).may_hold(metric) == files


@pytest.mark.parametrize("incomplete", [BROKEN, collection(skipping=("a.py",))])
def test_all_metrics_are_known_if_each_revision_collects_its_own_files(incomplete):
    assert plan(before=(HAS, incomplete), after=(incomplete, HAS)).may_hold("b") == ()
    assert plan_agenda(Collected(HAS, incomplete)).may_hold("b") == ("a.py",)


def test_expressions_that_the_baseline_does_not_understand_hide_no_metric():
    before = collection(A, wrong=("-k, -m",))

    assert plan(before=(before, HAS), after=(HAS, HAS)).may_hold("b") == ()
