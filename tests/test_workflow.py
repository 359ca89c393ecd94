from dataclasses import replace

import pytest

from mainstay import workflow
from mainstay.logs import make_logs
from mainstay.records import Direction, Kind, Metric, Outcome, Side, Trial, Verdict, Workload
from mainstay.workers import Collection, Problem


@pytest.mark.parametrize(
    ("only", "kept"),
    [
        pytest.param(None, ["accuracy", "performance", "deterministic"], id="all"),
        pytest.param("accuracy", ["accuracy"], id="accuracy"),
        pytest.param("performance", ["performance", "deterministic"], id="performance-with-its-exact-twins"),
    ],
)
def test_part_of_the_workloads_is_chosen_by_kind(only, kept):
    collection = Collection(workloads=tuple(Workload(id=kind, kind=kind, metrics=()) for kind in Kind))

    assert [workload.id for workload in workflow.part_of(collection, only).workloads] == kept


def collection(*names, broken=()):
    """Workloads of one gated metric each, and files that could not be collected."""
    return Collection(
        workloads=tuple(
            Workload(
                id=name,
                kind=Kind.ACCURACY,
                metrics=(Metric(workload=name, name="a", kind=Kind.ACCURACY, direction=Direction.HIGHER, margin=0.1),),
            )
            for name in names
        ),
        problems=tuple(Problem(id=name, cause="no such module") for name in broken),
    )


def test_a_case_that_the_baseline_does_not_know_is_new_and_one_that_is_gone_is_missing():
    baseline = collection("a.py::test[kept]", "a.py::test[gone]")
    candidate = collection("a.py::test[kept]", "a.py::test[new]")

    agenda = workflow.plan_agenda(baseline, candidate, changed=lambda _: False)

    assert [workload.id for workload in agenda.workloads] == ["a.py::test[kept]", "a.py::test[new]"]
    assert agenda.changed == {"a.py::test[new]"}
    assert [(f.metric.id, f.verdict) for f in agenda.settled] == [("a.py::test[gone]#a", Verdict.MISSING)]


def test_what_lies_in_a_file_that_does_not_import_is_neither_new_nor_missing():
    whole, broken = collection("a.py::test", "b/c.py::test"), collection("a.py::test", broken=("b/c.py",))

    for baseline, candidate in ((whole, broken), (broken, whole)):
        agenda = workflow.plan_agenda(baseline, candidate, changed=lambda _: False)

        assert [workload.id for workload in agenda.workloads] == ["a.py::test", "b/c.py::test"]
        assert (agenda.changed, agenda.settled) == (frozenset(), ())


@pytest.mark.parametrize(
    ("runs", "words"),
    [
        pytest.param(["second"], "1 baseline trial was reused from run second: ", id="one"),
        pytest.param(
            ["second", "first", "second"], "3 baseline trials were reused from run first, second: ", id="more"
        ),
    ],
)
def test_a_note_counts_the_reused_trials_that_pairs_were_made_of(runs, words):
    (log,) = make_logs(
        [Workload(id="w", kind=Kind.ACCURACY, metrics=())], salt="", commit="c", num_seeds=20, changed=frozenset()
    )
    trial = Trial(workload="w", side=Side.CANDIDATE, seed=0, pair=0, outcome=Outcome.COMPLETED)
    for pair, run in enumerate([*runs, "without a pair"]):
        log.add(replace(trial, side=Side.BASELINE, pair=pair, reused_from=run))
    for pair in range(len(runs)):
        log.add(replace(trial, pair=pair))

    (note,) = workflow.notes_on_reuse([log])

    assert note.startswith(words)


def test_there_is_no_note_where_nothing_was_reused():
    assert workflow.notes_on_reuse([]) == []
