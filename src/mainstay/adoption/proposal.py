"""The smallest set of edits that puts a project under a gate.

This is a pure function from a survey to the texts of files. Existing content is not changed, so a second proposal for
the same project is empty.

- :func:`propose`: the edits, with notes for the user.
- :func:`with_group`, :func:`appended`: a text with a further dependency group or paragraph.
"""

from __future__ import annotations

import itertools
import re
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import PurePosixPath
from typing import Any

from mainstay.adoption.survey import SUITE_PACKAGES, Survey, count_workloads
from mainstay.adoption.templates import (
    Pin,
    calling_workflow,
    dependabot_settings,
    github_workflow,
    import_example,
    report_workflow,
    training_example,
    works_below,
    works_in,
)
from mainstay.adoption.writing import Edit
from mainstay.project.configuration import Configuration, read_configuration
from mainstay.project.requirements import normal_name, requirement_name
from mainstay.records.errors import ConfigurationError, UsageError
from mainstay.store.files import with_line_ends

GROUP = "benchmarks"
"""Dependency group of the packages that measure both revisions."""

REQUIREMENTS = ("pytest>=8.4", "pytest-benchmark>=5.1")
"""Requirements of the group if the project has none for its benchmarks."""

RUNS = ".mainstay/"
"""Folder of the runs, as .gitignore names it."""

WORKFLOW = ".github/workflows/mainstay.yml"
"""Path of the workflow, unless the repository has gates of other projects."""

REPORT_WORKFLOW = ".github/workflows/mainstay-report.yml"
"""Path of the workflow that comments on pull requests."""

DEPENDABOT_FILES = (".github/dependabot.yml", ".github/dependabot.yaml")
"""Paths at which dependabot finds its settings."""

GATES = re.compile(r"mainstay gate\b|mainstay-gate\.yml|/gate-reusable\.yml@|/actions/gate@")
"""What a file of CI says that runs a gate: the command, or what calls it from mainstay's repository."""

FOLDERS = (Configuration().workloads, "gate", "workloads")
"""Candidate folders for the first workloads; the first one that git does not ignore is used."""

COLLECTED = ("test_*.py", "*_test.py")
"""Patterns of the names of the files that pytest collects by default."""

DISTRIBUTIONS = {"PIL": "pillow", "attr": "attrs", "cv2": "opencv-python", "sklearn": "scikit-learn", "yaml": "pyyaml"}
"""Distribution names of packages that have a different import name."""

WELL_KNOWN = {
    "asv-runner",
    "hypothesis",
    "jax",
    "numpy",
    "pandas",
    "pillow",
    "scikit-learn",
    "scipy",
    "tensorflow",
    "torch",
    "torchvision",
}
"""Packages that are added to the group where they are imported and no dependency names them: many projects leave PyTorch
to their users. Any other name could be that of a stranger's package."""


