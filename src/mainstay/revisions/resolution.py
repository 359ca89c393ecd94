"""Dependencies of both revisions, resolved at the same time.

So a dependency bump is gated like any other change, and a package that was published today is never blamed on a change.
Runtime dependencies come from each revision, and the packages that measure come from the candidate for both.

- :func:`resolve`: the dependencies of each revision.
- :class:`Resolution`: exact pins of everything that a revision depends on.
- :func:`requirement_options`: options of uv that install pins, each from the index from which it was resolved.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from mainstay.project.configuration import Configuration
from mainstay.project.requirements import any_version, names_of, normal_name, requirement_name
from mainstay.records.errors import EnvironmentBuildError, HarnessError
from mainstay.records.redaction import HIDDEN, without_credentials
from mainstay.records.trials import Side
from mainstay.revisions import uv_commands
from mainstay.revisions.indexes import (
    index_addresses,
    index_options,
    package_sources,
    project_indexes,
    write_requirements,
)
from mainstay.revisions.pins import Pins, exact_versions, indexes_of, place_of
from mainstay.revisions.project_files import (
    MEASURING_GROUP,
    drop_names,
    expand_group,
    is_packaged,
    read_project,
    texts_in,
)
from mainstay.revisions.requests import Request, UnusablePinError
from mainstay.revisions.uv_commands import OfflineError, RefusedError, UnreachableError, interpreter_facts
from mainstay.revisions.uv_settings import choosing_variables, pip_settings, settings_in_force, upload_limit


@dataclass(frozen=True, kw_only=True, slots=True)
class Resolution:
    """Exact pins of everything a revision depends on.

    Attributes:
        side: Baseline or candidate.
        pins: Requirements such as ``numpy==2.4.6``, sorted.
        local: Folders of the revision's own tree that it depends on, such as ``libs/common``, which are built like its
            wheel; and wheels that lie there, which are installed as they are.
        indexes: Addresses of the package indexes that its pyproject.toml names, and settings of uv in the environment
            that decide what a pin means; without credentials.
        installation: SHA-256 of the settings of uv in the tree, and of the packages that these take from the tree itself.
        group: Requirements of its own dependency group ``benchmarks``.
        altered: Names of the packages that it has otherwise than with its own group; of the baseline alone.
        lacking: Names of those that the candidate's group takes from it; of the baseline alone.
        contested: Names of dependencies on which the candidate's group decides, so that a change of them may be hidden,
            and of measuring packages from an index that the baseline does not name; of the baseline alone.
        brought: Names of further dependencies that the change adds or drops, though both revisions have them for
            measuring, since pytest needs them; of the baseline alone.
        served: Pins that a named index of the project serves, each with the index's address as it stands in
            pyproject.toml, such as ``torch==2.9.0+cpu from https://host/cpu``; without credentials.
        limits: Latest time of upload of each package for which the candidate's settings of uv name another one than its
            own, such as ``pytest=2026-11-01T00:00:00Z``; of the baseline alone.
    """

    side: Side
    pins: tuple[str, ...]
    local: tuple[str, ...] = ()
    indexes: tuple[str, ...] = ()
    installation: str = ""
    group: tuple[str, ...] = ()
    altered: tuple[str, ...] = ()
    lacking: tuple[str, ...] = ()
    contested: tuple[str, ...] = ()
    brought: tuple[str, ...] = ()
    served: tuple[str, ...] = ()
    limits: tuple[str, ...] = ()

    @property
    def packages(self) -> dict[str, str]:
        """Version of each package, or its URL, without credentials, if it is pinned by URL.

        Example:
            >>> Resolution(side=Side.BASELINE, pins=("click==8.1.8", "own @ file:///own")).packages
            {'click': '8.1.8', 'own': 'file:///own'}
        """
        return dict(re.split(r"==| @ ", without_credentials(pin), maxsplit=1) for pin in self.pins)

    def with_credentials_of(self, other: Resolution) -> Resolution:
        """The same pins, with the credentials that another resolution has and a journal does not keep.

        Example:
            >>> full = Resolution(side=Side.BASELINE, pins=("click==8.1.9", "own @ https://me:word@host/own.whl"))
            >>> kept = replace(full, pins=("click==8.1.8", "own @ https://****@host/own.whl"))
            >>> kept.with_credentials_of(full).pins
            ('click==8.1.8', 'own @ https://me:word@host/own.whl')
        """
        full = {without_credentials(pin): pin for pin in other.pins}
        return replace(self, pins=tuple(full.get(pin, pin) for pin in self.pins))

    @property
    def lacks_credentials(self) -> bool:
        """Whether the credentials of a pin are hidden, so that the package cannot be fetched."""
        return any(f"{HIDDEN}@" in pin for pin in self.pins)

    @property
    def digest(self) -> str:
        """SHA-256 of the pins, their sources, the Python, the platform and uv; a new password changes nothing."""
        pins = [*map(without_credentials, self.pins), *self.served, *self.limits]
        parts = [*pins, *self.indexes, self.installation, *interpreter_facts()]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def resolve(trees: Mapping[Side, Path], configurations: Mapping[Side, Configuration]) -> dict[Side, Resolution]:
    """Resolve the dependencies of both revisions as of the same time.

    Runtime dependencies come from each revision, under its own constraints, even if the candidate names them in its group
    ``benchmarks`` too, also those that it adds. All other packages of that group, and pytest, come from the candidate
    for both revisions. A resolution is stored for one day, for the two revisions together. This saves seconds and lets a
    gate run without network, and both revisions are always resolved on the same day.

    Args:
        trees: Worktree of each revision.
        configurations: ``[tool.mainstay]`` of each revision.

    Raises:
        EnvironmentBuildError: If a revision cannot be resolved, or the measuring packages conflict with the baseline.
    """
    requests = {side: Request.of(side, trees[side], configurations[side]) for side in Side}
    if not (trees[Side.BASELINE] / configurations[Side.BASELINE].workloads).is_dir():  # it does not gate anything yet
        requests[Side.BASELINE] = requests[Side.BASELINE].with_wishes_of(configurations[Side.CANDIDATE])
    parts = [part for request in requests.values() for part in request.identity()]
    today = f"{datetime.now(UTC):%Y-%m-%d}"
    settings = choosing_variables(os.environ)
    key = hashlib.sha256(
        "\0".join([*Pins._fields, *parts, *settings, *interpreter_facts(), today]).encode()
    ).hexdigest()
    file = uv_commands.cache_folder() / "resolutions" / f"{key[:32]}.json"
    if file.exists():
        kept = json.loads(file.read_text(encoding="utf-8"))
        found = {side: Pins(**{name: tuple(each) for name, each in kept[side].items()}) for side in Side}
    else:
        found = _resolve_both(requests)
        file.parent.mkdir(parents=True, exist_ok=True)
        draft = file.with_suffix(f".{os.getpid()}")
        draft.touch(mode=0o600)  # a pin by URL may hold a password
        draft.write_text(json.dumps({side: pins._asdict() for side, pins in found.items()}), encoding="utf-8")
        draft.replace(file)
    indexes = {
        side: (*(without_credentials(entry["url"]) for entry in project_indexes(requests[side].project)), *settings)
        for side in Side
    }
    return {
        side: Resolution(
            side=side,
            pins=pins.pins,
            local=pins.places,
            indexes=indexes[side],
            installation=requests[side].installation,
            group=tuple(expand_group(requests[side].project, MEASURING_GROUP)),
            altered=pins.altered,
            lacking=pins.lacking,
            contested=pins.contested,
            brought=pins.brought,
            served=pins.served,
            limits=pins.limits,
        )
        for side, pins in found.items()
    }


def requirement_options(resolution: Resolution, pins: Sequence[str], *, tree: Path, folder: Path) -> list[str]:
    """Options of ``uv pip install`` for some pins, each of which comes from the index from which it was resolved.

    A file of requirements cannot name the index of one package, so what a named index serves stands in a pyproject.toml.

    Args:
        resolution: The revision's dependencies.
        pins: Those of its pins that are to be installed.
        tree: The project's folder in the revision's worktree, whose pyproject.toml names the indexes.
        folder: Folder for the files, which may hold passwords.
    """
    indexes = indexes_of(resolution.served)
    files = write_requirements(pins, indexes, tree, folder, extras=pip_settings(tree).get("extra", ()))
    options = [*_limit_options(resolution.limits), *(word for file in files for word in ("--requirement", str(file)))]
    if project_indexes(read_project(tree, resolution.side)):
        options += ["--index-strategy", "unsafe-best-match"]  # for the others, which are exact
    return options


def _compile_candidate(candidate: Request, baseline: Request) -> Pins:
    """Resolve the candidate with its measuring packages; it is blamed only if the baseline can be resolved today."""
    try:
        return candidate.compile_whole()
    except OfflineError:
        raise
    except (UnreachableError, RefusedError):
        is_same = candidate.identity() == baseline.identity()
        if is_same or not _is_resolvable(replace(baseline, uses_cache=False)):  # a cache would hide an outage
            raise
        return _compile_once_more(candidate)
    except EnvironmentBuildError as error:
        if error.side is None:
            raise
        if candidate.identity() == baseline.identity():
            why = "the change is not to blame: the baseline requires the same"
        elif not _is_resolvable(baseline):
            why = "the change is not to blame: the baseline cannot be resolved either"
        else:
            raise
        served = "look at what the package index serves today: a package was withdrawn, or a new one does not fit"
        raise EnvironmentBuildError(
            f"{error.fact}\n{why}",
            looked_in=error.looked_in,
            next_step=error.next_step if isinstance(error, UnusablePinError) else served,
        ) from error


def _compile_once_more(candidate: Request) -> Pins:
    """Resolve the candidate, which is blamed if no server gives it what it needs, since the baseline's servers work."""
    try:
        return candidate.compile_whole()
    except (UnreachableError, RefusedError) as error:
        raise type(error)(
            f"{error.fact}\nthe candidate alone needs it: the baseline can be resolved",
            side=Side.CANDIDATE,
            looked_in=error.looked_in,
            next_step=f"correct what the candidate requires, or {error.next_step}",
        ) from error


