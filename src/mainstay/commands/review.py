"""Review of a change: waivers, and changes to what the change is judged by.

- :func:`waivers_of`, :func:`reviewed_waivers`: the waivers of a revision, and those that the baseline already has.
- :func:`notes_on_waivers`: refuse waivers that match no metric.
- :func:`changes_of_judgement`: the changes to files, markers and settings that judge the change.
"""

from __future__ import annotations

import filecmp
from collections.abc import Iterator, Sequence
from contextlib import suppress

from mainstay.commands.harness import Harness
from mainstay.commands.session import Session
from mainstay.measuring import changes
from mainstay.measuring.agenda import Agenda, unchecked
from mainstay.project.waivers import parse_waivers, unknown_waivers
from mainstay.records.errors import ConfigurationError
from mainstay.records.findings import Waiver
from mainstay.records.runs import Change
from mainstay.records.trials import Side
from mainstay.revisions.project_files import MEASURING_GROUP
from mainstay.revisions.workspace import workload_files


def waivers_of(session: Session, side: Side) -> tuple[Waiver, ...]:
    """Read the waivers of a revision.

    Args:
        session: Session of the run.
        side: The revision.

    Raises:
        ConfigurationError: If they cannot be read.
    """
    place = session.settings.own[side].waivers
    content = session.repository.read_file(session.start.revisions[side].commit, place) or b""
    try:
        return parse_waivers(content.decode("utf-8"), where=place)
    except UnicodeDecodeError as error:
        raise ConfigurationError(
            f"the waivers are not UTF-8: {error}", looked_in=place, next_step="save the file as UTF-8"
        ) from error


def reviewed_waivers(session: Session) -> tuple[Waiver, ...]:
    """The waivers of the baseline; none if they cannot be read, so that a change that corrects the file can pass.

    Args:
        session: Session of the run.
    """
    with suppress(ConfigurationError):
        return waivers_of(session, Side.BASELINE)
    return ()


def notes_on_waivers(session: Session, agenda: Agenda, waivers: Sequence[Waiver]) -> list[str]:
    """Refuse waivers that match no metric, and note those that no longer do, or whose metric may not have been collected.

    Args:
        session: Session of the run.
        agenda: Agenda with all known metrics.
        waivers: Waivers of the candidate.

    Raises:
        ConfigurationError: If a waiver that the baseline does not have matches no metric, in no file that could not be
            collected either.
    """
    places = {waiver: agenda.may_hold(waiver.metric) for waiver in waivers}
    excused = [*reviewed_waivers(session), *(waiver for waiver, files in places.items() if files)]
    return [
        unchecked(f"a waiver of {waiver.metric}", files)
        if (files := places[waiver])
        else f"a waiver of {waiver.metric} names nothing that is gated any more: remove it"
        for waiver in unknown_waivers(waivers, agenda.known, session.today, excused=excused)
    ]


def changes_of_judgement(
    session: Session, harness: Harness, agenda: Agenda, waivers: Sequence[Waiver]
) -> Iterator[Change]:
    """Changes to what the change is judged by.

    Args:
        session: Session of the run.
        harness: Both revisions, with their start-up code.
        agenda: Agenda with the markers of both revisions.
        waivers: Waivers of the candidate.
    """
    settings, resolutions = session.settings, harness.resolutions
    yield from changes.waiver_changes(reviewed_waivers(session), waivers)
    yield from changes.file_changes(list(_changed_files(session, harness)))
    told = [harness.pytest_settings[side] for side in Side]
    yield from changes.pytest_changes(*({"file": found.file, **found.values} for found in told))
    yield from changes.startup_changes(*(harness.startup[side] for side in Side))
    yield from changes.group_changes(MEASURING_GROUP, *(resolutions[side].group for side in Side))
    yield from changes.marker_changes(agenda.baseline, agenda.candidate)
    yield from changes.setting_changes(
        settings.own[Side.BASELINE], settings.own[Side.CANDIDATE], is_first=settings.is_first
    )


def _changed_files(session: Session, harness: Harness) -> Iterator[changes.ChangedFile]:
    """Workload files and their helpers that differ as they lie in the measuring folders, where links are followed."""
    if len(harness.specs) == 1:  # these are equal, and only the baseline's were copied
        return
    folders = {configuration.workloads for configuration in session.settings.judging.values()}
    files = [workload_files(harness.specs[side][side], sorted(folders)) for side in Side]
    for name in sorted(files[0].keys() | files[1].keys()):
        before, after = (found.get(name) for found in files)
        if before is None or after is None or not filecmp.cmp(before, after, shallow=False):
            contents = (None if file is None else file.read_bytes() for file in (before, after))
            yield changes.ChangedFile(name, *contents)
