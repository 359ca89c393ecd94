import threading
from dataclasses import fields, replace
from typing import Any

import pytest

from mainstay.measuring.baseline_cache import (
    BaselineTrials,
    Conditions,
    is_deterministic,
    is_nondeterministic,
    merge_trials,
    reusable_trials,
)
from mainstay.records.errors import StoreError
from mainstay.records.executions import TRAINED
from mainstay.records.metrics import Direction, Kind, Metric, Workload
from mainstay.records.trials import Outcome, Predictions, Side, Trial

WORKLOAD = Workload(
    id="w",
    execution=TRAINED,
    metrics=(Metric(workload="w", name="top1", kind=Kind.ACCURACY, direction=Direction.HIGHER, margin=0.01),),
)
CONDITIONS = Conditions(
    tree="t",
    wheel_digest="w",
    packages_digest="p",
    roots=("subject",),
    workloads_digest="b",
    shared={"data": "s"},
    inputs={"DATA": "i"},
    variables={"TZ": "UTC"},
    threads=1,
    preload=(),
    worker_digest="m",
    mainstay_version="1",
    traits=("Some CPU",),
)
OTHER: dict[str, Any] = {
    **dict.fromkeys((field.name for field in fields(Conditions)), "other"),
    "roots": ("subject", "extra"),
    "shared": {"data": "other"},
    "inputs": {"DATA": "other"},
    "variables": {"TZ": "UTC", "NVIDIA_TF32_OVERRIDE": "0"},
    "threads": 2,
    "traits": ("Other CPU",),
}


def trial(seed=1, repetition=0, digest=None, **options):
    return Trial(
        **{
            "workload": "w",
            "side": Side.BASELINE,
            "seed": seed,
            "pair": seed - 1,
            "repetition": repetition,
            "outcome": Outcome.COMPLETED,
            "values": {"top1": 0.1 + 0.2},
            "digest": digest or f"digest of {seed}",
            **options,
        }
    )


PROVED = (trial(1), trial(1, repetition=1), trial(2))


@pytest.fixture
def store(tmp_path):
    return BaselineTrials(tmp_path, "key")


@pytest.mark.parametrize("name", OTHER)
def test_each_part_of_the_conditions_changes_the_key(name):
    assert replace(CONDITIONS, **{name: OTHER[name]}).key != CONDITIONS.key


def test_the_order_of_variables_does_not_change_the_key():
    one, other = ({"A": "1", "B": "2"}, {"B": "2", "A": "1"})

    assert replace(CONDITIONS, variables=one).key == replace(CONDITIONS, variables=other).key


def test_a_trial_comes_back_bit_for_bit_without_what_belongs_to_its_run(store):
    recorded = {
        "series": {"accuracy": (0.5, 1 / 3)},
        "context": {"dataset": "digits", "size": 360},
        "predictions": Predictions(predicted="BwI=", labels="BwE=", labels_digest="d"),
    }
    measured = [replace(one, duration_s=1.5, load=0.25, **recorded) for one in PROVED]

    store.keep(measured, run="first")

    assert store.read() == tuple(replace(one, reused_from="first", **recorded) for one in PROVED)


@pytest.mark.parametrize(
    "unfit",
    [
        pytest.param({"side": Side.CANDIDATE}, id="candidate"),
        pytest.param({"outcome": Outcome.FAILED}, id="failed"),
        pytest.param({"digest": ""}, id="without-digest"),
        pytest.param({"reused_from": "another"}, id="reused"),
    ],
)
def test_only_sound_baseline_trials_of_this_run_are_kept(store, unfit):
    store.keep([*PROVED, replace(trial(3), **unfit)], run="first")

    assert {one.seed for one in store.read()} == {1, 2}


def test_trials_not_proved_to_be_deterministic_are_not_cached(store):
    store.keep([trial(1), trial(2)], run="first")

    assert store.read() == ()


def test_later_gates_add_to_what_is_kept_and_each_trial_names_its_run(store):
    store.keep(PROVED, run="first")
    store.keep([trial(3)], run="second")

    assert [(one.seed, one.repetition, one.reused_from) for one in store.read()] == [
        (1, 0, "first"),
        (1, 1, "first"),
        (2, 0, "first"),
        (3, 0, "second"),
    ]