def _is_resolvable(request: Request) -> bool:
    """Whether the dependencies and the measuring packages of a revision can be resolved."""
    try:
        request.compile_whole()
    except EnvironmentBuildError:
        return False
    return True


def _resolve_both(requests: Mapping[Side, Request]) -> dict[Side, Pins]:
    """Resolve the candidate with the measuring packages, then the baseline with the candidate's pins of those.

    The baseline keeps its own pins of the packages that it needs itself, except pytest: otherwise a change that bumps one
    of them and names it in the group would be compared with itself. For the same reason, it does not get a package only
    because the group names it, if the candidate has come to need it itself.
    """
    candidate, baseline = requests[Side.CANDIDATE], requests[Side.BASELINE]
    found = _compile_candidate(candidate, baseline)
    if candidate.identity() == baseline.identity():
        return {Side.BASELINE: found, Side.CANDIDATE: found}
    alone = _compile_alone(baseline)
    own, replacing = _compile_own(baseline, alone)
    kept_names = names_of(own.packages) - {"pytest"}
    required = candidate.compile(constraints=candidate.constraints)
    added = names_of(required.packages) - names_of([*own.packages, *alone.packages]) if alone else set()
    harness = candidate.compile_measuring(found)
    borrowed = [pin for pin in harness.pins if requirement_name(pin) not in kept_names | added]
    kept = [pin for pin in own.pins if requirement_name(pin) in kept_names]
    kept += [pin for pin in harness.pins if requirement_name(pin) in added]  # a measuring package may need them, too
    known = {"", *index_addresses(baseline.tree)}
    strange = {pin for pin in borrowed if harness.indexes[pin] not in known}
    indexes = {pin: harness.indexes[pin] for pin in borrowed if pin not in strange}
    indexes |= {pin: index for pin, index in alone.indexes.items() if pin in strange} if alone else {}
    indexes |= {pin: index for pin, index in own.indexes.items() if pin in kept}
    limits = _limits(names_of(borrowed), candidate, baseline)
    measured = _compile_measured(baseline, [*borrowed, *replacing], kept, indexes, limits).taken_from(indexes)
    measured = measured.with_placed(_helpers(baseline, own, alone, harness))
    groups = {side: expand_group(requests[side].project, MEASURING_GROUP) for side in Side}
    candidate_sources = package_sources(candidate.project).keys()
    contested, brought = _decided_by_measuring(
        requests,
        {Side.BASELINE: own, Side.CANDIDATE: required},
        {Side.BASELINE: measured, Side.CANDIDATE: found},
    )
    return {
        Side.BASELINE: measured._replace(
            altered=tuple(sorted(_altered(groups, alone and alone.taken, measured.taken, kept_names))),
            lacking=tuple(sorted(_lacking(baseline, groups, alone, measured))),
            contested=tuple(sorted((contested - {"pytest"}) | (names_of(strange) & candidate_sources))),
            brought=tuple(sorted(brought)),
        ),
        Side.CANDIDATE: found,
    }


