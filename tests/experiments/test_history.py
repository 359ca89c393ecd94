import json

import numpy as np
import pytest

from experiments import history
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
