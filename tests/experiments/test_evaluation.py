"""The simulated evaluations: what is committed keeps its promises, and the rules beside ours are what they say."""

import json

import numpy as np
import pytest
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.proportion import proportions_ztest

from experiments import evaluation

pytestmark = pytest.mark.in_repository


@pytest.fixture(scope="module")
def published(request):
    return json.loads((request.config.rootpath / "docs" / "results" / "evaluation.json").read_text("utf-8"))


def test_committed_verdicts_are_those_of_exact_sums(published):
    figures = [row[name] for row in published["whole_verdicts"] for name in ("passes", "fails")]

    assert len(figures) == 50
    assert sum(not figure["agrees"] for figure in figures) <= 1


def test_committed_levels_hold(published):
    nominal = {"pass_at_margin": 0.05, "pass_at_double_margin": 0.01, "fail_at_margin": 0.05, "fail_at_zero": 0.01}

    for row in published["levels"]:
        for name, level in nominal.items():
            assert row[name]["low"] <= level, (row["items"], row["flips"], name)


def test_committed_clean_families_rarely_fail_and_large_degradations_are_found(published):
    clean = [row for row in published["detection"] + published["ten_tasks"] if row["degradation"] == 0]
    assert all(row["mainstay"]["low"] <= 0.01 for row in clean)
    mmlu = [row for row in published["detection"] if row["benchmark"] == "MMLU" and row["degradation"] >= 0.03]
    assert min(row["mainstay"]["rate"] for row in mmlu) > 0.95


def test_rules_beside_ours_agree_with_other_implementations():
    tables = evaluation.draw(np.random.default_rng(1), 300, 0.06, 0.03, 200)

    for table, unpaired, paired in zip(
        tables.tolist(), evaluation.is_unpaired_red(tables), evaluation.is_mcnemar_red(tables), strict=True
    ):
        lost, gained, right, wrong = table
        exact = mcnemar([[right, lost], [gained, wrong]], exact=True).pvalue
        assert paired == (exact <= 0.05 and lost > gained)
        # each accuracy has a variance of its own here, as the rule in use has it
        z, _ = proportions_ztest([lost + right, gained + right], [300, 300], prop_var=False)
        if abs(z - 1.96) > 0.05:
            assert unpaired == (z > 1.96)


def test_a_small_run_writes_every_table(tmp_path):
    place = tmp_path / "made" / "evaluation.json"

    assert evaluation.main(["--draws", "3", "--families", "1", "--output", str(place)]) == 0

    document = json.loads(place.read_text("utf-8"))
    assert list(document) == ["provenance", "whole_verdicts", "levels", "detection", "ten_tasks", "smallest_margins"]
