from dataclasses import fields, replace

import pytest

from mainstay.measuring.strictness import (
    Margins,
    require_known_margins,
    settings_in_force,
    stricter_metric,
    why_incomparable,
)
from mainstay.project.configuration import Configuration
from mainstay.records.errors import ConfigurationError
from mainstay.records.metrics import Direction, Kind, Metric, Scoring, Tier

METRIC = Metric(workload="w", name="a", kind=Kind.ACCURACY, direction=Direction.HIGHER, margin=0.1)


@pytest.mark.parametrize(
    ("key", "baseline", "candidate", "in_force"),
    [
        ("alpha", 0.01, 0.04, 0.01),
        ("alpha", 0.01, 0.001, 0.01),
        ("margin_level", 0.05, 0.4, 0.05),
        ("looks", (5, 8), (2,), (5, 8)),
        ("inconclusive", 3, 0, 3),
        ("inconclusive", 3, 1, 1),
        ("inconclusive", 0, 3, 3),
        ("inconclusive", 1, 3, 1),
        ("inconclusive", 3, "warn", 3),
        ("inconclusive", "warn", 3, 3),
        ("inconclusive", "warn", 0, "warn"),
        ("inconclusive", 0, "warn", "warn"),
        ("inconclusive", "warn", 1, 1),
        ("deviations", {"a": 0.1, "b": 0.1}, {"a": 0.2, "b": 0.05, "c": 1.0}, {"a": 0.1, "b": 0.05}),
        ("deviations", {}, {"a": 0.1}, {}),
        ("deviations", {"a": 0.1}, {}, {}),
        ("deviations", {"w#t": 0.01, "t": 0.05}, {"t": 0.05}, {"w#t": 0.01, "t": 0.05}),
        ("deviations", {"t": 0.05}, {"w#t": 0.09, "t": 0.01}, {"w#t": 0.05, "t": 0.01}),
        ("deviations", {"w#t": 0.01}, {"t": 0.05}, {"w#t": 0.01}),
        ("deviations", {"w#t": 0.01}, {"v#t": 0.05, "u": 0.05}, {}),
        ("fail_fast", False, True, False),
        ("fail_fast", True, False, False),
        ("fail_fast", True, True, True),
        ("proof", "unchanged", False, False),
        ("proof", False, "unchanged", False),
        ("proof", "unchanged", "unchanged", "unchanged"),
        ("proof", "executed", "executed", "executed"),
        ("proof", "executed", "unchanged", "unchanged"),
        ("proof", "unchanged", "executed", "unchanged"),
        ("proof", "executed", False, False),
        ("proof", False, "executed", False),
        ("group_by", None, "file", None),
        ("group_by", "file", None, "file"),
        ("group_by", "file", "test", "file"),
        ("seconds", 900.0, 1.0, 900.0),
        ("seconds", 900.0, 1000.0, 1000.0),
        ("pair_seconds", 2.5, 0.1, 2.5),
        ("trial_seconds", 600.0, 6000.0, 600.0),
        ("trial_seconds", 600.0, 60.0, 60.0),
        ("threads", 1, 2, 2),
        ("prepare", ("a",), ("b",), ("b",)),
    ],
)
def test_a_change_can_tighten_the_settings_and_not_loosen_them(key, baseline, candidate, in_force):
    settings = settings_in_force(Configuration(**{key: baseline}), Configuration(**{key: candidate}))

    assert getattr(settings, key) == in_force


def test_equal_settings_are_in_force_as_they_are():
    settings = Configuration(alpha=0.02, seconds=60, inconclusive=1, margins={"a": 0.3})

    assert {item.name: getattr(settings_in_force(settings, settings), item.name) for item in fields(settings)} == {
        item.name: getattr(settings, item.name) for item in fields(settings)
    }


@pytest.mark.parametrize(
    ("baseline", "candidate", "marked", "margin"),
    [
        pytest.param({}, {}, (0.1, 0.1), 0.1, id="markers-alone"),
        pytest.param({}, {}, (0.1, 0.9), 0.1, id="marker-loosened"),
        pytest.param({}, {"margins": {"a": 0.9}}, (0.1, 0.1), 0.1, id="setting-loosens-the-marker"),
        pytest.param({"margins": {"a": 0.2}}, {}, (0.1, 0.1), 0.1, id="setting-removed"),
        pytest.param({"margins": {"a": 0.05}}, {}, (0.1, 0.1), 0.05, id="strict-setting-removed"),
        pytest.param({"margins": {"a": 0.2}}, {"margins": {"a": 0.2}}, (0.1, 0.1), 0.2, id="setting-stays"),
        pytest.param({"margins": {"a": 0.2}}, {"margins": {"a": 0.02}}, (0.1, 0.1), 0.02, id="setting-tightened"),
        pytest.param(
            {"margins_by_dataset": {"d": {"a": 0.03}}},
            {"margins_by_dataset": {"d": {"a": 0.9}}},
            (0.1, 0.1),
            0.03,
            id="margin-of-the-data-set-loosened",
        ),
        pytest.param(
            {"margins": {"a": 0.03}},
            {"margins": {"a": 0.03}, "margins_by_dataset": {"d": {"a": 0.9}}},
            (0.1, 0.1),
            0.03,
            id="margin-of-the-data-set-added",
        ),
        pytest.param({}, {"margins": {"a": 0.5}}, (None, 0.1), 0.5, id="new-metric"),
        pytest.param({"margins": {"a": 0.2}}, {"margins": {"a": 0.5}}, (None, 0.1), 0.2, id="new-metric-of-known-name"),
    ],
)
def test_the_smaller_margin_of_both_revisions_holds(baseline, candidate, marked, margin):
    margins = Margins(
        settings=(Configuration(**baseline), Configuration(**candidate)),
        markers=tuple({} if value is None else {METRIC.id: value} for value in marked),
    )

    assert margins(METRIC, {"dataset": "d"}) == margin