def _compile_alone(baseline: Request) -> Pins | None:
    """Pins of the baseline with its own measuring packages; ``None`` if it cannot be resolved with these."""
    try:
        return baseline.compile_whole()
    except EnvironmentBuildError as error:
        if error.side is None:
            raise
        return None


def _compile_own(baseline: Request, alone: Pins | None) -> tuple[Pins, list[str]]:
    """Resolve what the baseline needs itself, in the versions that it has with its own measuring packages.

    A dependency that its group takes from the tree, though the baseline itself would have it from an index, comes from the
    tree, as it did when the baseline was gated.

    Returns:
        The packages, and requirements of those that come from the tree only for that reason.
    """
    if alone is None:
        return baseline.compile(constraints=baseline.constraints), []
    constraints = "\n".join([baseline.constraints, *exact_versions(alone.pins)])
    compile_own = partial(baseline.compile, constraints=constraints, options=index_options(alone.served, baseline.tree))
    own = compile_own()
    replacing = [_as_folder(each) for each in alone.placed if requirement_name(each) in names_of(own.pins)]
    if replacing:
        own = compile_own(measuring=replacing)
    return own.taken_from(alone.indexes), replacing


def _as_folder(placed: str) -> str:
    """Requirement of a package of the tree by its path, for a file of requirements, in which no source leads to it."""
    return f"{requirement_name(placed)} @ {os.path.join('.', place_of(placed))}"


