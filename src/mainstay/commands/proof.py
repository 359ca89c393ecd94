"""Proof that a gate need not measure: both revisions share their code and everything else that affects a workload.

The proof uses no measured value, so metrics that it lets pass use no share of the error rate and are not counted in K.
Its assumptions are listed in :data:`mainstay.reports.circumstances.ASSUMPTIONS`, and every report prints them.

- :func:`prove`: what need not be measured in a run, journalled when the run starts.
- :func:`prove_unchanged`: the proof for equal files, or the reason why unchanged code is measured nevertheless.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from typing import NamedTuple

from mainstay.commands.furnishing import group_review, has_other_packages
from mainstay.commands.harness import Harness
from mainstay.commands.rewording import Reworded, prove_reworded
from mainstay.commands.session import Session
from mainstay.commands.start import BothSettings
from mainstay.measuring.agenda import Agenda
from mainstay.records.findings import MeasuredWith, Verdict
from mainstay.records.formatting import first_few
from mainstay.records.trials import Side
from mainstay.revisions.environments import DEPENDENCIES_FILE
from mainstay.revisions.project_files import MEASURING_GROUP
from mainstay.revisions.unchanged import compare_trees, compare_wheels

REACHES_WORKERS = ("threads", "preload", "share", "prepare", "writable")
"""Settings with which workers are started, or whose effect they could observe."""


class Proof(NamedTuple):
    """Result of looking for a proof.

    Attributes:
        holds: Whether nothing has to be measured.
        note: Why unchanged code is measured nevertheless; empty if the code differs or the proof holds.
        differing_files: Installed files of the subject that differ between the revisions.
        reworded: Workloads that need not be measured although files differ, since these differ in words only, or in code
            that the workloads do not execute.
        calls: Traced calls of each workload in the second case.
        unexecuted: Functions that differ in the second case, each with its file.
    """

    holds: bool
    note: str = ""
    differing_files: tuple[str, ...] = ()
    reworded: frozenset[str] = frozenset()
    calls: Mapping[str, int] = {}
    unexecuted: tuple[str, ...] = ()

    def proved(self, agenda: Agenda) -> frozenset[str]:
        """Workloads that need not be measured.

        Args:
            agenda: Workloads to be judged.
        """
        return frozenset(each.workload.id for each in agenda.assignments) if self.holds else self.reworded


def prove(session: Session, harness: Harness, agenda: Agenda) -> Proof:
    """Look for a proof, or read back what a resumed run found.

    Args:
        session: Session of the run.
        harness: Both revisions, as they were installed.
        agenda: Workloads to be judged.

    Raises:
        OSError: If an installed file cannot be read.
    """
    proof = prove_unchanged(session.settings, harness, agenda)
    is_wanted = session.configuration.proof and agenda.assignments and not proof.note
    if proof.holds or not is_wanted or any(_obstacles(session.settings, harness, agenda)):
        return proof
    journal = session.folder.journal
    if line := journal.first("proof"):
        found = journal.content(line, "proof", Reworded)
    else:
        found = prove_reworded(session, harness, agenda, _differing_members(harness))
        journal.append("proof", proof={**asdict(found), "workloads": sorted(found.workloads)})
    return proof._replace(reworded=found.workloads, note=found.note, calls=found.calls, unexecuted=found.unexecuted)


def prove_unchanged(settings: BothSettings, harness: Harness, agenda: Agenda) -> Proof:
    """Compare everything that could make a workload of one revision differ from that of the other.

    Args:
        settings: Settings of both revisions.
        harness: Both installed revisions.
        agenda: Workloads to be judged.

    Raises:
        OSError: If an installed file cannot be read.
    """
    if not settings.in_force.proof or not agenda.assignments:
        return Proof(False, differing_files=_code(_differing_members(harness)))
    if differing := _differing_files(harness):
        code = _code(differing)
        metadata = f"measured, since the metadata of the package differs: {', '.join(differing)}"
        return Proof(False, "" if code else metadata, code)
    if obstacle := next(_obstacles(settings, harness, agenda), ""):
        equal = "the installed files of both revisions are equal, byte for byte"
        return Proof(False, f"{equal}; measured nevertheless, since {obstacle}")
    return Proof(True)


def _code(names: Sequence[str]) -> tuple[str, ...]:
    """Files except the metadata of packages."""
    return tuple(name for name in names if ".dist-info/" not in name)


def _differing_members(harness: Harness) -> tuple[str, ...]:
    """Installed files that differ between the revisions, by their names in the wheels."""
    return compare_wheels(*(harness.subjects[side].wheels for side in Side))


def _differing_files(harness: Harness) -> tuple[str, ...]:
    """Installed files that differ between the revisions, by their names in the wheels or else in the environments."""
    if differing := _differing_members(harness):
        return differing
    subjects = [harness.subjects[side] for side in Side]
    files = compare_trees(*(subject.site_packages for subject in subjects)).files
    return () if files == (DEPENDENCIES_FILE,) else files  # this obstacle has its own note


def _obstacles(settings: BothSettings, harness: Harness, agenda: Agenda) -> Iterator[str]:
    """Reasons why equal files are no proof."""
    if settings.misread:
        yield "the baseline's settings cannot be read"
    yield from _furnished_otherwise(harness)
    if len(harness.specs) > 1:
        yield "the workload files or the settings of pytest differ"
    own = [settings.own[side] for side in Side]
    if names := [name for name in REACHES_WORKERS if getattr(own[0], name) != getattr(own[1], name)]:
        yield f"{', '.join(names)} of [tool.mainstay] differ"
    specs = harness.specs[Side.BASELINE]
    alike = [replace(spec, side=Side.BASELINE, python="", own="", scratch="") for spec in specs.values()]
    if alike[0] != alike[1]:
        yield "the workers of both revisions are not started alike"
    is_collected_alike = agenda.baseline == agenda.candidate and all(
        each.measured_with is MeasuredWith.SHARED and not (each.is_new or each.missing or each.review)
        for each in agenda.assignments
    )
    if not is_collected_alike or any(finding.verdict is Verdict.MISSING for finding in agenda.settled):
        yield "the revisions did not collect the same workloads"
    if agenda.hung:
        yield "a workload hung while it was collected"


def _furnished_otherwise(harness: Harness) -> Iterator[str]:
    """Reasons why equal files are no proof that lie in the packages of both revisions."""
    baseline, candidate = harness.environments
    if baseline.packages_digest != candidate.packages_digest:
        yield "the dependencies differ"
    if has_other_packages(harness.resolutions):
        yield f"the group {MEASURING_GROUP!r} brings other packages"
    elif group_review(harness.resolutions):
        yield f"the group {MEASURING_GROUP!r} decides on the version or the index of a package"
    if brought := harness.resolutions[Side.BASELINE].brought:
        yield f"pytest brings {first_few(brought)}, which the change adds or drops"