@pytest.mark.parametrize(
    ("baseline", "candidate", "marked", "margin"),
    [
        pytest.param({}, {}, (0.1, 1e-6), 0.1, id="marker-tightened"),
        pytest.param({}, {"margins": {"a": 1e-6}}, (0.1, 0.1), 0.1, id="setting-added"),
        pytest.param({"margins": {"a": 0.05}}, {"margins": {"a": 1e-6}}, (0.1, 0.1), 0.05, id="setting-tightened"),
        pytest.param(
            {"margins_by_dataset": {"d": {"a": 0.3}}},
            {"margins_by_dataset": {"d": {"a": 1e-6}}},
            (0.1, 0.1),
            0.3,
            id="margin-of-the-data-set-tightened",
        ),
        pytest.param({}, {}, (0.1, 0.9), 0.1, id="marker-loosened"),
        pytest.param({}, {"margins": {"a": 0.5}}, (None, 0.1), 0.5, id="new-metric"),
    ],
)
def test_the_baseline_s_own_margin_is_known_beside_the_one_in_force(baseline, candidate, marked, margin):
    margins = Margins(
        settings=(Configuration(**baseline), Configuration(**candidate)),
        markers=tuple({} if value is None else {METRIC.id: value} for value in marked),
    )

    assert margins.of_baseline(METRIC, {"dataset": "d"}) == margin
    assert margins(METRIC, {"dataset": "d"}) <= margin


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        pytest.param({"margins": {"b": 1.0}}, "tool.mainstay.margins.b is the margin", id="metric"),
        pytest.param(
            {"margins_by_dataset": {"d": {"b": 1.0}}}, "tool.mainstay.margins.d.b is the margin", id="data-set"
        ),
    ],
)
def test_a_margin_of_nothing_is_refused(settings, words):
    with pytest.raises(ConfigurationError, match=words) as refusal:
        require_known_margins(Configuration(**settings), [METRIC])

    assert refusal.value.next_step == "gated: a"


def test_margins_of_what_is_gated_are_accepted():
    settings = Configuration(margins={"a": 0.1}, margins_by_dataset={"d": {"a": 0.2}})

    assert require_known_margins(settings, [METRIC]) == []


def test_margins_of_no_known_metric_are_named_where_others_may_be_gated():
    settings = Configuration(margins={"a": 0.1, "b": 5.0}, margins_by_dataset={"d": {"c": 0.2}})

    unknown = require_known_margins(settings, [METRIC], are_all_known=False)

    assert unknown == ["tool.mainstay.margins.b", "tool.mainstay.margins.d.c"]


@pytest.mark.parametrize("are_all_known", [True, False])
@pytest.mark.parametrize("settings", [{"margins": {"a": 5.0}}, {"margins_by_dataset": {"d": {"a": 5.0}}}], ids=str)
def test_a_margin_that_can_only_be_meant_in_percent_is_refused_though_a_smaller_one_holds(settings, are_all_known):
    with pytest.raises(ConfigurationError, match="the margin of a is 5, which is 500 %"):
        require_known_margins(Configuration(**settings), [METRIC], are_all_known=are_all_known)


@pytest.mark.parametrize(
    ("baseline", "candidate", "in_force"),
    [
        (Tier.BLOCKING, Tier.ADVISORY, Tier.BLOCKING),
        (Tier.ADVISORY, Tier.GUARD, Tier.GUARD),
        (None, Tier.GUARD, None),
        (Tier.GUARD, None, None),
        (None, Tier.BLOCKING, Tier.BLOCKING),
    ],
)
def test_a_candidate_cannot_loosen_a_tier_or_a_range(baseline, candidate, in_force):
    before = replace(METRIC, scoring=Scoring(score="a", score_range=(0.0, 1.0), tier=baseline))
    after = replace(METRIC, margin=0.9, scoring=Scoring(score="a", score_range=(0.0, 100.0), tier=candidate))

    held = stricter_metric(before, after)

    assert (held.margin, held.scoring.tier, held.scoring.score_range) == (0.1, in_force, (0.0, 1.0))


@pytest.mark.parametrize(("baseline", "candidate"), [(1e-3, 10.0), (1e-3, 0.0), (0.0, 1e-3)])
def test_the_resolution_of_the_baseline_holds_since_either_change_makes_a_verdict_easier(baseline, candidate):
    held = stricter_metric(replace(METRIC, resolution=baseline), replace(METRIC, resolution=candidate))

    assert held.resolution == baseline


def test_an_evaluation_and_an_accuracy_of_the_same_name_are_not_the_same_metric():
    scored = replace(METRIC, scoring=Scoring(score="a"))

    assert why_incomparable(METRIC, scored) == "the candidate's marker is evaluation, the baseline's accuracy"
    assert not why_incomparable(scored, scored)
