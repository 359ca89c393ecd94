import itertools
import json

import pytest

pytestmark = pytest.mark.in_repository
WAYS = ("as measured", "capped at 10 margins", "as the gate does")


def published_figures(table):
    """Every figure that stands beside a published one, with where it stands."""
    if isinstance(table, dict):
        if "agrees" in table:
            yield table
        table = list(table.values())
    if isinstance(table, list):
        for entry in table:
            yield from published_figures(entry)


def test_committed_error_rates_keep_their_bound(published):
    rows = [row for row in published["noise_models"] if row["is_covered"]]

    assert len(rows) == 12 * 5 * 3  # models, numbers of metrics with their correlations, margins
    assert max(row["clean_gate_fails"]["high"] for row in rows) <= 0.015
    assert max(row["double_margin_passes"]["high"] for row in rows) <= 0.015
    assert min(row["interval_covers"]["rate"] for row in rows) >= 0.90


def test_committed_figures_reproduce_the_published_ones(published):
    figures = list(published_figures(published))

    assert len(figures) == 262
    assert sum(not figure["agrees"] for figure in figures) <= 1


def test_committed_error_rates_name_what_breaks_them(published):
    rows = [row for row in published["noise_models"] if row["clean_gate_fails"]["high"] > 0.015]

    assert {row["noise"] for row in rows} == {
        "skewed degradations",
        "slow baseline",
        "dependent pairs",
        "order effect, coin",
    }


def test_committed_figures_come_from_a_commit(published):
    for provenance in (published["provenance"], *published["provenance"]["tables"].values()):
        assert provenance["is_clean"]
        assert len(provenance["commit"]) == 40
        assert provenance["gates_of_each_kind"] >= 10_000


def test_boundaries_are_those_committed(characteristics, published):
    assert json.loads(json.dumps(characteristics.boundary_table())) == published["boundaries"]


@pytest.mark.parametrize(
    ("count", "figure", "agrees"),
    [
        pytest.param(380, "3.8", True, id="equal"),
        pytest.param(430, "3.8", True, id="within-both-errors"),
        pytest.param(480, "3.8", False, id="beyond-both-errors"),
        pytest.param(0, "0.00", True, id="never"),
        pytest.param(50, "0.00", False, id="not-never"),
        pytest.param(9_400, "93", True, id="rounded-to-a-percent"),
        pytest.param(10_000, "100", True, id="always"),
    ],
)
def test_agreement_is_within_the_error_of_both_simulations(simulation, characteristics, count, figure, agrees):
    assert characteristics.compare(simulation.Rate(count=count, n=10_000), figure)["agrees"] is agrees


@pytest.mark.parametrize(
    ("count", "agrees"),
    [
        pytest.param(95, True, id="inside"),
        pytest.param(110, True, id="near-an-end"),
        pytest.param(200, False, id="outside"),
    ],
)
def test_a_range_agrees_inside_and_near_its_ends(simulation, characteristics, count, agrees):
    rate = simulation.Rate(count=count, n=10_000)

    assert characteristics.compare_range(rate, ("0.9", "1.0"))["agrees"] is agrees


def test_a_finished_piece_is_not_simulated_again(characteristics, tmp_path, monkeypatch):
    fresh = itertools.count()
    pieces = [lambda num_gates: [{"number": next(fresh)}]] * 2
    pieces_of = {"only": pieces}
    monkeypatch.setattr(characteristics, "TABLES", pieces_of)

    documents = [characteristics.simulate_tables(pieces_of, 7, tmp_path) for _ in range(2)]

    assert documents == [{"only": [{"number": 0}, {"number": 1}]}] * 2


def test_tables_made_anew_say_where_they_come_from(characteristics):
    document = {"provenance": {"commit": "first"}, "boundaries": [1], "promises": [2]}

    for commit, table in (("second", [3]), ("third", [4])):
        document = characteristics.with_tables(document, {"provenance": {"commit": commit}, "promises": table})

    assert document == {
        "provenance": {"commit": "first", "tables": {"promises": {"commit": "third"}}},
        "boundaries": [1],
        "promises": [4],
    }


def test_committed_caps_catch_what_explodes_and_keep_the_error_rates(published):
    diverging = [row for row in published["explosions"] if row["candidate_explodes"] == 1.0]
    rarely = [row for row in published["explosions"] if (row["candidate_explodes"], row["metrics"]) == (0.1, 1)]
    covered = [row for row in published["capping_in_noise"] if "steady" not in row["noise"]]
    by_way = {way: [row for row in covered if row["degradations_count"] == way] for way in WAYS}

    assert {row["fails"]["rate"] > 0.99 for row in diverging if row["degradations_count"] == "as the gate does"} == {
        True
    }
    assert {row["fails"]["rate"] < 0.1 for row in diverging if row["degradations_count"] == "as measured"} == {True}
    assert max(row["passes"]["rate"] for row in rarely if row["degradations_count"] == "as the gate does") < 0.62
    assert max(row["clean_gate_fails"]["high"] for row in by_way["as the gate does"]) <= 0.015
    assert max(row["clean_gate_fails"]["rate"] for row in by_way["capped at 10 margins"]) > 0.3


@pytest.mark.slow
def test_a_short_run_of_the_script_agrees_with_the_committed_one(characteristics, published, tmp_path):
    output = tmp_path / "results" / "rates.json"

    options = ["--gates", "1000", "--output", str(output), "--kept", str(tmp_path / "kept")]

    assert characteristics.main(options) == 0

    document = json.loads(output.read_text(encoding="utf-8"))
    sizes, published_sizes = ({name: len(table) for name, table in each.items()} for each in (document, published))
    assert sizes | {"provenance": 0} == published_sizes | {"provenance": 0}
    for row, committed in zip(document["noise_models"], published["noise_models"], strict=True):
        assert row["clean_gate_fails"]["low"] <= committed["clean_gate_fails"]["high"]
        assert committed["clean_gate_fails"]["low"] <= row["clean_gate_fails"]["high"]
