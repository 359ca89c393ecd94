from dataclasses import fields, replace

import pytest

from mainstay.measuring import changes
from mainstay.project.configuration import Configuration, EvaluationSettings
from mainstay.records.findings import Waiver
from mainstay.records.metrics import Direction, Kind, Metric, Scoring, Tier
from mainstay.records.runs import ChangeKind


def lines(number, word="line"):
    return "".join(f"{word} {i}\n" for i in range(number)).encode()


def test_the_difference_of_a_file_is_cut_and_says_so():
    (change,) = changes.file_changes([changes.ChangedFile("benchmarks/test_a.py", None, lines(50))])

    assert (change.kind, change.before) == (ChangeKind.WORKLOAD, "")
    assert len(change.diff) == changes.LINES_OF_FILE
    assert change.diff[-1] == "... and 32 more lines"


def test_the_differences_of_all_files_together_are_bounded():
    files = [changes.ChangedFile(f"benchmarks/test_{i}.py", lines(50, "old"), None) for i in range(9)]

    found = changes.file_changes(files)

    assert [change.name for change in found] == [file.path for file in files]
    assert sum(len(change.diff) for change in found) == changes.LINES_OF_ALL


@pytest.mark.parametrize("content", [b"\xff\xfe", b"\x80"])
def test_what_is_no_text_is_named_without_its_difference(content):
    (change,) = changes.file_changes([changes.ChangedFile("benchmarks/data.bin", content, b"text")])

    assert change.diff == ("(not a text)",)


def test_settings_of_pytest_are_named_with_both_values():
    found = changes.pytest_changes({"strict": "true", "addopts": "-q"}, {"strict": "true", "markers": "slow"})

    assert {(change.name, change.before, change.after) for change in found} == {
        ("addopts", "-q", ""),
        ("markers", "", "slow"),
    }


def test_every_setting_says_what_is_done_about_it():
    other = {
        float: 0.001, int: 7, bool: True, str: "x", tuple: ("x",), dict: {"a": 0.5}, type(None): "x",
        EvaluationSettings: EvaluationSettings(margin=0.1),
    }  # fmt: skip
    before = Configuration()
    for item in fields(Configuration):
        value = getattr(before, item.name)
        (change,) = changes.setting_changes(before, _with(before, item.name, other[type(value)]))

        assert (change.name, bool(change.effect), change.before != change.after) == (item.name, True, True)


def _with(configuration, name, value):
    """Settings with one value replaced."""
    return Configuration(
        **{item.name: getattr(configuration, item.name) for item in fields(configuration)} | {name: value}
    )


def test_a_first_commit_can_loosen_nothing_and_its_baseline_is_built_with_its_extras():
    after = Configuration(alpha=0.02, extras=("bench",), constraints=("pins.txt",))

    effects = {change.name: change.effect for change in changes.setting_changes(Configuration(), after, is_first=True)}

    assert effects["alpha"] == "the candidate's is used for both revisions"
    assert effects["extras"].endswith("it was built with the candidate's, as far as it has them")
    assert effects["constraints"] == "each revision was resolved with its own"


def test_only_waivers_that_the_change_adds_are_named():
    old, new = (Waiver(metric=name, limit=0.1, reason="why", until="2999-01-01") for name in ("old", "new"))

    (change,) = changes.waiver_changes([old], [old, new])

    assert (change.name, change.after) == ("new", "a degradation up to 0.1 until 2999-01-01: why")


def test_a_changed_tier_or_range_of_an_evaluation_is_named_with_what_holds():
    before = Metric(
        workload="w",
        name="a",
        kind=Kind.ACCURACY,
        direction=Direction.HIGHER,
        margin=0.02,
        scoring=Scoring(score="a", tier=Tier.BLOCKING),
    )
    after = replace(before, scoring=Scoring(score="a", tier=Tier.ADVISORY, score_range=(0.0, 9.0)))

    found = changes.marker_changes({"w#a": before}, {"w#a": after})

    assert [(each.before, each.after, each.effect) for each in found] == [
        ("tier blocking", "tier advisory", "the stricter holds"),
        ("no range", "range (0.0, 9.0)", "the baseline's holds"),
    ]


@pytest.mark.parametrize(
    ("marked", "told"),
    [
        pytest.param(
            {"margin": 0.9, "ceiling": 1.0, "resolution": 10.0},
            [
                ("margin 0.02, no ceiling", "margin 0.9, ceiling 1", "the stricter holds"),
                ("resolution 0.001", "resolution 10", "the baseline's holds"),
            ],
            id="beside-a-margin",
        ),
        pytest.param(
            {"resolution": 0.0}, [("resolution 0.001", "resolution 0", "the baseline's holds")], id="taken-away"
        ),
        pytest.param(
            {"unit": "percent", "resolution": 0.1},
            [
                ("no unit", "unit percent", "not the same metric"),
                ("resolution 0.001", "resolution 0.1", "not the same metric"),
            ],
            id="of-another-metric",
        ),
    ],
)
def test_a_changed_resolution_is_named_with_what_holds(marked, told):
    before = Metric(
        workload="w", name="a", kind=Kind.ACCURACY, direction=Direction.HIGHER, margin=0.02, resolution=0.001
    )

    found = changes.marker_changes({"w#a": before}, {"w#a": replace(before, **marked)})

    assert [(each.before, each.after, each.effect) for each in found] == told