class Example(StrEnum):
    """Kind of example from which the first workload is written."""

    SUITE = "suite"
    """Existing tests that measure, or functions that asv measures."""
    TRAINING = "training"
    """A training script, whose last printed number is judged."""
    IMPORT = "import"
    """Time of an import, and the modules that it loads."""
    RESULTS = "results"
    """Stored results of evaluations, which ``mainstay judge`` compares, and the time of an import."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Wishes:
    """Options of the user.

    Attributes:
        workloads: Folder of the workloads; chosen if empty.
        example: Kind of the first workloads, one of :class:`Example`; chosen if ``None``.
        ci: Whether to write a CI workflow; if ``None``, it is written if the project uses GitHub Actions and the
            requirement is known.
        requirement: Requirement from which CI installs mainstay; empty if unknown.
        python: Version of Python for CI.
        folder: The project's folder in the repository; empty for the top.
    """

    workloads: str = ""
    example: str | None = None
    ci: bool | None = None
    requirement: str = ""
    python: str = "3.12"
    folder: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Proposal:
    """Files that would be written.

    Attributes:
        edits: Files of the project, relative to its folder.
        repository_edits: Files of the repository, relative to its top.
        notes: Notes for the user, one sentence each.
        workloads: Folder of the workloads.
        example: Kind of the first workloads.
    """

    edits: tuple[Edit, ...]
    repository_edits: tuple[Edit, ...]
    notes: tuple[str, ...]
    workloads: str
    example: Example


def propose(
    survey: Survey,
    wishes: Wishes,
    read: Callable[[str], str | None],
    *,
    is_ignored: Callable[[str], bool] = lambda path: False,
    find_pin: Callable[[], Pin | None] = lambda: None,
) -> Proposal:
    """Propose what a project lacks.

    Args:
        survey: Survey of the project.
        wishes: Options of the user.
        read: Function that gives the text of a file of the project, or ``None`` if it does not exist.
        is_ignored: Function that tells whether git would ignore a path, so that no commit would contain it.
        find_pin: Function that finds the commit whose reusable workflows CI calls, ``None`` if it is unknown; it may ask
            a server, so it is called last, and only for a workflow without a requirement.

    Raises:
        UsageError: If something requested does not exist, or git would ignore the workloads.
        ConfigurationError: If pyproject.toml cannot be extended.
    """
    notes: list[str] = []
    example = Example(wishes.example) if wishes.example else _choose_example(survey)
    folder = _workload_folder(survey, wishes, example, is_ignored)
    if is_ignored(f"{folder}/test_workload.py"):
        raise UsageError(
            f"git ignores what is written to {folder!r}, so no gate would see it",
            looked_in=".gitignore",
            next_step="remove the folder from .gitignore, or choose another one with --workloads",
        )
    settings = _settings(survey, folder, example)
    if survey.configuration is None and "files" in settings:
        notes.append(f"of the files in {folder}, {', '.join(settings['files'])} are collected: add new ones to 'files'")
    notes += _conftest_notes(survey, folder)
    edits = [*_pyproject_edit(survey, settings, notes), *_workload_edit(survey, folder, example, read, notes)]
    edits += _ignore_edit(survey)
    return Proposal(
        edits=tuple(edits),
        repository_edits=tuple(_ci_edits(survey, wishes, notes, find_pin)),
        notes=tuple(notes),
        workloads=folder,
        example=example,
    )


def _choose_example(survey: Survey) -> Example:
    if survey.suite_files or survey.asv:
        return Example.SUITE
    if any(script.metric for script in survey.scripts):
        return Example.TRAINING
    return Example.RESULTS if survey.stored_results else Example.IMPORT


def _workload_folder(survey: Survey, wishes: Wishes, example: Example, is_ignored: Callable[[str], bool]) -> str:
    """The folder of the workloads, existing or to be created."""
    if survey.configuration is not None:
        return survey.configuration.workloads
    if wishes.workloads:
        return str(PurePosixPath(wishes.workloads))
    if example is not Example.SUITE:
        return next((name for name in FOLDERS if not is_ignored(f"{name}/test_workload.py")), FOLDERS[0])
    if not survey.suite_files and survey.asv:
        return survey.asv
    if not survey.suite_files:
        raise UsageError(
            "no test uses the fixture benchmark, or the marker of pytest-codspeed, and there is no suite of asv",
            looked_in="the Python files that git knows",
            next_step="choose another --example, or write such a test",
        )
    parents = [PurePosixPath(name).parent.parts for name in survey.suite_files]
    needed = [PurePosixPath(fixture.conftest).parent.parts for fixture in survey.suite_fixtures]
    places = [*parents, *filter(None, needed)]  # no folder could hold the conftest.py beside pyproject.toml
    for length in range(min(map(len, places)), 0, -1):
        if len({parts[:length] for parts in places}) == 1:
            return str(PurePosixPath(*places[0][:length]))
    tops = [parts[0] for parts in parents if parts]
    if not tops:
        raise UsageError(
            "the benchmarks lie beside pyproject.toml, and not in a folder that could be copied",
            looked_in=", ".join(survey.suite_files[:3]),
            next_step="move them into a folder, such as benchmarks",
        )
    return max(sorted(set(tops)), key=tops.count)


def _conftest_notes(survey: Survey, folder: str) -> Iterator[str]:
    """What to move into the workload folder, for each ``conftest.py`` outside whose fixtures a workload in it uses."""
    missing: dict[str, set[str]] = {}
    for fixture in survey.suite_fixtures:
        if _is_in(fixture.test_file, folder) and not _is_in(fixture.conftest, folder):
            missing.setdefault(fixture.conftest, set()).add(fixture.name)
    for conftest, names in sorted(missing.items()):
        yield (
            f"workloads in {folder} use fixtures of {conftest}, which workers do not load: {', '.join(sorted(names))}; "
            f"define them in {folder}/conftest.py, or import them there from a module that is not a conftest.py"
        )


def _is_in(name: str, folder: str) -> bool:
    return PurePosixPath(name).is_relative_to(folder)


def _settings(survey: Survey, folder: str, example: Example) -> dict[str, Any]:
    """``[tool.mainstay]`` as it would be written: the folder, and all settings that are not defaults."""
    settings: dict[str, Any] = {"workloads": folder}
    if example is Example.SUITE and (patterns := _file_patterns(survey, folder)):
        settings["files"] = patterns
    if example is Example.SUITE and survey.asv and _is_in(survey.asv, folder):
        settings["asv"] = ["*.py"]
    needed = set(survey.suite_imports) if example is Example.SUITE else set()
    if example is Example.TRAINING and survey.scripts:
        needed |= survey.scripts[0].imports
    runtime = _runtime(survey)
    if runtime is not None:
        needed |= survey.package_imports
    if extras := sorted(_extras_for({_distribution(name) for name in needed} - (runtime or set()), survey)):
        settings["extras"] = extras
    if not survey.default_branch:
        settings["default_branch"] = "main"
    return settings


def _file_patterns(survey: Survey, folder: str) -> list[str]:
    """Patterns of the suite's files, where pytest's settings do not collect them, or other tests beside them.

    Where another file in the folder has the name of one of the suite, that one's pattern is its path.
    """
    suite = [PurePosixPath(name) for name in survey.suite_files if _is_in(name, folder)]
    rest = {PurePosixPath(name).name for name in survey.files.difference(survey.suite_files) if _is_in(name, folder)}
    others = {PurePosixPath(name).name for name in survey.other_tests if _is_in(name, folder)}
    patterns = {path: _pattern(str(path) if path.name in rest else path.name) for path in suite}
    if suite and others:
        is_told_by_name = all("bench" in path.name and path.name not in rest for path in suite)
        if is_told_by_name and not any("bench" in name for name in others):
            return ["*bench*.py"]
        return sorted(set(patterns.values()))
    unusual = {patterns[path] for path in suite if not any(map(path.match, COLLECTED))}
    if not unusual or _names_files(survey.document):
        return []
    return [*sorted(unusual), *(pattern for pattern in COLLECTED if any(path.match(pattern) for path in suite))]


def _pattern(name: str) -> str:
    """Pattern of one name or path, with ``?`` for each character that patterns or pytest's settings would interpret."""
    return re.sub(r"""[][*?\s\\'"]""", "?", name)


