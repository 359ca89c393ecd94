from dataclasses import replace

import pytest

from mainstay import workflow
from mainstay.logs import make_logs
from mainstay.records import Kind, Outcome, Side, Trial, Workload
from mainstay.workers import Collection


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