def test_two_gates_at_once_lose_nothing_of_each_other(store, tmp_path):
    workloads = [f"w{number}" for number in range(8)]
    threads = [
        threading.Thread(
            target=BaselineTrials(tmp_path, "key").keep,
            args=([replace(one, workload=name) for one in PROVED],),
            kwargs={"run": name},
        )
        for name in workloads
    ]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted({one.workload for one in store.read()}) == workloads


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda data: data[:-20], id="torn"),
        pytest.param(lambda data: data.replace(b"0.30000000000000004", b"0.30000000000000003"), id="altered"),
        pytest.param(lambda data: b"", id="empty"),
        pytest.param(lambda data: b"\xff\xfe", id="not-text"),
    ],
)
def test_a_damaged_file_is_refused_and_replaced(store, tmp_path, damage):
    store.keep(PROVED, run="first")
    file = tmp_path / ".mainstay" / "baselines" / "key.jsonl"
    file.write_bytes(damage(file.read_bytes()))

    with pytest.raises(StoreError, match="are damaged") as caught:
        store.read()
    store.keep(PROVED, run="second")

    assert "remove it" in str(caught.value)
    assert {one.reused_from for one in store.read()} == {"second"}


def test_a_folder_that_cannot_be_written_is_an_error_with_a_next_step(store, tmp_path):
    (tmp_path / ".mainstay").write_text("not a folder")

    with pytest.raises(StoreError, match="cannot be written") as caught:
        store.keep(PROVED, run="first")

    assert ".mainstay/baselines" in str(caught.value)


@pytest.mark.parametrize(
    ("trials", "is_steady"),
    [
        pytest.param(PROVED, True, id="a-seed-repeated"),
        pytest.param((trial(1), trial(2)), False, id="no-seed-repeated"),
        pytest.param((trial(1), trial(1, repetition=1, digest="x"), trial(2)), False, id="another-digest"),
        pytest.param((*PROVED, trial(3, digest="digest of 1")), False, id="ignores-its-seed"),
        pytest.param((), False, id="nothing"),
    ],
)
def test_a_baseline_is_deterministic_where_a_seed_was_repeated_and_seeds_differ(trials, is_steady):
    assert is_deterministic(trials) is is_steady


def test_trials_are_numbered_as_the_pairs_of_this_gate():
    (first, again, second) = reusable_trials(PROVED, WORKLOAD, seeds=(7, 2, 1))

    assert [(one.seed, one.pair, one.repetition) for one in (first, again, second)] == [(1, 2, 0), (1, 2, 1), (2, 1, 0)]


@pytest.mark.parametrize(
    ("kept", "seeds"),
    [
        pytest.param(PROVED, (7, 8), id="other-seeds"),
        pytest.param(PROVED[:1], (1, 2), id="not-proved"),
        pytest.param([replace(one, workload="v") for one in PROVED], (1, 2), id="other-workload"),
        pytest.param([replace(one, values={}) for one in PROVED], (1, 2), id="gated-metric-not-recorded"),
    ],
)
def test_what_does_not_stand_in_for_a_trial_is_not_reused(kept, seeds):
    assert reusable_trials(kept, WORKLOAD, seeds) == []


def test_an_unsteady_baseline_leaves_its_proof_alone_and_stays_unsteady():
    unsteady = (trial(1), trial(1, repetition=1, digest="x"))

    kept = merge_trials((), [*unsteady, trial(2)])

    assert kept == list(unsteady)
    assert is_nondeterministic(merge_trials(kept, PROVED))


@pytest.mark.parametrize(
    "new",
    [
        pytest.param([replace(one, context={"sha256": "b"}) for one in PROVED], id="context"),
        pytest.param([replace(one, digest=f"new {one.digest}") for one in PROVED], id="digest"),
    ],
)
def test_new_trials_stand_alone_where_the_data_has_changed(new):
    assert merge_trials((*PROVED, trial(3)), new) == new


def test_new_trials_without_a_proof_do_not_replace_what_is_kept():
    assert merge_trials(PROVED, [trial(1, digest="b")]) == list(PROVED)