def _names_files(document: Mapping[str, Any]) -> bool:
    """Whether the project configures pytest's file name patterns."""
    pytest_table = document.get("tool", {}).get("pytest", {})
    return "python_files" in {**pytest_table, **pytest_table.get("ini_options", {})}


def _extras_for(needed: Iterable[str], survey: Survey) -> Iterator[str]:
    """Extras that provide the packages needed by the workloads: for each package the shortest extra that has it."""
    chosen: set[str] = set()
    for package in sorted(set(needed) - survey.in_groups.keys()):
        having = [name for name, texts in survey.extras.items() if package in map(requirement_name, texts)]
        if having and not chosen.intersection(having):
            extra = min(having, key=lambda name: (len(survey.extras[name]), name))
            chosen.add(extra)
            yield extra


def _runtime(survey: Survey) -> set[str] | None:
    """Normalised names of the packages that are installed with the project; ``None`` where its build alone can tell."""
    project = survey.document.get("project", {})
    if survey.backend == "setup.py" or "dependencies" in project.get("dynamic", ()):
        return None
    if survey.backend == "none":
        return set(survey.listed) if "requirements.txt" in survey.files else set()
    poetry = survey.document.get("tool", {}).get("poetry", {}).get("dependencies", {})
    if not project and not poetry:
        return None
    return {requirement_name(text) for text in (*project.get("dependencies", ()), *poetry)}


