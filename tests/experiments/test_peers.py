"""What is made of the times of the peers; nothing is timed here."""

import importlib
import json

import pytest


@pytest.fixture(scope="module")
def compare():
    return importlib.import_module("experiments.peers.__main__")


@pytest.fixture
def sample(compare):
    def make(name, **facts):
        defaults = {"turn": 1, "import_s": 1.0, "setup_s": 0.5, "test_accuracy": 0.97, "peak_rss_bytes": 1_000_000}
        return compare.Sample(**defaults | {"name": name, "command_s": 10.0, "epoch_s": (3.0, 1.0, 1.0)} | facts)

    return make


@pytest.fixture
def turns(compare, sample):
    """Three turns of all ways, the machine slower from turn to turn."""

    def turn(slowness):
        samples = {
            name: sample(name, command_s=20 * slowness, epoch_s=(5 * slowness, 2 * slowness)) for name in compare.PEERS
        }
        samples["mainstay"] = sample("mainstay", command_s=10 * slowness, epoch_s=(5 * slowness, slowness))
        samples["bare"] = sample("bare", epoch_s=(), test_accuracy=None)
        return samples

    return [turn(slowness) for slowness in (1, 2, 4)]


def test_the_first_epoch_is_not_steady(sample):
    assert sample("jax").steady_epoch_s == 1.0
    assert sample("jax", epoch_s=(3.0,)).steady_epoch_s == 3.0


def test_ratios_are_taken_within_turns(compare, turns):
    article = compare.ratio_table(turns)[0]

    assert article["name"] == "article"
    assert article["command"] == {"median": 2.0, "low": 2.0, "high": 2.0}
    assert article["steady_epoch"] == {"median": 2.0, "low": 2.0, "high": 2.0}


def test_every_bar_is_judged(compare, turns):
    judged = compare.judge_bars(turns)

    assert [one.found.median for one in judged] == [2, 2, 0.5, 2, 14, 1]
    assert [one.verdict for one in judged] == ["not met", "not met", "met", "met", "told", "met"]


def test_a_bar_without_its_peers_is_not_measured(compare, turns):
    without = [{name: turn[name] for name in ("mainstay", "jax")} for turn in turns]

    verdicts = [one.verdict for one in compare.judge_bars(without)]

    assert verdicts == ["met" if position == 2 else "not measured" for position in range(len(compare.BARS))]


def test_the_text_has_every_way_and_every_bar(compare, turns):
    text = compare.render_tables(turns, compare.judge_bars(turns))

    assert "mainstay       20.00 s     1.00 s (5%)   0.50 s  2.000 s     1 MB  0.9700 (0.9700 to 0.9700)" in text
    assert "keras over mainstay: command 2.00 (2.00 to 2.00), steady epoch 2.00 (2.00 to 2.00)" in text
    assert "met: steady epoch of mainstay over JAX's compiled scan: 0.50 (0.50 to 0.50), bar at most 1.2" in text


def test_what_is_kept_makes_a_page(compare, turns):
    results = importlib.import_module("scripts.documentation.results")
    known = {"commit": "abc", "num_epochs": 10, "num_turns": len(turns)}
    document = compare.results_document(known, turns, compare.judge_bars(turns))

    page = results.render_page("peers", json.loads(json.dumps(document)), where="docs/results/peers.json")

    assert "| JAX and optax, an epoch as one compiled scan |" in page
    assert "| at most 1.2 | 0.5 | 0.5 | 0.5 | met |" in page


def test_a_missing_library_is_named(compare, monkeypatch):
    monkeypatch.setattr(compare, "find_spec", lambda name: None if name == "optax" else name)

    assert compare.missing_libraries("jax") == ["optax"]
    assert compare.missing_libraries("article") == []


@pytest.mark.parametrize("arguments", [["--turns", "0"], ["--only", "caffe"]])
def test_what_makes_no_sense_is_refused(compare, arguments):
    with pytest.raises(SystemExit, match="2"):
        compare.main(arguments)