def _compile_measured(
    baseline: Request,
    measuring: Sequence[str],
    kept: Sequence[str],
    indexes: Mapping[str, str],
    limits: Sequence[str],
) -> Pins:
    """Resolve the baseline with the candidate's measuring packages.

    Where a measuring package does not allow a version that the baseline has, the baseline gets another one that its own
    requirements allow, if need be against its constraints files. All other packages keep their versions.

    Args:
        baseline: Request for the baseline.
        measuring: Pins of the measuring packages.
        kept: The baseline's own pins of what it needs itself.
        indexes: Address of the index of each of these pins; empty if no named one serves it.
        limits: Latest times of upload of measuring packages, as in :class:`Resolution`.

    Raises:
        HarnessError: If the baseline's own requirements, or its settings of uv, cannot be met together with the measuring
            packages.
    """
    constraints = drop_names(baseline.constraints, names_of(measuring))
    sources = package_sources(baseline.project)  # one may hold for the baseline's own group alone
    led = {any_version(pin): indexes[pin] for pin in kept if indexes.get(pin) and requirement_name(pin) in sources}
    options = _limit_options(limits)
    wanted = [*measuring, *led]
    attempts = (
        {"constraints": "\n".join([constraints, *exact_versions(kept)])},
        {"constraints": constraints, "preferred": exact_versions(kept)},
        {"constraints": drop_names(constraints, names_of(kept)), "preferred": exact_versions(kept)},
    )
    told = f"the candidate's measuring packages are incompatible with the baseline: {', '.join(measuring)}"
    errors = []
    for attempt in attempts:
        try:
            found = baseline.compile(measuring=wanted, indexes={**indexes, **led}, options=options, **attempt)
        except EnvironmentBuildError as error:
            if error.side is None:
                raise
            errors.append(error)
        else:
            held_back = names_of({*measuring} - {*found.pins}) - names_of(found.placed)
            _refuse_settings(baseline, held_back, told)  # an override is not even a conflict
            return found._replace(limits=tuple(limits))
    _refuse_settings(baseline, names_of(measuring), f"{told}\n{errors[-1].fact}")
    raise HarnessError(
        f"{told}\n{errors[-1].fact}",
        side=Side.BASELINE,
        looked_in=f"what the baseline requires, and the group {MEASURING_GROUP!r} of the candidate",
        next_step="let the group allow a version that both revisions can have, or change it in a commit of its own; if the "
        "group needs another version of a dependency than the baseline allows, bump the dependency first",
    ) from errors[-1]