def _distribution(module: str) -> str:
    """Normalised name of the package that a module is likely to belong to."""
    return normal_name(DISTRIBUTIONS.get(module, module))


# --- pyproject.toml ----------------------------------------------------------------------------------------------------


def _pyproject_edit(survey: Survey, settings: Mapping[str, Any], notes: list[str]) -> Iterator[Edit]:
    """The edit that adds the dependency group and ``[tool.mainstay]`` if they are missing; the rest is kept."""
    text = survey.pyproject
    if GROUP not in survey.groups:
        text = with_group(text, GROUP, _group(survey, settings, notes))
    if survey.configuration is None:
        text = appended(text, _table("tool.mainstay", settings))
    try:
        read_configuration(text, "pyproject.toml, as it would be written")
    except ConfigurationError as error:
        raise ConfigurationError(
            "pyproject.toml cannot be extended, since it writes a table on one line",
            looked_in=f"pyproject.toml ({error.fact})",
            next_step="write 'tool' and 'dependency-groups' as tables of their own: [tool.NAME], [dependency-groups]",
        ) from error
    if text != survey.pyproject:
        before = survey.pyproject if "pyproject.toml" in survey.files or survey.pyproject else None
        yield Edit(path="pyproject.toml", before=before, after=text)


def _group(survey: Survey, settings: Mapping[str, Any], notes: list[str]) -> list[Any]:
    """Entries of the group: what measures, and the packages that the workloads import and nothing else would install."""
    own = [
        name
        for name, texts in survey.groups.items()
        if {requirement_name(t) for t in texts if isinstance(t, str)} & {*SUITE_PACKAGES}
    ]
    in_extras = [text for texts in survey.extras.values() for text in texts if requirement_name(text) in SUITE_PACKAGES]
    entries: list[Any] = [{"include-group": name} for name in own[:1]]
    entries += [] if entries else list(dict.fromkeys(in_extras)) or _measuring_packages(survey)
    known = {**survey.listed, **{requirement_name(t): t for texts in survey.extras.values() for t in texts}}
    known |= survey.in_groups
    runtime = _runtime(survey)
    present = (runtime or set()) | {requirement_name(text) for text in entries if isinstance(text, str)}
    present |= {requirement_name(text) for extra in settings.get("extras", []) for text in survey.extras[extra]}
    of_suite = set() if own else survey.suite_imports
    of_package = set() if runtime is None else set(survey.package_imports)
    if runtime is not None and survey.scripts and not survey.suite_files:
        of_package |= survey.scripts[0].imports
    for module in sorted(of_suite | of_package):
        package = _distribution(module)
        if package in present:
            continue
        present.add(package)
        if package in known:
            entries.append(known[package])
        elif package in WELL_KNOWN:
            entries.append(package)
            notes.append(f"{package} is imported, and no dependency of the project names it: it is added to {GROUP}")
        elif module in of_suite:
            notes.append(
                f"the benchmarks import {module}, but no dependency of the project has that name: "
                f"if they need it, add its package to the group {GROUP}"
            )
    return entries


def _measuring_packages(survey: Survey) -> list[str]:
    """Requirements for pytest and the plugin of the suite; for pytest-benchmark if the plugin is unknown."""
    asked = [name for name in SUITE_PACKAGES if name in survey.listed or _module(name) in survey.suite_imports]
    if not survey.suite_files or not asked:
        return list(REQUIREMENTS)
    return [REQUIREMENTS[0], *(survey.listed.get(name, name) for name in asked)]


def _module(package: str) -> str:
    """The likely import name of a package."""
    return package.replace("-", "_")


def with_group(text: str, name: str, entries: Sequence[Any]) -> str:
    """The text of a pyproject.toml with one more dependency group.

    Args:
        text: Of the file, which has no such group.
        name: Of the group.
        entries: Requirements, and mappings that include other groups.
    """
    import tomlkit

    table = tomllib.loads(text).get("dependency-groups")
    if table is None:
        return appended(text, _table("dependency-groups", {name: entries}))
    document = tomlkit.parse(text)
    document["dependency-groups"][name] = _value(entries)
    return with_line_ends(tomlkit.dumps(document), text)


