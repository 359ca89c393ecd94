"""Furnishing: what the candidate gives both revisions to measure with, and how a change alters it.

- :func:`altered_furnishing`: what a change alters, because of which the baseline's own workloads may skip themselves.
- :func:`group_review`: the review that is needed if a changed measuring package is a dependency of a revision, too.
- :func:`names_other_packages`: whether the groups of both revisions name other packages.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from mainstay.commands.harness import Harness
from mainstay.commands.start import BothSettings
from mainstay.measuring.agenda import ACCEPT
from mainstay.project.requirements import requirement_name
from mainstay.records.formatting import first_few
from mainstay.records.trials import Side
from mainstay.revisions.environments import MEASURING_GROUP, Resolution


def altered_furnishing(settings: BothSettings, harness: Harness) -> str:
    """What a change alters of that with which the candidate furnishes both revisions; empty if nothing.

    Args:
        settings: Settings of both revisions.
        harness: Both revisions, prepared.
    """
    altered = list(_altered(settings, harness))
    if not altered:
        return ""
    return f"a skip may be due to what the change furnishes otherwise to both revisions ({', '.join(altered)})"


def _altered(settings: BothSettings, harness: Harness) -> Iterator[str]:
    before, after = (settings.judging[side] for side in Side)
    if set(before.share) != set(after.share):
        yield "share"
    if harness.prepared.review:  # otherwise the baseline's prepared both
        yield "prepare"
    if packages := harness.resolutions[Side.BASELINE].altered:
        yield f"packages of the group {MEASURING_GROUP!r}: {first_few(packages)}"


def group_review(resolutions: Mapping[Side, Resolution]) -> str:
    """Review required if the change names a dependency of a revision in the group ``benchmarks`` otherwise; empty if not.

    Such a package is installed for measuring even if the candidate no longer requires it, and in the version that the
    group wants.

    Args:
        resolutions: Dependencies of both revisions.

    Example:
        >>> before = Resolution(side=Side.BASELINE, pins=(), group=("pytest",), needed=("click",))
        >>> after = Resolution(side=Side.CANDIDATE, pins=(), group=("pytest", "click<9"))
        >>> group_review({Side.BASELINE: before, Side.CANDIDATE: after})
        "the group 'benchmarks' names click otherwise, a dependency of a revision: review it, accept it with a waiver"
    """
    before, after = (resolutions[side] for side in Side)
    changed = {requirement_name(each) for each in {*before.group} ^ {*after.group}}
    contested = sorted(changed & {*before.needed, *after.needed})
    if not contested:
        return ""
    what = "a dependency of a revision" if len(contested) == 1 else "dependencies of a revision"
    return f"the group {MEASURING_GROUP!r} names {first_few(contested)} otherwise, {what}: {ACCEPT}"


def names_other_packages(resolutions: Mapping[Side, Resolution]) -> bool:
    """Whether the groups ``benchmarks`` of both revisions name other packages, apart from their versions.

    Args:
        resolutions: Dependencies of both revisions.
    """
    return len({frozenset(map(requirement_name, each.group)) for each in resolutions.values()}) > 1