def _refuse_settings(baseline: Request, names: Collection[str], told: str) -> None:
    """Refuse a setting of uv in the baseline that decides on one of some measuring packages.

    Raises:
        HarnessError: If there is one; its message begins with what is told.
    """
    settings = settings_in_force(baseline.tree)
    for setting in ("constraint-dependencies", "override-dependencies", "exclude-dependencies"):
        if decided := sorted(names_of(texts_in(settings.get(setting))) & {*names}):
            named = ", ".join(decided)
            if setting == "exclude-dependencies":
                step = f"first remove {named} from {setting}, in a change of its own"
            else:
                step = (
                    f"first move {named} from {setting} to the group {MEASURING_GROUP!r}, with the same requirement, in a "
                    "change of its own"
                )
            raise HarnessError(
                f"{told}\nthe setting {setting} of uv in the baseline decides on {named}",
                side=Side.BASELINE,
                looked_in=f"the settings of uv in the baseline, and the group {MEASURING_GROUP!r} of the candidate",
                next_step=step,
            )


def _limits(names: Collection[str], candidate: Request, baseline: Request) -> tuple[str, ...]:
    """Latest times of upload that the candidate's settings of uv name for packages, where the baseline's differ.

    A variable of the environment holds for both.
    """
    if os.environ.get("UV_EXCLUDE_NEWER"):
        return ()
    its, own = (settings_in_force(request.tree) for request in (candidate, baseline))
    wanted = {name: upload_limit(its, name) for name in sorted(names)}
    return tuple(f"{name}={limit}" for name, limit in wanted.items() if limit != upload_limit(own, name))


def _limit_options(limits: Iterable[str]) -> list[str]:
    """Options of uv for latest times of upload."""
    return [word for limit in limits for word in ("--exclude-newer-package", limit)]


def _helpers(baseline: Request, own: Pins, alone: Pins | None, harness: Pins) -> set[str]:
    """Packages in the baseline's tree that measure: those of the candidate's group, and others of its own.

    The candidate's lie in another tree, so the baseline gets its own copy. One that it lacks is left out, and so is a
    folder that is no package there, or another. The baseline has each package once, and never instead of one that it needs itself.

    Args:
        baseline: Request for the baseline.
        own: What the baseline needs itself.
        alone: The baseline with its own group; ``None`` if it cannot be resolved with it.
        harness: Measuring packages of the candidate.
    """
    taken = names_of(own.packages)
    shared = {each for each in harness.placed if requirement_name(each) not in taken and _has_placed(baseline, each)}
    taken |= names_of([*harness.pins, *shared])
    return shared | {each for each in (alone.placed if alone else ()) if requirement_name(each) not in taken}


def _has_placed(request: Request, placed: str) -> bool:
    """Whether a package lies in the tree of a revision where it lies in that of the other."""
    place = request.tree / place_of(placed)
    if place.is_file():  # a wheel, whose name begins with that of its package
        return True
    name = read_project(place, request.side).get("project", {}).get("name", requirement_name(placed))
    return is_packaged(place, request.side) and normal_name(name) == requirement_name(placed)


def _decided_by_measuring(
    requests: Mapping[Side, Request], needed: Mapping[Side, Pins], measured: Mapping[Side, Pins]
) -> tuple[set[str], set[str]]:
    """Names of the dependencies on which the measuring packages decide: those that need a review, and the others.

    The others are what the change adds or drops and pytest needs anyway, unless the candidate's group names it.

    Args:
        requests: Requests for both revisions.
        needed: What each revision needs itself.
        measured: Each revision with the candidate's measuring packages.
    """
    own, required = needed[Side.BASELINE], needed[Side.CANDIDATE]
    its, found = measured[Side.BASELINE], measured[Side.CANDIDATE]
    candidate = requests[Side.CANDIDATE]
    hidden = _hidden(requests[Side.BASELINE], needed, measured)
    named = names_of(expand_group(candidate.project, MEASURING_GROUP)) - {"pytest"}
    moved = (hidden - named) & (names_of(own.packages) ^ names_of(required.packages))
    brought = moved & names_of(candidate.compile_pytest(found).packages) if moved else set()
    not_its_own = names_of(own.packages) - names_of({*own.packages} & {*its.packages})
    return (hidden - brought) | not_its_own, brought