def _value(entries: Sequence[Any]) -> Any:
    import tomlkit

    array = tomlkit.array()
    for entry in entries:
        if isinstance(entry, str):
            array.append(entry)
        else:
            inline = tomlkit.inline_table()
            inline.update(entry)
            array.append(inline)
    return array


def _table(name: str, values: Mapping[str, Any]) -> str:
    r"""A table as TOML.

    Example:
        >>> _table("tool.mainstay", {"workloads": "benchmarks", "extras": ["torch"]})
        '[tool.mainstay]\nworkloads = "benchmarks"\nextras = ["torch"]\n'
    """
    import tomlkit

    lines = [f"[{name}]"]
    for key, value in values.items():
        item = tomlkit.item(value) if isinstance(value, str) else _value(value)
        lines.append(f"{key} = {item.as_string()}")
    return "\n".join(lines) + "\n"


def appended(text: str, addition: str) -> str:
    r"""A text with a paragraph appended, using the text's own line endings.

    Args:
        text: As it is.
        addition: The paragraph.

    Example:
        >>> appended("a = 1\r\n", "b = 2\n")
        'a = 1\r\n\r\nb = 2\r\n'
    """
    if not text.strip():
        return with_line_ends(addition, text)
    gap = "\n" if text.endswith("\n") else "\n\n"
    return with_line_ends(text + ("" if text.endswith(("\n\n", "\n\r\n")) else gap) + addition, text)


# --- other files -------------------------------------------------------------------------------------------------------


def _workload_edit(
    survey: Survey, folder: str, example: Example, read: Callable[[str], str | None], notes: list[str]
) -> Iterator[Edit]:
    """The edit that adds an example, unless there is a workload already."""
    present = [name for name in survey.files if name.endswith(".py") and _is_in(name, folder)]
    is_asv = example is Example.SUITE and bool(survey.asv)
    if survey.configuration is not None:
        is_asv = bool(survey.configuration.asv)
    texts = (read(name) or "" for name in present)
    if not set(present).isdisjoint(survey.suite_files) or count_workloads(texts, is_asv=is_asv):
        return
    script = next((script for script in survey.scripts if script.metric), None)
    if example is Example.TRAINING and script is None:
        raise UsageError(
            "no training script of the package prints an accuracy or a loss",
            looked_in="the Python files that git knows",
            next_step="choose another --example",
        )
    if example is Example.TRAINING and script is not None:
        usual, text = "test_training.py", training_example(script)
        name = _free_name(survey, folder, usual, read)
        notes.append(
            f"{folder}/{name} runs {script.path}: shorten its training, and give it its data, where it needs any"
        )
    else:
        if not survey.packages:
            raise UsageError(
                "no package and no module that could be imported",
                looked_in="src and the project's folder",
                next_step=f"write a workload in {folder}/ as the how-to 'add a workload' shows, then try again",
            )
        usual, text = "test_import.py", import_example(survey.packages[0], survey.inference)
        name = _free_name(survey, folder, usual, read)
    if _exists(survey, f"{folder}/{usual}", read):
        notes.append(f"{folder}/{usual} exists and holds no workload that mainstay knows: it was not changed")
    if example is Example.RESULTS:
        first = PurePosixPath(survey.stored_results[0]).parent
        notes.append(f"stored results are compared by 'mainstay judge BASELINE CANDIDATE', such as {first}")
    yield Edit(path=f"{folder}/{name}", before=None, after=text)


def _free_name(survey: Survey, folder: str, usual: str, read: Callable[[str], str | None]) -> str:
    """The usual name of a file, or the first similar one that no file in the folder has, tracked by git or not.

    Nor does any file have it whose folder is no package: pytest, as projects run it by default, imports such files by
    their names alone, and stops at the second one of a name.
    """
    paths = map(PurePosixPath, survey.files)
    imported = {path.name for path in paths if str(path.with_name("__init__.py")) not in survey.files}
    stem = usual.removeprefix("test_").removesuffix(".py")
    numbered = (f"test_mainstay_{stem}_{number}.py" for number in itertools.count(2))
    names = itertools.chain((usual, f"test_mainstay_{stem}.py"), numbered)
    return next(name for name in names if name not in imported and not _exists(survey, f"{folder}/{name}", read))


