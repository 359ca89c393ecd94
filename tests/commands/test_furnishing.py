"""What a change alters of that with which the candidate furnishes both revisions."""

from types import SimpleNamespace
from typing import Any

import pytest

from mainstay.commands.furnishing import altered_furnishing, group_review, has_other_packages, lacking_review
from mainstay.commands.start import BothSettings
from mainstay.project.configuration import Configuration
from mainstay.records.trials import Side
from mainstay.revisions.resolution import Resolution
from mainstay.revisions.workspace import Prepared

SAME = Configuration(share=("data", "models"))


@pytest.mark.parametrize(
    ("share", "review", "altered", "named"),
    [
        pytest.param(("models", "data"), "", (), "", id="nothing"),
        pytest.param(("data",), "", (), "share", id="a-shared-input"),
        pytest.param(SAME.share, "the command prepare changed", (), "prepare", id="what-prepares"),
        pytest.param(SAME.share, "", ("tabulate",), "packages of the group 'benchmarks': tabulate", id="a-package"),
    ],
)
def test_what_the_change_furnishes_otherwise_is_named(share, review, altered, named):
    judging = {Side.BASELINE: SAME, Side.CANDIDATE: Configuration(share=share)}
    baseline = Resolution(side=Side.BASELINE, pins=(), altered=altered)
    harness: Any = SimpleNamespace(prepared=Prepared({}, "", review), resolutions={Side.BASELINE: baseline})

    found = altered_furnishing(BothSettings(own=judging, judging=judging), harness)

    assert found.rpartition("to both revisions ")[2] == (f"({named})" if named else "")


def of_both(*, after=("pytest",), **baseline):
    """Dependencies of both revisions, of which the baseline has some otherwise."""
    pins = ("pytest==9.0", "tabulate==0.9")
    return {
        Side.BASELINE: Resolution(side=Side.BASELINE, pins=pins, group=("pytest",), **baseline),
        Side.CANDIDATE: Resolution(side=Side.CANDIDATE, pins=pins, group=after),
    }


def test_a_dependency_on_which_the_group_decides_needs_a_review():
    assert group_review(of_both(contested=("click",))).startswith(
        "the group 'benchmarks' decides on the version or the index of click"
    )


def test_a_group_that_is_only_written_otherwise_needs_no_review():
    resolutions = of_both(after=("pytest >= 8", "click"))

    assert [group_review(resolutions), lacking_review(resolutions)] == ["", ""]


def test_a_package_that_the_group_takes_from_the_baseline_needs_a_review():
    assert lacking_review(of_both(lacking=("click",))).startswith("the group 'benchmarks' takes click from")


@pytest.mark.parametrize(
    ("after", "altered", "expected"),
    [
        pytest.param(("pytest",), (), False, id="none"),
        pytest.param(("pytest", "tabulate"), ("tabulate",), True, id="added"),
        pytest.param(("pytest", "memray; sys_platform == 'win32'"), (), False, id="added-for-another-platform"),
        pytest.param(("pytest",), ("click",), True, id="taken-away"),
        pytest.param(("pytest",), ("tabulate",), False, id="another-version"),
    ],
)
def test_other_packages_are_those_that_are_added_or_taken_away(after, altered, expected):
    assert has_other_packages(of_both(after=after, altered=altered)) is expected