def _hidden(baseline: Request, needed: Mapping[Side, Pins], measured: Mapping[Side, Pins]) -> set[str]:
    """Names of dependencies whose change the measuring packages would hide.

    These are the packages that the change bumps, adds or drops, if the candidate is measured with them otherwise than it
    requires them, and those that it adds, if the baseline is measured with them, too.

    Args:
        baseline: Request for the baseline.
        needed: What each revision needs itself.
        measured: Each revision with the candidate's measuring packages.
    """
    own, required = (needed[side].taken for side in (Side.BASELINE, Side.CANDIDATE))
    its, found = (measured[side].taken for side in (Side.BASELINE, Side.CANDIDATE))
    otherwise = names_of({*required} - {*found}) | (names_of(found) - names_of(required))
    lent = names_of(its) - names_of(own)
    suspects = (otherwise & names_of([*own, *required])) | (lent & names_of(required))
    if not suspects:
        return suspects
    before = baseline.compile(constraints=baseline.constraints).taken
    return suspects & names_of({*before} ^ {*required})


def _altered(
    groups: Mapping[Side, Sequence[str]],
    alone: Iterable[str] | None,
    measured: Iterable[str],
    kept_names: Collection[str],
) -> set[str]:
    """Names of the packages that the candidate's group furnishes to the baseline otherwise than its own would.

    These are the packages that the baseline lacks, and those of a group, and of its own, whose pins differ. A new version
    of pytest alters nothing, since pytest itself skips nothing.

    Args:
        groups: Requirements of the group of each revision.
        alone: Packages of the baseline with its own group; ``None`` if it cannot be resolved with it, so that only the
            requirements can be compared.
        measured: Packages of the baseline with the candidate's.
        kept_names: Packages that the baseline needs itself.

    Example:
        >>> groups = {Side.BASELINE: ["pytest", "tabulate"], Side.CANDIDATE: ["pytest"]}
        >>> _altered(groups, ["pytest==8.0", "tabulate==0.9"], ["pytest==9.0"], ())
        {'tabulate'}
    """
    if alone is None:
        return names_of({*groups[Side.BASELINE]} ^ {*groups[Side.CANDIDATE]}) - {"pytest", *kept_names}
    named = names_of([*groups[Side.BASELINE], *groups[Side.CANDIDATE]]).union(kept_names)
    return ((names_of({*alone} ^ {*measured}) & named) | (names_of(alone) - names_of(measured))) - {"pytest"}


def _lacking(baseline: Request, groups: Mapping[Side, Sequence[str]], alone: Pins | None, measured: Pins) -> set[str]:
    """Names of the packages that the candidate's group takes from the baseline.

    A package that is gone only because a new version of another no longer needs it is none of these.

    Args:
        baseline: Request for the baseline.
        groups: Requirements of the group of each revision.
        alone: Resolution of the baseline with its own group; ``None`` if it cannot be resolved with it.
        measured: The baseline with the candidate's.
    """
    if alone is None:
        return names_of({*groups[Side.BASELINE]} - {*groups[Side.CANDIDATE]}) - names_of(measured.packages)
    gone = names_of(alone.packages) - names_of(measured.packages)
    if not gone:
        return gone
    sources = package_sources(baseline.project)
    placed = {name for name, places in sources.items() if any("index" not in place for place in places)}
    group = [
        any_version(each) for each in groups[Side.BASELINE] if requirement_name(each) not in placed and "@" not in each
    ]
    options = index_options(alone.served, baseline.tree)
    group += [pin for pin in alone.pins if " @ " in pin]  # in a file, no source leads to a place
    group += map(_as_folder, alone.placed)
    constraints = "\n".join(exact_versions(measured.pins))
    try:
        again = baseline.compile(measuring=["pytest", *group], constraints=constraints, options=options)
    except EnvironmentBuildError as error:
        if error.side is None:
            raise
        return gone
    return gone & names_of(again.packages)