def _exists(survey: Survey, path: str, read: Callable[[str], str | None]) -> bool:
    """Whether a file exists, tracked by git or not, text or not."""
    return path in survey.files or read(path) is not None


def _ignore_edit(survey: Survey) -> Iterator[Edit]:
    """The edit that makes git ignore the folder of the runs."""
    lines = {line.strip().strip("/") for line in survey.ignored.splitlines()}
    if RUNS.strip("/") in lines:
        return
    gap = "" if not survey.ignored or survey.ignored.endswith("\n") else "\n"
    before = survey.ignored if ".gitignore" in survey.files or survey.ignored else None
    after = with_line_ends(f"{survey.ignored}{gap}{RUNS}\n", survey.ignored)
    yield Edit(path=".gitignore", before=before, after=after)


def _ci_edits(survey: Survey, wishes: Wishes, notes: list[str], find_pin: Callable[[], Pin | None]) -> Iterator[Edit]:
    """The edits that add workflows, if GitHub runs the CI and no workflow gates the project yet."""
    gating = [text for text in survey.workflows.values() if GATES.search(text)]
    if wishes.ci is False or _is_gated(wishes.folder, gating, notes):
        return
    others = [service for service in survey.services if service != "GitHub Actions"]
    if wishes.ci is None and others and "GitHub Actions" not in survey.services:
        notes.append(f"{others[0]} is not configured: let it run 'mainstay gate' with the whole history checked out")
        return
    pin = find_pin()
    if not wishes.requirement and pin is None:
        if wishes.ci:
            raise UsageError(
                "cannot tell where CI should install mainstay from: this one is installed from a folder",
                looked_in="the metadata of the installed mainstay",
                next_step="name it with --install, such as 'mainstay @ git+https://HOST/OWNER/mainstay@COMMIT'",
            )
        notes.append("no CI workflow was written: name with --install the requirement from which CI installs mainstay")
        return
    suffix = "-" + re.sub(r"[^\w.]+", "-", wishes.folder).strip("-") if gating else ""
    path = f".github/workflows/mainstay-gate{suffix}.yml" if suffix else WORKFLOW
    if path in survey.workflows:
        notes.append(f"{path} exists and does not run 'mainstay gate' for this project: it was not changed")
        return
    if survey.gpu:
        notes.append("hosted runners of CI have no GPU: the how-to 'gate on a GPU' shows how to use one of your own")
    if pin is None:
        text = github_workflow(wishes.requirement, wishes.python, wishes.folder, suffix)
        yield Edit(path=path, before=None, after=text)
        return
    branch = survey.default_branch or "main"
    text = calling_workflow(pin, wishes.python, branch=branch, folder=wishes.folder, suffix=suffix)
    yield Edit(path=path, before=None, after=text)
    if not suffix and REPORT_WORKFLOW not in survey.workflows:  # it comments on runs of a gate without a suffix alone
        yield Edit(path=REPORT_WORKFLOW, before=None, after=report_workflow(pin))
    yield from _dependabot_edit(survey, pin, notes)


def _is_gated(folder: str, gating: Sequence[str], notes: list[str]) -> bool:
    """Whether one of the workflows that gate gates the project in a folder; any may gate one at the top."""
    if folder:
        return any(works_in(folder, text) for text in gating)
    if gating and all(works_below(text) for text in gating):
        notes.append(
            "no CI workflow was written, since one gates already, in a folder below: if that is another package, add a "
            "job for this one as the how-to 'gate a monorepo' shows"
        )
    return bool(gating)


def _dependabot_edit(survey: Survey, pin: Pin, notes: list[str]) -> Iterator[Edit]:
    """The edit that adds settings of dependabot which keep the called workflows current, if there are no settings."""
    dependabot = next((survey.workflows[path] for path in DEPENDABOT_FILES if path in survey.workflows), None)
    if dependabot is None:
        yield Edit(path=DEPENDABOT_FILES[0], before=None, after=dependabot_settings())
    elif "github-actions" not in dependabot:
        notes.append(f"the workflows stay at {pin.version} unless dependabot updates 'github-actions'")
