"""What a change alters of that with which the candidate furnishes both revisions."""

from types import SimpleNamespace
from typing import Any

import pytest

from mainstay.commands.furnishing import altered_furnishing, group_review
from mainstay.commands.start import BothSettings
from mainstay.project.configuration import Configuration
from mainstay.records.trials import Side
from mainstay.revisions.environments import Resolution
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


@pytest.mark.parametrize(
    ("group", "needed", "is_needed"),
    [
        pytest.param(("pytest", "click"), (("click",), ()), True, id="the-baseline-needs-it"),
        pytest.param(("pytest", "click"), ((), ("click",)), True, id="the-candidate-needs-it"),
        pytest.param(("pytest", "tabulate"), (("click",), ("click",)), False, id="no-dependency"),
        pytest.param(("pytest",), (("pytest",), ("pytest",)), False, id="not-changed"),
    ],
)
def test_a_dependency_that_the_group_names_otherwise_needs_a_review(group, needed, is_needed):
    resolutions = {
        side: Resolution(side=side, pins=(), group=requirements, needed=names)
        for side, requirements, names in zip(Side, (("pytest",), group), needed, strict=True)
    }

    assert bool(group_review(resolutions)) is is_needed
