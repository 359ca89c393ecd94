"""Furnishing: what the candidate gives both revisions to measure with, and how a change alters it.

- :func:`altered_furnishing`: what a change alters, because of which the baseline's own workloads may skip themselves.
- :func:`group_review`: the review that is needed if the group ``benchmarks`` decides on the version or the index of a package.
- :func:`lacking_review`: the review that is needed if that group takes a package from the baseline.
- :func:`has_other_packages`: whether the baseline's workloads have other packages than before.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from mainstay.commands.harness import Harness
from mainstay.commands.start import BothSettings
from mainstay.measuring.agenda import ACCEPT
from mainstay.project.requirements import names_of
from mainstay.records.formatting import first_few
from mainstay.records.trials import Side
from mainstay.revisions.project_files import MEASURING_GROUP
from mainstay.revisions.resolution import Resolution


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
    """Review required if the candidate's group ``benchmarks`` decides on the version or the index of a package; empty if not.

    It decides if the baseline is measured with another version than its own, or with what the change adds, and if the
    candidate is measured with what the change drops, or with another version than that to which the change bumps. It also
    decides if the candidate takes one of its packages from an index that the baseline does not name.

    Args:
        resolutions: Dependencies of both revisions.

    Example:
        >>> before = Resolution(side=Side.BASELINE, pins=("click==8.1.7",), contested=("click",))
        >>> group_review({Side.BASELINE: before})
        "the group 'benchmarks' decides on the version or the index of click: review it, accept it with a waiver"
    """
    contested = resolutions[Side.BASELINE].contested
    if not contested:
        return ""
    return f"the group {MEASURING_GROUP!r} decides on the version or the index of {first_few(contested)}: {ACCEPT}"


def lacking_review(resolutions: Mapping[Side, Resolution]) -> str:
    """Review required if the candidate's group ``benchmarks`` takes a package from the baseline; empty if not.

    Without the package, the baseline's own files may hold fewer workloads, without a skip that would tell.

    Args:
        resolutions: Dependencies of both revisions.

    Example:
        >>> before = Resolution(side=Side.BASELINE, pins=("pytest==9.0",), lacking=("tabulate",))
        >>> lacking_review({Side.BASELINE: before})
        "the group 'benchmarks' takes tabulate from the baseline's workloads: review it, accept it with a waiver"
    """
    lacking = resolutions[Side.BASELINE].lacking
    if not lacking:
        return ""
    return f"the group {MEASURING_GROUP!r} takes {first_few(lacking)} from the baseline's workloads: {ACCEPT}"


def has_other_packages(resolutions: Mapping[Side, Resolution]) -> bool:
    """Whether the change gives the baseline's workloads a package that they had not, or takes one, apart from versions.

    Args:
        resolutions: Dependencies of both revisions.
    """
    before, after = (resolutions[side] for side in Side)
    differing = names_of(before.group) ^ names_of(after.group)
    return any(name in differing or name not in before.packages for name in before.altered)
