import json

import numpy as np
import pytest

from experiments import history
from experiments.detectors import watch
from experiments.simulate import NOISE


def test_a_life_with_a_large_step_is_alarmed_soon_and_fails_its_gate():
    levels = np.where(np.arange(100) >= 50, 3.0, 0.0)

    found = history.live(np.random.default_rng(0), NOISE["normal"].draw, 1.67, levels)

    assert found.fails == [50]
    assert min(i for i in found.alarms if i >= 50) <= 60


@pytest.mark.parametrize(
    ("true", "found", "hits"),
    [
        pytest.param([10, 50], [12, 48], 2, id="near"),
        pytest.param([10], [16], 0, id="far"),
        pytest.param([10], [9, 11], 1, id="one-counts-once"),
        pytest.param([10, 14], [12], 1, id="one-for-two"),
        pytest.param([], [3], 0, id="none"),
    ],
)
def test_places_are_matched_one_to_one(true, found, hits):
    assert history._matched(true, found) == hits


def test_halving_by_verdicts_finds_a_large_step():
    true = np.where(np.arange(1, 65) >= 20, 10.0, 0.0)

    found = history.bisect_by_verdicts(np.random.default_rng(0), true, margin=2.0)

    assert (found.first, found.last, found.is_named) == (20, 20, True)


def test_tables_are_written_one_by_one_and_the_others_stay(tmp_path, monkeypatch):
    tables = {
        "run_lengths": ("lives", lambda n: iter([{"n": n}])),
        "searches": ("searches", lambda n: iter([{"n": n}])),
    }
    monkeypatch.setattr(history, "TABLES", tables)
    place = tmp_path / "history.json"

    history.main(["--lives", "3", "--searches", "4", "--output", str(place)])
    history.main(["--lives", "5", "--only", "run_lengths", "--output", str(place)])

    document = json.loads(place.read_text())
    assert document["run_lengths"] == [{"n": 5}]
    assert document["searches"] == [{"n": 4}]
    assert document["provenance"]["lives"] == 5


def test_every_method_is_given_the_same_lives():
    first, again = (list(history.changed_lives("step of 1", 1.67, 3)) for _ in range(2))

    assert [each.start for each in first] == [each.start for each in again]
    assert [each.life for each in first] == [each.life for each in again]
    assert all(len(each.life.pairs) == each.levels.size for each in first)


def test_values_grow_by_the_degradation_and_a_margin_is_5_percent():
    (changed,) = history.changed_lives("step of 2", 1.67, 1)

    values = history._values(np.random.default_rng(0), changed, 1.67, 0.0)

    before, after = np.mean(values[: changed.start]), np.mean(values[changed.start :])
    assert after / before == pytest.approx(np.exp(0.1), rel=0.01)


def rises_of_late(values):
    """A detector that reports a rise once its tenth value is there."""
    return [place for place in range(1, len(values) - 9) if values[place] > values[place - 1] + 1]


def test_a_detector_is_asked_again_after_each_commit():
    values = [0.0] * 30 + [5.0] * 30

    assert watch.wait(rises_of_late, values, 30, 60) == 12
    assert watch.wait(lambda values: [], values, 30, 60) == 60
    assert watch.wait(lambda values: [3], values, 30, 60) == 60  # far from the change


def test_false_alarms_are_counted_once_a_place():
    values = [0.0] * 30 + [5.0] * 30 + [9.0] * 30

    assert watch.count_alarms(rises_of_late, values) == 2
